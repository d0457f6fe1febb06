//! The frames of a segment: zstd frames with data, skippable frames with what only weir reads, and the tail.
//!
//! A skippable frame (RFC 8878, 3.1.2) is a magic (4, little-endian), the length of its body (4) and the body;
//! every zstd decoder passes over it.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use zstd::zstd_safe::{self, CCtx, DCtx};

use crate::error::{SegmentError, WriteError};

/// Magic and length of a skippable frame.
pub const FRAME_HEADER_BYTES: usize = 8;
/// Magic of the side frame of a block, of a part of the filter, and of the footer.
pub const SIDE_MAGIC: u32 = 0x184d_2a57;
/// See [`SIDE_MAGIC`].
pub const PART_MAGIC: u32 = 0x184d_2a58;
/// See [`SIDE_MAGIC`].
pub const FOOTER_MAGIC: u32 = 0x184d_2a59;

/// Length of the tail: the last bytes of every segment, within the footer frame.
pub const TAIL_BYTES: usize = 32;
/// The version that this crate writes; it reads all from 1 on.
pub const VERSION: u32 = 3;
const TAIL_MAGIC: [u8; 4] = [0x8e, b's', b'e', b'g'];

/// Appends a skippable frame of several pieces.
pub(crate) fn put_frame(out: &mut Vec<u8>, magic: u32, pieces: &[&[u8]]) {
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    out.extend_from_slice(&magic.to_le_bytes());
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// The body of the skippable frame that `bytes` are, and nothing else.
pub(crate) fn frame_body(bytes: &[u8], magic: u32) -> Option<&[u8]> {
    let (header, body) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let fits = u32_at(header, 0) == magic && u32_at(header, 4) as usize == body.len();
    fits.then_some(body)
}

/// A little-endian number in bytes known to be long enough.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The tail. In order, little-endian:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | bytes of the footer's body before the tail, compressed |
/// | 4 | 4 | the same, decompressed |
/// | 8 | 8 | length of the file |
/// | 16 | 4 | footer sum: CRC-32C of the footer frame up to the tail, its header included |
/// | 20 | 4 | version, 1 to 3 |
/// | 24 | 4 | tail sum: CRC-32C of the 24 bytes before |
/// | 28 | 4 | magic: `8e` and `seg` |
///
/// Version, tail sum and magic stay where they are in every version to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) footer_bytes: u32,
    pub(crate) footer_raw_bytes: u32,
    pub(crate) file_bytes: u64,
    pub(crate) footer_sum: u32,
    pub(crate) version: u32,
}

impl Tail {
    pub(crate) fn encode(self) -> [u8; TAIL_BYTES] {
        let mut tail = [0; TAIL_BYTES];
        tail[..4].copy_from_slice(&self.footer_bytes.to_le_bytes());
        tail[4..8].copy_from_slice(&self.footer_raw_bytes.to_le_bytes());
        tail[8..16].copy_from_slice(&self.file_bytes.to_le_bytes());
        tail[16..20].copy_from_slice(&self.footer_sum.to_le_bytes());
        tail[20..24].copy_from_slice(&self.version.to_le_bytes());
        let sum = crc32c::crc32c(&tail[..24]);
        tail[24..28].copy_from_slice(&sum.to_le_bytes());
        tail[28..].copy_from_slice(&TAIL_MAGIC);
        tail
    }

    pub(crate) fn read(tail: &[u8; TAIL_BYTES]) -> Result<Tail, SegmentError> {
        if tail[28..] != TAIL_MAGIC {
            return Err(SegmentError::NotASegment);
        }
        if crc32c::crc32c(&tail[..24]) != u32_at(tail, 24) {
            return Err(SegmentError::Tail);
        }
        // The version counts only when the sum holds: a damaged tail is not another version.
        let version = u32_at(tail, 20);
        if !(1..=VERSION).contains(&version) {
            return Err(SegmentError::Version(version));
        }
        Ok(Tail {
            footer_bytes: u32_at(tail, 0),
            footer_raw_bytes: u32_at(tail, 4),
            file_bytes: u64::from(u32_at(tail, 8)) | u64::from(u32_at(tail, 12)) << 32,
            footer_sum: u32_at(tail, 16),
            version,
        })
    }
}

/// Appends one zstd frame that holds `raw`; its length.
pub(crate) fn compress(
    context: &mut CCtx<'static>,
    raw: &[u8],
    level: i32,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<usize, WriteError> {
    scratch.clear();
    scratch.reserve(zstd_safe::compress_bound(raw.len()));
    let bytes = context.compress(scratch, raw, level).map_err(|code| WriteError::Zstd(reason(code)))?;
    out.extend_from_slice(scratch);
    Ok(bytes)
}

/// Decompresses a zstd frame that must hold exactly `raw_bytes`, which the caller has checked to be few enough
/// to allocate.
pub(crate) fn decompress(
    context: &mut DCtx<'static>,
    frame: &[u8],
    raw_bytes: usize,
    raw: &mut Vec<u8>,
) -> Result<(), String> {
    raw.clear();
    raw.reserve_exact(raw_bytes);
    let bytes = context.decompress(raw, frame).map_err(reason)?;
    if bytes == raw_bytes { Ok(()) } else { Err(alloc::format!("{bytes} bytes instead of {raw_bytes}")) }
}

/// The same where all of `raw` is to be filled. After an error it holds anything.
pub(crate) fn decompress_into(
    context: &mut DCtx<'static>,
    frame: &[u8],
    raw: &mut [u8],
) -> Result<(), String> {
    let bytes = context.decompress(raw, frame).map_err(reason)?;
    if bytes == raw.len() { Ok(()) } else { Err(alloc::format!("{bytes} bytes instead of {}", raw.len())) }
}

fn reason(code: usize) -> String {
    zstd_safe::get_error_name(code).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_round_trips_and_any_flip_is_seen() {
        let tail = Tail {
            footer_bytes: 7,
            footer_raw_bytes: 70,
            file_bytes: 1 << 33 | 5,
            footer_sum: 9,
            version: 2,
        };
        let bytes = tail.encode();
        assert_eq!(Tail::read(&bytes), Ok(tail));
        for bit in 0..TAIL_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Tail::read(&changed).is_err(), "{bit}");
        }
        let mut later = bytes;
        later[20] = 4;
        let sum = crc32c::crc32c(&later[..24]).to_le_bytes();
        later[24..28].copy_from_slice(&sum);
        assert_eq!(Tail::read(&later), Err(SegmentError::Version(4)));
    }
}
