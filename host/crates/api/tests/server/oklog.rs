//! OK Log's routes on the real server. Each test says which behaviour of the original it keeps, or mends.

mod claims;
mod query;
mod replicate;
mod stream;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use weir_api::backend::{ApiError, Backend, QueryAnswer, QueryRequest};
use weir_api::oklog::{
    Backlog, ClusterMember, ClusterState, Desk, Oklog, OklogIngest, Scope, SegmentRows, Survey,
};
use weir_query::Rows;
use weir_record::{RecordId, Stream};

use crate::backend::{NOW_MS, Shell};

/// What the routes of OK Log find beside the rest of the node.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) survey: Mutex<Survey>,
    /// Ranges that were surveyed, and whose.
    pub(crate) surveyed: Mutex<Vec<(RecordId, RecordId, Scope)>>,
    /// Whether records are known to be missing.
    pub(crate) lacks: AtomicBool,
    /// Queries that were asked of this node alone.
    pub(crate) here: AtomicU64,
    pub(crate) desk: Desk<Sealed>,
}

type Records = Vec<(RecordId, Vec<u8>)>;

/// Sealed pieces by number, each with its records.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    pub(crate) pieces: Mutex<BTreeMap<u32, Records>>,
    /// The piece whose read breaks off, if any.
    pub(crate) broken: Mutex<Option<u32>>,
    pub(crate) now_ms: AtomicU64,
    drawn: AtomicU64,
}

impl Default for Foreign {
    fn default() -> Foreign {
        Foreign {
            survey: Mutex::new(Survey { nodes: 3, segments: 17, bytes_max: 4_096, errors: 0 }),
            surveyed: Mutex::default(),
            lacks: AtomicBool::new(false),
            here: AtomicU64::new(0),
            desk: Desk::new(Sealed::default()),
        }
    }
}

impl Oklog for Shell {
    fn survey(&self, from: RecordId, to: RecordId, scope: Scope) -> BoxFuture<'_, Result<Survey, ApiError>> {
        self.0.oklog.surveyed.lock().push((from, to, scope));
        let survey = *self.0.oklog.survey.lock();
        Box::pin(async move { Ok(survey) })
    }

    fn lacks(&self, _from: RecordId, _to: RecordId, _scope: Scope) -> BoxFuture<'_, Result<bool, ApiError>> {
        Box::pin(async { Ok(self.0.oklog.lacks.load(Ordering::Relaxed)) })
    }

    fn query_here(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        self.0.oklog.here.fetch_add(1, Ordering::Relaxed);
        self.query(request)
    }

    fn ingest(&self) -> Option<&dyn OklogIngest> {
        Some(&self.0.oklog.desk)
    }

    fn cluster(&self) -> ClusterState {
        let member = |name: &str, kind| ClusterMember {
            name: name.into(),
            kind,
            address: "127.0.0.1".into(),
            port: 7650,
        };
        ClusterState { name: "a".into(), members: vec![member("a", "ingeststore"), member("b", "store")] }
    }
}

impl Backlog for Sealed {
    type Piece = u32;

    fn oldest(&self, count: usize) -> Vec<u32> {
        self.pieces.lock().keys().copied().take(count).collect()
    }

    fn holds(&self, piece: &u32) -> bool {
        self.pieces.lock().contains_key(piece)
    }

    fn open(&self, piece: &u32) -> BoxFuture<'_, Result<SegmentRows, ApiError>> {
        let records = self.pieces.lock().get(piece).cloned();
        let breaks = *self.broken.lock() == Some(*piece);
        Box::pin(async move {
            let records = records.ok_or_else(|| ApiError::internal("the piece is gone"))?;
            let (rows_in, rows) = mpsc::channel(1);
            let (done_in, done) = oneshot::channel();
            tokio::spawn(async move {
                for (id, payload) in records {
                    let mut one = Rows::new();
                    let stream = one.add_stream(Stream::new("t", [("", ""); 0]).unwrap().into());
                    one.push(id, stream, &payload);
                    if rows_in.send(one).await.is_err() {
                        return;
                    }
                }
                drop(rows_in);
                let _ = done_in.send(if breaks { Err(ApiError::internal("checksum")) } else { Ok(()) });
            });
            Ok(SegmentRows { rows, done })
        })
    }

    fn hand_over(&self, piece: &u32) -> BoxFuture<'_, Result<(), ApiError>> {
        self.pieces.lock().remove(piece);
        Box::pin(async { Ok(()) })
    }

    fn now_ms(&self) -> u64 {
        NOW_MS + self.now_ms.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}
