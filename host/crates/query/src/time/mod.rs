//! Times and durations as users write them. "Now" is passed in.
//!
//! | written | means |
//! |---|---|
//! | `2026-02-03T04:05:06Z`, `2026-02-03 04:05:06.7+02:00` | RFC3339 |
//! | `1700000000`, `1700000000.5`, `1700000000123`, … | Unix s, ms, us or ns, told apart by magnitude |
//! | `01HF7YAT00ABCDEFGHJKMNPQRS` | the time of a ULID; as a [bound](parse_bound) the ULID itself |
//! | `now` | now |
//! | `5m`, `-5m`, `now-5m` | so long ago; `now+5m` is ahead |
//!
//! Durations are numbers with the units `ms`, `s`, `m`, `h`, `d`, `w`, largest first: `2h30m`, `1d`, `1w`.

mod rfc3339;

use alloc::string::String;

use weir_record::RecordId;
use weir_record::id::TIME_MS_MAX;

const FORMS: &str = "write RFC3339 (2026-02-03T04:05:06Z), Unix seconds, ms, us or ns, a ULID, now, \
                     or how long ago (5m, 2h30m, now-1d)";

/// Text that is no time or duration. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// None of the forms of a time.
    #[error("{text:?} is not a time; {FORMS}")]
    Form {
        /// The text, its first 80 characters.
        text: String,
    },
    /// RFC3339 in shape, but not in content.
    #[error("{text:?} is not a time: {why}; {FORMS}")]
    Date {
        /// The text, its first 80 characters.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A time before 1970 or after the year 10889, which no record can have.
    #[error("{text:?} lies outside the years 1970 to 10889")]
    Range {
        /// The text, its first 80 characters.
        text: String,
    },
    /// Not a duration.
    #[error(
        "{text:?} is not a duration; write numbers with the units ms, s, m, h, d, w, largest first: 5m, 2h30m, 1d"
    )]
    Duration {
        /// The text, its first 80 characters.
        text: String,
    },
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A time in Unix milliseconds. Fractions of a millisecond are cut off.
pub fn parse_time(text: &str, now_ms: u64) -> Result<u64, TimeError> {
    let text = text.trim();
    let range = || TimeError::Range { text: shown(text) };
    if let Ok(id) = text.parse::<RecordId>() {
        return Ok(id.time_ms());
    }
    if let Some(rest) = text.strip_prefix("now") {
        return match rest.as_bytes().first() {
            None => Ok(now_ms),
            Some(b'-') => Ok(now_ms.saturating_sub(parse_duration(&rest[1..])?)),
            Some(b'+') => ahead(now_ms, parse_duration(&rest[1..])?).ok_or_else(range),
            Some(_) => Err(TimeError::Form { text: shown(text) }),
        };
    }
    if is_number(text) {
        return unix(text).ok_or_else(range);
    }
    let ago = text.strip_prefix('-').unwrap_or(text);
    if let Ok(duration_ms) = parse_duration(ago) {
        return Ok(now_ms.saturating_sub(duration_ms));
    }
    match rfc3339::parse(text) {
        Some(Ok(time)) => u64::try_from(time).ok().filter(|ms| *ms <= TIME_MS_MAX).ok_or_else(range),
        Some(Err(why)) => Err(TimeError::Date { text: shown(text), why }),
        None => Err(TimeError::Form { text: shown(text) }),
    }
}

/// A time as a bound of ids: a ULID is itself, any other time the lowest id of its millisecond.
pub fn parse_bound(text: &str, now_ms: u64) -> Result<RecordId, TimeError> {
    match text.trim().parse() {
        Ok(id) => Ok(id),
        Err(_) => parse_time(text, now_ms).map(RecordId::lowest_at),
    }
}

fn ahead(now_ms: u64, duration_ms: u64) -> Option<u64> {
    now_ms.checked_add(duration_ms).filter(|ms| *ms <= TIME_MS_MAX)
}

/// Digits, perhaps with a fraction.
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A Unix time; `None` when it is out of range.
fn unix(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: u64 = whole.parse().ok()?;
    // Seconds until the year 5138, milliseconds from 1973 on, and so forth: no two meet.
    let ms = match number {
        0..100_000_000_000 => number * 1000 + thousandths(fraction),
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number / 1000,
        _ => number / 1_000_000,
    };
    Some(ms).filter(|ms| *ms <= TIME_MS_MAX)
}

/// The first three digits of a decimal fraction, as a number of thousandths.
fn thousandths(fraction: &str) -> u64 {
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(3);
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0') % 10))
}

/// Milliseconds per unit, from the largest on.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A duration in milliseconds.
pub fn parse_duration(text: &str) -> Result<u64, TimeError> {
    let text = text.trim();
    duration(text).ok_or_else(|| TimeError::Duration { text: shown(text) })
}

fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit_bytes = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_bytes);
        // The units used up so far are gone: largest first, each once.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
        rest = behind;
    }
    if text.is_empty() { None } else { Some(total) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn every_form_of_the_contract_is_read() {
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20Z", NOW),
            ("2023-11-14t22:13:20z", NOW),
            ("2023-11-14 22:13:20Z", NOW),
            ("2023-11-14T22:13:20.5Z", NOW + 500),
            ("2023-11-14T22:13:20.123999999Z", NOW + 123),
            ("2023-11-15T00:13:20+02:00", NOW),
            ("2023-11-14T16:43:20-05:30", NOW),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("0", 0),
            ("5", 5000),
            ("1700000000", NOW),
            ("1700000000.25", NOW + 250),
            ("1700000000123", NOW + 123),
            ("1700000000123456", NOW + 123),
            ("1700000000123456789", NOW + 123),
            ("01HF7YAT00ABCDEFGHJKMNPQRS", NOW),
            ("01hf7yat00abcdefghjkmnpqrs", NOW),
            ("now", NOW),
            (" now ", NOW),
            ("5m", NOW - 300_000),
            ("-5m", NOW - 300_000),
            ("now-1h", NOW - 3_600_000),
            ("now+1h", NOW + 3_600_000),
            ("2h30m", NOW - 9_000_000),
            ("1d", NOW - 86_400_000),
            ("1w", NOW - 604_800_000),
            ("1w2d3h4m5s6ms", NOW - 788_645_006),
            ("90m", NOW - 5_400_000),
            ("999999w", 0),
        ];
        for (text, expected) in table {
            assert_eq!(parse_time(text, NOW), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            "x",
            "yesterday",
            "now1h",
            "nowish",
            "5x",
            "m5",
            "5m2h",
            "5m5m",
            "-",
            "--5m",
            "1.5h",
            "5 m",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13Z",
            "14:00",
            "2023-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-32T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01T00:00:61Z",
            "2023-01-01T00:00:00+24:00",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00Zx",
            "é",
            "1.2.3",
            "1700000000.",
        ] {
            let message = parse_time(text, NOW).unwrap_err().to_string();
            assert!(message.contains("5m, 2h30m"), "{text}: {message}");
        }
        for text in ["1969-12-31T23:59:59Z", "99999999999999999999", "now+99999999w"] {
            assert_eq!(parse_time(text, NOW), Err(TimeError::Range { text: text.into() }));
        }
        assert!(parse_time("2023-11-14", NOW).unwrap_err().to_string().contains("time and zone"));
        assert!(parse_time(&"x".repeat(999), NOW).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn a_ulid_bounds_ids_exactly() {
        let id: RecordId = "01HF7YAT00ABCDEFGHJKMNPQRS".parse().unwrap();
        assert_eq!(parse_bound("01HF7YAT00ABCDEFGHJKMNPQRS", NOW), Ok(id));
        assert_eq!(parse_bound("now", NOW), Ok(RecordId::lowest_at(NOW)));
    }

    #[test]
    fn durations_are_read_alone() {
        assert_eq!(parse_duration("500ms"), Ok(500));
        assert_eq!(parse_duration("0s"), Ok(0));
        for text in ["", "5", "ms", "-5m", "99999999999999w", "now"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), shaped in "[0-9TZ:. +nowsmhd-]{0,30}") {
            let _ = (parse_time(&text, NOW), parse_time(&shaped, u64::MAX), parse_bound(&shaped, 0));
        }

        #[test]
        fn dates_count_days_as_they_are(days in 0..700_000_u64) {
            // Walks the calendar the slow way.
            let (mut year, mut left) = (1970, days);
            let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
            while left >= 365 + u64::from(leap(year)) {
                left -= 365 + u64::from(leap(year));
                year += 1;
            }
            let mut month = 0;
            let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            while left >= lengths[month] {
                left -= lengths[month];
                month += 1;
            }
            let text = format!("{year:04}-{:02}-{:02}T00:00:00Z", month + 1, left + 1);
            prop_assert_eq!(parse_time(&text, 0), Ok(days * 86_400_000), "{}", text);
        }
    }
}
