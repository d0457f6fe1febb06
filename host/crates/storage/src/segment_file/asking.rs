//! Asking the filters of a segment, reading no more of them than the question needs.

use std::cell::{Cell, RefCell};

use weir_segment::block::{block_filter, block_pages, part_filter, part_print};
use weir_segment::pages::Pages;
use weir_segment::{FilterEntry, PagedFilter, SegmentError};

use super::{SegmentFile, SegmentFileError};

/// Which filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterOf {
    /// That of a part of the segment, by its number.
    Part(usize),
    /// That of a block, by its number.
    Block(usize),
}

/// A question to a filter: is handed what tells by its hash whether a word may occur.
pub type Ask<'a> = &'a dyn Fn(&dyn Fn(u64) -> bool) -> bool;

impl SegmentFile {
    /// Asks a filter. Of a large one only the pages that the question touches are read. An error says that it
    /// could not be asked, so that nothing is excluded; `buffer` is for the bytes read.
    pub fn ask_filter(
        &self,
        of: FilterOf,
        buffer: &mut Vec<u8>,
        ask: Ask<'_>,
    ) -> Result<bool, SegmentFileError> {
        let footer = self.footer();
        let io = |source| SegmentFileError::Io { path: self.path().to_owned(), source };
        let wrong = |source| SegmentFileError::Segment { path: self.path().to_owned(), source };
        match of {
            FilterOf::Part(part) => {
                let entry = &footer.parts()[part];
                match entry.filter {
                    FilterEntry::Paged(PagedFilter::Fuse(pages)) => self.ask_pages(part, pages, buffer, ask),
                    FilterEntry::Paged(PagedFilter::Open) => Ok(true),
                    FilterEntry::Paged(PagedFilter::Empty) => Ok(ask(&|_| false)),
                    FilterEntry::Whole => {
                        self.read_part(entry, buffer).map_err(io)?;
                        let filter = part_filter(footer, part, buffer).map_err(wrong)?;
                        Ok(ask(&|hash| filter.may_contain_hash(hash)))
                    }
                }
            }
            FilterOf::Block(block) => {
                let entry = &footer.blocks()[block];
                let filter = match entry.filter {
                    FilterEntry::Paged(filter) => {
                        self.read(entry.filter_range(), buffer).map_err(io)?;
                        block_pages(footer, block, filter, buffer)
                    }
                    FilterEntry::Whole => {
                        self.read_side(entry, buffer).map_err(io)?;
                        block_filter(footer, block, buffer)
                    }
                };
                let filter = filter.map_err(wrong)?;
                Ok(ask(&|hash| filter.may_contain_hash(hash)))
            }
        }
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
            self.read(range, buffer)
                .map_err(|source| SegmentFileError::Io { path: self.path().to_owned(), source })?;
            let read: Result<u8, SegmentError> = part_print(self.footer(), part, pages, place, buffer);
            *print =
                read.map_err(|source| SegmentFileError::Segment { path: self.path().to_owned(), source })?;
        }
        Ok(question.is_answered(prints))
    }
}
