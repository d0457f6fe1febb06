//! The query role: compiles, waits for a place, plans over the nodes that hold records, hands rows to the client.

mod context;
mod deadline;
mod local;
mod merger;
mod planner;
mod remote;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer, QueryRequest};
use weir_engine::Plan;
use weir_query::{Buckets, Histogram, Matcher, Missing, Order, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{PLANS_MAX, QUERIES_RUNNING_MAX, QUERIES_WAITING_MAX};

use crate::metrics::Metrics;
pub(crate) use local::{Kind, Local};
use merger::Merger;
pub(crate) use planner::Planner;
use planner::{Planned, Reach, Search};

/// Chunks of rows between two stages: enough that neither waits for the other's scheduling.
const CHUNKS_AHEAD: usize = 4;

/// Runs queries over this node, and over others when there are any.
pub(crate) struct Queries {
    local: Arc<Local>,
    /// `None` for a node that is alone.
    planner: Option<Arc<Planner>>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// How long one may take.
    time_max: Option<Duration>,
    metrics: Arc<Metrics>,
}

/// A part of an answer under way.
struct Stream {
    /// What to call its node.
    node: String,
    rows: mpsc::Receiver<Rows>,
    /// How it ended; sent after the last rows.
    done: oneshot::Receiver<Result<Stats, String>>,
    range: (RecordId, RecordId),
}

impl Queries {
    /// A query role over this node and those that the planner knows.
    pub(crate) fn new(
        local: Arc<Local>,
        planner: Option<Arc<Planner>>,
        time_max: Option<Duration>,
        metrics: Arc<Metrics>,
    ) -> Arc<Queries> {
        let running = Arc::new(Semaphore::new(QUERIES_RUNNING_MAX));
        Arc::new(Queries { local, planner, running, waiting: AtomicUsize::new(0), time_max, metrics })
    }

    /// Starts a query; its rows come through the answer.
    pub(crate) async fn start(self: &Arc<Self>, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let cancel = request.cancel.child_token();
        let request = QueryRequest { cancel: cancel.clone(), ..request };
        let started = async {
            if request.context.is_none() {
                self.hits(request).await
            } else {
                self.with_context(request).await
            }
        };
        match self.time_max {
            Some(time_max) => deadline::within(time_max, cancel, started).await,
            None => started.await,
        }
    }

    /// Starts a query for what matches.
    async fn hits(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let Some(planner) = &self.planner else { return self.here(request).await };
        let plan = plan_of(&request)?;
        let asked = Instant::now();
        let place = self.place(&request).await?;
        let queue_us = micros(asked);
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let metrics = self.metrics.clone();
        let started = Instant::now();
        let (streams, missing) = self.open(planner, &request, &plan, &Kind::Rows).await?;
        let plan_us = micros(started);
        let partial = !missing.is_empty();
        let order = request.order;
        let limit = request.limit;
        metrics.queries_running.inc();
        tokio::task::spawn_blocking(move || {
            let mut result = merge(streams, missing, order, limit, &send);
            drop(send);
            if let Ok(stats) = &mut result {
                stats.stages.queue_us += queue_us;
                stats.stages.plan_us += plan_us;
                stats.duration_ms = asked.elapsed().as_millis() as u64;
            }
            metrics.queries_running.dec();
            count(&metrics, started, &result);
            drop(place);
            let _ = finish.send(result);
        });
        Ok(QueryAnswer { rows, done, partial })
    }

    /// Starts a query over what this node itself holds.
    pub(crate) async fn here(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let plan = plan_of(&request)?;
        let asked = Instant::now();
        let place = self.place(&request).await?;
        let queue_us = micros(asked);
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let metrics = self.metrics.clone();
        let searched = self.local.all(plan, Kind::Rows, &request.cancel, send);
        tokio::spawn(async move {
            let started = Instant::now();
            metrics.queries_running.inc();
            let mut result = searched.await;
            metrics.queries_running.dec();
            if let Ok(stats) = &mut result {
                stats.stages.queue_us += queue_us;
                stats.duration_ms = asked.elapsed().as_millis() as u64;
            }
            count(&metrics, started, &result);
            drop(place);
            // The client may have gone; then nobody asks how it ended.
            let _ = finish.send(result);
        });
        Ok(QueryAnswer { rows, done, partial: false })
    }

    /// Counts over what this node itself holds, without making rows; `None` when other nodes hold records, too: a
    /// record that several of them hold is only found to be one when they are merged.
    pub(crate) async fn counts(
        &self,
        request: &QueryRequest,
        buckets: Buckets,
    ) -> Option<Result<(Histogram, Stats), ApiError>> {
        if self.planner.is_some() {
            return None;
        }
        let counted = self.counts_here(request, buckets);
        let Some(time_max) = self.time_max else { return Some(counted.await) };
        // Whoever asked cancels what is under way when this returns.
        let counted = tokio::time::timeout(time_max, counted).await;
        Some(counted.unwrap_or_else(|_| Err(deadline::too_long(time_max))))
    }

    async fn counts_here(
        &self,
        request: &QueryRequest,
        buckets: Buckets,
    ) -> Result<(Histogram, Stats), ApiError> {
        let plan = plan_of(request)?;
        let asked = Instant::now();
        let _place = self.place(request).await?;
        let (queue_us, started) = (micros(asked), Instant::now());
        self.metrics.queries_running.inc();
        let counted = self.local.histogram_of_all(plan, buckets, &request.cancel).await;
        self.metrics.queries_running.dec();
        let (histogram, mut result) = match counted {
            Ok((histogram, stats)) => (Some(histogram), Ok(stats)),
            Err(error) => (None, Err(error)),
        };
        if let Ok(stats) = &mut result {
            stats.stages.queue_us += queue_us;
            stats.duration_ms = asked.elapsed().as_millis() as u64;
        }
        count(&self.metrics, started, &result);
        let stats = result?;
        histogram
            .map(|histogram| (histogram, stats))
            .ok_or_else(|| ApiError::internal("counting came to nothing"))
    }

    /// Plans, and opens every part. What is gone meanwhile is planned anew.
    async fn open(
        &self,
        planner: &Arc<Planner>,
        request: &QueryRequest,
        plan: &Plan,
        kind: &Kind,
    ) -> Result<(Vec<Stream>, Vec<Missing>), ApiError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Planned { searches, mut missing } = planner.plan(request.from, request.to).await;
            let mut streams = Vec::with_capacity(searches.len());
            let mut gone = Vec::new();
            for search in searches {
                match self.open_one(&search, request, plan, kind).await {
                    Ok(stream) => streams.push(stream),
                    Err(why) => gone.push((search, why)),
                }
            }
            if gone.is_empty() {
                return Ok((streams, missing));
            }
            if attempt < PLANS_MAX {
                for (search, why) in &gone {
                    tracing::debug!(node = search.node, why, "a part of a query is gone; it is planned anew");
                }
                planner.look_again(gone.iter().map(|(search, _)| search)).await;
                continue;
            }
            for (search, why) in gone {
                let (node, place) = (search.node, "what it was to search".to_owned());
                missing.push(Missing { node, place, from: request.from, to: request.to, why });
            }
            return Ok((streams, missing));
        }
    }

    async fn open_one(
        &self,
        search: &Search,
        request: &QueryRequest,
        plan: &Plan,
        kind: &Kind,
    ) -> Result<Stream, String> {
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let range = (request.from, request.to);
        match &search.reach {
            Reach::Own(pinned) => {
                let selected = pinned.some(search.log, &search.units);
                let searched = self.local.some(selected, kind.clone(), plan.clone(), &request.cancel, send);
                tokio::spawn(async move {
                    let _ = finish.send(searched.await.map_err(|error| error.to_string()));
                });
            }
            Reach::Peer { peer, token } => {
                let body = remote::open(peer, *token, search, request, kind).await?;
                tokio::spawn(remote::follow(body, send, finish, request.cancel.clone()));
            }
        }
        Ok(Stream { node: search.node.clone(), rows, done, range })
    }

    async fn place(&self, request: &QueryRequest) -> Result<OwnedSemaphorePermit, ApiError> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= QUERIES_WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(ApiError::new(
                ErrorKind::TooMany,
                "too_many_queries",
                "too many queries wait already",
            ));
        }
        let place = tokio::select! {
            place = self.running.clone().acquire_owned() => place.ok(),
            () = request.cancel.cancelled() => None,
        };
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        place.ok_or_else(|| ApiError::new(ErrorKind::Unavailable, "cancelled", "the query was cancelled"))
    }
}

fn plan_of(request: &QueryRequest) -> Result<Plan, ApiError> {
    let matcher = Matcher::compile(&request.expr)
        .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
    Ok(Plan { matcher, from: request.from, to: request.to, limit: request.limit, order: request.order })
}

/// Merges parts until all have ended or the client has enough. Blocks.
fn merge(
    mut streams: Vec<Stream>,
    missing: Vec<Missing>,
    order: Order,
    limit: Option<u64>,
    send: &mpsc::Sender<Rows>,
) -> Result<Stats, ApiError> {
    let mut merger = Merger::new(order, streams.len());
    let mut sent = 0;
    let mut is_wanted = true;
    loop {
        let rows = merger.next(limit.unwrap_or(u64::MAX) - sent);
        if !rows.is_empty() {
            sent += rows.count() as u64;
            is_wanted = send.blocking_send(rows).is_ok();
        } else if let Some(number) = merger.waits_for() {
            match streams[number].rows.blocking_recv() {
                Some(rows) => {
                    if let Err(error) = merger.push(number, rows) {
                        return Err(ApiError::internal(format!("{}: {error}", streams[number].node)));
                    }
                }
                None => merger.end(number),
            }
        } else {
            break;
        }
        if !is_wanted || limit.is_some_and(|limit| sent >= limit) {
            break;
        }
    }
    let limited = limit.is_some_and(|limit| sent >= limit);
    let mut stats = Stats::default();
    for Stream { node, rows, done, range } in streams {
        // Whoever still sends is told that nobody listens.
        drop(rows);
        let ended = done.blocking_recv().unwrap_or_else(|_| Err("it ended without saying how".into()));
        match ended {
            Ok(part) => stats.merge(&node, part),
            // What was not needed is not missed.
            Err(_) if limited || !is_wanted => {}
            Err(why) => {
                let place = "the rest of its answer".to_owned();
                stats.miss(Missing { node, place, from: range.0, to: range.1, why });
            }
        }
    }
    for missing in missing {
        stats.miss(missing);
    }
    stats.records_matched = sent;
    stats.limited = limited;
    stats.repeats += merger.repeats();
    stats.conflicts = merger.conflicts();
    Ok(stats)
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

/// A query in the metrics.
fn count(metrics: &Metrics, started: Instant, result: &Result<Stats, ApiError>) {
    let outcome = match result {
        Ok(stats) => {
            metrics.query_scanned_bytes.inc_by(stats.bytes_scanned);
            metrics.query_skipped_bytes.inc_by(stats.bytes_skipped);
            if stats.complete {
                "complete"
            } else {
                metrics.partial_queries.inc();
                "partial"
            }
        }
        Err(_) => "failed",
    };
    metrics.query_seconds.with_label_values(&[outcome]).observe(started.elapsed().as_secs_f64());
}
