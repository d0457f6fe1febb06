//! Answers between nodes as frames: parts that say what they are, and an end that says that it is one.
//!
//! In order, integers little-endian:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | body bytes | u32 | at most 16 MiB |
//! | kind | u8 | see [`Kind`] |
//! | checksum | u32 | CRC-32C of the five bytes before it and of the body |
//! | body | … | |
//!
//! The last frame is one of [`Kind::End`] or [`Kind::Error`]: an answer that ends without was cut.

use bytes::{Buf, Bytes, BytesMut};
use weir_record::limits::NODE_FRAME_BYTES_MAX;

/// The content type of an answer in frames.
pub const CONTENT_TYPE: &str = "application/vnd.weir.frames";
/// What stands before a body.
pub const HEAD_BYTES: usize = 9;
const CHECKSUM_AT: usize = 5;

/// What is in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The answer is whole. The body of a search's is [`SearchEnd`](super::SearchEnd), others have none.
    End = 0,
    /// The answer ends here because something went wrong: [`Failure`](super::Failure) in JSON.
    Error = 1,
    /// Nothing to say, but still there. No body.
    Heartbeat = 2,
    /// Records: [`rows`](super::rows).
    Rows = 3,
    /// Records as hashes: [`HashedRows`](super::HashedRows).
    Hashes = 4,
    /// Counts per bucket and level: [`Counts`](super::Counts).
    Counts = 5,
    /// A plan: [`PlanAnswer`](super::PlanAnswer) in JSON.
    Plan = 6,
    /// Bytes of a feed of changes; those of several frames belong together.
    Changes = 7,
    /// A position to resume a tail at.
    Position = 8,
    /// Records were left out of a tail.
    Gap = 9,
    /// The state of an aggregate, as the aggregate writes it.
    Partial = 10,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind::End,
        Kind::Error,
        Kind::Heartbeat,
        Kind::Rows,
        Kind::Hashes,
        Kind::Counts,
        Kind::Plan,
        Kind::Changes,
        Kind::Position,
        Kind::Gap,
        Kind::Partial,
    ];

    fn of(byte: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(byte)).copied()
    }
}

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub body: Bytes,
}

/// Bytes that are no frame. What came before them holds, what follows is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A body above the limit.
    #[error("a frame of {0} bytes is more than {NODE_FRAME_BYTES_MAX}")]
    TooLarge(usize),
    /// A kind of a later version.
    #[error("frames of kind {0} are not known here")]
    Kind(u8),
    /// Bytes were damaged on the way.
    #[error("the checksum of a frame is {got:08x}, its bytes have {computed:08x}")]
    Checksum {
        /// What the frame says.
        got: u32,
        /// What its bytes have.
        computed: u32,
    },
}

/// A frame whose body is written in place.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
}

impl Writer {
    /// A frame with room for a body.
    pub(super) fn with_capacity(body_bytes: usize) -> Writer {
        let mut out = Vec::with_capacity(HEAD_BYTES + body_bytes);
        out.extend_from_slice(&[0; HEAD_BYTES]);
        Writer { out }
    }

    /// The frame as bytes. `Err` when the body is larger than a frame may be.
    pub(super) fn finish(mut self, kind: Kind) -> Result<Bytes, FrameError> {
        let bytes = self.out.len() - HEAD_BYTES;
        if bytes > NODE_FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(bytes));
        }
        self.out[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        self.out[4] = kind as u8;
        let checksum = checksum(&self.out[..CHECKSUM_AT], &self.out[HEAD_BYTES..]);
        self.out[CHECKSUM_AT..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(self.out.into())
    }
}

/// A frame of a body that is there already.
pub(super) fn encode(kind: Kind, body: &[u8]) -> Result<Bytes, FrameError> {
    let mut frame = Writer::with_capacity(body.len());
    frame.out.extend_from_slice(body);
    frame.finish(kind)
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

/// Puts frames together from bytes that come cut anywhere. Holds at most one frame and what came with it:
/// memory grows with what has come, never with what a length promises.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
}

impl FrameBuffer {
    /// Adds bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the next frame; `None` when it has not come to its end. After an error nothing that follows can
    /// be trusted.
    pub fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(head) = self.bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [a, b, c, d, kind, checksum @ ..] = *head;
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        if bytes > NODE_FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(bytes));
        }
        if self.bytes.len() < HEAD_BYTES + bytes {
            return Ok(None);
        }
        let mut frame = self.bytes.split_to(HEAD_BYTES + bytes);
        let (got, computed) =
            (u32::from_le_bytes(checksum), self::checksum(&frame[..CHECKSUM_AT], &frame[HEAD_BYTES..]));
        if got != computed {
            return Err(FrameError::Checksum { got, computed });
        }
        let kind = Kind::of(kind).ok_or(FrameError::Kind(kind))?;
        frame.advance(HEAD_BYTES);
        Ok(Some(Frame { kind, body: frame.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let frame = encode(Kind::Gap, b"xyz").unwrap();
        assert_eq!(frame[..5], [3, 0, 0, 0, 9]);
        assert_eq!(frame[5..9], crc32c::crc32c(b"\x03\0\0\0\x09xyz").to_le_bytes());
        assert_eq!(frame[9..], *b"xyz");
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind as u8), Some(kind));
        }
        assert_eq!(Kind::of(Kind::ALL.len() as u8), None);
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_waited_for() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&[0xff; 9]);
        assert_eq!(buffer.take(), Err(FrameError::TooLarge(u32::MAX as usize)));
        let too_large = vec![0; NODE_FRAME_BYTES_MAX + 1];
        assert_eq!(encode(Kind::Rows, &too_large), Err(FrameError::TooLarge(too_large.len())));
        let mut later = [0, 0, 0, 0, 200, 0, 0, 0, 0];
        let checksum = crc32c::crc32c(&later[..5]).to_le_bytes();
        later[5..].copy_from_slice(&checksum);
        let mut buffer = FrameBuffer::default();
        buffer.push(&later);
        assert_eq!(buffer.take(), Err(FrameError::Kind(200)));
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_answer_is_cut(
            bodies in prop::collection::vec((0..Kind::ALL.len(), prop::collection::vec(any::<u8>(), 0..60)), 0..6),
            step in 1..40_usize,
        ) {
            let frames: Vec<Frame> = bodies
                .into_iter()
                .map(|(kind, body)| Frame { kind: Kind::ALL[kind], body: body.into() })
                .collect();
            let bytes: Vec<u8> =
                frames.iter().flat_map(|frame| encode(frame.kind, &frame.body).unwrap()).collect();
            let mut buffer = FrameBuffer::default();
            let mut found = Vec::new();
            for part in bytes.chunks(step) {
                buffer.push(part);
                while let Some(frame) = buffer.take().unwrap() {
                    found.push(frame);
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn a_cut_frame_never_comes_and_a_flipped_bit_is_found(
            body in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let frame = encode(Kind::Rows, &body).unwrap();
            let mut cut = FrameBuffer::default();
            cut.push(&frame[..at.index(frame.len())]);
            prop_assert_eq!(cut.take(), Ok(None));
            let mut bytes = frame.to_vec();
            bytes[at.index(frame.len())] ^= 1_u8 << bit;
            let mut flipped = FrameBuffer::default();
            flipped.push(&bytes);
            // A longer length waits for bytes that never come: the end of the answer tells.
            prop_assert!(!matches!(flipped.take(), Ok(Some(_))));
        }
    }
}
