//! The id of a record: a ULID, 48 bits of Unix milliseconds and 80 bits of entropy.
//!
//! Source: <https://github.com/ulid/spec>. The time of a record *is* the time in its id, so ids sort
//! records by time and no second time column exists.

use core::fmt;
use core::str::FromStr;

use ulid::Ulid;

/// Bits of an id below the time.
pub const ENTROPY_BITS: u32 = 80;
/// The largest entropy.
pub const ENTROPY_MAX: u128 = (1 << ENTROPY_BITS) - 1;
/// The largest time, in Unix milliseconds (year 10889).
pub const TIME_MS_MAX: u64 = (1 << 48) - 1;

/// Identity and time of a record. Ordered by time, then entropy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u128);

impl RecordId {
    /// The lowest id.
    pub const MIN: RecordId = RecordId(0);
    /// The highest id.
    pub const MAX: RecordId = RecordId(u128::MAX);

    /// An id of its 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        RecordId(bits)
    }

    /// An id of a time and entropy. Both are cut to their widths.
    pub const fn from_parts(time_ms: u64, entropy: u128) -> Self {
        RecordId(((time_ms & TIME_MS_MAX) as u128) << ENTROPY_BITS | (entropy & ENTROPY_MAX))
    }

    /// The lowest id of a millisecond; times beyond the range give [`RecordId::MAX`].
    pub const fn lowest_at(time_ms: u64) -> Self {
        if time_ms > TIME_MS_MAX { RecordId::MAX } else { RecordId::from_parts(time_ms, 0) }
    }

    /// An id of its big-endian bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        RecordId(u128::from_be_bytes(bytes))
    }

    /// Big-endian bytes: their order is the order of ids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// All 128 bits.
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// Unix milliseconds.
    pub const fn time_ms(self) -> u64 {
        (self.0 >> ENTROPY_BITS) as u64
    }

    /// The low 80 bits.
    pub const fn entropy(self) -> u128 {
        self.0 & ENTROPY_MAX
    }

    /// The id `count` after this one, or `None` past the end.
    pub const fn checked_add(self, count: u128) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(bits) => Some(RecordId(bits)),
            None => None,
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ulid::ULID_LEN];
        f.pad(Ulid(self.0).array_to_str(&mut text))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a ULID. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ULID: expected 26 characters of Crockford base32, the first 0 to 7")]
pub struct NotAnId;

impl FromStr for RecordId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        // The crate lets a first character above 7 overflow silently; the specification does not.
        if !text.as_bytes().first().is_some_and(|c| (b'0'..=b'7').contains(c)) {
            return Err(NotAnId);
        }
        Ulid::from_string(text).map(|u| RecordId(u.0)).map_err(|_| NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_bytes_round_trip_and_keep_the_order() {
        let ids = [
            RecordId::MIN,
            RecordId::from_parts(0, 1),
            RecordId::from_parts(1, 0),
            RecordId::from_parts(1_700_000_000_000, 42),
            RecordId::from_parts(TIME_MS_MAX, ENTROPY_MAX),
        ];
        for pair in ids.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].to_string() < pair[1].to_string());
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
        }
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(RecordId::from_bytes(id.to_bytes()), id);
            assert_eq!(RecordId::from_parts(id.time_ms(), id.entropy()), id);
        }
    }

    #[test]
    fn what_is_no_ulid_is_refused() {
        for text in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
            "01ARZ3NDEKTSV4RRFFQ69G5FA!",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "é1ARZ3NDEKTSV4RRFFQ69G5FA",
        ] {
            assert_eq!(text.parse::<RecordId>(), Err(NotAnId), "{text}");
        }
    }
}
