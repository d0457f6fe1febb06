//! The search of one piece of the log, a portion of its batches per step.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weir_query::{Fingerprint, Missing};
use weir_record::limits::QUERY_PORTION_BYTES;
use weir_record::{BatchView, IdRun, RecordId};

use crate::findings::{Findings, Halt, Note, fingerprint};
use crate::job::Scan;
use crate::matchers::PieceMatchers;
use crate::piece::{Piece, Unreadable};
use crate::searchable::Share;
use crate::selection::strides;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct LogScan {
    piece: Arc<dyn Piece>,
    matchers: PieceMatchers,
    // Batches to read, in the order in which they are read.
    places: Vec<usize>,
    next: usize,
}

impl LogScan {
    /// Of those batches of a piece that the share has. `limited`: rows are wanted up to a limit.
    pub(crate) fn new(
        piece: Arc<dyn Piece>,
        matchers: PieceMatchers,
        share: &Share,
        limited: bool,
        found: &mut Findings,
    ) -> LogScan {
        let mut places = Vec::new();
        let is_shared = |place: &usize| share.only().is_none_or(|only| only[*place]);
        for place in (0..piece.batch_count()).filter(is_shared) {
            let batch = piece.batch(place);
            let streams = matchers.get(batch.stream as usize);
            if streams.is_some_and(Option::is_some) && found.is_asked_for(batch.low, batch.high) {
                places.push(place);
            } else {
                found.skip(batch.payload_bytes);
            }
        }
        if limited {
            // With the batches in the order of the answer the rest need not be read once the limit is reached.
            let order = found.order();
            places.sort_by_cached_key(|&place| {
                let batch = piece.batch(place);
                order.keys(batch.low, batch.high).0
            });
        }
        LogScan { piece, matchers, places, next: 0 }
    }

    /// The next batches that lie side by side, and are worth one read.
    fn portion(&mut self, found: &mut Findings) -> Option<Range<usize>> {
        while let Some(&place) = self.places.get(self.next) {
            let batch = self.piece.batch(place);
            if found.is_of_interest(batch.low, batch.high) {
                break;
            }
            found.skip(batch.payload_bytes);
            self.next += 1;
        }
        let first = *self.places.get(self.next)?;
        self.next += 1;
        let mut portion = first..first + 1;
        let outline = |place| {
            let batch = self.piece.batch(place);
            (batch.group, batch.payload_bytes as usize)
        };
        let (mut group, mut bytes) = outline(first);
        while let Some(&place) = self.places.get(self.next) {
            let (next_group, next_bytes) = outline(place);
            let fits = next_group == group || bytes + next_bytes <= QUERY_PORTION_BYTES;
            if place == portion.end && fits {
                portion.end += 1;
            } else if place + 1 == portion.start && fits {
                portion.start -= 1;
            } else {
                break;
            }
            self.next += 1;
            group = next_group;
            bytes += next_bytes;
        }
        Some(portion)
    }

    fn note(&self, unreadable: Unreadable) -> Note {
        let end = (unreadable.first + unreadable.batches).min(self.piece.batch_count());
        let lost = (unreadable.first..end).map(|place| self.piece.batch(place));
        let (from, to) = lost.fold((RecordId::MAX, RecordId::MIN), |(low, high), batch| {
            (low.min(batch.low), high.max(batch.high))
        });
        let Unreadable { first, place, why, .. } = unreadable;
        let missing = Missing { node: String::new(), place, from, to, why };
        Note { place: first, missing: Some(missing), damaged: None }
    }

    fn search(
        &self,
        place: usize,
        view: &BatchView<'_>,
        found: &mut Findings,
        stop: &AtomicBool,
    ) -> Result<(), Halt> {
        let batch = self.piece.batch(place);
        let number = batch.stream;
        let Some(Some(matcher)) = self.matchers.get(number as usize) else { return Ok(()) };
        found.look_at(batch.low, batch.high);
        let rows = rows_in_range(&view.runs, view.ends.len(), found.ids());
        let start = |row: usize| if row == 0 { 0 } else { view.ends[row - 1] as usize };
        found.touched = true;
        found.stats.batches_scanned += 1;
        found.stats.records_scanned += rows.len() as u64;
        found.stats.bytes_scanned += (start(rows.end) - start(rows.start)) as u64;

        let stream = (number, self.piece.stream(number as usize));
        let payload = |row: usize| &view.arena[start(row)..view.ends[row] as usize];
        let mut ids = Ids::new(&view.runs);
        let mut outcome = Ok(());
        // A batch whose ids do not ascend may hold a record twice: a count sorts it first.
        let mut unsorted =
            (found.is_counting() && !ascends(&view.runs)).then(Vec::<(RecordId, Fingerprint, usize)>::new);
        let mut hit = |row: usize| {
            let id = ids.of(row);
            if let Some(unsorted) = &mut unsorted {
                unsorted.push((id, fingerprint(payload(row)), row));
            } else if outcome.is_ok() {
                outcome = found.take(id, stream, payload(row));
            }
        };
        // In strides, so that a slow expression over a large batch can be stopped.
        for stride in strides(&view.ends, rows) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            matcher.scan_rows(&view.ends, view.arena, stride, &mut hit);
        }
        outcome?;
        let Some(mut unsorted) = unsorted else { return Ok(()) };
        unsorted.sort_unstable();
        unsorted.dedup_by_key(|(id, print, _)| (*id, *print));
        unsorted.into_iter().try_for_each(|(id, _, row)| found.take(id, stream, payload(row)))
    }
}

impl Scan for LogScan {
    fn advance(
        &mut self,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<bool, Halt> {
        let Some(portion) = self.portion(found) else { return Ok(false) };
        let mut outcome = Ok(());
        let (reading, mut searched) = (Instant::now(), Duration::ZERO);
        self.piece.read(portion, &mut work.bytes, &mut |view| match view {
            Ok((place, view)) if outcome.is_ok() => {
                let searching = Instant::now();
                outcome = self.search(place, &view, found, stop);
                searched += searching.elapsed();
            }
            Ok(_) => {}
            Err(unreadable) => {
                let note = self.note(unreadable);
                found.notes.push(note);
            }
        });
        found.spent.decoding += reading.elapsed().saturating_sub(searched);
        outcome?;
        found.settle()?;
        Ok(true)
    }
}

/// Whether the ids of a batch ascend, so that none comes twice.
fn ascends(runs: &[IdRun]) -> bool {
    runs.windows(2).all(|pair| pair[0].last().is_some_and(|last| last < pair[1].first))
}

/// The rows that can lie in the range of ids: exactly those when the ids are one run, else all.
fn rows_in_range(runs: &[IdRun], count: usize, (low, high): (RecordId, RecordId)) -> Range<usize> {
    let [run] = runs else { return 0..count };
    let base = run.first.to_u128();
    let from = low.to_u128().saturating_sub(base).min(count as u128) as usize;
    let to = match high.to_u128().checked_sub(base) {
        Some(offset) => offset.saturating_add(1).min(count as u128) as usize,
        None => 0,
    };
    from..to.max(from)
}

/// The ids of rows that are asked for in ascending order.
struct Ids<'a> {
    runs: &'a [IdRun],
    // The row with which the first run begins.
    base: usize,
}

impl<'a> Ids<'a> {
    fn new(runs: &'a [IdRun]) -> Ids<'a> {
        Ids { runs, base: 0 }
    }

    fn of(&mut self, row: usize) -> RecordId {
        while let [run, rest @ ..] = self.runs
            && row - self.base >= run.count as usize
        {
            self.base += run.count as usize;
            self.runs = rest;
        }
        let first = self.runs.first().map_or(RecordId::MAX, |run| run.first);
        // Batches are checked where they are read: a run never leaves the range of ids.
        RecordId::from_u128(first.to_u128().wrapping_add((row - self.base) as u128))
    }
}
