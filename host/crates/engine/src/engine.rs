//! The engine as its callers see it.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_query::{Matcher, Order, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::QUERY_SCAN_BYTES_MIN;
use weir_storage::Snapshot;

use crate::cancel::Cancel;
use crate::piece::Piece;
use crate::pool::Pool;
use crate::query::{Mode, Query};

/// How an engine is set up.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Worker threads, at least one; as many as there are cores is a good choice. The thread that calls
    /// merges and sends.
    pub workers: usize,
    /// What the rows of one query may take in memory, in bytes. Default:
    /// [`QUERY_MEMORY_BYTES_MAX`](weir_record::limits::QUERY_MEMORY_BYTES_MAX). Raised to what the search of
    /// one piece takes at least. What a worker reads into (the largest frame of the log) comes on top.
    pub memory_bytes_max: usize,
}

/// What to search for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The query.
    pub matcher: Matcher,
    /// The first id, inclusive.
    pub from: RecordId,
    /// The last id, exclusive; [`RecordId::MAX`] is no end at all.
    pub to: RecordId,
    /// How many records at most; `None` for all.
    pub limit: Option<u64>,
    /// Which end first.
    pub order: Order,
}

/// Why a query gave no answer. Does not affect state: it can be asked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The client left, or its deadline passed.
    #[error("the query was cancelled")]
    Cancelled,
    /// Too many records wait for others that come before them: many pieces overlap in time.
    #[error(
        "the query needs more than {bytes_max} bytes of memory, because many records of overlapping times \
         wait to be put in order; ask for a narrower time range, fewer streams, or set a limit"
    )]
    Memory {
        /// What a query may take.
        bytes_max: usize,
    },
    /// A bug: report it. The query is lost, nothing else is.
    #[error("a worker of the query engine failed: {0}")]
    Worker(String),
}

/// Runs queries, any number at the same time.
#[derive(Debug)]
pub struct Engine {
    pub(crate) pool: Pool,
    pub(crate) memory_bytes_max: usize,
    next: AtomicU64,
}

impl Engine {
    /// Starts the workers. Fails when the system gives no thread.
    pub fn new(options: EngineOptions) -> io::Result<Engine> {
        let pool = Pool::start(options.workers.max(1))?;
        let memory_bytes_max = options.memory_bytes_max.max(QUERY_SCAN_BYTES_MIN);
        Ok(Engine { pool, memory_bytes_max, next: AtomicU64::new(0) })
    }

    /// Runs a query over what a log held at one moment, see [`Engine::run_over`].
    pub fn run(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Stats, EngineError> {
        self.run_over(plan, pieces(snapshot), cancel, sink)
    }

    /// Runs a query, and returns when all of the answer was sent. Blocks: not for an async task.
    ///
    /// `sink` is given the rows in order, in chunks of at most about
    /// [`QUERY_CHUNK_BYTES`](weir_record::limits::QUERY_CHUNK_BYTES), sooner when the search takes its time.
    /// While it blocks the search goes on as far as memory allows, then waits. When it breaks, the query
    /// ends and the statistics tell how far it came.
    pub fn run_over(
        &self,
        plan: &Plan,
        pieces: Vec<Arc<dyn Piece>>,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Stats, EngineError> {
        self.start(plan, pieces, cancel, Mode::Rows(sink))
    }

    /// Counts what matches, each record once; the limit does not apply. Payloads are read and tested, and
    /// never copied. The count is `records_matched` of the statistics.
    pub fn count(&self, plan: &Plan, snapshot: &Snapshot, cancel: &Cancel) -> Result<Stats, EngineError> {
        self.count_over(plan, pieces(snapshot), cancel)
    }

    /// [`Engine::count`] over other pieces.
    pub fn count_over(
        &self,
        plan: &Plan,
        pieces: Vec<Arc<dyn Piece>>,
        cancel: &Cancel,
    ) -> Result<Stats, EngineError> {
        self.start(plan, pieces, cancel, Mode::Count)
    }

    fn start(
        &self,
        plan: &Plan,
        pieces: Vec<Arc<dyn Piece>>,
        cancel: &Cancel,
        mode: Mode<'_>,
    ) -> Result<Stats, EngineError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Query::new(self, number, plan, pieces, cancel, mode).run()
    }
}

fn pieces(snapshot: &Snapshot) -> Vec<Arc<dyn Piece>> {
    snapshot.pieces.iter().map(|piece| Arc::clone(piece) as Arc<dyn Piece>).collect()
}
