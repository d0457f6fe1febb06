//! The shell: reads the configuration, starts the roles as supervised tasks, ends them in order.
//!
//! The only crate that decides by the wall clock or draws entropy. It decides nothing that a pure crate could
//! decide.

mod announce;
mod backend;
mod catalog;
mod clock;
pub mod config;
mod copies;
mod dropping;
mod filters;
mod forward;
mod forward_lines;
mod gossip;
mod handover;
mod histogram;
mod idempotency;
mod ingest;
mod ingest_role;
mod inspect;
mod intake;
mod jobs;
mod logging;
mod members;
mod metrics;
mod moving;
mod oklog;
mod pace;
mod peers;
mod plugins;
mod progress;
mod pulling;
mod queries;
mod recovered;
mod reload;
mod remember;
mod repairing;
mod run;
mod sealing;
mod serving;
mod shutdown;
mod snapshots;
mod sources;
mod tail;
mod taking;
mod tcp_lines;
pub mod tokens;
mod upkeep;

pub use inspect::{InspectError, PluginNeed, PluginSummary, inspect};
pub use plugins::signature_path;
pub use reload::Reread;
pub use run::{RunError, RunOptions, run};
pub use weir_plugin_runtime::{Digest, SigningKey};

/// A plugin that is part of the binary.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedPlugin {
    /// The name by which configurations call it.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}
