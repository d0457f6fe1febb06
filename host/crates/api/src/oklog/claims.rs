//! Who consumes which piece: claims as a state machine. Time and names of claims are passed in.
//!
//! A consumer of OK Log gathers several pieces, sends them on as one, and when that fails fails all of them: with
//! one bad piece in it no batch ever succeeds, and the original jams for ever. So a piece that came back is
//! *suspect*: it is offered again only after a pause that doubles, and *alone*: nothing is handed out until the
//! claims before it are settled, and nothing beside it until it is settled itself. The consumer finds nothing
//! more and sends what it has. Both waits are short and bounded, so one bad piece costs the others seconds, less
//! and less often.

use std::collections::BTreeMap;

use weir_record::limits::{
    OKLOG_CLAIM_MS_MAX, OKLOG_CLAIMS_MAX, OKLOG_SUSPECT_ALONE_MS_MAX, OKLOG_SUSPECT_PAUSE_MS_MAX,
    OKLOG_SUSPECT_PAUSE_MS_MIN, OKLOG_SUSPECTS_MAX,
};

use crate::error::ApiError;
use crate::oklog::ClaimId;

/// Why a request about a claim is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// No such claim: it never was, it was settled, or it timed out. Answered with 404.
    #[error("404 page not found")]
    Unknown,
    /// The claim is being read, or was read. Answered with 500. The claim stays as it is.
    #[error("another client is already reading this segment")]
    Read,
    /// The claim was not read to its end: what was not received cannot be kept. Answered with 428. The claim
    /// stays as it is.
    #[error("the segment was not read to its end, so it cannot be committed")]
    Unread,
    /// The node failed at it. Answered as the error says; the piece is still in the backlog.
    #[error(transparent)]
    Failed(ApiError),
}

/// One open claim, as others may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimState {
    /// Its name.
    pub claim: ClaimId,
    /// Whether somebody reads it, or has.
    pub reading: bool,
    /// When it times out, in Unix milliseconds.
    pub deadline_ms: u64,
}

/// What is known of a piece that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// How often it came back in a row.
    pub failures: u32,
    /// When it is offered again, in Unix milliseconds.
    pub due_ms: u64,
}

/// The claims on the pieces of a backlog. Knows no piece that is neither claimed nor suspect: what there is to
/// claim is told at each [`Claims::next`].
#[derive(Debug)]
pub struct Claims<T> {
    open: BTreeMap<ClaimId, Claim<T>>,
    suspects: BTreeMap<T, Suspect>,
    /// A claim on a suspect, and until when nothing is handed out beside it.
    alone: Option<(ClaimId, u64)>,
}

#[derive(Debug)]
struct Claim<T> {
    piece: T,
    deadline_ms: u64,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Not,
    Begun,
    Whole,
    Committing,
}

impl<T> Default for Claims<T> {
    fn default() -> Claims<T> {
        Claims { open: BTreeMap::new(), suspects: BTreeMap::new(), alone: None }
    }
}

impl<T: Ord + Clone> Claims<T> {
    /// Pieces that [`Claims::next`] has to be shown, oldest first, so that it never misses one it may give.
    pub fn wanted(&self) -> usize {
        self.open.len() + self.suspects.len() + 1
    }

    /// Claims a piece as `claim`: a suspect that is due, else the first of `oldest` that is neither claimed nor
    /// suspect. `holds` says whether a piece is still in the backlog.
    pub fn next(
        &mut self,
        now_ms: u64,
        claim: ClaimId,
        oldest: impl IntoIterator<Item = T>,
        holds: impl Fn(&T) -> bool,
    ) -> Option<T> {
        self.sweep(now_ms);
        if self.suspects.len() > OKLOG_SUSPECTS_MAX {
            self.suspects.retain(|piece, _| holds(piece));
        }
        if self.open.len() >= OKLOG_CLAIMS_MAX || self.open.contains_key(&claim) {
            return None;
        }
        if let Some((alone, until_ms)) = self.alone {
            if self.open.contains_key(&alone) && now_ms < until_ms {
                return None;
            }
            self.alone = None;
        }
        if let Some((piece, due_ms)) = self.due(now_ms, holds) {
            if !self.open.is_empty() && now_ms < due_ms.saturating_add(OKLOG_SUSPECT_ALONE_MS_MAX) {
                return None;
            }
            self.alone = Some((claim, now_ms.saturating_add(OKLOG_SUSPECT_ALONE_MS_MAX)));
            return Some(self.opened(now_ms, claim, piece));
        }
        let free = |piece: &T| !self.suspects.contains_key(piece) && !self.is_claimed(piece);
        let piece = oldest.into_iter().find(free)?;
        Some(self.opened(now_ms, claim, piece))
    }

    /// Begins the one read of a claim.
    pub fn read(&mut self, now_ms: u64, claim: ClaimId) -> Result<T, ClaimRefused> {
        let open = self.get(now_ms, claim)?;
        if open.reading != Reading::Not {
            return Err(ClaimRefused::Read);
        }
        open.reading = Reading::Begun;
        Ok(open.piece.clone())
    }

    /// The read has come to its end. A claim that is gone meanwhile stays gone.
    pub fn read_whole(&mut self, claim: ClaimId) {
        if let Some(open) = self.open.get_mut(&claim)
            && open.reading == Reading::Begun
        {
            open.reading = Reading::Whole;
        }
    }

    /// Begins to commit a claim that was read to its end: the piece may leave the backlog now, and
    /// [`Claims::committed`] or [`Claims::failed`] says how that went.
    pub fn commit(&mut self, now_ms: u64, claim: ClaimId) -> Result<T, ClaimRefused> {
        let open = self.get(now_ms, claim)?;
        match open.reading {
            Reading::Not | Reading::Begun => Err(ClaimRefused::Unread),
            Reading::Committing => Err(ClaimRefused::Unknown),
            Reading::Whole => {
                open.reading = Reading::Committing;
                Ok(open.piece.clone())
            }
        }
    }

    /// The piece of a claim has left the backlog.
    pub fn committed(&mut self, claim: ClaimId) {
        if let Some(settled) = self.open.remove(&claim) {
            self.suspects.remove(&settled.piece);
        }
    }

    /// Gives the piece of a claim back, as a suspect.
    pub fn failed(&mut self, now_ms: u64, claim: ClaimId) -> Result<(), ClaimRefused> {
        self.get(now_ms, claim)?;
        self.give_back(now_ms, claim);
        Ok(())
    }

    /// Gives back what was claimed too long ago.
    pub fn sweep(&mut self, now_ms: u64) {
        let late: Vec<ClaimId> =
            self.open.iter().filter(|(_, open)| open.deadline_ms < now_ms).map(|(claim, _)| *claim).collect();
        for claim in late {
            self.give_back(now_ms, claim);
        }
    }

    /// The open claims, by name.
    pub fn open(&self) -> impl Iterator<Item = ClaimState> {
        self.open.iter().map(|(claim, open)| ClaimState {
            claim: *claim,
            reading: open.reading != Reading::Not,
            deadline_ms: open.deadline_ms,
        })
    }

    /// The pieces that came back and were not committed since.
    pub fn suspects(&self) -> impl Iterator<Item = (&T, Suspect)> {
        self.suspects.iter().map(|(piece, suspect)| (piece, *suspect))
    }

    fn get(&mut self, now_ms: u64, claim: ClaimId) -> Result<&mut Claim<T>, ClaimRefused> {
        self.sweep(now_ms);
        self.open.get_mut(&claim).ok_or(ClaimRefused::Unknown)
    }

    fn opened(&mut self, now_ms: u64, claim: ClaimId, piece: T) -> T {
        let deadline_ms = now_ms.saturating_add(OKLOG_CLAIM_MS_MAX);
        let open = Claim { piece: piece.clone(), deadline_ms, reading: Reading::Not };
        assert!(self.open.insert(claim, open).is_none(), "a claim is opened once");
        piece
    }

    fn give_back(&mut self, now_ms: u64, claim: ClaimId) {
        let Some(settled) = self.open.remove(&claim) else { return };
        let failures =
            self.suspects.get(&settled.piece).map_or(0, |suspect| suspect.failures).saturating_add(1);
        let pause_ms = OKLOG_SUSPECT_PAUSE_MS_MIN.saturating_mul(1 << (failures - 1).min(32));
        let due_ms = now_ms.saturating_add(pause_ms.min(OKLOG_SUSPECT_PAUSE_MS_MAX));
        self.suspects.insert(settled.piece, Suspect { failures, due_ms });
    }

    /// The suspect that is due for the longest time. Those that have left the backlog are forgotten on the way.
    fn due(&mut self, now_ms: u64, holds: impl Fn(&T) -> bool) -> Option<(T, u64)> {
        loop {
            let due = self.suspects.iter().filter(|(piece, s)| s.due_ms <= now_ms && !self.is_claimed(piece));
            let (piece, suspect) = due.min_by_key(|(_, suspect)| suspect.due_ms)?;
            let (piece, due_ms) = (piece.clone(), suspect.due_ms);
            if holds(&piece) {
                return Some((piece, due_ms));
            }
            self.suspects.remove(&piece);
        }
    }

    fn is_claimed(&self, piece: &T) -> bool {
        self.open.values().any(|open| open.piece == *piece)
    }
}

#[cfg(test)]
mod tests;
