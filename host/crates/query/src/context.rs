//! Context: the records before and after each hit in the stream of the hit.
//!
//! [`Groups`] is told all hits and asks for what lies around them, some at a time: an [`Around`] that others answer,
//! each from what it holds, in any order and with repeats. From the union it takes the nearest records, so that
//! nobody needs to know what others hold. Hits of one stream whose context overlaps or touches are a group, as grep
//! has it; a group comes when its first hit would, and in it the records come in the order asked for, each once.
//!
//! The stream of a record is its topic and labels without the marks that weir sets: the parts of a long line stand
//! beside each other. Only records within [`Around::reach_ms`] of the hit count, and of several records with the
//! hit's own id only those that match.

mod known;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::id::{ENTROPY_MAX, TIME_MS_MAX};
use weir_record::limits::{
    QUERY_CHUNK_BYTES, QUERY_CONTEXT_BYTES_MAX, QUERY_CONTEXT_REACH_MS, QUERY_CONTEXT_WINDOW_HITS,
    QUERY_CONTEXT_WINDOW_RECORDS,
};
use weir_record::merge::Order;
use weir_record::{RecordId, Stream};

use crate::rows::{Mark, Row, Rows};
use known::{Known, Neighbour};

/// How much context each hit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// Records before it, that is older ones.
    pub before: usize,
    /// Records after it, that is newer ones.
    pub after: usize,
}

/// A record whose neighbours are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Its id.
    pub id: RecordId,
    /// Its stream.
    pub stream: Arc<Stream>,
}

/// A question for neighbours: of each anchor, the nearest records of its stream on either side. Records whose id
/// is that of the anchor are none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// How many older ones.
    pub before: usize,
    /// How many newer ones.
    pub after: usize,
    /// How far away they may lie, in milliseconds.
    pub reach_ms: u64,
    /// The anchors.
    pub anchors: Vec<Anchor>,
}

/// The records around hits take more memory than they may. The groups must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the records around the hits need more than {QUERY_CONTEXT_BYTES_MAX} bytes of memory")]
pub struct ContextTooLarge;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This is to be asked, and the answer given to [`Groups::answer`].
    Ask(Around),
    /// These rows are to be sent, with their [`Mark`]s.
    Send(Rows),
    /// Everything was sent.
    Done,
}

impl Context {
    /// Whether nothing is asked for.
    pub fn is_none(self) -> bool {
        self.before == 0 && self.after == 0
    }
}

impl Anchor {
    /// The lowest and the highest id of the older neighbours, then those of the newer ones; `None` when there can
    /// be none on that side.
    pub fn sides(&self, reach_ms: u64) -> [Option<(RecordId, RecordId)>; 2] {
        sides(self.id, reach_ms)
    }
}

fn sides(id: RecordId, reach_ms: u64) -> [Option<(RecordId, RecordId)>; 2] {
    let low = RecordId::lowest_at(id.time_ms().saturating_sub(reach_ms));
    let high_ms = id.time_ms().saturating_add(reach_ms).min(TIME_MS_MAX);
    let high = RecordId::from_parts(high_ms, ENTROPY_MAX);
    let older = id.to_u128().checked_sub(1).map(RecordId::from_u128).filter(|last| low <= *last);
    let newer = id.checked_add(1).filter(|first| *first <= high);
    [older.map(|last| (low, last)), newer.map(|first| (first, high))]
}

/// A stream without the marks that weir sets: what records of one source have in common.
fn unmarked(stream: &Arc<Stream>) -> Arc<Stream> {
    if stream.labels().all(|(name, _)| !name.starts_with('_')) {
        return Arc::clone(stream);
    }
    let labels: Vec<_> = stream.labels().filter(|(name, _)| !name.starts_with('_')).collect();
    // Less of what was a stream is one.
    Stream::new(stream.topic(), labels).map_or_else(|_| Arc::clone(stream), Arc::new)
}

/// Whether two streams differ in nothing but the marks that weir sets.
pub(crate) fn is_same_source(a: &Stream, b: &Stream) -> bool {
    fn labels(stream: &Stream) -> impl Iterator<Item = (&str, &str)> {
        stream.labels().filter(|(name, _)| !name.starts_with('_'))
    }
    a.topic() == b.topic() && labels(a).eq(labels(b))
}

/// Puts hits and what lies around them in groups.
#[derive(Debug)]
pub struct Groups {
    order: Order,
    /// Records before a hit in the order of the answer, and after it.
    lead: usize,
    trail: usize,
    reach_ms: u64,
    /// Hits that are asked for at a time.
    window: usize,
    chunks: Vec<Rows>,
    hits: Vec<Hit>,
    sources: Vec<Source>,
    /// By their streams without marks.
    numbers: BTreeMap<Arc<Stream>, usize>,
    /// The first hit that may not have been shown.
    next: usize,
    at: At,
    known_bytes: usize,
    out: Out,
}

#[derive(Debug)]
struct Hit {
    key: u128,
    /// Where its row is.
    chunk: usize,
    row: usize,
    source: usize,
    is_asked: bool,
    is_shown: bool,
}

/// The hits of one stream.
#[derive(Debug)]
struct Source {
    stream: Arc<Stream>,
    /// Those not shown, in order.
    left: VecDeque<usize>,
    known: Known,
    /// The key of the last record shown.
    shown: Option<u128>,
}

/// What is done next.
#[derive(Debug, Clone, Copy)]
enum At {
    /// A group begins with the next hit.
    Begin,
    /// This hit is shown; everything before it was.
    Hit(usize),
    /// The group of this source ends, unless the next hit of the source is near.
    End(usize),
}

impl Groups {
    /// Groups of the hits of an answer, in its order.
    pub fn new(context: Context, order: Order, hits: Vec<Rows>) -> Groups {
        let Context { before, after } = context;
        let (lead, trail) = match order {
            Order::Asc => (before, after),
            Order::Desc => (after, before),
        };
        let window = (QUERY_CONTEXT_WINDOW_RECORDS / (lead + trail + 1)).clamp(1, QUERY_CONTEXT_WINDOW_HITS);
        let mut groups = Groups {
            order,
            lead,
            trail,
            reach_ms: QUERY_CONTEXT_REACH_MS,
            window,
            chunks: hits,
            hits: Vec::new(),
            sources: Vec::new(),
            numbers: BTreeMap::new(),
            next: 0,
            at: At::Begin,
            known_bytes: 0,
            out: Out::default(),
        };
        groups.place();
        groups
    }

    fn place(&mut self) {
        for (chunk, rows) in self.chunks.iter().enumerate() {
            let unmarked: Vec<Arc<Stream>> = rows.streams().iter().map(unmarked).collect();
            for (row, (id, stream)) in rows.ids().iter().zip(rows.stream_of()).enumerate() {
                let stream = &unmarked[*stream as usize];
                let source = *self.numbers.entry(Arc::clone(stream)).or_insert_with(|| {
                    let (left, known) = (VecDeque::new(), Known::default());
                    self.sources.push(Source { stream: Arc::clone(stream), left, known, shown: None });
                    self.sources.len() - 1
                });
                self.sources[source].left.push_back(self.hits.len());
                let key = self.order.key(*id);
                self.hits.push(Hit { key, chunk, row, source, is_asked: false, is_shown: false });
            }
        }
    }

    /// What comes next.
    pub fn step(&mut self) -> Next {
        loop {
            if self.out.rows.bytes() >= QUERY_CHUNK_BYTES {
                return Next::Send(self.out.take());
            }
            let hit = match self.at {
                At::Begin => self.next_hit(),
                At::Hit(hit) => Some(hit),
                At::End(source) => self.sources[source].left.front().copied(),
            };
            let Some(hit) = hit else {
                match self.at {
                    At::End(_) => {
                        self.at = At::Begin;
                        continue;
                    }
                    At::Begin | At::Hit(_) if self.out.rows.is_empty() => return Next::Done,
                    At::Begin | At::Hit(_) => return Next::Send(self.out.take()),
                }
            };
            if !self.hits[hit].is_asked {
                // What is known is shown before anybody is asked.
                return if self.out.rows.is_empty() { self.ask(hit) } else { Next::Send(self.out.take()) };
            }
            match self.at {
                At::Begin => self.begin(hit),
                At::Hit(hit) => self.show(hit),
                At::End(_) => self.end(hit),
            }
        }
    }

    /// Takes rows of an answer to what was asked last. They may come in several goes.
    pub fn answer(&mut self, rows: &Rows) -> Result<(), ContextTooLarge> {
        let numbers = rows.streams().iter().map(|stream| self.numbers.get(&unmarked(stream)).copied());
        let numbers: Vec<Option<usize>> = numbers.collect();
        for (row, stream) in rows.iter().zip(rows.stream_of()) {
            if let Some(source) = numbers[*stream as usize] {
                let known = &mut self.sources[source].known;
                self.known_bytes += known.insert(self.order.key(row.id), row.stream, row.payload);
            }
        }
        if self.known_bytes > QUERY_CONTEXT_BYTES_MAX { Err(ContextTooLarge) } else { Ok(()) }
    }

    fn next_hit(&mut self) -> Option<usize> {
        while self.hits.get(self.next)?.is_shown {
            self.next += 1;
        }
        Some(self.next)
    }

    /// A question for what lies around a hit, and around those that come after it: of its stream, and of all.
    fn ask(&mut self, hit: usize) -> Next {
        let source = &self.sources[self.hits[hit].source];
        let of_source = source.left.iter().copied().take(self.window.div_ceil(2));
        let coming = self.next..self.hits.len().min(self.next + self.window);
        let mut anchors = Vec::new();
        for hit in [hit].into_iter().chain(of_source).chain(coming) {
            let Hit { key, source, is_asked, is_shown, .. } = &mut self.hits[hit];
            if anchors.len() < self.window && !*is_shown && !core::mem::replace(is_asked, true) {
                let stream = Arc::clone(&self.sources[*source].stream);
                anchors.push(Anchor { id: self.order.id(*key), stream });
            }
        }
        // One more before than is shown tells whether there is a gap.
        let (before, after) = match self.order {
            Order::Asc => (self.lead + 1, self.trail),
            Order::Desc => (self.trail, self.lead + 1),
        };
        Next::Ask(Around { before, after, reach_ms: self.reach_ms, anchors })
    }

    /// The lowest and the highest key within reach of a key.
    fn reach(&self, key: u128) -> (u128, u128) {
        let id = self.order.id(key);
        let [older, newer] = sides(id, self.reach_ms);
        let low = older.map_or(id, |(low, _)| low);
        let high = newer.map_or(id, |(_, high)| high);
        self.order.keys(low, high)
    }

    /// Begins a group with a hit.
    fn begin(&mut self, hit: usize) {
        let Hit { key, source, .. } = self.hits[hit];
        let (first, _) = self.reach(key);
        let source = &self.sources[source];
        self.out.begin();
        for neighbour in source.known.before(key, first, self.lead) {
            if source.shown.is_none_or(|shown| neighbour.key > shown) {
                self.out.push_context(self.order, &neighbour);
            }
        }
        self.at = At::Hit(hit);
    }

    /// Shows a hit, and what follows it up to the next one of its source.
    fn show(&mut self, hit: usize) {
        let Hit { key, source: number, .. } = self.hits[hit];
        let (_, last) = self.reach(key);
        let source = &mut self.sources[number];
        // All hits with this id.
        while let Some(&hit) = source.left.front().filter(|hit| self.hits[**hit].key == key) {
            source.left.pop_front();
            let Hit { chunk, row, is_shown, .. } = &mut self.hits[hit];
            *is_shown = true;
            if let Some(row) = self.chunks[*chunk].get(*row) {
                self.out.push(row, false);
            }
        }
        let next = source.left.front().map(|hit| (*hit, self.hits[*hit].key));
        let (mut shown, mut reached) = (key, None);
        for neighbour in source.known.after(key, last, self.trail) {
            reached = next.filter(|(_, next)| neighbour.key >= *next);
            if reached.is_some() {
                break;
            }
            shown = neighbour.key;
            self.out.push_context(self.order, &neighbour);
        }
        source.shown = Some(shown);
        // The last one shown stays known: the next group may touch it.
        self.known_bytes -= source.known.forget_before(shown);
        self.at = reached.map_or(At::End(number), |(hit, _)| At::Hit(hit));
    }

    /// Goes on with a hit of the source whose group ends, if there is no gap before it.
    fn end(&mut self, hit: usize) {
        let Hit { key, source, .. } = self.hits[hit];
        let (first, _) = self.reach(key);
        let source = &self.sources[source];
        let shown = source.shown.unwrap_or(0);
        let lead = source.known.before(key, first, self.lead + 1);
        if lead.first().is_none_or(|nearest| nearest.key > shown) {
            self.at = At::Begin;
            return;
        }
        for neighbour in lead.iter().filter(|neighbour| neighbour.key > shown) {
            self.out.push_context(self.order, neighbour);
        }
        self.at = At::Hit(hit);
    }
}

/// Rows on their way out, each stream said once.
#[derive(Debug, Default)]
struct Out {
    rows: Rows,
    numbers: BTreeMap<Arc<Stream>, u32>,
    /// Whether any row was ever put out, and whether the next one begins another group.
    any: bool,
    begins: bool,
}

impl Out {
    fn begin(&mut self) {
        self.begins = self.any;
    }

    fn push_context(&mut self, order: Order, neighbour: &Neighbour<'_>) {
        let Neighbour { key, stream, payload } = *neighbour;
        self.push(Row { id: order.id(key), stream, payload }, true);
    }

    fn push(&mut self, row: Row<'_>, is_context: bool) {
        let rows = &mut self.rows;
        let known = self.numbers.get(row.stream).copied();
        let number = known.unwrap_or_else(|| {
            let number = rows.add_stream(Arc::clone(row.stream));
            self.numbers.insert(Arc::clone(row.stream), number);
            number
        });
        let begins_group = core::mem::take(&mut self.begins);
        rows.push_marked(row.id, number, row.payload, Mark { is_context, begins_group });
        self.any = true;
    }

    fn take(&mut self) -> Rows {
        self.numbers.clear();
        core::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests;
