//! Deliberately broken variants. A test that cannot see them proves nothing about the right one.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use weir_storage::disk::sim::SimDisk;
use weir_storage::disk::{Disk, DiskFile, Space};
use weir_storage::seal::ORIGINS_DIR;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// Files are not synced.
    NoSync,
    /// Directories are not synced.
    NoDirSync,
    /// A sync that fails is taken for one that succeeded.
    SyncErrorIgnored,
    /// Entries are acknowledged when they are appended.
    AckEarly,
    /// All checksums are the same.
    NoChecksum,
    /// Files are not cut: torn tails and half-written groups stay.
    TailKept,
    /// A piece leaves the log before its origins are synced.
    OriginsNotSynced,
    /// A piece leaves the log before the names of its origins are synced.
    OriginNamesNotSynced,
    /// Origins of pieces that are still in the log are not deleted.
    OriginsKept,
    /// Origins leave the node before their piece has left the log.
    HandedOverEarly,
    /// The newest piece is deleted before another one carries on what it carries.
    CarriedLost,
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

impl MutantDisk {
    fn wrap(&self, file: Arc<dyn DiskFile>, path: &Path) -> Arc<dyn DiskFile> {
        let wrapped = match self.mutant {
            Mutant::NoSync | Mutant::SyncErrorIgnored | Mutant::TailKept => true,
            Mutant::OriginsNotSynced => path.starts_with(ORIGINS_DIR),
            _ => false,
        };
        if wrapped { Arc::new(MutantFile { file, disk: self.clone() }) } else { file }
    }
}

impl Disk for MutantDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.create_new(path)?, path))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(path)?, path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let kept = self.mutant == Mutant::OriginsKept
            && path.starts_with(ORIGINS_DIR)
            && path.extension().is_some_and(|extension| extension == "zst");
        if kept { Ok(()) } else { self.disk.remove(path) }
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let skipped = match self.mutant {
            Mutant::NoDirSync => true,
            Mutant::OriginNamesNotSynced => dir == Path::new(ORIGINS_DIR),
            _ => false,
        };
        if skipped { Ok(()) } else { self.disk.sync_dir(dir) }
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }
}

impl MutantFile {
    fn sync(&self, sync: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
        match self.disk.mutant {
            Mutant::NoSync | Mutant::OriginsNotSynced => Ok(()),
            Mutant::SyncErrorIgnored => match sync(&*self.file) {
                Err(_) if !self.disk.disk.is_off() => Ok(()),
                other => other,
            },
            _ => sync(&*self.file),
        }
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
        self.sync(|file| file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync(|file| file.sync_all())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        if self.disk.mutant == Mutant::TailKept { Ok(()) } else { self.file.set_len(bytes) }
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
