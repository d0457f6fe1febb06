//! The unit: what records are placed, compacted, repaired and expired by. A segment never crosses one.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::id::TIME_MS_MAX;
use weir_record::limits::{NAME_BYTES_MAX, UNIT_PARTITIONS_MAX};

/// Time bucket, retention class and partition.
///
/// As text `<start ms>.<length ms>.<class>.<p or k><partition>of<partitions>`, for example
/// `1700000000000.3600000.default.p0of1`; `k` stands for the partitions of keyed records, which are apart
/// from all others so that equal keys meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    start_ms: u64,
    bucket_ms: u64,
    class: String,
    keyed: bool,
    partition: u16,
    partitions: u16,
}

/// Parts that make no unit. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// An empty bucket, one that does not start at a multiple of its length, or one past the end of time.
    #[error("a bucket of {bucket_ms} ms cannot start at {start_ms} ms")]
    Bucket {
        /// Where it would start, in Unix milliseconds.
        start_ms: u64,
        /// How long it would be.
        bucket_ms: u64,
    },
    /// Not `[A-Za-z0-9_-]`, empty or longer than [`NAME_BYTES_MAX`].
    #[error("retention class {0:?} is not 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ -")]
    Class(String),
    /// Partitions come in powers of two up to [`UNIT_PARTITIONS_MAX`] and count from 0.
    #[error("there is no partition {partition} of {partitions}")]
    Partition {
        /// Which one.
        partition: u16,
        /// Of how many.
        partitions: u16,
    },
    /// Text of another form.
    #[error("{0:?} is not a unit, expected <start ms>.<length ms>.<class>.<p or k><partition>of<partitions>")]
    Text(String),
}

impl Unit {
    /// A unit of plain records.
    pub fn new(
        start_ms: u64,
        bucket_ms: u64,
        class: &str,
        partition: u16,
        partitions: u16,
    ) -> Result<Unit, UnitError> {
        let end = start_ms.checked_add(bucket_ms).filter(|&end| end <= TIME_MS_MAX + 1);
        if bucket_ms == 0 || end.is_none() || !start_ms.is_multiple_of(bucket_ms) {
            return Err(UnitError::Bucket { start_ms, bucket_ms });
        }
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if class.is_empty() || class.len() > NAME_BYTES_MAX || !class.bytes().all(fits) {
            return Err(UnitError::Class(class.chars().take(80).collect()));
        }
        if partition >= partitions || !partitions.is_power_of_two() || partitions > UNIT_PARTITIONS_MAX {
            return Err(UnitError::Partition { partition, partitions });
        }
        Ok(Unit { start_ms, bucket_ms, class: class.to_owned(), keyed: false, partition, partitions })
    }

    /// The same unit among those of keyed records.
    #[must_use]
    pub fn keyed(mut self) -> Unit {
        self.keyed = true;
        self
    }

    /// First millisecond of the bucket, Unix time.
    pub fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Length of the bucket.
    pub fn bucket_ms(&self) -> u64 {
        self.bucket_ms
    }

    /// Name of the retention rule.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Whether its ids are made from keys.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Which partition, and of how many.
    pub fn partition(&self) -> (u16, u16) {
        (self.partition, self.partitions)
    }

    /// Whether a record of this id falls into the bucket.
    pub fn holds(&self, id: RecordId) -> bool {
        id.time_ms().checked_sub(self.start_ms).is_some_and(|since| since < self.bucket_ms)
    }

    /// Appends: v start, v length, v class length, class, u8 keyed (0 or 1), v partition, v partitions.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.start_ms);
        put_varint(out, self.bucket_ms);
        put_varint(out, self.class.len() as u64);
        out.extend_from_slice(self.class.as_bytes());
        out.push(u8::from(self.keyed));
        put_varint(out, u64::from(self.partition));
        put_varint(out, u64::from(self.partitions));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Unit>, CodecError> {
        let start_ms = reader.varint("bucket start")?;
        let bucket_ms = reader.varint("bucket length")?;
        let class = reader.prefixed("retention class", NAME_BYTES_MAX)?;
        let [keyed] = reader.array("kind of partition")?;
        let partition = reader.bounded("partition", usize::from(UNIT_PARTITIONS_MAX))? as u16;
        let partitions = reader.bounded("partitions", usize::from(UNIT_PARTITIONS_MAX))? as u16;
        let unit = core::str::from_utf8(class)
            .ok()
            .and_then(|class| Unit::new(start_ms, bucket_ms, class, partition, partitions).ok());
        Ok(match keyed {
            0 => unit,
            1 => unit.map(Unit::keyed),
            _ => None,
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.keyed { 'k' } else { 'p' };
        let Unit { start_ms, bucket_ms, class, partition, partitions, .. } = self;
        write!(f, "{start_ms}.{bucket_ms}.{class}.{kind}{partition}of{partitions}")
    }
}

impl FromStr for Unit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Unit, UnitError> {
        let parts = || {
            let mut fields = text.split('.');
            let (start, length, class, place) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let keyed = place.starts_with('k');
            let (partition, partitions) = place.strip_prefix(['p', 'k'])?.split_once("of")?;
            let numbers = (start.parse().ok()?, length.parse().ok()?);
            let unit =
                Unit::new(numbers.0, numbers.1, class, partition.parse().ok()?, partitions.parse().ok()?);
            Some(unit.map(|unit| if keyed { unit.keyed() } else { unit }))
        };
        let unit = parts().ok_or_else(|| UnitError::Text(text.chars().take(200).collect()))??;
        // Signs, leading zeros and further fields would give one unit two names.
        let canonical = alloc::format!("{unit}") == text;
        if canonical { Ok(unit) } else { Err(UnitError::Text(text.chars().take(200).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn text_and_bytes_round_trip() {
        let plain = Unit::new(7_200_000, 3_600_000, "keep-long_1", 3, 16).unwrap();
        for unit in [plain.clone(), plain.keyed(), Unit::new(0, 1, "d", 0, 1).unwrap()] {
            assert_eq!(unit.to_string().parse(), Ok(unit.clone()));
            let mut bytes = Vec::new();
            unit.encode(&mut bytes);
            assert_eq!(Unit::read(&mut Reader::new(&bytes)), Ok(Some(unit.clone())));
            assert!(unit.holds(RecordId::lowest_at(unit.start_ms())));
            assert!(!unit.holds(RecordId::lowest_at(unit.start_ms() + unit.bucket_ms())));
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for (start, length, class, partition, partitions) in [
            (1, 2, "d", 0, 1),
            (0, 0, "d", 0, 1),
            (u64::MAX, 1, "d", 0, 1),
            (0, 1, "", 0, 1),
            (0, 1, "a.b", 0, 1),
            (0, 1, "d", 1, 1),
            (0, 1, "d", 0, 3),
            (0, 1, "d", 0, 128),
        ] {
            assert!(Unit::new(start, length, class, partition, partitions).is_err(), "{start} {class}");
        }
        for text in
            ["", "0.1.d", "00.1.d.p0of1", "+0.1.d.p0of1", "0.1.d.x0of1", "0.1.d.p0of1.", "0.1.d.p0of1.x"]
        {
            assert!(text.parse::<Unit>().is_err(), "{text}");
        }
    }
}
