//! The most memory that a process holds while something is done with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bench::usage;

/// Between two looks. A peak that is shorter may be missed.
const LOOK: Duration = Duration::from_millis(50);

/// Looks at a process until this value is dropped.
pub(super) struct Memory {
    /// The most anonymous memory since it was last asked for, in bytes.
    peak: Arc<AtomicU64>,
    /// Dropped to end the thread.
    ending: Option<Sender<()>>,
    looking: Option<JoinHandle<()>>,
}

impl Memory {
    pub(super) fn watch(pid: u32) -> Self {
        let peak = Arc::new(AtomicU64::new(usage::anonymous_bytes(pid).unwrap_or(0)));
        let (ending, ended) = channel();
        let shared = peak.clone();
        let looking = std::thread::spawn(move || {
            // A process that has gone holds nothing: whoever started it finds out.
            while let Ok(bytes) = usage::anonymous_bytes(pid) {
                shared.fetch_max(bytes, Ordering::Relaxed);
                if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        Self { peak, ending: Some(ending), looking: Some(looking) }
    }

    /// The most since the last time that this was asked, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.peak.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        drop(self.ending.take());
        // The thread only adds up; there is nothing to lose.
        let _ = self.looking.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_seen() {
        let memory = Memory::watch(std::process::id());
        assert!(memory.peak_bytes() > 0);
        drop(memory);
    }
}
