//! Records of an answer as columns: copied as a whole, never one by one.
//!
//! In order, integers little-endian or LEB128 varints (`v`):
//!
//! | field | size | meaning |
//! |---|---|---|
//! | record count | v | at least 1 |
//! | stream count | v | 1 up to the record count |
//! | streams | v + … each | length, stream in canonical form |
//! | ids | 16 each | big-endian |
//! | stream width | u8 | bytes per stream number: 0, 1, 2 or 4; 0 when all are 0 |
//! | stream numbers | width each | the stream of each record |
//! | length width | u8 | bytes per length: 0, 1, 2 or 4; 0 when all are 0 |
//! | lengths | width each | payload bytes of each record, at most 1 MiB |
//! | arena | the rest | the payloads, one after the other |
//!
//! Ids are sent whole: those of several writers interleave, and differences of random bits save nothing.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use weir_query::Rows;
use weir_record::codec::{CodecError, Reader, decode_stream, encode_stream, put_varint};
use weir_record::limits::{
    NODE_FRAME_BYTES_MAX, NODE_STREAMS_CACHED_BYTES_MAX, RECORD_BYTES_MAX, STREAM_BYTES_MAX,
};
use weir_record::{RecordId, Stream};

use super::frame::{FrameError, Kind, Writer};
use super::search::SearchCodecError;

/// The streams of the frames before: the next one names most of them again, and reading one takes twenty times as
/// long as looking it up. Bounded; forgets all of them when it is full.
#[derive(Debug, Default)]
pub struct StreamCache {
    known: HashMap<Box<[u8]>, Arc<Stream>>,
    bytes: usize,
}

impl StreamCache {
    /// The stream of its canonical form.
    fn get(&mut self, canonical: &[u8]) -> Result<Arc<Stream>, CodecError> {
        if let Some(stream) = self.known.get(canonical) {
            return Ok(stream.clone());
        }
        let stream = Arc::new(decode_stream(canonical)?);
        if self.bytes + canonical.len() > NODE_STREAMS_CACHED_BYTES_MAX {
            *self = StreamCache::default();
        }
        self.bytes += canonical.len();
        self.known.insert(canonical.into(), stream.clone());
        Ok(stream)
    }
}

/// Frames that hold the rows, in order: one, unless they are larger than a frame may be. No rows, no frame.
pub(super) fn encode(rows: &Rows) -> Result<Vec<Bytes>, FrameError> {
    let mut frames = Vec::with_capacity(1);
    if !rows.is_empty() {
        split(rows, &mut frames)?;
    }
    Ok(frames)
}

fn split(rows: &Rows, frames: &mut Vec<Bytes>) -> Result<(), FrameError> {
    let bytes = rows.bytes() + rows.streams().len() * 64;
    if rows.streams().len() <= rows.count() && bytes <= NODE_FRAME_BYTES_MAX {
        match encode_one(rows, bytes) {
            // So long are the streams: halves have fewer of them.
            Err(FrameError::TooLarge(_)) if rows.count() > 1 => {}
            framed => {
                frames.push(framed?);
                return Ok(());
            }
        }
    }
    if rows.count() == 1 {
        frames.push(encode_one(&part(rows, 0, 1), bytes)?);
        return Ok(());
    }
    let half = rows.count() / 2;
    split(&part(rows, 0, half), frames)?;
    split(&part(rows, half, rows.count()), frames)
}

/// Some of the rows, with the streams that they refer to and no others.
fn part(rows: &Rows, from: usize, to: usize) -> Rows {
    let mut part = Rows::new();
    let mut number_of = vec![None; rows.streams().len()];
    for index in from..to {
        let stream = rows.stream_of()[index] as usize;
        let number =
            *number_of[stream].get_or_insert_with(|| part.add_stream(rows.streams()[stream].clone()));
        part.push(rows.ids()[index], number, rows.payload(index));
    }
    part
}

fn encode_one(rows: &Rows, bytes: usize) -> Result<Bytes, FrameError> {
    let mut frame = Writer::with_capacity(bytes + 64);
    let out = &mut frame.out;
    put_varint(out, rows.count() as u64);
    put_varint(out, rows.streams().len() as u64);
    let mut canonical = Vec::new();
    for stream in rows.streams() {
        canonical.clear();
        encode_stream(&mut canonical, stream);
        put_varint(out, canonical.len() as u64);
        out.extend_from_slice(&canonical);
    }
    let at = out.len();
    out.resize(at + rows.count() * 16, 0);
    for (slot, id) in out[at..].as_chunks_mut::<16>().0.iter_mut().zip(rows.ids()) {
        *slot = id.to_bytes();
    }
    put_column(out, rows.stream_of());
    let mut from = 0;
    let lengths: Vec<u32> = rows.ends().iter().map(|&end| end - std::mem::replace(&mut from, end)).collect();
    put_column(out, &lengths);
    out.extend_from_slice(rows.arena());
    frame.finish(Kind::Rows)
}

/// Appends numbers in as many bytes as the largest takes.
fn put_column(out: &mut Vec<u8>, values: &[u32]) {
    let all = values.iter().fold(0, |all, value| all | value);
    let at = out.len() + 1;
    match all {
        0 => out.push(0),
        1..=0xff => {
            out.push(1);
            out.extend(values.iter().map(|&value| value as u8));
        }
        0x100..=0xffff => {
            out.push(2);
            out.resize(at + values.len() * 2, 0);
            let slots = out[at..].as_chunks_mut::<2>().0.iter_mut();
            slots.zip(values).for_each(|(slot, &value)| *slot = (value as u16).to_le_bytes());
        }
        _ => {
            out.push(4);
            out.resize(at + values.len() * 4, 0);
            let slots = out[at..].as_chunks_mut::<4>().0.iter_mut();
            slots.zip(values).for_each(|(slot, &value)| *slot = value.to_le_bytes());
        }
    }
}

/// Reads `count` numbers that [`put_column`] wrote.
fn column(reader: &mut Reader<'_>, count: usize, what: &'static str) -> Result<Vec<u32>, SearchCodecError> {
    let [width] = reader.array(what)?;
    if !matches!(width, 0 | 1 | 2 | 4) {
        return Err(SearchCodecError::Value(what));
    }
    let bytes = reader.take(count * usize::from(width), what)?;
    Ok(match width {
        0 => vec![0; count],
        1 => bytes.iter().map(|&byte| u32::from(byte)).collect(),
        2 => bytes.as_chunks().0.iter().map(|pair| u32::from(u16::from_le_bytes(*pair))).collect(),
        _ => bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect(),
    })
}

/// The rows of a frame's body.
pub(super) fn decode(body: &[u8], known: &mut StreamCache) -> Result<Rows, SearchCodecError> {
    let mut reader = Reader::new(body);
    // Each record takes 16 bytes at least: what is counted is there.
    let count = reader.bounded("record count", body.len() / 16)?;
    let stream_count = reader.bounded("stream count", count)?;
    let mut streams: Vec<Arc<Stream>> = Vec::with_capacity(stream_count);
    for _ in 0..stream_count {
        streams.push(known.get(reader.prefixed("stream", STREAM_BYTES_MAX)?)?);
    }
    let ids = reader.take(count * 16, "ids")?;
    let ids = ids.as_chunks().0.iter().map(|id| RecordId::from_bytes(*id)).collect();
    let stream_of = column(&mut reader, count, "stream numbers")?;
    let mut ends = column(&mut reader, count, "lengths")?;
    if ends.iter().any(|&length| length as usize > RECORD_BYTES_MAX) {
        return Err(SearchCodecError::Value("lengths"));
    }
    let arena = reader.rest();
    let mut end = 0_u64;
    for length in &mut ends {
        end += u64::from(*length);
        // Above the arena it is refused below; it must only not come back into it.
        *length = u32::try_from(end).unwrap_or(u32::MAX);
    }
    if count == 0 || end != arena.len() as u64 {
        return Err(SearchCodecError::Value("record count"));
    }
    let rows = Rows::from_columns(ids, streams, stream_of, ends, arena.to_vec());
    rows.ok_or(SearchCodecError::Value("stream numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::frame::{FrameBuffer, HEAD_BYTES};
    use proptest::prelude::*;

    /// Rows of a body that comes first.
    fn decode(body: &[u8]) -> Result<Rows, SearchCodecError> {
        super::decode(body, &mut StreamCache::default())
    }

    fn stream(number: usize) -> Arc<Stream> {
        Arc::new(Stream::new("t", [("n", number.to_string())]).unwrap())
    }

    fn rows_of(streams: usize, records: &[(u128, usize, Vec<u8>)]) -> Rows {
        let mut rows = Rows::new();
        let numbers: Vec<u32> = (0..streams).map(|number| rows.add_stream(stream(number))).collect();
        for (id, number, payload) in records {
            rows.push(RecordId::from_u128(*id), numbers[number % streams], payload);
        }
        rows
    }

    fn decoded(frames: &[Bytes]) -> Vec<Rows> {
        let mut buffer = FrameBuffer::default();
        for frame in frames {
            buffer.push(frame);
        }
        let (mut all, mut known) = (Vec::new(), StreamCache::default());
        while let Some(frame) = buffer.take().unwrap() {
            assert_eq!(frame.kind, Kind::Rows);
            all.push(super::decode(&frame.body, &mut known).unwrap());
        }
        all
    }

    fn records(of: &[Rows]) -> Vec<(RecordId, Stream, Vec<u8>)> {
        let rows = of.iter().flat_map(Rows::iter);
        rows.map(|row| (row.id, row.stream.as_ref().clone(), row.payload.to_vec())).collect()
    }

    fn some_rows() -> impl Strategy<Value = Rows> {
        let payload = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..30),
            (0..70_000_usize).prop_map(|bytes| vec![b'x'; bytes]),
        ];
        let record = (any::<u128>(), any::<usize>(), payload);
        (1..400_usize, prop::collection::vec(record, 1..20)).prop_map(|(n, records)| rows_of(n, &records))
    }

    proptest! {
        #[test]
        fn rows_survive_the_way_over_the_wire(rows in some_rows()) {
            let frames = encode(&rows).unwrap();
            prop_assert_eq!(records(&decoded(&frames)), records(&[rows]));
        }

        #[test]
        fn every_cut_is_an_error_and_no_flipped_bit_panics(
            records in prop::collection::vec(
                (any::<u128>(), any::<usize>(), prop::collection::vec(any::<u8>(), 0..9)), 1..9),
            at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let frames = encode(&rows_of(3, &records)).unwrap();
            let mut body = frames[0][HEAD_BYTES..].to_vec();
            for cut in 0..body.len() {
                prop_assert!(decode(&body[..cut]).is_err());
            }
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            if let Ok(rows) = decode(&body) {
                prop_assert_eq!(rows.iter().count(), rows.count());
            }
        }

        #[test]
        fn noise_is_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let none: [(&str, &str); 0] = [];
        let mut rows = Rows::new();
        rows.add_stream(Arc::new(Stream::new("a", none).unwrap()));
        rows.add_stream(Arc::new(Stream::new("b", none).unwrap()));
        rows.push(RecordId::from_u128(5), 1, b"xy");
        rows.push(RecordId::from_u128(6), 0, &[b'z'; 300]);
        let mut expected = b"\x02\x02\x03\x01a\0\x03\x01b\0".to_vec();
        expected.extend_from_slice(&5_u128.to_be_bytes());
        expected.extend_from_slice(&6_u128.to_be_bytes());
        expected.extend_from_slice(b"\x01\x01\0\x02\x02\0\x2c\x01xy");
        expected.extend_from_slice(&[b'z'; 300]);
        assert_eq!(encode(&rows).unwrap()[0][HEAD_BYTES..], expected);
        assert_eq!(encode(&Rows::new()).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn streams_are_read_once_and_not_remembered_without_end() {
        let mut known = StreamCache::default();
        let frames = encode(&rows_of(2, &[(1, 0, vec![1]), (2, 1, vec![2])])).unwrap();
        let first = super::decode(&frames[0][HEAD_BYTES..], &mut known).unwrap();
        let second = super::decode(&frames[0][HEAD_BYTES..], &mut known).unwrap();
        assert!(Arc::ptr_eq(&first.streams()[1], &second.streams()[1]));
        let mut canonical = Vec::new();
        for number in 0..2 * NODE_STREAMS_CACHED_BYTES_MAX / 4096 {
            canonical.clear();
            let label = ("a", format!("{number:04000}"));
            encode_stream(&mut canonical, &Stream::new("t", [label]).unwrap());
            known.get(&canonical).unwrap();
            assert!(known.bytes <= NODE_STREAMS_CACHED_BYTES_MAX);
        }
        assert!(known.get(b"no stream").is_err());
    }

    #[test]
    fn columns_of_every_width_come_back() {
        for values in [vec![], vec![0, 0], vec![0, 255], vec![256, 65_535], vec![65_536, u32::MAX, 0]] {
            let mut out = Vec::new();
            put_column(&mut out, &values);
            let mut reader = Reader::new(&out);
            assert_eq!(column(&mut reader, values.len(), "x").unwrap(), values);
            assert!(reader.rest().is_empty());
        }
        assert_eq!(column(&mut Reader::new(&[3, 0, 0, 0]), 1, "x"), Err(SearchCodecError::Value("x")));
    }

    #[test]
    fn what_is_larger_than_a_frame_goes_in_several_and_loses_nothing() {
        let large: Vec<_> = (0..20).map(|n| (n as u128, n, vec![b'x'; RECORD_BYTES_MAX])).collect();
        // Streams so long that those of all records fill more than a frame.
        let value = "v".repeat(4096);
        let mut labelled = Rows::new();
        for number in 0..1500 {
            let labels = [("a", &value), ("b", &value), ("c", &value), ("d", &number.to_string())];
            let at = labelled.add_stream(Arc::new(Stream::new("t", labels).unwrap()));
            labelled.push(RecordId::from_u128(number), at, b"x");
        }
        for rows in [rows_of(7, &large), labelled] {
            let frames = encode(&rows).unwrap();
            assert!(frames.len() > 1);
            assert!(frames.iter().all(|frame| frame.len() <= NODE_FRAME_BYTES_MAX + HEAD_BYTES));
            assert_eq!(records(&decoded(&frames)), records(&[rows]));
        }
    }

    #[test]
    fn absurd_numbers_are_refused_before_memory_is_taken() {
        for head in
            [&[0xff; 9][..], &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 3, 1, b'a', 0], &[2, 0x80, 1], &[0, 0]]
        {
            assert!(decode(head).is_err(), "{head:?}");
        }
        let mut long =
            encode(&rows_of(1, &[(1, 0, vec![0; RECORD_BYTES_MAX])])).unwrap()[0][HEAD_BYTES..].to_vec();
        assert!(decode(&long).is_ok());
        let length_at = long.len() - RECORD_BYTES_MAX - 4;
        long[length_at] = 1;
        long.push(0);
        assert_eq!(decode(&long), Err(SearchCodecError::Value("lengths")));
    }
}
