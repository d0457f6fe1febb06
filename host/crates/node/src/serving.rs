//! What this node does for the other nodes of its cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::ClusterKey;
use weir_api::backend::peer::{
    ChangesRequest, ConfirmRequest, Confirmed, CountedOn, FailedRequest, Gap, HashedRows, HoldsRequest, Job,
    Kept, LogStart, NamesRequest, NodeInfo, OriginFile, OriginRequest, PROTOCOL, PeerBackend, PlanAnswer,
    PlanRequest, Role, SearchAnswer, SearchEnd, SearchMode, SearchRequest, SnapshotToken, Syntax, TailAnswer,
    TailEvent, TailRequest,
};
use weir_api::backend::{self, ApiError, OfferedFilter, StreamInfo, WorkInfo};
use weir_engine::Plan;
use weir_query::{Buckets, Expr, Fingerprint, Matcher, parse, parse_regex};
use weir_record::RecordId;
use weir_record::limits::{CHANGES_BYTES_MAX, NODE_WAIT_MS_MAX, STORE_WRITE_BYTES};
use weir_replication::{Changes, Confirmation, Place, Refused, TimeRange};
use weir_storage::{SegmentFile, Store};

use crate::announce::Announced;
use crate::catalog;
use crate::clock;
use crate::config::Roles;
use crate::copies;
use crate::filters::{Chain, Filters, Spec};
use crate::handover::Handover;
use crate::jobs::Jobs;
use crate::moving::Moving;
use crate::queries::{Kind, Local, records};
use crate::snapshots::{Pinned, Snapshots};
use crate::tail::Tails;

/// Chunks between a reader of this node and the network.
const CHUNKS_AHEAD: usize = 4;

/// This node, as others see it.
pub(crate) struct Serving {
    pub(crate) node: u64,
    pub(crate) incarnation: u64,
    pub(crate) version: &'static str,
    pub(crate) roles: Roles,
    pub(crate) zone: Option<String>,
    pub(crate) capacity_bytes: u64,
    pub(crate) replication: usize,
    pub(crate) key: Option<ClusterKey>,
    pub(crate) announced: Arc<Announced>,
    pub(crate) handover: Option<Arc<Handover>>,
    pub(crate) store: Option<Store>,
    pub(crate) local: Arc<Local>,
    pub(crate) filters: Arc<Filters>,
    pub(crate) snapshots: Snapshots,
    pub(crate) tails: Option<Arc<Tails>>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) moving: Arc<Moving>,
}

impl PeerBackend for Serving {
    fn cluster_key(&self) -> Option<&ClusterKey> {
        self.key.as_ref()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<StreamInfo>, ApiError>> {
        Box::pin(catalog::own(self.local.holder().clone()))
    }

    fn info(&self) -> NodeInfo {
        let roles = [
            (self.roles.ingest, Role::Ingest),
            (self.roles.store, Role::Store),
            (self.roles.query, Role::Query),
            (self.roles.forward, Role::Forward),
        ];
        let draining = self.jobs.wanted().draining;
        NodeInfo {
            node: self.node,
            incarnation: self.incarnation,
            version: self.version.to_owned(),
            protocol: PROTOCOL,
            roles: roles.into_iter().filter_map(|(has, role)| has.then_some(role)).collect(),
            zone: self.zone.clone(),
            capacity_bytes: self.capacity_bytes,
            full: self.store.as_ref().is_some_and(Store::is_full),
            draining,
            empty: draining && self.local.holder().is_empty(),
            work: self.work(draining),
            replication: self.replication as u32,
            now_ms: clock::now_ms(),
        }
    }

    fn changes(&self, request: ChangesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>> {
        Box::pin(async move {
            let wait = Duration::from_millis(request.wait_ms.min(NODE_WAIT_MS_MAX));
            let changes = self.announced.of(request.place).changes(&request.since, wait).await;
            Ok(changes.encode().into())
        })
    }

    fn names(&self, request: NamesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>> {
        Box::pin(async move {
            let NamesRequest { units, after, snapshot } = request;
            let changes = match snapshot {
                None => self.announced.store.names_of(&units, after.as_ref()),
                Some(token) => {
                    let pinned = self.snapshots.get(token).ok_or_else(ApiError::snapshot_gone)?;
                    let names = pinned.names_of(&units);
                    let of = self.announced.store.with(|holdings| holdings.position());
                    Changes::naming(self.node, &of, &names, &units, after.as_ref(), CHANGES_BYTES_MAX)
                }
            };
            Ok(changes.encode().into())
        })
    }

    fn origin(&self, request: OriginRequest) -> BoxFuture<'_, Result<OriginFile, ApiError>> {
        Box::pin(async move {
            if request.place == Place::Store {
                let store = self.store.as_ref().ok_or_else(|| ApiError::origin_gone(&request.origin))?;
                return copies::hand_out(store, request.origin).await;
            }
            let handover = self.handover.as_ref().ok_or_else(|| ApiError::origin_gone(&request.origin))?;
            let claimed = handover.claim(request.store, &request.origin, clock::now_ms()).await;
            let (_, file) = claimed.map_err(|refused| match refused {
                Refused::Unknown => ApiError::origin_gone(&request.origin),
                Refused::Busy { retry_ms } => {
                    ApiError::origin_busy(&request.origin, retry_ms.div_ceil(1000).max(1) as u32)
                }
            })?;
            let (send, chunks) = mpsc::channel(CHUNKS_AHEAD);
            let bytes = file.bytes();
            tokio::task::spawn_blocking(move || read(&file, &send));
            Ok(OriginFile { bytes, chunks })
        })
    }

    fn confirm(&self, request: ConfirmRequest) -> BoxFuture<'_, Result<Vec<Confirmed>, ApiError>> {
        Box::pin(async move {
            let Some(handover) = self.handover.clone() else {
                return Ok(vec![Confirmed::Unknown; request.origins.len()]);
            };
            // The last confirmation deletes a file.
            let confirmed = tokio::task::spawn_blocking(move || {
                let outcomes = request.origins.iter().map(|said| {
                    let confirmation = match said.kept {
                        Kept::Held => Confirmation::Held,
                        Kept::Expired => Confirmation::Expired,
                    };
                    handover.confirm(request.store, &said.origin, said.digest, confirmation)
                });
                outcomes.collect()
            });
            confirmed.await.map_err(|_| ApiError::internal("confirming has panicked"))
        })
    }

    fn failed(&self, request: FailedRequest) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(async move {
            if let Some(handover) = &self.handover {
                handover.failed(request.store, &request.origin, &request.why, clock::now_ms());
            }
            Ok(())
        })
    }

    fn holds(&self, request: HoldsRequest) -> BoxFuture<'_, Result<Vec<bool>, ApiError>> {
        // In one look: what this store begins to let go of after it has said yes, it asks others about after that.
        let dropper = self.moving.dropper.lock();
        let holds = self.announced.store.with(|own| {
            let may = |asked: &CountedOn| dropper.may_count_on(&asked.origin, &asked.digest, own);
            request.origins.iter().map(may).collect()
        });
        Box::pin(std::future::ready(Ok(holds)))
    }

    fn job(&self, job: Job) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(self.begin(job))
    }

    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanAnswer, ApiError>> {
        Box::pin(async move {
            let (pinned, changes) = self.local.holder().plan(request.place, &request.since);
            let starts = pinned.log_starts.iter();
            let log =
                starts.map(|(epoch, first_piece)| LogStart { epoch: *epoch, first_piece: *first_piece });
            let log = if request.place == Place::Backlog { log.collect() } else { Vec::new() };
            let last = request.to.to_u128().saturating_sub(1);
            let to_ms = RecordId::from_u128(last).time_ms();
            let contested = pinned.contested(TimeRange::new(request.from.time_ms(), to_ms));
            let oldest = pinned.oldest_unconsumed();
            let (low, high) = pinned.id_range().unzip();
            Ok(PlanAnswer {
                info: self.info(),
                snapshot: self.snapshots.keep(pinned),
                log,
                contested: contested.into_iter().map(|times| (times.from_ms, times.to_ms)).collect(),
                oldest,
                low,
                high,
                changes: changes.encode().into(),
            })
        })
    }

    fn search(
        &self,
        request: SearchRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SearchAnswer, ApiError>> {
        Box::pin(async move {
            let pinned = self.snapshots.get(request.token).ok_or_else(ApiError::snapshot_gone)?;
            let expr = match request.syntax {
                Syntax::Weir => parse(&request.query),
                Syntax::Regex => parse_regex(&request.query),
            };
            let expr = expr.map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
            let (filters, asked) = (self.filters.clone(), request.stages.clone());
            let stages = if asked.is_empty() {
                Arc::default()
            } else {
                // It may have to be compiled.
                let loading = tokio::task::spawn_blocking(move || filters.of_peer(&asked)).await;
                loading.map_err(|_| ApiError::internal("loading a filter has panicked"))??
            };
            self.start(&pinned, &expr, request, stages, cancel)
        })
    }

    fn offer(&self, offered: OfferedFilter) -> BoxFuture<'_, Result<(), ApiError>> {
        let filters = self.filters.clone();
        Box::pin(async move {
            let taking = tokio::task::spawn_blocking(move || filters.offer(offered)).await;
            taking.map_err(|_| ApiError::internal("loading a filter has panicked"))?
        })
    }

    fn release(&self, snapshot: SnapshotToken) {
        self.snapshots.release(snapshot);
    }

    fn tail(
        &self,
        request: TailRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        Box::pin(async move {
            let tails = self.tails.as_ref().ok_or_else(|| {
                ApiError::new(backend::ErrorKind::NotFound, "no_ingest", "this node takes no records")
            })?;
            let expr = parse(&request.query)
                .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
            let resume = request.resume.map(|resume| resume.to_vec());
            let request = backend::TailRequest {
                text: request.query,
                expr,
                stages: Vec::new(),
                resume,
                cancel: cancel.clone(),
            };
            let mut events = tails.tail(request).await?.events;
            let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
            let (finish, done) = oneshot::channel();
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let resume = Bytes::copy_from_slice(event.resume());
                    let first = match event {
                        backend::TailEvent::Rows { rows, .. } => Some(TailEvent::Rows(rows)),
                        backend::TailEvent::Gap { records, .. } => {
                            Some(TailEvent::Gap(records.map_or(Gap::Lost, Gap::Dropped)))
                        }
                        backend::TailEvent::Idle { .. } => None,
                    };
                    for part in first.into_iter().chain([TailEvent::Position(resume)]) {
                        if send.send(part).await.is_err() {
                            return;
                        }
                    }
                }
                let _ = finish.send(ApiError::new(
                    backend::ErrorKind::Unavailable,
                    "stopping",
                    "the node is shutting down",
                ));
            });
            Ok(TailAnswer { events: receive, done })
        })
    }
}

impl Serving {
    fn start(
        &self,
        pinned: &Pinned,
        expr: &Expr,
        request: SearchRequest,
        stages: Arc<[Spec]>,
        cancel: CancellationToken,
    ) -> Result<SearchAnswer, ApiError> {
        let matcher =
            Matcher::compile(expr).map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        let SearchRequest { from, to, limit, order, time_ms, whole, mode, log, units, .. } = request;
        let mut plan = Plan { matcher, from, to, limit, order, whole, stages: None };
        let kind = match mode {
            SearchMode::Rows => Kind::Rows,
            SearchMode::Around(around) => Kind::Around(Arc::new(around)),
            SearchMode::Suspects => Kind::Suspects,
            SearchMode::Histogram(asked, known) => {
                let buckets = Buckets::new(asked.from_ms, asked.width_ms, u64::from(asked.count))
                    .map_err(|error| ApiError::bad_request("bad_buckets", error.to_string()))?;
                Kind::Rest(buckets, known_of(&known)?)
            }
            SearchMode::SuspectRows => Kind::SuspectRows,
            SearchMode::Sum(known) => Kind::Sum(stages.clone(), known_of(&known)?),
        };
        if !stages.is_empty() && !matches!(kind, Kind::Sum(..)) {
            plan.stages = Some(Chain::new(stages, &cancel));
        }
        let selected = pinned.some(log, &units);
        let (send, parts) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let local = Arc::clone(&self.local);
        let unread = selected.unread.clone();
        if let Some(time_ms) = time_ms {
            tokio::spawn(end_after(Duration::from_millis(time_ms), cancel.clone()));
        }
        tokio::spawn(async move {
            let ended = local.for_peer(selected, kind, plan, &cancel, send).await;
            let _ = finish.send(ended.map(|stats| SearchEnd { stats, unread }));
        });
        Ok(SearchAnswer { parts, done })
    }
}

impl Serving {
    /// What moves here.
    fn work(&self, draining: bool) -> Vec<WorkInfo> {
        let mut work = self.moving.work();
        if let Some(ingest) = self.local.holder().ingest.as_ref().filter(|_| draining) {
            let (sums, log) = (ingest.backlog.sums(), ingest.log.snapshot());
            let bytes: u64 = log.pieces.iter().map(|piece| piece.committed_bytes()).sum();
            work.push(WorkInfo {
                what: "hand_over".to_owned(),
                // What is in the log is not sealed yet; it is an origin at least.
                origins_left: sums.origins + u64::from(log.records() > 0),
                bytes_left: sums.bytes + if log.records() > 0 { bytes } else { 0 },
                ..WorkInfo::default()
            });
        }
        work
    }

    async fn begin(&self, job: Job) -> Result<(), ApiError> {
        let holds = self.roles.ingest || self.roles.store;
        if job == Job::Drain && !holds {
            let error = ApiError::bad_request("nothing_to_drain", "this node keeps no records");
            return Err(error.hint("stop it: nothing will be missed"));
        }
        if job == Job::Repair {
            self.moving.hurry.notify_one();
            return Ok(());
        }
        if job == Job::Drain {
            // From here on nobody counts on its copies, whether the disk has heard of that or not.
            self.moving.dropper.lock().set_draining(true);
        }
        let changed = self.jobs.change(|wanted| match job {
            Job::Drain => wanted.draining = true,
            Job::CancelDrain => wanted.draining = false,
            Job::Rebalance => wanted.rebalancing = self.roles.store,
            Job::CancelRebalance => wanted.rebalancing = false,
            Job::Repair => {}
        });
        let changed = changed.await;
        self.moving.dropper.lock().set_draining(self.jobs.wanted().draining);
        match changed {
            Ok(true) => tracing::info!(?job, "an operator wants this of the node"),
            Ok(false) => {}
            Err(error) => {
                let why = "what is wanted of this node cannot be kept on its disk; nothing has changed";
                return Err(ApiError::internal(why).detail(error.to_string()));
            }
        }
        Ok(())
    }
}

/// Ends a search that nobody waits for any more.
async fn end_after(time: Duration, cancel: CancellationToken) {
    let ended = tokio::time::timeout(time, cancel.cancelled()).await;
    if ended.is_err() {
        cancel.cancel();
    }
}

/// Records that are not counted, in order.
fn known_of(known: &HashedRows) -> Result<Arc<[(RecordId, Fingerprint)]>, ApiError> {
    let known: Arc<[(RecordId, Fingerprint)]> = records(known).collect();
    if known.is_sorted_by_key(|(id, _)| *id) {
        return Ok(known);
    }
    Err(ApiError::bad_request("bad_search", "the records that are known are not in the order of their ids"))
}

/// Reads a file in chunks; blocks.
fn read(file: &SegmentFile, send: &mpsc::Sender<Result<Bytes, ApiError>>) {
    let mut at = 0;
    while at < file.bytes() {
        let end = file.bytes().min(at + STORE_WRITE_BYTES as u64);
        let mut chunk = Vec::new();
        let read = file.read(at..end, &mut chunk);
        let chunk = read
            .map(|()| Bytes::from(chunk))
            .map_err(|error| ApiError::internal("an origin cannot be read").detail(error.to_string()));
        let is_over = chunk.is_err();
        if send.blocking_send(chunk).is_err() || is_over {
            return;
        }
        at = end;
    }
}
