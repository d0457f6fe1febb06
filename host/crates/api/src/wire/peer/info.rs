//! Who a node is: the answer to `GET /api/v1/node/info`. Static peers are known by their URLs alone.

use serde::{Deserialize, Deserializer, Serialize};

use super::text::hex64;
use crate::wire::WorkInfo;

/// The protocol between nodes that this version speaks.
pub const PROTOCOL: u32 = 2;

/// Who a node is and how it does. Unknown fields are left alone, so that an older node reads a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The number that it drew when its data directory was made.
    #[serde(with = "hex64")]
    pub node: u64,
    /// Drawn at each start of the process: another one means another feed and other snapshots.
    #[serde(with = "hex64")]
    pub incarnation: u64,
    /// The version of weir.
    pub version: String,
    /// The protocol between nodes; see [`PROTOCOL`].
    pub protocol: u32,
    /// What it does.
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<Role>,
    /// Where it stands; copies go to different zones.
    #[serde(default)]
    pub zone: Option<String>,
    /// Size of the disk that its data lies on, in bytes: its weight among stores.
    #[serde(default)]
    pub capacity_bytes: u64,
    /// Whether it refuses records because its disk is full.
    #[serde(default)]
    pub full: bool,
    /// Whether its copies count no more, for it is about to leave.
    #[serde(default)]
    pub draining: bool,
    /// Whether nothing lies on it that others may lack.
    #[serde(default)]
    pub empty: bool,
    /// What it is moving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<WorkInfo>,
    /// The number of copies that its configuration asks for. Nodes that differ in it must say so loudly.
    pub replication: u32,
    /// Its clock, in Unix milliseconds.
    pub now_ms: u64,
}

impl NodeInfo {
    /// Whether it has a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs sources and hands their records on.
    Forward,
    /// Takes records and seals them into origins.
    Ingest,
    /// Keeps them.
    Store,
    /// Answers questions.
    Query,
}

/// Leaves out roles of a later version: what they do concerns nodes that know them.
fn known_roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Known(Role),
        Other(serde::de::IgnoredAny),
    }
    let named = Vec::<Named>::deserialize(deserializer)?;
    let known = named.into_iter().filter_map(|named| match named {
        Named::Known(role) => Some(role),
        Named::Other(_) => None,
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_node_is_read_as_far_as_it_is_known() {
        let text = r#"{"node":"00000000000000ff","incarnation":"ffffffffffffffff","version":"9.1","protocol":1,
            "roles":["store","archive","ingest"],"replication":2,"now_ms":5,"mood":"fine"}"#;
        let info: NodeInfo = serde_json::from_str(text).unwrap();
        assert_eq!((info.node, info.incarnation), (255, u64::MAX));
        assert_eq!(info.roles, [Role::Store, Role::Ingest]);
        assert!(info.is(Role::Ingest) && !info.is(Role::Query));
        assert_eq!((info.zone.as_deref(), info.full), (None, false));
        let back: NodeInfo = serde_json::from_str(&serde_json::to_string(&info).unwrap()).unwrap();
        assert_eq!(back, info);
    }
}
