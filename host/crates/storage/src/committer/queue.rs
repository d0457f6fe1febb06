//! What waits for the committing thread, bounded.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_record::RecordId;

use crate::committer::{CommitError, CommitterMetrics, CommitterOptions, Job};
use crate::ingest_log::{Entry, Expired, Leaving, LogError, Released};

/// Work that is no entry. Done before the entries that were taken with it.
pub(super) enum Work {
    Resume(String),
    Expire { keep_from: RecordId, bytes_max: u64, done: Box<dyn FnOnce(Result<Expired, LogError>) + Send> },
    Complete { done: Box<dyn FnOnce(Result<Option<u64>, LogError>) + Send> },
    Release { pieces: Vec<Leaving>, done: Box<dyn FnOnce(Result<Released, LogError>) + Send> },
}

/// What one turn works on.
pub(super) struct Taken {
    pub(super) control: Vec<Work>,
    pub(super) jobs: Vec<Job>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    entries_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    bytes: usize,
    /// When the first of them came, and the first of those that were taken.
    since: (Option<Instant>, Option<Instant>),
    control: Vec<Work>,
    /// Entries and bytes that were taken and are not yet answered.
    taken: (usize, usize),
    closed: bool,
    /// Somebody was sent away.
    refused: bool,
    sums: CommitterMetrics,
}

impl Queue {
    pub(super) fn new(options: &CommitterOptions) -> Queue {
        Queue {
            state: Mutex::new(State::default()),
            filled: Condvar::new(),
            entries_max: options.queue_entries_max.max(1),
            bytes_max: options.queue_bytes_max,
        }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Entry> {
        let bytes = job.entry.bytes();
        let mut state = self.lock();
        if state.closed {
            drop(state);
            (job.done)(Err(CommitError::Stopped));
            return Ok(());
        }
        // What is being committed counts: it is still in memory.
        let entries = state.jobs.len() + state.taken.0;
        let waiting_bytes = state.bytes + state.taken.1;
        if entries >= self.entries_max || (entries > 0 && waiting_bytes + bytes > self.bytes_max) {
            state.refused = true;
            state.sums.queue_full += 1;
            return Err(job.entry);
        }
        state.bytes += bytes;
        state.since.0.get_or_insert_with(Instant::now);
        state.jobs.push(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    pub(super) fn control(&self, work: Work) {
        let mut state = self.lock();
        if !state.closed {
            state.control.push(work);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits for work; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if !state.jobs.is_empty() || !state.control.is_empty() {
                let jobs = std::mem::take(&mut state.jobs);
                state.taken = (jobs.len(), std::mem::take(&mut state.bytes));
                state.since.1 = state.since.0.take();
                return Some(Taken { control: std::mem::take(&mut state.control), jobs });
            }
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The work taken last is done. True when somebody was sent away meanwhile.
    pub(super) fn taken(&self, sums: &CommitterMetrics) -> bool {
        let mut state = self.lock();
        state.taken = (0, 0);
        state.since.1 = None;
        let total = &mut state.sums;
        total.commits += sums.commits;
        total.entries += sums.entries;
        total.records += sums.records;
        total.payload_bytes += sums.payload_bytes;
        total.bytes += sums.bytes;
        total.sync_ns += sums.sync_ns;
        total.disk_full += sums.disk_full;
        total.refused += sums.refused;
        std::mem::take(&mut state.refused)
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    pub(super) fn metrics(&self) -> CommitterMetrics {
        let state = self.lock();
        CommitterMetrics {
            queue_entries: (state.jobs.len() + state.taken.0) as u64,
            queue_bytes: (state.bytes + state.taken.1) as u64,
            queue_age: state.since.1.or(state.since.0).map_or(Duration::ZERO, |since| since.elapsed()),
            ..state.sums
        }
    }

    /// When the value is dropped the queue is closed and everyone who waits is told so.
    pub(super) fn abandon_on_drop(self: &Queue) -> AbandonOnDrop<'_> {
        AbandonOnDrop(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct AbandonOnDrop<'a>(&'a Queue);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        let (jobs, control) = {
            let mut state = self.0.lock();
            state.closed = true;
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.control))
        };
        drop(control);
        for job in jobs {
            (job.done)(Err(CommitError::Stopped));
        }
    }
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Queue>>();
};
