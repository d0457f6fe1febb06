//! The ingest log: batches in the order of arrival, cursors of sources, committed in groups.
//!
//! A log is a folder of pieces. Each begins with a header and what is carried over from the pieces
//! before it, goes on with one frame per entry, and ends with a footer. One piece is written at a time;
//! a process always begins a new one, under the epoch it drew at its start, when it first appends.
//!
//! The durable order, for which the power-cut simulation stands:
//! - a piece is made with `O_EXCL`, its start written and synced, then its directory synced, before
//!   anything is appended;
//! - a group is written and synced before any of its entries is acknowledged or seen by a reader;
//! - a piece is completed by writing and syncing its footer, then renaming it, before the next is made.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_record::RecordId;
use weir_record::limits::{
    DISK_FULL_AT_PERCENT_DEFAULT, DISK_RESERVE_BYTES, DISK_RESUME_BELOW_PERCENT, PIECE_BYTES_DEFAULT,
};

use crate::disk::{Disk, is_full};
use crate::poison::Poison;
use crate::quarantine::{QUARANTINE_DIR, Quarantined};
use crate::space::SpaceGuard;

pub mod checksum;
mod complete;
mod entry;
mod expire;
mod footer;
pub mod frame;
mod header;
mod index;
pub(crate) mod name;
pub mod reader;
mod recovery;
mod release;
mod scan;
mod writer;

use checksum::Checksum;
use complete::Incomplete;
pub use entry::{Checkpoint, Entry};
pub use expire::Expired;
use footer::Carried;
use reader::{LogReader, Shared};
pub use release::{Leaving, Released};
use writer::{Active, Group};

const LOG_DIR: &str = "log";

/// How a log is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// The id of this node, written into each piece.
    pub node: u64,
    /// Drawn at random at each start of the process: tells the pieces of this run from all others. Its lowest
    /// bit counts as 0: epochs of logs are even, the odd ones above name what may be repeated.
    pub epoch: u64,
    /// Payload bytes after which a piece is completed and the next one begun. A piece also ends when
    /// its frames take twice as much, or when its index is full.
    pub piece_bytes: u64,
    /// Used share of the disk in percent above which entries are refused; 100 for no such mark.
    pub full_at_percent: u64,
    /// Used share at or below which they are accepted again; not above `full_at_percent`.
    pub resume_at_percent: u64,
    /// Free bytes below which entries are refused.
    pub reserve_bytes: u64,
    /// The checksum; only tests of the tests take another one.
    pub checksum: Checksum,
}

impl LogOptions {
    /// The usual options.
    pub fn new(node: u64, epoch: u64) -> LogOptions {
        LogOptions {
            node,
            epoch: epoch & !1,
            piece_bytes: PIECE_BYTES_DEFAULT,
            full_at_percent: DISK_FULL_AT_PERCENT_DEFAULT,
            resume_at_percent: DISK_FULL_AT_PERCENT_DEFAULT - DISK_RESUME_BELOW_PERCENT,
            reserve_bytes: DISK_RESERVE_BYTES,
            checksum: Checksum::CRC32C,
        }
    }
}

/// Why the log did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file cannot be read or written while opening, completing or expiring. The log is as it was.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What failed, as a phrase.
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full, or nearly so. Everything appended since the last commit is dropped, the log
    /// stays as it was then and can be used; it accepts again when there is room.
    #[error("the disk is full: free some space or shorten the retention")]
    DiskFull,
    /// A sync has failed: nothing is accepted any more by this process. Records that were acknowledged
    /// before are safe; what became of the others shows at the next start.
    #[error("the log is closed after a failed write: {0}; see to the disk and restart")]
    Poisoned(Arc<str>),
    /// Whoever owned the log has closed it before it did what was asked. The log is as it was.
    #[error("the log is closed")]
    Closed,
    /// The entry breaks a limit. It is not appended, the log is as it was.
    #[error("{got} {what} are more than {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// The entry does not fit the group that waits: commit first, then append it again. It is not
    /// appended, the log is as it was.
    #[error("the group is full: commit first")]
    GroupFull,
}

/// What opening a log found.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The highest id that was ever committed, [`RecordId::MIN`] for a new log.
    pub highest_id: RecordId,
    /// Where each source stands.
    pub cursors: BTreeMap<String, Vec<u8>>,
    /// Pieces that can be read.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Files that were moved aside, and why.
    pub quarantined: Vec<Quarantined>,
    /// Bytes of a torn tail that were cut off: written, but never acknowledged.
    pub truncated_bytes: u64,
    /// Damaged bytes inside of pieces: records that were acknowledged are lost in them.
    pub damaged: Vec<DamagedBytes>,
    /// Files without content that a crash left while they were made; removed.
    pub unfinished: u64,
    /// Pieces that a crash had left incomplete and that are complete now.
    pub completed: u64,
    /// Pieces that had to be read whole for lack of a footer.
    pub scanned: u64,
}

impl Recovery {
    /// All damaged bytes.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged.iter().map(|damaged| damaged.bytes).sum()
    }
}

/// A damaged part of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBytes {
    /// The file.
    pub file: PathBuf,
    /// Where the damage begins.
    pub offset: u64,
    /// How far it reaches.
    pub bytes: u64,
}

/// What one commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Entries that are durable now.
    pub entries: u64,
    /// Their records.
    pub records: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What the sync took.
    pub sync: Duration,
    /// Number of the piece that they went into; `None` when there was nothing to commit.
    pub piece: Option<u64>,
}

/// A log that is open for writing. One thread owns it; readers have [`LogReader`]s.
#[derive(Debug)]
pub struct IngestLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    quarantine: PathBuf,
    options: LogOptions,
    poison: Poison,
    space: SpaceGuard,
    shared: Arc<Shared>,
    /// As of the last commit.
    carried: Carried,
    next_number: u64,
    active: Option<Active>,
    /// A piece of an earlier process for whose footer there was no room; there is no active one then.
    leftover: Option<Incomplete>,
    group: Group,
}

impl IngestLog {
    /// Opens the log under `dir` (folders `log` and `quarantine`, made if they are not there) and
    /// brings it into order: completes what a crash has left, cuts a torn tail off, moves aside what is
    /// not ours. Opening again after a crash in between goes on from there. Nothing is written when
    /// there is nothing to mend.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
    ) -> Result<(IngestLog, Recovery), LogError> {
        let log_dir = dir.join(LOG_DIR);
        let quarantine = dir.join(QUARANTINE_DIR);
        for path in [&log_dir, &quarantine] {
            disk.create_dir(path).map_err(io_error("cannot make", path))?;
        }
        disk.sync_dir(dir).map_err(io_error("cannot sync", dir))?;
        let options = LogOptions { epoch: options.epoch & !1, ..options };
        let recovered = recovery::recover(&*disk, &log_dir, &quarantine, options)?;
        let shared = Arc::new(Shared::default());
        {
            let mut published = shared.lock();
            published.complete = recovered.pieces;
            published.next_number = recovered.next_number;
        }
        let log = IngestLog {
            disk,
            dir: log_dir,
            quarantine,
            options,
            poison: Poison::default(),
            space: SpaceGuard::new(options.full_at_percent, options.resume_at_percent, options.reserve_bytes),
            shared,
            carried: recovered.carried,
            next_number: recovered.next_number,
            active: None,
            leftover: recovered.leftover,
            group: Group::default(),
        };
        Ok((log, recovered.report))
    }

    /// Adds an entry to the group that is being built. It is neither durable nor visible before
    /// [`IngestLog::commit`]. Entries without content are accepted and take no room.
    pub fn append(&mut self, entry: &Entry) -> Result<(), LogError> {
        self.check_poison()?;
        entry.check()?;
        if entry.checkpoint.is_none() && entry.batches.is_empty() {
            return Ok(());
        }
        self.check_cursors(entry)?;
        let streams = writer::encode_streams(entry)?;
        if self.group.is_empty() {
            self.check_space(entry.bytes() as u64)?;
        }
        if !self.group.has_room(entry) {
            return Err(LogError::GroupFull);
        }
        if !self.active.as_ref().is_some_and(|active| active.has_room(entry, &streams, &self.options)) {
            if !self.group.is_empty() {
                return Err(LogError::GroupFull);
            }
            self.next_piece()?;
        }
        if let Some(active) = &mut self.active {
            self.group.add(active, entry, &streams);
        }
        Ok(())
    }

    /// Makes durable and visible what was appended since the last commit, all of it or nothing.
    pub fn commit(&mut self) -> Result<Committed, LogError> {
        self.check_poison()?;
        let Some(active) = self.active.as_mut().filter(|_| !self.group.is_empty()) else {
            return Ok(Committed::default());
        };
        let end = active.end;
        if let Err(error) = active.file.write_at(self.group.bytes(), end) {
            let cut = active.file.set_len(end);
            return Err(self.roll_back(&error, cut));
        }
        let before = Instant::now();
        if let Err(error) = active.file.sync_data() {
            let path = self.dir.join(active.name.to_string());
            self.group.clear(active);
            return Err(self.poisoned("fsync failed", &path, &error));
        }
        let sync = before.elapsed();
        let number = active.name.number;
        active.end += self.group.bytes().len() as u64;
        let committed = self.group.publish(active, &self.shared, &mut self.carried);
        Ok(Committed { sync, piece: Some(number), ..committed })
    }

    /// Completes the piece that is being written, if there is one; the next entry begins a new one.
    /// What was appended and not committed is dropped.
    pub fn complete_piece(&mut self) -> Result<(), LogError> {
        self.check_poison()?;
        if let Some(active) = &mut self.active {
            self.group.clear(active);
        }
        if self.complete_active()? || self.complete_leftover()? {
            self.sync_dir()?;
        }
        Ok(())
    }

    /// Gives snapshots of what is committed.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Where each source stands, as of the last commit.
    pub fn cursors(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.carried.cursors
    }

    /// Set, with the reason, when nothing is accepted any more.
    pub fn poison(&self) -> Poison {
        self.poison.clone()
    }

    /// Whether the last entry was refused for lack of room.
    pub fn is_full(&self) -> bool {
        self.space.is_full()
    }

    fn check_poison(&self) -> Result<(), LogError> {
        self.poison.reason().map_or(Ok(()), |reason| Err(LogError::Poisoned(reason)))
    }

    fn check_space(&mut self, incoming_bytes: u64) -> Result<(), LogError> {
        // A file system that cannot tell is taken to have room; the write itself will show.
        let Ok(space) = self.disk.space(&self.dir) else { return Ok(()) };
        if self.space.refuses(space, incoming_bytes) { Err(LogError::DiskFull) } else { Ok(()) }
    }

    /// After a failed write: `cut` says whether the file was cut back to what is committed.
    fn roll_back(&mut self, error: &io::Error, cut: io::Result<()>) -> LogError {
        let dir = self.dir.clone();
        if let Some(active) = &mut self.active {
            self.group.clear(active);
        }
        match cut {
            Ok(()) if is_full(error) => {
                tracing::warn!(%error, "a write was refused: the entries of the group are dropped");
                LogError::DiskFull
            }
            Ok(()) => self.poisoned("write failed", &dir, error),
            Err(cut) => self.poisoned("a failed write could not be taken back", &dir, &cut),
        }
    }

    fn poisoned(&self, what: &str, path: &Path, error: &io::Error) -> LogError {
        LogError::Poisoned(self.poison.set(&format!("{what}: {}: {error}", path.display())))
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.disk.sync_dir(&self.dir).map_err(|error| self.poisoned("fsync failed", &self.dir, &error))
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
pub(crate) mod tests;
