//! One query under way: which pieces are searched when, and when a row may be sent.
//!
//! Every piece waits under the first key it can have. The lowest key of all pieces that wait or are being
//! searched is the frontier: rows before it are final and are sent. Pieces are started lowest key first, as
//! many as memory allows; one that had to cut its rows goes back to wait under the key of the cut.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::mem::take;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

use weir_query::{Missing, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{QUERY_CHUNK_BYTES, QUERY_SCAN_BYTES_MAX, QUERY_SCAN_BYTES_MIN};
use weir_record::merge::Merge;

use crate::cancel::{Cancel, Registration};
use crate::chunk::Chunk;
use crate::collector::{Bounds, SortedRows};
use crate::contested::Contested;
use crate::engine::{Engine, EngineError, Plan};
use crate::matchers::{Matchers, PieceMatchers};
use crate::piece::Piece;
use crate::scan::{Count, Failure, PieceScan, Scanned, Task};

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
    /// They are counted.
    Count,
}

/// A piece, or the rest of one, that waits to be searched. Ordered by its first key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    first: u128,
    piece: usize,
    again: bool,
}

/// A piece that is being searched.
#[derive(Debug)]
struct Running {
    ticket: u64,
    first: u128,
    piece: usize,
    bytes: usize,
}

pub(crate) struct Query<'a, 'm> {
    engine: &'a Engine,
    number: u64,
    plan: &'a Plan,
    mode: Mode<'m>,
    pieces: Vec<Arc<dyn Piece>>,
    contested: Option<Contested>,
    matchers: Matchers,
    // The last key of the plan.
    last: u128,
    waiting: BinaryHeap<Reverse<Waiting>>,
    running: Vec<Running>,
    tickets: u64,
    // How many pieces may be searched at a time.
    ahead: usize,
    merge: Merge<SortedRows>,
    // Bytes of the rows in the merge.
    held_bytes: usize,
    chunk: Chunk,
    unreadable: HashSet<(usize, usize)>,
    stats: Stats,
    started: Instant,
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
    /// Nothing can be sent before another piece was searched.
    Drained,
    /// The answer is whole, or nobody wants the rest.
    Done,
}

impl<'a, 'm> Query<'a, 'm> {
    pub(crate) fn new(
        engine: &'a Engine,
        number: u64,
        plan: &'a Plan,
        pieces: Vec<Arc<dyn Piece>>,
        cancel: &'a Cancel,
        mode: Mode<'m>,
    ) -> Query<'a, 'm> {
        let (sender, events) = channel();
        let registration = cancel.register(&sender);
        let many = 2 * engine.pool.workers();
        // The newest hundred are likely in the newest piece: look there first, and only then ahead.
        let limited = plan.limit.is_some() && matches!(mode, Mode::Rows(_));
        Query {
            engine,
            number,
            plan,
            mode,
            pieces,
            contested: None,
            matchers: Matchers::new(plan.matcher.clone()),
            last: 0,
            waiting: BinaryHeap::new(),
            running: Vec::new(),
            tickets: 0,
            ahead: if limited { 1 } else { many },
            merge: Merge::new(plan.order),
            held_bytes: 0,
            chunk: Chunk::default(),
            unreadable: HashSet::new(),
            stats: Stats::default(),
            started: Instant::now(),
            events,
            sender,
            stop: Arc::default(),
            cancel,
            _registration: registration,
        }
    }

    pub(crate) fn run(mut self) -> Result<Stats, EngineError> {
        self.choose();
        self.stats.stages.plan_us = micros(self.started);
        loop {
            self.take_events()?;
            // Sending comes first: it may show that no other piece is needed.
            let progress = self.emit();
            if matches!(progress, Progress::Done) {
                break;
            }
            self.start_pieces()?;
            if matches!(progress, Progress::Drained) && !self.running.is_empty() {
                let waited = Instant::now();
                // The query itself holds a sender: this cannot fail.
                let Ok(event) = self.events.recv() else { break };
                self.stats.stages.wait_us += micros(waited);
                self.take_event(event)?;
            }
        }
        self.stats.repeats = self.merge.repeats();
        self.stats.duration_ms = self.started.elapsed().as_millis() as u64;
        Ok(take(&mut self.stats))
    }

    /// Which pieces the range of ids leaves.
    fn choose(&mut self) {
        let plan = self.plan;
        let end = match plan.to {
            RecordId::MAX => Some(RecordId::MAX),
            to => to.to_u128().checked_sub(1).map(RecordId::from_u128),
        };
        let Some(high) = end.filter(|to| *to >= plan.from && !self.limit_is(0)) else {
            self.stats.pieces_skipped = self.pieces.len() as u64;
            self.stats.limited = self.limit_is(0);
            return;
        };
        let (first, last) = plan.order.keys(plan.from, high);
        self.last = last;
        for (number, piece) in self.pieces.iter().enumerate() {
            let (piece_low, piece_high) = piece.id_range();
            if piece_low > high || piece_high < plan.from {
                self.stats.pieces_skipped += 1;
                self.stats.bytes_skipped += payload_bytes(&**piece);
                continue;
            }
            if let Some(why) = piece.lost() {
                let place = piece.name().to_owned();
                let node = String::new();
                self.stats.miss(Missing { node, place, from: piece_low, to: piece_high, why });
            }
            let piece_first = plan.order.keys(piece_low, piece_high).0.max(first);
            self.waiting.push(Reverse(Waiting { first: piece_first, piece: number, again: false }));
        }
        if matches!(self.mode, Mode::Count) {
            self.contested = Some(Contested::find(&self.pieces, plan.from, high));
        }
    }

    fn limit_is(&self, count: u64) -> bool {
        matches!(self.mode, Mode::Rows(_)) && self.plan.limit == Some(count)
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
        let scanned = match event {
            Event::Cancelled => return Err(EngineError::Cancelled),
            Event::Scanned(scanned) => *scanned,
        };
        let Some(at) = self.running.iter().position(|running| running.ticket == scanned.ticket) else {
            return Ok(());
        };
        let piece = self.running.swap_remove(at).piece;
        self.ahead = (2 * self.ahead).min(2 * self.engine.pool.workers());
        self.stats.add(scanned.stats);
        for (place, missing) in scanned.unreadable {
            if self.unreadable.insert((piece, place)) {
                self.stats.miss(missing);
            }
        }
        let collected = match scanned.outcome {
            Ok(collected) => collected,
            Err(Failure::TooLarge) => return Err(self.memory()),
            Err(Failure::Panicked(message)) => return Err(EngineError::Worker(message)),
        };
        if let Some(cut) = collected.cut {
            self.waiting.push(Reverse(Waiting { first: cut, piece, again: true }));
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

    /// Starts pieces, lowest key first, as many as memory and workers allow.
    fn start_pieces(&mut self) -> Result<(), EngineError> {
        while self.running.len() < self.ahead {
            let Some(Reverse(next)) = self.waiting.peek() else { return Ok(()) };
            let (number, again) = (next.piece, next.again);
            let piece = Arc::clone(&self.pieces[number]);
            let Some(matchers) = self.matchers.for_piece(&*piece) else {
                self.stats.pieces_skipped += 1;
                self.stats.bytes_skipped += payload_bytes(&*piece);
                self.waiting.pop();
                continue;
            };
            let reserved: usize = self.running.iter().map(|running| running.bytes).sum();
            let free = self.engine.memory_bytes_max.saturating_sub(self.held_bytes + reserved);
            let share = need_bytes(&*piece).min(free / 4).clamp(QUERY_SCAN_BYTES_MIN, QUERY_SCAN_BYTES_MAX);
            if share > free {
                // Others under way, or rows that can be sent, will make room.
                let stuck = self.running.is_empty() && !self.can_emit();
                return if stuck { Err(self.memory()) } else { Ok(()) };
            }
            let Some(Reverse(next)) = self.waiting.pop() else { return Ok(()) };
            self.stats.pieces_scanned += u64::from(!again);
            self.start_piece(&next, piece, matchers, share);
        }
        Ok(())
    }

    fn start_piece(
        &mut self,
        next: &Waiting,
        piece: Arc<dyn Piece>,
        matchers: PieceMatchers,
        bytes_max: usize,
    ) {
        self.tickets += 1;
        let ticket = self.tickets;
        let count = self
            .contested
            .as_ref()
            .map(|contested| Count { contested: contested.of_piece(next.piece), again: next.again });
        let limit = match self.mode {
            Mode::Rows(_) => self.plan.limit.map(|limit| limit.min(u64::from(u32::MAX)) as usize),
            Mode::Count => None,
        };
        let bounds = Bounds { order: self.plan.order, last: self.last, limit, bytes_max };
        let task = Task { ticket, piece, matchers, first: next.first, bounds, count };
        self.running.push(Running { ticket, first: next.first, piece: next.piece, bytes: bytes_max });
        let scan = PieceScan::new(task, Arc::clone(&self.stop), self.sender.clone());
        self.engine.pool.submit(self.number, Box::new(scan));
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
        let limit = match self.mode {
            Mode::Rows(_) => self.plan.limit.unwrap_or(u64::MAX),
            Mode::Count => u64::MAX,
        };
        let mut freed = 0;
        while self.stats.records_matched < limit && self.chunk.bytes() < QUERY_CHUNK_BYTES {
            let Some(step) = self.merge.step(frontier, &mut |run| freed += run.bytes()) else { break };
            self.stats.records_matched += 1;
            self.stats.conflicts += u64::from(step.conflict);
            if let (Mode::Rows(_), Some(run)) = (&self.mode, self.merge.run(step.slot)) {
                let (rows, row) = run.row(step.index);
                self.chunk.push(rows, row);
            }
        }
        self.held_bytes -= freed;
        self.stats.stages.merge_us += micros(merging);
        let limited = self.stats.records_matched >= limit;
        let full = self.chunk.bytes() >= QUERY_CHUNK_BYTES;
        if let Mode::Rows(sink) = &mut self.mode
            && !self.chunk.is_empty()
        {
            let sending = Instant::now();
            let flow = sink(self.chunk.take());
            self.stats.stages.send_us += micros(sending);
            if flow.is_break() {
                return Progress::Done;
            }
        }
        if limited {
            self.stats.limited = true;
            self.pass_over_rest();
            return Progress::Done;
        }
        match frontier {
            _ if full => Progress::More,
            Some(_) => Progress::Drained,
            None => Progress::Done,
        }
    }

    /// Counts the pieces that the limit made needless.
    fn pass_over_rest(&mut self) {
        for Reverse(waiting) in self.waiting.drain().filter(|Reverse(waiting)| !waiting.again) {
            self.stats.pieces_skipped += 1;
            self.stats.bytes_skipped += payload_bytes(&*self.pieces[waiting.piece]);
        }
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

fn payload_bytes(piece: &dyn Piece) -> u64 {
    (0..piece.batch_count()).map(|place| u64::from(piece.batch(place).payload_bytes)).sum()
}

/// What a collector needs to keep every row of a piece: twice the rows, see [`Bounds::bytes_max`].
fn need_bytes(piece: &dyn Piece) -> usize {
    let rows = (0..piece.batch_count()).map(|place| {
        let batch = piece.batch(place);
        batch.payload_bytes as usize + batch.records as usize * Rows::ROW_BYTES
    });
    2 * rows.sum::<usize>() + QUERY_SCAN_BYTES_MIN
}
