//! Answers in JSON, of which a few fields are wanted: a parser would be a large part of what xtask compiles.

use std::time::Duration;

use anyhow::{Context as _, ensure};

/// The first number called `name`.
pub(super) fn number(json: &str, name: &str) -> Option<u64> {
    numbers(json, name).next()
}

/// Every number called `name`.
pub(super) fn numbers<'a>(json: &'a str, name: &str) -> impl Iterator<Item = u64> + use<'a> {
    let key = format!("\"{name}\":");
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once(&key)?;
            rest = after;
            // Some write numbers as text.
            let after = after.strip_prefix('"').unwrap_or(after);
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if let Ok(number) = after[..digits].parse() {
                return Some(number);
            }
        }
    })
}

/// The first text called `name`, which has nothing in it that would be escaped.
pub(super) fn text<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    json.split_once(&format!("\"{name}\":\""))?.1.split('"').next()
}

/// How long a query took in the node, from its statistics. Fails if the answer is not whole.
pub(super) fn duration(stats: &str) -> anyhow::Result<Duration> {
    ensure!(stats.contains("\"complete\":true"), "the answer is not complete: {stats}");
    let ms = number(stats, "duration_ms").context("no duration in the statistics")?;
    // One after the other, hence their sum is the whole; finer than the milliseconds of a quick answer.
    let stages = ["plan_us", "wait_us", "merge_us", "send_us"];
    let us: u64 = stages.iter().filter_map(|stage| number(stats, stage)).sum();
    Ok(if ms < 10 && us >= ms * 1000 { Duration::from_micros(us) } else { Duration::from_millis(ms) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let json = r#"{"count":1,"x":"a","buckets":[{"count":20,"n":"7"},{"count":null},{"count":300}]}"#;
        assert_eq!(numbers(json, "count").collect::<Vec<_>>(), [1, 20, 300]);
        assert_eq!((number(json, "n"), number(json, "none")), (Some(7), None));
        assert_eq!((text(json, "x"), text(json, "y")), (Some("a"), None));
    }

    #[test]
    fn a_duration_is_as_fine_as_the_statistics_tell_it() {
        for (ms, us, expected) in [(0, 400, 400), (3, 3400, 3400), (95, 94_000, 95_000), (2, 100, 2000)] {
            let stats = format!(
                r#"{{"complete":true,"duration_ms":{ms},"stages":{{"plan_us":0,"scan_us":9999,"wait_us":{us}}}}}"#
            );
            assert_eq!(duration(&stats).unwrap(), Duration::from_micros(expected), "{stats}");
        }
        assert!(duration(r#"{"complete":false,"duration_ms":1}"#).is_err());
    }
}
