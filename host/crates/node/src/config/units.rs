//! Durations, byte counts and percentages, as configuration files spell them.

use std::fmt::Write as _;

const DURATION_UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

const BYTE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// `7d`, `3s`, `50ms`, `2h30m` in milliseconds. A bare number has no unit and is refused, `0` included.
pub(crate) fn parse_duration_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_bytes = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_bytes);
        let (_, factor) = DURATION_UNITS.into_iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

/// `16MiB`, `100 GiB`, `1GB`, `512B` in bytes.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let (_, factor) = BYTE_UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(factor)
}

/// `95%` as 95. Whole numbers from 1 to 100.
pub(crate) fn parse_percent(text: &str) -> Option<u8> {
    let number: u8 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (1..=100).contains(&number).then_some(number)
}

/// A duration in its shortest exact form: `7d`, `90s` as `1m30s`, `0` as `0s`.
pub(crate) fn format_duration_ms(mut ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS.into_iter().rev().skip(1) {
        if ms >= factor {
            let _ = write!(text, "{}{unit}", ms / factor);
            ms %= factor;
        }
    }
    text
}

/// A byte count in the largest binary unit that says it exactly.
pub(crate) fn format_bytes(bytes: u64) -> String {
    let exact = |factor: u64| bytes >= factor && bytes.is_multiple_of(factor);
    let (unit, factor) =
        BYTE_UNITS[..5].iter().rev().find(|(_, factor)| exact(*factor)).unwrap_or(&BYTE_UNITS[0]);
    format!("{}{unit}", bytes / factor)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_may_be_compound() {
        for (text, want) in [
            ("7d", Some(604_800_000)),
            ("3s", Some(3_000)),
            ("50ms", Some(50)),
            ("2h30m", Some(9_000_000)),
            ("1w", Some(604_800_000)),
            ("0s", Some(0)),
            ("", None),
            ("0", None),
            ("7", None),
            ("d", None),
            ("-7d", None),
            ("7 d", None),
            ("1.5h", None),
            ("7days", None),
            ("99999999999999999w", None),
            ("99999999999999999999999s", None),
        ] {
            assert_eq!(parse_duration_ms(text), want, "{text:?}");
        }
    }

    #[test]
    fn byte_counts_are_binary_or_decimal() {
        for (text, want) in [
            ("16MiB", Some(16 << 20)),
            ("100GiB", Some(100 << 30)),
            ("1 GB", Some(1_000_000_000)),
            ("512B", Some(512)),
            ("1kB", Some(1000)),
            ("16", None),
            ("16M", None),
            ("16mib", None),
            ("MiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(parse_bytes(text), want, "{text:?}");
        }
    }

    #[test]
    fn percentages_are_whole_and_bounded() {
        for (text, want) in [
            ("95%", Some(95)),
            ("1 %", Some(1)),
            ("100%", Some(100)),
            ("0%", None),
            ("101%", None),
            ("95", None),
            ("9.5%", None),
        ] {
            assert_eq!(parse_percent(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_formatted_parses_to_the_same() {
        for ms in [1, 50, 1_500, 90_000, 86_400_000, 604_800_000, 694_861_001] {
            assert_eq!(parse_duration_ms(&format_duration_ms(ms)), Some(ms));
        }
        assert_eq!(format_duration_ms(604_800_000), "7d");
        assert_eq!(format_duration_ms(90_000), "1m30s");
        for bytes in [0, 1, 1000, 1 << 10, 3 << 20, 100 << 30, (1 << 40) + 1] {
            assert_eq!(parse_bytes(&format_bytes(bytes)), Some(bytes));
        }
        assert_eq!(format_bytes(16 << 20), "16MiB");
    }
}
