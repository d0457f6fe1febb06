//! What a piece says about itself and about the log: its first frame and its last.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_record::codec::{Reader, decode_stream, encode_stream, put_varint};
use weir_record::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, CURSOR_BYTES_MAX, FRAME_BYTES_MAX, NAME_BYTES_MAX, PIECE_BATCHES_MAX,
    PIECE_HOLES_MAX, STREAM_BYTES_MAX,
};
use weir_record::{CodecError, RecordId};

use crate::ingest_log::frame::{FRAME_HEADER_BYTES, FrameCodec, Kind};
use crate::ingest_log::header::{HEADER_BYTES, u32_at, u64_at};
use crate::ingest_log::index::{BatchEntry, PieceIndex};

/// Length of what follows the footer frame.
pub(crate) const TAIL_BYTES: usize = 16;
const TAIL_MAGIC: [u8; 4] = [0xf7, b'e', b'n', b'd'];

/// What every piece carries on from the ones before it, so that any of them may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The highest id that was ever committed to the log.
    pub(crate) highest_id: RecordId,
    /// The last cursor of every source.
    pub(crate) cursors: BTreeMap<String, Vec<u8>>,
}

impl Default for Carried {
    fn default() -> Carried {
        Carried { highest_id: RecordId::MIN, cursors: BTreeMap::new() }
    }
}

impl Carried {
    /// Appends: highest id (16, big-endian), v cursor count, then per cursor, sorted by source: v name
    /// length, name, v cursor length, cursor.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.highest_id.to_bytes());
        put_varint(out, self.cursors.len() as u64);
        for (source, cursor) in &self.cursors {
            for bytes in [source.as_bytes(), cursor] {
                put_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Carried, CodecError> {
        let highest_id = RecordId::from_bytes(reader.array("highest id")?);
        let count = reader.bounded("cursor count", FRAME_BYTES_MAX)?;
        let mut cursors = BTreeMap::new();
        for _ in 0..count {
            let source = reader.prefixed("source", NAME_BYTES_MAX)?;
            let source = std::str::from_utf8(source).map_err(|_| CodecError::NotCanonical)?;
            let cursor = reader.prefixed("cursor", CURSOR_BYTES_MAX)?;
            cursors.insert(source.to_owned(), cursor.to_vec());
        }
        Ok(Carried { highest_id, cursors })
    }
}

/// Bytes that one cursor takes in a piece, at most.
pub(crate) fn cursor_bytes(source: &str, cursor: &[u8]) -> usize {
    source.len() + cursor.len() + 8
}

/// Bytes before the first entry of a piece: header and start frame.
pub(crate) fn start_bytes(carried: &Carried) -> u64 {
    let mut body = Vec::new();
    carried.encode(&mut body);
    (HEADER_BYTES + FRAME_HEADER_BYTES + 1 + body.len()) as u64
}

/// Appends the start frame, which lies at offset 64. Its body: kind (u8) 2, then what is carried.
pub(crate) fn put_start(out: &mut Vec<u8>, codec: FrameCodec, carried: &Carried) {
    let at = out.len();
    FrameCodec::begin(out);
    out.push(Kind::Start as u8);
    carried.encode(out);
    codec.finish(out, at, HEADER_BYTES as u64);
}

/// Reads the body of a start frame; `None` when it is of another kind.
pub(crate) fn read_start(body: &[u8]) -> Result<Option<Carried>, CodecError> {
    let mut reader = Reader::new(body);
    if reader.array("frame kind")? != [Kind::Start as u8] {
        return Ok(None);
    }
    let carried = Carried::read(&mut reader)?;
    reader.finish()?;
    Ok(Some(carried))
}

/// Bytes of a piece that are no frames: what was once synced and is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Index and state at the end of a complete piece, so that a restart reads nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) carried: Carried,
    pub(crate) index: PieceIndex,
    pub(crate) holes: Vec<Hole>,
}

impl Footer {
    /// The footer frame and the tail, to be written at `offset`. `None` when it would exceed a frame,
    /// which only a piece that was damaged in very many places can bring about.
    ///
    /// Body of the frame, in order (`v` is a LEB128 varint, ids are big-endian):
    ///
    /// | field | size | meaning |
    /// |---|---|---|
    /// | kind | u8 | 3 |
    /// | carried | … | highest id and cursors, as in the start frame, as of the end of this piece |
    /// | records | v | sum of the counts below |
    /// | payload bytes | v | sum of the payload bytes below |
    /// | stream count | v | |
    /// | streams | (v + …) each | length, stream in canonical form |
    /// | batch count | v | |
    /// | batches | … each | v frame offset minus the one before (the first: minus 0), v frame bytes, v offset of the batch in the frame, v stream, low id (16), high id (16), v count, v payload bytes |
    /// | hole count | v | |
    /// | holes | (v + v) each | offset, bytes: what a recovery found damaged |
    ///
    /// Tail, the last 16 bytes of the file: offset of the footer frame (8), CRC-32C of epoch, number and
    /// that offset (4), `f7` and `end` (4). It stands last so that the footer is found without reading
    /// what lies before it.
    pub(crate) fn encode(&self, codec: FrameCodec, offset: u64) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        FrameCodec::begin(&mut out);
        out.push(Kind::Footer as u8);
        self.carried.encode(&mut out);
        put_varint(&mut out, self.index.records());
        put_varint(&mut out, self.index.payload_bytes());
        put_varint(&mut out, self.index.streams().len() as u64);
        let mut encoded = Vec::new();
        for entry in self.index.streams() {
            encoded.clear();
            encode_stream(&mut encoded, &entry.stream);
            put_varint(&mut out, encoded.len() as u64);
            out.extend_from_slice(&encoded);
        }
        put_varint(&mut out, self.index.batches().len() as u64);
        let mut before = 0;
        for batch in self.index.batches() {
            put_varint(&mut out, batch.frame_offset - before);
            before = batch.frame_offset;
            put_varint(&mut out, u64::from(batch.frame_bytes));
            put_varint(&mut out, u64::from(batch.batch_offset));
            put_varint(&mut out, u64::from(batch.stream));
            out.extend_from_slice(&batch.low.to_bytes());
            out.extend_from_slice(&batch.high.to_bytes());
            put_varint(&mut out, u64::from(batch.count));
            put_varint(&mut out, u64::from(batch.payload_bytes));
        }
        put_varint(&mut out, self.holes.len() as u64);
        for hole in &self.holes {
            put_varint(&mut out, hole.offset);
            put_varint(&mut out, hole.bytes);
        }
        if out.len() - FRAME_HEADER_BYTES > FRAME_BYTES_MAX {
            return None;
        }
        codec.finish(&mut out, 0, offset);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&codec.tail_sum(offset).to_le_bytes());
        out.extend_from_slice(&TAIL_MAGIC);
        Some(out)
    }

    /// Reads the body of a footer frame that lies at `offset`. `None` when it is of another kind.
    pub(crate) fn read(body: &[u8], offset: u64) -> Result<Option<Footer>, FooterError> {
        let mut reader = Reader::new(body);
        if reader.array("frame kind")? != [Kind::Footer as u8] {
            return Ok(None);
        }
        let carried = Carried::read(&mut reader)?;
        let sums = (reader.varint("records")?, reader.varint("payload bytes")?);
        let mut index = PieceIndex::default();
        for _ in 0..reader.bounded("stream count", FRAME_BYTES_MAX)? {
            let stream = decode_stream(reader.prefixed("stream", STREAM_BYTES_MAX)?)?;
            index.push_stream(Arc::new(stream));
        }
        let mut before = 0;
        for _ in 0..reader.bounded("batch count", PIECE_BATCHES_MAX)? {
            let batch = read_batch(&mut reader, before)?;
            before = batch.frame_offset;
            let within = batch.frame_offset >= HEADER_BYTES as u64
                && batch.frame_end() <= offset
                && batch.batch_offset < batch.frame_bytes
                && batch.low <= batch.high
                && batch.count > 0;
            if !within || !index.push_batch(batch) {
                return Err(FooterError::Batch { offset: batch.frame_offset });
            }
        }
        let mut holes = Vec::new();
        for _ in 0..reader.bounded("hole count", PIECE_HOLES_MAX)? {
            holes.push(Hole { offset: reader.varint("hole")?, bytes: reader.varint("hole bytes")? });
        }
        reader.finish()?;
        if sums != (index.records(), index.payload_bytes()) {
            return Err(FooterError::Sums);
        }
        Ok(Some(Footer { carried, index, holes }))
    }
}

/// A footer that passes its checksum and yet makes no sense. The frames are scanned instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FooterError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("the batch of the frame at {offset} lies outside of the piece")]
    Batch { offset: u64 },
    #[error("the sums are not those of the batches")]
    Sums,
}

fn read_batch(reader: &mut Reader<'_>, before: u64) -> Result<BatchEntry, CodecError> {
    let frame_max = FRAME_HEADER_BYTES + FRAME_BYTES_MAX;
    let offset = reader.varint("frame offset")?;
    Ok(BatchEntry {
        frame_offset: before.saturating_add(offset).min(u64::MAX >> 1),
        frame_bytes: reader.bounded("frame bytes", frame_max)? as u32,
        batch_offset: reader.bounded("batch offset", frame_max)? as u32,
        stream: reader.bounded("stream number", FRAME_BYTES_MAX)? as u32,
        low: RecordId::from_bytes(reader.array("low id")?),
        high: RecordId::from_bytes(reader.array("high id")?),
        count: reader.bounded("count", BATCH_RECORDS_MAX)? as u32,
        payload_bytes: reader.bounded("payload bytes", BATCH_BYTES_MAX)? as u32,
    })
}

/// Where the footer frame begins, of the last 16 bytes of a file of `file_bytes`; `None` when they are no
/// tail.
pub(crate) fn read_tail(codec: FrameCodec, tail: [u8; TAIL_BYTES], file_bytes: u64) -> Option<u64> {
    let offset = u64_at(&tail, 0);
    let fits = tail[12..] == TAIL_MAGIC && u32_at(&tail, 8) == codec.tail_sum(offset);
    let end = file_bytes.checked_sub((TAIL_BYTES + FRAME_HEADER_BYTES) as u64)?;
    (fits && offset >= HEADER_BYTES as u64 && offset <= end).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest_log::checksum::Checksum;
    use weir_record::Stream;

    fn footer() -> Footer {
        let mut index = PieceIndex::default();
        for topic in ["a", "b"] {
            index.push_stream(Arc::new(Stream::new(topic, [("host", "web1")]).unwrap()));
        }
        for number in 0..5_u64 {
            index.push_batch(BatchEntry {
                low: RecordId::from_u128(u128::from(number)),
                high: RecordId::MAX,
                frame_offset: 100 + number / 2 * 100,
                frame_bytes: 100,
                batch_offset: 20 + number as u32 % 2 * 30,
                stream: number as u32 % 2,
                count: 3,
                payload_bytes: 9,
            });
        }
        let cursors = BTreeMap::from([("s".to_owned(), vec![1, 2]), ("t".to_owned(), vec![])]);
        let carried = Carried { highest_id: RecordId::MAX, cursors };
        Footer { carried, index, holes: vec![Hole { offset: 64, bytes: 36 }] }
    }

    #[test]
    fn a_footer_survives_the_way_to_bytes_and_back() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        let footer = footer();
        let bytes = footer.encode(codec, 1000).unwrap();
        let mut tail = [0; TAIL_BYTES];
        tail.copy_from_slice(&bytes[bytes.len() - TAIL_BYTES..]);
        let file_bytes = 1000 + bytes.len() as u64;
        assert_eq!(read_tail(codec, tail, file_bytes), Some(1000));
        assert_eq!(read_tail(FrameCodec::new(Checksum::CRC32C, 1, 3), tail, file_bytes), None);
        let body = &bytes[FRAME_HEADER_BYTES..bytes.len() - TAIL_BYTES];
        assert_eq!(Footer::read(body, 1000), Ok(Some(footer)));
    }

    #[test]
    fn changed_footers_never_panic_and_batches_outside_are_refused() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        let bytes = footer().encode(codec, 1000).unwrap();
        let body = bytes[FRAME_HEADER_BYTES..bytes.len() - TAIL_BYTES].to_vec();
        assert_eq!(Footer::read(&body, 300), Err(FooterError::Batch { offset: 300 }));
        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let _ = Footer::read(&changed, 1000);
            let _ = Footer::read(&body[..bit / 8], 1000);
        }
    }

    #[test]
    fn a_start_carries_cursors_and_the_highest_id() {
        let codec = FrameCodec::new(Checksum::CRC32C, 1, 2);
        let carried = footer().carried;
        let mut bytes = Vec::new();
        put_start(&mut bytes, codec, &carried);
        assert_eq!((HEADER_BYTES + bytes.len()) as u64, start_bytes(&carried));
        assert_eq!(read_start(&bytes[FRAME_HEADER_BYTES..]), Ok(Some(carried)));
    }
}
