//! Writing a snapshot down.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::copy::{copy, digest, wants_copy};
use super::cut::{Cut, Item, Kind};
use super::manifest::{Listed, Manifest};
use super::{BackupError, MANIFEST, PARTIAL, failed};
use crate::disk::Disk;

/// Whose snapshot it becomes, and where.
#[derive(Debug, Clone)]
pub struct Making<'a> {
    /// The folder, which must not be there.
    pub to: &'a Path,
    /// The node.
    pub node: u64,
    /// Unix milliseconds.
    pub made_ms: u64,
    /// Version of the program.
    pub version: &'a str,
}

/// What a snapshot has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Files that are links: they take no room until the original goes.
    pub linked: u64,
    /// Their bytes.
    pub linked_bytes: u64,
    /// Files that are copies.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that could have been links, were there such on this file system.
    pub not_linked: u64,
}

impl Making<'_> {
    /// Writes the files of a cut down. Blocks. What was made of a snapshot that fails is removed.
    pub fn write(&self, disk: &dyn Disk, cut: &Cut) -> Result<Made, BackupError> {
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let partial = self.partial();
        for taken in [self.to, &partial] {
            match disk.list(taken) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() != io::ErrorKind::NotADirectory => {
                    return Err(failed("cannot look into", taken)(error));
                }
                _ => return Err(BackupError::Exists(taken.to_owned())),
            }
        }
        disk.create_dir(&partial).map_err(failed("cannot make", &partial))?;
        let written = self.fill(disk, &partial, cut).and_then(|made| {
            disk.rename(&partial, self.to).map_err(failed("cannot name", self.to))?;
            disk.sync_dir(parent).map_err(failed("cannot sync", parent))?;
            Ok(made)
        });
        if written.is_err() {
            // It has no name that anybody would take for a snapshot's; what remains of it is only room.
            let _ = std::fs::remove_dir_all(&partial);
        }
        written
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.to.file_name().unwrap_or_default().to_owned();
        name.push(PARTIAL);
        self.to.with_file_name(name)
    }

    fn fill(&self, disk: &dyn Disk, partial: &Path, cut: &Cut) -> Result<Made, BackupError> {
        let mut made = Made::default();
        let mut files = Vec::with_capacity(cut.items.len());
        let mut dirs: BTreeSet<PathBuf> = BTreeSet::from([partial.to_owned()]);
        for item in &cut.items {
            let to = partial.join(&item.path);
            for dir in
                to.ancestors().skip(1).take_while(|dir| *dir != partial).collect::<Vec<_>>().into_iter().rev()
            {
                if dirs.insert(dir.to_owned()) {
                    disk.create_dir(dir).map_err(failed("cannot make", dir))?;
                }
            }
            files.push(item.write(disk, &to, &mut made)?);
        }
        // From below: a folder is durable with the sync of the one above it.
        for dir in dirs.iter().rev() {
            disk.sync_dir(dir).map_err(failed("cannot sync", dir))?;
        }
        files.sort();
        let (node, made_ms, version) = (self.node, self.made_ms, self.version.to_owned());
        let text = Manifest { node, made_ms, version, files }.encode();
        let path = partial.join(MANIFEST);
        let written = disk.create_new(&path).and_then(|file| {
            file.write_at(text.as_bytes(), 0)?;
            file.sync_all()
        });
        written.map_err(failed("cannot write", &path))?;
        disk.sync_dir(partial).map_err(failed("cannot sync", partial))?;
        Ok(made)
    }
}

impl Item {
    fn write(&self, disk: &dyn Disk, to: &Path, made: &mut Made) -> Result<Listed, BackupError> {
        let of = |what| failed(what, &self.from);
        let open = || match &self.file {
            Some(file) => Ok(file.clone()),
            None => disk.open(&self.from).map_err(of("cannot open")),
        };
        let mut linked = false;
        if self.kind != Kind::Changing {
            match disk.link(&self.from, to) {
                Ok(()) => linked = true,
                Err(error) if wants_copy(&error) => {
                    made.not_linked += u64::from(error.kind() != io::ErrorKind::NotFound);
                }
                Err(error) => return Err(failed("cannot link to", &self.from)(error)),
            }
        }
        let file = open()?;
        let bytes = match self.bytes {
            Some(bytes) => bytes,
            None => file.len().map_err(of("cannot read"))?,
        };
        let sha256 = match (self.kind, linked) {
            (Kind::Segment, true) => None,
            (_, true) => Some(digest(&*file, bytes).map_err(of("cannot read"))?),
            (kind, false) => {
                let digest = copy(disk, &*file, bytes, to).map_err(of("cannot copy"))?;
                (kind != Kind::Segment).then_some(digest)
            }
        };
        let (count, sum) = if linked {
            (&mut made.linked, &mut made.linked_bytes)
        } else {
            (&mut made.copied, &mut made.copied_bytes)
        };
        *count += 1;
        *sum += bytes;
        Ok(Listed { path: self.path.clone(), bytes, sha256 })
    }
}
