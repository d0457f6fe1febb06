//! What a query has to say beside its answer, kept over its passes.

use std::collections::HashSet;

use weir_query::{Missing, Stats};
use weir_record::limits::QUERY_MISSING_MAX;

use crate::damaged::Damaged;
use crate::engine::EngineError;
use crate::findings::Note;
use crate::job::Scanned;
use crate::searchable::Searchable;

/// What a query came to, beside its rows.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// What it looked at, and whether it is whole.
    pub stats: Stats,
    /// What could not be read of segments, at most
    /// [`QUERY_MISSING_MAX`](weir_record::limits::QUERY_MISSING_MAX) entries.
    pub damaged: Vec<Damaged>,
}

/// How far a searchable was looked at. The later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Not at all: nothing of it was asked for, the limit came first, or all was known of it.
    Unseen,
    /// It lies outside of the range.
    OutOfTime,
    /// None of its streams was asked for.
    OtherStreams,
    /// Filters excluded what was looked at.
    Pruned,
    /// Records of it were looked at.
    Read,
}

impl Answer {
    /// Adds what was done for the context of hits; see [`Stats::add_context`].
    pub(crate) fn add_context(&mut self, other: Answer) {
        self.stats.add_context(other.stats);
        let room = QUERY_MISSING_MAX.saturating_sub(self.damaged.len());
        self.damaged.extend(other.damaged.into_iter().take(room));
    }
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) answer: Answer,
    reached: Vec<Reach>,
    // Places of searchables that are noted already.
    noted: HashSet<(usize, usize)>,
}

/// The place of a piece of the log as a whole.
const WHOLE: usize = usize::MAX;

impl Ledger {
    pub(crate) fn new(sources: usize) -> Ledger {
        Ledger { answer: Answer::default(), reached: vec![Reach::Unseen; sources], noted: HashSet::new() }
    }

    /// Takes over what a scan of a searchable has to say.
    pub(crate) fn add(&mut self, source: usize, scanned: &mut Scanned) {
        if scanned.touched {
            self.reached(source, Reach::Read);
        } else if scanned.stats.batches_pruned > 0 {
            self.reached(source, Reach::Pruned);
        }
        self.answer.stats.add(std::mem::take(&mut scanned.stats));
        for Note { place, missing, damaged } in scanned.notes.drain(..) {
            if !self.noted.insert((source, place)) {
                continue;
            }
            if let Some(missing) = missing {
                self.answer.stats.miss(missing);
            }
            if let Some(damaged) = damaged.filter(|_| self.answer.damaged.len() < QUERY_MISSING_MAX) {
                self.answer.damaged.push(damaged);
            }
        }
    }

    /// Ends a query that must not go on without what is lost. No row behind it has been sent.
    pub(crate) fn check(&self, whole: bool) -> Result<(), EngineError> {
        let lost = self.answer.damaged.iter().find(|damaged| whole && damaged.has_lost_records());
        lost.map_or(Ok(()), |damaged| Err(EngineError::Damaged(Box::new(damaged.clone()))))
    }

    /// Counts blocks of a segment that a filter has excluded together with others.
    pub(crate) fn spare(&mut self, source: usize, blocks: usize, payload_bytes: u64) {
        self.reached(source, Reach::Pruned);
        let stats = self.stats();
        stats.batches_skipped += blocks as u64;
        stats.batches_pruned += blocks as u64;
        stats.bytes_skipped += payload_bytes;
        stats.bytes_pruned += payload_bytes;
    }

    /// Notes how far a searchable was looked at.
    pub(crate) fn reached(&mut self, source: usize, reach: Reach) {
        self.reached[source] = self.reached[source].max(reach);
    }

    /// Notes what a piece of the log has lost.
    pub(crate) fn lost(&mut self, source: usize, searchable: &Searchable) {
        if let Searchable::Log(piece) = searchable
            && let Some(why) = piece.lost()
            && self.noted.insert((source, WHOLE))
        {
            let (from, to) = piece.id_range();
            let place = piece.name().to_owned();
            self.answer.stats.miss(Missing { node: String::new(), place, from, to, why });
        }
    }

    pub(crate) fn stats(&mut self) -> &mut Stats {
        &mut self.answer.stats
    }

    /// The answer, with the number of searchables that were read and passed over.
    pub(crate) fn finish(mut self, sources: &[Searchable]) -> Answer {
        let stats = &mut self.answer.stats;
        for (source, reach) in sources.iter().zip(&self.reached) {
            let is_read = *reach == Reach::Read;
            let count = match (source, is_read) {
                (Searchable::Log(_), true) => &mut stats.pieces_scanned,
                (Searchable::Log(_), false) => &mut stats.pieces_skipped,
                (Searchable::Segment(_), true) => &mut stats.segments_scanned,
                (Searchable::Segment(_), false) => &mut stats.segments_skipped,
            };
            *count += 1;
            if let Searchable::Segment(_) = source {
                match reach {
                    Reach::OutOfTime => stats.segments_skipped_time += 1,
                    Reach::OtherStreams => stats.segments_skipped_streams += 1,
                    Reach::Pruned => stats.segments_pruned += 1,
                    Reach::Unseen | Reach::Read => {}
                }
            }
        }
        self.answer
    }
}
