//! The name of a segment's file: what a store learns without opening it.

use core::fmt;
use core::str::FromStr;

use weir_record::RecordId;

use crate::unit::Unit;

/// `<unit>-<low id>-<high id>-<digest>.zst`.
///
/// The digest is the first 8 bytes, in hex, of the SHA-256 of the footer frame, which in turn has the sums
/// of everything before it: the same records cut into other blocks have another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentName {
    /// The unit of all records.
    pub unit: Unit,
    /// The lowest id.
    pub low: RecordId,
    /// The highest id.
    pub high: RecordId,
    /// See above.
    pub digest: u64,
}

/// A file name of another form. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a segment, expected <unit>-<low id>-<high id>-<16 hex digits>.zst")]
pub struct NotASegmentName;

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{:016x}.zst", self.unit, self.low, self.high, self.digest)
    }
}

impl FromStr for SegmentName {
    type Err = NotASegmentName;

    fn from_str(text: &str) -> Result<SegmentName, NotASegmentName> {
        let parts = || {
            // From the right: a retention class may hold dashes.
            let mut fields = text.strip_suffix(".zst")?.rsplitn(4, '-');
            let digest = u64::from_str_radix(fields.next()?, 16).ok()?;
            let high = fields.next()?.parse().ok()?;
            let low = fields.next()?.parse().ok()?;
            Some(SegmentName { unit: fields.next()?.parse().ok()?, low, high, digest })
        };
        parts().filter(|name| alloc::format!("{name}") == text).ok_or(NotASegmentName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_name_round_trips_and_has_one_form() {
        let unit = Unit::new(3_600_000, 3_600_000, "keep-7d", 0, 1).unwrap();
        let (low, high) = (RecordId::lowest_at(3_600_000), RecordId::lowest_at(3_600_001));
        let name = SegmentName { unit, low, high, digest: 0xabc };
        let text = name.to_string();
        assert!(
            text.starts_with("3600000.3600000.keep-7d.p0of1-") && text.ends_with("-0000000000000abc.zst")
        );
        assert_eq!(text.parse(), Ok(name));
        for other in
            [text.to_uppercase(), text.replace(".zst", ""), text.replace("abc", "ABC"), "a.zst".into()]
        {
            assert_eq!(other.parse::<SegmentName>(), Err(NotASegmentName), "{other}");
        }
    }
}
