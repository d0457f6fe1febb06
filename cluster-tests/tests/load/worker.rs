//! A thread that goes on until it is stopped, and tells the oracle when it cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::oracle::Oracle;

pub(crate) struct Worker<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<T>>,
}

/// Says that a worker is to end.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Starts `work`; `what` it is stands in front of its error.
    pub(crate) fn start(
        what: &'static str,
        oracle: &Arc<Oracle>,
        work: impl FnOnce(&Oracle, &Stop) -> Result<T> + Send + 'static,
    ) -> Worker<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let (of_thread, oracle) = (Stop(Arc::clone(&stop)), Arc::clone(oracle));
        let thread = std::thread::spawn(move || {
            let outcome = work(&oracle, &of_thread);
            if let Err(error) = &outcome {
                oracle.fail(format!("{what}: {error:#}"));
            }
            outcome
        });
        Worker { stop, thread }
    }

    /// Stops it, and gives what it has done.
    pub(crate) fn stop(self) -> Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("a worker has panicked")?
    }
}
