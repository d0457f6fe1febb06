//! Deliberately broken stores.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use weir_storage::disk::sim::SimDisk;
use weir_storage::disk::{Disk, DiskFile, Space};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// Files are not synced before they get their names.
    NoSync,
    /// The folder is not synced before an origin is confirmed.
    NoDirSync,
    /// A sync that fails is taken for one that succeeded.
    SyncErrorIgnored,
    /// The inputs of a merge go before its output is durable.
    MergedUnsynced,
    /// Transfers are not verified.
    Unverified,
}

/// A disk that leaves out what its mutant leaves out.
#[derive(Debug, Clone)]
pub(crate) struct MutantDisk {
    pub(crate) disk: SimDisk,
    pub(crate) mutant: Mutant,
}

#[derive(Debug)]
struct MutantFile {
    file: Arc<dyn DiskFile>,
    disk: MutantDisk,
}

impl Disk for MutantDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.create_new(path)?;
        let merged = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("compact-"));
        let broken = match self.mutant {
            Mutant::NoSync | Mutant::SyncErrorIgnored => true,
            Mutant::MergedUnsynced => merged,
            Mutant::None | Mutant::NoDirSync | Mutant::Unverified => false,
        };
        Ok(if broken { Arc::new(MutantFile { file, disk: self.clone() }) } else { file })
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.mutant == Mutant::NoDirSync { Ok(()) } else { self.disk.sync_dir(dir) }
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }
}

impl DiskFile for MutantFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        match self.disk.mutant {
            Mutant::SyncErrorIgnored => match self.file.sync_data() {
                Err(_) if !self.disk.disk.is_off() => Ok(()),
                other => other,
            },
            _ => Ok(()),
        }
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
