//! Deleting pieces whose records are safe elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ingest_log::name::{PieceName, State};
use crate::ingest_log::reader::{Identity, Piece};
use crate::ingest_log::{IngestLog, LogError, io_error};

/// A piece that the log may lose, for all that can be read of it is safe elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Which piece.
    pub piece: Identity,
    /// Why its file is to be kept in quarantine: some of its records could not be read.
    pub spoilt: Option<String>,
}

/// What left the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Files.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl IngestLog {
    /// Deletes complete pieces; those that are not in the log are passed over. Snapshots that hold a piece go on
    /// reading it. The newest piece always stays: it carries the cursors and the highest id.
    pub fn release(&mut self, pieces: &[Leaving]) -> Result<Released, LogError> {
        self.check_poison()?;
        let mut released = Released::default();
        let mut failed = None;
        for leaving in pieces.iter().filter(|leaving| leaving.spoilt.is_none()) {
            let Some(piece) = self.unpublish_piece(leaving.piece) else { continue };
            let path = self.path_of(leaving.piece);
            match self.disk.remove(&path) {
                Ok(()) => {
                    released.pieces += 1;
                    released.records += piece.records();
                    released.bytes += piece.committed_bytes();
                }
                Err(error) => failed = Some(io_error("cannot delete", &path)(error)),
            }
        }
        if released.pieces > 0 {
            self.sync_dir()?;
        }
        failed.map_or(Ok(released), Err)
    }

    fn unpublish_piece(&self, identity: Identity) -> Option<Arc<Piece>> {
        let mut published = self.shared.lock();
        let last = published.complete.len().checked_sub(1)?;
        let place = published.complete.iter().position(|piece| piece.identity == identity)?;
        let newest = published.active.is_none() && place == last;
        (!newest).then(|| published.complete.remove(place))
    }

    fn path_of(&self, piece: Identity) -> PathBuf {
        let Identity { epoch, number, .. } = piece;
        self.dir.join(PieceName { number, epoch, state: State::Complete }.to_string())
    }
}
