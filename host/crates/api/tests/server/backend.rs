//! A node that keeps its records in a list, and queries that do as they are told.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use weir_api::backend::{
    ApiError, Backend, Durability, ErrorKind, HistogramAnswer, HistogramRequest, Incoming, IngestRequest,
    Ingested, PeerBackend, PluginInfo, QueryAnswer, QueryRequest, Reloaded, StreamInfo, StreamsAnswer,
    TailAnswer, TailRequest, labels_of,
};
use weir_api::oklog::Oklog;
use weir_query::{Missing, Rows, Stats};
use weir_record::stream::PART_LABEL;
use weir_record::{Batch, BatchFlags, Minter, RecordId, Stream};

use crate::oklog::Foreign;
use crate::peer::PeerNode;

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// How the next query goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Script {
    /// All records, then the end.
    #[default]
    Whole,
    /// An error instead of an answer.
    RefuseAtOnce,
    /// An error before the first row.
    FailBeforeRows,
    /// All records, then an error.
    FailAfterRows,
    /// All records, then nothing: the query is gone without a word.
    Vanish,
    /// No record, a wait for [`Node::go_on`], then an error.
    FailLate,
    /// All records, and something is missing.
    Incomplete,
    /// The same, known before the first row.
    KnownIncomplete,
    /// Rows without end.
    Endless,
    /// No row until cancelled.
    Silent,
    /// All records, then a wait for [`Node::go_on`].
    Halting,
}

#[derive(Debug)]
pub(crate) struct Node {
    minter: Mutex<Minter>,
    batches: Mutex<Vec<Batch>>,
    pub(crate) script: Mutex<Script>,
    pub(crate) ready: Mutex<Result<(), String>>,
    /// Ingest requests that have arrived.
    pub(crate) ingests: Mutex<Vec<(Durability, Option<String>)>>,
    /// What the next tail is given; without it tails are refused.
    pub(crate) tail: Mutex<Option<TailAnswer>>,
    /// Tails that were asked for.
    pub(crate) tails: Mutex<Vec<TailRequest>>,
    /// What the routes of OK Log ask of it.
    pub(crate) oklog: Foreign,
    /// Taken by each ingest request; taken away, requests wait.
    pub(crate) gate: Semaphore,
    pub(crate) arrived: Notify,
    pub(crate) cancelled: Notify,
    pub(crate) go_on: Notify,
    /// What it has for other nodes.
    pub(crate) peer: Option<Arc<PeerNode>>,
}

impl Node {
    pub(crate) fn new(peer: Option<Arc<PeerNode>>) -> Arc<Node> {
        Arc::new(Node {
            minter: Mutex::new(Minter::new(RecordId::MIN)),
            batches: Mutex::default(),
            script: Mutex::default(),
            ready: Mutex::new(Ok(())),
            ingests: Mutex::default(),
            tail: Mutex::default(),
            tails: Mutex::default(),
            oklog: Foreign::default(),
            gate: Semaphore::new(1_000_000),
            arrived: Notify::new(),
            cancelled: Notify::new(),
            go_on: Notify::new(),
            peer,
        })
    }

    pub(crate) fn records(&self) -> Vec<(Stream, Vec<u8>)> {
        let batches = self.batches.lock();
        let records = batches.iter().flat_map(|b| b.records().map(|(_, p)| (b.stream().clone(), p.to_vec())));
        records.collect()
    }

    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.records().into_iter().map(|(_, payload)| payload).collect()
    }

    fn store(&self, records: Incoming) -> (u64, Option<(RecordId, RecordId)>) {
        let batches = match records {
            Incoming::Batches { batches, .. } => batches,
            Incoming::Lines { stream, groups } => groups
                .into_iter()
                .map(|group| {
                    let run = self.minter.lock().mint(NOW_MS, 7, group.payloads.count() as u32);
                    let stream =
                        group.part.label().map_or(stream.clone(), |part| stream.marked(PART_LABEL, part));
                    let payloads = group.payloads;
                    Batch::new(stream, BatchFlags::NONE, vec![run], payloads.ends, payloads.arena).unwrap()
                })
                .collect(),
        };
        let count = batches.iter().map(|b| b.count() as u64).sum();
        let ids = batches.iter().map(Batch::id_range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        self.batches.lock().extend(batches);
        (count, ids)
    }

    fn rows(&self, request: &QueryRequest) -> Rows {
        let mut rows = Rows::new();
        let batches = self.batches.lock();
        let mut found: Vec<(RecordId, &Stream, &[u8])> = batches
            .iter()
            .flat_map(|b| b.records().map(|(id, payload)| (id, b.stream(), payload)))
            .filter(|(id, ..)| (request.from..request.to).contains(id))
            .collect();
        found.sort_by_key(|(id, ..)| request.order.key(*id));
        found.truncate(request.limit.unwrap_or(u64::MAX) as usize);
        for (id, stream, payload) in found {
            let at = rows.add_stream(Arc::new(stream.clone()));
            rows.push(id, at, payload);
        }
        rows
    }

    async fn play(
        self: Arc<Node>,
        request: QueryRequest,
        script: Script,
        rows: mpsc::Sender<Rows>,
        done: oneshot::Sender<Result<Stats, ApiError>>,
    ) {
        let found = self.rows(&request);
        let mut stats = Stats { records_matched: found.count() as u64, ..Stats::default() };
        match script {
            Script::Silent => {
                request.cancel.cancelled().await;
                self.cancelled.notify_one();
                return;
            }
            Script::Endless => {
                while !request.cancel.is_cancelled() && rows.send(found.clone()).await.is_ok() {}
                self.cancelled.notify_one();
                return;
            }
            Script::FailBeforeRows | Script::FailLate => {}
            _ if found.is_empty() => {}
            _ => drop(rows.send(found).await),
        }
        if matches!(script, Script::Halting | Script::FailLate) {
            self.go_on.notified().await;
        }
        let outcome = match script {
            Script::Vanish => return,
            Script::FailBeforeRows | Script::FailAfterRows | Script::FailLate => {
                Err(ApiError::new(ErrorKind::Unavailable, "log_lost", "the log is gone — ganz weg"))
            }
            Script::Incomplete | Script::KnownIncomplete => {
                stats.miss(missing());
                Ok(stats)
            }
            _ => Ok(stats),
        };
        drop(rows);
        let _ = done.send(outcome);
    }
}

fn missing() -> Missing {
    Missing {
        node: "node-2".into(),
        place: "piece 7".into(),
        from: RecordId::MIN,
        to: RecordId::MAX,
        why: "checksum".into(),
    }
}

/// The node as the server holds it.
pub(crate) struct Shell(pub(crate) Arc<Node>);

impl Backend for Shell {
    fn ingest(&self, request: IngestRequest) -> BoxFuture<'_, Result<Ingested, ApiError>> {
        let key = request.key.as_ref().map(|key| key.as_str().to_owned());
        self.0.ingests.lock().push((request.durability, key));
        self.0.arrived.notify_one();
        Box::pin(async move {
            let _open = self.0.gate.acquire().await.unwrap();
            let (records, ids) = self.0.store(request.records);
            Ok(Ingested { records, ids, durability: request.durability })
        })
    }

    fn query(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        let script = *self.0.script.lock();
        let node = self.0.clone();
        Box::pin(async move {
            if script == Script::RefuseAtOnce {
                return Err(ApiError::new(
                    ErrorKind::TooMany,
                    "too_many_queries",
                    "256 queries wait already",
                ));
            }
            let (rows_in, rows) = mpsc::channel(2);
            let (done_in, done) = oneshot::channel();
            tokio::spawn(node.play(request, script, rows_in, done_in));
            Ok(QueryAnswer { rows, done, partial: script == Script::KnownIncomplete })
        })
    }

    fn tail(&self, request: TailRequest) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        let answer = self.0.tail.lock().take();
        self.0.tails.lock().push(request);
        self.0.arrived.notify_one();
        Box::pin(async move {
            answer.ok_or_else(|| {
                ApiError::new(ErrorKind::TooMany, "too_many_tails", "256 clients tail already")
            })
        })
    }

    fn histogram(&self, request: HistogramRequest) -> BoxFuture<'_, Result<HistogramAnswer, ApiError>> {
        let mut stats = Stats::default();
        if *self.0.script.lock() == Script::Incomplete {
            stats.miss(missing());
        }
        let buckets = (0..request.buckets as u64).map(|n| [n, 0, 0, 0, 1]).collect();
        let from_ms = request.from.time_ms();
        Box::pin(async move { Ok(HistogramAnswer { from_ms, width_ms: 1_000, buckets, stats }) })
    }

    fn oklog(&self) -> Option<&dyn Oklog> {
        Some(self)
    }

    fn streams(&self) -> BoxFuture<'_, Result<StreamsAnswer, ApiError>> {
        let info = |stream: &Stream| StreamInfo {
            topic: stream.topic().into(),
            labels: labels_of(stream),
            ..StreamInfo::default()
        };
        let streams = self.0.batches.lock().iter().map(|batch| info(batch.stream())).collect();
        Box::pin(async move { Ok(StreamsAnswer { streams, missing: Vec::new() }) })
    }

    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginInfo>, ApiError>> {
        let plugin =
            PluginInfo { name: "file-source".into(), kind: "source".into(), ..PluginInfo::default() };
        Box::pin(async move { Ok(vec![plugin]) })
    }

    fn metrics(&self) -> String {
        "# HELP weir_up One.\n# TYPE weir_up gauge\nweir_up 1\n".into()
    }

    fn ready(&self) -> Result<(), String> {
        self.0.ready.lock().clone()
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ApiError>> {
        Box::pin(async { Ok(Reloaded { restarted: vec!["orders".into()], ..Reloaded::default() }) })
    }

    fn durability_max(&self) -> Durability {
        Durability::Stored
    }

    fn peer(&self) -> Option<&dyn PeerBackend> {
        self.0.peer.as_deref().map(|peer| peer as &dyn PeerBackend)
    }

    fn now_ms(&self) -> u64 {
        self.0.peer.as_ref().map_or(NOW_MS, |peer| peer.now_ms())
    }
}
