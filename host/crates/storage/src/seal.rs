//! Sealing: a complete piece of the ingest log becomes origins, segments of one unit each.
//!
//! The durable order, for which the power-cut simulation stands: every origin is written under a name that
//! ends in `.tmp` and synced, then all are renamed, then their folder is synced. Only after that is any of
//! them shown, and only after that may the piece leave the log. A piece that is sealed again, for a crash
//! came before it left, has origins with the same records and the same digests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_segment::{OriginFlags, OriginName, WriteError, WriterOptions};

use crate::disk::Disk;
use crate::ingest_log::reader::{Identity, Piece};
use crate::poison::Poison;
use crate::segment_file::SegmentFile;

mod load;
mod order;
mod rules;
mod stretch;
mod write;

use load::Loaded;
pub use rules::{Moment, UnitRules};
use stretch::{Kind, Stretches};
use write::Unfinished;

/// The folder of sealed origins in the data directory.
pub const ORIGINS_DIR: &str = "origins";

/// What the name of an origin ends in while it is written.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Where origins are written.
#[derive(Debug, Clone)]
pub struct OriginsDir {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) poison: Poison,
}

impl OriginsDir {
    /// The folder `origins` of a data directory. A failed sync sets `poison`, which is that of the log.
    pub fn new(disk: Arc<dyn Disk>, data_dir: &Path, poison: Poison) -> OriginsDir {
        OriginsDir { disk, path: data_dir.join(ORIGINS_DIR), poison }
    }

    pub(crate) fn poisoned(&self, what: &str, path: &Path, error: &io::Error) -> SealError {
        SealError::Poisoned(self.poison.set(&format!("{what}: {}: {error}", path.display())))
    }
}

/// Why a piece was not sealed. It stays in the log, whole and readable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A file cannot be made or written. What was written of the origins is removed again.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What failed, as a phrase.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full. What was written of the origins is removed again; try again when there is room.
    #[error("the disk is full: free some space or shorten the retention")]
    DiskFull,
    /// A sync has failed, or a name could not be taken back: nothing is acknowledged any more by this process.
    /// What became of the origins shows at the next start.
    #[error("the log is closed after a failed write: {0}; see to the disk and restart")]
    Poisoned(Arc<str>),
    /// The records do not go into a segment, which the limits of a piece exclude: a bug. Nothing was written.
    #[error("piece {piece} cannot be sealed: {source}")]
    Write {
        /// Number of the piece.
        piece: u64,
        /// What is wrong.
        source: WriteError,
    },
}

/// A sealed piece.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Which piece.
    pub piece: Identity,
    /// Its origins, durable. None when nothing of the piece could be read.
    pub origins: Vec<Arc<SegmentFile>>,
    /// Records in them.
    pub records: u64,
    /// Records that could not be read.
    pub lost_records: u64,
    /// Why the file of the piece is to be kept in quarantine: some of it could not be read, now or when the
    /// node started.
    pub spoilt: Option<String>,
}

/// The name that the origins of a piece have, but for those of repeats.
pub fn origin_name(piece: Identity) -> OriginName {
    OriginName { node: piece.node, epoch: piece.epoch & !1, piece: piece.number }
}

/// Seals a piece: reads its batches, sorts the records by id (equal ids in the order of their arrival), cuts
/// them into units, and writes an origin for each. Records that cannot be read are counted and left out.
///
/// Needs memory for the frames of the piece and an index of their runs of ids. When this returns the origins
/// are durable, and nobody knows of them yet; after an error there are none.
pub fn seal(
    into: &OriginsDir,
    piece: &Piece,
    rules: &UnitRules,
    moment: Moment,
    options: WriterOptions,
) -> Result<Sealed, SealError> {
    if let Some(reason) = into.poison.reason() {
        return Err(SealError::Poisoned(reason));
    }
    let frames = load::frames(piece);
    let loaded = Loaded::of(piece, &frames);
    let stretches = Stretches::cut(&loaded, rules);
    let name = origin_name(piece.identity());
    let mut unfinished = Unfinished::new(into, &loaded);
    let written = stretches.groups().try_for_each(|(group, stretches)| {
        let (name, flags) = match group.kind {
            Kind::Repeats => (name.of_repeats(), OriginFlags::MAYBE_REPEATED),
            Kind::Plain | Kind::Keyed => (name, OriginFlags::NONE),
        };
        for (unit, partition) in group.units(name, rules, moment, stretches) {
            let origin = write::Origin { unit, name, flags, partition };
            unfinished.write(origin, &loaded, stretches, options)?;
        }
        Ok(())
    });
    let origins = match written.and_then(|()| unfinished.finish()) {
        Ok(origins) => origins,
        Err(error) => return Err(unfinished.abandon(error)),
    };
    let records = origins.iter().map(|origin| origin.footer().records()).sum();
    let sealed = Sealed {
        piece: piece.identity(),
        origins,
        records,
        lost_records: loaded.lost_records,
        spoilt: loaded.spoilt,
    };
    debug_assert_eq!(sealed.records + sealed.lost_records, piece.records());
    Ok(sealed)
}

#[cfg(test)]
pub(crate) mod tests;
