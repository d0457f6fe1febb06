//! Files that do not belong where they are found: moved aside and named, never deleted.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// The folder in the data directory.
pub const QUARANTINE_DIR: &str = "quarantine";

/// A file that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is now.
    pub to: PathBuf,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was moved to {}: {}", self.from.display(), self.to.display(), self.reason)
    }
}

/// Moves `from` into `quarantine`, under its own name or, if that is taken, with a number behind it.
/// The name is durable when this returns.
pub(crate) fn move_aside(
    disk: &dyn Disk,
    from: &Path,
    quarantine: &Path,
    reason: String,
) -> io::Result<Quarantined> {
    let name = from.file_name().unwrap_or(OsStr::new("unnamed"));
    let taken = disk.list(quarantine)?;
    let mut free: OsString = name.to_owned();
    let mut number = 0_u64;
    while taken.binary_search(&free).is_ok() {
        number += 1;
        name.clone_into(&mut free);
        free.push(format!(".{number}"));
    }
    let to = quarantine.join(free);
    disk.rename(from, &to)?;
    disk.sync_dir(quarantine)?;
    if let Some(dir) = from.parent() {
        disk.sync_dir(dir)?;
    }
    let moved = Quarantined { from: from.to_owned(), to, reason };
    tracing::warn!("{moved}");
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn names_that_are_taken_get_a_number() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("quarantine")).unwrap();
        let mut names = Vec::new();
        for _ in 0..3 {
            disk.create_new(Path::new("x")).unwrap();
            let moved = move_aside(&disk, Path::new("x"), Path::new("quarantine"), "test".into()).unwrap();
            names.push(moved.to.display().to_string());
        }
        assert_eq!(names, ["quarantine/x", "quarantine/x.1", "quarantine/x.2"]);
        assert_eq!(disk.list(Path::new("")).unwrap(), ["quarantine"]);
    }
}
