//! The node's own log: lines on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts the log. `RUST_LOG` wins over `level`; a second call changes nothing.
pub(crate) fn start(level: &'static str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let color =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    // Fails when a log is running already, which then goes on.
    let _ = lines.with_target(false).try_init();
}
