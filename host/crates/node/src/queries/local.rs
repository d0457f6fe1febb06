//! Searching what this node holds, for its own queries and for those of other nodes.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{Counts, SearchPart};
use weir_api::backend::{ApiError, ErrorKind};
use weir_engine::{Answer, Cancel, Damaged, Engine, EngineError, Plan, Searchable};
use weir_query::{Around, Buckets, Fingerprint, Histogram, Missing, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::QUERIES_RUNNING_MAX;
use weir_storage::Store;

use super::shares::hashed_rows;
use crate::filters::{Chain, Spec};
use crate::metrics::Metrics;
use crate::snapshots::{Holder, Selected};

/// The engine over what this node holds.
pub(crate) struct Local {
    engine: Arc<Engine>,
    holder: Holder,
    /// Searches that run for others at the same time.
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// The code of the error that a stage has failed: there is no use in asking anybody else.
pub(crate) const FILTER_FAILED: &str = "filter_failed";

/// What a search comes to.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The records.
    Rows,
    /// Fingerprints of those that other nodes may hold as well.
    Suspects,
    /// How many others there are by bucket, without those that are known.
    Rest(Buckets, Arc<[(RecordId, Fingerprint)]>),
    /// What lies around records, whatever the plan says.
    Around(Arc<Around>),
    /// The records of which [`Kind::Suspects`] are the fingerprints.
    SuspectRows,
    /// What stages, the last of which is an aggregate, make of all others without those that are known.
    Sum(Arc<[Spec]>, Arc<[(RecordId, Fingerprint)]>),
}

impl Local {
    /// Searches with `engine` what `holder` holds.
    pub(crate) fn new(engine: Engine, holder: Holder, metrics: Arc<Metrics>) -> Local {
        let places = Arc::new(Semaphore::new(QUERIES_RUNNING_MAX));
        Local { engine: Arc::new(engine), holder, places, metrics }
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
        self.search(plan, kind, over, cancel, (send, |rows| rows))
    }

    /// Answers what a plan has assigned to this node.
    pub(crate) async fn share(
        &self,
        selected: Selected,
        kind: Kind,
        plan: Plan,
        cancel: &CancellationToken,
        send: mpsc::Sender<SearchPart>,
    ) -> Result<Stats, ApiError> {
        let Selected { over, unread } = selected;
        let (from, to) = (plan.from, plan.to);
        if plan.whole && !unread.is_empty() {
            return Err(ApiError::snapshot_gone());
        }
        let mut stats = match kind {
            Kind::Rest(buckets, known) => {
                let count = move |engine: &Engine, cancel: &Cancel| {
                    engine.histogram_of_rest(&plan, buckets, &over, known.to_vec(), cancel)
                };
                let (histogram, stats) = self.histogram(count, cancel).await?;
                let counts = Counts { buckets: histogram.counts().to_vec() };
                // A reader that has gone hears nothing.
                let _ = send.send(SearchPart::Counts(counts)).await;
                stats
            }
            Kind::Sum(specs, known) => {
                let chain = Chain::new(specs, cancel);
                let plan = Plan { stages: Some(chain.clone()), ..plan };
                let pass = move |engine: &Engine, cancel: &Cancel| {
                    engine.pass_rest(&plan, &over, known.to_vec(), cancel)
                };
                let (partial, stats) = self.sum(pass, chain, cancel).await?;
                let _ = send.send(SearchPart::Partial(partial.into())).await;
                stats
            }
            Kind::Suspects => {
                let part: fn(Rows) -> SearchPart = |rows| SearchPart::Hashes(hashed_rows(&rows));
                self.search(plan, kind, over, cancel, (send, part)).await?
            }
            Kind::Rows | Kind::SuspectRows | Kind::Around(_) => {
                self.search(plan, kind, over, cancel, (send, SearchPart::Rows)).await?
            }
        };
        for lacking in unread {
            let place = format!("unit {}", lacking.unit);
            let why = "origins that were planned are not there any more".to_owned();
            stats.miss(Missing { node: String::new(), place, from, to, why });
        }
        Ok(stats)
    }

    /// The same for another node: not more at a time than the machine bears.
    pub(crate) async fn for_peer(
        &self,
        selected: Selected,
        kind: Kind,
        plan: Plan,
        cancel: &CancellationToken,
        send: mpsc::Sender<SearchPart>,
    ) -> Result<Stats, ApiError> {
        self.in_turn(self.share(selected, kind, plan, cancel, send), cancel).await
    }

    /// All rows of some searchables for a node that plans nothing, in turn with the others.
    pub(crate) async fn rows_for_peer(
        &self,
        over: Vec<Searchable>,
        plan: Plan,
        cancel: &CancellationToken,
        send: mpsc::Sender<Rows>,
    ) -> Result<Stats, ApiError> {
        let searching = async { self.search(plan, Kind::Rows, over, cancel, (send, |rows| rows)).await };
        self.in_turn(searching, cancel).await
    }

    async fn in_turn(
        &self,
        searching: impl Future<Output = Result<Stats, ApiError>>,
        cancel: &CancellationToken,
    ) -> Result<Stats, ApiError> {
        let place = tokio::select! {
            place = self.places.clone().acquire_owned() => place,
            () = cancel.cancelled() => return Err(failed(&EngineError::Cancelled)),
        };
        self.metrics.peer_searches_running.inc();
        let answer = searching.await;
        self.metrics.peer_searches_running.dec();
        drop(place);
        answer
    }

    /// What stages, the last of which is an aggregate, make of everything that this node holds: the aggregate's state.
    pub(crate) async fn sum_of_all(
        &self,
        plan: Plan,
        specs: Arc<[Spec]>,
        cancel: &CancellationToken,
    ) -> Result<(Vec<u8>, Stats), ApiError> {
        let over = self.holder.pin().all(self.holder.node);
        let chain = Chain::new(specs, cancel);
        let plan = Plan { stages: Some(chain.clone()), ..plan };
        let pass = move |engine: &Engine, cancel: &Cancel| engine.pass_over(&plan, &over, cancel);
        self.sum(pass, chain, cancel).await
    }

    async fn sum(
        &self,
        pass: impl FnOnce(&Engine, &Cancel) -> Result<Answer, EngineError> + Send + 'static,
        chain: Arc<Chain>,
        cancel: &CancellationToken,
    ) -> Result<(Vec<u8>, Stats), ApiError> {
        let (engine, store) = (self.engine.clone(), self.holder.store.clone());
        let ended = cancelled_by(cancel);
        let summed = tokio::task::spawn_blocking(move || {
            let passed = pass(&engine, &ended.0);
            settle(store.as_ref(), passed.as_ref());
            let mut stats = passed?.stats;
            stats.records_matched = chain.summed();
            Ok((chain.partial()?, stats))
        });
        match summed.await {
            Ok(summed) => summed.map_err(|error: EngineError| failed(&error)),
            Err(_) => Err(ApiError::internal("summing up has panicked")),
        }
    }

    /// Counts everything that this node holds, per bucket and level.
    pub(crate) async fn histogram_of_all(
        &self,
        plan: Plan,
        buckets: Buckets,
        cancel: &CancellationToken,
    ) -> Result<(Histogram, Stats), ApiError> {
        let over = self.holder.pin().all(self.holder.node);
        let count =
            move |engine: &Engine, cancel: &Cancel| engine.histogram_over(&plan, buckets, &over, cancel);
        self.histogram(count, cancel).await
    }

    async fn histogram(
        &self,
        count: impl FnOnce(&Engine, &Cancel) -> Result<(Histogram, Answer), EngineError> + Send + 'static,
        cancel: &CancellationToken,
    ) -> Result<(Histogram, Stats), ApiError> {
        let (engine, store) = (self.engine.clone(), self.holder.store.clone());
        let ended = cancelled_by(cancel);
        let counted = tokio::task::spawn_blocking(move || {
            let counted = count(&engine, &ended.0);
            settle(store.as_ref(), counted.as_ref().map(|(_, answer)| answer));
            counted.map(|(counts, answer)| (counts, answer.stats))
        });
        match counted.await {
            Ok(counted) => counted.map_err(|error: EngineError| failed(&error)),
            Err(_) => Err(ApiError::internal("counting has panicked")),
        }
    }

    fn search<T: Send + 'static>(
        &self,
        plan: Plan,
        kind: Kind,
        over: Vec<Searchable>,
        cancel: &CancellationToken,
        (send, part): (mpsc::Sender<T>, fn(Rows) -> T),
    ) -> impl Future<Output = Result<Stats, ApiError>> + Send + 'static {
        let (engine, store) = (self.engine.clone(), self.holder.store.clone());
        let (runtime, token) = (Handle::current(), cancel.clone());
        let (cancel, watcher) = cancelled_by(cancel);
        let (finish, done) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // A reader that hangs must not hold the search beyond its end.
            let mut sink = |rows| {
                let sending = async {
                    tokio::select! {
                        sent = send.send(part(rows)) => sent.is_ok(),
                        () = token.cancelled() => false,
                    }
                };
                if runtime.block_on(sending) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let answer = match kind {
                Kind::Rows => engine.run_over(&plan, &over, &cancel, &mut sink),
                Kind::Suspects => engine.suspects_over(&plan, &over, &cancel, &mut sink),
                // Counts have no rows.
                Kind::Rest(..) | Kind::Sum(..) => Ok(Answer::default()),
                Kind::SuspectRows => engine.suspect_rows_over(&plan, &over, &cancel, &mut sink),
                Kind::Around(around) => engine.around_over(&around, &over, &cancel, &mut sink),
            };
            drop(send);
            drop(watcher);
            settle(store.as_ref(), answer.as_ref());
            let _ = finish.send(answer.map(|answer| answer.stats).map_err(|error| failed(&error)));
        });
        async move { done.await.unwrap_or_else(|_| Err(ApiError::internal("a search has panicked"))) }
    }
}

/// Sees to what a search has found damaged, whether it went on without or ended there.
fn settle(store: Option<&Store>, searched: Result<&Answer, &EngineError>) {
    match searched {
        Ok(answer) => set_apart(store, &answer.damaged),
        Err(EngineError::Damaged(damaged)) => set_apart(store, std::slice::from_ref(damaged)),
        Err(_) => {}
    }
}

/// Sets segments apart in which a search has found damage: what is lost is no longer announced, and the next query
/// goes elsewhere.
fn set_apart(store: Option<&Store>, damaged: &[Damaged]) {
    let files = damaged.iter().filter(|damaged| damaged.has_lost_records());
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
        EngineError::Damaged(_) => ApiError::damaged(error.to_string()),
        EngineError::Stage(failure) => {
            ApiError::new(ErrorKind::BadRequest, FILTER_FAILED, failure.to_string())
                .hint("the query has no answer without it: ask without the filter, or mend it")
        }
        EngineError::Cancelled => ApiError::new(ErrorKind::Unavailable, "cancelled", error.to_string()),
        EngineError::MemoryOfAll { .. } => {
            ApiError::new(ErrorKind::TooMany, "too_many_queries", error.to_string()).hint("ask again soon")
        }
        other => ApiError::new(ErrorKind::TooMany, "query_too_large", other.to_string())
            .hint("narrow the time range, or set a limit"),
    }
}
