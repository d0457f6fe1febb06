//! A data directory made from a snapshot.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::copy::{copy, wants_copy};
use super::verify::verify;
use super::{BackupError, failed};
use crate::data_dir::RESTORING;
use crate::disk::Disk;

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The node, whose id the directory now has.
    pub node: u64,
    /// When the snapshot was made, in Unix milliseconds.
    pub made_ms: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are links into the snapshot.
    pub linked: u64,
}

/// Verifies a snapshot and makes a data directory of it, which must be new or empty. Blocks.
///
/// While it is made the directory has a file [`RESTORING`], with which no node starts: what a crash leaves of it is
/// not taken for the whole. Segments are links into the snapshot where the file system gives some; neither changes the
/// other.
pub fn restore(disk: &dyn Disk, snapshot: &Path, data_dir: &Path) -> Result<Restored, BackupError> {
    let verified = verify(disk, snapshot)?;
    if let Some(first) = verified.problems.first() {
        return Err(BackupError::Damaged { path: snapshot.to_owned(), first: first.clone() });
    }
    let manifest = super::verify::read_manifest(disk, snapshot)?;
    let is_empty = match disk.list(data_dir) {
        Ok(names) => names.iter().all(|name| name == "lost+found"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(data_dir).map_err(failed("cannot make", data_dir))?;
            true
        }
        Err(error) => return Err(failed("cannot look into", data_dir)(error)),
    };
    if !is_empty {
        return Err(BackupError::NotEmpty(data_dir.to_owned()));
    }
    let marker = data_dir.join(RESTORING);
    let marked = disk.create_new(&marker).and_then(|file| file.sync_all());
    marked.map_err(failed("cannot make", &marker))?;
    disk.sync_dir(data_dir).map_err(failed("cannot sync", data_dir))?;

    let mut dirs: BTreeSet<PathBuf> = BTreeSet::from([data_dir.to_owned()]);
    let mut linked = 0;
    for listed in &manifest.files {
        let (from, to) = (snapshot.join(&listed.path), data_dir.join(&listed.path));
        let above: Vec<&Path> = to.ancestors().skip(1).take_while(|dir| *dir != data_dir).collect();
        for dir in above.into_iter().rev() {
            if dirs.insert(dir.to_owned()) {
                disk.create_dir(dir).map_err(failed("cannot make", dir))?;
            }
        }
        // What the node writes on is never shared with the snapshot.
        if listed.sha256.is_none() {
            match disk.link(&from, &to) {
                Ok(()) => {
                    linked += 1;
                    continue;
                }
                Err(error) if wants_copy(&error) => {}
                Err(error) => return Err(failed("cannot link to", &from)(error)),
            }
        }
        let file = disk.open(&from).map_err(failed("cannot open", &from))?;
        copy(disk, &*file, listed.bytes, &to).map_err(failed("cannot write", &to))?;
    }
    for dir in dirs.iter().rev() {
        disk.sync_dir(dir).map_err(failed("cannot sync", dir))?;
    }
    disk.remove(&marker).map_err(failed("cannot remove", &marker))?;
    disk.sync_dir(data_dir).map_err(failed("cannot sync", data_dir))?;
    let (files, bytes) = (verified.files, verified.bytes);
    Ok(Restored { node: verified.node, made_ms: verified.made_ms, files, bytes, linked })
}
