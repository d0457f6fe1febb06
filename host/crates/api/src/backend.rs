//! What the server needs of a node: one object-safe trait, so that routes know no engine and no disk.
//!
//! Every future may be dropped at any await: that is how a client that goes away cancels its request.
//! What was already handed to a log stays there; the client learns nothing of it and may repeat.

mod histogram;
pub mod peer;
mod reloaded;
mod tail;

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_query::{Context, Expr, Order, Rows, Stage, Stats};
use weir_record::limits::{FILTER_NAME_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX};
use weir_record::lines::Group;
use weir_record::{Batch, RecordId, Stream};

use crate::access::Gate;
use crate::client::PeerClient;
pub use crate::error::{ApiError, ErrorKind};
use crate::oklog::Oklog;
use crate::wire::peer::Job;
pub use crate::wire::{
    ClusterAnswer, FilterAdded, InstanceInfo, JobAnswer, MemberInfo, PluginInfo, StreamInfo, StreamsAnswer,
    WorkInfo,
};
pub use histogram::{HistogramAnswer, HistogramRequest};
pub use peer::PeerBackend;
pub use reloaded::Reloaded;
pub use tail::{TailAnswer, TailEvent, TailRequest};

/// A node as the server sees it.
pub trait Backend: Send + Sync + 'static {
    /// Stores records and answers when they are as durable as was asked for.
    fn ingest(&self, request: IngestRequest) -> BoxFuture<'_, Result<Ingested, ApiError>>;

    /// Starts a query. Errors that are known before the first row come here, later ones through
    /// [`QueryAnswer::done`].
    fn query(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>>;

    /// The nodes that answer questions about the records of all nodes where this one does not, in the order in which they
    /// are tried; `None` where it does.
    fn passes_on(&self) -> Option<Vec<PeerClient>> {
        None
    }

    /// Starts to hand over live records. Errors come here only: what happens later is an event.
    fn tail(&self, request: TailRequest) -> BoxFuture<'_, Result<TailAnswer, ApiError>>;

    /// Counts records over time, exactly.
    fn histogram(&self, request: HistogramRequest) -> BoxFuture<'_, Result<HistogramAnswer, ApiError>>;

    /// Whom the node lets in; `None` where it lets in anybody.
    fn gate(&self) -> Option<&Gate> {
        None
    }

    /// What the routes of OK Log ask beside this; `None` on a node that has none of them.
    fn oklog(&self) -> Option<&dyn Oklog> {
        None
    }

    /// The streams the node knows: its own, and those of the nodes that it asks for queries.
    fn streams(&self) -> BoxFuture<'_, Result<StreamsAnswer, ApiError>>;

    /// The plugins the node has loaded, and their instances.
    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginInfo>, ApiError>>;

    /// Takes a component for queries of whoever names it by its digest. Kept for a while, in memory.
    fn add_filter(&self, offered: OfferedFilter) -> BoxFuture<'_, Result<FilterAdded, ApiError>> {
        drop(offered);
        Box::pin(std::future::ready(Err(ApiError::new(
            ErrorKind::NotFound,
            "no_filters",
            "this process answers no queries, and runs no filters",
        ))))
    }

    /// Metrics in Prometheus text format, whole lines.
    fn metrics(&self) -> String;

    /// Whether the node takes requests; else why not, in one line.
    fn ready(&self) -> Result<(), String>;

    /// Reads the configuration anew. An error says all that is wrong with it; nothing has changed then.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ApiError>>;

    /// What the node has for the other nodes of its cluster; `None` when it has no part in one.
    fn peer(&self) -> Option<&dyn PeerBackend> {
        None
    }

    /// What the node knows of its cluster; `None` when it has no part in one.
    fn cluster(&self) -> Option<&dyn Cluster> {
        None
    }

    /// The highest durability the node can acknowledge.
    fn durability_max(&self) -> Durability;

    /// The node's clock, in Unix milliseconds: what `now` means in a query.
    fn now_ms(&self) -> u64;
}

/// A node as one of several.
pub trait Cluster: Send + Sync + 'static {
    /// The members, as the node sees them.
    fn members(&self) -> ClusterAnswer;

    /// Has a member forgotten that will not come back: `member` is its id, or the URL of its API. `force` does so although
    /// it answers. Gives the id.
    fn forget(&self, member: &str, force: bool) -> Result<u64, ApiError>;

    /// Has a member, named as above, or every store, do what an operator wants. Refused when the one member cannot be
    /// told; of several, the answer says who could not.
    fn job<'a>(&'a self, job: Job, member: Option<&'a str>) -> BoxFuture<'a, Result<JobAnswer, ApiError>>;
}

/// A component that comes from outside. Nothing of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedFilter {
    /// What it is called in answers and metrics: letters, digits, `-` and `_`.
    pub name: String,
    /// The file.
    pub component: Bytes,
    /// Who vouches for it, as text.
    pub signature: Option<String>,
}

impl OfferedFilter {
    /// Whether a text may be the name of a filter: at most [`FILTER_NAME_BYTES_MAX`] letters, digits, `-` and `_`.
    pub fn is_name(text: &str) -> bool {
        let fits = (1..=FILTER_NAME_BYTES_MAX).contains(&text.len());
        fits && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    }
}

/// How far records must have come before they are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// In the memory of an ingest node. Lost when the process dies.
    Received,
    /// Synced to the log of one ingest node. Survives the crash of process and system; lost with the disk.
    #[default]
    Stored,
    /// Synced on as many store nodes as the replication factor says. Survives the loss of all but one.
    Replicated,
}

impl Durability {
    /// All, weakest first.
    pub const ALL: [Durability; 3] = [Durability::Received, Durability::Stored, Durability::Replicated];

    /// The name in requests, answers and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Received => "received",
            Durability::Stored => "stored",
            Durability::Replicated => "replicated",
        }
    }
}

/// Text that names no durability. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("durability is received, stored or replicated")]
pub struct NotADurability;

impl FromStr for Durability {
    type Err = NotADurability;

    fn from_str(text: &str) -> Result<Self, NotADurability> {
        Durability::ALL.into_iter().find(|d| d.name() == text).ok_or(NotADurability)
    }
}

/// Records to store.
#[derive(Debug)]
pub struct IngestRequest {
    /// The records.
    pub records: Incoming,
    /// How far they must come.
    pub durability: Durability,
    /// What makes a repeat of the request recognisable.
    pub key: Option<IdempotencyKey>,
}

/// Records in one of the two shapes that they arrive in.
#[derive(Debug)]
pub enum Incoming {
    /// Lines of one stream: the node makes their ids. No group is empty, but there may be no group.
    Lines {
        /// The stream, without the mark of parts.
        stream: Stream,
        /// The payloads, in order.
        groups: Vec<Group>,
    },
    /// Batches whose sender made the ids. At least one.
    Batches {
        /// The batches, in order.
        batches: Vec<Batch>,
        /// The sender's clock when it sent them, in Unix milliseconds.
        sent_at_ms: u64,
    },
}

/// What is known of records that are now as durable as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// How many records.
    pub records: u64,
    /// The lowest and the highest id; `None` when there was no record.
    pub ids: Option<(RecordId, RecordId)>,
    /// How far they have come: what was asked for, or further.
    pub durability: Durability,
}

/// The value of an `Idempotency-Key` header: 1 to 256 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// A key of the bytes of a header. Quotes around it do not belong to it.
    pub fn from_header(value: &[u8]) -> Result<IdempotencyKey, ApiError> {
        let inner = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        match std::str::from_utf8(inner) {
            Ok(text)
                if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Ok(IdempotencyKey(text.into()))
            }
            _ => Err(ApiError::bad_request(
                "bad_idempotency_key",
                format!("an Idempotency-Key is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"),
            )
            .hint("a ULID or UUIDv7 is best: then a repeat on any node is the same records")),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time in a key that is a ULID or a UUIDv7, in Unix milliseconds. Records of such a key have
    /// ids made from it, which are the same on every node.
    pub fn time_ms(&self) -> Option<u64> {
        if let Ok(id) = self.0.parse::<RecordId>() {
            return Some(id.time_ms());
        }
        let groups: Vec<&str> = self.0.split('-').collect();
        let shape: Vec<usize> = groups.iter().map(|g| g.len()).collect();
        let hex = groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()));
        if shape != [8, 4, 4, 4, 12] || !hex || !groups[2].starts_with('7') {
            return None;
        }
        u64::from_str_radix(&format!("{}{}", groups[0], groups[1]), 16).ok()
    }
}

/// A query, parsed and resolved.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The query as it was written, for logs.
    pub text: String,
    /// What it means.
    pub expr: Expr,
    /// What matching records go through.
    pub stages: Vec<Stage>,
    /// The lowest id asked for.
    pub from: RecordId,
    /// The lowest id no longer asked for.
    pub to: RecordId,
    /// At most so many records, the first in the order asked for.
    pub limit: Option<u64>,
    /// Oldest or newest first.
    pub order: Order,
    /// What of the streams is wanted around each hit. The rows then have their [`Mark`](weir_query::Mark)s, and the
    /// limit counts hits.
    pub context: Context,
    /// Cancelled when the client has gone.
    pub cancel: CancellationToken,
}

/// An answer under way.
#[derive(Debug)]
pub struct QueryAnswer {
    /// The rows, in the order asked for. Closed after the last one. Bounded: a slow client slows the query.
    pub rows: mpsc::Receiver<Rows>,
    /// How it ended; sent after the last rows. Dropped unsent it counts as a defect.
    pub done: oneshot::Receiver<Result<Stats, ApiError>>,
    /// Whether it is known already that records will be missing: answered with status 206.
    pub partial: bool,
}

/// Labels of a stream as a map, for answers.
pub fn labels_of(stream: &Stream) -> BTreeMap<String, String> {
    stream.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_and_some_carry_a_time() {
        for (header, text, time_ms) in [
            (&b"order-17"[..], Some("order-17"), None),
            (b"\"quoted\"", Some("quoted"), None),
            (b"01ARZ3NDEKTSV4RRFFQ69G5FAV", Some("01ARZ3NDEKTSV4RRFFQ69G5FAV"), Some(1_469_922_850_259)),
            (
                b"017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
                Some("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"),
                Some(1_645_557_742_000),
            ),
            (b"017F22E2-79B0-4CC3-98C4-DC0C0C07398F", Some("017F22E2-79B0-4CC3-98C4-DC0C0C07398F"), None),
            (b"", None, None),
            (b"a b", None, None),
            (b"\xff", None, None),
            (&[b'x'; 257], None, None),
        ] {
            let key = IdempotencyKey::from_header(header).ok();
            assert_eq!(key.as_ref().map(IdempotencyKey::as_str), text);
            assert_eq!(key.and_then(|k| k.time_ms()), time_ms, "{text:?}");
        }
    }

    #[test]
    fn durabilities_are_ordered_and_named() {
        for pair in Durability::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for durability in Durability::ALL {
            assert_eq!(durability.name().parse(), Ok(durability));
        }
        assert_eq!("Stored".parse::<Durability>(), Err(NotADurability));
    }
}
