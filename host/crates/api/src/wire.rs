//! What leaves the node and comes back: the only serializable types, and the promise of their names.

pub mod batch;
mod cluster;
mod explain;
mod histogram;
pub mod peer;
mod snapshot;
mod stats;
mod tail;
pub(crate) mod trailer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use cluster::{ClusterAnswer, ForgetAnswer, JobAnswer, MemberInfo, WorkInfo};
pub use explain::{ExplainLine, QueryExplained, TermExplained};
pub use histogram::{Bucket, HistogramBody};
pub use snapshot::SnapshotAnswer;
pub(crate) use stats::to_ascii_json;
pub use stats::{MissingPart, QueryStages, QueryStats, StatsLine};
pub use tail::{GapBody, RecordLine};

/// Answer to `POST /api/v1/ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestAnswer {
    /// How many records were stored.
    pub records: u64,
    /// The lowest id, `null` when the body held no record.
    pub first: Option<String>,
    /// The highest id, `null` when the body held no record.
    pub last: Option<String>,
    /// How far they have come.
    pub durability: String,
}

/// Answer to `GET /api/v1/streams`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsAnswer {
    /// The streams.
    pub streams: Vec<StreamInfo>,
    /// Nodes that did not answer, and why: what only they have is not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The topic.
    pub topic: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Records held, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Payload bytes held, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Time of the oldest record held, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Time of the newest record held, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// Answer to `GET /api/v1/plugins`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginsAnswer {
    /// The plugins.
    pub plugins: Vec<PluginInfo>,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The name it is configured by.
    pub name: String,
    /// Its world: `source`, `filter`, …
    pub kind: String,
    /// Its version, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// One line on what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// The file it was loaded from; `null` when it is inside the binary, or was sent.
    pub path: Option<String>,
    /// Another node, or a client, has sent it for queries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
    /// The host interfaces it imports.
    pub imports: Vec<String>,
    /// Memory that one instance may have, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// How long one call may take beyond a wait that it was given, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_ms_max: Option<u64>,
    /// Its running instances.
    pub instances: Vec<InstanceInfo>,
}

/// The answer to a component that was sent along for queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterAdded {
    /// SHA-256 of the component, in hex: a pipe names it `sha256:…`.
    pub sha256: String,
    /// What it is: `filter`, `rewrite` or `aggregate`.
    pub kind: String,
}

/// One configured source, or one use of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// The name of the instance in the configuration.
    pub name: String,
    /// `running`, `waiting`, `quarantined`, `finished`, …
    pub state: String,
    /// Why it is not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the configuration lets it reach, by kind and name: `files.logs`, `amqp.main`, `stdin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Times it was started anew.
    pub restarts: u64,
    /// Records it has delivered.
    pub records: u64,
    /// Payload bytes it has delivered.
    pub bytes: u64,
}
