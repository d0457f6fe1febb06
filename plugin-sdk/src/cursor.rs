//! Positions as bytes: a version first, because the next release of a plugin will be opened with the
//! cursor of this one; then what the plugin likes. Numbers are little-endian, or LEB128 where small ones
//! are common.
//!
//! ```
//! use weir_plugin_sdk::cursor::{Reader, Writer};
//!
//! let bytes = Writer::new(1).varint(42).bytes(b"id").finish();
//! let (version, mut at) = Reader::open(&bytes, 1)?;
//! assert_eq!((version, at.varint()?, at.bytes()?), (1, 42, &b"id"[..]));
//! at.end()?;
//! # Ok::<(), weir_plugin_sdk::cursor::CursorError>(())
//! ```

use crate::failure::Failure;

/// A cursor that cannot be read. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The plugin was set back to an older release.
    #[error("the stored position has version {found}, this release of the plugin reads up to {known}")]
    Newer {
        /// Version in the cursor.
        found: u8,
        /// Newest version that the plugin knows.
        known: u8,
    },
    /// It ends too early, goes on too long, or holds a value that cannot be.
    #[error("the stored position is damaged at byte {0}")]
    Damaged(usize),
}

impl From<CursorError> for Failure {
    fn from(error: CursorError) -> Failure {
        let code = match error {
            CursorError::Newer { .. } => "cursor.newer",
            CursorError::Damaged(_) => "cursor.damaged",
        };
        Failure::fatal(code, error)
    }
}

/// Writes a cursor.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty cursor of this version.
    pub fn new(version: u8) -> Writer {
        Writer(vec![version])
    }

    /// Adds one byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    /// Adds 4 bytes.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds 8 bytes.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds 1 to 10 bytes.
    #[must_use]
    pub fn varint(mut self, mut value: u64) -> Writer {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Adds a length and so many bytes.
    #[must_use]
    pub fn bytes(self, value: &[u8]) -> Writer {
        let mut with_length = self.varint(value.len() as u64);
        with_length.0.extend_from_slice(value);
        with_length
    }

    /// Length so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: the version is there from the start.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The cursor.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a cursor.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The version of a cursor and what follows it.
    ///
    /// # Errors
    /// The version is 0 or above `known`, the newest that the plugin can read.
    pub fn open(bytes: &'a [u8], known: u8) -> Result<(u8, Reader<'a>), CursorError> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.u8()? {
            0 => Err(CursorError::Damaged(0)),
            found if found > known => Err(CursorError::Newer { found, known }),
            version => Ok((version, reader)),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CursorError> {
        let bytes = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk);
        let bytes = bytes.ok_or(CursorError::Damaged(self.at))?;
        self.at += N;
        Ok(*bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// There is none left.
    pub fn u8(&mut self) -> Result<u8, CursorError> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// What [`Writer::u32`] wrote.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn u32(&mut self) -> Result<u32, CursorError> {
        self.take().map(u32::from_le_bytes)
    }

    /// What [`Writer::u64`] wrote.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn u64(&mut self) -> Result<u64, CursorError> {
        self.take().map(u64::from_le_bytes)
    }

    /// What [`Writer::varint`] wrote.
    ///
    /// # Errors
    /// Too few bytes are left, or the number is longer than 64 bits.
    pub fn varint(&mut self) -> Result<u64, CursorError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CursorError::Damaged(start))
    }

    /// What [`Writer::bytes`] wrote.
    ///
    /// # Errors
    /// Fewer bytes are left than the length says.
    pub fn bytes(&mut self) -> Result<&'a [u8], CursorError> {
        let start = self.at;
        let length = usize::try_from(self.varint()?).map_err(|_| CursorError::Damaged(start))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(CursorError::Damaged(start))?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(&self) -> Result<(), CursorError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(CursorError::Damaged(self.at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_every_cut_is_noticed() {
        let whole = Writer::new(3).u8(7).u32(1 << 31).u64(u64::MAX).varint(u64::MAX).bytes(b"xyz").finish();
        let read = |bytes: &[u8]| -> Result<_, CursorError> {
            let (version, mut r) = Reader::open(bytes, 3)?;
            let all = (version, r.u8()?, r.u32()?, r.u64()?, r.varint()?, r.bytes()?.to_vec());
            r.end()?;
            Ok(all)
        };
        assert_eq!(read(&whole), Ok((3, 7, 1 << 31, u64::MAX, u64::MAX, b"xyz".to_vec())));
        for cut in 0..whole.len() {
            assert!(matches!(read(&whole[..cut]), Err(CursorError::Damaged(_))), "cut at {cut}");
        }
        assert_eq!(read(&[whole.clone(), vec![0]].concat()), Err(CursorError::Damaged(whole.len())));
    }

    #[test]
    fn versions_and_lengths_that_cannot_be_are_refused() {
        assert_eq!(Reader::open(&[4], 3).unwrap_err(), CursorError::Newer { found: 4, known: 3 });
        assert_eq!(Reader::open(&[0], 3).unwrap_err(), CursorError::Damaged(0));
        let overlong = [&[1][..], &[0xff; 9], &[2]].concat();
        assert_eq!(Reader::open(&overlong, 1).unwrap().1.varint(), Err(CursorError::Damaged(1)));
        let huge = Writer::new(1).varint(u64::MAX).finish();
        assert_eq!(Reader::open(&huge, 1).unwrap().1.bytes(), Err(CursorError::Damaged(1)));
        for value in [0, 1, 127, 128, 1 << 35, u64::MAX - 1] {
            let bytes = Writer::new(1).varint(value).finish();
            assert_eq!(Reader::open(&bytes, 1).unwrap().1.varint(), Ok(value));
        }
    }
}
