//! RFC3339, read by hand: the shape is fixed and small, and this crate has no clock library.

/// Days before each month of a common year.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Unix milliseconds; `None` when the text does not even begin like a date, `Err` when it does and is wrong.
pub(super) fn parse(text: &str) -> Option<Result<i64, &'static str>> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let year = cursor.number(4)?;
    cursor.sign(b'-')?;
    let month = cursor.number(2)?;
    cursor.sign(b'-')?;
    let day = cursor.number(2)?;
    Some(date_time(&mut cursor, year, month, day))
}

fn date_time(cursor: &mut Cursor<'_>, year: i64, month: i64, day: i64) -> Result<i64, &'static str> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err("months go from 01 to 12"),
    };
    if !(1..=days_in_month).contains(&day) {
        return Err("the month has no such day");
    }
    if cursor.rest.is_empty() {
        return Err("the date lacks its time and zone");
    }
    let ms = time_of_day(cursor).ok_or("after the date comes the time as T04:05:06")??;
    let offset_minutes =
        offset(cursor).ok_or("after the time comes the zone: Z, or an offset like +02:00")?;
    if offset_minutes.abs() >= 24 * 60 {
        return Err("the offset of the zone is a day or more");
    }
    // Days since 1970: whole years, their leap days, whole months, days.
    let years_before = year - 1;
    let leap_days = years_before / 4 - years_before / 100 + years_before / 400;
    let days = years_before * 365
        + leap_days
        + DAYS_BEFORE[(month - 1) as usize]
        + i64::from(leap && month > 2)
        + (day - 1)
        - 719_162;
    Ok(days * 86_400_000 + ms - offset_minutes * 60_000)
}

/// Milliseconds since midnight.
fn time_of_day(cursor: &mut Cursor<'_>) -> Option<Result<i64, &'static str>> {
    if !matches!(cursor.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let hour = cursor.number(2)?;
    cursor.sign(b':')?;
    let minute = cursor.number(2)?;
    cursor.sign(b':')?;
    let second = cursor.number(2)?;
    let mut ms = 0;
    if cursor.sign(b'.').is_some() {
        let mut weight = 100;
        let mut digit = cursor.number(1)?;
        loop {
            ms += digit * weight;
            weight /= 10;
            match cursor.number(1) {
                Some(next) => digit = next,
                None => break,
            }
        }
    }
    // Second 60 is a leap second: the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return Some(Err("there is no such time of day"));
    }
    Some(Ok(((hour * 60 + minute) * 60 + second) * 1000 + ms))
}

/// Minutes east of UTC; the text ends with it.
fn offset(cursor: &mut Cursor<'_>) -> Option<i64> {
    let minutes = match cursor.next()? {
        b'Z' | b'z' => 0,
        sign @ (b'+' | b'-') => {
            let hours = cursor.number(2)?;
            cursor.sign(b':')?;
            let minutes = cursor.number(2)?;
            (hours * 60 + minutes) * if sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    cursor.rest.is_empty().then_some(minutes)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[sign])?;
        Some(())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        let value = number
            .iter()
            .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
        self.rest = rest;
        Some(value)
    }
}
