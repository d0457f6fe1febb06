//! Counts over time.

use tokio_util::sync::CancellationToken;
use weir_query::{Expr, Stage, Stats};
use weir_record::RecordId;
use weir_segment::level::LEVELS;

/// Counts wanted, parsed and resolved.
#[derive(Debug, Clone)]
pub struct HistogramRequest {
    /// The query as it was written, for logs.
    pub text: String,
    /// What it means.
    pub expr: Expr,
    /// What matching records go through; those from the first aggregate on are left out.
    pub stages: Vec<Stage>,
    /// The lowest id counted; [`RecordId::MIN`] begins with the oldest record there is.
    pub from: RecordId,
    /// The lowest id no longer counted; [`RecordId::MAX`] ends with the newest record, or now.
    pub to: RecordId,
    /// At most so many buckets: 1 to [`HISTOGRAM_BUCKETS_MAX`](weir_record::limits::HISTOGRAM_BUCKETS_MAX).
    pub buckets: usize,
    /// Cancelled when the client has gone.
    pub cancel: CancellationToken,
}

/// Counts of the records that match, each record once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramAnswer {
    /// Where the first bucket begins, in Unix milliseconds.
    pub from_ms: u64,
    /// Length of each bucket in milliseconds, at least 1. The last one may reach past the end of the range.
    pub width_ms: u64,
    /// Per bucket how many records of each level, as
    /// [`LEVEL_NAMES`](weir_segment::level::LEVEL_NAMES) names them.
    pub buckets: Vec<[u64; LEVELS]>,
    /// What was looked at, and what is missing.
    pub stats: Stats,
}
