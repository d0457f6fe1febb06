//! What makes a file the same file: device, inode and time of birth.

use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::path::Arg;

use super::error::FileError;
use super::grant::Place;

/// What is known of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    device: (u32, u32),
    inode: u64,
    /// Unix nanoseconds, 0 where the filesystem does not tell. An inode that is used anew has another.
    born_ns: i128,
    pub(super) size: u64,
    pub(super) modified_ns: u64,
}

impl Facts {
    /// The opaque identity, 28 bytes.
    pub(super) fn id(&self) -> Vec<u8> {
        let mut id = Vec::with_capacity(28);
        id.extend_from_slice(&self.device.0.to_be_bytes());
        id.extend_from_slice(&self.device.1.to_be_bytes());
        id.extend_from_slice(&self.inode.to_be_bytes());
        // Twelve bytes hold any time that 64-bit seconds do.
        id.extend_from_slice(&self.born_ns.to_be_bytes()[4..]);
        id
    }

    /// What tells two names of one file.
    pub(super) fn key(&self) -> (u32, u32, u64) {
        (self.device.0, self.device.1, self.inode)
    }
}

/// The facts of a path below a directory, links followed or not.
pub(super) fn of_path(
    dir: impl AsFd,
    path: impl Arg,
    flags: AtFlags,
) -> Result<(FileType, Facts), FileError> {
    let found = rustix::fs::statx(dir, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let kind = FileType::from_raw_mode(found.stx_mode.into());
    Ok((kind, facts(&found)))
}

/// The facts of an open file.
pub(super) fn of_file(file: impl AsFd) -> Result<Facts, FileError> {
    match of_path(file, c"", AtFlags::EMPTY_PATH)? {
        (FileType::RegularFile, facts) => Ok(facts),
        _ => Err(FileError::NotRegular),
    }
}

/// The facts of what is at a place.
pub(super) fn at(place: &Place) -> Result<Facts, FileError> {
    match of_path(&place.dir, place.name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)? {
        (FileType::RegularFile, facts) => Ok(facts),
        _ => Err(FileError::NotRegular),
    }
}

/// Opens what is at a place. Looks first, since opening a device may already do something; looks again,
/// since it may have changed; and never waits for the other end of a pipe.
pub(super) fn open(place: &Place) -> Result<OwnedFd, FileError> {
    at(place)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&place.dir, place.name.as_os_str(), flags, Mode::empty())?;
    of_file(&file)?;
    Ok(file)
}

/// Bytes from an offset, fewer than `max` only at the end of the file.
pub(super) fn read_at(file: impl AsFd, offset: u64, max: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::with_capacity(max);
    while bytes.len() < max {
        let room = max - bytes.len();
        let at = offset.saturating_add(bytes.len() as u64);
        bytes.reserve_exact(room);
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            // Past what a file can have: there is nothing, as behind any other end.
            Err(rustix::io::Errno::INVAL) if i64::try_from(at).is_err() => break,
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(max);
    Ok(bytes)
}

fn facts(found: &Statx) -> Facts {
    let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let ns = |seconds: i64, nanos: u32| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let modified = ns(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec);
    Facts {
        device: (found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        born_ns: if has_birth { ns(found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { 0 },
        size: found.stx_size,
        modified_ns: u64::try_from(modified).unwrap_or(0),
    }
}
