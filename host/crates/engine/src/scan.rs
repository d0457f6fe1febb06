//! The search of one piece, a portion of its batches per step.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use weir_query::{Missing, Order, Stats};
use weir_record::limits::{QUERY_PORTION_BYTES, QUERY_STRIDE_BYTES};
use weir_record::{BatchView, IdRun, RecordId};

use crate::collector::{Bounds, Collected, Collector, TooLarge};
use crate::contested::ascends;
use crate::matchers::PieceMatchers;
use crate::piece::{Piece, Unreadable};
use crate::pool::Job;
use crate::query::Event;

/// What to search, and for what.
#[derive(Debug)]
pub(crate) struct Task {
    /// Tells the tasks of a query apart.
    pub(crate) ticket: u64,
    /// The piece.
    pub(crate) piece: Arc<dyn Piece>,
    /// What its streams are searched for.
    pub(crate) matchers: PieceMatchers,
    /// The first key wanted. See [`Order::key`].
    pub(crate) first: u128,
    /// What bounds the rows.
    pub(crate) bounds: Bounds,
    /// Only count. Rows then carry a hash in place of their payload.
    pub(crate) count: Option<Count>,
}

/// How to count.
#[derive(Debug)]
pub(crate) struct Count {
    /// Per batch, whether other batches may hold the same ids: their rows have to be compared.
    pub(crate) contested: Arc<[bool]>,
    /// The piece was searched before, as far as its memory went: batches that are not contested are counted.
    pub(crate) again: bool,
}

/// The outcome of a task.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) ticket: u64,
    pub(crate) outcome: Result<Collected, Failure>,
    /// Sums over what was read. `records_matched` are those that were counted and are not among the rows.
    pub(crate) stats: Stats,
    /// What could not be read, with the place of its first batch.
    pub(crate) unreadable: Vec<(usize, Missing)>,
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// The rows of one id do not fit the memory.
    TooLarge,
    /// A bug: a worker panicked, with this message.
    Panicked(String),
}

#[derive(Debug)]
pub(crate) struct PieceScan {
    task: Task,
    order: Order,
    // The last key wanted, whatever the collector has room for.
    last: u128,
    collector: Collector,
    // Batches to read, in the order in which they are read.
    places: Vec<usize>,
    next: usize,
    stats: Stats,
    unreadable: Vec<(usize, Missing)>,
    busy: Duration,
    stop: Arc<AtomicBool>,
    done: Sender<Event>,
}

impl PieceScan {
    /// `stop` ends it early, and then nothing is sent to `done`.
    pub(crate) fn new(task: Task, stop: Arc<AtomicBool>, done: Sender<Event>) -> PieceScan {
        let Bounds { order, last, .. } = task.bounds;
        let mut scan = PieceScan {
            collector: Collector::new(task.bounds, task.piece.stream_count()),
            order,
            last,
            places: Vec::new(),
            next: 0,
            stats: Stats::default(),
            unreadable: Vec::new(),
            busy: Duration::ZERO,
            stop,
            done,
            task,
        };
        for place in 0..scan.task.piece.batch_count() {
            let batch = scan.task.piece.batch(place);
            let (low, high) = order.keys(batch.low, batch.high);
            let streams = scan.task.matchers.get(batch.stream as usize);
            if streams.is_some_and(Option::is_some) && low <= last && high >= scan.task.first {
                scan.places.push(place);
            } else {
                scan.skip(place);
            }
        }
        if scan.task.bounds.limit.is_some() {
            // With the batches in the order of the answer the rest need not be read once the limit is reached.
            let piece = Arc::clone(&scan.task.piece);
            scan.places.sort_by_cached_key(|&place| {
                let batch = piece.batch(place);
                order.keys(batch.low, batch.high).0
            });
        }
        scan
    }

    fn skip(&mut self, place: usize) {
        self.stats.batches_skipped += 1;
        self.stats.bytes_skipped += u64::from(self.task.piece.batch(place).payload_bytes);
    }

    /// Whether a batch can still hold rows of interest.
    fn is_wanted(&self, place: usize) -> bool {
        let batch = self.task.piece.batch(place);
        let counts_whole =
            self.task.count.as_ref().is_some_and(|count| !count.again && !count.contested[place]);
        counts_whole || self.order.keys(batch.low, batch.high).0 <= self.collector.last()
    }

    /// The next batches that lie side by side, and are worth one read.
    fn portion(&mut self) -> Option<Range<usize>> {
        while self.next < self.places.len() && !self.is_wanted(self.places[self.next]) {
            self.skip(self.places[self.next]);
            self.next += 1;
        }
        let first = *self.places.get(self.next)?;
        self.next += 1;
        let mut portion = first..first + 1;
        let outline = |place| {
            let batch = self.task.piece.batch(place);
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

    /// Reads and searches a portion. `false` when that was the last one.
    fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<bool, TooLarge> {
        let Some(portion) = self.portion() else { return Ok(false) };
        let piece = Arc::clone(&self.task.piece);
        let mut outcome = Ok(());
        piece.read(portion, buffer, &mut |view| match view {
            Ok((place, view)) if outcome.is_ok() => outcome = self.search(place, &view),
            Ok(_) => {}
            Err(unreadable) => self.note(unreadable),
        });
        outcome?;
        self.collector.tighten()?;
        Ok(true)
    }

    fn note(&mut self, unreadable: Unreadable) {
        let end = (unreadable.first + unreadable.batches).min(self.task.piece.batch_count());
        let lost = (unreadable.first..end).map(|place| self.task.piece.batch(place));
        let (low, high) = lost.fold((RecordId::MAX, RecordId::MIN), |(low, high), batch| {
            (low.min(batch.low), high.max(batch.high))
        });
        let missing = Missing {
            node: String::new(),
            place: unreadable.place,
            from: low,
            to: high,
            why: unreadable.why,
        };
        self.unreadable.push((unreadable.first, missing));
    }

    fn search(&mut self, place: usize, view: &BatchView<'_>) -> Result<(), TooLarge> {
        let number = self.task.piece.batch(place).stream;
        let Some(Some(matcher)) = self.task.matchers.get(number as usize) else { return Ok(()) };
        let counted_alone = match &self.task.count {
            Some(count) => !count.contested[place] && ascends(&view.runs),
            None => false,
        };
        if counted_alone && self.task.count.as_ref().is_some_and(|count| count.again) {
            return Ok(());
        }
        let rows = self.rows_in_range(&view.runs, view.ends.len());
        let start = |row: usize| if row == 0 { 0 } else { view.ends[row - 1] as usize };
        self.stats.batches_scanned += 1;
        self.stats.records_scanned += rows.len() as u64;
        self.stats.bytes_scanned += (start(rows.end) - start(rows.start)) as u64;

        let piece = Arc::clone(&self.task.piece);
        let stream = piece.stream(number as usize);
        let (first, last, order) = (self.task.first, self.last, self.order);
        let mut ids = Ids::new(&view.runs);
        let mut outcome = Ok(());
        let mut matched = 0;
        let collector = &mut self.collector;
        let mut hit = |row: usize| {
            let id = ids.of(row);
            let key = order.key(id);
            if key < first || key > last || outcome.is_err() {
                return;
            }
            let payload = &view.arena[start(row)..view.ends[row] as usize];
            if counted_alone {
                matched += 1;
            } else if self.task.count.is_some() {
                outcome = collector.push(id, number, stream, &hash(payload));
            } else {
                outcome = collector.push(id, number, stream, payload);
            }
        };
        let mut from = rows.start;
        // In strides, so that a slow expression over a large batch can be stopped.
        while from < rows.end && !self.stop.load(Ordering::Relaxed) {
            let stride_end = start(from) + QUERY_STRIDE_BYTES;
            let fitting = view.ends[from..rows.end].partition_point(|&end| end as usize <= stride_end);
            let to = from + fitting.max(1);
            matcher.scan_rows(&view.ends, view.arena, from..to, &mut hit);
            from = to;
        }
        self.stats.records_matched += matched;
        outcome
    }

    /// The rows that can lie in the range of keys: exactly those when the ids are one run, else all.
    fn rows_in_range(&self, runs: &[IdRun], count: usize) -> Range<usize> {
        let [run] = runs else { return 0..count };
        let (a, b) = (self.order.id(self.task.first), self.order.id(self.last));
        let (low, high) = (a.min(b).to_u128(), a.max(b).to_u128());
        let base = run.first.to_u128();
        let from = low.saturating_sub(base).min(count as u128) as usize;
        let to = match high.checked_sub(base) {
            Some(offset) => offset.saturating_add(1).min(count as u128) as usize,
            None => 0,
        };
        from..to.max(from)
    }

    fn finish(self: Box<Self>, outcome: Result<(), Failure>) {
        let PieceScan { task, collector, mut stats, unreadable, busy, done, .. } = *self;
        let outcome = outcome.and_then(|()| collector.finish().map_err(|TooLarge| Failure::TooLarge));
        stats.stages.scan_us = busy.as_micros() as u64;
        let scanned = Scanned { ticket: task.ticket, outcome, stats, unreadable };
        // A query that ended in the meantime does not listen any more, which is fine.
        let _ = done.send(Event::Scanned(Box::new(scanned)));
    }
}

impl Job for PieceScan {
    fn step(mut self: Box<Self>, buffer: &mut Vec<u8>) -> Option<Box<dyn Job>> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let started = Instant::now();
        // A bug must cost the query, not the worker, and the query must hear of it.
        let more = catch_unwind(AssertUnwindSafe(|| self.advance(buffer)));
        self.busy += started.elapsed();
        match more {
            Ok(Ok(true)) => return Some(self),
            Ok(Ok(false)) => self.finish(Ok(())),
            Ok(Err(TooLarge)) => self.finish(Err(Failure::TooLarge)),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                self.finish(Err(Failure::Panicked(text.unwrap_or_default())));
            }
        }
        None
    }
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

/// Stands for a payload among the rows of one id.
fn hash(payload: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish().to_be_bytes()
}
