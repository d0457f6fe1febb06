//! Searching what this node holds, for its own queries and for those of other nodes.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::UnitOrigins;
use weir_api::backend::{ApiError, ErrorKind};
use weir_engine::{Answer, Cancel, Damaged, Engine, EngineError, Plan, Searchable};
use weir_query::{Around, Buckets, Histogram, Missing, Rows, Stats};
use weir_record::limits::QUERIES_RUNNING_MAX;
use weir_storage::Store;

use crate::snapshots::{Holder, Selected};

/// The engine over what this node holds.
pub(crate) struct Local {
    engine: Arc<Engine>,
    holder: Holder,
    /// Searches that run for others at the same time.
    places: Arc<Semaphore>,
}

/// What a search comes to.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The records.
    Rows,
    /// Fingerprints in their place.
    Hashes,
    /// What lies around records, whatever the plan says.
    Around(Arc<Around>),
}

impl Local {
    /// Searches with `engine` what `holder` holds.
    pub(crate) fn new(engine: Engine, holder: Holder) -> Local {
        let places = Arc::new(Semaphore::new(QUERIES_RUNNING_MAX));
        Local { engine: Arc::new(engine), holder, places }
    }

    /// What of this node holds records.
    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Searches everything that this node holds.
    pub(crate) fn all(
        &self,
        plan: Plan,
        kind: Kind,
        cancel: &CancellationToken,
        send: mpsc::Sender<Rows>,
    ) -> impl Future<Output = Result<Stats, ApiError>> + Send + 'static {
        let over = self.holder.pin().all(self.holder.node);
        self.search(plan, kind, over, Vec::new(), cancel, send)
    }

    /// Searches what a plan has assigned to this node.
    pub(crate) fn some(
        &self,
        selected: Selected,
        kind: Kind,
        plan: Plan,
        cancel: &CancellationToken,
        send: mpsc::Sender<Rows>,
    ) -> impl Future<Output = Result<Stats, ApiError>> + Send + 'static {
        let Selected { over, unread } = selected;
        self.search(plan, kind, over, unread, cancel, send)
    }

    /// Searches for another node: not more at a time than the machine bears.
    pub(crate) async fn for_peer(
        &self,
        selected: Selected,
        kind: Kind,
        plan: Plan,
        cancel: &CancellationToken,
        send: mpsc::Sender<Rows>,
    ) -> Result<Stats, ApiError> {
        let place = tokio::select! {
            place = self.places.clone().acquire_owned() => place,
            () = cancel.cancelled() => return Err(failed(&EngineError::Cancelled)),
        };
        let answer = self.search(plan, kind, selected.over, Vec::new(), cancel, send).await;
        drop(place);
        answer
    }

    /// Counts everything that this node holds, per bucket and level.
    pub(crate) async fn histogram_of_all(
        &self,
        plan: Plan,
        buckets: Buckets,
        cancel: &CancellationToken,
    ) -> Result<(Histogram, Stats), ApiError> {
        self.histogram(plan, buckets, self.holder.pin().all(self.holder.node), cancel).await
    }

    /// Counts per bucket and level.
    pub(crate) async fn histogram(
        &self,
        plan: Plan,
        buckets: Buckets,
        over: Vec<Searchable>,
        cancel: &CancellationToken,
    ) -> Result<(Histogram, Stats), ApiError> {
        let (engine, store) = (self.engine.clone(), self.holder.store.clone());
        let ended = cancelled_by(cancel);
        let counted = tokio::task::spawn_blocking(move || {
            let (counts, Answer { stats, damaged }) =
                engine.histogram_over(&plan, buckets, &over, &ended.0)?;
            set_apart(store.as_ref(), &damaged);
            Ok((counts, stats))
        });
        match counted.await {
            Ok(counted) => counted.map_err(|error: EngineError| failed(&error)),
            Err(_) => Err(ApiError::internal("counting has panicked")),
        }
    }

    fn search(
        &self,
        plan: Plan,
        kind: Kind,
        over: Vec<Searchable>,
        unread: Vec<UnitOrigins>,
        cancel: &CancellationToken,
        send: mpsc::Sender<Rows>,
    ) -> impl Future<Output = Result<Stats, ApiError>> + Send + 'static {
        let (engine, store) = (self.engine.clone(), self.holder.store.clone());
        let (cancel, watcher) = cancelled_by(cancel);
        let (finish, done) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let mut sink = |rows| match send.blocking_send(rows) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let answer = match kind {
                Kind::Rows => engine.run_over(&plan, &over, &cancel, &mut sink),
                Kind::Hashes => engine.hashes_over(&plan, &over, &cancel, &mut sink),
                Kind::Around(around) => engine.around_over(&around, &over, &cancel, &mut sink),
            };
            drop(send);
            drop(watcher);
            let answer = answer.map(|Answer { mut stats, damaged }| {
                for lacking in unread {
                    let place = format!("unit {}", lacking.unit);
                    let why = "origins that were planned are not there any more".to_owned();
                    let node = String::new();
                    stats.miss(Missing { node, place, from: plan.from, to: plan.to, why });
                }
                (stats, damaged)
            });
            let answer = answer.map(|(stats, damaged)| {
                set_apart(store.as_ref(), &damaged);
                stats
            });
            let _ = finish.send(answer.map_err(|error| failed(&error)));
        });
        async move { done.await.unwrap_or_else(|_| Err(ApiError::internal("a search has panicked"))) }
    }
}

/// Sets segments apart in which a search has found damage: what is lost is no longer announced, and the next query
/// goes elsewhere.
fn set_apart(store: Option<&Store>, damaged: &[Damaged]) {
    let files = damaged.iter().filter(|damaged| damaged.origins.as_ref().is_none_or(|o| !o.is_empty()));
    for file in files.map(|damaged| &damaged.file) {
        let Some(store) = store else { continue };
        for segment in store.snapshot().segments.iter().filter(|segment| Arc::ptr_eq(&segment.file, file)) {
            if let Err(error) = store.check(segment) {
                tracing::error!(%error, "a damaged segment cannot be set apart");
            }
        }
    }
}

/// A cancel of the engine that follows a token for as long as the guard is held.
fn cancelled_by(token: &CancellationToken) -> (Cancel, AbortOnDrop) {
    let cancel = Cancel::new();
    let (token, ended) = (token.clone(), cancel.clone());
    let watcher = tokio::spawn(async move {
        token.cancelled().await;
        ended.cancel();
    });
    (cancel, AbortOnDrop(watcher))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error of the engine as an answer.
pub(crate) fn failed(error: &EngineError) -> ApiError {
    match error {
        EngineError::Cancelled => ApiError::new(ErrorKind::Unavailable, "cancelled", error.to_string()),
        EngineError::MemoryOfAll { .. } => {
            ApiError::new(ErrorKind::TooMany, "too_many_queries", error.to_string()).hint("ask again soon")
        }
        other => ApiError::new(ErrorKind::TooMany, "query_too_large", other.to_string())
            .hint("narrow the time range, or set a limit"),
    }
}
