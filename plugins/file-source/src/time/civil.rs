//! Days and dates of the Gregorian calendar.

/// A date and time of day as a line has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) nanos: i64,
}

impl Civil {
    /// Unix nanoseconds; `None` for what no clock shows.
    pub(super) fn unix_ns(self, zone_seconds: i64) -> Option<u64> {
        let Civil { year, month, day, hour, minute, second, nanos } = self;
        // 60: a leap second is the first of the next minute.
        let clock = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
        if !clock || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
            return None;
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds;
        u64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
    }
}

/// The year of a moment.
pub(super) fn year_of(unix_ns: u64) -> i64 {
    let day = (unix_ns / 86_400_000_000_000) as i64;
    // A guess that is at most one year off, since a year has 365.2425 days.
    let guess = 1970 + day * 10_000 / 3_652_425;
    [guess + 1, guess, guess - 1].into_iter().find(|year| days(*year, 1, 1) <= day).unwrap_or(guess)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    // 719,162 days from the first of January of the year 1.
    before * 365 + leap_days + months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_as_the_calendar_does() {
        for (year, month, day, expected) in [
            (1970, 1, 1, 0),
            (1970, 12, 31, 364),
            (2000, 2, 29, 11_016),
            (2026, 1, 2, 20_455),
            (2100, 3, 1, 47_541),
        ] {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
        for (days, year) in
            [(0, 1970), (364, 1970), (365, 1971), (11_016, 2000), (20_453, 2025), (20_454, 2026)]
        {
            assert_eq!(year_of(days * 86_400_000_000_000), year);
        }
        let leap = Civil { year: 2023, month: 2, day: 29, ..Civil::default() };
        assert_eq!(leap.unix_ns(0), None);
    }
}
