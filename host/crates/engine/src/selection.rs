//! Which records of a block are wanted, and how its lines are searched for them.
//!
//! Records of many streams and origins lie interleaved in a block, in runs. The streams of a query fall into
//! few classes that share a matcher, so a block is divided into stretches of records of one class. A class
//! that has a good share of the block is searched for over all of its lines at once, so that the native
//! prefilter runs at its full speed, and hits in other records are thrown away; one that has little of it is
//! searched stretch by stretch.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_query::StreamMatcher;
use weir_record::limits::QUERY_STRIDE_BYTES;
use weir_segment::block::Run;
use weir_segment::{Block, Columns};

/// The class of streams that cannot match.
pub(crate) const NEVER: u32 = u32::MAX;

/// The classes of the streams of a segment.
#[derive(Debug)]
pub(crate) enum Classes {
    /// All streams are of one, as nearly always.
    Same(u32),
    /// By the numbers of the streams.
    Each(Vec<u32>),
}

impl Classes {
    fn of(&self, stream: u32) -> u32 {
        match self {
            Classes::Same(class) => *class,
            Classes::Each(classes) => classes.get(stream as usize).copied().unwrap_or(NEVER),
        }
    }
}

/// Of how many records of a block one must be of a class for all lines to be searched.
const WHOLE_SHARE: usize = 4;

/// Neighbouring records, in the order of their ids, that are wanted and of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    class: u32,
    from: u32,
    to: u32,
}

/// The wanted records of a block.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    // By class, and within one by place.
    stretches: Vec<Stretch>,
    records: usize,
}

impl Selection {
    /// Finds those records of `rows` whose streams have a class and whose origins are wanted (`None`: all).
    pub(crate) fn find(
        &mut self,
        columns: &Columns,
        rows: &Range<usize>,
        class_of: &Classes,
        origins: Option<&[bool]>,
    ) {
        self.stretches.clear();
        let mut origin_runs = Cursor::new(columns.origins());
        let mut from = 0;
        for run in columns.streams() {
            let class = class_of.of(run.index);
            let end = from + run.count as usize;
            while from < end {
                let (origin, until) = match origins {
                    Some(_) => origin_runs.at(from),
                    None => (0, end),
                };
                let to = until.min(end);
                let wanted = origins.is_none_or(|wanted| wanted.get(origin as usize) == Some(&true));
                if wanted && class != NEVER {
                    self.add(class, from.max(rows.start), to.min(rows.end));
                }
                from = to;
            }
        }
        if self.stretches.iter().any(|stretch| stretch.class != self.stretches[0].class) {
            self.stretches.sort_by_key(|stretch| stretch.class);
        }
        self.records = self.stretches.iter().map(|stretch| (stretch.to - stretch.from) as usize).sum();
    }

    fn add(&mut self, class: u32, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let (from, to) = (from as u32, to as u32);
        match self.stretches.last_mut() {
            Some(last) if last.class == class && last.to == from => last.to = to,
            _ => self.stretches.push(Stretch { class, from, to }),
        }
    }

    /// How many.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Their places, in the order of their ids within a class.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.stretches.iter().flat_map(|stretch| stretch.from as usize..stretch.to as usize)
    }

    /// How many of them lie in leaves that were decoded.
    pub(crate) fn records_in(&self, block: &Block) -> usize {
        if block.is_whole() { self.records } else { self.rows().filter(|&row| block.has(row)).count() }
    }

    /// Payload bytes of these.
    pub(crate) fn payload_bytes(&self, block: &Block) -> u64 {
        if self.records == block.columns().ids().len() {
            return (block.arena().len() - block.ends().len()) as u64;
        }
        self.rows().map(|row| block.payload(row).len() as u64).sum()
    }

    /// Whether every one of them matches without a look at it.
    pub(crate) fn matches_all(&self, classes: &[StreamMatcher]) -> bool {
        self.stretches.iter().all(|stretch| classes[stretch.class as usize].matches_all())
    }

    /// Tells `hit` the places of all that match, in any order. Ends early when `stop` is set.
    pub(crate) fn search(
        &self,
        classes: &[StreamMatcher],
        block: &Block,
        members: &mut Members,
        stop: &AtomicBool,
        hit: &mut dyn FnMut(usize),
    ) {
        for group in self.stretches.chunk_by(|a, b| a.class == b.class) {
            let matcher = &classes[group[0].class as usize];
            if matcher.matches_all() {
                assert!(
                    block.is_whole(),
                    "a filter that is asked for a word leaves what matches without one"
                );
                let rows = group.iter().flat_map(|stretch| stretch.from as usize..stretch.to as usize);
                rows.for_each(&mut *hit);
                continue;
            }
            let records: usize = group.iter().map(|stretch| (stretch.to - stretch.from) as usize).sum();
            if records * WHOLE_SHARE >= block.ends().len() {
                members.search_whole(matcher, group, records, block, stop, hit);
            } else if block.is_in_order() {
                for stretch in group {
                    let rows = stretch.from as usize..stretch.to as usize;
                    search_rows(matcher, block, rows, stop, hit);
                }
            } else {
                search_each(matcher, group, block, stop, hit);
            }
        }
    }
}

/// Lines that lie apart: each is a buffer of its own.
fn search_each(
    matcher: &StreamMatcher,
    group: &[Stretch],
    block: &Block,
    stop: &AtomicBool,
    hit: &mut dyn FnMut(usize),
) {
    for stretch in group {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for row in (stretch.from as usize..stretch.to as usize).filter(|&row| block.has(row)) {
            let payload = block.payload(row);
            matcher.scan(&[payload.len() as u32], payload, &mut |_| hit(row));
        }
    }
}

/// What is kept from block to block for its memory.
#[derive(Debug, Default)]
pub(crate) struct Members {
    // Which records are of the group that is searched for.
    member: Vec<bool>,
}

impl Members {
    /// Searches all lines, and passes on what is found in the records of a group.
    fn search_whole(
        &mut self,
        matcher: &StreamMatcher,
        group: &[Stretch],
        records: usize,
        block: &Block,
        stop: &AtomicBool,
        hit: &mut dyn FnMut(usize),
    ) {
        let all = 0..block.ends().len();
        let block_records = block.columns().ids().len();
        if records == block_records && block.is_in_order() {
            return search_rows(matcher, block, all, stop, hit);
        }
        self.member.clear();
        self.member.resize(block_records, false);
        for stretch in group {
            self.member[stretch.from as usize..stretch.to as usize].fill(true);
        }
        let (member, order) = (&self.member, block.order());
        // In order, nothing before the first record of the group or behind its last one is of interest.
        let span = match (group.first(), group.last()) {
            (Some(first), Some(last)) if order.is_empty() => first.from as usize..last.to as usize,
            _ => all,
        };
        search_rows(matcher, block, span, stop, &mut |line| {
            let row = order.get(line).map_or(line, |&row| row as usize);
            if member[row] {
                hit(row);
            }
        });
    }
}

/// Searches some lines, in strides, so that a slow expression can be stopped.
pub(crate) fn search_rows(
    matcher: &StreamMatcher,
    block: &Block,
    rows: Range<usize>,
    stop: &AtomicBool,
    hit: &mut dyn FnMut(usize),
) {
    for stride in strides(block.ends(), rows) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        matcher.scan_lines(block.ends(), block.arena(), stride, hit);
    }
}

/// Ranges of records of about [`QUERY_STRIDE_BYTES`].
pub(crate) fn strides(ends: &[u32], rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut from = rows.start;
    std::iter::from_fn(move || {
        if from >= rows.end {
            return None;
        }
        let start = if from == 0 { 0 } else { ends[from - 1] as usize };
        let stride_end = start + QUERY_STRIDE_BYTES;
        let fitting = ends[from..rows.end].partition_point(|&end| end as usize <= stride_end);
        let to = from + fitting.max(1);
        Some(std::mem::replace(&mut from, to)..to)
    })
}

/// Which run a record lies in. Quick when records are asked for in ascending order.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    runs: &'a [Run],
    run: usize,
    // The first record of the run.
    from: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(runs: &'a [Run]) -> Cursor<'a> {
        Cursor { runs, run: 0, from: 0 }
    }

    /// The number of the run that holds record `row`, and the first record behind it.
    pub(crate) fn at(&mut self, row: usize) -> (u32, usize) {
        if row < self.from {
            (self.run, self.from) = (0, 0);
        }
        loop {
            let Run { index, count } = self.runs[self.run];
            let end = self.from + count as usize;
            if row < end {
                return (index, end);
            }
            self.from = end;
            self.run += 1;
        }
    }
}
