//! Bars of characters.

use std::fmt::Write as _;

use weir_api::wire::{Bucket, HistogramBody};

use crate::cli::terminal::{paint, plain};

/// What the chart has to fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Columns.
    pub(super) width: usize,
    /// Levels are told apart by colour; else all bars are of one character that any pipe takes.
    pub(super) colored: bool,
}

/// The shortest bar that still tells something.
const BAR_MIN: usize = 10;

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;

/// A line per bucket, then the sums.
pub(super) fn draw(body: &HistogramBody, look: Look) -> String {
    let most = body.buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let digits = most.to_string().len();
    let span_ms = body.width_ms.saturating_mul(body.buckets.len() as u64);
    let label = |time: &str| plain(label(time, body.width_ms, span_ms));
    let label_columns = body.buckets.first().map_or(0, |bucket| label(&bucket.time).len());
    let bar_max = look.width.saturating_sub(label_columns + digits + 4).max(BAR_MIN);
    let mut out = String::new();
    for bucket in &body.buckets {
        let bar = bar(bucket, &body.levels, most, bar_max, look.colored);
        let line = format!("{}  {:>digits$}  {bar}", label(&bucket.time), bucket.count);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push_str(&sums(body, look.colored));
    out
}

/// As much of a time as tells the lines apart: seconds only where lines are shorter than minutes, the date only
/// where there is more than one.
fn label(time: &str, width_ms: u64, span_ms: u64) -> &str {
    let from = if span_ms > DAY_MS { 0 } else { "2026-03-01T".len() };
    let to = match width_ms {
        _ if width_ms >= 60 * SECOND_MS => "2026-03-01T10:00".len(),
        _ if width_ms >= SECOND_MS => "2026-03-01T10:00:00".len(),
        _ => "2026-03-01T10:00:00.000".len(),
    };
    time.get(from..to.min(time.len())).unwrap_or(time)
}

fn bar(bucket: &Bucket, levels: &[String], most: u64, bar_max: usize, colored: bool) -> String {
    let columns = |count: u64| match most {
        0 => 0,
        // What is there at all is seen.
        _ => ((u128::from(count) * bar_max as u128).div_ceil(u128::from(most)) as usize).min(bar_max),
    };
    if !colored {
        return "#".repeat(columns(bucket.count));
    }
    let mut out = String::new();
    let (mut sum, mut drawn) = (0, 0);
    for (level, count) in levels.iter().zip(&bucket.counts) {
        // Rounded over the sum so far: the parts add up to the whole bar.
        sum += count;
        let end = columns(sum);
        if end > drawn {
            out.push_str(&paint(&"█".repeat(end - drawn), style(level), true));
            drawn = end;
        }
    }
    out
}

fn style(level: &str) -> &'static str {
    match level {
        "error" => "31",
        "warn" => "33",
        "info" => "32",
        "debug" => "34",
        _ => "37",
    }
}

fn sums(body: &HistogramBody, colored: bool) -> String {
    let total: u64 = body.buckets.iter().map(|bucket| bucket.count).sum();
    let mut out = format!("{total} records");
    for (index, level) in body.levels.iter().enumerate() {
        let count: u64 = body.buckets.iter().filter_map(|bucket| bucket.counts.get(index)).sum();
        if count > 0 && level != "none" {
            // Writing to a string cannot fail.
            let _ = write!(out, ", {}", paint(&format!("{count} {}", plain(level)), style(level), colored));
        }
    }
    let _ = writeln!(
        out,
        " from {} to {}, {} a line",
        plain(&body.from),
        plain(&body.to),
        duration(body.width_ms)
    );
    out
}

/// A duration in its two largest units.
fn duration(ms: u64) -> String {
    let units = [("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let first = units.iter().position(|(_, factor)| ms >= *factor).unwrap_or(units.len() - 1);
    let mut rest = ms;
    let mut out = String::new();
    for (unit, factor) in units.iter().skip(first).take(2) {
        if rest / factor > 0 {
            let _ = write!(out, "{}{unit}", rest / factor);
        }
        rest %= factor;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(width_ms: u64, counts: &[[u64; 2]]) -> HistogramBody {
        let bucket = |(index, counts): (usize, &[u64; 2])| Bucket {
            time: format!("2026-03-01T10:0{index}:00.000Z"),
            count: counts.iter().sum(),
            counts: counts.to_vec(),
        };
        HistogramBody {
            from: "2026-03-01T10:00:00.000Z".into(),
            to: "2026-03-01T10:03:00.000Z".into(),
            width_ms,
            levels: vec!["error".into(), "none".into()],
            buckets: counts.iter().enumerate().map(bucket).collect(),
            ..HistogramBody::default()
        }
    }

    #[test]
    fn bars_fit_the_width_and_say_numbers() {
        let chart = draw(&body(60_000, &[[2, 8], [0, 0], [0, 1]]), Look { width: 31, colored: false });
        let expected = "\
10:00  10  ####################
10:01   0
10:02   1  ##
11 records, 2 error from 2026-03-01T10:00:00.000Z to 2026-03-01T10:03:00.000Z, 1m a line
";
        assert_eq!(chart, expected);
        let empty = draw(&body(60_000, &[]), Look { width: 3, colored: false });
        assert!(empty.starts_with("0 records from"), "{empty}");
    }

    #[test]
    fn levels_have_their_share_of_the_bar() {
        let chart = draw(&body(1_000, &[[1, 1]]), Look { width: 23, colored: true });
        let first = chart.lines().next().unwrap();
        assert_eq!(first, format!("10:00:00  2  \x1b[31m{0}\x1b[0m\x1b[37m{0}\x1b[0m", "█".repeat(5)));
    }

    #[test]
    fn labels_say_as_much_as_is_needed() {
        let time = "2026-03-01T10:02:03.456Z";
        for (width_ms, span_ms, expected) in [
            (1, 10, "10:02:03.456"),
            (1_000, 10_000, "10:02:03"),
            (60_000, 600_000, "10:02"),
            (3_600_000, 2 * DAY_MS, "2026-03-01T10:02"),
        ] {
            assert_eq!(label(time, width_ms, span_ms), expected);
        }
        assert_eq!(label("odd", 1, 1), "odd");
        for (ms, expected) in [(1, "1ms"), (61_000, "1m1s"), (120_000, "2m"), (90_061_000, "1d1h"), (0, "")] {
            assert_eq!(duration(ms), expected);
        }
    }
}
