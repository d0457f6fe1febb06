//! The time of an event, out of its line.
//!
//! It is looked for at the starts of words of the first [`LOOK_BYTES`], in the formats of the settings, in
//! their order at each place. What is not near the clock of this machine is no time: a number that happens to
//! look like one must not move a record by years.

mod civil;
mod format;

use weir_plugin_sdk::Failure;

use self::format::Format;
pub(crate) use self::format::rfc3339;

/// How far into a line its time is looked for.
const LOOK_BYTES: usize = 256;
/// How much older than now an event may be: what is older comes from a clock that was never set.
const PAST_MS_MAX: u64 = 10 * 366 * 24 * 3600 * 1000;
/// How much younger: the zone may be wrong by a day, the host refuses more than ten minutes.
const FUTURE_MS_MAX: u64 = 24 * 3600 * 1000;
const NS_PER_MS: u64 = 1_000_000;

/// The formats of the settings.
#[derive(Debug)]
pub(crate) struct Times {
    formats: Vec<Format>,
    /// East of Greenwich, for formats that do not say.
    zone_seconds: i64,
}

impl Times {
    /// `None` when no format is given: records have the time of their arrival.
    pub(crate) fn new(formats: &[String], zone: &str) -> Result<Option<Times>, Failure> {
        let mut all = Vec::new();
        for format in formats {
            let known = Format::named(format)
                .map_err(|why| Failure::bad_config("config.time", format_args!("time: {format:?}: {why}")))?;
            all.extend(known);
        }
        let zone_seconds = format::zone_of(zone).ok_or_else(|| {
            let words = "is no zone; write Z or an offset such as +02:00";
            Failure::bad_config("config.time-zone", format_args!("time_zone: {zone:?} {words}"))
        })?;
        Ok((!all.is_empty()).then_some(Times { formats: all, zone_seconds }))
    }

    /// The first time in the line, Unix nanoseconds.
    pub(crate) fn find(&self, line: &[u8], now_unix_ns: u64) -> Option<u64> {
        let head = &line[..line.len().min(LOOK_BYTES)];
        let mut before = b' ';
        for (at, byte) in head.iter().enumerate() {
            if byte.is_ascii_alphanumeric() && !before.is_ascii_alphanumeric() {
                for format in &self.formats {
                    let time = format.read(&line[at..], before, self.zone_seconds, now_unix_ns);
                    if let Some(time) = time.filter(|time| is_near(*time, now_unix_ns)) {
                        return Some(time);
                    }
                }
            }
            before = *byte;
        }
        None
    }
}

fn is_near(time_unix_ns: u64, now_unix_ns: u64) -> bool {
    let (time_ms, now_ms) = (time_unix_ns / NS_PER_MS, now_unix_ns / NS_PER_MS);
    time_ms <= now_ms.saturating_add(FUTURE_MS_MAX) && time_ms >= now_ms.saturating_sub(PAST_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T03:04:05Z.
    const NOW: u64 = 1_767_323_045_000_000_000;

    fn find(formats: &[&str], zone: &str, line: &str) -> Option<f64> {
        let formats: Vec<String> = formats.iter().map(|&format| format.into()).collect();
        let times = Times::new(&formats, zone).unwrap().unwrap();
        times.find(line.as_bytes(), NOW).map(|ns| (ns as f64 - NOW as f64) / 1e9)
    }

    #[test]
    fn common_formats_are_found_without_being_named() {
        for (line, seconds) in [
            ("2026-01-02T03:04:05.250Z hello", Some(0.25)),
            ("2026-01-02T05:04:05+02:00 hello", Some(0.0)),
            ("2026-01-02T03:04:05.123456789-00:30 x", Some(1_800.123_456_789)),
            ("2026-01-02 03:04:04,500 INFO x", Some(-0.5)),
            ("2026/01/02 03:04:05 [error] 7#7: x", Some(0.0)),
            ("[2026-01-02 03:04:05.000] x", Some(0.0)),
            ("10.0.0.1 - - [02/Jan/2026:04:04:05 +0100] \"GET / HTTP/1.1\" 200 1", Some(0.0)),
            ("<34>Jan  2 03:04:00 host app[1]: x", Some(-5.0)),
            ("Jan 12 03:04:00 host app[1]: x", Some(864_000.0 - 5.0 - 365.0 * 86400.0)),
            ("Fri Jan  2 03:04:05 2026 [notice] x", Some(0.0)),
            ("Fri, 02 Jan 2026 03:04:05 GMT x", Some(0.0)),
            ("I0102 03:04:05.500000   1 main.go:1] x", Some(0.5)),
            (r#"{"ts":1767323044.5,"msg":"x"}"#, Some(-0.5)),
            (r#"{"level":"info","time":1767323044500,"msg":"x"}"#, Some(-0.5)),
            (r#"{"level":"info","@timestamp":"2026-01-02T03:04:05Z"}"#, Some(0.0)),
            ("time=2026-01-02T03:04:05Z level=info", Some(0.0)),
            ("1767323045 x", Some(0.0)),
            ("20260102T030405Z x", Some(0.0)),
            ("order 17673230 of 2025 at 10.1.2.3", None),
            ("2096-01-02T03:04:05Z far ahead", None),
            ("1996-01-02T03:04:05Z far behind", None),
            ("2026-13-02T03:04:05Z 2026-02-30T03:04:05Z 2026-01-02T25:04:05Z", None),
            ("v2026-01-02T03:04:05Z x2026-01-02", None),
            ("", None),
        ] {
            let got = find(&["auto"], "Z", line);
            let near = got.zip(seconds).is_some_and(|(a, b)| (a - b).abs() < 1e-3);
            assert!(near || got.is_none() && seconds.is_none(), "{line}: {got:?}, not {seconds:?}");
        }
    }

    #[test]
    fn formats_of_ones_own_are_read_and_a_zone_holds_where_none_is_said() {
        assert_eq!(find(&["%d.%m.%Y %H:%M:%S"], "+01:00", "at 02.01.2026 04:04:05 x"), Some(0.0));
        assert_eq!(find(&["%d %b %y %H%M%S%f %z"], "Z", "02 Jan 26 040405.5 +0100"), Some(0.5));
        assert_eq!(find(&["%s"], "Z", "t 1767323000"), Some(-45.0));
        assert_eq!(find(&["rfc3339"], "Z", "Jan  2 03:04:00 x"), None);
        assert_eq!(find(&["auto"], "-03:00", "2026-01-02 00:04:05 x"), Some(0.0));
        assert_eq!(find(&["auto"], "-03:00", "2026-01-02T03:04:05Z x"), Some(0.0));
    }

    #[test]
    fn what_is_wrong_with_a_format_is_said() {
        for (format, words) in [("%Q", "%Q"), ("x", "no format"), ("%H:%M", "no day"), ("", "no format")] {
            let failure = Times::new(&[format.into()], "Z").unwrap_err();
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        assert!(Times::new(&["auto".into()], "Berlin").is_err());
        assert!(Times::new(&[], "Z").unwrap().is_none());
    }
}
