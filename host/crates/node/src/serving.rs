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
    ChangesRequest, ConfirmRequest, Confirmed, Counts, FailedRequest, Gap, HashedRows, Kept, LogStart,
    NodeInfo, OriginFile, OriginRequest, PROTOCOL, PeerBackend, PlanAnswer, PlanRequest, Role, SearchAnswer,
    SearchEnd, SearchMode, SearchPart, SearchRequest, SnapshotToken, Syntax, TailAnswer, TailEvent,
    TailRequest,
};
use weir_api::backend::{self, ApiError, StreamInfo};
use weir_engine::Plan;
use weir_query::{Buckets, Expr, Fingerprint, Matcher, Rows, parse, parse_regex};
use weir_record::limits::{NODE_WAIT_MS_MAX, STORE_WRITE_BYTES};
use weir_replication::{Confirmation, Place, Refused, TimeRange};
use weir_storage::{SegmentFile, Store};

use crate::announce::Announced;
use crate::catalog;
use crate::clock;
use crate::config::Roles;
use crate::copies;
use crate::handover::Handover;
use crate::queries::{Kind, Local};
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
    pub(crate) snapshots: Snapshots,
    pub(crate) tails: Option<Arc<Tails>>,
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
        NodeInfo {
            node: self.node,
            incarnation: self.incarnation,
            version: self.version.to_owned(),
            protocol: PROTOCOL,
            roles: roles.into_iter().filter_map(|(has, role)| has.then_some(role)).collect(),
            zone: self.zone.clone(),
            capacity_bytes: self.capacity_bytes,
            full: self.store.as_ref().is_some_and(Store::is_full),
            draining: false,
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

    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanAnswer, ApiError>> {
        Box::pin(async move {
            let (pinned, changes) = self.local.holder().plan(request.place, &request.since);
            let starts = pinned.log_starts.iter();
            let log =
                starts.map(|(epoch, first_piece)| LogStart { epoch: *epoch, first_piece: *first_piece });
            let log = if request.place == Place::Backlog { log.collect() } else { Vec::new() };
            let last = request.to.to_u128().saturating_sub(1);
            let to_ms = weir_record::RecordId::from_u128(last).time_ms();
            let contested = pinned.contested(TimeRange::new(request.from.time_ms(), to_ms));
            let oldest = pinned.oldest_unconsumed();
            Ok(PlanAnswer {
                info: self.info(),
                snapshot: self.snapshots.keep(pinned),
                log,
                contested: contested.into_iter().map(|times| (times.from_ms, times.to_ms)).collect(),
                oldest,
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
            self.start(&pinned, &expr, request, cancel)
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
            let request = backend::TailRequest { text: request.query, expr, resume, cancel: cancel.clone() };
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
        cancel: CancellationToken,
    ) -> Result<SearchAnswer, ApiError> {
        let matcher =
            Matcher::compile(expr).map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        let SearchRequest { from, to, limit, order, mode, log, units, .. } = request;
        let plan = Plan { matcher, from, to, limit, order };
        let selected = pinned.some(log, &units);
        let (send, parts) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let local = Arc::clone(&self.local);
        let unread = selected.unread.clone();
        tokio::spawn(async move {
            let kind = match mode {
                SearchMode::Rows => Kind::Rows,
                SearchMode::Around(around) => Kind::Around(Arc::new(around)),
                SearchMode::Hashes => Kind::Hashes,
                SearchMode::Count | SearchMode::Histogram(_) => {
                    let counted = count(&local, selected, plan, mode, &cancel).await;
                    let ended = match counted {
                        // A reader that has gone hears nothing.
                        Ok((counts, stats)) => {
                            let _ = send.send(SearchPart::Counts(counts)).await;
                            Ok(SearchEnd { stats, unread })
                        }
                        Err(error) => Err(error),
                    };
                    drop(send);
                    let _ = finish.send(ended);
                    return;
                }
            };
            let are_hashes = matches!(kind, Kind::Hashes);
            let (rows, mut found) = mpsc::channel::<Rows>(CHUNKS_AHEAD);
            let handing = tokio::spawn(async move {
                while let Some(rows) = found.recv().await {
                    let part =
                        if are_hashes { SearchPart::Hashes(hashed(&rows)) } else { SearchPart::Rows(rows) };
                    if send.send(part).await.is_err() {
                        return;
                    }
                }
            });
            let ended = local.for_peer(selected, kind, plan, &cancel, rows).await;
            // The last rows go out before the end does.
            let _ = handing.await;
            let _ = finish.send(ended.map(|stats| SearchEnd { stats, unread }));
        });
        Ok(SearchAnswer { parts, done })
    }
}

async fn count(
    local: &Local,
    selected: crate::snapshots::Selected,
    plan: Plan,
    mode: SearchMode,
    cancel: &CancellationToken,
) -> Result<(Counts, weir_query::Stats), ApiError> {
    let buckets = match mode {
        SearchMode::Histogram(asked) => Buckets::new(asked.from_ms, asked.width_ms, u64::from(asked.count)),
        // All of time in one.
        _ => Buckets::new(0, weir_record::id::TIME_MS_MAX + 1, 1),
    };
    let buckets = buckets.map_err(|error| ApiError::bad_request("bad_buckets", error.to_string()))?;
    let (histogram, stats) = local.histogram(plan, buckets, selected.over, cancel).await?;
    Ok((Counts { buckets: histogram.counts().to_vec() }, stats))
}

fn hashed(rows: &Rows) -> HashedRows {
    let mut hashed = HashedRows::new();
    for row in rows.iter() {
        // The engine sends nothing else in this mode.
        if let Some(print) = Fingerprint::read(row.payload) {
            hashed.push(row.id, print.level() as u8, print.digest());
        }
    }
    hashed
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
