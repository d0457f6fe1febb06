//! The first 64 bytes of a piece.

use crate::ingest_log::checksum::Checksum;

/// Length of the header.
pub(crate) const HEADER_BYTES: usize = 64;
/// The first byte is no text, so that tools take the file as binary.
const MAGIC: [u8; 8] = *b"\x8eweirlog";
/// The version that is written. Others are not read.
pub(crate) const VERSION: u32 = 1;

/// Header of a piece. Integers are little-endian; in order:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | magic: `8e` and `weirlog` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | node that wrote it |
/// | 24 | 8 | epoch: drawn at each start of the process |
/// | 32 | 8 | number of the piece: counts up over all epochs |
/// | 40 | 20 | zero |
/// | 60 | 4 | CRC-32C of the bytes before |
///
/// Magic, version and checksum stay where they are in every version to come.
/// It never changes after it was written, and says nothing about the content: a piece is identified even
/// if its tail is torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) node: u64,
    pub(crate) epoch: u64,
    pub(crate) number: u64,
}

/// Why a header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("not a piece of an ingest log")]
    Magic,
    #[error("a piece of version {0}, this program reads version {VERSION}")]
    Version(u32),
    #[error("damaged header: checksum {expected:08x} expected, {got:08x} found")]
    Checksum { expected: u32, got: u32 },
}

impl Header {
    pub(crate) fn encode(&self, checksum: Checksum) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.node.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        let sum = checksum.append(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], checksum: Checksum) -> Result<Header, HeaderError> {
        if bytes[..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        // The checksum comes first: a torn header must not be taken for one of another version.
        let (expected, got) = (u32_at(bytes, 60), checksum.append(0, &bytes[..60]));
        if expected != got {
            return Err(HeaderError::Checksum { expected, got });
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Header { node: u64_at(bytes, 16), epoch: u64_at(bytes, 24), number: u64_at(bytes, 32) })
    }
}

/// # Panics
/// When the bytes end before; callers pass arrays of known length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

/// # Panics
/// As [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { node: 1, epoch: 2, number: 3 };

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let bytes = HEADER.encode(Checksum::CRC32C);
        assert_eq!(&bytes[..12], b"\x8eweirlog\x01\0\0\0");
        assert_eq!((bytes[16], bytes[24], bytes[32]), (1, 2, 3));
        assert_eq!(Header::decode(&bytes, Checksum::CRC32C), Ok(HEADER));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = HEADER.encode(Checksum::CRC32C);
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&changed, Checksum::CRC32C).is_err(), "{bit}");
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut later = HEADER.encode(Checksum::CRC32C);
        later[8] = 2;
        assert!(matches!(Header::decode(&later, Checksum::CRC32C), Err(HeaderError::Checksum { .. })));
        let sum = crc32c::crc32c(&later[..60]);
        later[60..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Header::decode(&later, Checksum::CRC32C), Err(HeaderError::Version(2)));
    }
}
