//! Claims in front of a backlog: all that a node has to add is the backlog.

use std::fmt::Display;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::error::ApiError;
use crate::oklog::{ClaimId, ClaimRefused, Claims, IngestState, OklogIngest, SegmentRows};

/// What an ingest node has sealed and not yet handed over.
pub trait Backlog: Send + Sync + 'static {
    /// Names one piece; shown in states and logs.
    type Piece: Ord + Clone + Display + Send + Sync + 'static;

    /// The names of the `count` oldest pieces, oldest first; fewer when there are no more.
    fn oldest(&self, count: usize) -> Vec<Self::Piece>;

    /// Whether a piece is still there.
    fn holds(&self, piece: &Self::Piece) -> bool;

    /// The records of a piece.
    fn open(&self, piece: &Self::Piece) -> BoxFuture<'_, Result<SegmentRows, ApiError>>;

    /// Takes a piece out, for foreign stores have it now. A piece that is gone already is no error.
    fn hand_over(&self, piece: &Self::Piece) -> BoxFuture<'_, Result<(), ApiError>>;

    /// The node's clock, in Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// 128 random bits, never the same twice.
    fn entropy(&self) -> u128;
}

/// Hands a backlog out by claims.
#[derive(Debug)]
pub struct Desk<B: Backlog> {
    backlog: B,
    claims: Mutex<Claims<B::Piece>>,
}

impl<B: Backlog> Desk<B> {
    /// A desk at which nothing is claimed yet: claims live as long as the process.
    pub fn new(backlog: B) -> Desk<B> {
        Desk { backlog, claims: Mutex::default() }
    }

    /// The backlog behind it.
    pub fn backlog(&self) -> &B {
        &self.backlog
    }
}

impl<B: Backlog> OklogIngest for Desk<B> {
    fn next(&self) -> BoxFuture<'_, Result<Option<ClaimId>, ApiError>> {
        let claim = ClaimId::of_entropy(self.backlog.entropy());
        let now_ms = self.backlog.now_ms();
        let mut claims = self.claims.lock();
        let oldest = self.backlog.oldest(claims.wanted());
        let piece = claims.next(now_ms, claim, oldest, |piece| self.backlog.holds(piece));
        Box::pin(std::future::ready(Ok(piece.map(|_| claim))))
    }

    fn read(&self, claim: ClaimId) -> BoxFuture<'_, Result<SegmentRows, ClaimRefused>> {
        Box::pin(async move {
            let piece = self.claims.lock().read(self.backlog.now_ms(), claim)?;
            self.backlog.open(&piece).await.map_err(|error| {
                tracing::warn!(%piece, %error, "a claimed piece cannot be read");
                ClaimRefused::Failed(error)
            })
        })
    }

    fn read_whole(&self, claim: ClaimId) {
        self.claims.lock().read_whole(claim);
    }

    fn commit(&self, claim: ClaimId) -> BoxFuture<'_, Result<(), ClaimRefused>> {
        Box::pin(async move {
            let piece = self.claims.lock().commit(self.backlog.now_ms(), claim)?;
            let handed_over = self.backlog.hand_over(&piece).await;
            let mut claims = self.claims.lock();
            match handed_over {
                Ok(()) => {
                    claims.committed(claim);
                    Ok(())
                }
                Err(error) => {
                    tracing::warn!(%piece, %error, "a committed piece cannot leave the backlog");
                    // It may have timed out meanwhile: then it is back already.
                    let _ = claims.failed(self.backlog.now_ms(), claim);
                    Err(ClaimRefused::Failed(error))
                }
            }
        })
    }

    fn failed(&self, claim: ClaimId) -> BoxFuture<'_, Result<(), ClaimRefused>> {
        Box::pin(std::future::ready(self.claims.lock().failed(self.backlog.now_ms(), claim)))
    }

    fn state(&self) -> IngestState {
        let mut claims = self.claims.lock();
        claims.sweep(self.backlog.now_ms());
        IngestState {
            claims: claims.open().collect(),
            suspects: claims.suspects().map(|(piece, suspect)| (piece.to_string(), suspect)).collect(),
        }
    }
}
