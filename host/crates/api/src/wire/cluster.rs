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

/// Answer to `POST /api/v1/cluster/forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetAnswer {
    /// The id of the node that is not expected any more.
    pub forgotten: String,
}
