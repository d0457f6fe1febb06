//! The store: the segments that a store node keeps, in the folder `store/`.
//!
//! A segment is an origin as it came, or several origins of one unit merged. Its state is its name:
//!
//! ```text
//! <segment name>.zst       sound, as far as anybody has read
//! <segment name>.damaged   something in it was found damaged; what is not can still be read
//! *.tmp                    unfinished: removed at the next start
//! expired                  up to when units are expired, per retention class
//! ```
//!
//! The durable order, for which the power-cut simulation stands:
//! - an origin is written to a `.tmp`, verified (by every record, or by its checksums when this node has sealed
//!   it), synced, renamed, the folder synced; only then is it announced, and only then may anybody rely on it;
//! - compaction writes, syncs, renames and syncs the folder before an input goes, so that a crash leaves both
//!   at most; which of both is served, [`Store::open`] decides;
//! - expiry makes its watermark durable before it removes a file;
//! - after a failed sync nothing is accepted, merged or expired by this process any more.
//!
//! Each origin is served from exactly one segment, and readers hold segments as long as they like: a
//! [`StoreSnapshot`] goes on reading what compaction or expiry has removed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_record::limits::{
    DISK_FULL_AT_PERCENT_DEFAULT, DISK_RESERVE_BYTES, DISK_RESUME_BELOW_PERCENT, SEGMENT_BLOCK_BYTES_DEFAULT,
    SEGMENT_LEAF_BYTES_DEFAULT, SEGMENT_SETTLED_LEAF_BYTES, STORE_SEGMENT_BYTES_DEFAULT,
};
use weir_segment::{OriginName, Unit};

use crate::disk::Disk;
use crate::poison::Poison;
use crate::quarantine::QUARANTINE_DIR;

mod catalog;
mod compact;
mod cut;
mod damage;
mod drop;
mod error;
mod expire;
mod holdings;
mod incoming;
mod merge;
mod plan;
mod recovery;
mod segment;
mod tmp;
mod verify;
mod watermark;

use catalog::Catalog;
pub use compact::{CompactBudget, CompactWork, Compaction, Merged};
pub use cut::CutFile;
pub use drop::StoreDropped;
pub use error::{AcceptError, CutError, StoreError, Wrong};
pub use expire::{ExpiryRules, StoreExpired};
pub use holdings::{Change, GoneReason, Holding};
pub use incoming::{Accepted, Expected, Incoming, Offer};
pub use plan::{PlanRules, SegmentSize, plan_compaction, plan_settling};
pub use recovery::{DamagedSegment, StoreRecovery};
pub use segment::{Served, StoreSnapshot, StoredSegment};
pub(crate) use verify::prove;

/// The folder in the data directory.
pub const STORE_DIR: &str = "store";

/// How a store is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Level of zstd of the segments that compaction writes while a unit still grows, 1 to 19.
    pub level: i32,
    /// The same for units to which little will be added any more. Lines are grouped by shape in both.
    pub settled_level: i32,
    /// Raw bytes of a block that compaction writes; see [`WriterOptions`](weir_segment::WriterOptions).
    pub block_bytes: usize,
    /// Raw bytes at which it cuts the lines of a block into leaves, while a unit still grows.
    pub leaf_bytes: usize,
    /// The same where a settled unit is written anew.
    pub settled_leaf_bytes: usize,
    /// Payload bytes of a segment that compaction aims at; from half of it on a segment is left alone.
    pub target_bytes: u64,
    /// Used share of the disk in percent above which origins are refused; 100 for no such mark.
    pub full_at_percent: u64,
    /// Used share at or below which they are accepted again; not above `full_at_percent`.
    pub resume_at_percent: u64,
    /// Free bytes below which origins are refused.
    pub reserve_bytes: u64,
    /// What of an origin is looked at before it is accepted.
    pub verification: Verification,
}

/// What of an origin is looked at before it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verification {
    /// The footer alone. Only tests of the tests take it.
    Footer,
    /// The footer, and each frame by its checksum.
    Sums,
    /// Every record, by the digest of the origin.
    #[default]
    Whole,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            level: 1,
            settled_level: 12,
            block_bytes: SEGMENT_BLOCK_BYTES_DEFAULT,
            leaf_bytes: SEGMENT_LEAF_BYTES_DEFAULT,
            settled_leaf_bytes: SEGMENT_SETTLED_LEAF_BYTES,
            target_bytes: STORE_SEGMENT_BYTES_DEFAULT,
            full_at_percent: DISK_FULL_AT_PERCENT_DEFAULT,
            resume_at_percent: DISK_FULL_AT_PERCENT_DEFAULT - DISK_RESUME_BELOW_PERCENT,
            reserve_bytes: DISK_RESERVE_BYTES,
            verification: Verification::Whole,
        }
    }
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Origins accepted.
    pub accepted: u64,
    /// Bytes of their files.
    pub accepted_bytes: u64,
    /// Merges of segments that were carried through.
    pub compactions: u64,
    /// Bytes of the files that went into them.
    pub compacted_in_bytes: u64,
    /// Bytes that were written in their place.
    pub compacted_out_bytes: u64,
    /// Segments expired.
    pub expired_segments: u64,
    /// Bytes of their files.
    pub expired_bytes: u64,
    /// Origins that were lost to damage.
    pub damaged_origins: u64,
}

impl StoreCounters {
    /// Bytes written for each byte accepted, 1 without compaction; `None` when nothing was accepted.
    pub fn write_amplification(&self) -> Option<f64> {
        let written = self.accepted_bytes + self.compacted_out_bytes;
        (self.accepted_bytes > 0).then(|| written as f64 / self.accepted_bytes as f64)
    }
}

/// A store that is open. Clones are the same store; all of it can be called from several threads.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What all handles of a store share.
struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: StoreOptions,
    poison: Poison,
    catalog: Mutex<Catalog>,
    /// Held while expiry runs, so that watermarks are written one after the other.
    expiring: Mutex<expire::Kept>,
    /// Units in which a merge runs, and segments that cannot be merged with any other.
    compacting: Mutex<compact::Running>,
    next_tmp: AtomicU64,
}

impl Store {
    /// Opens the store under `data_dir` (folders `store` and `quarantine`, made if they are not there) and
    /// brings it into order. Reads footers only, and whole files only of segments that were found damaged.
    /// Opening again after a crash in between goes on from there.
    ///
    /// When an origin is in several segments, as a crash during compaction leaves it, one of them serves it:
    /// sound ones before damaged ones, those of more origins before those of fewer, then by name. A segment
    /// whose every origin is served by sound ones is removed; in others those origins are ignored.
    pub fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        options: StoreOptions,
    ) -> Result<(Store, StoreRecovery), StoreError> {
        Store::open_with(disk, data_dir, options, Poison::default())
    }

    /// The same with the poison of what else writes to this disk: a sync that fails here ends the
    /// acknowledgements there, and the other way round.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        options: StoreOptions,
        poison: Poison,
    ) -> Result<(Store, StoreRecovery), StoreError> {
        let dir = data_dir.join(STORE_DIR);
        let quarantine = data_dir.join(QUARANTINE_DIR);
        for path in [&dir, &quarantine] {
            disk.create_dir(path).map_err(StoreError::io("cannot make", path))?;
        }
        disk.sync_dir(data_dir).map_err(StoreError::io("cannot sync", data_dir))?;
        let recovered = recovery::recover(&*disk, &dir, &quarantine)?;
        let inner = Inner {
            disk,
            dir,
            options,
            poison,
            catalog: Mutex::new(Catalog::new(recovered.segments, recovered.watermarks, &options)),
            expiring: Mutex::default(),
            compacting: Mutex::default(),
            next_tmp: AtomicU64::new(0),
        };
        Ok((Store { inner: Arc::new(inner) }, recovered.report))
    }

    /// What is held at this moment, sorted by unit. Only segments that serve an origin are in it.
    pub fn snapshot(&self) -> StoreSnapshot {
        self.inner.catalog().snapshot()
    }

    /// The segment that serves an origin.
    pub fn find(&self, unit: &Unit, name: OriginName) -> Option<Arc<StoredSegment>> {
        self.inner.catalog().find(unit, name).map(|(segment, _)| Arc::clone(segment))
    }

    /// Units of which something is held.
    pub fn units(&self) -> BTreeSet<Unit> {
        self.inner.catalog().units().cloned().collect()
    }

    /// Bytes of all segments, damaged ones included.
    pub fn bytes(&self) -> u64 {
        self.inner.catalog().bytes()
    }

    /// What was done since the store was opened.
    pub fn counters(&self) -> StoreCounters {
        self.inner.catalog().counters
    }

    /// Whether there is room for more, as far as the disk can tell: to be asked before anything is fetched.
    pub fn has_room(&self) -> bool {
        let space = self.inner.disk.space(&self.inner.dir).ok();
        space.is_none_or(|space| self.inner.catalog().has_room(space))
    }

    /// Whether there was no room when it was last looked for.
    pub fn is_full(&self) -> bool {
        self.inner.catalog().space.is_full()
    }

    /// Set, with the reason, when nothing is accepted any more.
    pub fn poison(&self) -> Poison {
        self.inner.poison.clone()
    }
}

impl Inner {
    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_poison(&self) -> Result<(), StoreError> {
        self.poison.reason().map_or(Ok(()), |reason| Err(StoreError::Poisoned(reason)))
    }

    fn poisoned(&self, path: &Path, error: &std::io::Error) -> StoreError {
        StoreError::Poisoned(self.poison.set(&format!("fsync failed: {}: {error}", path.display())))
    }

    /// Makes the names in the folder durable; a failure is final.
    fn sync_dir(&self) -> Result<(), StoreError> {
        self.disk.sync_dir(&self.dir).map_err(|error| self.poisoned(&self.dir, &error))
    }

    /// Makes a file that is removed unless it is given a name.
    fn tmp(&self, purpose: &str) -> std::io::Result<tmp::TmpFile> {
        let number = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        tmp::TmpFile::create(&self.disk, self.dir.join(format!("{purpose}-{number}.tmp")))
    }

    /// Removes segments that nobody finds any more, and makes that durable. One that cannot be removed does
    /// not keep the others.
    fn remove(&self, segments: &[Arc<StoredSegment>]) -> Result<(), StoreError> {
        let mut failed = None;
        for segment in segments {
            match self.disk.remove(segment.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    failed = Some(StoreError::io("cannot delete", segment.path())(error));
                }
                _ => {}
            }
        }
        if !segments.is_empty() {
            self.sync_dir()?;
        }
        failed.map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
