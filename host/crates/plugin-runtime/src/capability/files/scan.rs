//! All files that a grant shows, found by walking its directories.
//!
//! The walk looks at names through paths, so somebody who swaps directories for links while it runs can
//! make it list names elsewhere; opening is what is strict.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType};
use weir_record::limits::{FILES_SCAN_ENTRIES_MAX, FILES_SCAN_FILES_MAX};

use super::error::FileError;
use super::grant::Grant;
use super::identity::{self, Facts};

/// A file that the grant shows.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) facts: Facts,
}

/// What a scan came to.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Sorted by path, each file once.
    pub(super) files: Vec<Found>,
    /// What could not be looked at.
    pub(super) troubles: Troubles,
}

/// What a scan left out. Equal troubles need not be told twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Troubles {
    unseen: usize,
    first: Option<String>,
    too_many_files: usize,
    too_many_entries: bool,
}

impl Troubles {
    fn add(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.unseen += 1;
        if self.first.is_none() {
            self.first = Some(format!("{}: {why}", path.display()));
        }
    }

    /// Lines for the operator, none when all is well.
    pub(super) fn lines(&self, grant: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(first) = &self.first {
            lines.push(format!(
                "grant {grant}: {} entries could not be looked at, the first {first}",
                self.unseen
            ));
        }
        if self.too_many_files > 0 {
            lines.push(format!(
                "grant {grant}: it shows more than {FILES_SCAN_FILES_MAX} files; the {} least recently modified are left out",
                self.too_many_files
            ));
        }
        if self.too_many_entries {
            lines.push(format!(
                "grant {grant}: its directories have more than {FILES_SCAN_ENTRIES_MAX} entries; the rest is left out; narrow its patterns"
            ));
        }
        lines
    }
}

/// Walks the directories of a grant. `visit` gets each directory before it is read, so that a watch on it
/// misses nothing that the walk misses.
pub(super) fn scan(grant: &Grant, visit: &mut dyn FnMut(&Path)) -> Scan {
    let (seen, scan) = (HashSet::new(), Scan::default());
    let mut walk = Walk { grant, visit, seen, links: Vec::new(), entries: 0, scan };
    for root in &grant.roots {
        walk.dir(root.path.clone(), root.depth_max);
    }
    walk.links();
    let mut scan = walk.scan;
    newest(&mut scan);
    scan.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    scan
}

fn newest(scan: &mut Scan) {
    let Some(surplus) = scan.files.len().checked_sub(FILES_SCAN_FILES_MAX).filter(|&it| it > 0) else {
        return;
    };
    scan.files.sort_unstable_by_key(|found| std::cmp::Reverse(found.facts.modified_ns));
    scan.files.truncate(FILES_SCAN_FILES_MAX);
    scan.troubles.too_many_files = surplus;
}

struct Walk<'a> {
    grant: &'a Grant,
    visit: &'a mut dyn FnMut(&Path),
    /// Files and directories met already, by device and inode.
    seen: HashSet<(u32, u32, u64)>,
    /// Links to look at last, so that a file keeps its real name where it has one, and how deep to follow.
    links: Vec<(PathBuf, usize)>,
    entries: usize,
    scan: Scan,
}

impl Walk<'_> {
    /// A directory and all below it, down to a depth.
    fn dir(&mut self, path: PathBuf, depth: usize) {
        let mut stack = vec![(path, depth)];
        while let Some((path, depth)) = stack.pop() {
            match identity::of_path(CWD, path.as_path(), AtFlags::empty()) {
                Ok((FileType::Directory, facts)) if self.seen.insert(facts.key()) => {}
                // Met before, or a file where a directory could be.
                Ok(_) => continue,
                Err(error) => {
                    self.trouble(&path, &error);
                    continue;
                }
            }
            (self.visit)(&path);
            match fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries {
                        self.entries += 1;
                        if self.entries > FILES_SCAN_ENTRIES_MAX {
                            self.scan.troubles.too_many_entries = true;
                            return;
                        }
                        match entry {
                            Ok(entry) => self.entry(&entry, depth, &mut stack),
                            Err(error) => self.trouble(&path, &error.into()),
                        }
                    }
                }
                Err(error) => self.trouble(&path, &error.into()),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, depth: usize, stack: &mut Vec<(PathBuf, usize)>) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { return };
        if kind.is_dir() {
            if depth > 1 && !self.grant.hides(&path) {
                stack.push((path, depth - 1));
            }
        } else if kind.is_symlink() {
            if depth > 1 || self.grant.shows(&path) {
                self.links.push((path, depth));
            }
        } else if kind.is_file() && self.grant.shows(&path) {
            self.file(&path);
        }
    }

    /// Links lead on to further links; each directory is walked once, so this ends.
    fn links(&mut self) {
        while let Some((link, depth)) = self.links.pop() {
            let Ok(real) = fs::canonicalize(&link) else { continue };
            if self.grant.beneath(&real).is_none() {
                // Of no interest unless its name is asked for.
                if self.grant.shows(&link) {
                    let error = FileError::Outside { grant: self.grant.name.clone() };
                    self.trouble(&link, &error);
                }
                continue;
            }
            if self.grant.hides(&link) || self.grant.hides(&real) {
                continue;
            }
            if real.is_dir() {
                if depth > 1 {
                    self.dir(link, depth - 1);
                }
            } else if self.grant.shows(&link) {
                if let Some(dir) = real.parent() {
                    (self.visit)(dir);
                }
                self.file(&link);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let Some(text) = path.to_str() else {
            self.scan.troubles.add(path, &"its name is not UTF-8");
            return;
        };
        match identity::of_path(CWD, path, AtFlags::empty()) {
            Ok((FileType::RegularFile, facts)) => {
                if self.seen.insert(facts.key()) {
                    self.scan.files.push(Found { path: text.to_owned(), facts });
                }
            }
            Ok(_) => {}
            Err(error) => self.trouble(path, &error),
        }
    }

    /// What is gone by now is no trouble, and neither is a directory that is yet to come.
    fn trouble(&mut self, path: &Path, error: &FileError) {
        let gone = matches!(error, FileError::Io(error) if error.kind() == std::io::ErrorKind::NotFound);
        if !gone {
            self.scan.troubles.add(path, error);
        }
    }
}
