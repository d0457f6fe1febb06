//! The shell: reads the configuration, starts the roles as supervised tasks, ends them in order.
//!
//! The only crate that decides by the wall clock or draws entropy. It decides nothing that a pure crate could
//! decide.

mod backend;
mod clock;
pub mod config;
mod forward;
mod histogram;
mod idempotency;
mod ingest;
mod inspect;
mod logging;
mod metrics;
mod queries;
mod run;
mod shutdown;
mod sources;
mod tail;
mod tcp_lines;

pub use inspect::{InspectError, PluginNeed, PluginSummary, inspect};
pub use run::{RunError, RunOptions, run};

/// A plugin that is part of the binary.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedPlugin {
    /// The name by which configurations call it.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}
