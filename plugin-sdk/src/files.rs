//! Read-only regular files below the directories of a grant. Needs the capability `files` under the name
//! that the calls are given.
//!
//! Failures: `files.not-granted` (bad config); `files.not-found`, `files.denied`, `files.not-regular`,
//! `files.too-many` (handles), `files.io`, all to be tried again. [`is_gone`] tells the first of these.

use crate::failure::Failure;
use crate::sys;

/// Which file it is, and how it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Opaque, 1 to 32 bytes: the same over rename, append and restart, another one for another file, as
    /// far as the filesystem can tell. Where it cannot (an inode used again, no time of birth), compare
    /// contents.
    pub id: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Last modification, Unix nanoseconds.
    pub modified_unix_ns: u64,
}

/// A file that a grant shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute path.
    pub path: String,
    /// The file there.
    pub identity: Identity,
}

/// The files that match the patterns of the grant now, sorted by path, each once. At most 16,384.
///
/// # Errors
/// See the module.
pub fn scan(grant: &str) -> Result<Vec<Entry>, Failure> {
    sys::scan(grant)
}

/// Waits until something may have changed below the grant since this last said so, or `wait_ms` passed.
/// A hint: it has false alarms, and some filesystems never report anything, so scan now and then.
///
/// # Errors
/// See the module.
pub fn changed(grant: &str, wait_ms: u32) -> Result<bool, Failure> {
    sys::changed(grant, wait_ms)
}

/// Whether this is the failure of a file that is not there (any more).
pub fn is_gone(failure: &Failure) -> bool {
    failure.code == "files.not-found"
}

/// An open file. One of at most 1,024 handles of an instance; closed when dropped.
#[derive(Debug)]
pub struct File(sys::File);

impl File {
    /// Opens what the path names now; it may be another file than the scan saw.
    ///
    /// # Errors
    /// See the module.
    pub fn open(grant: &str, path: &str) -> Result<File, Failure> {
        sys::File::open(grant, path).map(File)
    }

    /// The open file, not the path: survives rename and unlink.
    ///
    /// # Errors
    /// See the module.
    pub fn stat(&self) -> Result<Identity, Failure> {
        self.0.stat()
    }

    /// What the path it was opened by names now: another id means rotated, `None` that there is nothing.
    ///
    /// # Errors
    /// See the module.
    pub fn stat_path(&self) -> Result<Option<Identity>, Failure> {
        self.0.stat_path()
    }

    /// Bytes from `offset`, at most `bytes_max` and at most 4 MiB. Fewer, down to none, only at what is
    /// the end of the file now.
    ///
    /// # Errors
    /// See the module.
    pub fn read_at(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        self.0.read_at(offset, u32::try_from(bytes_max).unwrap_or(u32::MAX))
    }
}
