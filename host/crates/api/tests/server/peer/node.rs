//! A node with peers, that does as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_api::backend::StreamInfo;
use weir_api::backend::peer::{
    ChangesRequest, ConfirmRequest, Confirmed, Counts, FailedRequest, Gap, HashedRows, HoldsRequest, Job,
    LogStart, NamesRequest, NodeInfo, OriginFile, OriginRequest, PROTOCOL, PeerBackend, PlanAnswer,
    PlanRequest, Role, SearchAnswer, SearchEnd, SearchMode, SearchPart, SearchRequest, SnapshotToken,
    TailAnswer, TailEvent, TailRequest,
};
use weir_api::backend::{ApiError, ErrorKind, OfferedFilter};
use weir_api::{ClusterKey, Signer, Stamp};
use weir_query::{Rows, Stats};
use weir_record::{RecordId, Stream};
use weir_replication::{OriginKey, Position};
use weir_segment::{OriginName, Unit};

/// How the next streamed answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Script {
    /// Everything, then the end.
    #[default]
    Whole,
    /// The thing asked for is not there any more.
    Gone,
    /// Another one is at it.
    Busy,
    /// Everything, then an error.
    Fail,
    /// Everything, then nothing: gone without a word.
    Vanish,
    /// Nothing until cancelled.
    Silent,
    /// One byte less than was said, or one more.
    Short,
    Long,
}

#[derive(Debug)]
pub(crate) struct PeerNode {
    key: Option<ClusterKey>,
    pub(crate) script: Mutex<Script>,
    /// How far its clock is off.
    pub(crate) skew_ms: AtomicI64,
    /// News of its feed.
    pub(crate) changes: Mutex<Bytes>,
    pub(crate) news: Notify,
    /// Somebody waits.
    pub(crate) waiting: Notify,
    /// Somebody waits no more.
    pub(crate) left: Arc<Notify>,
    pub(crate) asked: Mutex<Asked>,
}

/// What it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) changes: Vec<ChangesRequest>,
    pub(crate) names: Vec<NamesRequest>,
    pub(crate) origins: Vec<OriginRequest>,
    pub(crate) confirms: Vec<ConfirmRequest>,
    pub(crate) failed: Vec<FailedRequest>,
    pub(crate) holds: Vec<HoldsRequest>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) offered: Vec<OfferedFilter>,
    pub(crate) plans: Vec<PlanRequest>,
    pub(crate) searches: Vec<SearchRequest>,
    pub(crate) released: Vec<SnapshotToken>,
    pub(crate) tails: Vec<TailRequest>,
}

pub(crate) fn key(byte: u8) -> ClusterKey {
    ClusterKey::from_bytes(&[byte; 32]).unwrap()
}

/// Signs with that key, by the clock.
pub(crate) fn signer(byte: u8) -> Signer {
    Signer::new(key(byte), || Stamp { now_ms: clock_ms(), nonce: fastrand::u128(..) })
}

fn clock_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) fn origin() -> OriginKey {
    let unit = Unit::new(3_600_000, 3_600_000, "keep-7d", 0, 1).unwrap();
    OriginKey { unit, name: OriginName { node: 1, epoch: 2, piece: 3 } }
}

pub(crate) fn file() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n * 7) as u8).collect()
}

pub(crate) fn some_rows() -> Rows {
    let mut rows = Rows::new();
    let stream = rows.add_stream(Arc::new(Stream::new("t", [("a", "b")]).unwrap()));
    for number in 0..1000_u128 {
        rows.push(RecordId::from_u128(number), stream, format!("line {number}").as_bytes());
    }
    rows
}

/// Notifies when it is dropped.
struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl PeerNode {
    pub(crate) fn new(key: Option<ClusterKey>) -> Arc<PeerNode> {
        Arc::new(PeerNode {
            key,
            script: Mutex::default(),
            skew_ms: AtomicI64::new(0),
            changes: Mutex::default(),
            news: Notify::new(),
            waiting: Notify::new(),
            left: Arc::default(),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        clock_ms().strict_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }

    fn gone_or(&self, gone: ApiError) -> Result<Script, ApiError> {
        match *self.script.lock() {
            Script::Gone => Err(gone),
            Script::Busy => Err(ApiError::origin_busy(&origin(), 7)),
            script => Ok(script),
        }
    }

    /// Sends parts, and gives how it ended.
    async fn play<P>(
        script: Script,
        parts: Vec<P>,
        to: mpsc::Sender<P>,
        cancel: CancellationToken,
        left: Arc<Notify>,
    ) -> Option<Result<(), ApiError>> {
        let _leaving = Leaving(left);
        if script == Script::Silent {
            cancel.cancelled().await;
            return None;
        }
        for part in parts {
            to.send(part).await.ok()?;
        }
        match script {
            Script::Vanish => None,
            Script::Fail => {
                Some(Err(ApiError::new(ErrorKind::DiskFull, "full", "the disk is full").hint("wait")))
            }
            _ => Some(Ok(())),
        }
    }
}

fn parts_of(mode: &SearchMode) -> Vec<SearchPart> {
    match mode {
        SearchMode::Rows | SearchMode::SuspectRows | SearchMode::Around(_) => {
            vec![SearchPart::Rows(some_rows()), SearchPart::Rows(some_rows())]
        }
        SearchMode::Suspects => {
            let mut rows = HashedRows::new();
            rows.push(RecordId::MAX, 4, [7; 16]);
            vec![SearchPart::Hashes(rows)]
        }
        SearchMode::Sum(_) => vec![SearchPart::Partial(vec![5; 300].into())],
        SearchMode::Histogram(buckets, _) => {
            vec![SearchPart::Counts(Counts { buckets: vec![[9; 5]; buckets.count as usize] })]
        }
    }
}

impl PeerBackend for PeerNode {
    fn cluster_key(&self) -> Option<&ClusterKey> {
        self.key.as_ref()
    }

    fn offer(&self, offered: OfferedFilter) -> BoxFuture<'_, Result<(), ApiError>> {
        self.asked.lock().offered.push(offered);
        Box::pin(async { Ok(()) })
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<StreamInfo>, ApiError>> {
        Box::pin(async { Ok(vec![StreamInfo { topic: "t".into(), ..StreamInfo::default() }]) })
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            node: 255,
            incarnation: u64::MAX,
            version: "1.2.3".into(),
            protocol: PROTOCOL,
            roles: vec![Role::Ingest, Role::Store],
            zone: Some("rack-1".into()),
            capacity_bytes: 1 << 40,
            full: false,
            draining: true,
            empty: false,
            work: Vec::new(),
            replication: 2,
            now_ms: self.now_ms(),
        }
    }

    fn changes(&self, request: ChangesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>> {
        let wait = Duration::from_millis(request.wait_ms);
        self.asked.lock().changes.push(request);
        Box::pin(async move {
            let _leaving = Leaving(self.left.clone());
            let news = async {
                while self.changes.lock().is_empty() {
                    self.waiting.notify_one();
                    self.news.notified().await;
                }
            };
            // Without news the change is empty.
            let _ = timeout(wait, news).await;
            Ok(self.changes.lock().clone())
        })
    }

    fn names(&self, request: NamesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>> {
        self.asked.lock().names.push(request);
        let names = self.changes.lock().clone();
        Box::pin(async move { Ok(names) })
    }

    fn origin(&self, request: OriginRequest) -> BoxFuture<'_, Result<OriginFile, ApiError>> {
        let script = self.gone_or(ApiError::origin_gone(&request.origin));
        self.asked.lock().origins.push(request);
        Box::pin(async move {
            let script = script?;
            let mut file = file();
            let bytes = file.len() as u64;
            match script {
                Script::Short => drop(file.pop()),
                Script::Long => file.push(0),
                _ => {}
            }
            let (to, chunks) = mpsc::channel(1);
            let left = self.left.clone();
            tokio::spawn(async move {
                let _leaving = Leaving(left);
                for chunk in file.chunks(64 << 10) {
                    if to.send(Ok(Bytes::copy_from_slice(chunk))).await.is_err() {
                        return;
                    }
                    if script == Script::Silent {
                        return to.closed().await;
                    }
                }
                if script == Script::Fail {
                    let _ = to.send(Err(ApiError::internal("read error"))).await;
                }
            });
            Ok(OriginFile { bytes, chunks })
        })
    }

    fn confirm(&self, request: ConfirmRequest) -> BoxFuture<'_, Result<Vec<Confirmed>, ApiError>> {
        let all = [Confirmed::Counted, Confirmed::Complete, Confirmed::Unknown, Confirmed::Mismatch];
        let outcomes = all.into_iter().cycle().take(request.origins.len()).collect();
        self.asked.lock().confirms.push(request);
        Box::pin(async move { Ok(outcomes) })
    }

    fn holds(&self, request: HoldsRequest) -> BoxFuture<'_, Result<Vec<bool>, ApiError>> {
        let holds = [true, false].into_iter().cycle().take(request.origins.len()).collect();
        self.asked.lock().holds.push(request);
        Box::pin(async move { Ok(holds) })
    }

    fn job(&self, job: Job) -> BoxFuture<'_, Result<(), ApiError>> {
        self.asked.lock().jobs.push(job);
        Box::pin(async { Ok(()) })
    }

    fn failed(&self, request: FailedRequest) -> BoxFuture<'_, Result<(), ApiError>> {
        self.asked.lock().failed.push(request);
        Box::pin(async { Ok(()) })
    }

    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanAnswer, ApiError>> {
        self.asked.lock().plans.push(request);
        let plan = PlanAnswer {
            info: self.info(),
            snapshot: SnapshotToken(77),
            log: vec![LogStart { epoch: 4, first_piece: 12 }],
            contested: vec![(6, 7)],
            low: None,
            high: None,
            oldest: Some(RecordId::from_parts(5, 6)),
            changes: self.changes.lock().clone(),
        };
        Box::pin(async move { Ok(plan) })
    }

    fn search(
        &self,
        request: SearchRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SearchAnswer, ApiError>> {
        let script = self.gone_or(ApiError::snapshot_gone());
        let parts = parts_of(&request.mode);
        let unread = request.units.clone();
        self.asked.lock().searches.push(request);
        Box::pin(async move {
            let (to, parts_out) = mpsc::channel(1);
            let (done_in, done) = oneshot::channel();
            let played = PeerNode::play(script?, parts, to, cancel, self.left.clone());
            tokio::spawn(async move {
                let Some(ended) = played.await else { return };
                let stats = Stats { records_scanned: 42, limited: true, ..Stats::default() };
                let _ = done_in.send(ended.map(|()| SearchEnd { stats, unread }));
            });
            Ok(SearchAnswer { parts: parts_out, done })
        })
    }

    fn release(&self, snapshot: SnapshotToken) {
        self.asked.lock().released.push(snapshot);
    }

    fn tail(
        &self,
        request: TailRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        self.asked.lock().tails.push(request);
        let script = *self.script.lock();
        let events = vec![
            TailEvent::Gap(Gap::Lost),
            TailEvent::Rows(some_rows()),
            TailEvent::Position(Bytes::from_static(b"after 1000")),
            TailEvent::Gap(Gap::Dropped(9)),
        ];
        Box::pin(async move {
            let (to, events_out) = mpsc::channel(1);
            let (done_in, done) = oneshot::channel();
            // A tail that is whole goes on until somebody ends it.
            let open = to.clone();
            let played = PeerNode::play(script, events, to, cancel.clone(), self.left.clone());
            tokio::spawn(async move {
                if let Some(Err(error)) = played.await {
                    drop(open);
                    let _ = done_in.send(error);
                } else if script == Script::Whole {
                    cancel.cancelled().await;
                }
            });
            Ok(TailAnswer { events: events_out, done })
        })
    }
}

/// Nothing read yet.
pub(crate) const BEGINNING: Position = Position::START;
