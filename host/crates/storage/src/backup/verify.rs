//! Whether a snapshot is what it was when it was made.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use weir_record::limits::{SNAPSHOT_MANIFEST_BYTES_MAX, SNAPSHOT_PROBLEMS_TOLD_MAX};

use super::copy::digest;
use super::manifest::{Listed, Manifest, hex};
use super::{BackupError, MANIFEST};
use crate::disk::Disk;
use crate::segment_file::SegmentFile;
use crate::store::prove;

/// What reading every byte has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The node it is of.
    pub node: u64,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// Version of the program that made it.
    pub version: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that were damaged when the snapshot was made, and are as they were.
    pub damaged_before: u64,
    /// What is wrong, the first [`SNAPSHOT_PROBLEMS_TOLD_MAX`] of it. Nothing: it is sound.
    pub problems: Vec<String>,
}

/// Reads every byte of a snapshot. `Err` when it is none.
pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<Verified, BackupError> {
    let manifest = read_manifest(disk, dir)?;
    let Manifest { node, made_ms, version, files } = manifest;
    let mut verified = Verified { node, made_ms, version, ..Verified::default() };
    let mut tell = |problem: String| {
        if verified.problems.len() < SNAPSHOT_PROBLEMS_TOLD_MAX {
            verified.problems.push(problem);
        }
    };
    for file in &files {
        verified.files += 1;
        verified.bytes += file.bytes;
        verified.damaged_before += u64::from(file.is_damaged_segment());
        if let Err(why) = file.check(disk, &dir.join(&file.path)) {
            tell(format!("{}: {why}", file.path));
        }
    }
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut dirs: BTreeSet<&str> = BTreeSet::from([""]);
    dirs.extend(known.iter().filter_map(|path| path.rsplit_once('/').map(|(dir, _)| dir)));
    for below in &dirs {
        for name in disk.list(&dir.join(below)).unwrap_or_default() {
            let name = name.to_string_lossy();
            let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
            let is_dir = dirs.iter().any(|dir| *dir == path || dir.starts_with(&format!("{path}/")));
            if path != MANIFEST && !is_dir && !known.contains(path.as_str()) {
                tell(format!("{path}: not in the manifest"));
            }
        }
    }
    Ok(verified)
}

/// The list of files. `Err` says why there is none.
pub(super) fn read_manifest(disk: &dyn Disk, dir: &Path) -> Result<Manifest, BackupError> {
    let not_one = |why: String| BackupError::NotOne { path: dir.to_owned(), why };
    let file = disk.open(&dir.join(MANIFEST)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_one(format!("it has no file {MANIFEST}")),
        _ => not_one(error.to_string()),
    })?;
    let bytes = file.len().map_err(|error| not_one(error.to_string()))?;
    if bytes > SNAPSHOT_MANIFEST_BYTES_MAX {
        return Err(not_one(format!("its manifest has more than {SNAPSHOT_MANIFEST_BYTES_MAX} bytes")));
    }
    let mut text = vec![0; bytes as usize];
    let read = file.read_at(&mut text, 0).map_err(|error| not_one(error.to_string()))?;
    text.truncate(read);
    let text = String::from_utf8(text).map_err(|_| not_one("its manifest is no text".into()))?;
    Manifest::parse(&text).map_err(not_one)
}

impl Listed {
    pub(super) fn is_damaged_segment(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "damaged")
    }

    fn check(&self, disk: &dyn Disk, path: &Path) -> Result<(), String> {
        let file = disk.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "missing".to_owned(),
            _ => error.to_string(),
        })?;
        let bytes = file.len().map_err(|error| error.to_string())?;
        if bytes != self.bytes {
            return Err(format!("{bytes} bytes, {} when it was made", self.bytes));
        }
        let Some(sha256) = self.sha256 else {
            if self.is_damaged_segment() {
                return Ok(());
            }
            let segment = SegmentFile::of(file, path).map_err(|error| error.to_string())?;
            let name = segment.footer().name().to_string();
            if path.file_name().is_none_or(|is| is != name.as_str()) {
                return Err(format!("it is {name}"));
            }
            return prove(&segment).map_err(|error| error.to_string());
        };
        let is = digest(&*file, bytes).map_err(|error| error.to_string())?;
        if is == sha256 {
            Ok(())
        } else {
            Err(format!("its digest is {}, {} when it was made", hex(&is), hex(&sha256)))
        }
    }
}
