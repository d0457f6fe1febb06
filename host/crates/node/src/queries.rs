//! The query role: compiles, waits for a place, plans over the nodes that hold records, hands rows to the client.

mod context;
mod counting;
mod deadline;
mod gather;
mod local;
mod merger;
mod piped;
mod planner;
mod remote;
mod shares;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer, QueryRequest};
use weir_engine::{Plan, Stages};
use weir_query::{Histogram, Matcher, Stats};
use weir_record::limits::{QUERIES_RUNNING_MAX, QUERIES_WAITING_MAX};

use crate::filters::{Chain, Filters, Spec};
use crate::metrics::Metrics;
use counting::{BucketsOf, Count};
use gather::Gather;
pub(crate) use local::{Kind, Local};
pub(crate) use planner::Planner;
pub(crate) use shares::records;
use verdict::Verdict;

/// Chunks of rows between two stages: enough that neither waits for the other's scheduling.
const CHUNKS_AHEAD: usize = 4;

/// Runs queries over this node, and over others when there are any.
pub(crate) struct Queries {
    local: Arc<Local>,
    /// `None` for a node that is alone.
    planner: Option<Arc<Planner>>,
    filters: Arc<Filters>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// How long one may take.
    time_max: Option<Duration>,
    metrics: Arc<Metrics>,
}

/// A question on its way through this role.
#[derive(Clone)]
struct Question {
    request: QueryRequest,
    plan: Plan,
    /// What matching records go through where they are.
    stages: Arc<[Spec]>,
    /// When nobody waits for the answer any more.
    deadline: Option<Instant>,
    /// What ends it, whoever says so.
    verdict: Verdict,
}

impl Question {
    /// A question as it was asked, to be put to all.
    fn new(
        request: QueryRequest,
        stages: Arc<[Spec]>,
        deadline: Option<Instant>,
    ) -> Result<Question, ApiError> {
        let matcher = Matcher::compile(&request.expr)
            .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        // An aggregate has a state, which belongs to one search: whoever begins that opens it.
        let is_sum = stages.last().is_some_and(Spec::is_sum);
        let chain = (!stages.is_empty() && !is_sum).then(|| Chain::new(stages.clone(), &request.cancel));
        let plan = Plan {
            matcher,
            from: request.from,
            to: request.to,
            limit: request.limit,
            order: request.order,
            whole: false,
            stages: chain.map(|chain| chain as Arc<dyn Stages>),
        };
        Ok(Question { request, plan, stages, deadline, verdict: Verdict::default() })
    }
}

impl Queries {
    /// A query role over this node and those that the planner knows.
    pub(crate) fn new(
        local: Arc<Local>,
        planner: Option<Arc<Planner>>,
        filters: Arc<Filters>,
        time_max: Option<Duration>,
        metrics: Arc<Metrics>,
    ) -> Arc<Queries> {
        let running = Arc::new(Semaphore::new(QUERIES_RUNNING_MAX));
        Arc::new(Queries {
            local,
            planner,
            filters,
            running,
            waiting: AtomicUsize::new(0),
            time_max,
            metrics,
        })
    }

    /// Starts a query; its rows come through the answer.
    pub(crate) async fn start(self: &Arc<Self>, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        self.within(request, |queries, request, deadline| async move {
            if !request.stages.is_empty() {
                queries.piped(request, deadline).await
            } else if request.context.is_none() {
                queries.hits(request, Arc::default(), deadline).await
            } else {
                queries.with_context(request, Arc::default(), deadline).await
            }
        })
        .await
    }

    /// Starts a query over what this node itself holds.
    pub(crate) async fn start_here(self: &Arc<Self>, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        self.within(request, |queries, request, _| async move {
            queries.hits_here(Question::new(request, Arc::default(), None)?).await
        })
        .await
    }

    /// Starts a query that ends when it takes too long.
    async fn within<F: Future<Output = Result<QueryAnswer, ApiError>>>(
        self: &Arc<Self>,
        request: QueryRequest,
        start: impl FnOnce(Arc<Self>, QueryRequest, Option<Instant>) -> F,
    ) -> Result<QueryAnswer, ApiError> {
        let cancel = request.cancel.child_token();
        let request = QueryRequest { cancel: cancel.clone(), ..request };
        let deadline = self.time_max.map(|time_max| Instant::now() + time_max);
        let started = start(Arc::clone(self), request, deadline);
        match self.time_max {
            Some(time_max) => deadline::within(time_max, cancel, started).await,
            None => started.await,
        }
    }

    /// Starts a query for what matches, and is left by stages.
    async fn hits(
        self: &Arc<Self>,
        request: QueryRequest,
        stages: Arc<[Spec]>,
        deadline: Option<Instant>,
    ) -> Result<QueryAnswer, ApiError> {
        let question = Question::new(request, stages, deadline)?;
        let Some(planner) = self.planner.clone() else { return self.hits_here(question).await };
        let asked = Instant::now();
        let place = self.place(&question.request).await?;
        let queue_us = micros(asked);
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let metrics = self.metrics.clone();
        let started = Instant::now();
        let gather = Gather::open(Arc::clone(self), planner, question).await;
        let plan_us = micros(started);
        let partial = gather.is_partial();
        metrics.queries_running.inc();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut result = gather.merge(&runtime, &send);
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

    /// The same over what this node itself holds.
    async fn hits_here(&self, question: Question) -> Result<QueryAnswer, ApiError> {
        let Question { plan, request, .. } = question;
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

    /// Counts by bucket and level, without making rows. Which buckets there are may depend on the lowest and the highest
    /// id that is held.
    pub(crate) async fn counts(
        self: &Arc<Self>,
        request: QueryRequest,
        buckets: BucketsOf<'_>,
    ) -> Result<(Histogram, Stats), ApiError> {
        let deadline = self.time_max.map(|time_max| Instant::now() + time_max);
        let (request, stages) = self.counted_stages(request).await?;
        let question = Question::new(request, stages, deadline)?;
        let counted = self.counted(question, buckets);
        let Some(time_max) = self.time_max else { return counted.await };
        // Whoever asked cancels what is under way when this returns.
        let counted = tokio::time::timeout(time_max, counted).await;
        counted.unwrap_or_else(|_| Err(deadline::too_long(time_max)))
    }

    async fn counted(
        &self,
        question: Question,
        buckets: BucketsOf<'_>,
    ) -> Result<(Histogram, Stats), ApiError> {
        let asked = Instant::now();
        let _place = self.place(&question.request).await?;
        let (queue_us, started) = (micros(asked), Instant::now());
        self.metrics.queries_running.inc();
        let counted = async {
            if let Some(planner) = &self.planner {
                return Count::new(&self.local, planner, &question).histogram(buckets).await;
            }
            let buckets = buckets(self.local.holder().pin().id_range())?;
            self.local.histogram_of_all(question.plan.clone(), buckets, &question.request.cancel).await
        };
        let counted = counted.await;
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
