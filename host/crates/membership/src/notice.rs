//! What an operator should know.

use core::fmt;
use core::net::SocketAddr;

use crate::record::Why;
use crate::reject::Reason;

/// Something for the log, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A member answers.
    Up {
        /// Which.
        node: u64,
        /// Where.
        addr: SocketAddr,
    },
    /// A member does not answer any more. It stays expected.
    Down {
        /// Which.
        node: u64,
        /// Where it was.
        addr: Option<SocketAddr>,
    },
    /// A member is no longer expected.
    Gone {
        /// Which.
        node: u64,
        /// Why.
        why: Why,
    },
    /// This node was taken for dead, or forgotten, and comes back.
    Renewed,
    /// Datagrams were dropped. Said once a minute for each reason.
    Rejected {
        /// Why.
        reason: Reason,
        /// Where the last one came from.
        from: SocketAddr,
        /// How many there were for this reason since the start.
        count: u64,
    },
    /// Two live nodes have one id. The newer process counts as the member.
    Rivals {
        /// Which id.
        node: u64,
        /// Where the one is that counts.
        counts: SocketAddr,
        /// Where the other one is.
        other: SocketAddr,
    },
    /// Another live node has the id of this one.
    OwnId {
        /// Where it is.
        addr: SocketAddr,
    },
    /// What this node sends to its own advertised address does not arrive.
    Unreached {
        /// That address.
        addr: SocketAddr,
    },
}

impl Notice {
    /// Whether it is trouble, and no news.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Notice::Up { .. } | Notice::Gone { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Up { node, addr } => write!(f, "member {node:016x} is up at {addr}"),
            Notice::Down { node, addr: Some(addr) } => {
                write!(f, "member {node:016x} at {addr} does not answer; it stays expected")
            }
            Notice::Down { node, addr: None } => {
                write!(f, "member {node:016x} does not answer; it stays expected")
            }
            Notice::Gone { node, why: Why::Left } => write!(f, "member {node:016x} has left"),
            Notice::Gone { node, why: Why::Forgotten } => write!(f, "member {node:016x} was forgotten"),
            Notice::Renewed => f.write_str("this node was taken for dead and has come back"),
            Notice::Rejected { reason, from, count } => write!(
                f,
                "datagrams are dropped, {count} so far ({}), the last one from {from}: {reason}",
                reason.name()
            ),
            Notice::Rivals { node, counts, other } => write!(
                f,
                "two live nodes have the id {node:016x}, at {counts} and {other}: one has a copy of the other's data \
                 directory; stop it, remove its file node-id, start it again"
            ),
            Notice::OwnId { addr } => write!(
                f,
                "the node at {addr} has the id of this one: one has a copy of the other's data directory; stop it, \
                 remove its file node-id, start it again"
            ),
            Notice::Unreached { addr } => write!(
                f,
                "nothing that is sent to {addr} arrives here, so no other node may reach this one; \
                 set cluster.advertise to an address at which others do, or open the port for UDP"
            ),
        }
    }
}
