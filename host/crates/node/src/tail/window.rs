//! The pieces of the log that arrived last: what can still be sent to a client that is behind.
//!
//! Pieces stay here for a while after they have left the log; as long as they are held they can be read.
//! Records are counted in the order of arrival since the window was made, so that a gap has an exact size.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_record::limits::{
    TAIL_KEPT_BATCHES_MAX, TAIL_KEPT_BYTES_MAX, TAIL_KEPT_MS_MAX, TAIL_KEPT_PIECES_MAX,
};
use weir_storage::{BatchEntry, Piece};

use super::token::Place;

/// How much is kept at most; the newest piece always is, until it is too old.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Payload.
    pub(crate) bytes: u64,
    /// Pieces.
    pub(crate) pieces: usize,
    /// Batches in them.
    pub(crate) batches: usize,
    /// Time since a piece was written.
    pub(crate) age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            bytes: TAIL_KEPT_BYTES_MAX,
            pieces: TAIL_KEPT_PIECES_MAX,
            batches: TAIL_KEPT_BATCHES_MAX,
            age: Duration::from_millis(TAIL_KEPT_MS_MAX),
        }
    }
}

/// What arrived last.
#[derive(Debug)]
pub(crate) struct Window {
    bounds: Bounds,
    kept: VecDeque<Kept>,
    /// Records that arrived, in all pieces that were ever here.
    total: u64,
    /// The place behind all of them.
    end: Place,
    /// Number of the last piece that was ever here.
    newest: Option<u64>,
    run: u64,
}

/// One piece, as far as it was committed when it was last looked at.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) piece: Arc<Piece>,
    /// Records that arrived before it.
    pub(crate) before: u64,
    /// Records may have arrived just before it that were never here.
    pub(crate) broken: bool,
    /// It has left the log: it will not grow.
    left: bool,
    changed: Instant,
}

/// Where a client goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It has seen all there is.
    End,
    /// In a piece, at a batch.
    At { index: usize, batch: usize },
    /// Nowhere: what comes next for it is no longer kept.
    Lost,
}

impl Window {
    /// An empty one. `run` is drawn at random.
    pub(crate) fn new(run: u64, bounds: Bounds) -> Window {
        Window { bounds, kept: VecDeque::new(), total: 0, end: Place::origin(run), newest: None, run }
    }

    /// Takes in what the log has now, and the pieces that have left it since the last time. `left` must be taken
    /// after `log`: a piece must be in one of the two.
    pub(crate) fn absorb(&mut self, log: &[Arc<Piece>], left: Vec<Arc<Piece>>, now: Instant) {
        let newer = self.newest.map_or(0, |newest| log.partition_point(|piece| piece.number() < newest));
        let mut pieces: Vec<(Arc<Piece>, bool)> =
            log[newer..].iter().map(|piece| (Arc::clone(piece), false)).collect();
        pieces.extend(left.into_iter().map(|piece| (piece, true)));
        // Of one that is in both the one that has left counts: it is whole.
        pieces.sort_by_key(|(piece, left)| (piece.number(), !left));
        pieces.dedup_by_key(|(piece, _)| piece.number());
        let mut broken = self.may_have_grown_unseen(&pieces);
        for (piece, left) in pieces {
            let records = piece.records();
            match self.kept.back_mut() {
                _ if self.newest.is_some_and(|newest| piece.number() < newest) => continue,
                Some(last) if piece.number() == last.piece.number() => {
                    assert!(records >= last.piece.records(), "a piece only grows");
                    self.total = last.before + records;
                    last.left |= left;
                    if records > last.piece.records() {
                        last.changed = now;
                    }
                    last.piece = piece;
                }
                _ if records == 0 || self.newest == Some(piece.number()) => continue,
                _ => {
                    self.newest = Some(piece.number());
                    let before = self.total;
                    self.total += records;
                    let broken = std::mem::take(&mut broken);
                    self.kept.push_back(Kept { piece, before, broken, left, changed: now });
                }
            }
            self.end = self.kept.back().map_or(self.end, |last| end_of(&last.piece));
        }
        self.trim(now);
    }

    /// Whether the newest piece is gone from the log, and nobody said so: records may have come to it, and to
    /// others after it, that were never here.
    fn may_have_grown_unseen(&self, pieces: &[(Arc<Piece>, bool)]) -> bool {
        self.kept.back().is_some_and(|last| {
            !last.left && !pieces.iter().any(|(piece, _)| piece.number() == last.piece.number())
        })
    }

    fn trim(&mut self, now: Instant) {
        let mut bytes: u64 = self.kept.iter().map(|kept| kept.piece.payload_bytes()).sum();
        let mut batches: usize = self.kept.iter().map(|kept| kept.piece.batches().len()).sum();
        while let Some(first) = self.kept.front() {
            let old = now.saturating_duration_since(first.changed) > self.bounds.age;
            let much = bytes > self.bounds.bytes
                || batches > self.bounds.batches
                || self.kept.len() > self.bounds.pieces;
            // The newest one goes only when nothing can be added to it.
            let goes = if self.kept.len() == 1 { old && first.left } else { old || much };
            if !goes {
                break;
            }
            bytes -= first.piece.payload_bytes();
            batches -= first.piece.batches().len();
            self.kept.pop_front();
        }
    }

    /// The place behind everything.
    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Records that arrived since the window was made.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// One of the pieces that [`Next::At`] names.
    pub(crate) fn kept(&self, index: usize) -> &Kept {
        &self.kept[index]
    }

    /// How many records arrived before a place; `None` when it is not known, or what follows it is not here.
    pub(crate) fn before(&self, place: Place) -> Option<u64> {
        if place == self.end {
            return Some(self.total);
        }
        if place == Place::origin(self.run) {
            let whole = self.kept.front().is_some_and(|first| first.before == 0 && !first.broken);
            return whole.then_some(0);
        }
        let kept = self.kept.iter().find(|kept| {
            let identity = kept.piece.identity();
            (identity.number, identity.epoch) == (place.piece, place.epoch)
        })?;
        let batches = kept.piece.batches();
        let at = batch_at(batches, place.byte);
        let behind: u64 = batches[..at].iter().map(|batch| u64::from(batch.count)).sum();
        let rows = batches.get(at).filter(|batch| start_of(batch) == place.byte).map_or(0, |batch| {
            // A token that was tampered with harms its own client alone.
            place.row.min(batch.count)
        });
        Some(kept.before + behind + u64::from(rows))
    }

    /// What a client reads next that stands at a place with so many records before it.
    pub(crate) fn next(&self, place: Place, before: u64) -> Next {
        if before == self.total {
            return Next::End;
        }
        let index = self.kept.partition_point(|kept| kept.before + kept.piece.records() <= before);
        let Some(kept) = self.kept.get(index).filter(|kept| kept.before <= before) else { return Next::Lost };
        let here = kept.piece.number() == place.piece;
        let batch = if here { batch_at(kept.piece.batches(), place.byte) } else { 0 };
        Next::At { index, batch }
    }
}

/// Where a batch begins, in bytes from the start of the file.
pub(crate) fn start_of(batch: &BatchEntry) -> u64 {
    batch.frame_offset + u64::from(batch.batch_offset)
}

/// The first batch that begins at a byte or behind it.
fn batch_at(batches: &[BatchEntry], byte: u64) -> usize {
    batches.partition_point(|batch| start_of(batch) < byte)
}

fn end_of(piece: &Piece) -> Place {
    let identity = piece.identity();
    let byte = piece.batches().last().map_or(0, |batch| start_of(batch) + 1);
    Place { epoch: identity.epoch, piece: identity.number, byte, row: 0 }
}
