//! Batches that can be searched.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use weir_record::{BatchView, RecordId, Stream};

/// An immutable set of batches whose outline is in memory and whose content is read when asked for: a piece
/// of the ingest log.
pub trait Piece: Debug + Send + Sync {
    /// What to call it when something in it cannot be read.
    fn name(&self) -> &str;

    /// The lowest and the highest id.
    fn id_range(&self) -> (RecordId, RecordId);

    /// The streams that [`BatchSummary::stream`] refers to.
    fn stream_count(&self) -> usize;

    /// One stream. Called with numbers below [`Piece::stream_count`] only.
    fn stream(&self, number: usize) -> &Arc<Stream>;

    /// Number of batches.
    fn batch_count(&self) -> usize;

    /// The outline of one batch. Called with places below [`Piece::batch_count`] only.
    fn batch(&self, place: usize) -> BatchSummary;

    /// Reads some batches through a buffer that is the caller's to keep. Each batch is handed over with its
    /// place, or once for several the reason why they cannot be read.
    fn read(&self, places: Range<usize>, buffer: &mut Vec<u8>, each: Views<'_>);

    /// Why records of this piece may be missing that are in no batch at all, if there is reason to think so.
    fn lost(&self) -> Option<String>;
}

/// Receives the batches that [`Piece::read`] reads.
pub type Views<'a> = &'a mut dyn FnMut(Result<(usize, BatchView<'_>), Unreadable>);

/// The outline of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSummary {
    /// Lowest id.
    pub low: RecordId,
    /// Highest id.
    pub high: RecordId,
    /// Which stream.
    pub stream: u32,
    /// Number of records.
    pub records: u32,
    /// Bytes of the payloads.
    pub payload_bytes: u32,
    /// Batches that are neighbours and have the same group are best read together.
    pub group: u64,
}

/// Batches that cannot be read. Does not affect state; all others can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Place of the first of them.
    pub first: usize,
    /// How many.
    pub batches: usize,
    /// Where they lie: file and offset.
    pub place: String,
    /// What is wrong.
    pub why: String,
}
