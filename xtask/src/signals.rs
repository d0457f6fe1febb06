//! Ctrl-C and its kin, as an event that one can wait for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// From its making on, the first signal to end is kept here instead of ending the process; the
/// second ends it at once.
pub(crate) struct Ending(Receiver<()>);

impl Ending {
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("watch for signals")?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for (count, signal) in signals.forever().enumerate() {
                if count > 0 {
                    // Whoever asks twice does not want to wait for the cleaning up.
                    std::process::exit(128 + signal);
                }
                // Nobody waits any more: we are ending already.
                let _ = sender.send(());
            }
        });
        Ok(Self(receiver))
    }

    /// Whether a signal came within `limit`.
    pub(crate) fn within(&self, limit: Duration) -> bool {
        !matches!(self.0.recv_timeout(limit), Err(RecvTimeoutError::Timeout))
    }
}
