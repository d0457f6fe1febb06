//! What seals: takes complete pieces from the log, one after the other, and puts their origins into the backlog.
//!
//! No thread of its own and no clock: the node calls [`Sealer::step`] on a thread that may block, whenever a
//! piece may have been completed, until there is nothing to do.

use std::sync::Arc;

use weir_segment::WriterOptions;

use crate::backlog::Backlog;
use crate::ingest_log::reader::{LogReader, Piece};
use crate::ingest_log::{Leaving, LogError, Released};
use crate::seal::{Moment, OriginsDir, SealError, Sealed, UnitRules, origin_name, seal};

/// Seals the pieces of one log. There is one per log.
#[derive(Debug)]
pub struct Sealer {
    log: LogReader,
    backlog: Arc<Backlog>,
    into: OriginsDir,
    rules: UnitRules,
    options: WriterOptions,
    /// Sealed and shown, but still in the log.
    leaving: Option<Sealed>,
}

/// Why a step was not done. The next one tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The piece was not sealed and is in the log.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The piece was sealed, its origins can be searched, and the log has not let go of it: no record is shown
    /// twice, and nothing leaves the node until it has.
    #[error("let go of a sealed piece: {0}")]
    Release(#[from] LogError),
}

impl Sealer {
    /// A sealer of the log that `log` reads, of which nothing was sealed since `backlog` was opened.
    pub fn new(
        log: LogReader,
        backlog: Arc<Backlog>,
        into: OriginsDir,
        rules: UnitRules,
        options: WriterOptions,
    ) -> Sealer {
        Sealer { log, backlog, into, rules, options, leaving: None }
    }

    /// Seals the oldest complete piece: its origins are durable and in the backlog, and it has left the log for
    /// good, when this returns it. `None` when no piece waits.
    ///
    /// `release` has the log let go of it: [`IngestLog::release`](crate::IngestLog::release), or
    /// [`Committer::release_and_wait`](crate::Committer::release_and_wait).
    pub fn step(
        &mut self,
        moment: Moment,
        release: impl FnOnce(Vec<Leaving>) -> Result<Released, LogError>,
    ) -> Result<Option<Sealed>, SealerError> {
        let sealed = match self.leaving.take() {
            Some(sealed) => sealed,
            None => match self.seal_next(moment)? {
                Some(sealed) => sealed,
                None => return Ok(None),
            },
        };
        let piece = sealed.piece;
        if let Err(error) = release(vec![Leaving { piece, spoilt: sealed.spoilt.clone() }]) {
            self.leaving = Some(sealed);
            return Err(error.into());
        }
        self.backlog.settle(origin_name(piece));
        Ok(Some(sealed))
    }

    /// Whether a piece is sealed that the log has not let go of: the next step tries again.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Complete pieces that wait to be sealed, and their payload bytes.
    pub fn waiting(&self) -> (u64, u64) {
        let pieces = self.pieces();
        (pieces.len() as u64, pieces.iter().map(|piece| piece.payload_bytes()).sum())
    }

    fn seal_next(&mut self, moment: Moment) -> Result<Option<Sealed>, SealError> {
        for piece in self.pieces() {
            match seal(&self.into, &piece, &self.rules, moment, self.options) {
                Ok(sealed) => {
                    self.backlog.publish(&sealed.origins);
                    return Ok(Some(sealed));
                }
                Err(error @ SealError::Write { .. }) => {
                    tracing::error!(%error, "the piece stays in the log, where it can be searched");
                    self.log.set_stuck(piece.number());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Those that have something to be sealed or to be moved aside.
    fn pieces(&self) -> Vec<Arc<Piece>> {
        let mut pieces = self.log.complete();
        pieces.retain(|piece| {
            (piece.records() > 0 || piece.damaged_bytes() > 0) && !self.log.is_stuck(piece.number())
        });
        pieces
    }
}
