//! Records on their way into a stage of a query, and what may come out of one.

use weir_record::RecordId;

use crate::batch::{BatchLimits, PluginBatch, PluginBatchError, RawBatch};
use crate::wit::v1::weir::plugin::types;

/// Records for one call, in buffers that are used again for the next.
#[derive(Debug)]
pub struct StageBatch(pub(crate) types::Batch);

impl Default for StageBatch {
    fn default() -> StageBatch {
        StageBatch(empty())
    }
}

impl StageBatch {
    /// Takes all records out.
    pub fn clear(&mut self) {
        let types::Batch { arena, ends, times, stream_of, streams, keys, ids } = &mut self.0;
        arena.clear();
        ends.clear();
        times.clear();
        stream_of.clear();
        streams.clear();
        keys.clear();
        ids.clear();
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.0.ends.len()
    }

    /// Payload bytes of all.
    pub fn payload_bytes(&self) -> usize {
        self.0.arena.len()
    }

    /// The payload of one record.
    ///
    /// # Panics
    /// When there is no such record.
    pub fn payload(&self, index: usize) -> &[u8] {
        let from = if index == 0 { 0 } else { self.0.ends[index - 1] as usize };
        &self.0.arena[from..self.0.ends[index] as usize]
    }

    /// Adds payloads: all bytes, and where in them each ends.
    pub fn extend(&mut self, arena: &[u8], ends: &[u32]) {
        let before = self.0.arena.len() as u32;
        self.0.arena.extend_from_slice(arena);
        self.0.ends.extend(ends.iter().map(|end| before + end));
    }

    /// Leaves those records for which `keep` says so of their number, where they are. Side columns are forgotten: the
    /// next stage sets its own.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let types::Batch { arena, ends, times, stream_of, streams, ids, .. } = &mut self.0;
        let (mut from, mut kept, mut filled) = (0, 0, 0);
        for index in 0..ends.len() {
            let end = ends[index] as usize;
            if keep(index) {
                arena.copy_within(from..end, filled);
                filled += end - from;
                ends[kept] = filled as u32;
                kept += 1;
            }
            from = end;
        }
        ends.truncate(kept);
        arena.truncate(filled);
        times.clear();
        stream_of.clear();
        streams.clear();
        ids.clear();
    }

    /// Gives each record its time, that of its id. Only for a stage that reads times.
    pub fn set_times(&mut self, ids: impl Iterator<Item = RecordId>) {
        self.0.times.clear();
        self.0.times.extend(ids.map(|id| id.time_ms() * 1_000_000));
    }

    /// Gives each record its id. Only for a stage that reads ids.
    pub fn set_ids(&mut self, ids: impl Iterator<Item = RecordId>) {
        self.0.ids.clear();
        ids.for_each(|id| self.0.ids.extend_from_slice(&id.to_bytes()));
    }

    /// Gives each record its stream: `_topic` and labels per stream, and per record which. Only for a stage that
    /// reads streams.
    pub fn set_streams(&mut self, streams: Vec<Vec<(String, String)>>, stream_of: impl Iterator<Item = u16>) {
        self.0.streams = streams;
        self.0.stream_of.clear();
        self.0.stream_of.extend(stream_of);
    }
}

/// What a rewrite has made of records.
#[derive(Debug)]
pub struct Rewritten {
    /// The records that are left, their payloads only.
    pub records: PluginBatch,
    /// Which record each comes from; goes up.
    pub came_from: Vec<u32>,
}

/// Which rule the answer of a stage breaks. Nothing of it is used; the instance that gave it is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageOutputError {
    /// A bitmap of the wrong length.
    #[error("a bitmap of {got} bytes for {records} records, which take {wanted}")]
    Bitmap {
        /// Its bytes.
        got: usize,
        /// Records that were asked about.
        records: usize,
        /// The bytes that it should have.
        wanted: usize,
    },
    /// Bits set behind the last record.
    #[error("a bitmap with bits set behind the last record")]
    SpareBits,
    /// Another number of origins than records.
    #[error("came-from has {got} entries for {records} records")]
    CameFrom {
        /// Its entries.
        got: usize,
        /// Records in the answer.
        records: usize,
    },
    /// A record of no record, or of one before the last one's.
    #[error("came-from does not go up within the {records} records that were given, at entry {index}")]
    CameFromDown {
        /// Where.
        index: usize,
        /// Records that were given.
        records: usize,
    },
    /// State of an aggregate that is too large.
    #[error("a partial of {got} bytes, at most {max} are taken")]
    Partial {
        /// Its bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// More hints than are taken.
    #[error("{got} words and literals hinted at, at most {max} are taken")]
    Hints {
        /// How many.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A hint that is no word or says nothing.
    #[error("the hint {0:?} is no whole word: letters, digits, _ and bytes from 0x80 up")]
    NoWord(String),
    /// A list of alternatives without any: it would never hold.
    #[error("a hint without alternatives")]
    EmptyHint,
    /// The answer's records break a rule.
    #[error(transparent)]
    Batch(#[from] PluginBatchError),
}

pub(crate) fn empty() -> types::Batch {
    types::Batch {
        arena: Vec::new(),
        ends: Vec::new(),
        times: Vec::new(),
        stream_of: Vec::new(),
        streams: Vec::new(),
        keys: Vec::new(),
        ids: Vec::new(),
    }
}

/// A bitmap over so many records, checked.
pub(crate) fn check_bitmap(bitmap: &[u8], records: usize) -> Result<(), StageOutputError> {
    let wanted = records.div_ceil(8);
    if bitmap.len() != wanted {
        return Err(StageOutputError::Bitmap { got: bitmap.len(), records, wanted });
    }
    match bitmap.last() {
        Some(last) if !records.is_multiple_of(8) && last >> (records % 8) != 0 => {
            Err(StageOutputError::SpareBits)
        }
        _ => Ok(()),
    }
}

/// Origins of the records of an answer, checked.
pub(crate) fn check_came_from(came_from: &[u32], kept: usize, given: usize) -> Result<(), StageOutputError> {
    if came_from.len() != kept {
        return Err(StageOutputError::CameFrom { got: came_from.len(), records: kept });
    }
    let mut least = 0;
    for (index, &from) in came_from.iter().enumerate() {
        if from < least || from as usize >= given {
            return Err(StageOutputError::CameFromDown { index, records: given });
        }
        least = from + 1;
    }
    Ok(())
}

/// Records as a stage handed them over, checked.
pub(crate) fn check_records(records: types::Batch) -> Result<PluginBatch, StageOutputError> {
    let types::Batch { arena, ends, times, stream_of, streams, keys, ids } = records;
    if !ids.is_empty() {
        return Err(PluginBatchError::Ids.into());
    }
    Ok(PluginBatch::new(RawBatch { arena, ends, times, stream_of, streams, keys }, BatchLimits::MAX)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_have_a_bit_for_each_record_and_no_more() {
        for (bitmap, records, is_right) in [
            (&[][..], 0, true),
            (&[0], 0, false),
            (&[1], 1, true),
            (&[2], 1, false),
            (&[0xff], 8, true),
            (&[0xff], 9, false),
            (&[0xff, 1], 9, true),
            (&[0xff, 3], 9, false),
            (&[0xff, 0, 0], 9, false),
        ] {
            assert_eq!(check_bitmap(bitmap, records).is_ok(), is_right, "{bitmap:?} of {records}");
        }
    }

    #[test]
    fn origins_go_up_within_what_was_given() {
        for (came_from, kept, given, is_right) in [
            (&[][..], 0, 3, true),
            (&[0, 2], 2, 3, true),
            (&[0], 2, 3, false),
            (&[0, 0], 2, 3, false),
            (&[2, 1], 2, 3, false),
            (&[3], 1, 3, false),
            (&[u32::MAX], 1, 3, false),
        ] {
            assert_eq!(check_came_from(came_from, kept, given).is_ok(), is_right, "{came_from:?}");
        }
    }

    #[test]
    fn buffers_are_used_again() {
        let mut batch = StageBatch::default();
        batch.extend(b"abc", &[1, 3]);
        batch.extend(b"d", &[1, 1]);
        let payloads = |batch: &StageBatch| {
            (0..batch.count()).map(|index| batch.payload(index).to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(payloads(&batch), [&b"a"[..], b"bc", b"d", b""]);
        batch.retain(|index| index > 0);
        assert_eq!(payloads(&batch), [&b"bc"[..], b"d", b""]);
        batch.retain(|index| index != 1);
        assert_eq!(payloads(&batch), [&b"bc"[..], b""]);
        batch.extend(b"e", &[1]);
        assert_eq!(payloads(&batch), [&b"bc"[..], b"", b"e"]);
        batch.clear();
        assert_eq!((batch.count(), batch.payload_bytes()), (0, 0));
    }
}
