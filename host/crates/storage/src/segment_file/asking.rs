//! Asking the filters of a segment, reading no more of them than the question needs.

use std::cell::{Cell, RefCell};

use weir_segment::filters::{leaf_filters, leaf_pages, part_filter, part_print};
use weir_segment::pages::Pages;
use weir_segment::{FilterEntry, LeafSet, PagedFilter, SegmentError};

use super::{SegmentFile, SegmentFileError};

/// A question to a filter: is handed what tells by its hash whether a word may occur.
pub type Ask<'a> = &'a dyn Fn(&dyn Fn(u64) -> bool) -> bool;

impl SegmentFile {
    /// Asks the filter of a part, by its number. Of a large one only the pages that the question touches are read. An
    /// error says that it could not be asked, so that nothing is excluded; `buffer` is for the bytes read.
    pub fn ask_part(
        &self,
        part: usize,
        buffer: &mut Vec<u8>,
        ask: Ask<'_>,
    ) -> Result<bool, SegmentFileError> {
        let footer = self.footer();
        let entry = &footer.parts()[part];
        match entry.filter {
            FilterEntry::Paged(PagedFilter::Fuse(pages)) => self.ask_pages(part, pages, buffer, ask),
            FilterEntry::Paged(PagedFilter::Open) => Ok(true),
            FilterEntry::Paged(PagedFilter::Empty) => Ok(ask(&|_| false)),
            FilterEntry::Whole => {
                self.read_part(entry, buffer).map_err(|source| self.io(source))?;
                let filter = part_filter(footer, part, buffer).map_err(|source| self.wrong(source))?;
                Ok(ask(&|hash| filter.may_contain_hash(hash)))
            }
        }
    }

    /// Asks the filters of the leaves of a block, by its number: those that are left. A filter that cannot be asked
    /// excludes nothing, and what is wrong with it comes with the answer.
    pub fn ask_leaves(
        &self,
        block: usize,
        buffer: &mut Vec<u8>,
        ask: Ask<'_>,
    ) -> (LeafSet, Option<SegmentFileError>) {
        let footer = self.footer();
        let (entry, leaves) = (&footer.blocks()[block], footer.leaves(block));
        let all = LeafSet::all(leaves.len());
        // Version 1 has a block's filter in one piece with its columns, and one leaf.
        let is_whole = leaves.iter().any(|leaf| leaf.filter == FilterEntry::Whole);
        let read = if is_whole {
            self.read_side(entry, buffer)
        } else {
            let bytes = leaves.last().map_or(0, |leaf| leaf.filter_range().end as u64);
            self.read(entry.filters_at()..entry.filters_at() + bytes, buffer)
        };
        if let Err(source) = read {
            return (all, Some(self.io(source)));
        }
        let wrong = RefCell::new(None);
        let is_left = |leaf: usize| {
            let filter = match leaves[leaf].filter {
                FilterEntry::Paged(filter) => leaf_pages(footer, block, leaf, filter, buffer),
                FilterEntry::Whole => leaf_filters(footer, block, buffer).map(|filters| filters[leaf]),
            };
            match filter {
                Ok(filter) => ask(&|hash| filter.may_contain_hash(hash)),
                Err(source) => {
                    *wrong.borrow_mut() = Some(self.wrong(source));
                    true
                }
            }
        };
        let left = all.filter(is_left);
        (left, wrong.into_inner())
    }

    fn io(&self, source: std::io::Error) -> SegmentFileError {
        SegmentFileError::Io { path: self.path().to_owned(), source }
    }

    fn wrong(&self, source: SegmentError) -> SegmentFileError {
        SegmentFileError::Segment { path: self.path().to_owned(), source }
    }

    fn ask_pages(
        &self,
        part: usize,
        pages: Pages,
        buffer: &mut Vec<u8>,
        ask: Ask<'_>,
    ) -> Result<bool, SegmentFileError> {
        let (buffer, failed) = (RefCell::new(buffer), Cell::new(None));
        let answer = ask(&|hash| {
            let answer = self.answer(part, pages, hash, &mut buffer.borrow_mut());
            answer.unwrap_or_else(|error| {
                failed.set(Some(error));
                true
            })
        });
        failed.into_inner().map_or(Ok(answer), Err)
    }

    fn answer(
        &self,
        part: usize,
        pages: Pages,
        hash: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, SegmentFileError> {
        let start = self.footer().parts()[part].filter_range().start;
        let question = pages.question(hash);
        let mut prints = [0; 3];
        for (print, place) in prints.iter_mut().zip(&question.places) {
            let range = start + place.range.start as u64..start + place.range.end as u64;
            self.read(range, buffer).map_err(|source| self.io(source))?;
            let read: Result<u8, SegmentError> = part_print(self.footer(), part, pages, place, buffer);
            *print = read.map_err(|source| self.wrong(source))?;
        }
        Ok(question.is_answered(prints))
    }
}
