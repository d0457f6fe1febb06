//! Who belongs to the cluster, as one node sees it.

use serde::{Deserialize, Serialize};

/// Answer to `GET /api/v1/cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAnswer {
    /// Whether members are found by gossip, or only those are known that the configuration names.
    pub gossip: bool,
    /// Copies of every record that this node asks for.
    pub replication: u64,
    /// The members: this node first, then the others in the order of their ids.
    pub members: Vec<MemberInfo>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "words for people, which do not exclude each other")]
pub struct MemberInfo {
    /// Its id in 16 hex digits; `null` while an address that the configuration names has never answered.
    pub node: Option<String>,
    /// `up`, `suspect` (it has not answered of late), `down`, `stopped` (down on purpose, with records that others may
    /// lack), `left` or `forgotten` (not expected any more).
    pub state: String,
    /// It is the one that was asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Whether its API answered when it was last asked; absent for the node that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<bool>,
    /// What it does: `ingest`, `store`, `query`, `forward`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Where its API is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it takes gossip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gossip: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Since when it has been in this state, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it was last heard by gossip, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// Its store takes nothing for want of room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// It gives its records away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// Nothing lies on it that others may lack: it may be stopped and taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
    /// What it is moving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<WorkInfo>,
    /// Size of its disk in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// Bytes in its store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_bytes: Option<u64>,
    /// Origins that wait for stores there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_origins: Option<u64>,
    /// Digest of its plugins in hex: nodes that differ may answer a filter differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<String>,
    /// Another live node that has the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
}

/// Something that a node is moving.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkInfo {
    /// `repair` (copies that were lost come), `fill` (what belongs there comes), `give` (what belongs elsewhere goes), or
    /// `drain` (everything goes).
    pub what: String,
    /// Origins that were moved, since there was something to move.
    pub origins_done: u64,
    /// Origins still to be moved, as far as that is known.
    pub origins_left: u64,
    /// Bytes that were moved.
    pub bytes_done: u64,
    /// Bytes still to be moved.
    pub bytes_left: u64,
    /// Bytes per second of late.
    pub bytes_per_s: u64,
    /// Seconds until it is done, if it goes on like this; absent while nothing moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<u64>,
}

/// Answer to `POST /api/v1/cluster/drain`, `…/repair` and `…/rebalance`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobAnswer {
    /// The nodes that know of it now: their ids, or the URLs of their APIs.
    pub told: Vec<String>,
    /// Those that could not be told, and why. Not being told does no harm: tell them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<String>,
}

/// Answer to `POST /api/v1/cluster/forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetAnswer {
    /// The id of the node that is not expected any more.
    pub forgotten: String,
}
