//! The search of some blocks of a part of a segment, a block per step.
//!
//! A block is decoded only when nothing spares it: its ids, the part's filter, its own filter, its streams and
//! origins, or a count for which its columns or the directory tell enough.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_query::{Missing, Order, StreamMatcher};
use weir_segment::{BlockEntry, Columns};
use weir_storage::FilterOf;

use crate::collector::TooLarge;
use crate::damaged::{Damaged, DamagedPart};
use crate::findings::{Findings, Note};
use crate::item::Item;
use crate::job::Scan;
use crate::matchers::SegmentMatchers;
use crate::searchable::{SegmentPiece, Share};
use crate::selection::Cursor;
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
    Search,
    /// Its filter excludes it.
    Pruned,
    /// Nothing in it is wanted, or it is counted already.
    Done,
    /// It cannot be read, which is noted.
    Unreadable,
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
        // A part without bytes has one block, whose own filter says as much.
        if self.matchers.prune.is_empty() || entry.range.is_empty() || self.places.is_empty() {
            return true;
        }
        self.ask(FilterOf::Part(self.part), DamagedPart::FilterPart(self.part), found, bytes)
    }

    /// Whether a filter leaves what it covers. One that cannot be asked leaves it, and that is noted.
    fn ask(&self, of: FilterOf, part: DamagedPart, found: &mut Findings, bytes: &mut Vec<u8>) -> bool {
        let prune = &self.matchers.prune;
        let answer = self.segment.file().ask_filter(of, bytes, &|may_contain| prune.may_match(may_contain));
        answer.unwrap_or_else(|error| {
            self.note_filter(part, error.to_string(), found);
            true
        })
    }

    fn block(
        &self,
        index: usize,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<(), TooLarge> {
        let file = self.segment.file();
        let entry = self.entry(index);
        let suspects = found.look_at(entry.low, entry.high);
        let countable = found.is_counting() && !suspects;
        if countable && self.is_whole(&entry, found) && self.matchers.match_all() {
            let (low, high) = (entry.low, entry.high);
            let levels = entry.levels.map(|levels| levels.map(u64::from));
            if found.count_unseen(low, high, u64::from(entry.records), levels) {
                found.skip(entry.payload_bytes);
                return Ok(());
            }
        }
        if self.asks_side(countable) {
            let asking = Instant::now();
            let verdict = self.side(index, countable, found, work);
            found.spent.filtering += asking.elapsed();
            match verdict {
                Verdict::Search => {}
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
        let decoded = match file.read_block(&entry, &mut work.bytes) {
            Ok(()) => work.decode(file.footer(), index).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        found.spent.decoding += reading.elapsed();
        match decoded {
            Ok(()) => self.search(found, stop, work),
            Err(why) => {
                self.note_block(index, why, found, work);
                Ok(())
            }
        }
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
        // Of a filter that cannot be asked: whether more is damaged shows when the block is decoded.
        if !self.matchers.prune.is_empty()
            && !self.ask(FilterOf::Block(index), DamagedPart::BlockFilter(index), found, &mut work.bytes)
        {
            return Verdict::Pruned;
        }
        let restricted = self.share.only().is_some() || !self.matchers.has_all_streams;
        if !restricted && !self.may_count(countable) {
            return Verdict::Search;
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
        }
        Verdict::Search
    }

    /// Finds the records of a block that are wanted.
    fn select(&self, columns: &Columns, found: &Findings, work: &mut Workspace) {
        let (low, high) = found.ids();
        let ids = columns.ids();
        let rows = ids.partition_point(|id| *id < low)..ids.partition_point(|id| *id <= high);
        work.selection.find(columns, &rows, &self.matchers.class_of, self.share.only());
    }

    /// Searches the block that was decoded.
    fn search(&self, found: &mut Findings, stop: &AtomicBool, work: &mut Workspace) -> Result<(), TooLarge> {
        let block = std::mem::take(&mut work.block);
        let columns = block.columns();
        self.select(columns, found, work);
        found.touched = true;
        found.stats.batches_scanned += 1;
        found.stats.records_scanned += work.selection.records() as u64;
        found.stats.bytes_scanned += work.selection.payload_bytes(columns);
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
        work.selection.search(&self.matchers.classes, &block, &mut work.lines, stop, &mut hit);
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
    ) -> Result<bool, TooLarge> {
        let Some(index) = self.next(found) else { return Ok(false) };
        self.block(index, found, stop, work)?;
        found.tighten()?;
        Ok(true)
    }
}
