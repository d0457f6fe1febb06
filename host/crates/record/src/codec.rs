//! A batch as bytes: the same on disk (ingest log) and on the wire (`application/vnd.weir.batch`).
//!
//! All integers are little-endian or LEB128 varints (`v`, at most 10 bytes, shortest form not required);
//! ids are big-endian, so that their bytes sort like the ids. In order:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | flags | u8 | bit 0 maybe repeated, bit 1 keyed; others must be 0 |
//! | stream bytes | v | length of the stream |
//! | stream | … | v topic length, topic, v label count, then per label: v name length, name, v value length, value; sorted by name |
//! | run count | v | runs of consecutive ids |
//! | runs | (16 + v) each | first id, number of ids |
//! | record count | v | |
//! | lengths | v each | payload bytes per record |
//! | arena bytes | v | sum of the lengths |
//! | arena | … | the payloads, one after the other |
//!
//! The runs stand before the records so that a reader can tell the time range of a batch from its first
//! bytes; the arena stands last so that it can be searched in place.

use alloc::vec::Vec;

use crate::batch::{Batch, BatchError, BatchFlags, IdRun, check_ends, check_runs, payloads, range_of};
use crate::id::RecordId;
use crate::limits::{BATCH_RECORDS_MAX, LABELS_MAX, STREAM_BYTES_MAX};
use crate::stream::{Stream, StreamError};

/// Bytes that are not a batch. Does not affect state; the bytes are damaged or come from another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end inside a field.
    #[error("the bytes end inside {0}")]
    Truncated(&'static str),
    /// A varint of more than 64 bits.
    #[error("{0} is not a varint of 64 bits")]
    Varint(&'static str),
    /// A count above its limit.
    #[error("{what} is {got}, more than {max}")]
    TooMany {
        /// Which count.
        what: &'static str,
        /// What the bytes say.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// Flags of a later version.
    #[error("unknown batch flags {0:#04x}")]
    Flags(u8),
    /// Topic or label is not UTF-8, or labels are not sorted.
    #[error("the stream is not in canonical form")]
    NotCanonical,
    /// The stream breaks a rule of streams.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The records break a rule of batches.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Bytes are left over.
    #[error("{0} bytes follow the end")]
    Trailing(usize),
}

/// Writes a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads fields off the front of a slice; every read says which field it was for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CodecError::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A varint.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(CodecError::Truncated(what))?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Varint(what))
    }

    /// A varint of at most `max`.
    pub fn bounded(&mut self, what: &'static str, max: usize) -> Result<usize, CodecError> {
        let got = self.varint(what)?;
        if got > max as u64 {
            return Err(CodecError::TooMany { what, got, max: max as u64 });
        }
        Ok(got as usize)
    }

    /// A length and as many bytes.
    pub fn prefixed(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], CodecError> {
        let count = self.bounded(what, max)?;
        self.take(count, what)
    }

    /// `Err` when bytes are left.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing(self.rest.len())) }
    }
}

/// Appends a stream in its canonical form, without a length before it.
pub fn encode_stream(out: &mut Vec<u8>, stream: &Stream) {
    let mut put = |bytes: &[u8]| {
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    };
    put(stream.topic().as_bytes());
    let labels = stream.labels();
    put_varint(out, labels.len() as u64);
    for (name, value) in labels {
        for text in [name, value] {
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Reads a stream that fills `bytes`.
pub fn decode_stream(bytes: &[u8]) -> Result<Stream, CodecError> {
    fn text<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<&'a str, CodecError> {
        core::str::from_utf8(reader.prefixed(what, STREAM_BYTES_MAX)?).map_err(|_| CodecError::NotCanonical)
    }
    let mut reader = Reader::new(bytes);
    let topic = text(&mut reader, "topic")?;
    let count = reader.bounded("label count", LABELS_MAX)?;
    let mut labels: Vec<(&str, &str)> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = text(&mut reader, "label name")?;
        let value = text(&mut reader, "label value")?;
        if labels.last().is_some_and(|(before, _)| *before >= name) {
            return Err(CodecError::NotCanonical);
        }
        labels.push((name, value));
    }
    reader.finish()?;
    Ok(Stream::with_reserved(topic, labels)?)
}

/// Appends a batch.
pub fn encode_batch(out: &mut Vec<u8>, batch: &Batch) {
    out.reserve(batch.payload_bytes() + batch.count() * 3 + batch.runs().len() * 18 + 512);
    out.push(batch.flags().bits());
    let mut stream = Vec::new();
    encode_stream(&mut stream, batch.stream());
    put_varint(out, stream.len() as u64);
    out.extend_from_slice(&stream);
    put_varint(out, batch.runs().len() as u64);
    for run in batch.runs() {
        out.extend_from_slice(&run.first.to_bytes());
        put_varint(out, u64::from(run.count));
    }
    put_varint(out, batch.count() as u64);
    let mut from = 0;
    for &end in batch.ends() {
        put_varint(out, u64::from(end - from));
        from = end;
    }
    put_varint(out, batch.payload_bytes() as u64);
    out.extend_from_slice(batch.arena());
}

/// A batch read in place: the stream stays encoded and the arena is not copied.
#[derive(Debug, Clone)]
pub struct BatchView<'a> {
    /// What holds for all records.
    pub flags: BatchFlags,
    /// The stream in canonical form; equal bytes are equal streams. See [`decode_stream`].
    pub stream: &'a [u8],
    /// The ids as runs.
    pub runs: Vec<IdRun>,
    /// Where each record ends.
    pub ends: Vec<u32>,
    /// All payloads.
    pub arena: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads one batch off the front of a reader. Everything but the inside of the stream is checked.
    pub fn read(reader: &mut Reader<'a>) -> Result<BatchView<'a>, CodecError> {
        let [bits] = reader.array("batch flags")?;
        let flags = BatchFlags::from_bits(bits).ok_or(CodecError::Flags(bits))?;
        let stream = reader.prefixed("stream", STREAM_BYTES_MAX)?;
        let run_count = reader.bounded("run count", BATCH_RECORDS_MAX)?;
        let mut runs = Vec::with_capacity(run_count.min(reader.rest().len() / 17));
        for _ in 0..run_count {
            let first = RecordId::from_bytes(reader.array("id")?);
            let count = reader.bounded("ids in a run", BATCH_RECORDS_MAX)? as u32;
            runs.push(IdRun { first, count });
        }
        let count = reader.bounded("record count", BATCH_RECORDS_MAX)?;
        let mut ends = Vec::with_capacity(count.min(reader.rest().len()));
        let mut end = 0_u32;
        for index in 0..count {
            let bytes = reader.bounded("record length", crate::limits::RECORD_BYTES_MAX)?;
            end = end.checked_add(bytes as u32).ok_or(BatchError::EndsGoDown(index))?;
            ends.push(end);
        }
        let arena = reader.prefixed("arena", crate::limits::BATCH_BYTES_MAX)?;
        check_ends(&ends, arena.len())?;
        check_runs(&runs, ends.len())?;
        Ok(BatchView { flags, stream, runs, ends, arena })
    }

    /// The ids, in the order of the records.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.runs.iter().flat_map(|run| run.ids())
    }

    /// The payloads, in order.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'_, 'a> {
        let arena = self.arena;
        let mut from = 0;
        self.ends.iter().map(move |&end| {
            let payload = &arena[from..end as usize];
            from = end as usize;
            payload
        })
    }

    /// The lowest and the highest id.
    pub fn id_range(&self) -> (RecordId, RecordId) {
        range_of(&self.runs)
    }

    /// The batch on its own, with the stream decoded and the arena copied.
    pub fn to_batch(&self) -> Result<Batch, CodecError> {
        debug_assert_eq!(payloads(&self.ends, self.arena).count(), self.ends.len());
        let stream = decode_stream(self.stream)?;
        Ok(Batch::new(stream, self.flags, self.runs.clone(), self.ends.clone(), self.arena.to_vec())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    fn encoded(batch: &Batch) -> Vec<u8> {
        let mut out = Vec::new();
        encode_batch(&mut out, batch);
        out
    }

    fn decoded(bytes: &[u8]) -> Result<Batch, CodecError> {
        let mut reader = Reader::new(bytes);
        let batch = BatchView::read(&mut reader)?.to_batch()?;
        reader.finish()?;
        Ok(batch)
    }

    fn batches() -> impl Strategy<Value = Batch> {
        let payloads = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20);
        let labels = prop::collection::btree_map("[a-z_][a-z0-9.]{0,5}", "[ -~é]{0,9}", 0..4);
        (payloads, labels, "[a-zé]{1,9}", any::<bool>(), any::<u64>(), 0..4_u8).prop_map(
            |(payloads, labels, topic, split, first, flags)| {
                let stream =
                    Stream::with_reserved(&topic, labels.iter().map(|(k, v)| (k.as_str(), v))).unwrap();
                let mut ends = Vec::new();
                let mut runs = Vec::new();
                let mut arena = Vec::new();
                for (index, payload) in payloads.iter().enumerate() {
                    arena.extend_from_slice(payload);
                    ends.push(arena.len() as u32);
                    let id = u128::from(first) + index as u128 * if split { 2 } else { 1 };
                    crate::mint::push_id(&mut runs, RecordId::from_u128(id));
                }
                Batch::new(stream, BatchFlags::from_bits(flags).unwrap(), runs, ends, arena).unwrap()
            },
        )
    }

    proptest! {
        #[test]
        fn a_batch_survives_the_way_to_bytes_and_back(batch in batches()) {
            prop_assert_eq!(decoded(&encoded(&batch)), Ok(batch));
        }

        #[test]
        fn cut_or_changed_bytes_never_panic_and_never_exceed_what_is_there(
            batch in batches(), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = encoded(&batch);
            prop_assert!(decoded(&bytes[..cut.index(bytes.len())]).is_err());
            let at = flip.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let _ = decoded(&bytes);
        }

        #[test]
        fn varints_round_trip(value in any::<u64>()) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Reader::new(&out).varint("value"), Ok(value));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let stream = Stream::new("t", [("a", "b")]).unwrap();
        let run = IdRun { first: RecordId::from_u128(0x0102), count: 2 };
        let batch = Batch::new(stream, BatchFlags::KEYED, vec![run], vec![2, 3], b"xyz".to_vec()).unwrap();
        let mut expected = vec![2, 7, 1, b't', 1, 1, b'a', 1, b'b', 1];
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 1, 3]);
        expected.extend_from_slice(b"xyz");
        assert_eq!(encoded(&batch), expected);
    }

    #[test]
    fn unsorted_labels_and_overlong_varints_are_refused() {
        assert_eq!(decode_stream(&[1, b't', 2, 1, b'b', 0, 1, b'a', 0]), Err(CodecError::NotCanonical));
        assert_eq!(Reader::new(&[0xff; 10]).varint("x"), Err(CodecError::Varint("x")));
        assert_eq!(Reader::new(&[0x80]).varint("x"), Err(CodecError::Truncated("x")));
        assert_eq!(decoded(&[4]), Err(CodecError::Flags(4)));
        let message: String = alloc::format!("{}", CodecError::Flags(4));
        assert_eq!(message, "unknown batch flags 0x04");
    }
}
