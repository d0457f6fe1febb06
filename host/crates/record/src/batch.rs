//! Many records of one stream in one flat buffer: the unit of every call, frame and ack.

use alloc::vec::Vec;

use crate::id::RecordId;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use crate::stream::Stream;

/// Consecutive ids: `first`, `first + 1`, … Most batches are one run, since a writer draws its entropy
/// once per batch and counts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRun {
    /// The first id.
    pub first: RecordId,
    /// How many, at least one.
    pub count: u32,
}

impl IdRun {
    /// The ids of the run, in order.
    pub fn ids(self) -> impl Iterator<Item = RecordId> {
        (0..u128::from(self.count)).map(move |n| RecordId::from_u128(self.first.to_u128().wrapping_add(n)))
    }

    /// The last id of the run, or `None` when the run is empty or leaves the range of ids.
    pub fn last(self) -> Option<RecordId> {
        self.first.checked_add(u128::from(self.count.checked_sub(1)?))
    }
}

/// What holds for all records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchFlags(u8);

impl BatchFlags {
    /// Nothing special: minted ids on their first sending.
    pub const NONE: BatchFlags = BatchFlags(0);
    /// The batch may have been stored before: its answer was lost, or it came from a spool.
    pub const MAYBE_REPEATED: BatchFlags = BatchFlags(1);
    /// The ids are made from keys, so that equal records get equal ids wherever they arrive.
    pub const KEYED: BatchFlags = BatchFlags(2);

    /// Flags of their byte; unknown bits are `None`.
    pub const fn from_bits(bits: u8) -> Option<BatchFlags> {
        if bits & !3 == 0 { Some(BatchFlags(bits)) } else { None }
    }

    /// The flags as a byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: BatchFlags) -> BatchFlags {
        BatchFlags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: BatchFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Records of one stream. Record `i` is `arena[ends[i - 1]..ends[i]]`, `ends[-1]` counting as 0.
///
/// Always well formed: the fields are private and every way in checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    stream: Stream,
    flags: BatchFlags,
    runs: Vec<IdRun>,
    ends: Vec<u32>,
    arena: Vec<u8>,
}

/// A batch whose parts do not fit each other. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No record, or more than [`BATCH_RECORDS_MAX`].
    #[error("a batch has 1 to {BATCH_RECORDS_MAX} records, got {0}")]
    Records(usize),
    /// More payload than [`BATCH_BYTES_MAX`].
    #[error("a batch has at most {BATCH_BYTES_MAX} payload bytes, got {0}")]
    Bytes(usize),
    /// One record longer than [`RECORD_BYTES_MAX`]: the sender should have split it.
    #[error("record {index} has {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    Record {
        /// Which record.
        index: usize,
        /// How long it is.
        bytes: usize,
    },
    /// An end below the one before it.
    #[error("the end of record {0} lies before its start")]
    EndsGoDown(usize),
    /// The last end is not the length of the arena.
    #[error("the ends cover {covered} bytes of an arena of {arena}")]
    Uncovered {
        /// The last end.
        covered: usize,
        /// Length of the arena.
        arena: usize,
    },
    /// Fewer or more ids than records, an empty run, or ids past the end of the range.
    #[error("{ids} ids for {records} records, or ids out of range")]
    Ids {
        /// Ids in all runs.
        ids: usize,
        /// Records in the batch.
        records: usize,
    },
}

impl Batch {
    /// A batch of its parts, which are checked against each other.
    pub fn new(
        stream: Stream,
        flags: BatchFlags,
        runs: Vec<IdRun>,
        ends: Vec<u32>,
        arena: Vec<u8>,
    ) -> Result<Batch, BatchError> {
        check_ends(&ends, arena.len())?;
        check_runs(&runs, ends.len())?;
        Ok(Batch { stream, flags, runs, ends, arena })
    }

    /// The stream of all records.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// What holds for all records.
    pub fn flags(&self) -> BatchFlags {
        self.flags
    }

    /// The same batch, flagged as perhaps stored before.
    #[must_use]
    pub fn maybe_repeated(mut self) -> Batch {
        self.flags = self.flags.with(BatchFlags::MAYBE_REPEATED);
        self
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all payloads.
    pub fn payload_bytes(&self) -> usize {
        self.arena.len()
    }

    /// The ids as runs, in the order of the records.
    pub fn runs(&self) -> &[IdRun] {
        &self.runs
    }

    /// Where each record ends in the arena.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// All payloads, one after the other.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// The ids, in the order of the records.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.runs.iter().flat_map(|run| run.ids())
    }

    /// Ids and payloads, in order.
    pub fn records(&self) -> impl Iterator<Item = (RecordId, &[u8])> {
        self.ids().zip(payloads(&self.ends, &self.arena))
    }

    /// The lowest and the highest id.
    pub fn id_range(&self) -> (RecordId, RecordId) {
        range_of(&self.runs)
    }
}

pub(crate) fn payloads<'a>(ends: &'a [u32], arena: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut from = 0;
    ends.iter().map(move |&end| {
        let payload = &arena[from..end as usize];
        from = end as usize;
        payload
    })
}

pub(crate) fn range_of(runs: &[IdRun]) -> (RecordId, RecordId) {
    let low = runs.iter().map(|run| run.first).min().unwrap_or(RecordId::MAX);
    let high = runs.iter().filter_map(|run| run.last()).max().unwrap_or(RecordId::MIN);
    (low, high)
}

pub(crate) fn check_ends(ends: &[u32], arena_bytes: usize) -> Result<(), BatchError> {
    if ends.is_empty() || ends.len() > BATCH_RECORDS_MAX {
        return Err(BatchError::Records(ends.len()));
    }
    if arena_bytes > BATCH_BYTES_MAX {
        return Err(BatchError::Bytes(arena_bytes));
    }
    let mut from = 0;
    for (index, &end) in ends.iter().enumerate() {
        let bytes = end.checked_sub(from).ok_or(BatchError::EndsGoDown(index))? as usize;
        if bytes > RECORD_BYTES_MAX {
            return Err(BatchError::Record { index, bytes });
        }
        from = end;
    }
    if from as usize != arena_bytes {
        return Err(BatchError::Uncovered { covered: from as usize, arena: arena_bytes });
    }
    Ok(())
}

pub(crate) fn check_runs(runs: &[IdRun], records: usize) -> Result<(), BatchError> {
    let ids = runs.iter().map(|run| run.count as usize).sum();
    if ids != records || runs.iter().any(|run| run.last().is_none()) {
        return Err(BatchError::Ids { ids, records });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn stream() -> Stream {
        Stream::new("t", [("a", "b")]).unwrap()
    }

    fn run(first: u128, count: u32) -> IdRun {
        IdRun { first: RecordId::from_u128(first), count }
    }

    #[test]
    fn records_come_back_as_they_went_in() {
        let batch = Batch::new(
            stream(),
            BatchFlags::NONE,
            vec![run(7, 2), run(3, 1)],
            vec![1, 1, 4],
            b"abcd".to_vec(),
        )
        .unwrap();
        let records: Vec<_> = batch.records().map(|(id, payload)| (id.to_u128(), payload)).collect();
        assert_eq!(records, [(7, b"a".as_slice()), (8, b""), (3, b"bcd")]);
        assert_eq!(batch.id_range(), (RecordId::from_u128(3), RecordId::from_u128(8)));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let check = |runs: Vec<IdRun>, ends: Vec<u32>, bytes: usize| {
            Batch::new(stream(), BatchFlags::NONE, runs, ends, vec![0; bytes]).unwrap_err()
        };
        assert_eq!(check(vec![], vec![], 0), BatchError::Records(0));
        assert_eq!(check(vec![run(1, 2)], vec![2, 1], 1), BatchError::EndsGoDown(1));
        assert_eq!(check(vec![run(1, 1)], vec![2], 3), BatchError::Uncovered { covered: 2, arena: 3 });
        assert_eq!(check(vec![run(1, 2)], vec![1], 1), BatchError::Ids { ids: 2, records: 1 });
        assert_eq!(check(vec![run(1, 1), run(2, 0)], vec![1], 1), BatchError::Ids { ids: 1, records: 1 });
        assert_eq!(check(vec![run(u128::MAX, 2)], vec![1, 2], 2), BatchError::Ids { ids: 2, records: 2 });
        let long = RECORD_BYTES_MAX + 1;
        assert_eq!(
            check(vec![run(1, 1)], vec![long as u32], long),
            BatchError::Record { index: 0, bytes: long }
        );
        let much = BATCH_BYTES_MAX + 1;
        assert_eq!(check(vec![run(1, 1)], vec![much as u32], much), BatchError::Bytes(much));
    }
}
