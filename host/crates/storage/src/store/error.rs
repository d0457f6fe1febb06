//! Why a store did not do as it was told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::limits::STORE_INCOMING_MAX;
use weir_segment::{Origin, OriginName, RecordDigest, SegmentError, Unit, WriteError};

use crate::segment_file::SegmentFileError;

/// The store could not be opened, merged or expired. What it held before it holds still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What failed, as a phrase.
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A sync has failed: nothing is accepted any more by this process. What was accepted before is safe; what
    /// became of the rest shows at the next start.
    #[error("the store is closed after a failed write: {0}; see to the disk and restart")]
    Poisoned(Arc<str>),
    /// Compaction cannot write a segment with its options: a wrong configuration.
    #[error("compact: {0}")]
    Write(WriteError),
    /// There is no memory for what zstd needs.
    #[error("no memory to decompress")]
    Memory,
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { what, path: path.to_owned(), source }
    }
}

/// An origin that was not accepted. Nothing of it is kept, everything else is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The disk is full, or nearly so. The store accepts again by itself when there is room.
    #[error("the disk is full: free some space or shorten the retention")]
    Full,
    /// The same origin is being taken at this moment: ask again later.
    #[error("origin {0} is being taken already")]
    Busy(String),
    /// Too many origins are being taken at once: ask again later.
    #[error("{STORE_INCOMING_MAX} origins are being taken already")]
    Crowded,
    /// What came is not what was announced, or is no sound segment. Asking the same peer again helps only if
    /// the transfer was at fault.
    #[error("origin {origin}: {source}")]
    Wrong {
        /// The whole name of the origin.
        origin: String,
        /// What is wrong.
        source: Box<Wrong>,
    },
    /// The disk failed, or the store is closed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with an origin that came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Bytes are missing, or there are too many.
    #[error("{got} bytes came, {expected} were announced")]
    Bytes {
        /// What came, counted up to the first write too many.
        got: u64,
        /// What was announced.
        expected: u64,
    },
    /// It is no sound segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// It belongs to another unit.
    #[error("its records belong to unit {0}")]
    Unit(Box<Unit>),
    /// It holds other origins, or more than one.
    #[error("it holds {origins} origins, the first is {first}")]
    Lineage {
        /// How many.
        origins: usize,
        /// The first of them.
        first: OriginName,
    },
    /// Flags, count or digest are others than announced.
    #[error("it holds {got:?}, announced was {expected:?}")]
    Origin {
        /// What it holds.
        got: Origin,
        /// What was announced.
        expected: Origin,
    },
    /// An origin of the same name and with other records is held already: one of both is a forgery, or a
    /// node has used an epoch twice.
    #[error("held already with digest {held}, announced with {offered}; see which node sealed it twice")]
    Conflict {
        /// Of the one that is held.
        held: RecordDigest,
        /// Of the one that was announced.
        offered: RecordDigest,
    },
}

/// An origin that cannot be cut out. Does not affect state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// The store does not hold it, or it was damaged.
    #[error("origin {0} is not held")]
    NotHeld(String),
    /// There is no room for the copy.
    #[error("the disk is full: free some space or shorten the retention")]
    Full,
    /// Its segment is damaged: [`Store::check`](super::Store::check) finds out what of it is left.
    #[error(transparent)]
    Segment(#[from] SegmentFileError),
    /// The copy cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
