//! The checksum of the ingest log.

use std::fmt;

/// A running checksum over 32 bits: `(sum so far, more bytes) -> sum`.
///
/// Always [`Checksum::CRC32C`] but in the tests that prove that the tests would notice.
#[derive(Clone, Copy)]
pub struct Checksum(fn(u32, &[u8]) -> u32);

impl Checksum {
    /// CRC-32C (Castagnoli), which processors compute by themselves.
    pub const CRC32C: Checksum = Checksum(crc32c::crc32c_append);

    /// Another function.
    pub const fn of(function: fn(u32, &[u8]) -> u32) -> Checksum {
        Checksum(function)
    }

    pub(crate) fn append(self, sum: u32, bytes: &[u8]) -> u32 {
        self.0(sum, bytes)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checksum")
    }
}
