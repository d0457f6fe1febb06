//! What was sent, what was acknowledged, and what must be found.

use std::fmt::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use weir_cluster_tests::process::PATIENCE;

/// Known to all threads of a run that write to one topic and ask for it.
pub(crate) struct Oracle {
    topic: &'static str,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// Lines of each batch, in the order of their acknowledgement.
    acknowledged: Vec<u32>,
    /// Batches that were refused for want of room.
    refused: u64,
    /// Acknowledgements and answers: how time is told here.
    progress: u64,
    /// The first thing that went wrong.
    failed: Option<String>,
}

impl Oracle {
    pub(crate) fn new(topic: &'static str) -> Oracle {
        Oracle { topic, state: Mutex::default(), moved: Condvar::new() }
    }

    /// The topic that is written to.
    pub(crate) fn topic(&self) -> &'static str {
        self.topic
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many batches are acknowledged: those must be found by who asks now.
    pub(crate) fn acknowledged(&self) -> usize {
        self.state().acknowledged.len()
    }

    /// A batch was acknowledged.
    pub(crate) fn acknowledge(&self, lines: u32) {
        self.state().acknowledged.push(lines);
        self.progress();
    }

    /// A batch was refused for want of room.
    pub(crate) fn refuse(&self) {
        self.state().refused += 1;
    }

    /// How often one was.
    pub(crate) fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Something went on.
    pub(crate) fn progress(&self) {
        self.state().progress += 1;
        self.moved.notify_all();
    }

    /// Waits until so much more has gone on, or something has failed.
    pub(crate) fn wait_progress(&self, more: u64) -> Result<()> {
        let state = self.state();
        let until = state.progress + more;
        let waiting = |state: &mut State| state.progress < until && state.failed.is_none();
        let waited =
            self.moved.wait_timeout_while(state, PATIENCE, waiting).unwrap_or_else(PoisonError::into_inner);
        let timed_out = waited.1.timed_out();
        drop(waited);
        ensure!(!timed_out, "nothing goes on any more");
        self.check()
    }

    /// Lets so much time pass, or fails as soon as something has.
    pub(crate) fn watch(&self, time: Duration) -> Result<()> {
        let fine = |state: &mut State| state.failed.is_none();
        let waited = self.moved.wait_timeout_while(self.state(), time, fine);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check()
    }

    /// Something is wrong.
    pub(crate) fn fail(&self, why: String) {
        self.state().failed.get_or_insert(why);
        self.moved.notify_all();
    }

    /// Fails if something was found wrong.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.state().failed {
            Some(why) => bail!("{why}"),
            None => Ok(()),
        }
    }

    /// The lines of a batch that is acknowledged, sorted.
    pub(crate) fn batch(&self, number: usize) -> Vec<String> {
        let lines = self.state().acknowledged[number];
        let mut lines: Vec<String> = (0..lines).map(|line| line_of(number, line)).collect();
        lines.sort_unstable();
        lines
    }

    /// The lines of all batches, sorted.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all: Vec<String> = (0..self.acknowledged()).flat_map(|number| self.batch(number)).collect();
        all.sort_unstable();
        all
    }
}

/// A line of a batch: its first word is that of the batch alone.
pub(crate) fn line_of(batch: usize, line: u32) -> String {
    let mut text = format!("b{batch} line {line} ");
    let _ = write!(text, "{}", "x".repeat((batch + line as usize) % 61));
    text
}

/// A line of the followed file.
pub(crate) fn file_line(number: u64) -> String {
    format!("file {number} {}", "y".repeat((number % 61) as usize))
}
