//! The time of each line, in the formats that log files know.

use super::text;

/// An hour has six million lines.
const MICROS_PER_LINE: u64 = 600;
/// 10 in the morning, so that two digits are two digits.
const FIRST_HOUR: u64 = 10;
const FIRST_DAY: u64 = 1;
/// Then the days begin again: the calendar of a corpus has one month.
const DAYS: u64 = 30;
/// Seconds from 1970 to midnight of the first day.
const FIRST_MIDNIGHT: u64 = 1_793_491_200;

/// The ways to write a time. November 2026 throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `2026-11-01T10:00:00.123Z`
    Iso,
    /// `2026-11-01T10:00:00.123456Z`
    Micros,
    /// `01/Nov/2026:10:00:00 +0000`
    Access,
    /// `2026-11-01 10:00:00,123`
    Comma,
    /// `2026-11-01 10:00:00`
    Plain,
    /// `Nov  1 10:00:00`
    Syslog,
    /// `26/11/01 10:00:00`
    Slashes,
    /// `261101 100000`
    Digits,
    /// `1793527200.123456`
    Epoch,
    /// `10:00:00.123`
    Hour,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "iso" => Self::Iso,
            "micros" => Self::Micros,
            "access" => Self::Access,
            "comma" => Self::Comma,
            "plain" => Self::Plain,
            "syslog" => Self::Syslog,
            "slashes" => Self::Slashes,
            "digits" => Self::Digits,
            "epoch" => Self::Epoch,
            "hour" => Self::Hour,
            _ => return None,
        })
    }
}

/// The time of one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    micros: u32,
    /// Since 1970.
    seconds: u64,
    day: [u8; 2],
    /// `hhmmss`.
    time: [u8; 6],
}

impl Clock {
    /// The time of the line with this number, from 0.
    pub(super) fn of_line(number: u64) -> Self {
        let micros = number * MICROS_PER_LINE;
        let seconds = FIRST_HOUR * 3600 + micros / 1_000_000;
        let (days, second) = (seconds / 86_400 % DAYS, seconds % 86_400);
        let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60].map(two_digits);
        Self {
            micros: (micros % 1_000_000) as u32,
            seconds: FIRST_MIDNIGHT + seconds,
            day: two_digits(FIRST_DAY + days),
            time: [hour[0], hour[1], minute[0], minute[1], second[0], second[1]],
        }
    }

    pub(super) fn write(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Iso => {
                self.write_date(out, b"2026-11-", b'T');
                self.write_time(out);
                out.push(b'.');
                text::padded(out, u64::from(self.micros / 1000), 3);
                out.push(b'Z');
            }
            Format::Micros => {
                self.write_date(out, b"2026-11-", b'T');
                self.write_time(out);
                out.push(b'.');
                text::padded(out, u64::from(self.micros), 6);
                out.push(b'Z');
            }
            Format::Access => {
                out.extend_from_slice(&self.day);
                out.extend_from_slice(b"/Nov/2026:");
                self.write_time(out);
                out.extend_from_slice(b" +0000");
            }
            Format::Comma => {
                self.write_date(out, b"2026-11-", b' ');
                self.write_time(out);
                out.push(b',');
                text::padded(out, u64::from(self.micros / 1000), 3);
            }
            Format::Plain => {
                self.write_date(out, b"2026-11-", b' ');
                self.write_time(out);
            }
            Format::Syslog => {
                let [ten, one] = self.day;
                out.extend_from_slice(b"Nov ");
                out.extend_from_slice(&[if ten == b'0' { b' ' } else { ten }, one, b' ']);
                self.write_time(out);
            }
            Format::Slashes => {
                self.write_date(out, b"26/11/", b' ');
                self.write_time(out);
            }
            Format::Digits => {
                self.write_date(out, b"2611", b' ');
                out.extend_from_slice(&self.time);
            }
            Format::Epoch => {
                text::padded(out, self.seconds, 10);
                out.push(b'.');
                text::padded(out, u64::from(self.micros), 6);
            }
            Format::Hour => {
                self.write_time(out);
                out.push(b'.');
                text::padded(out, u64::from(self.micros / 1000), 3);
            }
        }
    }

    fn write_date(&self, out: &mut Vec<u8>, month: &[u8], end: u8) {
        out.extend_from_slice(month);
        out.extend_from_slice(&[self.day[0], self.day[1], end]);
    }

    fn write_time(&self, out: &mut Vec<u8>) {
        let [h, hh, m, mm, s, ss] = self.time;
        out.extend_from_slice(&[h, hh, b':', m, mm, b':', s, ss]);
    }
}

fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_in_every_format() {
        // The second is one day, one hour, one minute and 4.2 seconds later.
        let lines = [0, (90_063 * 1_000_000 + 1_200_000) / MICROS_PER_LINE];
        for (format, first, second) in [
            ("iso", "2026-11-01T10:00:00.000Z", "2026-11-02T11:01:04.200Z"),
            ("micros", "2026-11-01T10:00:00.000000Z", "2026-11-02T11:01:04.200000Z"),
            ("access", "01/Nov/2026:10:00:00 +0000", "02/Nov/2026:11:01:04 +0000"),
            ("comma", "2026-11-01 10:00:00,000", "2026-11-02 11:01:04,200"),
            ("plain", "2026-11-01 10:00:00", "2026-11-02 11:01:04"),
            ("syslog", "Nov  1 10:00:00", "Nov  2 11:01:04"),
            ("slashes", "26/11/01 10:00:00", "26/11/02 11:01:04"),
            ("digits", "261101 100000", "261102 110104"),
            ("epoch", "1793527200.000000", "1793617264.200000"),
            ("hour", "10:00:00.000", "11:01:04.200"),
        ] {
            for (line, expected) in lines.into_iter().zip([first, second]) {
                let mut out = Vec::new();
                Clock::of_line(line).write(Format::named(format).unwrap(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
            }
        }
    }
}
