//! How a process ends: a signal, sources that are done, or a log that failed.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to end the process at once.
    pub(crate) fn take() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// After the first signal: a second one ends the process at once, as whoever sends it expects.
pub(crate) fn leave_on_second(mut signals: Signals, done: CancellationToken) {
    tokio::spawn(async move {
        tokio::select! {
            name = signals.next() => {
                tracing::warn!(signal = name, "second signal: leaving at once; what was acknowledged is on disk");
                std::process::exit(130);
            }
            () = done.cancelled() => {}
        }
    });
}
