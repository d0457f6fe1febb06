//! The only way to the file system: what the log needs of a disk, and no more.
//!
//! Two implementations: [`real`] and [`sim`]. The rules are those of a POSIX disk that may lose power:
//! a write is lost until its file was synced, a new, renamed or removed name is lost until its
//! directory was synced, and a failed sync is final for what it covered.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub mod real;
pub mod sim;

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system, in bytes, without what is kept for the superuser.
    pub total_bytes: u64,
    /// What this process may still write, in bytes.
    pub free_bytes: u64,
}

impl Space {
    /// Used share in percent, rounded up; an empty file system counts as full.
    pub fn used_percent(self) -> u64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        (used.saturating_mul(100))
            .div_ceil(self.total_bytes.max(1))
            .max(u64::from(self.total_bytes == 0) * 100)
    }
}

/// A file system. Paths are absolute or relative to where the process stands.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Names in a directory, sorted, without `.` and `..`.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a directory. One that exists is fine. Lost in a power cut until the parent is synced.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a file that must not exist. Its name is lost in a power cut until the directory is synced.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames, replacing what has the new name. Atomic; durable once either directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free. Lost in a power cut until its directory is synced. File systems
    /// without links, and simulated ones, refuse.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file. Open handles go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room on the file system of a path.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Handles are shared: reads and writes name their offset.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes at an offset; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at an offset. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the content and the length durable (`fdatasync`). After an error nothing since the last
    /// sync may be relied upon, and asking again proves nothing.
    fn sync_data(&self) -> io::Result<()>;
    /// Like [`DiskFile::sync_data`], with all metadata (`fsync`).
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts or grows the file; grown bytes are zero.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Whether an error says that the disk or the quota is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_used_share_is_rounded_up_and_never_divides_by_zero() {
        for (total, free, percent) in
            [(100, 100, 0), (1000, 499, 51), (100, 0, 100), (0, 0, 100), (10, 20, 0)]
        {
            assert_eq!(
                Space { total_bytes: total, free_bytes: free }.used_percent(),
                percent,
                "{total}/{free}"
            );
        }
    }
}
