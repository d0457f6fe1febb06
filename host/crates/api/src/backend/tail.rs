//! Live records, as a node hands them to a client.

use std::fmt;

use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use weir_query::{Expr, Rows, Stage};

/// Live records wanted, parsed.
#[derive(Debug, Clone)]
pub struct TailRequest {
    /// The query as it was written, for logs.
    pub text: String,
    /// What it means.
    pub expr: Expr,
    /// What matching records go through.
    pub stages: Vec<Stage>,
    /// A token that an earlier tail gave: go on behind it. Comes from a client, so it may be anything; a token
    /// that cannot be read is the client's error. `None`: from now on.
    pub resume: Option<Vec<u8>>,
    /// Cancelled when the client has gone.
    pub cancel: CancellationToken,
}

/// Live records under way, from one node or from several merged.
pub struct TailAnswer {
    /// What happens, in the order of arrival at each ingest node. Bounded: a client that does not take it is
    /// left behind, and told so by a gap. Ends only when the node stops, or cancelled.
    pub events: BoxStream<'static, TailEvent>,
}

impl fmt::Debug for TailAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailAnswer").finish_non_exhaustive()
    }
}

/// One thing that happens in a tail. `resume` is the token with which another tail of the same query goes on
/// behind it: at most [`TAIL_TOKEN_BYTES_MAX`](weir_record::limits::TAIL_TOKEN_BYTES_MAX) opaque bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailEvent {
    /// Records that match, at least one, in order of arrival.
    Rows {
        /// The records.
        rows: Rows,
        /// Goes on behind the last of them.
        resume: Vec<u8>,
    },
    /// Records that arrived and will not come: the client was too slow, or away for too long.
    Gap {
        /// How many, matching or not, as they were not looked at; `None` when nobody knows.
        records: Option<u64>,
        /// Why, for people.
        why: String,
        /// Goes on behind the gap.
        resume: Vec<u8>,
    },
    /// All that arrived was looked at, and nothing matched: a client that comes back late skips it.
    Idle {
        /// Goes on behind it.
        resume: Vec<u8>,
    },
}

impl TailEvent {
    /// The token with which another tail goes on behind this event.
    pub fn resume(&self) -> &[u8] {
        match self {
            TailEvent::Rows { resume, .. } | TailEvent::Gap { resume, .. } | TailEvent::Idle { resume } => {
                resume
            }
        }
    }
}
