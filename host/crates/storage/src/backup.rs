//! Snapshots of a data directory: made beside a running node or of a stopped one, verified, restored.
//!
//! ```text
//! MANIFEST      every file with its length and digest; written last
//! node-id       the node that it is of, and whatever else lies at the top of its data directory
//! log/          pieces of the ingest log, the one that was being written up to what was durable
//! origins/      sealed origins that no store had taken
//! store/        segments
//! forward/log/  the journal of a forwarder
//! ```
//!
//! Segments, origins and complete pieces never change, so they are hard links, or copies where the file system gives
//! none. The durable order: all of it is made in `<name>.partial`, every copy and every folder synced, then the
//! manifest, then the folder gets its name. A folder without that name is none.
//!
//! What makes the cut consistent: records move from log to backlog to store, and nowhere else. The store is looked at
//! between two looks at log and backlog, and what the first look saw must still be there at the second, so nothing
//! slipped past. What lies in log and backlog at once is what a crash leaves as well, and the next start sorts it out.

use std::io;
use std::path::{Path, PathBuf};

use weir_record::limits::SNAPSHOT_NAME_BYTES_MAX;

use crate::data_dir::DataDirError;

mod copy;
mod cut;
mod make;
mod manifest;
mod restore;
mod verify;

pub use cut::{Live, take_live, take_stopped};
pub use make::{Made, Making};
pub use restore::{Restored, restore};
pub use verify::{Verified, verify};

/// The list of what a snapshot has.
const MANIFEST: &str = "MANIFEST";
/// What a folder is called while it is filled.
const PARTIAL: &str = ".partial";

/// Why there is no snapshot, or nothing was restored from it. The data directory is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file or folder cannot be read, made or written. What was made is removed again.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What failed, as a phrase.
        what: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The place is taken.
    #[error("{} is there already; choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    /// The name does not do.
    #[error(
        "{0:?} cannot name a snapshot; take at most {SNAPSHOT_NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
    )]
    Name(String),
    /// Records moved from the log to the store all the time.
    #[error("no moment without records on their way to the store was found; try again")]
    Busy,
    /// It is no snapshot, or none that can be read.
    #[error("{} is not a complete snapshot: {why}", path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It is damaged: nothing is restored from it.
    #[error("snapshot {} is damaged: {first}; `weir snapshot verify` lists all of it", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// The first problem.
        first: String,
    },
    /// The folder to restore into has something in it.
    #[error("{} is not empty; restore into a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The folder is no data directory.
    #[error("{} is not a data directory: it has no file node-id; name it with --data-dir", .0.display())]
    NoDataDir(PathBuf),
    /// A stopped node's directory cannot be used: it is not stopped, above all.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { what, path: path.to_owned(), source }
}

/// Whether a snapshot may be called so: it becomes a folder, and nothing above or beside it.
pub fn is_name(name: &str) -> bool {
    let fits = (1..=SNAPSHOT_NAME_BYTES_MAX).contains(&name.len()) && !name.ends_with(PARTIAL);
    let known = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    fits && name.bytes().all(known) && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests;
