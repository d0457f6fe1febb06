//! Pieces leave the log when their records are durable elsewhere: as origins.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ingest_log::name::{PieceName, State};
use crate::ingest_log::reader::{Identity, Piece};
use crate::ingest_log::{IngestLog, LogError, io_error};
use crate::quarantine::move_aside;

/// A piece that the log may lose, for all that can be read of it is durable elsewhere.
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
    /// Files, those without records included.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl IngestLog {
    /// Completes the piece that is being written if it has records, and tells its number. What was appended
    /// and not committed is dropped. A piece of cursors alone goes on: nothing waits for it to be sealed.
    pub fn complete_filled_piece(&mut self) -> Result<Option<u64>, LogError> {
        self.check_poison()?;
        let filled = {
            let published = self.shared.lock();
            published.active.as_ref().filter(|piece| piece.records() > 0).map(Piece::number)
        };
        if filled.is_some() {
            self.complete_piece()?;
        }
        Ok(filled)
    }

    /// Lets go of complete pieces, and of those without records beside them. When this returns they cannot
    /// come back, not even after a power cut. Snapshots that hold one go on reading it. Pieces that are not
    /// in the log any more are passed over.
    ///
    /// The newest piece carries the cursors, the highest id and the next number: before it goes a new one is
    /// begun, which carries them on. An error leaves those in the log that were not reached; try again later.
    pub fn release(&mut self, pieces: &[Leaving]) -> Result<Released, LogError> {
        self.check_poison()?;
        let newest = self.newest();
        let is_newest = |piece: Identity| newest.as_ref().is_some_and(|newest| newest.identity == piece);
        if pieces.iter().any(|leaving| is_newest(leaving.piece)) {
            // Durable, its name too, before anything is deleted.
            self.next_piece()?;
        }
        let empty = self.without_records().into_iter().map(|piece| Leaving { piece, spoilt: None });
        let leaving: Vec<Leaving> = pieces.iter().cloned().chain(empty).collect();
        let mut released = Released::default();
        let mut failed = None;
        for leaving in &leaving {
            if let Err(error) = self.let_go(leaving) {
                // One that cannot be deleted must not keep the others.
                failed = Some(error);
            } else if let Some(piece) = self.unpublish_piece(leaving.piece) {
                released.pieces += 1;
                released.records += piece.records();
                released.bytes += piece.committed_bytes();
            }
        }
        if !leaving.is_empty() {
            self.sync_dir()?;
        }
        failed.map_or(Ok(released), Err)
    }

    /// The complete piece that nothing newer stands in for.
    fn newest(&self) -> Option<Arc<Piece>> {
        let published = self.shared.lock();
        if published.active.is_some() { None } else { published.complete.last().cloned() }
    }

    /// Complete pieces that have no records, never had any, and are not the newest.
    fn without_records(&self) -> Vec<Identity> {
        let newest = self.newest().map(|piece| piece.identity);
        let published = self.shared.lock();
        let empty =
            published.complete.iter().filter(|piece| piece.records() == 0 && piece.damaged_bytes == 0);
        empty.map(|piece| piece.identity).filter(|piece| Some(*piece) != newest).collect()
    }

    fn let_go(&self, leaving: &Leaving) -> Result<(), LogError> {
        let path = self.path_of(leaving.piece);
        let gone = match &leaving.spoilt {
            None => self.disk.remove(&path),
            Some(reason) => move_aside(&*self.disk, &path, &self.quarantine, reason.clone()).map(drop),
        };
        match gone {
            // Expired meanwhile, or deleted by an attempt that failed behind it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // Moving syncs: nobody knows what has become of the file.
            Err(error) if leaving.spoilt.is_some() => Err(self.poisoned("cannot move aside", &path, &error)),
            other => other.map_err(io_error("cannot delete", &path)),
        }
    }

    fn unpublish_piece(&self, identity: Identity) -> Option<Arc<Piece>> {
        let mut published = self.shared.lock();
        let place = published.complete.iter().position(|piece| piece.identity == identity)?;
        Some(published.complete.remove(place))
    }

    fn path_of(&self, piece: Identity) -> PathBuf {
        let Identity { epoch, number, .. } = piece;
        self.dir.join(PieceName { number, epoch, state: State::Complete }.to_string())
    }
}
