//! The backlog as stores of OK Log consume it: each sealed origin is one of their segments.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, ErrorKind};
use weir_api::oklog::{Backlog, SegmentRows};
use weir_engine::{Plan, Searchable, SegmentPiece};
use weir_query::{Expr, Matcher, Order, Stats};
use weir_record::RecordId;
use weir_replication::OriginKey;
use weir_storage::SegmentFile;

use crate::announce::held_of_origin;
use crate::clock;
use crate::handover::Handover;
use crate::queries::Local;

/// Chunks of rows that wait for a reader.
const CHUNKS_AHEAD: usize = 2;

/// The origins of this node that may leave it.
pub(crate) struct Origins {
    backlog: Arc<weir_storage::Backlog>,
    handover: Arc<Handover>,
    local: Arc<Local>,
}

impl Origins {
    /// The origins of `backlog`, which `handover` offers to stores of weir as well.
    pub(super) fn new(
        backlog: Arc<weir_storage::Backlog>,
        handover: Arc<Handover>,
        local: Arc<Local>,
    ) -> Origins {
        Origins { backlog, handover, local }
    }
}

impl Backlog for Origins {
    type Piece = OriginKey;

    fn oldest(&self, count: usize) -> Vec<OriginKey> {
        // Names do not tell the age: each start of the process draws its part of them.
        let low = |origin: &Arc<SegmentFile>| origin.footer().id_range().0;
        let mut origins = self.backlog.settled();
        if count < origins.len() {
            origins.select_nth_unstable_by_key(count, low);
            origins.truncate(count);
        }
        origins.sort_unstable_by_key(low);
        origins.iter().filter_map(|origin| held_of_origin(origin)).map(|held| held.key()).collect()
    }

    fn holds(&self, piece: &OriginKey) -> bool {
        self.backlog.get(piece.name, &piece.unit).is_some()
    }

    fn open(&self, piece: &OriginKey) -> BoxFuture<'_, Result<SegmentRows, ApiError>> {
        let file = self.backlog.get(piece.name, &piece.unit);
        Box::pin(async move {
            let file = file.ok_or_else(|| {
                ApiError::new(ErrorKind::Gone, "piece_gone", "the segment has left this node, or expired")
            })?;
            let matcher =
                Matcher::compile(&Expr::All).map_err(|error| ApiError::internal(error.to_string()))?;
            let (from, to) = (RecordId::MIN, RecordId::MAX);
            let plan = Plan { matcher, from, to, limit: None, order: Order::Asc, whole: false, stages: None };
            let over = vec![Searchable::Segment(SegmentPiece::all(file))];
            let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
            let (finish, done) = oneshot::channel();
            let local = Arc::clone(&self.local);
            tokio::spawn(async move {
                // A reader that goes away ends it: nobody takes the next chunk.
                let never = CancellationToken::new();
                let read = local.rows_for_peer(over, plan, &never, send).await;
                let _ = finish.send(read.and_then(|stats| whole(&stats)));
            });
            Ok(SegmentRows { rows, done })
        })
    }

    fn hand_over(&self, piece: &OriginKey) -> BoxFuture<'_, Result<(), ApiError>> {
        let (handover, key) = (Arc::clone(&self.handover), piece.clone());
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || handover.taken(&key)).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(ApiError::new(
                    ErrorKind::Unavailable,
                    "piece_settling",
                    "the segment is still leaving the log; it is offered again",
                )),
                Err(_) => Err(ApiError::internal("letting go of a segment has panicked")),
            }
        })
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn entropy(&self) -> u128 {
        fastrand::u128(..)
    }
}

/// Whether all records were read: a store must not commit what it has not got.
fn whole(stats: &Stats) -> Result<(), ApiError> {
    if stats.complete {
        return Ok(());
    }
    let why = stats.missing.first().map(|missing| format!("{}: {}", missing.place, missing.why));
    Err(ApiError::internal(why.unwrap_or_else(|| "the segment cannot be read to its end".into())))
}
