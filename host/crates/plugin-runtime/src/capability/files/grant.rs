//! A grant of files: which paths a plugin sees, and the way from a path to a file that cannot leave the
//! grant's directories.
//!
//! The directories of a grant are what stands before the first wildcard of its patterns. They are the
//! operator's word and may themselves be reached over links; below them a link is followed only if it
//! ends below one of them again. Opening walks the real path name by name without following links, so
//! that a link swapped in between check and use leads to an error, never outside.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use weir_record::limits::FILES_SCAN_DEPTH_MAX;

use super::error::FileError;
use crate::grants::FilesGrant;

/// What makes a part of a pattern a wildcard.
const WILD: [char; 5] = ['*', '?', '[', '{', '\\'];

/// A directory of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// How many directories deep a match can lie, the root's own entries being 1.
    pub(super) depth_max: usize,
}

/// A compiled grant.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(super) name: String,
    pub(super) roots: Vec<Root>,
    include: GlobSet,
    exclude_paths: GlobSet,
    exclude_names: GlobSet,
}

/// A file by the directory it is in, opened, and its name there.
pub(super) struct Place {
    pub(super) dir: OwnedFd,
    pub(super) name: OsString,
}

impl Grant {
    /// Compiles the patterns. Relative ones start at `base`.
    pub(super) fn new(name: &str, grant: &FilesGrant, base: &Path) -> Result<Grant, String> {
        let told = |pattern: &str, why: &dyn std::fmt::Display| {
            format!("grants.files.{name}: pattern {pattern:?}: {why}")
        };
        if grant.include.is_empty() {
            return Err(format!("grants.files.{name}: include is empty, so nothing would be read"));
        }
        let mut include = GlobSetBuilder::new();
        let mut roots: Vec<Root> = Vec::new();
        for pattern in &grant.include {
            let full = absolute(pattern, base).map_err(|why| told(pattern, &why))?;
            include.add(glob(&full).map_err(|error| told(pattern, error.kind()))?);
            merge(&mut roots, root_of(&full));
        }
        let mut exclude_paths = GlobSetBuilder::new();
        let mut exclude_names = GlobSetBuilder::new();
        for pattern in &grant.exclude {
            if pattern.contains('/') {
                let full = absolute(pattern, base).map_err(|why| told(pattern, &why))?;
                exclude_paths.add(glob(&full).map_err(|error| told(pattern, error.kind()))?);
            } else {
                exclude_names.add(glob(pattern).map_err(|error| told(pattern, error.kind()))?);
            }
        }
        let build =
            |set: &GlobSetBuilder| set.build().map_err(|error| format!("grants.files.{name}: {error}"));
        Ok(Grant {
            name: name.to_owned(),
            roots,
            include: build(&include)?,
            exclude_paths: build(&exclude_paths)?,
            exclude_names: build(&exclude_names)?,
        })
    }

    /// Whether the patterns show the path.
    pub(super) fn shows(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.hides(path)
    }

    /// Whether the path is excluded; of a directory: with all below it.
    pub(super) fn hides(&self, path: &Path) -> bool {
        self.exclude_paths.is_match(path)
            || path.file_name().is_some_and(|name| self.exclude_names.is_match(Path::new(name)))
    }

    /// The real path, if it lies below one of the grant's directories: that directory and the rest.
    pub(super) fn beneath(&self, real: &Path) -> Option<(PathBuf, PathBuf)> {
        self.roots.iter().find_map(|root| {
            let root = fs::canonicalize(&root.path).ok()?;
            let rest = real.strip_prefix(&root).ok()?.to_owned();
            Some((root, rest))
        })
    }

    /// The place of a path that the plugin named.
    pub(super) fn place(&self, path: &str) -> Result<Place, FileError> {
        let shown = Path::new(path);
        let plain = shown.is_absolute()
            && shown.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain || !self.shows(shown) {
            return Err(FileError::NotShown { grant: self.name.clone() });
        }
        let real = fs::canonicalize(shown)?;
        let (root, rest) =
            self.beneath(&real).ok_or_else(|| FileError::Outside { grant: self.name.clone() })?;
        if self.hides(&real) {
            return Err(FileError::NotShown { grant: self.name.clone() });
        }
        walk(&root, &rest)
    }
}

fn walk(root: &Path, rest: &Path) -> Result<Place, FileError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    let mut names = rest.iter();
    let Some(mut name) = names.next() else { return Err(FileError::NotRegular) };
    for next in names {
        dir = rustix::fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        name = next;
    }
    Ok(Place { dir, name: name.to_owned() })
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

/// The pattern from the root on, without `.` in it.
fn absolute(pattern: &str, base: &Path) -> Result<String, &'static str> {
    let mut full = if pattern.starts_with('/') {
        String::new()
    } else {
        base.to_str()
            .ok_or("the working directory is not UTF-8; write the whole path")?
            .trim_end_matches('/')
            .to_owned()
    };
    if pattern.is_empty() {
        return Err("it is empty");
    }
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("write the path without `..`"),
            part => {
                full.push('/');
                full.push_str(part);
            }
        }
    }
    if full.is_empty() { Err("it names no file") } else { Ok(full) }
}

/// The directory before the first wildcard; of a pattern without one, the directory of the file.
fn root_of(full: &str) -> Root {
    let parts: Vec<&str> = full.split('/').skip(1).collect();
    let wild = parts.iter().position(|part| part.contains(WILD)).unwrap_or(parts.len());
    let fixed = wild.min(parts.len() - 1);
    let rest = &parts[fixed..];
    // Braces may hold slashes, so that parts do not count.
    let unbounded = rest.iter().any(|part| part.contains("**") || part.contains('{'));
    Root {
        path: PathBuf::from(format!("/{}", parts[..fixed].join("/"))),
        depth_max: if unbounded { FILES_SCAN_DEPTH_MAX } else { rest.len() },
    }
}

fn merge(roots: &mut Vec<Root>, root: Root) {
    match roots.iter_mut().find(|known| known.path == root.path) {
        Some(known) => known.depth_max = known.depth_max.max(root.depth_max),
        None => roots.push(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(include: &[&str], exclude: &[&str]) -> Result<Grant, String> {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        let grant = FilesGrant { include: owned(include), exclude: owned(exclude) };
        Grant::new("logs", &grant, Path::new("/srv"))
    }

    #[test]
    fn the_directories_are_what_stands_before_the_first_wildcard() {
        let deep = FILES_SCAN_DEPTH_MAX;
        for (pattern, path, depth_max) in [
            ("/var/log/*.log", "/var/log", 1),
            ("/var/log/**/*.log", "/var/log", deep),
            ("/var/*/x/*.log", "/var", 3),
            ("/var/log/syslog", "/var/log", 1),
            ("/*.log", "/", 1),
            ("/a/{b,c/d}/e", "/a", deep),
            ("./demo/*.log", "/srv/demo", 1),
            ("demo//a?c", "/srv/demo", 1),
        ] {
            let roots = grant(&[pattern], &[]).unwrap().roots;
            assert_eq!(roots, [Root { path: path.into(), depth_max }], "{pattern}");
        }
        let merged = grant(&["/a/*", "/a/**/x", "/b/y"], &[]).unwrap().roots;
        let paths: Vec<_> = merged.iter().map(|root| (root.path.to_str().unwrap(), root.depth_max)).collect();
        assert_eq!(paths, [("/a", deep), ("/b", 1)]);
    }

    #[test]
    fn patterns_show_and_hide() {
        let grant = grant(&["/l/**/*.log", "/l/sys*"], &["*.1.log", "/l/private/**", "old"]).unwrap();
        for (path, shown) in [
            ("/l/a.log", true),
            ("/l/x/y/a.log", true),
            ("/l/syslog", true),
            ("/l/x/syslog", false),
            ("/l/a.1.log", false),
            ("/l/private/a.log", false),
            ("/l/a.txt", false),
            ("/m/a.log", false),
        ] {
            assert_eq!(grant.shows(Path::new(path)), shown, "{path}");
        }
        assert!(grant.hides(Path::new("/l/x/old")));
    }

    #[test]
    fn patterns_that_cannot_be_are_told_by_name() {
        for (include, words) in [
            (&[][..], "include is empty"),
            (&[""], "empty"),
            (&["/"], "names no file"),
            (&["/a/../b"], "`..`"),
            (&["/a/[b"], "pattern \"/a/[b\""),
            (&["/a/{b"], "pattern"),
        ] {
            let error = grant(include, &[]).unwrap_err();
            assert!(error.contains("grants.files.logs") && error.contains(words), "{error}");
        }
    }
}
