//! Formats of times, each a row of fields and texts.

use crate::time::civil::{Civil, year_of};

/// A year without which a date is of the last twelve months may be ahead so far.
const AHEAD_NS: u64 = 24 * 3600 * 1_000_000_000;
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// What `auto` tries at each place, the longest first.
const COMMON: [&str; 12] = [
    "%Y-%m-%dT%H:%M:%S%f%z",
    "%Y-%m-%d %H:%M:%S%f%z",
    "%Y-%m-%d %H:%M:%S%f %z",
    "%Y-%m-%dT%H:%M:%S%f",
    "%Y-%m-%d %H:%M:%S%f",
    "%Y/%m/%d %H:%M:%S%f",
    "%Y%m%dT%H%M%S%f%z",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d %b %Y %H:%M:%S %z",
    "%b %e %H:%M:%S %Y",
    "%b %e %H:%M:%S%f",
    "%L%m%d %H:%M:%S%f",
];

/// Names for formats.
const NAMED: [(&str, &[&str]); 5] = [
    ("rfc3339", &["%Y-%m-%dT%H:%M:%S%f%z", "%Y-%m-%d %H:%M:%S%f%z"]),
    ("syslog", &["%b %e %H:%M:%S%f"]),
    ("clf", &["%d/%b/%Y:%H:%M:%S %z"]),
    ("klog", &["%L%m%d %H:%M:%S%f"]),
    ("unix", &["%s"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Text(u8),
    /// A number of so many digits.
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    /// With a blank in place of its first digit.
    DayPadded,
    Hour,
    Minute,
    Second,
    /// `.` or `,` and digits, or nothing.
    Fraction,
    Zone,
    /// Seconds, milli-, micro- or nanoseconds since 1970, told by their size; seconds with a fraction.
    Unix,
    /// A letter of severity.
    Level,
}

/// A format of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(Vec<Item>);

impl Format {
    /// The formats of a name, or one that is written out.
    pub(super) fn named(name: &str) -> Result<Vec<Format>, String> {
        if name == "auto" {
            let mut all: Vec<Format> =
                COMMON.iter().map(|format| Format::new(format)).collect::<Result<_, _>>()?;
            all.push(Format::new("%s")?);
            return Ok(all);
        }
        match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, formats)) => formats.iter().map(|format| Format::new(format)).collect(),
            None => Ok(vec![Format::new(name)?]),
        }
    }

    fn new(text: &str) -> Result<Format, String> {
        let mut items = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                items.push(Item::Text(byte));
                continue;
            }
            items.push(match bytes.next() {
                Some(b'Y') => Item::Year,
                Some(b'y') => Item::YearOfCentury,
                Some(b'm') => Item::Month,
                Some(b'b') => Item::MonthName,
                Some(b'd') => Item::Day,
                Some(b'e') => Item::DayPadded,
                Some(b'H') => Item::Hour,
                Some(b'M') => Item::Minute,
                Some(b'S') => Item::Second,
                Some(b'f') => Item::Fraction,
                Some(b'z') => Item::Zone,
                Some(b's') => Item::Unix,
                Some(b'L') => Item::Level,
                Some(b'%') => Item::Text(b'%'),
                other => {
                    let field = other.map_or(String::new(), |byte| char::from(byte).to_string());
                    return Err(format!("%{field} is unknown; there are Y y m b d e H M S f z s and %"));
                }
            });
        }
        let has = |item| items.contains(&item);
        let day = has(Item::Day) || has(Item::DayPadded);
        let month = has(Item::Month) || has(Item::MonthName);
        if !items.iter().any(|item| !matches!(item, Item::Text(_))) {
            let names = NAMED.map(|(name, _)| name).join(", ");
            return Err(format!("no format: write auto, {names}, or fields such as %Y-%m-%d %H:%M:%S"));
        }
        let whole = day && month && has(Item::Hour);
        if !has(Item::Unix) && !whole {
            return Err("it has no day, month and hour".into());
        }
        Ok(Format(items))
    }

    /// The time at the start of `text`, which stands behind the byte `before`, Unix nanoseconds.
    pub(super) fn read(&self, text: &[u8], before: u8, zone_seconds: i64, now_unix_ns: u64) -> Option<u64> {
        let mut at = Scan { rest: text };
        let mut civil = Civil { day: 1, month: 1, ..Civil::default() };
        let (mut year, mut zone) = (None, zone_seconds);
        for item in &self.0 {
            match item {
                Item::Text(byte) => at.byte(*byte)?,
                Item::Year => year = Some(at.digits(4)?),
                Item::YearOfCentury => year = Some(2000 + at.digits(2)?),
                Item::Month => civil.month = at.digits(2)?,
                Item::MonthName => civil.month = at.month()?,
                Item::Day => civil.day = at.digits(2)?,
                Item::DayPadded => civil.day = at.padded()?,
                Item::Hour => civil.hour = at.digits(2)?,
                Item::Minute => civil.minute = at.digits(2)?,
                Item::Second => civil.second = at.digits(2)?,
                Item::Fraction => civil.nanos = at.fraction(),
                Item::Zone => zone = at.zone()?,
                Item::Unix => return at.unix(before),
                Item::Level => at.level()?,
            }
        }
        // A longer number or word is something else.
        if at.rest.first().is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        match year {
            Some(year) => Civil { year, ..civil }.unix_ns(zone),
            None => latest(civil, zone, now_unix_ns),
        }
    }
}

/// A date without a year is the latest one that is not ahead by more than a day.
fn latest(civil: Civil, zone_seconds: i64, now_unix_ns: u64) -> Option<u64> {
    let next = year_of(now_unix_ns) + 1;
    let of_year = |year| Civil { year, ..civil }.unix_ns(zone_seconds);
    let years = (0..9).map(|back| next - back);
    years.filter_map(of_year).find(|time| *time <= now_unix_ns.saturating_add(AHEAD_NS))
}

/// A time in the form of RFC 3339, and nothing behind it; Unix nanoseconds.
pub(crate) fn rfc3339(text: &[u8]) -> Option<u64> {
    let mut at = Scan { rest: text };
    let mut civil = Civil { year: at.digits(4)?, ..Civil::default() };
    at.byte(b'-')?;
    civil.month = at.digits(2)?;
    at.byte(b'-')?;
    civil.day = at.digits(2)?;
    at.byte(b'T')?;
    civil.hour = at.digits(2)?;
    at.byte(b':')?;
    civil.minute = at.digits(2)?;
    at.byte(b':')?;
    civil.second = at.digits(2)?;
    civil.nanos = at.fraction();
    let zone = at.zone()?;
    at.rest.is_empty().then(|| civil.unix_ns(zone)).flatten()
}

/// Seconds east of Greenwich.
pub(super) fn zone_of(text: &str) -> Option<i64> {
    let mut at = Scan { rest: text.as_bytes() };
    let zone = at.zone()?;
    at.rest.is_empty().then_some(zone)
}

/// What is left of a line.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.rest.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        self.rest = &self.rest[count..];
        digits
            .iter()
            .try_fold(0i64, |number, digit| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
    }

    fn padded(&mut self) -> Option<i64> {
        match self.byte(b' ') {
            Some(()) => self.digits(1),
            None => self.digits(2).or_else(|| self.digits(1)),
        }
    }

    fn month(&mut self) -> Option<i64> {
        let name = self.rest.get(..3)?;
        let index = MONTHS.chunks(3).position(|month| month == name)?;
        self.rest = &self.rest[3..];
        Some(index as i64 + 1)
    }

    fn level(&mut self) -> Option<()> {
        matches!(self.rest.first()?, b'I' | b'W' | b'E' | b'F').then(|| self.rest = &self.rest[1..])
    }

    /// Nanoseconds.
    fn fraction(&mut self) -> i64 {
        let [b'.' | b',', rest @ ..] = self.rest else { return 0 };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return 0;
        }
        let (fraction, rest) = rest.split_at(digits);
        self.rest = rest;
        let nine = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        nine.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    }

    /// `Z`, `GMT`, `UTC`, `+02:00`, `+0200` or `+02`.
    fn zone(&mut self) -> Option<i64> {
        for name in [&b"Z"[..], b"GMT", b"UTC"] {
            if let Some(rest) = self.rest.strip_prefix(name) {
                self.rest = rest;
                return Some(0);
            }
        }
        let sign = match self.rest.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hours = self.digits(2)?;
        let minutes = match self.byte(b':') {
            Some(()) => self.digits(2)?,
            None => self.digits(2).unwrap_or(0),
        };
        (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }

    fn unix(&mut self, before: u8) -> Option<u64> {
        // The end of a decimal fraction is no moment.
        if before == b'.' {
            return None;
        }
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let unit_ns: u64 = match count {
            10 => 1_000_000_000,
            13 => 1_000_000,
            16 => 1_000,
            19 => 1,
            _ => return None,
        };
        let number = self.digits(count)?;
        let nanos = if count == 10 { self.fraction() } else { 0 };
        let glued = self.rest.first().is_some_and(u8::is_ascii_alphanumeric);
        (!glued).then_some((number as u64).checked_mul(unit_ns)?.checked_add(nanos as u64)?)
    }
}
