//! A disk in memory that loses what a real one may lose.
//!
//! It has a page cache and a platter. [`SimDisk::power_cut`] leaves what was synced, and of the rest any
//! sectors and names, replaced by zeros, old data or junk. Faults are set beforehand: a cut at the n-th
//! operation, an error at the n-th operation, a capacity. A failed sync marks its pages clean, as Linux
//! does. Everything is decided by seeds, so that a run can be replayed.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, Space};

mod inode;
mod names;
pub mod prng;

use inode::Inode;
pub use inode::SECTOR_BYTES;
use names::{NodeId, Tree};
use prng::Prng;

/// Errors to come. Operations that change something are counted from 0; reads are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes during this operation: it may or may not happen, all later ones fail.
    pub cut_at: Option<u64>,
    /// This operation fails with an I/O error.
    pub error_at: Option<u64>,
    /// Bytes that files may take together.
    pub capacity_bytes: Option<u64>,
}

/// What has happened so far, so that a test can demand that rare paths were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cuts that left some unsynced sectors of a file and lost others.
    pub torn_files: u64,
    /// Names (or changes of names) lost in cuts.
    pub lost_names: u64,
    /// Writes refused for lack of room.
    pub full: u64,
    /// Writes and other operations that failed with an I/O error.
    pub errors: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Power cuts.
    pub cuts: u64,
}

/// A simulated disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    prng: Prng,
    tree: Tree,
    files: Vec<Inode>,
    faults: Faults,
    counters: Counters,
    operations: u64,
    trace: u64,
    /// Handles of before the last cut are dead.
    generation: u64,
    powered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Happens,
    /// The power goes, yet the operation still takes effect.
    HappensUnseen,
    Fails,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Create = 1,
    CreateDir,
    Rename,
    Remove,
    SyncDir,
    Write,
    Sync,
    SetLen,
    Cut,
}

impl SimDisk {
    /// An empty disk whose random decisions come from a seed.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(State {
                prng: Prng::new(seed),
                tree: Tree::new(),
                // Place 0 is the root directory's.
                files: vec![Inode::default()],
                faults: Faults::default(),
                counters: Counters::default(),
                operations: 0,
                trace: 0,
                generation: 0,
                powered: true,
            })),
        }
    }

    /// Sets the faults to come; operations are counted anew from 0.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.lock();
        state.faults = faults;
        state.operations = 0;
    }

    /// Changes the capacity and leaves the other faults and the count as they are.
    pub fn set_capacity(&self, capacity_bytes: Option<u64>) {
        self.lock().faults.capacity_bytes = capacity_bytes;
    }

    /// Bytes of all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// Operations since the faults were set.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Whether the cut that was set has come.
    pub fn is_off(&self) -> bool {
        !self.lock().powered
    }

    /// What has happened since the disk was made.
    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// A hash of every operation so far, in order, with its content.
    pub fn trace_hash(&self) -> u64 {
        self.lock().trace
    }

    /// The power goes and comes back: the disk as it is found then. Faults are cleared, open handles
    /// are dead.
    pub fn power_cut(&self, seed: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let mut prng = Prng::new(seed);
        state.note(Operation::Cut, seed, 0);
        state.counters.cuts += 1;
        state.counters.lost_names += state.tree.power_cut(&mut prng);
        for file in &mut state.files {
            let torn = file.power_cut(&mut prng);
            state.counters.torn_files += u64::from(torn.kept > 0 && torn.lost > 0);
        }
        state.faults = Faults::default();
        state.operations = 0;
        state.generation += 1;
        state.powered = true;
    }

    /// Changes stored bytes, as a failing medium does: `mask` is xored to the byte at `offset`.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.tree.lookup(path)?;
        let file = &mut state.files[node];
        let byte = file.cached.get(offset as usize).copied().ok_or(io::ErrorKind::InvalidInput)?;
        file.write(&[byte ^ mask], offset as usize);
        file.sync();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, node: NodeId, generation: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), node, generation })
    }
}

impl State {
    fn note(&mut self, operation: Operation, a: u64, b: u64) {
        for value in [operation as u64, a, b] {
            self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    /// Counts an operation and tells what becomes of it.
    fn begin(&mut self, operation: Operation, a: u64, b: u64) -> io::Result<Outcome> {
        self.check_power()?;
        self.note(operation, a, b);
        let at = self.operations;
        self.operations += 1;
        if self.faults.cut_at == Some(at) {
            self.powered = false;
            // Rather written and not synced than the other way round: that is where the harm is.
            let likely = !matches!(operation, Operation::Sync | Operation::SyncDir);
            if (self.prng.below(4) > 0) == likely {
                return Ok(Outcome::HappensUnseen);
            }
            return Err(io::Error::other("the power is off"));
        }
        if self.faults.error_at == Some(at) {
            self.counters.errors += 1;
            return Ok(Outcome::Fails);
        }
        Ok(Outcome::Happens)
    }

    /// For operations that either happen or do not.
    fn begin_whole(&mut self, operation: Operation, a: u64, b: u64) -> io::Result<()> {
        match self.begin(operation, a, b)? {
            Outcome::Fails => Err(io_error()),
            _ => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.tree.linked().filter_map(|node| self.files.get(node)).map(|file| file.cached.len() as u64).sum()
    }

    fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.begin(Operation::Write, offset, u64::from(crc32c::crc32c(bytes)))?;
        let mut count = bytes.len();
        if outcome == Outcome::Fails {
            count = self.prng.below(count as u64 + 1) as usize;
        }
        let grown = (offset + count as u64).saturating_sub(self.files[node].cached.len() as u64);
        let mut full = false;
        if let Some(capacity) = self.faults.capacity_bytes {
            let room = capacity.saturating_sub(self.used_bytes());
            if grown > room {
                full = true;
                count -= (grown - room).min(count as u64) as usize;
            }
        }
        if count > 0 {
            self.files[node].write(&bytes[..count], offset as usize);
        }
        match outcome {
            Outcome::Fails => Err(io_error()),
            _ if full => {
                self.counters.full += 1;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.check_power(),
        }
    }

    fn sync(&mut self, node: NodeId) -> io::Result<()> {
        if self.begin(Operation::Sync, node as u64, 0)? == Outcome::Fails {
            self.counters.failed_syncs += 1;
            self.files[node].sync_fails(&mut self.prng);
            return Err(io_error());
        }
        self.files[node].sync();
        self.check_power()
    }
}

fn io_error() -> io::Error {
    io::Error::other("simulated I/O error")
}

fn hash(path: &Path) -> u64 {
    u64::from(crc32c::crc32c(path.as_os_str().as_encoded_bytes()))
}

impl Disk for SimDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let state = self.lock();
        state.check_power()?;
        let dir = state.tree.dir(dir)?;
        Ok(state.tree.names(dir)?.cached.keys().cloned().collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_whole(Operation::CreateDir, hash(dir), 0)?;
        match state.tree.lookup(dir) {
            Ok(node) if state.tree.is_dir(node) => return state.check_power(),
            _ => {}
        }
        let node = state.files.len();
        state.tree.link(dir, node, true)?;
        state.files.push(Inode::default());
        state.check_power()
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.begin_whole(Operation::Create, hash(path), 0)?;
        let node = state.files.len();
        state.tree.link(path, node, false)?;
        state.files.push(Inode::default());
        state.check_power()?;
        Ok(self.handle(node, state.generation))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        state.check_power()?;
        let node = state.tree.lookup(path)?;
        if state.tree.is_dir(node) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(self.handle(node, state.generation))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_whole(Operation::Rename, hash(from), hash(to))?;
        state.tree.rename(from, to)?;
        state.check_power()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_whole(Operation::Remove, hash(path), 0)?;
        state.tree.unlink(path)?;
        state.check_power()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_whole(Operation::SyncDir, hash(dir), 0)?;
        let node = state.tree.dir(dir)?;
        state.tree.sync(node);
        state.check_power()
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.lock();
        state.check_power()?;
        let total_bytes = state.faults.capacity_bytes.unwrap_or(1 << 50);
        Ok(Space { total_bytes, free_bytes: total_bytes.saturating_sub(state.used_bytes()) })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: NodeId,
    generation: u64,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("the file was open when the power went"));
        }
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        state.check_power()?;
        let cached = &state.files[self.node].cached;
        let rest = cached.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state()?.write(self.node, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state()?.sync(self.node)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.begin_whole(Operation::SetLen, self.node as u64, bytes)?;
        let node = self.node;
        state.files[node].set_len(bytes as usize);
        state.check_power()
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.state()?;
        state.check_power()?;
        Ok(state.files[self.node].cached.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_at_an_operation_comes_once_and_a_cut_stays() {
        let disk = SimDisk::new(1);
        let file = disk.create_new(Path::new("a")).unwrap();
        disk.set_faults(Faults { error_at: Some(1), cut_at: Some(3), ..Faults::default() });
        file.write_at(b"x", 0).unwrap();
        assert_eq!(file.sync_data().unwrap_err().to_string(), "simulated I/O error");
        file.sync_data().unwrap();
        assert_eq!(file.write_at(b"y", 1).unwrap_err().to_string(), "the power is off");
        assert!(disk.is_off() && file.len().is_err());
        disk.power_cut(7);
        assert!(file.len().is_err(), "handles do not survive");
        assert_eq!(disk.list(Path::new("")).unwrap().len(), usize::from(disk.counters().lost_names == 0));
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_has_room_again_when_files_shrink() {
        let disk = SimDisk::new(1);
        let file = disk.create_new(Path::new("a")).unwrap();
        disk.set_faults(Faults { capacity_bytes: Some(10), ..Faults::default() });
        file.write_at(b"12345678", 0).unwrap();
        assert_eq!(file.write_at(b"abcdef", 8).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!((file.len().unwrap(), disk.space(Path::new("")).unwrap().free_bytes), (10, 0));
        file.set_len(4).unwrap();
        file.write_at(b"abcdef", 4).unwrap();
        assert_eq!(disk.counters().full, 1);
    }

    #[test]
    fn the_same_seed_is_the_same_disk() {
        let run = |seed| {
            let disk = SimDisk::new(seed);
            for round in 0..5 {
                let file = disk.create_new(Path::new(&format!("f{round}"))).unwrap();
                file.write_at(&[round; 1500], 0).unwrap();
                disk.power_cut(seed + u64::from(round));
            }
            (disk.trace_hash(), disk.used_bytes(), disk.list(Path::new("")).unwrap())
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3).0, run(4).0);
    }
}
