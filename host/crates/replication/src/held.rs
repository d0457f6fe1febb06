//! What is said about an origin that a node holds, and about one that it holds no more.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use weir_record::limits::{HELD_BUCKET_MS_MAX, HELD_COUNT_MAX};
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use crate::ranges::TimeRange;

/// The whole name of an origin, as text `<node>-<epoch>-<piece>-<unit>`. Ordered by unit, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginKey {
    /// The unit of all its records.
    pub unit: Unit,
    /// Its name within the unit.
    pub name: OriginName,
}

impl OriginKey {
    /// Sorts before every origin of a unit.
    pub(crate) fn first_of(unit: &Unit) -> OriginKey {
        OriginKey { unit: unit.clone(), name: OriginName { node: 0, epoch: 0, piece: 0 } }
    }
}

/// Text that is no whole name of an origin. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an origin, expected <node>-<epoch>-<piece>-<unit>")]
pub struct NotAnOriginKey;

impl FromStr for OriginKey {
    type Err = NotAnOriginKey;

    fn from_str(text: &str) -> Result<OriginKey, NotAnOriginKey> {
        OriginName::parse(text).map(|(name, unit)| OriginKey { unit, name }).ok_or(NotAnOriginKey)
    }
}

impl fmt::Display for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.unit)
    }
}

/// An origin as its holder announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The unit of all its records.
    pub unit: Unit,
    /// Its name within the unit.
    pub name: OriginName,
    /// What holds for all its records.
    pub flags: OriginFlags,
    /// How many records it has, 1 to [`HELD_COUNT_MAX`].
    pub count: u64,
    /// Time of its first record, in the unit's bucket. Milliseconds: the ids are in the file.
    pub low_ms: u64,
    /// Time of its last record.
    pub high_ms: u64,
    /// What proves its records.
    pub digest: RecordDigest,
    /// Bytes of its file, or its share of the segment it was merged into, up to [`HELD_COUNT_MAX`].
    pub bytes: u64,
}

/// An origin that cannot be announced. Does not affect state; it is a bug of whoever sealed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeldError {
    /// Its times are not in order or not in its bucket.
    #[error("records from {low_ms} to {high_ms} ms do not lie in the bucket of their unit")]
    Times {
        /// Its first record.
        low_ms: u64,
        /// Its last one.
        high_ms: u64,
    },
    /// No records or too many, or too many bytes.
    #[error("{count} records in {bytes} bytes, of which there may be 1 and 0 to {HELD_COUNT_MAX}")]
    Size {
        /// Its records.
        count: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// A bucket whose times do not fit 32 bits.
    #[error("a bucket of {0} ms, more than {HELD_BUCKET_MS_MAX}")]
    Bucket(u64),
}

impl Held {
    /// Its whole name.
    pub fn key(&self) -> OriginKey {
        OriginKey { unit: self.unit.clone(), name: self.name }
    }

    /// The times of its records.
    pub fn range(&self) -> TimeRange {
        TimeRange::new(self.low_ms, self.high_ms)
    }

    /// `Err` when it contradicts itself or is beyond what can be announced.
    pub fn check(&self) -> Result<(), HeldError> {
        let (low_ms, high_ms, bucket_ms) = (self.low_ms, self.high_ms, self.unit.bucket_ms());
        if bucket_ms > HELD_BUCKET_MS_MAX {
            return Err(HeldError::Bucket(bucket_ms));
        }
        if low_ms < self.unit.start_ms() || high_ms < low_ms || high_ms - self.unit.start_ms() >= bucket_ms {
            return Err(HeldError::Times { low_ms, high_ms });
        }
        if self.count == 0 || self.count > HELD_COUNT_MAX || self.bytes > HELD_COUNT_MAX {
            return Err(HeldError::Size { count: self.count, bytes: self.bytes });
        }
        Ok(())
    }
}

/// Why a node holds an origin no more. Compaction is no reason: the origin is still held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// So many stores as it takes have confirmed it: these, at most [`weir_record::limits::REPLICATION_MAX`].
    HandedOver(Vec<u64>),
    /// It is older than its retention rule allows.
    Expired,
    /// Its bytes are damaged. It exists, and others may hold it.
    Damaged,
    /// Enough others hold it.
    Dropped,
}
