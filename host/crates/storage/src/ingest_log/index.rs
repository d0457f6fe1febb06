//! What lies where in a piece.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_record::{RecordId, Stream};

/// One batch of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEntry {
    /// Lowest id.
    pub low: RecordId,
    /// Highest id.
    pub high: RecordId,
    /// Where the frame begins that holds it, in bytes from the start of the file.
    pub frame_offset: u64,
    /// Length of that frame, header included.
    pub frame_bytes: u32,
    /// Where the batch begins, in bytes from the start of the frame.
    pub batch_offset: u32,
    /// Which stream, as an index of [`PieceIndex::streams`].
    pub stream: u32,
    /// Number of records, at least one.
    pub count: u32,
    /// Bytes of the payloads.
    pub payload_bytes: u32,
}

impl BatchEntry {
    /// Where the frame ends, in bytes from the start of the file.
    pub fn frame_end(&self) -> u64 {
        self.frame_offset + u64::from(self.frame_bytes)
    }
}

/// One stream of a piece, with the sums over its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// The stream.
    pub stream: Arc<Stream>,
    /// Lowest id.
    pub low: RecordId,
    /// Highest id.
    pub high: RecordId,
    /// Records.
    pub records: u64,
    /// Bytes of the payloads.
    pub payload_bytes: u64,
}

/// Streams and batches of a piece, in the order of their first appearance, and the sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceIndex {
    streams: Vec<StreamEntry>,
    batches: Vec<BatchEntry>,
    low: RecordId,
    high: RecordId,
    records: u64,
    payload_bytes: u64,
}

impl Default for PieceIndex {
    fn default() -> PieceIndex {
        PieceIndex {
            streams: Vec::new(),
            batches: Vec::new(),
            low: RecordId::MAX,
            high: RecordId::MIN,
            records: 0,
            payload_bytes: 0,
        }
    }
}

impl PieceIndex {
    /// The streams.
    pub fn streams(&self) -> &[StreamEntry] {
        &self.streams
    }

    /// The batches, in the order in which they lie in the file.
    pub fn batches(&self) -> &[BatchEntry] {
        &self.batches
    }

    /// Lowest id, [`RecordId::MAX`] without records.
    pub fn low(&self) -> RecordId {
        self.low
    }

    /// Highest id, [`RecordId::MIN`] without records.
    pub fn high(&self) -> RecordId {
        self.high
    }

    /// Records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of the payloads.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    pub(crate) fn push_stream(&mut self, stream: Arc<Stream>) {
        self.streams.push(StreamEntry {
            stream,
            low: RecordId::MAX,
            high: RecordId::MIN,
            records: 0,
            payload_bytes: 0,
        });
    }

    /// Adds a batch and its sums. False, and nothing is added, when its stream is not there.
    pub(crate) fn push_batch(&mut self, batch: BatchEntry) -> bool {
        let Some(stream) = self.streams.get_mut(batch.stream as usize) else { return false };
        stream.low = stream.low.min(batch.low);
        stream.high = stream.high.max(batch.high);
        stream.records += u64::from(batch.count);
        stream.payload_bytes += u64::from(batch.payload_bytes);
        self.low = self.low.min(batch.low);
        self.high = self.high.max(batch.high);
        self.records += u64::from(batch.count);
        self.payload_bytes += u64::from(batch.payload_bytes);
        self.batches.push(batch);
        true
    }
}

/// The stream table of a piece while it is filled: finds the number of a stream by its encoded bytes.
#[derive(Debug, Default)]
pub(crate) struct StreamTable {
    places: BTreeMap<Box<[u8]>, u32>,
    bytes: usize,
}

impl StreamTable {
    /// The number of a stream, and whether it is new.
    pub(crate) fn place(&mut self, encoded: &[u8]) -> (u32, bool) {
        if let Some(&place) = self.places.get(encoded) {
            return (place, false);
        }
        let place = self.places.len() as u32;
        self.places.insert(encoded.into(), place);
        self.bytes += encoded.len();
        (place, true)
    }

    pub(crate) fn contains(&self, encoded: &[u8]) -> bool {
        self.places.contains_key(encoded)
    }

    /// Encoded bytes of all streams.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the streams from number `count` on.
    pub(crate) fn truncate(&mut self, count: usize) {
        let bytes = &mut self.bytes;
        self.places.retain(|encoded, place| {
            let kept = (*place as usize) < count;
            if !kept {
                *bytes -= encoded.len();
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_keep_their_numbers_and_can_be_taken_back() {
        let mut table = StreamTable::default();
        assert_eq!(
            (table.place(b"abc"), table.place(b"d"), table.place(b"abc")),
            ((0, true), (1, true), (0, false))
        );
        table.truncate(1);
        assert_eq!((table.bytes(), table.contains(b"abc"), table.contains(b"d")), (3, true, false));
        assert_eq!(table.place(b"e"), (1, true));
    }

    #[test]
    fn a_batch_of_an_unknown_stream_is_not_added() {
        let mut index = PieceIndex::default();
        let batch = BatchEntry {
            low: RecordId::MIN,
            high: RecordId::MIN,
            frame_offset: 64,
            frame_bytes: 50,
            batch_offset: 20,
            stream: 0,
            count: 1,
            payload_bytes: 3,
        };
        assert!(!index.push_batch(batch));
        index.push_stream(Arc::new(Stream::new::<&str, &str>("t", []).unwrap()));
        assert!(index.push_batch(batch));
        assert_eq!((index.records(), index.payload_bytes(), index.streams()[0].records), (1, 3, 1));
        assert_eq!((index.low(), index.high()), (RecordId::MIN, RecordId::MIN));
    }
}
