//! Frames: the unit of checksum and atomicity in a piece.

use weir_record::limits::FRAME_BYTES_MAX;

use crate::ingest_log::checksum::Checksum;
use crate::ingest_log::header::u32_at;

/// Length of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 16;
/// No byte of it is text, so that log lines rarely look like the beginning of a frame.
pub(crate) const MAGIC: [u8; 4] = [0xf7, 0x1e, 0xb9, 0x8d];

/// What the first byte of a frame's body says about the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An entry: checkpoint and batches.
    Entry = 1,
    /// The first frame of a piece: what is carried over from the pieces before.
    Start = 2,
    /// The last frame of a complete piece.
    Footer = 3,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The file ends inside the frame.
    #[error("the file ends inside it")]
    Cut,
    /// No frame begins here.
    #[error("no frame begins here: {0:02x?}")]
    Magic([u8; 4]),
    /// The checksum over place and length, or over the body, does not fit.
    #[error("checksum {expected:08x} expected, {got:08x} found")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its bytes give.
        got: u32,
    },
    /// A length that no frame has.
    #[error("length {0} is not 1 to {FRAME_BYTES_MAX}")]
    Length(u32),
}

/// Writes and checks frames of one piece. A frame, integers little-endian, in order:
///
/// | size | field |
/// |---|---|
/// | 4 | magic `f7 1e b9 8d` |
/// | 4 | length of the body, 1 to 16 MiB; 0 is invalid, so that zeros are never a frame |
/// | 4 | head sum: CRC-32C of epoch (8), number (8), offset of the frame in the file (8), length (4) |
/// | 4 | body sum: CRC-32C of the body, continued from the head sum |
/// | … | body; its first byte is the kind |
///
/// Both sums hang on the piece and the place: a frame that was left over by an earlier file, or written
/// to a wrong place, does not pass. The length has a sum of its own, so that a payload full of magics
/// cannot make a scan checksum megabytes at each of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameCodec {
    checksum: Checksum,
    /// Sum over epoch and number.
    seed: u32,
}

/// The checked header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) body_bytes: usize,
    head_sum: u32,
    body_sum: u32,
}

impl FrameHead {
    /// Length of the frame, header included.
    pub(crate) fn frame_bytes(self) -> usize {
        FRAME_HEADER_BYTES + self.body_bytes
    }
}

impl FrameCodec {
    pub(crate) fn new(checksum: Checksum, epoch: u64, number: u64) -> FrameCodec {
        let seed = checksum.append(0, &epoch.to_le_bytes());
        FrameCodec { checksum, seed: checksum.append(seed, &number.to_le_bytes()) }
    }

    /// Appends room for a frame's header; the body is to be appended behind it.
    pub(crate) fn begin(out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    }

    /// Fills in the header of the frame that begins at `at` and ends where `out` ends. `offset` is its
    /// place in the file.
    ///
    /// # Panics
    /// When the body is empty or too long: callers check both before.
    pub(crate) fn finish(&self, out: &mut [u8], at: usize, offset: u64) {
        let (head, body) = out[at..].split_at_mut(FRAME_HEADER_BYTES);
        assert!((1..=FRAME_BYTES_MAX).contains(&body.len()), "a frame body of {} bytes", body.len());
        let head_sum = self.head_sum(offset, body.len() as u32);
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[8..12].copy_from_slice(&head_sum.to_le_bytes());
        head[12..].copy_from_slice(&self.checksum.append(head_sum, body).to_le_bytes());
    }

    /// Checks the header of a frame at `offset`; the length is one a frame may have.
    pub(crate) fn head(&self, bytes: &[u8], offset: u64) -> Result<FrameHead, FrameFault> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES).ok_or(FrameFault::Cut)?;
        if bytes[..4] != MAGIC {
            return Err(FrameFault::Magic([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let body_bytes = u32_at(bytes, 4);
        if body_bytes == 0 || body_bytes as usize > FRAME_BYTES_MAX {
            return Err(FrameFault::Length(body_bytes));
        }
        let (expected, got) = (u32_at(bytes, 8), self.head_sum(offset, body_bytes));
        if expected != got {
            return Err(FrameFault::Checksum { expected, got });
        }
        Ok(FrameHead { body_bytes: body_bytes as usize, head_sum: got, body_sum: u32_at(bytes, 12) })
    }

    /// Checks the body that follows a header.
    pub(crate) fn check_body(&self, head: FrameHead, body: &[u8]) -> Result<(), FrameFault> {
        let got = self.checksum.append(head.head_sum, body);
        if got == head.body_sum {
            return Ok(());
        }
        Err(FrameFault::Checksum { expected: head.body_sum, got })
    }

    /// The sum of the tail of a complete piece.
    pub(crate) fn tail_sum(&self, footer_offset: u64) -> u32 {
        self.checksum.append(self.seed, &footer_offset.to_le_bytes())
    }

    fn head_sum(&self, offset: u64, body_bytes: u32) -> u32 {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&offset.to_le_bytes());
        place[8..].copy_from_slice(&body_bytes.to_le_bytes());
        self.checksum.append(self.seed, &place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(codec: FrameCodec, body: &[u8], offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        FrameCodec::begin(&mut out);
        out.extend_from_slice(body);
        codec.finish(&mut out, 0, offset);
        out
    }

    fn check(codec: FrameCodec, bytes: &[u8], offset: u64) -> Result<(), FrameFault> {
        let head = codec.head(bytes, offset)?;
        let body = bytes.get(FRAME_HEADER_BYTES..head.frame_bytes()).ok_or(FrameFault::Cut)?;
        codec.check_body(head, body)
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        let bytes = framed(codec, b"\x01body", 64);
        assert_eq!(check(codec, &bytes, 64), Ok(()));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(check(codec, &changed, 64).is_err(), "{bit}");
        }
    }

    #[test]
    fn a_frame_passes_only_in_its_piece_and_place() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        let bytes = framed(codec, b"\x01body", 64);
        for (epoch, number, offset) in [(2, 2, 64), (1, 3, 64), (1, 2, 65)] {
            let other = FrameCodec::new(Checksum::CRC32C, epoch, number);
            let got = check(other, &bytes, offset);
            assert!(matches!(got, Err(FrameFault::Checksum { .. })), "{epoch} {number} {offset}");
        }
    }

    #[test]
    fn zeros_and_long_lengths_are_no_frames() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        assert_eq!(codec.head(&[0; 16], 0), Err(FrameFault::Magic([0; 4])));
        let mut bytes = framed(codec, b"x", 0);
        for (length, fault) in [(0, FrameFault::Length(0)), (u32::MAX, FrameFault::Length(u32::MAX))] {
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            assert_eq!(codec.head(&bytes, 0), Err(fault));
        }
        assert_eq!(codec.head(&bytes[..15], 0), Err(FrameFault::Cut));
    }
}
