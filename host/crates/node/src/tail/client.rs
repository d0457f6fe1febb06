//! One client of live records: what it asked for, where it stands, and the few chunks that wait for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use weir_api::backend::TailEvent;
use weir_query::{Matcher, Rows, StreamMatcher};
use weir_record::limits::{QUERY_STRIDE_BYTES, TAIL_CHUNK_BYTES, TAIL_IDLE_MS, TAIL_STREAMS_CACHED_MAX};
use weir_record::{BatchView, Stream};
use weir_storage::{Damage, Piece};

use super::token::{Place, Token};
use super::window::{Next, Window, start_of};

/// One client. Only the hub changes it.
#[derive(Debug)]
pub(crate) struct Client {
    node: u64,
    matcher: Matcher,
    known: HashMap<Arc<Stream>, Option<StreamMatcher>>,
    events: mpsc::Sender<TailEvent>,
    /// All before it was looked at.
    at: Place,
    /// Records that arrived before that place.
    before: u64,
    /// What the last event said, and when.
    told: Option<(Place, Instant)>,
    /// Rows found, not sent yet; and the numbers in them of the streams of the piece that is read.
    rows: Rows,
    numbers: HashMap<u32, u32>,
}

impl Client {
    /// A client that goes on where `resume` says, or begins at the end. What is no longer there, or never was
    /// known here, is a gap.
    pub(crate) fn new(
        node: u64,
        matcher: Matcher,
        resume: Option<&Token>,
        events: mpsc::Sender<TailEvent>,
        window: &Window,
    ) -> Client {
        let place = resume.and_then(|token| token.place(node));
        let found = place.and_then(|place| Some((place, window.before(place)?)));
        let (at, before) = found.unwrap_or((window.end(), window.total()));
        let mut client = Client {
            node,
            matcher,
            known: HashMap::new(),
            events,
            at,
            before,
            told: None,
            rows: Rows::new(),
            numbers: HashMap::new(),
        };
        if resume.is_some() && found.is_none() {
            client.gap(None, "what arrived since the token was given is no longer kept");
        }
        client
    }

    /// Whether the client has gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.events.is_closed()
    }

    /// Whether nothing more can be sent until the client takes something.
    pub(crate) fn is_full(&self) -> bool {
        self.events.capacity() == 0
    }

    /// What it wants to read, as the piece and the batch; `None` when there is nothing, or no room for it. What
    /// it has to be told first it is told.
    pub(crate) fn wants(&mut self, window: &Window, now: Instant) -> Option<(usize, usize)> {
        while !self.is_full() {
            match window.next(self.at, self.before) {
                Next::At { index, batch } => {
                    let kept = window.kept(index);
                    let identity = kept.piece.identity();
                    if self.at.piece != identity.number {
                        self.at = Place { epoch: identity.epoch, piece: identity.number, byte: 0, row: 0 };
                        if kept.broken {
                            self.gap(None, "pieces of the log were gone before they were read");
                            continue;
                        }
                    }
                    return Some((index, batch));
                }
                Next::Lost => {
                    let records = window.total() - self.before;
                    (self.at, self.before) = (window.end(), window.total());
                    self.gap(Some(records), "the client was too slow");
                }
                Next::End => {
                    self.idle(now);
                    return None;
                }
            }
        }
        None
    }

    /// Says where the client stands, when that is news to it: at the beginning, and now and then.
    fn idle(&mut self, now: Instant) {
        let period = Duration::from_millis(TAIL_IDLE_MS);
        let news = self
            .told
            .is_none_or(|(place, at)| place != self.at && now.saturating_duration_since(at) >= period);
        if news {
            self.send(TailEvent::Idle { resume: self.token() });
            self.told = Some((self.at, now));
        }
    }

    /// Searches a batch from where the client stands. `false` when there was no room for all of it.
    pub(crate) fn offer(&mut self, piece: &Piece, place: usize, view: &BatchView<'_>, now: Instant) -> bool {
        if self.is_full() {
            return false;
        }
        let entry = &piece.batches()[place];
        let start = start_of(entry);
        let count = view.ends.len();
        let mut row = if self.at.byte == start { (self.at.row as usize).min(count) } else { 0 };
        let stream = &piece.streams()[entry.stream as usize].stream;
        if let Some(matcher) = self.matcher_of(stream) {
            while row < count {
                let end = stride_end(view, row);
                self.search(&matcher, (entry.stream, stream), view, row..end);
                self.before += (end - row) as u64;
                row = end;
                self.at = after(self.at, start, row, count);
                if self.rows.bytes() >= TAIL_CHUNK_BYTES {
                    self.flush(now);
                    if self.is_full() && row < count {
                        return false;
                    }
                }
            }
        }
        self.before += (count - row) as u64;
        self.at = after(self.at, start, count, count);
        true
    }

    fn search(
        &mut self,
        matcher: &StreamMatcher,
        (number, stream): (u32, &Arc<Stream>),
        view: &BatchView<'_>,
        range: std::ops::Range<usize>,
    ) {
        let start = |row: usize| if row == 0 { 0 } else { view.ends[row - 1] as usize };
        let (rows, numbers) = (&mut self.rows, &mut self.numbers);
        let mut ids = view.ids();
        let mut passed = 0;
        matcher.scan_rows(&view.ends, view.arena, range, &mut |row| {
            // Hits ascend, so the ids are walked through once.
            let Some(id) = ids.nth(row - passed) else { return };
            passed = row + 1;
            let at = *numbers.entry(number).or_insert_with(|| rows.add_stream(Arc::clone(stream)));
            rows.push(id, at, &view.arena[start(row)..view.ends[row] as usize]);
        });
    }

    /// Passes over batches that cannot be read. `false` when there was no room to say so.
    pub(crate) fn pass(&mut self, damage: &Damage, now: Instant) -> bool {
        self.flush(now);
        if self.is_full() {
            return false;
        }
        let seen = if self.at.byte >= damage.offset { u64::from(self.at.row) } else { 0 };
        let records = damage.records.saturating_sub(seen);
        self.before += records;
        self.at = Place { byte: damage.offset + damage.bytes, row: 0, ..self.at };
        self.gap(Some(records), &format!("the log is damaged: {damage}"));
        true
    }

    /// Sends what was found.
    pub(crate) fn flush(&mut self, now: Instant) {
        if !self.rows.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.numbers.clear();
            self.send(TailEvent::Rows { rows, resume: self.token() });
            self.told = Some((self.at, now));
        }
    }

    fn gap(&mut self, records: Option<u64>, why: &str) {
        self.send(TailEvent::Gap { records, why: why.to_owned(), resume: self.token() });
    }

    fn send(&mut self, event: TailEvent) {
        // There is room: only the hub sends, and it has asked. A client that has gone is removed soon.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            debug_assert!(false, "an event was sent without room for it");
            tracing::error!("an event of a tail had no room; please report it");
        }
    }

    fn token(&self) -> Vec<u8> {
        Token::of(self.node, self.at).encode()
    }

    fn matcher_of(&mut self, stream: &Arc<Stream>) -> Option<StreamMatcher> {
        if let Some(known) = self.known.get(stream) {
            return known.clone();
        }
        // Forgetting all at once is crude, and rare enough not to matter.
        if self.known.len() >= TAIL_STREAMS_CACHED_MAX {
            self.known.clear();
        }
        let made = self.matcher.for_stream(stream);
        self.known.insert(Arc::clone(stream), made.clone());
        made
    }
}

/// The row behind those that are searched at once: at least one.
fn stride_end(view: &BatchView<'_>, row: usize) -> usize {
    let start = if row == 0 { 0 } else { view.ends[row - 1] as usize };
    let fitting = view.ends[row..].partition_point(|&end| end as usize <= start + QUERY_STRIDE_BYTES);
    row + fitting.max(1)
}

/// The place behind some rows of the batch that begins at `start`.
fn after(at: Place, start: u64, row: usize, count: usize) -> Place {
    if row < count {
        Place { byte: start, row: row as u32, ..at }
    } else {
        Place { byte: start + 1, row: 0, ..at }
    }
}
