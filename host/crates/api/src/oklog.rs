//! What OK Log's clients, scripts and stores meet in weir: the parts of it that know no socket.
//!
//! [`Oklog`] is what the routes below `/store/` and `/ingest/` ask of a node beside its
//! [`Backend`](crate::backend::Backend). [`Claims`] decides who consumes which piece, [`Desk`] puts it in front
//! of a backlog, [`TextWriter`] and [`read_text`] are the segment of OK Log (lines of `ULID SP payload LF`), and
//! [`Window`] puts the records of a live stream in order.

mod claim;
mod claims;
mod desk;
pub(crate) mod go;
mod read;
mod text;
mod window;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use weir_query::Rows;
use weir_record::RecordId;

use crate::backend::{ApiError, QueryAnswer, QueryRequest};
pub use claim::{ClaimId, NotAClaim};
pub use claims::{ClaimRefused, ClaimState, Claims, Suspect};
pub use desk::{Backlog, Desk};
pub use read::{TextError, read_text};
pub use text::TextWriter;
pub use window::Window;

/// A node as OK Log's routes see it. All methods may be called at once by many.
pub trait Oklog: Send + Sync {
    /// What a query over `[from, to)` would read, told from indexes alone: no block is opened and no node asked.
    fn survey(&self, from: RecordId, to: RecordId, scope: Scope) -> BoxFuture<'_, Result<Survey, ApiError>>;

    /// Whether records of `[from, to)` are known to be missing before any is read. May ask other nodes.
    fn lacks(&self, from: RecordId, to: RecordId, scope: Scope) -> BoxFuture<'_, Result<bool, ApiError>>;

    /// A query over what this node itself holds: [`Backend::query`](crate::backend::Backend::query) without the
    /// other nodes.
    fn query_here(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>>;

    /// The backlog for stores of OK Log; `None` on a node that hands nothing out this way: its `/ingest/`
    /// routes are not there.
    fn ingest(&self) -> Option<&dyn OklogIngest>;

    /// The nodes that this one knows.
    fn cluster(&self) -> ClusterState;
}

/// Whose records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of all nodes.
    Cluster,
    /// Those of this node alone.
    Node,
}

/// What a query would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Nodes that are asked, those that do not answer among them. None: the query is refused with 503.
    pub nodes: u64,
    /// Pieces and segments whose range meets the one asked for, summed over nodes.
    pub segments: u64,
    /// Their bytes on the node that has the most of them: what one node reads at worst.
    pub bytes_max: u64,
    /// Nodes of which records are known to be missing: the status is 206 then.
    pub errors: u64,
}

/// How stores of OK Log consume what an ingest node has sealed. A piece is claimed, read once, and then either
/// committed (it is theirs now, and gone here) or failed (others may claim it).
pub trait OklogIngest: Send + Sync {
    /// Claims the oldest piece that nobody has claimed; `None` when there is none.
    fn next(&self) -> BoxFuture<'_, Result<Option<ClaimId>, ApiError>>;

    /// The records of a claimed piece, ascending by id. One read per claim.
    fn read(&self, claim: ClaimId) -> BoxFuture<'_, Result<SegmentRows, ClaimRefused>>;

    /// All bytes of the read have been handed to the connection: from now on the claim may be committed.
    fn read_whole(&self, claim: ClaimId);

    /// Takes the piece out of the backlog. Nothing brings it back.
    fn commit(&self, claim: ClaimId) -> BoxFuture<'_, Result<(), ClaimRefused>>;

    /// Gives the piece back.
    fn failed(&self, claim: ClaimId) -> BoxFuture<'_, Result<(), ClaimRefused>>;

    /// What is claimed, and what came back.
    fn state(&self) -> IngestState;
}

/// Records of a piece on their way.
#[derive(Debug)]
pub struct SegmentRows {
    /// The rows, ascending by id. Closed after the last one. Bounded: a slow client slows the reader.
    pub rows: mpsc::Receiver<Rows>,
    /// How it ended; sent after the last rows. Dropped unsent it counts as a failure.
    pub done: oneshot::Receiver<Result<(), ApiError>>,
}

/// What `/ingest/_segmentstate` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngestState {
    /// Claims that are open, by id.
    pub claims: Vec<ClaimState>,
    /// Names of pieces that came back, with what is known of them.
    pub suspects: Vec<(String, Suspect)>,
}

/// What `_clusterstate` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterState {
    /// Name of this node.
    pub name: String,
    /// All nodes known to be there, this one among them.
    pub members: Vec<ClusterMember>,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMember {
    /// Its name.
    pub name: String,
    /// `ingest`, `store` or `ingeststore`: OK Log knows no others.
    pub kind: &'static str,
    /// The host that its API is reached at: an IP address, or a name.
    pub address: String,
    /// On which port.
    pub port: u16,
}
