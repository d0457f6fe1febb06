//! One pass over searchables: which items are searched when, and when a row may be sent.
//!
//! Every item waits under the first key it can have. The lowest key of all items that wait or are being
//! searched is the frontier: rows before it are final and are sent. Items are started lowest key first, as
//! many as memory allows; one that had to cut its rows goes back to wait under the key of the cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

use weir_query::{Buckets, Histogram, Rows};
use weir_record::limits::{QUERY_AHEAD_BYTES, QUERY_CHUNK_BYTES, QUERY_SCAN_BYTES_MAX, QUERY_SCAN_BYTES_MIN};
use weir_record::merge::Merge;

use crate::budget::Charge;
use crate::cancel::{Cancel, Registration};
use crate::chunk::Chunk;
use crate::collector::{Bounds, SortedRows};
use crate::engine::{Engine, EngineError, Plan};
use crate::findings::{Findings, Keep};
use crate::item::Item;
use crate::job::{Failure, ScanJob, Scanned};
use crate::ledger::{Ledger, Reach};
use crate::log_scan::LogScan;
use crate::matchers::Matchers;
use crate::part_scan::PartScan;
use crate::pool::Job;
use crate::searchable::{Searchable, Share};
use crate::suspects::SharedSuspects;

/// What a query waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A piece was searched.
    Scanned(Box<Scanned>),
    /// The caller gave up.
    Cancelled,
}

/// What is done with the records that match.
pub(crate) enum Mode<'a> {
    /// They are sent.
    Rows(&'a mut dyn FnMut(Rows) -> ControlFlow<()>),
    /// They are sent with fingerprints in place of payloads.
    Prints(&'a mut dyn FnMut(Rows) -> ControlFlow<()>),
    /// They are counted, but for the suspects, which were counted before.
    Count(SharedSuspects, Option<&'a mut Histogram>),
}

/// What a pass reads: searchables, and how much of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Over<'a> {
    pub(crate) sources: &'a [Searchable],
    pub(crate) shares: &'a [Share],
}

/// An item, or the rest of one, that waits to be searched. Ordered by its first key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    first: u128,
    item: usize,
    again: bool,
}

/// An item that is being searched.
#[derive(Debug)]
struct Running {
    ticket: u64,
    first: u128,
    item: usize,
    bytes: usize,
}

pub(crate) struct Query<'a, 'm> {
    engine: &'a Engine,
    number: u64,
    plan: &'a Plan,
    mode: Mode<'m>,
    over: Over<'a>,
    ledger: &'a mut Ledger,
    items: Vec<Item>,
    matchers: Matchers,
    // The last key of the plan, or of the rows up to its limit as soon as that is known.
    last: u128,
    waiting: BinaryHeap<Reverse<Waiting>>,
    running: Vec<Running>,
    tickets: u64,
    // How many items may be searched at a time.
    ahead: usize,
    merge: Merge<SortedRows>,
    // Bytes of the rows in the merge.
    held_bytes: usize,
    // Pages of filters as they are read.
    pages: Vec<u8>,
    // The part whose filter was asked last, by its searchable and number, and whether it left anything.
    asked: Option<(usize, usize, bool)>,
    charge: Charge,
    chunk: Chunk,
    // Rows sent.
    sent: u64,
    events: Receiver<Event>,
    sender: Sender<Event>,
    stop: Arc<AtomicBool>,
    cancel: &'a Cancel,
    _registration: Registration,
}

/// Whether a query goes on.
enum Progress {
    /// There may be more to send at once.
    More,
    /// Nothing can be sent before another item was searched.
    Drained,
    /// The answer is whole, or nobody wants the rest.
    Done,
}

impl<'a, 'm> Query<'a, 'm> {
    pub(crate) fn new(
        engine: &'a Engine,
        plan: &'a Plan,
        over: Over<'a>,
        ledger: &'a mut Ledger,
        cancel: &'a Cancel,
        mode: Mode<'m>,
    ) -> Query<'a, 'm> {
        let (sender, events) = channel();
        let registration = cancel.register(&sender);
        // The newest hundred are likely in the newest item: look there first, and only then ahead.
        let ahead = if plan.limit.is_some() { 1 } else { 2 * engine.pool.workers() };
        Query {
            engine,
            number: engine.next_number(),
            plan,
            mode,
            over,
            ledger,
            items: Vec::new(),
            matchers: Matchers::new(plan.matcher.clone()),
            last: 0,
            waiting: BinaryHeap::new(),
            running: Vec::new(),
            tickets: 0,
            ahead,
            merge: Merge::new(plan.order),
            held_bytes: 0,
            pages: Vec::new(),
            asked: None,
            charge: Charge::new(&engine.budget),
            chunk: Chunk::default(),
            sent: 0,
            events,
            sender,
            stop: Arc::default(),
            cancel,
            _registration: registration,
        }
    }

    pub(crate) fn run(mut self) -> Result<(), EngineError> {
        let planning = Instant::now();
        self.choose();
        self.ledger.stats().stages.plan_us += micros(planning);
        loop {
            self.take_events()?;
            // Sending comes first: it may show that no other item is needed.
            let progress = self.emit();
            if matches!(progress, Progress::Done) {
                break;
            }
            self.start_items()?;
            if matches!(progress, Progress::Drained) && !self.running.is_empty() {
                let waited = Instant::now();
                // The query itself holds a sender: this cannot fail.
                let Ok(event) = self.events.recv() else { break };
                self.ledger.stats().stages.wait_us += micros(waited);
                self.take_event(event)?;
            }
        }
        let repeats = self.merge.repeats();
        let stats = self.ledger.stats();
        stats.repeats += repeats;
        stats.records_matched += self.sent;
        if let Some(stages) = &self.plan.stages {
            stages.unjudged().tell(stats);
        }
        Ok(())
    }

    /// Which items the range of ids leaves.
    fn choose(&mut self) {
        let Over { sources, shares } = self.over;
        let range = self.plan.id_range().filter(|_| self.plan.limit != Some(0));
        let Some((low, high)) = range else {
            self.ledger.stats().limited = self.plan.limit == Some(0);
            return;
        };
        let (first, last) = self.plan.order.keys(low, high);
        self.last = last;
        for (source, (searchable, share)) in sources.iter().zip(shares).enumerate() {
            let (source_low, source_high) = searchable.id_range();
            if share.is_nothing() {
                continue;
            }
            if source_low > high || source_high < low {
                self.ledger.reached(source, Reach::OutOfTime);
                self.ledger.stats().bytes_skipped += searchable.payload_bytes();
                continue;
            }
            self.ledger.lost(source, searchable);
            if source_low >= low && source_high <= high && self.count_whole(source) {
                self.ledger.stats().bytes_skipped += searchable.payload_bytes();
                continue;
            }
            for item in Item::of(source, searchable) {
                if item.low > high || item.high < low {
                    self.ledger.stats().bytes_skipped += item.payload_bytes(searchable);
                    continue;
                }
                let item_first = self.plan.order.keys(item.low, item.high).0.max(first);
                self.waiting.push(Reverse(Waiting {
                    first: item_first,
                    item: self.items.len(),
                    again: false,
                }));
                self.items.push(item);
            }
        }
    }

    /// Counts a segment of which every record is asked for and matches, without reading anything of it.
    fn count_whole(&mut self, source: usize) -> bool {
        let Over { sources, shares } = self.over;
        let (Mode::Count(suspects, histogram), Searchable::Segment(segment), Share::All, None) =
            (&mut self.mode, &sources[source], &shares[source], &self.plan.stages)
        else {
            return false;
        };
        let footer = segment.file().footer();
        let (low, high) = footer.id_range();
        let matchers = self.matchers.for_segment(source, segment);
        if !suspects.between(low, high).is_empty() || !matchers.is_some_and(|matchers| matchers.match_all()) {
            return false;
        }
        if let Some(histogram) = histogram {
            let bucket = histogram.buckets().of(low);
            let Some(bucket) = bucket.filter(|_| bucket == histogram.buckets().of(high)) else {
                return false;
            };
            let levels = footer.levels().into_iter().enumerate();
            levels.for_each(|(level, records)| histogram.add(bucket, level, records));
        }
        self.ledger.stats().records_matched += footer.records();
        self.ledger.stats().batches_skipped += footer.blocks().len() as u64;
        true
    }

    fn take_events(&mut self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        loop {
            match self.events.try_recv() {
                Ok(event) => self.take_event(event)?,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take_event(&mut self, event: Event) -> Result<(), EngineError> {
        let mut scanned = match event {
            Event::Cancelled => return Err(EngineError::Cancelled),
            Event::Scanned(scanned) => *scanned,
        };
        let Some(at) = self.running.iter().position(|running| running.ticket == scanned.ticket) else {
            return Ok(());
        };
        let item = self.running.swap_remove(at).item;
        self.ahead = (2 * self.ahead).min(2 * self.engine.pool.workers());
        self.ledger.add(self.items[item].source, &mut scanned);
        self.ledger.check(self.plan.whole)?;
        let (collected, tally) = match scanned.outcome {
            Ok(outcome) => outcome,
            Err(Failure::TooLarge) => return Err(self.memory()),
            Err(Failure::Stage(failure)) => return Err(EngineError::Stage(failure)),
            Err(Failure::Panicked(message)) => return Err(EngineError::Worker(message)),
        };
        if let (Mode::Count(_, Some(histogram)), Some(tally)) = (&mut self.mode, tally) {
            tally.add_to(histogram);
        }
        if let Some(cut) = collected.cut {
            self.waiting.push(Reverse(Waiting { first: cut, item, again: true }));
        }
        if let Some(reached) = collected.reached {
            self.last = self.last.min(reached);
        }
        self.held_bytes += collected.rows.bytes();
        if let Some(empty) = self.merge.push(collected.rows) {
            self.held_bytes -= empty.bytes();
        }
        Ok(())
    }

    fn memory(&self) -> EngineError {
        EngineError::Memory { bytes_max: self.engine.memory_bytes_max }
    }

    /// Starts items, lowest key first, as many as memory and workers allow.
    fn start_items(&mut self) -> Result<(), EngineError> {
        self.charge.set(self.taken_bytes());
        while self.running.len() < self.ahead {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let Some(Reverse(next)) = self.waiting.peek() else { return Ok(()) };
            if next.first > self.last {
                // All that wait lie behind the limit.
                self.pass_over_rest();
                return Ok(());
            }
            let taken = self.taken_bytes();
            self.charge.set(taken);
            let own = self.engine.memory_bytes_max.saturating_sub(taken);
            let free = own.min(self.charge.free());
            let share = match self.mode {
                // Counts keep no rows.
                Mode::Count(..) => 0,
                Mode::Rows(_) | Mode::Prints(_) => {
                    let is_ahead = taken >= QUERY_AHEAD_BYTES;
                    if is_ahead && (!self.running.is_empty() || self.can_emit()) {
                        return Ok(());
                    }
                    let item = self.items[next.item];
                    let need = item.need_bytes(&self.over.sources[item.source]);
                    need.min(free / 4).clamp(QUERY_SCAN_BYTES_MIN, QUERY_SCAN_BYTES_MAX)
                }
            };
            if share > free {
                // Others under way, or rows that can be sent, will make room.
                let stuck = self.running.is_empty() && !self.can_emit();
                let bytes_max = self.engine.budget.bytes_max();
                return match stuck {
                    false => Ok(()),
                    true if share > own => Err(self.memory()),
                    true => Err(EngineError::MemoryOfAll { bytes_max }),
                };
            }
            let Some(Reverse(next)) = self.waiting.pop() else { return Ok(()) };
            if !self.start_item(&next, share) {
                self.ledger.reached(self.items[next.item].source, Reach::OtherStreams);
                self.pass_over(next.item);
            }
        }
        Ok(())
    }

    /// What the rows take that wait, and those that may be found now.
    fn taken_bytes(&self) -> usize {
        self.held_bytes + self.running.iter().map(|running| running.bytes).sum::<usize>()
    }

    /// Gives an item to the workers, unless its filter spares it. `false` when none of its streams can match.
    fn start_item(&mut self, next: &Waiting, bytes_max: usize) -> bool {
        let item = self.items[next.item];
        let Over { sources, shares } = self.over;
        if self.asked == Some((item.source, item.part, false)) {
            self.ledger.spare(item.source, item.blocks().len(), item.payload_bytes(&sources[item.source]));
            return true;
        }
        let limit = self.plan.limit.map(|limit| limit.min(u64::from(u32::MAX)) as usize);
        let bounds = Bounds { order: self.plan.order, last: self.last, limit, bytes_max };
        let ticket = self.tickets + 1;
        let mut found =
            Findings::new(next.first, bounds, self.keep(), (item.low, item.high), self.plan.stages.clone());
        let (stop, cancel, done) = (Arc::clone(&self.stop), self.cancel.clone(), self.sender.clone());
        let share = &shares[item.source];
        let job: Box<dyn Job> = match &sources[item.source] {
            Searchable::Log(piece) => {
                let Some(matchers) = self.matchers.for_piece(&**piece) else { return false };
                let scan = LogScan::new(Arc::clone(piece), matchers, share, limit.is_some(), &mut found);
                Box::new(ScanJob::new(ticket, scan, found, stop, cancel, done))
            }
            Searchable::Segment(segment) => {
                let Some(matchers) = self.matchers.for_segment(item.source, segment) else { return false };
                let mut scan = PartScan::new(segment.clone(), matchers, share.clone(), item, &mut found);
                // A few pages are read sooner than a worker is woken, and nearly every part ends here.
                let is_left = self.asked == Some((item.source, item.part, true))
                    || scan.ask_part(&mut found, &mut self.pages);
                self.asked = Some((item.source, item.part, is_left));
                if !is_left {
                    self.ledger.add(item.source, &mut Scanned::spared(found));
                    return true;
                }
                Box::new(ScanJob::new(ticket, scan, found, stop, cancel, done))
            }
        };
        self.tickets = ticket;
        self.running.push(Running { ticket, first: next.first, item: next.item, bytes: bytes_max });
        self.engine.pool.submit(self.number, job);
        true
    }

    fn keep(&self) -> Keep {
        match &self.mode {
            Mode::Rows(_) => Keep::Rows,
            Mode::Prints(_) => Keep::Prints,
            Mode::Count(suspects, histogram) => {
                let buckets: Option<Buckets> = histogram.as_ref().map(|histogram| *histogram.buckets());
                Keep::Count(Arc::clone(suspects), buckets)
            }
        }
    }

    /// Rows before this key are final; `None` when all are.
    fn frontier(&self) -> Option<u128> {
        let waiting = self.waiting.peek().map(|Reverse(waiting)| waiting.first);
        self.running.iter().map(|running| running.first).chain(waiting).min()
    }

    fn can_emit(&self) -> bool {
        let frontier = self.frontier();
        self.merge.next_key().is_some_and(|key| frontier.is_none_or(|frontier| key < frontier))
    }

    /// Sends one chunk of rows that are final.
    fn emit(&mut self) -> Progress {
        let merging = Instant::now();
        let frontier = self.frontier();
        let limit = self.plan.limit.unwrap_or(u64::MAX);
        let (mut freed, mut conflicts) = (0, 0);
        while self.sent < limit && self.chunk.bytes() < QUERY_CHUNK_BYTES {
            let Some(step) = self.merge.step(frontier, &mut |run| freed += run.bytes()) else { break };
            self.sent += 1;
            conflicts += u64::from(step.conflict);
            if let Some(run) = self.merge.run(step.slot) {
                let (rows, row) = run.row(step.index);
                self.chunk.push(rows, row);
            }
        }
        self.held_bytes -= freed;
        let stats = self.ledger.stats();
        stats.conflicts += conflicts;
        stats.stages.merge_us += micros(merging);
        let limited = self.sent >= limit;
        let full = self.chunk.bytes() >= QUERY_CHUNK_BYTES;
        if let Mode::Rows(sink) | Mode::Prints(sink) = &mut self.mode
            && !self.chunk.is_empty()
        {
            let sending = Instant::now();
            let flow = sink(self.chunk.take());
            stats.stages.send_us += micros(sending);
            if flow.is_break() {
                return Progress::Done;
            }
        }
        if limited {
            stats.limited = true;
            self.pass_over_rest();
            return Progress::Done;
        }
        match frontier {
            _ if full => Progress::More,
            Some(_) => Progress::Drained,
            None => Progress::Done,
        }
    }

    /// Counts the items that the limit made needless.
    fn pass_over_rest(&mut self) {
        for Reverse(waiting) in std::mem::take(&mut self.waiting) {
            if !waiting.again {
                self.pass_over(waiting.item);
            }
        }
    }

    fn pass_over(&mut self, item: usize) {
        let item = self.items[item];
        self.ledger.stats().bytes_skipped += item.payload_bytes(&self.over.sources[item.source]);
    }
}

impl Drop for Query<'_, '_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.engine.pool.forget(self.number);
    }
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}
