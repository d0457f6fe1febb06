//! A snapshot of a node's data directory.

use serde::{Deserialize, Serialize};

/// Answer to `POST /api/v1/snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotAnswer {
    /// Its name.
    pub name: String,
    /// Where it lies, on the machine of the node.
    pub path: String,
    /// Files that are links to those of the node: they take no room until the node lets go of them.
    pub linked: u64,
    /// Their bytes.
    pub linked_bytes: u64,
    /// Files that are copies.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that were copied because the file system gives no links to them.
    pub not_linked: u64,
}
