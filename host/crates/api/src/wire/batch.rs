//! `application/vnd.weir.batch`: batches whose sender has made the ids.
//!
//! In order, integers little-endian:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WBAT` |
//! | version | u8 | 1 |
//! | sent at | u64 | the sender's clock in Unix milliseconds |
//! | batch count | varint | at least 1 |
//! | batches | … | each as [`weir_record::codec`] says |
//! | checksum | u32 | CRC-32C of everything before it |
//!
//! The checksum stands last so that a sender can stream; it guards against damage in memory and in
//! intermediaries, not against a liar. Several batches in one body are stored together or not at all as
//! long as they fit one frame of the log.

use weir_record::codec::{BatchView, CodecError, Reader, encode_batch, put_varint};
use weir_record::{Batch, limits};

/// The content type.
pub const CONTENT_TYPE: &str = "application/vnd.weir.batch";
const MAGIC: [u8; 4] = *b"WBAT";
const VERSION: u8 = 1;

/// Bytes that are not a body of batches. Nothing of them was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchBodyError {
    /// It does not begin with the magic.
    #[error("the body does not begin with WBAT")]
    Magic,
    /// A version that this node does not read.
    #[error("version {0} of the batch format is not known here, only {VERSION}")]
    Version(u8),
    /// The checksum is not that of the bytes: they were damaged on the way.
    #[error("the checksum is {got:08x}, the bytes have {computed:08x}")]
    Checksum {
        /// What the body says.
        got: u32,
        /// What its bytes have.
        computed: u32,
    },
    /// The fields do not fit each other.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No batch.
    #[error("the body holds no batch")]
    Empty,
}

/// Batches as a body.
pub fn encode(sent_at_ms: u64, batches: &[Batch]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&sent_at_ms.to_le_bytes());
    put_varint(&mut out, batches.len() as u64);
    for batch in batches {
        encode_batch(&mut out, batch);
    }
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// A body as its batches, and when they were sent.
pub fn decode(body: &[u8]) -> Result<(u64, Vec<Batch>), BatchBodyError> {
    if !body.starts_with(&MAGIC) {
        return Err(BatchBodyError::Magic);
    }
    let (covered, checksum) = body.split_last_chunk::<4>().ok_or(CodecError::Truncated("checksum"))?;
    let mut reader = Reader::new(covered);
    reader.take(MAGIC.len(), "magic")?;
    // The version comes before the checksum: another version may have another one.
    let [version] = reader.array("version")?;
    if version != VERSION {
        return Err(BatchBodyError::Version(version));
    }
    let (got, computed) = (u32::from_le_bytes(*checksum), crc32c::crc32c(covered));
    if got != computed {
        return Err(BatchBodyError::Checksum { got, computed });
    }
    let sent_at_ms = u64::from_le_bytes(reader.array("sent at")?);
    // A batch takes at least 20 bytes, so the size of the body bounds their number.
    let count = reader.bounded("batch count", limits::HTTP_BODY_BYTES_MAX / 20)?;
    let mut batches = Vec::with_capacity(count.min(reader.rest().len() / 20));
    for _ in 0..count {
        batches.push(BatchView::read(&mut reader)?.to_batch()?);
    }
    reader.finish()?;
    if batches.is_empty() {
        return Err(BatchBodyError::Empty);
    }
    Ok((sent_at_ms, batches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_record::{BatchFlags, IdRun, RecordId, Stream};

    fn batch(topic: &str, payloads: &[&[u8]]) -> Batch {
        let stream = Stream::new(topic, [("host", "web1")]).unwrap();
        let runs = vec![IdRun { first: RecordId::from_parts(5, 9), count: payloads.len() as u32 }];
        let mut end = 0;
        let ends = payloads.iter().map(|p| {
            end += p.len() as u32;
            end
        });
        Batch::new(stream, BatchFlags::MAYBE_REPEATED, runs, ends.collect(), payloads.concat()).unwrap()
    }

    #[test]
    fn batches_survive_the_way_over_the_wire() {
        let batches = [batch("a", &[b"x", b"", b"\n\0\xff"]), batch("b", &[b"y"])];
        assert_eq!(decode(&encode(77, &batches)), Ok((77, batches.to_vec())));
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let one = batch("t", &[b"x"]);
        let body = encode(0x0102, std::slice::from_ref(&one));
        assert_eq!(body[..14], *b"WBAT\x01\x02\x01\0\0\0\0\0\0\x01");
        let mut inner = Vec::new();
        encode_batch(&mut inner, &one);
        assert_eq!(body[14..body.len() - 4], inner);
        assert_eq!(body[body.len() - 4..], crc32c::crc32c(&body[..body.len() - 4]).to_le_bytes());
    }

    #[test]
    fn what_is_no_body_is_named() {
        let good = encode(1, &[batch("t", &[b"x"])]);
        assert_eq!(decode(b""), Err(BatchBodyError::Magic));
        assert_eq!(decode(b"hello world"), Err(BatchBodyError::Magic));
        assert_eq!(decode(b"WBAT\x02\0\0\0\0"), Err(BatchBodyError::Version(2)));
        assert_eq!(decode(b"WBAT"), Err(CodecError::Truncated("magic").into()));
        assert_eq!(decode(&encode(1, &[])), Err(BatchBodyError::Empty));
        assert!(matches!(decode(&good[..good.len() - 1]), Err(BatchBodyError::Checksum { .. })));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut body = encode(1, &[batch("t", &[b"some text", b"more"])]);
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            prop_assert!(decode(&body).is_err());
        }
    }
}
