//! The engine as its callers see it.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use weir_query::{Buckets, Fingerprint, Histogram, Matcher, Order, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::QUERY_SCAN_BYTES_MIN;
use weir_storage::Snapshot;

use crate::budget::Budget;
use crate::cancel::Cancel;
use crate::count::{count, count_rest, pass, pass_rest, suspects};
use crate::damaged::Damaged;
use crate::ledger::{Answer, Ledger};
use crate::piece::Piece;
use crate::pool::Pool;
use crate::query::{Mode, Over, Query};
use crate::searchable::{Searchable, Share};
use crate::stages::{StageFailure, Stages};

/// How an engine is set up.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Worker threads, at least one; as many as there are cores is a good choice. The thread that calls
    /// merges and sends.
    pub workers: usize,
    /// What the rows of one query may take in memory, in bytes. Default:
    /// [`QUERY_MEMORY_BYTES_MAX`](weir_record::limits::QUERY_MEMORY_BYTES_MAX). Raised to what the search of
    /// one piece takes at least. What a worker reads into (the largest frame of the log, or a
    /// block of a segment and its columns) comes on top.
    pub memory_bytes_max: usize,
    /// What the rows of all queries together may take, in bytes. Default:
    /// [`QUERIES_MEMORY_BYTES_MAX`](weir_record::limits::QUERIES_MEMORY_BYTES_MAX). Raised to what one may take.
    pub memory_bytes_all_max: usize,
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
    /// Whether damage in a segment ends the query with [`EngineError::Damaged`], behind the rows that come before
    /// it: somebody else may have what was lost. Else the query goes on without.
    pub whole: bool,
    /// What matching records go through before they count as found.
    pub stages: Option<Arc<dyn Stages>>,
}

impl Plan {
    /// The first and the last id, both inclusive; `None` when there is none.
    pub(crate) fn id_range(&self) -> Option<(RecordId, RecordId)> {
        let last = match self.to {
            RecordId::MAX => RecordId::MAX,
            to => RecordId::from_u128(to.to_u128().checked_sub(1)?),
        };
        (last >= self.from).then_some((self.from, last))
    }
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
    /// The queries that run at the same time need more memory together than they may, and this one could go on with
    /// no less.
    #[error(
        "the queries that run now need more than {bytes_max} bytes of memory together; ask again when others have \
         ended, or set a limit"
    )]
    MemoryOfAll {
        /// What all may take.
        bytes_max: usize,
    },
    /// A segment has lost records, and the plan asks for all or none. What was sent before is right.
    #[error("{} cannot be read: {}", .0.file.path().display(), .0.why)]
    Damaged(Box<Damaged>),
    /// A stage has failed: without it there is no right answer.
    #[error("{0}")]
    Stage(#[from] StageFailure),
    /// A bug: report it. The query is lost, nothing else is.
    #[error("a worker of the query engine failed: {0}")]
    Worker(String),
}

/// Runs queries, any number at the same time.
#[derive(Debug)]
pub struct Engine {
    pub(crate) pool: Pool,
    pub(crate) memory_bytes_max: usize,
    pub(crate) budget: Arc<Budget>,
    next: AtomicU64,
}

impl Engine {
    /// Starts the workers. Fails when the system gives no thread.
    pub fn new(options: EngineOptions) -> io::Result<Engine> {
        let pool = Pool::start(options.workers.max(1))?;
        let memory_bytes_max = options.memory_bytes_max.max(QUERY_SCAN_BYTES_MIN);
        let budget = Budget::new(options.memory_bytes_all_max.max(memory_bytes_max));
        Ok(Engine { pool, memory_bytes_max, budget, next: AtomicU64::new(0) })
    }

    /// Runs a query over what a log held at one moment, see [`Engine::run_over`].
    pub fn run(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Stats, EngineError> {
        self.run_over(plan, &pieces(snapshot), cancel, sink).map(|answer| answer.stats)
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
        over: &[Searchable],
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Answer, EngineError> {
        self.send(plan, over, cancel, Mode::Rows(sink))
    }

    /// [`Engine::run_over`] with a [`Fingerprint`](weir_query::Fingerprint) as the payload of each row, for
    /// whoever counts distinct records over several nodes. The rows are those that `run_over` sends, repeats
    /// left out; only rows that share an id may come in another order.
    pub fn hashes_over(
        &self,
        plan: &Plan,
        over: &[Searchable],
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Answer, EngineError> {
        self.send(plan, over, cancel, Mode::Prints(sink))
    }

    /// Counts what matches, each record once; the limit does not apply. Payloads are read and tested, and
    /// never copied. The count is `records_matched` of the statistics.
    pub fn count(&self, plan: &Plan, snapshot: &Snapshot, cancel: &Cancel) -> Result<Stats, EngineError> {
        self.count_over(plan, &pieces(snapshot), cancel).map(|answer| answer.stats)
    }

    /// [`Engine::count`] over other searchables. What is known without reading is not read.
    ///
    /// It relies on what the flags of origins say: an origin that is not flagged, in a unit that is not keyed,
    /// holds each record once, and none that another such origin holds.
    pub fn count_over(
        &self,
        plan: &Plan,
        over: &[Searchable],
        cancel: &Cancel,
    ) -> Result<Answer, EngineError> {
        count(self, plan, over, cancel, None)
    }

    /// Counts what matches per bucket and level, each record once, as [`Engine::count_over`] does. Only
    /// records in a bucket are looked for, so the plan's range matters where it is narrower. Levels of whole
    /// blocks are those that were guessed when they were written.
    pub fn histogram_over(
        &self,
        plan: &Plan,
        buckets: Buckets,
        over: &[Searchable],
        cancel: &Cancel,
    ) -> Result<(Histogram, Answer), EngineError> {
        let mut histogram = Histogram::new(buckets);
        let answer = count(self, plan, over, cancel, Some(&mut histogram))?;
        Ok((histogram, answer))
    }

    /// What one node among several cannot count by itself: fingerprints, as of [`Engine::hashes_over`], of the
    /// records that another one may hold as well. Those are the batches of the log and the origins that are
    /// flagged, and all that is given of keyed units: for one reader of such a unit that has it alone, give none
    /// of it.
    pub fn suspects_over(
        &self,
        plan: &Plan,
        over: &[Searchable],
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Answer, EngineError> {
        suspects(self, plan, over, cancel, Mode::Prints(sink))
    }

    /// [`Engine::histogram_over`] of what is left: without what is flagged, and without the records `known`,
    /// sorted by id, which were found by [`Engine::suspects_over`] on any node. What is given of a keyed unit
    /// must be held by no other node that counts, but for those.
    pub fn histogram_of_rest(
        &self,
        plan: &Plan,
        buckets: Buckets,
        over: &[Searchable],
        known: Vec<(RecordId, Fingerprint)>,
        cancel: &Cancel,
    ) -> Result<(Histogram, Answer), EngineError> {
        let mut histogram = Histogram::new(buckets);
        let answer = count_rest(self, plan, over, known, cancel, &mut histogram)?;
        Ok((histogram, answer))
    }

    /// Gives the plan's stages everything that matches, each record once and in no order, and keeps nothing of what they
    /// keep: for stages that sum up. What it relies on is said at [`Engine::count_over`]. Nothing when there is no stage.
    pub fn pass_over(
        &self,
        plan: &Plan,
        over: &[Searchable],
        cancel: &Cancel,
    ) -> Result<Answer, EngineError> {
        pass(self, plan, over, cancel)
    }

    /// [`Engine::pass_over`] of what is left, see [`Engine::histogram_of_rest`].
    pub fn pass_rest(
        &self,
        plan: &Plan,
        over: &[Searchable],
        known: Vec<(RecordId, Fingerprint)>,
        cancel: &Cancel,
    ) -> Result<Answer, EngineError> {
        pass_rest(self, plan, over, known, cancel)
    }

    /// The rows of which [`Engine::suspects_over`] gives the fingerprints.
    pub fn suspect_rows_over(
        &self,
        plan: &Plan,
        over: &[Searchable],
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Answer, EngineError> {
        suspects(self, plan, over, cancel, Mode::Rows(sink))
    }

    fn send(
        &self,
        plan: &Plan,
        sources: &[Searchable],
        cancel: &Cancel,
        mode: Mode<'_>,
    ) -> Result<Answer, EngineError> {
        let started = Instant::now();
        let shares: Vec<Share> = sources.iter().map(Searchable::share).collect();
        let mut ledger = Ledger::new(sources.len());
        Query::new(self, plan, Over { sources, shares: &shares }, &mut ledger, cancel, mode).run()?;
        ledger.stats().duration_ms = started.elapsed().as_millis() as u64;
        Ok(ledger.finish(sources))
    }

    /// Tells the passes of all queries apart.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a log held, to be searched.
pub fn pieces(snapshot: &Snapshot) -> Vec<Searchable> {
    snapshot.pieces.iter().map(|piece| Searchable::Log(Arc::clone(piece) as Arc<dyn Piece>)).collect()
}
