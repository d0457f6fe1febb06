//! Why a process ends.

use std::path::PathBuf;

use crate::gossip::GossipError;

/// Why a process could not start, or ended with trouble. What was acknowledged is on disk in every case.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The async runtime could not start.
    #[error("start the node: {0}")]
    Start(std::io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] weir_storage::DataDirError),
    /// The ingest log cannot be opened.
    #[error(transparent)]
    Log(#[from] weir_storage::LogError),
    /// The file of `Idempotency-Key`s cannot be opened.
    #[error(transparent)]
    Keys(#[from] weir_storage::KeyFileError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] weir_api::BindError),
    /// A port for lines cannot be opened.
    #[error("listen.{port}: {source}, or close the port: listen.{port} = \"off\"")]
    Lines {
        /// `fast` or `durable`.
        port: &'static str,
        /// Why not.
        source: weir_api::BindError,
    },
    /// The key of the cluster cannot be used.
    #[error("cluster.key_file {}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The file of tokens, or the token to show to others, cannot be used. A line for each thing that is wrong.
    #[error("bad tokens, nothing was started: {0}")]
    Tokens(String),
    /// This node cannot take part in gossip.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] weir_storage::StoreError),
    /// What was sealed cannot be opened.
    #[error(transparent)]
    Backlog(#[from] weir_storage::BacklogError),
    /// Units cannot be cut as the configuration says.
    #[error("retention.rules: {0}")]
    Units(#[from] weir_segment::unit::UnitError),
    /// A URL to forward to is not one.
    #[error(transparent)]
    Forward(#[from] weir_api::client::ClientError),
    /// The plugin engine cannot start.
    #[error(transparent)]
    Plugins(#[from] weir_plugin_runtime::RuntimeError),
    /// The log failed while running; nothing was acknowledged afterwards.
    #[error("the ingest log failed: {0}; look at the disk, then start the node again")]
    LogFailed(String),
    /// Sources of a forwarder that could not be read or delivered to the end.
    #[error("{0}")]
    Sources(String),
}
