//! What one turn of the committing thread does, apart from the thread: the simulation runs it too.

use std::collections::BTreeSet;
use std::fmt;

use crate::committer::{CommitError, CommitterMetrics};
use crate::ingest_log::{Committed, Entry, IngestLog, LogError};

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Number of the piece that has its records: what is sealed under that number has them. `None` for an
    /// entry without records, for which there is nothing to wait.
    pub piece: Option<u64>,
}

/// Called with the outcome of an entry.
pub type Done = Box<dyn FnOnce(Result<Stored, CommitError>) + Send>;

/// An entry and who waits for it.
pub struct Job {
    pub(crate) entry: Entry,
    pub(crate) done: Done,
}

impl Job {
    /// A job.
    pub fn new(entry: Entry, done: Done) -> Job {
        Job { entry, done }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// Commits jobs in groups, and keeps a source from overtaking an entry of its own that failed.
#[derive(Debug, Default)]
pub struct GroupCommit {
    /// Sources of which an entry has failed.
    held: BTreeSet<String>,
}

impl GroupCommit {
    /// Accepts entries of a source again.
    pub fn resume(&mut self, source: &str) {
        self.held.remove(source);
    }

    /// Commits all jobs, in order, in as few groups as their sizes allow, and tells everyone what became
    /// of theirs. `observe` is called after each commit. Returns the sums of this run.
    pub fn run(
        &mut self,
        log: &mut IngestLog,
        jobs: Vec<Job>,
        observe: &mut dyn FnMut(&Committed),
    ) -> CommitterMetrics {
        let mut sums = CommitterMetrics::default();
        let mut waiting: Vec<Job> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if let Some(source) = job.source().filter(|source| self.held.contains(*source)) {
                let source = source.to_owned();
                self.fail(job, CommitError::OutOfOrder(source), &mut sums);
                continue;
            }
            let mut appended = log.append(&job.entry);
            if matches!(appended, Err(LogError::GroupFull)) {
                self.commit(log, &mut waiting, observe, &mut sums);
                if job.source().is_some_and(|source| self.held.contains(source)) {
                    self.fail(job, CommitError::DiskFull, &mut sums);
                    continue;
                }
                appended = log.append(&job.entry);
            }
            match appended {
                Ok(()) => waiting.push(job),
                Err(error) => {
                    let error = CommitError::from(error);
                    // All else that makes an append fail drops the group that was being built.
                    if !matches!(error, CommitError::TooLarge(_)) {
                        self.fail_all(&mut waiting, &error, &mut sums);
                    }
                    self.fail(job, error, &mut sums);
                }
            }
        }
        self.commit(log, &mut waiting, observe, &mut sums);
        sums
    }

    fn commit(
        &mut self,
        log: &mut IngestLog,
        waiting: &mut Vec<Job>,
        observe: &mut dyn FnMut(&Committed),
        sums: &mut CommitterMetrics,
    ) {
        match log.commit() {
            Ok(committed) => {
                if committed.entries > 0 {
                    sums.add(&committed);
                    observe(&committed);
                }
                for job in waiting.drain(..) {
                    let piece = committed.piece.filter(|_| job.entry.records() > 0);
                    (job.done)(Ok(Stored { piece }));
                }
            }
            Err(error) => self.fail_all(waiting, &error.into(), sums),
        }
    }

    fn fail_all(&mut self, waiting: &mut Vec<Job>, error: &CommitError, sums: &mut CommitterMetrics) {
        for job in waiting.drain(..) {
            self.fail(job, error.clone(), sums);
        }
    }

    fn fail(&mut self, job: Job, error: CommitError, sums: &mut CommitterMetrics) {
        match error {
            CommitError::DiskFull => sums.disk_full += 1,
            _ => sums.refused += 1,
        }
        if let Some(checkpoint) = &job.entry.checkpoint {
            self.held.insert(checkpoint.source.clone());
        }
        (job.done)(Err(error));
    }
}

impl Job {
    fn source(&self) -> Option<&str> {
        self.entry.checkpoint.as_ref().map(|checkpoint| checkpoint.source.as_str())
    }
}

impl CommitterMetrics {
    fn add(&mut self, committed: &Committed) {
        self.commits += 1;
        self.entries += committed.entries;
        self.records += committed.records;
        self.payload_bytes += committed.payload_bytes;
        self.bytes += committed.bytes;
        self.sync_ns += committed.sync.as_nanos() as u64;
    }
}

impl From<LogError> for CommitError {
    fn from(error: LogError) -> CommitError {
        match error {
            LogError::DiskFull => CommitError::DiskFull,
            LogError::Poisoned(reason) => CommitError::Poisoned(reason),
            LogError::Closed => CommitError::Stopped,
            LogError::TooLarge { .. } | LogError::GroupFull | LogError::Io { .. } => {
                CommitError::TooLarge(error.to_string().into())
            }
        }
    }
}
