//! The backlog: sealed origins that wait to be handed over to stores.
//!
//! A piece that is sealed comes in at once ([`Backlog::publish`]) and can be searched from then on. Only when
//! its piece has left the log for good may its origins leave this node ([`Backlog::settle`]): until then a
//! crash may have the piece sealed again, at another time and for another number of partitions, and a copy
//! that is elsewhere already would be there twice.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_record::RecordId;
use weir_segment::{OriginName, Unit};

use crate::disk::Disk;
use crate::quarantine::{QUARANTINE_DIR, Quarantined, move_aside};
use crate::seal::ORIGINS_DIR;
use crate::segment_file::SegmentFile;

mod recovery;

pub use recovery::{BacklogError, BacklogRecovery};

/// The origins of an ingest node, in memory as far as their footers go.
#[derive(Debug)]
pub struct Backlog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    quarantine: PathBuf,
    held: Mutex<Held>,
}

/// Is told of origins that may leave this node.
type Listener = Box<dyn FnMut(&[Arc<SegmentFile>]) + Send>;

#[derive(Default)]
struct Held {
    listener: Option<Listener>,
    origins: BTreeMap<OriginName, BTreeMap<Unit, Waiting>>,
    sums: BacklogSums,
}

#[derive(Debug, Clone)]
struct Waiting {
    segment: Arc<SegmentFile>,
    /// The piece has left the log for good.
    settled: bool,
}

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogSums {
    /// Origins.
    pub origins: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Backlog {
    pub(super) fn empty(disk: Arc<dyn Disk>, data_dir: &Path) -> Backlog {
        Backlog {
            disk,
            dir: data_dir.join(ORIGINS_DIR),
            quarantine: data_dir.join(QUARANTINE_DIR),
            held: Mutex::default(),
        }
    }

    /// Shows the origins of a sealed piece, all at once. They must be durable.
    ///
    /// # Panics
    /// When one has not exactly one origin in its lineage, or is there already: a programming error.
    pub fn publish(&self, origins: &[Arc<SegmentFile>]) {
        let mut held = self.lock();
        for segment in origins {
            let known = held.insert(Arc::clone(segment), false);
            assert!(known.is_none(), "an origin is published once");
        }
    }

    /// Tells a listener of every origin that may leave this node, and from then on of those that are
    /// [settled](Backlog::settle), in the same step. It must be short and must not call the backlog.
    pub fn watch(&self, mut listener: impl FnMut(&[Arc<SegmentFile>]) + Send + 'static) {
        let mut held = self.lock();
        let all: Vec<_> = held
            .waiting()
            .filter(|waiting| waiting.settled)
            .map(|waiting| Arc::clone(&waiting.segment))
            .collect();
        listener(&all);
        held.listener = Some(Box::new(listener));
    }

    /// The piece of these origins has left the log for good: they may leave this node. `name` is that of its
    /// plain origins; those of its repeats go with them.
    pub fn settle(&self, name: OriginName) {
        let mut held = self.lock();
        let held = &mut *held;
        let mut settled = Vec::new();
        for name in [name, name.of_repeats()] {
            for waiting in held.origins.get_mut(&name).into_iter().flat_map(BTreeMap::values_mut) {
                if !std::mem::replace(&mut waiting.settled, true) {
                    settled.push(Arc::clone(&waiting.segment));
                }
            }
        }
        if let Some(listener) = &mut held.listener {
            listener(&settled);
        }
    }

    /// Deletes an origin that stores hold. False when it is not there. An error leaves it as it was.
    ///
    /// The folder is not synced: what a power cut brings back is handed over once more, and is known.
    pub fn remove(&self, name: OriginName, unit: &Unit) -> io::Result<bool> {
        let Some(segment) = self.find(name, unit) else { return Ok(false) };
        match self.disk.remove(segment.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(self.lock().take(name, unit).is_some())
    }

    /// Takes an origin out that nobody needs from here any more, and deletes it. `told` runs in the same step in which
    /// it goes: no snapshot lacks an origin of whose end was not told. False when it is not there; then nothing
    /// happens. After an error it is not shown any more, and there again after a restart.
    pub fn give_up(&self, name: OriginName, unit: &Unit, told: impl FnOnce()) -> io::Result<bool> {
        let segment = {
            let mut held = self.lock();
            let Some(segment) = held.take(name, unit) else { return Ok(false) };
            told();
            segment
        };
        match self.disk.remove(segment.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Moves an origin aside whose file has turned out to be damaged. `None` when it is not there. An error
    /// leaves it as it was.
    pub fn move_aside(
        &self,
        name: OriginName,
        unit: &Unit,
        reason: String,
    ) -> io::Result<Option<Quarantined>> {
        let Some(segment) = self.find(name, unit) else { return Ok(None) };
        let moved = move_aside(&*self.disk, segment.path(), &self.quarantine, reason)?;
        self.lock().take(name, unit);
        Ok(Some(moved))
    }

    /// All origins, in the order of their names. To be read together with the log: [`IngestSnapshot::take`].
    ///
    /// [`IngestSnapshot::take`]: crate::IngestSnapshot::take
    pub fn snapshot(&self) -> Vec<Arc<SegmentFile>> {
        self.lock().waiting().map(|waiting| Arc::clone(&waiting.segment)).collect()
    }

    /// The same, those apart that may not leave this node yet.
    pub fn snapshot_by_state(&self) -> (Vec<Arc<SegmentFile>>, Vec<Arc<SegmentFile>>) {
        let held = self.lock();
        let of = |settled: bool| {
            let waiting = held.waiting().filter(move |waiting| waiting.settled == settled);
            waiting.map(|waiting| Arc::clone(&waiting.segment)).collect()
        };
        (of(true), of(false))
    }

    /// Those that may leave this node.
    pub fn settled(&self) -> Vec<Arc<SegmentFile>> {
        let held = self.lock();
        held.waiting().filter(|waiting| waiting.settled).map(|waiting| Arc::clone(&waiting.segment)).collect()
    }

    /// One origin, if it may leave this node; its bytes are read through [`SegmentFile::read`].
    pub fn get(&self, name: OriginName, unit: &Unit) -> Option<Arc<SegmentFile>> {
        let held = self.lock();
        let waiting = held.origins.get(&name)?.get(unit)?;
        waiting.settled.then(|| Arc::clone(&waiting.segment))
    }

    /// How much waits.
    pub fn sums(&self) -> BacklogSums {
        self.lock().sums
    }

    /// The lowest id of all; goes through the origins.
    pub fn oldest(&self) -> Option<RecordId> {
        self.lock().waiting().map(|waiting| waiting.segment.footer().id_range().0).min()
    }

    fn find(&self, name: OriginName, unit: &Unit) -> Option<Arc<SegmentFile>> {
        let held = self.lock();
        held.origins.get(&name)?.get(unit).map(|waiting| Arc::clone(&waiting.segment))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // The state is changed in whole steps; a panic elsewhere does not spoil it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("sums", &self.sums).finish_non_exhaustive()
    }
}

impl Held {
    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.origins.values().flat_map(BTreeMap::values)
    }

    /// Adds an origin; returns the one that was there under the same name and unit.
    fn insert(&mut self, segment: Arc<SegmentFile>, settled: bool) -> Option<Arc<SegmentFile>> {
        let footer = segment.footer();
        let [origin] = footer.lineage() else { panic!("an origin comes from one piece") };
        let (name, unit) = (origin.name, footer.unit().clone());
        let before = self.take(name, &unit);
        self.sums.origins += 1;
        self.sums.records += footer.records();
        self.sums.bytes += segment.bytes();
        self.origins.entry(name).or_default().insert(unit, Waiting { segment, settled });
        before
    }

    fn take(&mut self, name: OriginName, unit: &Unit) -> Option<Arc<SegmentFile>> {
        let units = self.origins.get_mut(&name)?;
        let Waiting { segment, .. } = units.remove(unit)?;
        if units.is_empty() {
            self.origins.remove(&name);
        }
        self.sums.origins -= 1;
        self.sums.records -= segment.footer().records();
        self.sums.bytes -= segment.bytes();
        Some(segment)
    }
}

#[cfg(test)]
mod tests;
