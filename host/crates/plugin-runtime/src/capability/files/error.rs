//! What can go wrong with a file, as the plugin gets to hear it.

use std::io;

use rustix::io::Errno;

use crate::capability::failure;
use crate::wit::v1::weir::plugin::types::{Failure, Verdict};

/// An operation that failed. The plugin goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The grant does not show the path, whether there is something or not.
    #[error("grant {grant} does not show this path")]
    NotShown { grant: String },
    /// A link that leads out of the grant's directories.
    #[error("it is a link out of the directories of grant {grant}; include the directory that it leads to")]
    Outside { grant: String },
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// More handles than an instance may hold.
    #[error("too many handles are open")]
    TooMany,
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> FileError {
        FileError::Io(errno.into())
    }
}

impl FileError {
    /// As a failure, `what` and `path` telling what was tried.
    pub(super) fn into_failure(self, what: &str, path: &str) -> Failure {
        let code = match &self {
            FileError::NotShown { .. } => "files.not-found",
            FileError::Outside { .. } => "files.denied",
            FileError::NotRegular => "files.not-regular",
            FileError::TooMany => "files.too-many",
            FileError::Io(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "files.not-found",
                io::ErrorKind::PermissionDenied => "files.denied",
                _ => match error.raw_os_error() {
                    // The process has too many, which is the same to the plugin.
                    Some(code)
                        if code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error() =>
                    {
                        "files.too-many"
                    }
                    _ => "files.io",
                },
            },
        };
        failure(Verdict::Retry, code, format!("cannot {what} {path}: {self}"))
    }

    /// Whether there is simply nothing that the plugin may see.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            FileError::NotShown { .. } | FileError::Outside { .. } | FileError::NotRegular => true,
            FileError::TooMany => false,
            FileError::Io(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }
}
