//! What the HTTP server asks of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::watch;
use weir_api::backend::{
    ApiError, Backend, Durability, ErrorKind, HistogramAnswer, HistogramRequest, IdempotencyKey, Incoming,
    IngestRequest, Ingested, PeerBackend, PluginInfo, QueryAnswer, QueryRequest, StreamInfo, TailAnswer,
    TailRequest,
};
use weir_api::format::rfc3339_ms;
use weir_api::oklog::Oklog;
use weir_record::limits::{BATCH_BYTES_MAX, EVENT_TIME_AHEAD_MS_MAX};
use weir_record::lines::{Group, Payloads};
use weir_record::mint::{keyed_id, push_id};
use weir_record::{Batch, BatchFlags, Stream};
use weir_storage::{CommitError, Entry};

use crate::catalog;
use crate::clock;
use crate::config;
use crate::handover::Handover;
use crate::histogram;
use crate::idempotency::{Answers, Turn};
use crate::ingest::{Ingest, StoreError, marked};
use crate::metrics::Metrics;
use crate::oklog::Foreign;
use crate::queries::Queries;
use crate::serving::Serving;
use crate::snapshots::{HeldByIngest, Holder};
use crate::sources::Sources;
use crate::tail::Merged;

/// The roles of this process, as the server sees them.
pub(crate) struct NodeBackend {
    /// `None` without the ingest role.
    pub(crate) ingest: Option<Arc<Ingest>>,
    pub(crate) handover: Option<Arc<Handover>>,
    pub(crate) queries: Queries,
    pub(crate) tails: Merged,
    pub(crate) holder: Holder,
    pub(crate) serving: Arc<Serving>,
    pub(crate) oklog: Foreign,
    pub(crate) sources: Arc<Sources>,
    pub(crate) answers: Answers,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether there are stores that records can be handed to.
    pub(crate) replicates: bool,
    pub(crate) data_dir: std::path::PathBuf,
    pub(crate) ready: AtomicBool,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Backend for NodeBackend {
    fn ingest(&self, request: IngestRequest) -> BoxFuture<'_, Result<Ingested, ApiError>> {
        Box::pin(async move {
            let Some(key) = request.key.clone() else { return self.store(request).await };
            match self.answers.begin(key.as_str(), clock::now_ms()).await {
                Turn::Repeat(answer) => Ok(answer),
                Turn::First(turn) => {
                    let answer = self.store(request).await?;
                    turn.finish(answer);
                    Ok(answer)
                }
            }
        })
    }

    fn query(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        Box::pin(self.queries.start(request))
    }

    fn tail(&self, request: TailRequest) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        Box::pin(async move {
            let TailAnswer { events } = self.tails.tail(request).await?;
            // A tail has no end of its own, and would keep the server from stopping.
            let mut stopping = self.stopping.clone();
            let stopped = async move { stopping.wait_for(|stopping| *stopping).await.map(drop).ok() };
            Ok(TailAnswer { events: events.take_until(stopped).boxed() })
        })
    }

    fn histogram(&self, request: HistogramRequest) -> BoxFuture<'_, Result<HistogramAnswer, ApiError>> {
        Box::pin(histogram::count(&self.queries, self.held_ms(), request))
    }

    fn oklog(&self) -> Option<&dyn Oklog> {
        Some(self)
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<StreamInfo>, ApiError>> {
        let holder = self.holder.clone();
        Box::pin(async move {
            let streams = tokio::task::spawn_blocking(move || catalog::streams(&holder)).await;
            streams.map_err(|_| ApiError::internal("listing the streams has panicked"))
        })
    }

    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginInfo>, ApiError>> {
        Box::pin(async move { Ok(self.sources.plugins()) })
    }

    fn metrics(&self) -> String {
        self.refresh();
        self.metrics.text()
    }

    fn ready(&self) -> Result<(), String> {
        if *self.stopping.borrow() {
            return Err("the node is shutting down".into());
        }
        if !self.ready.load(Ordering::Acquire) {
            return Err("the node is starting".into());
        }
        Ok(())
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(async {
            Err(ApiError::new(ErrorKind::NotYet, "not_yet", "reloading comes with a later version")
                .hint("restart the node: nothing acknowledged is lost"))
        })
    }

    fn durability_max(&self) -> Durability {
        if self.replicates { Durability::Replicated } else { Durability::Stored }
    }

    fn peer(&self) -> Option<&dyn PeerBackend> {
        Some(&*self.serving)
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
}

impl NodeBackend {
    /// Metrics that are read off when somebody asks.
    fn refresh(&self) {
        if let Some(ingest) = &self.ingest {
            let queue = ingest.committer_metrics();
            self.metrics.commit_queue_entries.set(queue.queue_entries as i64);
            self.metrics.commit_queue_bytes.set(queue.queue_bytes as i64);
        }
        if let Some(HeldByIngest { log, backlog, .. }) = &self.holder.ingest {
            let snapshot = log.snapshot();
            self.metrics.log_pieces.set(snapshot.pieces.len() as i64);
            self.metrics.log_records.set(snapshot.records() as i64);
            self.metrics
                .log_bytes
                .set(snapshot.pieces.iter().map(|piece| piece.committed_bytes() as i64).sum());
            let sums = backlog.sums();
            self.metrics.backlog_origins.set(sums.origins as i64);
            self.metrics.backlog_bytes.set(sums.bytes as i64);
        }
        if let Some(handover) = &self.handover {
            let (_, age_ms, poisoned) = handover.waiting(clock::now_ms());
            self.metrics.backlog_age_seconds.set(age_ms.unwrap_or(0) as f64 / 1e3);
            self.metrics.backlog_poisoned.set(poisoned.len() as i64);
        }
        if let Some(store) = &self.holder.store {
            self.metrics.store_segments.set(store.snapshot().segments.len() as i64);
            self.metrics.store_bytes.set(store.bytes() as i64);
            self.metrics.store_full.set(i64::from(store.is_full()));
            self.metrics.compacted_bytes.set(store.counters().compacted_out_bytes as f64);
        }
        if let Ok(space) = weir_storage::Disk::space(&weir_storage::disk::real::RealDisk, &self.data_dir) {
            self.metrics.disk_free_bytes.set(space.free_bytes as f64);
        }
        self.sources.refresh();
    }

    /// Times of the oldest and the newest record that this node holds.
    fn held_ms(&self) -> Option<(u64, u64)> {
        let (low, high) = self.holder.pin().id_range()?;
        Some((low.time_ms(), high.time_ms()))
    }

    /// The ingest role, or why there is none.
    fn ingest_role(&self) -> Result<&Arc<Ingest>, ApiError> {
        self.ingest.as_ref().ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, "no_ingest", "this node takes no records")
                .hint("send them to a node with the role ingest")
        })
    }

    async fn store(&self, request: IngestRequest) -> Result<Ingested, ApiError> {
        let ingest = self.ingest_role()?;
        let batches = match request.records {
            Incoming::Lines { stream, groups } => batches_of(ingest, &stream, groups, request.key.as_ref())?,
            Incoming::Batches { batches, sent_at_ms } => {
                check_clock(sent_at_ms)?;
                check_ids(ingest, &batches)?;
                batches
            }
        };
        let records = batches.iter().map(|batch| batch.count() as u64).sum();
        let ids = batches.iter().map(Batch::id_range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let durability = match request.durability {
            Durability::Received => config::Durability::Received,
            Durability::Stored => config::Durability::Stored,
            Durability::Replicated => config::Durability::Replicated,
        };
        let entries = entries_of(batches).into_iter().map(|batches| Entry { checkpoint: None, batches });
        if durability == config::Durability::Replicated {
            // Side by side: each waits for its piece to be handed over, and they are likely in one.
            let stored = entries.map(|entry| ingest.store("http", entry, durability));
            try_join_all(stored).await.map_err(|error| refused(&error))?;
        } else {
            for entry in entries {
                ingest.store("http", entry, durability).await.map_err(|error| refused(&error))?;
            }
        }
        Ok(Ingested { records, ids, durability: request.durability })
    }
}

/// Refuses ids out of bounds: one far ahead would become the floor of all ids minted after a restart.
fn check_ids(ingest: &Ingest, batches: &[Batch]) -> Result<(), ApiError> {
    let bounds = ingest.bounds();
    let ranges = batches.iter().map(Batch::id_range);
    let outside = ranges.flat_map(|(low, high)| [low, high]).find(|id| !bounds.accept(id.time_ms()));
    match outside {
        None => Ok(()),
        Some(id) => Err(ApiError::bad_request(
            "ids_out_of_bounds",
            format!(
                "record id {id} has the time {}, which this node does not take",
                rfc3339_ms(id.time_ms())
            ),
        )
        .hint("ids lie between the retention limit and ten minutes from now")),
    }
}

/// Ids for lines: minted, or made from a key that carries a time within bounds.
fn batches_of(
    ingest: &Ingest,
    stream: &Stream,
    groups: Vec<Group>,
    key: Option<&IdempotencyKey>,
) -> Result<Vec<Batch>, ApiError> {
    let time_ms = key.and_then(IdempotencyKey::time_ms).filter(|time| ingest.bounds().accept(*time));
    let mut index = 0;
    let mut batches = Vec::with_capacity(groups.len());
    for group in groups {
        let batch = if let (Some(time_ms), Some(key)) = (time_ms, key) {
            let mut runs = Vec::new();
            for payload in group.payloads.iter() {
                push_id(&mut runs, keyed_id(time_ms, key.as_str().as_bytes(), index, payload));
                index += 1;
            }
            let Payloads { ends, arena } = group.payloads;
            Batch::new(marked(stream, group.part), BatchFlags::KEYED, runs, ends, arena)
        } else {
            ingest.minted(stream, group)
        };
        let batch = batch.map_err(|error| ApiError::internal(error.to_string()))?;
        batches.push(batch);
    }
    Ok(batches)
}

/// Batches packed into as few entries as a frame allows: each entry is stored whole or not at all.
fn entries_of(batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut entries: Vec<Vec<Batch>> = Vec::new();
    let mut bytes = 0;
    for batch in batches {
        if entries.is_empty() || bytes + batch.payload_bytes() > BATCH_BYTES_MAX {
            entries.push(Vec::new());
            bytes = 0;
        }
        bytes += batch.payload_bytes();
        if let Some(last) = entries.last_mut() {
            last.push(batch);
        }
    }
    entries
}

fn check_clock(sent_at_ms: u64) -> Result<(), ApiError> {
    let now_ms = clock::now_ms();
    if now_ms.abs_diff(sent_at_ms) <= EVENT_TIME_AHEAD_MS_MAX {
        return Ok(());
    }
    let message = format!(
        "the sender's clock says {sent_at_ms} ms and this node's {now_ms} ms: more than ten minutes apart"
    );
    Err(ApiError::bad_request("clock_skew", message)
        .hint("mend the clock that is wrong, then send again with the same ids"))
}

fn refused(error: &StoreError) -> ApiError {
    let text = error.to_string();
    match error {
        StoreError::Commit(CommitError::DiskFull) => ApiError::new(ErrorKind::DiskFull, "disk_full", text)
            .hint("free space or raise storage.full_at; the node takes records again by itself"),
        StoreError::Commit(CommitError::TooLarge(_)) => ApiError::new(ErrorKind::TooLarge, "too_large", text),
        StoreError::Commit(CommitError::Poisoned(_)) => {
            ApiError::new(ErrorKind::Unavailable, "log_failed", "the ingest log failed; the node stops")
                .detail(text)
        }
        StoreError::Commit(_) | StoreError::Closed => {
            ApiError::new(ErrorKind::Unavailable, "stopping", "the node is shutting down")
        }
    }
}
