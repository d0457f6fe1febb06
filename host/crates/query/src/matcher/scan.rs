//! Searching a flat buffer of payloads.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::matcher::literal::{Finder, Literal};
use crate::matcher::node::Node;
use crate::matcher::words::RequiredWords;

/// Finds the records of one stream that match. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamMatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    plan: Plan,
    words: RequiredWords,
}

/// How a buffer is searched.
#[derive(Debug)]
enum Plan {
    /// Every record matches: nothing is looked at.
    All,
    /// One text. An occurrence is a match or is not; no second look is needed.
    One(Arc<Literal>),
    /// Find what every match must hold, then test those records.
    Candidates { finder: Finder, node: Node },
    /// All records but those of another plan.
    Except(Box<Plan>),
    /// Test every record: nothing is known that all matches hold.
    Each(Node),
}

impl StreamMatcher {
    pub(crate) fn all() -> StreamMatcher {
        StreamMatcher { inner: Arc::new(Inner { plan: Plan::All, words: RequiredWords::none() }) }
    }

    pub(crate) fn new(node: Node) -> StreamMatcher {
        let words = RequiredWords::of(&node);
        StreamMatcher { inner: Arc::new(Inner { plan: Plan::of(node), words }) }
    }

    /// Whether every record matches, so that no payload needs to be read.
    pub fn matches_all(&self) -> bool {
        matches!(self.inner.plan, Plan::All)
    }

    /// The words that every record that matches must hold.
    pub fn required_words(&self) -> &RequiredWords {
        &self.inner.words
    }

    /// Tells `hit` the number of each record that matches, ascending. Record `i` is
    /// `arena[ends[i - 1]..ends[i]]`, `ends[-1]` counting as 0.
    ///
    /// # Panics
    /// When the ends go down or beyond the arena: batches are checked where they are read.
    pub fn scan(&self, ends: &[u32], arena: &[u8], hit: &mut dyn FnMut(usize)) {
        self.scan_rows(ends, arena, 0..ends.len(), hit);
    }

    /// [`StreamMatcher::scan`] for some of the records only.
    pub fn scan_rows(&self, ends: &[u32], arena: &[u8], rows: Range<usize>, hit: &mut dyn FnMut(usize)) {
        self.search(&Buffer { ends, arena, gap: 0 }, rows, hit);
    }

    /// [`StreamMatcher::scan_rows`] over lines: each payload is followed by one byte, its newline, that is
    /// part of no record. Line `i` is `arena[ends[i - 1]..ends[i]]`, and its payload all of it but the last
    /// byte; payloads may have newlines of their own.
    ///
    /// # Panics
    /// When the ends do not go up, or go beyond the arena.
    pub fn scan_lines(&self, ends: &[u32], arena: &[u8], rows: Range<usize>, hit: &mut dyn FnMut(usize)) {
        self.search(&Buffer { ends, arena, gap: 1 }, rows, hit);
    }

    fn search(&self, buffer: &Buffer<'_>, rows: Range<usize>, hit: &mut dyn FnMut(usize)) {
        if !rows.is_empty() {
            self.inner.plan.scan(buffer, rows, hit);
        }
    }
}

/// Payloads laid out flat.
struct Buffer<'a> {
    ends: &'a [u32],
    arena: &'a [u8],
    // Bytes behind each payload that lie before its end and belong to no record.
    gap: usize,
}

impl<'a> Buffer<'a> {
    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] as usize }
    }

    fn end(&self, row: usize) -> usize {
        self.ends[row] as usize
    }

    fn payload(&self, row: usize) -> &'a [u8] {
        &self.arena[self.start(row)..self.end(row) - self.gap]
    }

    /// The record that holds a byte, at or after `row`. Steps double, since the next hit may be the
    /// neighbour or thousands of records away.
    fn row_of(&self, position: usize, row: usize) -> usize {
        if self.end(row) > position {
            return row;
        }
        let (mut low, mut step) = (row, 1);
        while low + step < self.ends.len() && self.end(low + step) <= position {
            low += step;
            step *= 2;
        }
        let high = self.ends.len().min(low + step);
        low + 1 + self.ends[low + 1..high].partition_point(|&end| end as usize <= position)
    }
}

impl Plan {
    fn of(node: Node) -> Plan {
        match node {
            Node::All => Plan::All,
            Node::Not(inner) => Plan::Except(Box::new(Plan::of(*inner))),
            Node::And(parts) if parts.iter().all(|part| matches!(part, Node::Not(_))) => {
                let excluded: Vec<Node> = parts
                    .into_iter()
                    .map(|part| if let Node::Not(inner) = part { *inner } else { part })
                    .collect();
                Plan::Except(Box::new(Plan::of(Node::Or(excluded))))
            }
            Node::Literal(literal) => Plan::One(literal),
            node => match node.needles().and_then(|needles| Finder::new(needles.as_slice())) {
                Some(finder) => Plan::Candidates { finder, node },
                None => Plan::Each(node),
            },
        }
    }

    fn scan(&self, buffer: &Buffer<'_>, rows: Range<usize>, hit: &mut dyn FnMut(usize)) {
        match self {
            Plan::All => rows.for_each(hit),
            Plan::Each(node) => rows.filter(|&row| node.matches(buffer.payload(row))).for_each(hit),
            Plan::One(literal) => scan_one(literal, buffer, rows, hit),
            Plan::Candidates { finder, node } => scan_candidates(finder, node, buffer, rows, hit),
            Plan::Except(excluded) => {
                let mut next = rows.start;
                excluded.scan(buffer, rows.clone(), &mut |row| {
                    (next..row).for_each(&mut *hit);
                    next = row + 1;
                });
                (next..rows.end).for_each(hit);
            }
        }
    }
}

fn scan_one(literal: &Literal, buffer: &Buffer<'_>, rows: Range<usize>, hit: &mut dyn FnMut(usize)) {
    let end = buffer.end(rows.end - 1);
    let (mut at, mut row) = (buffer.start(rows.start), rows.start);
    while let Some(found) = literal.finder.find(&buffer.arena[at..end]) {
        let (position, found_end) = (at + found.start, at + found.end);
        row = buffer.row_of(position, row);
        let (from, payload) = (buffer.start(row), buffer.payload(row));
        if literal.counts_at(payload, position - from..found_end - from) {
            hit(row);
            at = buffer.end(row);
        } else if found_end - from > payload.len() {
            // It runs into the next record, and so would any that begins later in this one.
            at = buffer.end(row);
        } else {
            at = position + 1;
        }
    }
}

fn scan_candidates(
    finder: &Finder,
    node: &Node,
    buffer: &Buffer<'_>,
    rows: Range<usize>,
    hit: &mut dyn FnMut(usize),
) {
    let end = buffer.end(rows.end - 1);
    let (mut at, mut row) = (buffer.start(rows.start), rows.start);
    // A find that runs into the next record is a candidate like any other: the test decides.
    while let Some(found) = finder.find(&buffer.arena[at..end]) {
        row = buffer.row_of(at + found.start, row);
        if node.matches(buffer.payload(row)) {
            hit(row);
        }
        at = buffer.end(row);
    }
}
