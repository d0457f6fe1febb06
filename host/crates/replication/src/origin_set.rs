//! A set of origins of one unit, as ranges of pieces: it stays small where an ingest node's pieces follow each
//! other, which is nearly always.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_record::codec::{Reader, put_varint};
use weir_record::limits::{ORIGIN_SET_ORIGINS_MAX, ORIGIN_SET_RANGES_MAX};
use weir_segment::OriginName;

use crate::error::WireError;

/// Pieces of one writer, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
}

/// Names of origins of one unit. Equal sets compare equal however they came about.
///
/// Takes 16 bytes per range of pieces, beside some per writer (a log of a node).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginSet {
    /// Per node and epoch spans that are sorted, apart and do not touch; never an empty list.
    writers: BTreeMap<(u64, u64), Vec<Span>>,
    count: u64,
}

impl OriginSet {
    /// The empty set.
    pub fn new() -> OriginSet {
        OriginSet::default()
    }

    /// How many origins are in it.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    /// How many ranges it takes to write it down.
    pub fn ranges(&self) -> usize {
        self.writers.values().map(Vec::len).sum()
    }

    /// Adds an origin; `false` when it was there.
    pub fn insert(&mut self, name: OriginName) -> bool {
        let spans = self.writers.entry((name.node, name.epoch)).or_default();
        let piece = name.piece;
        let at = spans.partition_point(|span| span.last < piece);
        if spans.get(at).is_some_and(|span| span.first <= piece) {
            return false;
        }
        let before = at.checked_sub(1).filter(|&left| spans[left].last + 1 == piece);
        let after = spans.get(at).is_some_and(|span| span.first - 1 == piece);
        match (before, after) {
            (Some(left), true) => spans[left].last = spans.remove(at).last,
            (Some(left), false) => spans[left].last = piece,
            (None, true) => spans[at].first = piece,
            (None, false) => spans.insert(at, Span { first: piece, last: piece }),
        }
        self.count += 1;
        true
    }

    /// Takes an origin out; `false` when it was not there.
    pub fn remove(&mut self, name: OriginName) -> bool {
        let writer = (name.node, name.epoch);
        let Some(spans) = self.writers.get_mut(&writer) else { return false };
        let piece = name.piece;
        let at = spans.partition_point(|span| span.last < piece);
        let Some(span) = spans.get(at).copied().filter(|span| span.first <= piece) else { return false };
        match (span.first == piece, span.last == piece) {
            (true, true) => drop(spans.remove(at)),
            (true, false) => spans[at].first += 1,
            (false, true) => spans[at].last -= 1,
            (false, false) => {
                spans[at].first = piece + 1;
                spans.insert(at, Span { first: span.first, last: piece - 1 });
            }
        }
        if spans.is_empty() {
            self.writers.remove(&writer);
        }
        self.count -= 1;
        true
    }

    /// Whether an origin is in it.
    pub fn contains(&self, name: OriginName) -> bool {
        self.writers.get(&(name.node, name.epoch)).is_some_and(|spans| {
            let at = spans.partition_point(|span| span.last < name.piece);
            spans.get(at).is_some_and(|span| span.first <= name.piece)
        })
    }

    /// The origins, in order.
    pub fn iter(&self) -> impl Iterator<Item = OriginName> {
        self.writers.iter().flat_map(|(&(node, epoch), spans)| {
            spans.iter().flat_map(|span| span.first..=span.last).map(move |piece| OriginName {
                node,
                epoch,
                piece,
            })
        })
    }

    /// How many origins each node has sealed of these, in the order of the nodes.
    pub fn nodes(&self) -> Vec<(u64, u64)> {
        let mut nodes: Vec<(u64, u64)> = Vec::new();
        for (&(node, _), spans) in &self.writers {
            let count = spans.iter().map(|span| span.last - span.first + 1).sum::<u64>();
            match nodes.last_mut() {
                Some((last, sum)) if *last == node => *sum += count,
                _ => nodes.push((node, count)),
            }
        }
        nodes
    }

    /// Whether some of them hold batches that may have been stored before.
    pub fn has_repeats(&self) -> bool {
        self.writers.keys().any(|(_, epoch)| epoch & 1 == 1)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &OriginSet) -> OriginSet {
        self.combined(other, |a, b| a || b)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(&self, other: &OriginSet) -> OriginSet {
        // Most of the time holders have the same, or a set of exceptions is empty.
        match (self == other, other.is_empty()) {
            (true, _) => OriginSet::new(),
            (_, true) => self.clone(),
            _ => self.combined(other, |a, b| a && !b),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &OriginSet) -> OriginSet {
        self.combined(other, |a, b| a && b)
    }

    /// What is in so many of them, at least one.
    pub fn in_at_least<'a>(least: usize, sets: impl Iterator<Item = &'a OriginSet>) -> OriginSet {
        // At place n what is in more than n of them.
        let mut more_than: Vec<OriginSet> = Vec::new();
        more_than.resize_with(least.max(1), OriginSet::new);
        for set in sets {
            for n in (1..more_than.len()).rev() {
                let more = more_than[n - 1].intersection(set);
                more_than[n] = more_than[n].union(&more);
            }
            if let Some(first) = more_than.first_mut() {
                *first = first.union(set);
            }
        }
        more_than.pop().unwrap_or_default()
    }

    /// Whether all of this one is in the other.
    pub fn is_subset(&self, other: &OriginSet) -> bool {
        self.count <= other.count && self.difference(other).is_empty()
    }

    /// The origins of a log, repeats included, from one of its pieces on.
    #[must_use]
    pub fn from_piece(&self, node: u64, log_epoch: u64, first_piece: u64) -> OriginSet {
        let mut cut = OriginSet::new();
        for epoch in [log_epoch & !1, log_epoch | 1] {
            let Some(spans) = self.writers.get(&(node, epoch)) else { continue };
            let mut spans = spans[spans.partition_point(|span| span.last < first_piece)..].to_vec();
            if let Some(span) = spans.first_mut() {
                span.first = span.first.max(first_piece);
                cut.put((node, epoch), spans);
            }
        }
        cut
    }

    fn put(&mut self, writer: (u64, u64), spans: Vec<Span>) {
        if !spans.is_empty() {
            self.count += spans.iter().map(|span| span.last - span.first + 1).sum::<u64>();
            self.writers.insert(writer, spans);
        }
    }

    fn combined(&self, other: &OriginSet, keep: fn(bool, bool) -> bool) -> OriginSet {
        let mut result = OriginSet::new();
        for (&writer, spans) in &self.writers {
            let others = other.writers.get(&writer).map_or(&[][..], Vec::as_slice);
            result.put(writer, sweep(spans, others, keep));
        }
        for (&writer, others) in &other.writers {
            if !self.writers.contains_key(&writer) {
                result.put(writer, sweep(&[], others, keep));
            }
        }
        result
    }

    /// Appends the set.
    ///
    /// In order: v writer count; per writer, sorted by node and epoch: node (8, little-endian), epoch (8), v range
    /// count; per range: v first piece (the first range of a writer) or v pieces missing since the range before,
    /// minus one; v pieces in the range, minus one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.writers.len() as u64);
        for (&(node, epoch), spans) in &self.writers {
            out.extend_from_slice(&node.to_le_bytes());
            out.extend_from_slice(&epoch.to_le_bytes());
            put_varint(out, spans.len() as u64);
            let mut next = 0;
            for span in spans {
                put_varint(out, span.first - next);
                put_varint(out, span.last - span.first);
                // Ranges do not touch, so the next one begins at the earliest two behind; at the end of all
                // pieces there is no next one.
                next = span.last.saturating_add(2);
            }
        }
    }

    /// Reads a set off the front of a reader. It has at most [`ORIGIN_SET_RANGES_MAX`] ranges and
    /// [`ORIGIN_SET_ORIGINS_MAX`] origins.
    pub fn read(reader: &mut Reader<'_>) -> Result<OriginSet, WireError> {
        let mut set = OriginSet::new();
        let mut ranges_left = ORIGIN_SET_RANGES_MAX;
        let mut last_writer = None;
        for _ in 0..reader.bounded("writer count", ORIGIN_SET_RANGES_MAX)? {
            let node = u64::from_le_bytes(reader.array("node")?);
            let epoch = u64::from_le_bytes(reader.array("epoch")?);
            if last_writer >= Some((node, epoch)) {
                return Err(WireError::Contradiction("the writers of a set of origins are not in order"));
            }
            last_writer = Some((node, epoch));
            let ranges = reader.bounded("range count", ranges_left)?;
            ranges_left -= ranges;
            let mut spans: Vec<Span> = Vec::with_capacity(ranges.min(reader.rest().len() / 2));
            let mut next = Some(0_u64);
            let mut count = set.count;
            for _ in 0..ranges {
                let (skip, more) = (reader.varint("first piece")?, reader.varint("pieces")?);
                let first = next.and_then(|next| next.checked_add(skip));
                let span = first.and_then(|first| Some(Span { first, last: first.checked_add(more)? }));
                let Some(span) = span else {
                    return Err(WireError::Contradiction("pieces of a set of origins exceed their range"));
                };
                count = count.saturating_add(more).saturating_add(1);
                if count > ORIGIN_SET_ORIGINS_MAX {
                    return Err(WireError::Contradiction("a set of origins has more than there may be"));
                }
                next = span.last.checked_add(2);
                spans.push(span);
            }
            if spans.is_empty() {
                return Err(WireError::Contradiction("a writer of a set of origins has none"));
            }
            set.put((node, epoch), spans);
        }
        Ok(set)
    }
}

impl FromIterator<OriginName> for OriginSet {
    fn from_iter<T: IntoIterator<Item = OriginName>>(names: T) -> OriginSet {
        let mut set = OriginSet::new();
        for name in names {
            set.insert(name);
        }
        set
    }
}

/// Walks both lists at once and keeps the stretches that `keep` wants; it must not want what is in neither.
fn sweep(a: &[Span], b: &[Span], keep: fn(bool, bool) -> bool) -> Vec<Span> {
    let mut result: Vec<Span> = Vec::new();
    let (mut i, mut j) = (0, 0);
    // 128 bits, for the end of the last span lies behind the last piece.
    let mut at = 0_u128;
    let end = |span: &Span| u128::from(span.last) + 1;
    loop {
        while a.get(i).is_some_and(|span| end(span) <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|span| end(span) <= at) {
            j += 1;
        }
        let next = |span: Option<&Span>| match span {
            Some(span) if u128::from(span.first) <= at => (true, end(span)),
            Some(span) => (false, u128::from(span.first)),
            None => (false, u128::MAX),
        };
        let ((in_a, until_a), (in_b, until_b)) = (next(a.get(i)), next(b.get(j)));
        let until = until_a.min(until_b);
        if until == u128::MAX {
            return result;
        }
        if keep(in_a, in_b) {
            let span = Span { first: at as u64, last: (until - 1) as u64 };
            match result.last_mut() {
                Some(last) if end(last) == at => last.last = span.last,
                _ => result.push(span),
            }
        }
        at = until;
    }
}

#[cfg(test)]
mod tests;
