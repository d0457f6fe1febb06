//! Records of an answer, many at a time.

use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::{RecordId, Stream};

/// Records of an answer in flat buffers. Each stream is said once per chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    ids: Vec<RecordId>,
    streams: Vec<Arc<Stream>>,
    stream_of: Vec<u32>,
    ends: Vec<u32>,
    arena: Vec<u8>,
    // Empty when no row has a mark that says something.
    marks: Vec<Mark>,
}

/// What a record of an answer with context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Whether it is no hit, but stands near one.
    pub is_context: bool,
    /// Whether it begins a group, and is not the first record of the answer.
    pub begins_group: bool,
}

/// One record of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The id, which is also the time.
    pub id: RecordId,
    /// Where it comes from.
    pub stream: &'a Arc<Stream>,
    /// The bytes.
    pub payload: &'a [u8],
}

impl Rows {
    /// What a record takes beside its payload, in bytes.
    pub const ROW_BYTES: usize = size_of::<RecordId>() + 2 * size_of::<u32>();

    /// No rows.
    pub fn new() -> Rows {
        Rows::default()
    }

    /// Rows of their columns, which are those that the functions below return; `None` when they do not fit
    /// each other: another number of ids, streams and ends, a stream that is not there, ends that go down or
    /// end elsewhere than the arena.
    pub fn from_columns(
        ids: Vec<RecordId>,
        streams: Vec<Arc<Stream>>,
        stream_of: Vec<u32>,
        ends: Vec<u32>,
        arena: Vec<u8>,
    ) -> Option<Rows> {
        let counts_fit = ids.len() == stream_of.len() && ids.len() == ends.len();
        let streams_fit = stream_of.iter().max().is_none_or(|&last| (last as usize) < streams.len());
        let ends_fit = ends.is_sorted() && ends.last().map_or(0, |&end| end as usize) == arena.len();
        (counts_fit && streams_fit && ends_fit).then_some(Rows {
            ids,
            streams,
            stream_of,
            ends,
            arena,
            marks: Vec::new(),
        })
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What the records take in memory, in bytes, without their streams.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.ids.len() * Rows::ROW_BYTES
    }

    /// Payload bytes of all records.
    pub fn payload_bytes(&self) -> usize {
        self.arena.len()
    }

    /// The ids, in order.
    pub fn ids(&self) -> &[RecordId] {
        &self.ids
    }

    /// The streams that [`Rows::stream_of`] refers to.
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.streams
    }

    /// Per record the number of its stream.
    pub fn stream_of(&self) -> &[u32] {
        &self.stream_of
    }

    /// Where each payload ends in the arena.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// All payloads, one after the other.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// One record, `None` past the end.
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        let id = *self.ids.get(index)?;
        Some(Row { id, stream: &self.streams[self.stream_of[index] as usize], payload: self.payload(index) })
    }

    /// All records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.ids.iter().enumerate().map(|(index, &id)| Row {
            id,
            stream: &self.streams[self.stream_of[index] as usize],
            payload: self.payload(index),
        })
    }

    /// The payload of one record.
    ///
    /// # Panics
    /// When there is no such record.
    pub fn payload(&self, index: usize) -> &[u8] {
        let from = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.arena[from..self.ends[index] as usize]
    }

    /// Adds a stream, for [`Rows::push`]. Whether it is there already is the caller's to know.
    pub fn add_stream(&mut self, stream: Arc<Stream>) -> u32 {
        self.streams.push(stream);
        (self.streams.len() - 1) as u32
    }

    /// Whether a payload of `bytes` has room: the buffer ends at 4 GiB.
    pub fn fits(&self, bytes: usize) -> bool {
        u32::try_from(self.arena.len() + bytes).is_ok()
    }

    /// Adds a record of a stream added before.
    ///
    /// # Panics
    /// When the stream is not there, or the payload does not [fit](Rows::fits).
    pub fn push(&mut self, id: RecordId, stream: u32, payload: &[u8]) {
        assert!((stream as usize) < self.streams.len(), "rows refer to streams that were added");
        assert!(self.fits(payload.len()), "rows end at 4 GiB");
        self.arena.extend_from_slice(payload);
        self.ids.push(id);
        self.stream_of.push(stream);
        self.ends.push(self.arena.len() as u32);
        if !self.marks.is_empty() {
            self.marks.push(Mark::default());
        }
    }

    /// Adds a record with a mark; else as [`Rows::push`].
    pub fn push_marked(&mut self, id: RecordId, stream: u32, payload: &[u8], mark: Mark) {
        self.push(id, stream, payload);
        if mark != Mark::default() {
            self.marks.resize(self.ids.len(), Mark::default());
        }
        if let Some(last) = self.marks.last_mut() {
            *last = mark;
        }
    }

    /// The mark of a record; the default one where none was given. Marks do not go over the wire.
    pub fn mark(&self, index: usize) -> Mark {
        self.marks.get(index).copied().unwrap_or_default()
    }

    /// Whether any record has a mark that says something.
    pub fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The first so many records.
    #[must_use]
    pub fn first(mut self, count: usize) -> Rows {
        let Rows { ids, stream_of, ends, arena, marks, .. } = &mut self;
        ids.truncate(count);
        stream_of.truncate(count);
        ends.truncate(count);
        arena.truncate(ends.last().map_or(0, |end| *end as usize));
        marks.truncate(count);
        self
    }

    /// Forgets records and streams, and keeps the room.
    pub fn clear(&mut self) {
        let Rows { ids, streams, stream_of, ends, arena, marks } = self;
        ids.clear();
        streams.clear();
        stream_of.clear();
        ends.clear();
        arena.clear();
        marks.clear();
    }

    /// Makes room for so many records and payload bytes more.
    pub fn reserve(&mut self, records: usize, payload_bytes: usize) {
        self.ids.reserve(records);
        self.stream_of.reserve(records);
        self.ends.reserve(records);
        self.arena.reserve(payload_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let none: [(&str, &str); 0] = [];
        let mut rows = Rows::new();
        assert!(rows.is_empty());
        let first = rows.add_stream(Arc::new(Stream::new("a", none).unwrap()));
        let second = rows.add_stream(Arc::new(Stream::new("b", none).unwrap()));
        let pushed = [(3, second, &b"x"[..]), (1, first, b""), (2, second, b"yz")];
        for (id, stream, payload) in pushed {
            rows.push(RecordId::from_u128(id), stream, payload);
        }
        let back: Vec<_> =
            rows.iter().map(|row| (row.id.to_u128(), row.stream.topic(), row.payload)).collect();
        assert_eq!(back, [(3, "b", &b"x"[..]), (1, "a", b""), (2, "b", b"yz")]);
        assert_eq!(rows.get(2).unwrap(), rows.iter().nth(2).unwrap());
        assert_eq!(rows.get(3), None);
        assert_eq!((rows.count(), rows.payload_bytes()), (3, 3));
        assert_eq!(rows.bytes(), 3 + 3 * Rows::ROW_BYTES);
        for (count, left) in [(0, (0, 0)), (1, (1, 1)), (3, (3, 3)), (4, (3, 3))] {
            let first = rows.clone().first(count);
            assert_eq!((first.count(), first.payload_bytes()), left);
        }
    }

    #[test]
    fn columns_that_do_not_fit_each_other_are_no_rows() {
        let none: [(&str, &str); 0] = [];
        let stream = Arc::new(Stream::new("a", none).unwrap());
        let of = |ids: usize, stream_of: &[u32], ends: &[u32], arena: &[u8]| {
            let ids = alloc::vec![RecordId::MIN; ids];
            let streams = alloc::vec![stream.clone()];
            Rows::from_columns(ids, streams, stream_of.to_vec(), ends.to_vec(), arena.to_vec())
        };
        let rows = of(2, &[0, 0], &[1, 3], b"xyz").unwrap();
        assert_eq!(rows.iter().map(|row| row.payload).collect::<Vec<_>>(), [&b"x"[..], b"yz"]);
        assert_eq!(of(0, &[], &[], b"").map(|rows| rows.count()), Some(0));
        for (ids, stream_of, ends, arena) in [
            (1, &[0, 0][..], &[1, 3][..], &b"xyz"[..]),
            (2, &[0], &[1, 3], b"xyz"),
            (2, &[0, 0], &[3], b"xyz"),
            (2, &[0, 1], &[1, 3], b"xyz"),
            (2, &[0, 0], &[3, 1], b"x"),
            (2, &[0, 0], &[1, 2], b"xyz"),
            (0, &[], &[], b"x"),
        ] {
            assert_eq!(of(ids, stream_of, ends, arena), None, "{ids} {stream_of:?} {ends:?}");
        }
    }
}
