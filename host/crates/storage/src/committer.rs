//! A thread that owns the log and commits what waits in groups: one sync acknowledges many.
//!
//! Entries of one caller are committed in the order in which they were submitted. The queue has a bound in
//! number and in bytes; a full queue gives the entry back, which is how back-pressure begins.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use weir_record::RecordId;
use weir_record::limits::{COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_ENTRIES_MAX};

use crate::ingest_log::reader::LogReader;
use crate::ingest_log::{Committed, Entry, Expired, IngestLog, Leaving, LogError, Released};
use crate::poison::Poison;

mod group;
mod queue;

pub use group::{Done, GroupCommit, Job, Stored};
use queue::{Queue, Work};

/// Why an entry was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no room. Try the same entry again later; for one with a checkpoint call
    /// [`Committer::resume`] first.
    #[error("the disk is full: free some space or shorten the retention")]
    DiskFull,
    /// A sync has failed: this process cannot tell any more what is on disk. The node should stop.
    #[error("the log is closed after a failed write: {0}; see to the disk and restart")]
    Poisoned(Arc<str>),
    /// The entry breaks a limit and will never be taken.
    #[error("{0}")]
    TooLarge(Arc<str>),
    /// An earlier entry of the same source was not committed; this one must not overtake it.
    #[error("an earlier entry of source {0} was not committed")]
    OutOfOrder(String),
    /// The committer has stopped.
    #[error("the log is closed")]
    Stopped,
}

/// Told what happens, on the committing thread: to be quick.
pub trait CommitObserver: Send + Sync {
    /// A group is durable and visible; its callers are told next.
    fn committed(&self, committed: &Committed) {
        let _ = committed;
    }
    /// A submission was refused for want of room in the queue, and there is room now.
    fn room(&self) {}
    /// Nothing is acknowledged from now on.
    fn poisoned(&self, reason: &str) {
        let _ = reason;
    }
}

/// An observer that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl CommitObserver for Unobserved {}

/// Bounds of the queue, and who is told.
#[derive(Clone)]
pub struct CommitterOptions {
    /// Entries that may wait.
    pub queue_entries_max: usize,
    /// Bytes that may wait; a single entry may exceed it when nothing else waits.
    pub queue_bytes_max: usize,
    /// Who is told.
    pub observer: Arc<dyn CommitObserver>,
}

impl CommitterOptions {
    /// The usual bounds.
    pub fn new(observer: Arc<dyn CommitObserver>) -> CommitterOptions {
        CommitterOptions {
            queue_entries_max: COMMIT_QUEUE_ENTRIES_MAX,
            queue_bytes_max: COMMIT_QUEUE_BYTES_MAX,
            observer,
        }
    }
}

/// Sums since the start, and what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitterMetrics {
    /// Groups committed.
    pub commits: u64,
    /// Entries committed.
    pub entries: u64,
    /// Their records.
    pub records: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// Nanoseconds that their syncs took.
    pub sync_ns: u64,
    /// Entries refused because the disk was full.
    pub disk_full: u64,
    /// Entries refused for other reasons.
    pub refused: u64,
    /// Submissions given back because the queue was full.
    pub queue_full: u64,
    /// Entries that wait.
    pub queue_entries: u64,
    /// Bytes that wait.
    pub queue_bytes: u64,
    /// How long the oldest of them has waited.
    pub queue_age: Duration,
}

/// Handle of the thread. Dropping it stops the thread as [`Committer::stop`] does.
pub struct Committer {
    queue: Arc<Queue>,
    reader: LogReader,
    poison: Poison,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

impl Committer {
    /// Starts the thread. Fails when the system gives no thread.
    pub fn start(log: IngestLog, options: CommitterOptions) -> io::Result<Committer> {
        let (reader, poison) = (log.reader(), log.poison());
        let queue = Arc::new(Queue::new(&options));
        let of_thread = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("weir-commit".to_owned())
            .spawn(move || run(log, &of_thread, &*options.observer))?;
        Ok(Committer { queue, reader, poison, thread: Some(thread) })
    }

    /// Hands an entry over. `done` is called once on the committing thread, when the entry is durable and
    /// visible or when it is certain that this attempt has failed. A full queue gives the entry back and
    /// drops `done`; [`CommitObserver::room`] tells when to try again.
    pub fn submit(&self, entry: Entry, done: Done) -> Result<(), Entry> {
        self.queue.push(Job::new(entry, done))
    }

    /// Accepts entries of a source again after one of them failed, and with it all that were submitted
    /// behind it. To be called when the outcome of all of them is known, before the first is repeated.
    pub fn resume(&self, source: &str) {
        self.queue.control(Work::Resume(source.to_owned()));
    }

    /// Deletes old pieces, see [`IngestLog::expire`]; between two groups. `done` is called with the
    /// outcome, or dropped when the committer has stopped.
    pub fn expire(
        &self,
        keep_from: RecordId,
        bytes_max: u64,
        done: Box<dyn FnOnce(Result<Expired, LogError>) + Send>,
    ) {
        self.queue.control(Work::Expire { keep_from, bytes_max, done });
    }

    /// Completes the piece that is being written if it has records, see
    /// [`IngestLog::complete_filled_piece`]; between two groups. `done` is called with its number, or dropped
    /// when the committer has stopped.
    pub fn complete(&self, done: Box<dyn FnOnce(Result<Option<u64>, LogError>) + Send>) {
        self.queue.control(Work::Complete { done });
    }

    /// Lets go of sealed pieces, see [`IngestLog::release`]; between two groups. `done` is called with the
    /// outcome, or dropped when the committer has stopped.
    pub fn release(&self, pieces: Vec<Leaving>, done: Box<dyn FnOnce(Result<Released, LogError>) + Send>) {
        self.queue.control(Work::Release { pieces, done });
    }

    /// The same, and waits for the outcome: not to be called on the committing thread.
    pub fn release_and_wait(&self, pieces: Vec<Leaving>) -> Result<Released, LogError> {
        let (done, outcome) = std::sync::mpsc::channel();
        self.release(pieces, Box::new(move |result| drop(done.send(result))));
        outcome.recv().unwrap_or(Err(LogError::Closed))
    }

    /// Gives snapshots of what is committed.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Set, with the reason, when nothing is accepted any more. Whoever writes for the log sets it, too.
    pub fn poison(&self) -> Poison {
        self.poison.clone()
    }

    /// Sums and what waits.
    pub fn metrics(&self) -> CommitterMetrics {
        self.queue.metrics()
    }

    /// Accepts nothing more, commits what waits, completes the piece that is written and ends the thread.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the committing thread has panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.join();
    }
}

fn run(mut log: IngestLog, queue: &Queue, observer: &dyn CommitObserver) {
    // However this thread ends, nobody is left waiting for an answer.
    let _abandon = queue.abandon_on_drop();
    let mut group = GroupCommit::default();
    let poison = log.poison();
    let mut told = false;
    while let Some(taken) = queue.take() {
        for work in taken.control {
            match work {
                Work::Resume(source) => group.resume(&source),
                Work::Expire { keep_from, bytes_max, done } => done(log.expire(keep_from, bytes_max)),
                Work::Complete { done } => done(log.complete_filled_piece()),
                Work::Release { pieces, done } => done(log.release(&pieces)),
            }
        }
        let sums = group.run(&mut log, taken.jobs, &mut |committed| observer.committed(committed));
        if queue.taken(&sums) {
            observer.room();
        }
        if let Some(reason) = poison.reason()
            && !std::mem::replace(&mut told, true)
        {
            observer.poisoned(&reason);
        }
    }
    if let Err(error) = log.complete_piece() {
        tracing::warn!(%error, "the last piece stays incomplete; the next start completes it");
    }
}

#[cfg(test)]
mod tests;
