//! Times as logs write them, and durations.
//!
//! ```
//! use weir_plugin_sdk::time;
//!
//! let at = time::parse(b"2026-01-01T00:00:00.5+01:00").unwrap();
//! assert_eq!(time::text(at), "2025-12-31T23:00:00.5Z");
//! assert_eq!(time::seconds(b"1m30s"), Some(90.0));
//! ```

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Unix nanoseconds of a time: `2026-01-01T00:00:00Z` with or without a fraction, `+hh:mm` in place of the `Z`, a space
/// or `_` in place of the `T`, without a zone in UTC, or the date alone; or the seconds, milliseconds, microseconds or
/// nanoseconds since 1970 as 10, 13, 16 or 19 digits. `None` for all else and for times before 1970.
pub fn parse(text: &[u8]) -> Option<u64> {
    let mut text = Text(text);
    let all = text.0;
    if all.iter().all(u8::is_ascii_digit) {
        let unit = [(10, SECOND), (13, 1_000_000), (16, 1_000), (19, 1)];
        let (_, unit) = unit.into_iter().find(|(digits, _)| *digits == all.len())?;
        return std::str::from_utf8(all).ok()?.parse::<u64>().ok()?.checked_mul(unit);
    }
    let (year, month, day) =
        (text.number(4)?, text.sign(b"-").and(text.number(2))?, text.sign(b"-").and(text.number(2))?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut seconds = days(year, month, day) * DAY;
    let mut fraction = 0;
    if !text.0.is_empty() {
        text.sign(b"T t_")?;
        let (hours, minutes) = (text.number(2)?, text.sign(b":").and(text.number(2))?);
        // A leap second counts as the one after it.
        let last = if text.sign(b":").is_some() { text.number(2)? } else { 0 };
        if hours > 23 || minutes > 59 || last > 60 {
            return None;
        }
        seconds += hours * 3600 + minutes * 60 + last;
        if text.sign(b".,").is_some() {
            fraction = text.fraction()?;
        }
        seconds -= text.zone()?;
    }
    u64::try_from(seconds).ok()?.checked_mul(SECOND)?.checked_add(fraction)
}

/// A time in UTC, with as many digits of a fraction as it takes.
pub fn text(unix_ns: u64) -> String {
    let (seconds, ns) = ((unix_ns / SECOND) as i64, unix_ns % SECOND);
    let (year, month, day) = date(seconds / DAY);
    let (hours, minutes, last) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{last:02}");
    if ns > 0 {
        text.push_str(format!(".{ns:09}").trim_end_matches('0'));
    }
    text + "Z"
}

/// The seconds of a duration: `250ms`, `1.5s`, `1m30s`, with the units `ns us µs ms s m h d`. `None` without a unit.
pub fn seconds(text: &[u8]) -> Option<f64> {
    let mut text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    let mut sum = 0.0;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(unit_at);
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let number: f64 = number.parse().ok()?;
        // Divided, not multiplied by a fraction: 28ms is the number that 0.028 is.
        sum += match unit {
            "ns" => number / 1e9,
            "us" | "µs" | "μs" => number / 1e6,
            "ms" => number / 1e3,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            "d" => number * 86_400.0,
            _ => return None,
        };
        text = rest;
    }
    Some(sum)
}

/// What is left of a time.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let digit =
            |value: i64, byte: &u8| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'));
        number.iter().try_fold(0, digit)
    }

    fn sign(&mut self, one_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| one_of.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// Nanoseconds; digits beyond are cut.
    fn fraction(&mut self) -> Option<u64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let ns = (0..9).fold(0, |ns, at| ns * 10 + digits.get(at).map_or(0, |digit| u64::from(digit - b'0')));
        (count > 0).then_some(ns)
    }

    /// Seconds east of UTC of what is left.
    fn zone(&mut self) -> Option<i64> {
        self.sign(b" ");
        if self.0.is_empty() || matches!(self.0, b"Z" | b"z" | b"UTC") {
            return Some(0);
        }
        let sign = self.sign(b"+-")?;
        let hours = self.number(2)?;
        self.sign(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.number(2)? };
        let east = hours * 3600 + minutes * 60;
        (self.0.is_empty() && hours < 24 && minutes < 60).then_some(if sign == b'-' { -east } else { east })
    }
}

/// Days since 1970-01-01. Years begin in March here, so that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The date of a day since 1970-01-01: the inverse of [`days`].
fn date(day: i64) -> (i64, i64, i64) {
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let mut month = 1 + (day - days(year, 1, 1)) / 31;
    while month < 12 && days(year, month + 1, 1) <= day {
        month += 1;
    }
    (year, month, day - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_of_logs() {
        for (written, shown) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("2026-11-01 10:00:00.004200", "2026-11-01T10:00:00.0042Z"),
            ("2026-11-01T10:00:00,5+0130", "2026-11-01T08:30:00.5Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2023-12-31T23:00-01:00", "2024-01-01T00:00:00Z"),
            ("1767225600", "2026-01-01T00:00:00Z"),
            ("1767225600123", "2026-01-01T00:00:00.123Z"),
            ("1767225600000000001", "2026-01-01T00:00:00.000000001Z"),
        ] {
            assert_eq!(parse(written.as_bytes()).map(text).as_deref(), Some(shown), "{written}");
        }
        for wrong in [
            "",
            "5",
            "2026",
            "2026-13-01",
            "2026-01-01T",
            "2026-01-01T24:00:00Z",
            "2026-01-01x",
            "1969-01-01",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1",
            "20é6-01-01",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_is_its_own_date() {
        for day in 0..200_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
            assert!((1..=12).contains(&month) && (1..=31).contains(&of_month), "{day}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (written, expected) in [
            ("28ms", 0.028),
            ("1.5s", 1.5),
            ("1m30s", 90.0),
            ("250µs", 0.000_25),
            ("2h", 7200.0),
            ("1d", 86_400.0),
        ] {
            assert_eq!(seconds(written.as_bytes()), Some(expected), "{written}");
        }
        for wrong in ["", "5", "s", "5x", "1.2.3s", "-1s", "1s5"] {
            assert_eq!(seconds(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
