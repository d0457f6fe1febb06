//! What the server needs of a node for the other nodes of its cluster.
//!
//! As with [`Backend`](super::Backend), every future may be dropped at any await: that is how a node that
//! goes away cancels what it asked for. Everything here may come twice, for a node that lost an answer asks
//! again.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_replication::OriginKey;

use super::OfferedFilter;
use crate::auth::ClusterKey;
use crate::error::{ApiError, ErrorKind};
pub use crate::wire::StreamInfo;
pub use crate::wire::peer::{
    Buckets, ChangesRequest, ConfirmRequest, Confirmation, Confirmed, CountedOn, Counts, FailedRequest, Gap,
    HashedRows, HoldsRequest, Job, Kept, LogStart, NamesRequest, NodeInfo, OriginRequest, Origins, PROTOCOL,
    PlanAnswer, PlanRequest, Role, SearchEnd, SearchMode, SearchPart, SearchRequest, SnapshotToken,
    StageSpec, Syntax, TailEvent, TailRequest, UnitOrigins,
};

/// A node as the other nodes of its cluster see it.
pub trait PeerBackend: Send + Sync + 'static {
    /// The key that requests of other nodes must be signed with. Without one only processes on the same
    /// machine are answered, and only while the server listens on loopback.
    fn cluster_key(&self) -> Option<&ClusterKey>;

    /// Who the node is and how it does.
    fn info(&self) -> NodeInfo;

    /// What has changed in what the node holds, as bytes of the feed. Answers at once when there is news
    /// since the position, else when there is some, and after [`ChangesRequest::wait_ms`] with whatever an
    /// empty change is. The wait is bounded already, and the future is dropped when nobody waits any more.
    fn changes(&self, request: ChangesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>>;

    /// The origins of some units of the store by name, as bytes of the feed: a page of them.
    /// [`ApiError::snapshot_gone`] when they are asked of a snapshot that is not kept any more.
    fn names(&self, request: NamesRequest) -> BoxFuture<'_, Result<Bytes, ApiError>>;

    /// A sealed origin: of the backlog, claimed by a store, or one that this node keeps as a store, cut out of a
    /// larger segment if need be. [`ApiError::origin_gone`] when it is not here (any more),
    /// [`ApiError::origin_busy`] while it is not that store's turn, or while it cannot be cut out.
    fn origin(&self, request: OriginRequest) -> BoxFuture<'_, Result<OriginFile, ApiError>>;

    /// Counts what a store keeps: one outcome per origin, in order. A repeat has the same outcome as long as
    /// the origin is known.
    fn confirm(&self, request: ConfirmRequest) -> BoxFuture<'_, Result<Vec<Confirmed>, ApiError>>;

    /// Takes note that a store could not take an origin.
    fn failed(&self, request: FailedRequest) -> BoxFuture<'_, Result<(), ApiError>>;

    /// Which copies a store that is about to let go of its own may count on: one word per origin, in order.
    fn holds(&self, request: HoldsRequest) -> BoxFuture<'_, Result<Vec<bool>, ApiError>>;

    /// Does what an operator wants, or begins to.
    fn job(&self, job: Job) -> BoxFuture<'_, Result<(), ApiError>>;

    /// Makes a snapshot and tells what is in it.
    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanAnswer, ApiError>>;

    /// Searches a snapshot: [`ApiError::snapshot_gone`] when it is not kept any more. Errors that are known
    /// before the first part come here, later ones through [`SearchAnswer::done`]. `cancel` is cancelled when
    /// the other node has gone.
    fn search(
        &self,
        request: SearchRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SearchAnswer, ApiError>>;

    /// Takes a component that a stage of a search is to run, if it is allowed to run here. `filter_refused` when not.
    fn offer(&self, offered: OfferedFilter) -> BoxFuture<'_, Result<(), ApiError>>;

    /// The streams of what the node holds itself.
    fn streams(&self) -> BoxFuture<'_, Result<Vec<StreamInfo>, ApiError>>;

    /// Forgets a snapshot, if there is one.
    fn release(&self, snapshot: SnapshotToken);

    /// Sends records as they arrive, until `cancel` is cancelled.
    fn tail(
        &self,
        request: TailRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<TailAnswer, ApiError>>;
}

/// An origin on its way to a store.
#[derive(Debug)]
pub struct OriginFile {
    /// Size of the file.
    pub bytes: u64,
    /// The file, in order, cut anywhere. Less or more than [`bytes`](OriginFile::bytes), or an error, cuts the
    /// answer. Bounded: a slow store slows the reader.
    pub chunks: mpsc::Receiver<Result<Bytes, ApiError>>,
}

/// An answer to a search under way.
#[derive(Debug)]
pub struct SearchAnswer {
    /// The parts. Closed after the last one. Bounded: a slow node slows the search.
    pub parts: mpsc::Receiver<SearchPart>,
    /// How it ended; sent after the last part. Dropped unsent it counts as a defect.
    pub done: oneshot::Receiver<Result<SearchEnd, ApiError>>,
}

/// A tail under way.
#[derive(Debug)]
pub struct TailAnswer {
    /// What happens. Never waited for by ingest: who reads too slowly gets a gap.
    pub events: mpsc::Receiver<TailEvent>,
    /// Why it ended; sent after the last event. Dropped unsent it counts as a defect.
    pub done: oneshot::Receiver<ApiError>,
}

impl ApiError {
    /// The node does not have an origin, or has it no longer: status 404.
    pub fn origin_gone(origin: &OriginKey) -> ApiError {
        ApiError::new(ErrorKind::NotFound, "origin_gone", format!("origin {origin} is not here"))
            .hint("it was handed over to other stores, has expired, is damaged, or never was here")
    }

    /// Another store is at it: status 409, and when to come again.
    pub fn origin_busy(origin: &OriginKey, retry_after_s: u32) -> ApiError {
        ApiError::new(ErrorKind::Conflict, "origin_busy", format!("origin {origin} is being taken by others"))
            .hint("come again later: it is free when they have confirmed it or given up")
            .retry_after_s(retry_after_s)
    }

    /// What a segment has lost would be in the answer, and whoever asks wants it from elsewhere: status 410.
    pub fn damaged(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Gone, "damaged", message)
            .hint("plan anew: the node no longer says that it has it")
    }

    /// The snapshot is not kept any more: status 410.
    pub fn snapshot_gone() -> ApiError {
        ApiError::new(ErrorKind::Gone, "snapshot_gone", "the snapshot is not kept any more").hint("plan anew")
    }
}
