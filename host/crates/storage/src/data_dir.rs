//! The directory of one node: locked while it runs, with its id and its folders.
//!
//! ```text
//! LOCK         held with flock(2) while a process uses the directory; its content is the process id
//! node-id      16 hex digits and a newline, drawn at the first start
//! log/         the ingest log
//! store/       the segments of a store
//! origins/     sealed pieces of the log that stores have not yet taken
//! forward/     the journal of a forwarder: an ingest log and a quarantine of its own
//! keys         answers to requests with an `Idempotency-Key`
//! quarantine/  what did not belong where it was found
//! plugins/     compiled plugins, a cache
//! known-origins
//!              what a query node knows of the others; `docs/FORMATS.md` has its bytes
//! known-members
//!              who belongs to the cluster, as gossip had it; `docs/FORMATS.md` has its bytes
//! snapshots/   snapshots that were made of it while it ran; `docs/OPERATIONS.md` has what to do with them
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::disk::real::RealDisk;
use crate::disk::{Disk, is_full};
use crate::quarantine::{QUARANTINE_DIR, Quarantined, move_aside};

const LOCK: &str = "LOCK";
const NODE_ID: &str = "node-id";
const NODE_ID_NEW: &str = "node-id.new";
/// There while a snapshot is restored into the directory.
pub(crate) const RESTORING: &str = "restoring";
const PROBE: &str = ".write-probe";
const PLUGINS_DIR: &str = "plugins";
const SNAPSHOTS_DIR: &str = "snapshots";

/// A data directory in use by this process. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    node: u64,
    quarantined: Vec<Quarantined>,
    _lock: File,
}

/// A directory that cannot be used. Nothing of its content was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process holds the lock.
    #[error(
        "data directory {} is used by {owner}; stop it or choose another --data-dir", path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, as far as the lock file tells.
        owner: String,
    },
    /// A snapshot was being restored into it, and that was not finished.
    #[error(
        "data directory {} is half restored from a snapshot; remove it and restore again", .0.display()
    )]
    HalfRestored(PathBuf),
    /// It cannot be made, read or written.
    #[error("data directory {} {what}: {source}; {hint}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What cannot be done, as a phrase.
        what: &'static str,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        hint: &'static str,
    },
}

impl DataDir {
    /// Opens a directory, made if it is not there. `random` becomes the id of a node that has none yet.
    ///
    /// Also raises the limit of open files as far as it may go: each piece of the log holds one.
    pub fn open(path: &Path, random: u64) -> Result<DataDir, DataDirError> {
        let unusable = |what: &'static str| {
            move |source: io::Error| {
                let hint = hint_for(&source);
                DataDirError::Unusable { path: path.to_owned(), what, source, hint }
            }
        };
        std::fs::create_dir_all(path).map_err(unusable("cannot be made"))?;
        if path.join(RESTORING).exists() {
            return Err(DataDirError::HalfRestored(path.to_owned()));
        }
        let lock = lock(path, unusable("cannot be locked"))?;
        prepare(path).map_err(unusable("cannot be written"))?;
        let mut quarantined = Vec::new();
        let node = node_id(path, random, &mut quarantined).map_err(unusable("cannot keep its node id"))?;
        raise_open_files();
        Ok(DataDir { path: path.to_owned(), node, quarantined, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of this node, drawn when the directory was made.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// The disk it is on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }

    /// Where snapshots of it are made.
    pub fn snapshots_dir(&self) -> PathBuf {
        self.path.join(SNAPSHOTS_DIR)
    }

    /// Where compiled plugins are kept.
    pub fn plugins_dir(&self) -> PathBuf {
        self.path.join(PLUGINS_DIR)
    }

    /// What was moved aside on opening.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }
}

fn hint_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "remount it writable or choose another --data-dir",
        io::ErrorKind::PermissionDenied => "give this user write access or choose another --data-dir",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "choose a directory as --data-dir",
        _ if is_full(error) => "free some space or choose another --data-dir",
        _ => "see to it or choose another --data-dir",
    }
}

fn lock(path: &Path, unusable: impl Fn(io::Error) -> DataDirError) -> Result<File, DataDirError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o640);
    let mut file = options.open(path.join(LOCK)).map_err(&unusable)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // The content is a courtesy; the lock itself is what counts.
            let _ = file.take(20).read_to_string(&mut text);
            let owner = match text.trim().parse::<u32>() {
                Ok(pid) => format!("process {pid}"),
                Err(_) => "another process".to_owned(),
            };
            return Err(DataDirError::Locked { path: path.to_owned(), owner });
        }
        Err(error) => return Err(unusable(error.into())),
    }
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    match written {
        // A full disk must not keep a node from answering queries: the process id is a courtesy.
        Err(error) if is_full(&error) => Ok(file),
        Err(error) => Err(unusable(error)),
        Ok(()) => Ok(file),
    }
}

fn prepare(path: &Path) -> io::Result<()> {
    let disk = RealDisk;
    for name in [QUARANTINE_DIR, PLUGINS_DIR] {
        disk.create_dir(&path.join(name))?;
    }
    let probe = path.join(PROBE);
    match disk.create_new(&probe) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => disk.remove(&probe)?,
    }
    disk.sync_dir(path)?;
    // The directory itself may be new.
    match path.canonicalize()?.parent() {
        Some(parent) => match disk.sync_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        },
        None => Ok(()),
    }
}

fn node_id(path: &Path, random: u64, quarantined: &mut Vec<Quarantined>) -> io::Result<u64> {
    let disk = RealDisk;
    let file = path.join(NODE_ID);
    match std::fs::read(&file) {
        Ok(bytes) => match parse_node_id(&bytes) {
            Some(node) => return Ok(node),
            None => quarantined.push(move_aside(
                &disk,
                &file,
                &path.join(QUARANTINE_DIR),
                "not a node id of 16 hex digits; a new one was drawn".to_owned(),
            )?),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let new = path.join(NODE_ID_NEW);
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let handle = disk.create_new(&new)?;
    handle.write_at(format!("{random:016x}\n").as_bytes(), 0)?;
    handle.sync_all()?;
    disk.rename(&new, &file)?;
    disk.sync_dir(path)?;
    Ok(random)
}

/// Writes a small file anew: what is read afterwards, even after a power cut, is the old content or the new.
pub fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let disk = RealDisk;
    let new = dir.join(format!("{name}.new"));
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let handle = disk.create_new(&new)?;
    handle.write_at(bytes, 0)?;
    handle.sync_all()?;
    disk.rename(&new, &dir.join(name))?;
    disk.sync_dir(dir)
}

fn parse_node_id(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let hex = text.len() == 16 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if hex { u64::from_str_radix(text, 16).ok() } else { None }
}

fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_drawn_once_and_the_directory_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::open(&path, 0xabc).unwrap();
        let error = DataDir::open(&path, 1).unwrap_err().to_string();
        let pid = std::process::id();
        let expected = format!(
            "data directory {} is used by process {pid}; stop it or choose another --data-dir",
            path.display()
        );
        assert_eq!(error, expected);
        drop(first);
        let again = DataDir::open(&path, 2).unwrap();
        assert_eq!(again.node(), 0xabc);
        assert!(again.plugins_dir().is_dir() && again.quarantined().is_empty());
    }

    #[test]
    fn a_spoilt_id_is_moved_aside_and_a_new_one_drawn() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), 1).unwrap());
        std::fs::write(dir.path().join(NODE_ID), "nonsense").unwrap();
        let opened = DataDir::open(dir.path(), 2).unwrap();
        assert_eq!(opened.node(), 2);
        assert_eq!(opened.quarantined().len(), 1);
        assert_eq!(std::fs::read(dir.path().join("quarantine/node-id")).unwrap(), b"nonsense");
    }

    #[test]
    fn what_is_not_a_directory_is_named_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = DataDir::open(&path, 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("data directory {} cannot be made: ", path.display())), "{error}");
        assert!(error.ends_with("choose a directory as --data-dir") && !error.contains('\n'), "{error}");
    }
}
