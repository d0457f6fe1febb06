//! The query role: compiles, waits for a place, runs on the engine's threads, hands rows to the client.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer, QueryRequest};
use weir_engine::{Cancel, Engine, EngineError, Plan};
use weir_query::{Matcher, Stats};
use weir_record::limits::{QUERIES_RUNNING_MAX, QUERIES_WAITING_MAX};
use weir_storage::LogReader;

use crate::metrics::Metrics;

/// Chunks of rows between the engine and the client: enough that neither waits for the other's scheduling.
const CHUNKS_AHEAD: usize = 4;

/// Runs queries over the ingest log.
pub(crate) struct Queries {
    engine: Arc<Engine>,
    reader: LogReader,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Queries {
    /// A query role over what `reader` sees.
    pub(crate) fn new(engine: Engine, reader: LogReader, metrics: Arc<Metrics>) -> Queries {
        Queries {
            engine: Arc::new(engine),
            reader,
            running: Arc::new(Semaphore::new(QUERIES_RUNNING_MAX)),
            waiting: AtomicUsize::new(0),
            metrics,
        }
    }

    /// Starts a query; its rows come through the answer.
    pub(crate) async fn start(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let matcher = Matcher::compile(&request.expr)
            .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        let place = self.place(&request).await?;
        let plan =
            Plan { matcher, from: request.from, to: request.to, limit: request.limit, order: request.order };
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let cancel = Cancel::new();
        let watcher = tokio::spawn({
            let (token, cancel) = (request.cancel.clone(), cancel.clone());
            async move {
                token.cancelled().await;
                cancel.cancel();
            }
        });
        let run = Run {
            engine: self.engine.clone(),
            snapshot: self.reader.snapshot(),
            metrics: self.metrics.clone(),
        };
        tokio::task::spawn_blocking(move || {
            let mut sink = |chunk| match send.blocking_send(chunk) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let result = run.to_the_end(&plan, &cancel, &mut sink);
            drop(send);
            watcher.abort();
            drop(place);
            // The client may have gone; then nobody asks how it ended.
            let _ = finish.send(result);
        });
        Ok(QueryAnswer { rows, done, partial: false })
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

struct Run {
    engine: Arc<Engine>,
    snapshot: weir_storage::Snapshot,
    metrics: Arc<Metrics>,
}

impl Run {
    fn to_the_end(
        &self,
        plan: &Plan,
        cancel: &Cancel,
        sink: &mut dyn FnMut(weir_query::Rows) -> ControlFlow<()>,
    ) -> Result<Stats, ApiError> {
        let started = Instant::now();
        self.metrics.queries_running.inc();
        let result = self.engine.run(plan, &self.snapshot, cancel, sink);
        self.metrics.queries_running.dec();
        let outcome = match &result {
            Ok(stats) => {
                self.metrics.query_scanned_bytes.inc_by(stats.bytes_scanned);
                self.metrics.query_skipped_bytes.inc_by(stats.bytes_skipped);
                if stats.complete {
                    "complete"
                } else {
                    self.metrics.partial_queries.inc();
                    "partial"
                }
            }
            Err(_) => "failed",
        };
        self.metrics.query_seconds.with_label_values(&[outcome]).observe(started.elapsed().as_secs_f64());
        result.map_err(|error| failed(&error))
    }
}

fn failed(error: &EngineError) -> ApiError {
    match error {
        EngineError::Cancelled => ApiError::new(ErrorKind::Unavailable, "cancelled", error.to_string()),
        other => ApiError::new(ErrorKind::TooMany, "query_too_large", other.to_string())
            .hint("narrow the time range, or set a limit"),
    }
}
