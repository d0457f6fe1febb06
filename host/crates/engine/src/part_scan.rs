//! The search of some blocks of a part of a segment, a block per step.
//!
//! A block is decoded only when nothing spares it: its ids, the part's filter, the filters of its leaves, its streams
//! and origins, or a count for which its columns or the directory tell enough; and of its leaves those that their
//! filters leave.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_query::{Missing, Order, StreamMatcher};
use weir_segment::{BlockEntry, Columns, LeafSet};

use crate::damaged::{Damaged, DamagedPart};
use crate::findings::{Findings, Halt, Note};
use crate::item::Item;
use crate::job::Scan;
use crate::matchers::SegmentMatchers;
use crate::searchable::{SegmentPiece, Share};
use crate::selection::{Classes, Cursor, search_rows};
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct PartScan {
    segment: SegmentPiece,
    matchers: Arc<SegmentMatchers>,
    share: Share,
    part: usize,
    // Blocks to read, the next one last.
    places: Vec<usize>,
}

/// What the side frame of a block tells of the need to read its lines.
enum Verdict {
    /// These leaves are to be searched.
    Search(LeafSet),
    /// Its filters exclude it.
    Pruned,
    /// Nothing in it is wanted, or it is counted already.
    Done,
    /// It cannot be read, which is noted.
    Unreadable,
}

/// What the search of lines came to.
enum Lines {
    /// All that match were taken.
    Searched,
    /// Payloads hold newlines: which lines they are the columns tell.
    AreNoRecords,
    /// They cannot be read, and why.
    Damaged(String),
}

impl PartScan {
    pub(crate) fn new(
        segment: SegmentPiece,
        matchers: Arc<SegmentMatchers>,
        share: Share,
        item: Item,
        found: &mut Findings,
    ) -> PartScan {
        let mut places = Vec::new();
        for index in item.blocks() {
            let entry = &segment.file().footer().blocks()[index];
            if found.is_asked_for(entry.low, entry.high) {
                places.push(index);
            } else {
                found.skip(entry.payload_bytes);
            }
        }
        if matchers.match_all() && found.has_no_limit() {
            let blocks = || places.iter().map(|&index| &segment.file().footer().blocks()[index]);
            let records = blocks().map(|block| block.records as usize).sum();
            found.expect(records, blocks().map(|block| block.payload_bytes as usize).sum());
        }
        // Blocks lie in the order of their ids.
        if found.order() == Order::Asc {
            places.reverse();
        }
        PartScan { segment, matchers, share, part: item.part, places }
    }

    fn entry(&self, index: usize) -> BlockEntry {
        self.segment.file().footer().blocks()[index]
    }

    /// The next block that can hold rows of interest.
    fn next(&mut self, found: &mut Findings) -> Option<usize> {
        while let Some(index) = self.places.pop() {
            let entry = self.entry(index);
            if found.is_of_interest(entry.low, entry.high) {
                return Some(index);
            }
            found.skip(entry.payload_bytes);
        }
        None
    }

    /// Asks the part's filter: `false` when it excludes all of the blocks, which are counted then, so that there is
    /// nothing to search.
    pub(crate) fn ask_part(&mut self, found: &mut Findings, bytes: &mut Vec<u8>) -> bool {
        let asking = Instant::now();
        let is_left = self.is_left(found, bytes);
        found.spent.filtering += asking.elapsed();
        if !is_left {
            for index in std::mem::take(&mut self.places) {
                found.prune(self.entry(index).payload_bytes);
            }
        }
        is_left
    }

    fn is_left(&self, found: &mut Findings, bytes: &mut Vec<u8>) -> bool {
        let file = self.segment.file();
        let Some(entry) = file.footer().parts().get(self.part) else { return true };
        // A part without bytes has one leaf, whose own filter says as much.
        if self.matchers.prune.is_empty() || entry.range.is_empty() || self.places.is_empty() {
            return true;
        }
        let ask = |may_contain: &dyn Fn(u64) -> bool| self.matchers.prune.may_match(may_contain);
        file.ask_part(self.part, bytes, &ask).unwrap_or_else(|error| {
            self.note_filter(DamagedPart::FilterPart(self.part), error.to_string(), found);
            true
        })
    }

    /// The leaves of a block that their filters leave. A filter that cannot be asked leaves its leaf, and that is noted:
    /// whether more is damaged shows when the block is decoded.
    fn leaves(&self, index: usize, found: &mut Findings, bytes: &mut Vec<u8>) -> LeafSet {
        let file = self.segment.file();
        if self.matchers.prune.is_empty() {
            return LeafSet::all(file.footer().leaves(index).len());
        }
        let ask = |may_contain: &dyn Fn(u64) -> bool| self.matchers.prune.may_match(may_contain);
        let (left, error) = file.ask_leaves(index, bytes, &ask);
        if let Some(error) = error {
            self.note_filter(DamagedPart::BlockFilter(index), error.to_string(), found);
        }
        left
    }

    fn block(
        &self,
        index: usize,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<(), Halt> {
        let file = self.segment.file();
        let entry = self.entry(index);
        let suspects = found.look_at(entry.low, entry.high);
        let countable = found.may_count_unseen() && !suspects;
        if countable && self.is_whole(&entry, found) && self.matchers.match_all() {
            let (low, high) = (entry.low, entry.high);
            let levels = entry.levels.map(|levels| levels.map(u64::from));
            if found.count_unseen(low, high, u64::from(entry.records), levels) {
                found.skip(entry.payload_bytes);
                return Ok(());
            }
        }
        let mut leaves = LeafSet::all(file.footer().leaves(index).len());
        if self.asks_side(countable) {
            let asking = Instant::now();
            let verdict = self.side(index, countable, found, work);
            found.spent.filtering += asking.elapsed();
            match verdict {
                Verdict::Search(left) => leaves = left,
                Verdict::Pruned => {
                    found.prune(entry.payload_bytes);
                    return Ok(());
                }
                Verdict::Done => {
                    found.skip(entry.payload_bytes);
                    return Ok(());
                }
                Verdict::Unreadable => return Ok(()),
            }
        }
        let reading = Instant::now();
        let read = file.read_leaves(index, leaves, &mut work.bytes);
        found.spent.decoding += reading.elapsed();
        if let Err(error) = read {
            self.note_block(index, error.to_string(), found, work);
            return Ok(());
        }
        let pruned = || {
            let left_out =
                file.footer().leaves(index).iter().enumerate().filter(|(leaf, _)| !leaves.has(*leaf));
            left_out.map(|(_, leaf)| u64::from(leaf.payload_bytes())).sum()
        };
        if let Some(matcher) = self.matcher_of_lines(&entry, found) {
            match self.search_lines(index, leaves, matcher, found, stop, work)? {
                Lines::Searched => {
                    found.prune_leaves(pruned());
                    return Ok(());
                }
                Lines::Damaged(why) => {
                    self.note_block(index, why, found, work);
                    return Ok(());
                }
                Lines::AreNoRecords => {}
            }
        }
        let decoding = Instant::now();
        let decoded = work.decode(file.footer(), index, leaves);
        found.spent.decoding += decoding.elapsed();
        match decoded {
            Ok(()) => {
                found.prune_leaves(pruned());
                self.search(found, stop, work)
            }
            Err(why) => {
                self.note_block(index, why.to_string(), found, work);
                Ok(())
            }
        }
    }

    /// What the lines of a block can be searched for before it is known which records they are: when all of its records
    /// are asked for, and for the same.
    fn matcher_of_lines(&self, entry: &BlockEntry, found: &Findings) -> Option<&StreamMatcher> {
        let Classes::Same(class) = self.matchers.class_of else { return None };
        let matcher = self.matchers.classes.get(class as usize)?;
        let is_plain = self.is_whole(entry, found) && self.matchers.has_all_streams && !matcher.matches_all();
        is_plain.then_some(matcher)
    }

    /// Searches lines, and finds out which records they are only of those that match.
    fn search_lines(
        &self,
        index: usize,
        leaves: LeafSet,
        matcher: &StreamMatcher,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<Lines, Halt> {
        let file = self.segment.file();
        let entry = self.entry(index);
        let decoding = Instant::now();
        let decoded = work.lines(file.footer(), index, leaves);
        found.spent.decoding += decoding.elapsed();
        match decoded {
            Ok(true) => {}
            Ok(false) => return Ok(Lines::AreNoRecords),
            Err(error) => return Ok(Lines::Damaged(error.to_string())),
        }
        let count = work.block.ends().len();
        found.touched = true;
        found.stats.batches_scanned += 1;
        found.stats.records_scanned += count as u64;
        found.stats.bytes_scanned += (work.block.arena().len() - count) as u64;
        work.hits.clear();
        search_rows(matcher, &work.block, 0..count, stop, &mut |line| work.hits.push(line as u32));
        let matched = work.hits.len() as u64;
        let suspects = found.look_at(entry.low, entry.high);
        if matched == 0
            || found.may_count_unseen()
                && !suspects
                && found.count_unseen(entry.low, entry.high, matched, None)
        {
            return Ok(Lines::Searched);
        }
        let decoding = Instant::now();
        let decoded = work.records_of_lines(file.footer(), index, leaves);
        found.spent.decoding += decoding.elapsed();
        if let Err(error) = decoded {
            return Ok(Lines::Damaged(error.to_string()));
        }
        let (block, streams) = (&work.block, file.streams());
        let mut runs = Cursor::new(block.columns().streams());
        for &line in &work.hits {
            let row = block.order().get(line as usize).map_or(line, |&row| row) as usize;
            let (number, _) = runs.at(row);
            let stream = (number, &streams[number as usize]);
            found.take(block.columns().ids()[row], stream, block.line(line as usize))?;
        }
        Ok(Lines::Searched)
    }

    /// Whether all records of a block are asked for.
    fn is_whole(&self, entry: &BlockEntry, found: &Findings) -> bool {
        let (low, high) = found.ids();
        entry.low >= low && entry.high <= high && self.share.only().is_none()
    }

    /// Whether the side frame of a block may spare its lines.
    fn asks_side(&self, countable: bool) -> bool {
        !self.matchers.prune.is_empty()
            || self.share.only().is_some()
            || !self.matchers.has_all_streams
            || self.may_count(countable)
    }

    /// Whether the columns of a block may tell how many of its records match.
    fn may_count(&self, countable: bool) -> bool {
        countable && self.matchers.classes.iter().any(StreamMatcher::matches_all)
    }

    fn side(&self, index: usize, countable: bool, found: &mut Findings, work: &mut Workspace) -> Verdict {
        let file = self.segment.file();
        let entry = self.entry(index);
        let leaves = self.leaves(index, found, &mut work.bytes);
        if leaves.is_empty() {
            return Verdict::Pruned;
        }
        let restricted = self.share.only().is_some() || !self.matchers.has_all_streams;
        if !restricted && !self.may_count(countable) {
            return Verdict::Search(leaves);
        }
        if let Err(error) = file.read_side(&entry, &mut work.bytes) {
            self.note_block(index, error.to_string(), found, work);
            return Verdict::Unreadable;
        }
        let columns = match work.columns(file.footer(), index, 0) {
            Ok(columns) => columns,
            Err(error) => {
                self.note_block(index, error.to_string(), found, work);
                return Verdict::Unreadable;
            }
        };
        self.select(&columns, found, work);
        let records = work.selection.records();
        if records == 0 {
            return Verdict::Done;
        }
        if countable && work.selection.matches_all(&self.matchers.classes) {
            let whole = records == columns.ids().len();
            let levels = whole.then(|| columns.levels().map(u64::from));
            found.touched = true;
            if found.count_unseen(entry.low, entry.high, records as u64, levels) {
                return Verdict::Done;
            }
            if let Some(levels) = columns.record_levels() {
                let counted = work.selection.rows().map(|row| (columns.ids()[row], levels[row]));
                found.count_each(counted);
                return Verdict::Done;
            }
        }
        Verdict::Search(leaves)
    }

    /// Finds the records of a block that are wanted.
    fn select(&self, columns: &Columns, found: &Findings, work: &mut Workspace) {
        let (low, high) = found.ids();
        let ids = columns.ids();
        let rows = ids.partition_point(|id| *id < low)..ids.partition_point(|id| *id <= high);
        work.selection.find(columns, &rows, &self.matchers.class_of, self.share.only());
    }

    /// Searches the block that was decoded.
    fn search(&self, found: &mut Findings, stop: &AtomicBool, work: &mut Workspace) -> Result<(), Halt> {
        let block = std::mem::take(&mut work.block);
        let columns = block.columns();
        self.select(columns, found, work);
        found.touched = true;
        found.stats.batches_scanned += 1;
        found.stats.records_scanned += work.selection.records_in(&block) as u64;
        found.stats.bytes_scanned += work.selection.payload_bytes(&block);
        let streams = self.segment.file().streams();
        let mut runs = Cursor::new(columns.streams());
        let mut outcome = Ok(());
        let mut hit = |row: usize| {
            if outcome.is_ok() {
                let (number, _) = runs.at(row);
                let stream = (number, &streams[number as usize]);
                outcome = found.take(columns.ids()[row], stream, block.payload(row));
            }
        };
        work.selection.search(&self.matchers.classes, &block, &mut work.members, stop, &mut hit);
        work.block = block;
        outcome
    }

    fn note_filter(&self, part: DamagedPart, why: String, found: &mut Findings) {
        found.stats.filters_unreadable += 1;
        let place = match part {
            DamagedPart::Block(index) => 2 * index,
            DamagedPart::BlockFilter(index) => 2 * index + 1,
            DamagedPart::FilterPart(number) => usize::MAX - number,
        };
        let damaged = Damaged { file: Arc::clone(self.segment.file()), part, origins: Some(Vec::new()), why };
        found.notes.push(Note { place, missing: None, damaged: Some(damaged) });
    }

    /// Notes that a block is unreadable, and whose records are lost with it, if its columns can still be read.
    /// When none of those is wanted nothing is missing.
    fn note_block(&self, index: usize, why: String, found: &mut Findings, work: &mut Workspace) {
        let file = self.segment.file();
        let entry = self.entry(index);
        let columns = match file.read_side(&entry, &mut work.bytes) {
            Ok(()) => work.columns(file.footer(), index, 0).ok(),
            Err(_) => None,
        };
        let mut is_missed = true;
        let origins = columns.map(|columns| {
            self.select(&columns, found, work);
            is_missed = work.selection.records() > 0;
            let mut origins: Vec<u32> = columns.origins().iter().map(|run| run.index).collect();
            origins.sort_unstable();
            origins.dedup();
            origins
        });
        let missing = Missing {
            node: String::new(),
            place: format!("{}, block {index}, byte {}", self.segment.name(), entry.offset),
            from: entry.low,
            to: entry.high,
            why: why.clone(),
        };
        let damaged = Damaged { file: Arc::clone(file), part: DamagedPart::Block(index), origins, why };
        found.notes.push(Note {
            place: 2 * index,
            missing: is_missed.then_some(missing),
            damaged: Some(damaged),
        });
    }
}

impl Scan for PartScan {
    fn advance(
        &mut self,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<bool, Halt> {
        let Some(index) = self.next(found) else { return Ok(false) };
        self.block(index, found, stop, work)?;
        found.settle()?;
        Ok(true)
    }
}
