//! The filters of leaves and of parts, of the bytes in which they lie.

use alloc::vec::Vec;

use weir_record::RecordId;

use crate::block::Side;
use crate::directory::{BlockEntry, FilterEntry, PartEntry};
use crate::envelope::{FRAME_HEADER_BYTES, PART_MAGIC, frame_body};
use crate::error::{Damage, Half, SegmentError};
use crate::filter::Filter;
use crate::footer::Footer;
use crate::leaf::LeafEntry;
use crate::pages::{PagedFilter, Pages, Place};

/// The filters of a block, one per leaf, of its side frame: the bytes of [`BlockEntry::side_range`].
pub fn leaf_filters<'a>(
    footer: &Footer,
    index: usize,
    frame: &'a [u8],
) -> Result<Vec<Filter<'a>>, SegmentError> {
    let entry = &footer.blocks()[index];
    let read = || -> Result<Vec<Filter<'a>>, Damage> {
        let side = Side::read(entry, frame)?;
        let leaves = footer.leaves(index).iter().enumerate();
        let filter = |(number, leaf): (usize, &LeafEntry)| match leaf.filter {
            FilterEntry::Whole => {
                Filter::read(side.filter)?.ok_or(Damage::Contradiction("its filter is none"))
            }
            FilterEntry::Paged(filter) => paged(entry, number, leaf, filter, side.filter),
        };
        leaves.map(filter).collect()
    };
    let offset = entry.side_range().start;
    read().map_err(|damage| SegmentError::Block { index, offset, half: Half::Side, damage })
}

/// The filter of a leaf, of the pages of all leaves of its block.
fn paged<'a>(
    entry: &BlockEntry,
    number: usize,
    leaf: &LeafEntry,
    filter: PagedFilter,
    pages: &'a [u8],
) -> Result<Filter<'a>, Damage> {
    let (range, got) = (leaf.filter_range(), pages.len());
    let pages = pages.get(range.clone()).ok_or(Damage::Length { got, expected: range.end })?;
    Filter::paged(filter, pages, leaf_salt(entry.low, number))
}

/// What the pages of a leaf's filter are salted with: the lowest id of the block, and so much more than that.
pub(crate) fn leaf_salt(low: RecordId, leaf: usize) -> RecordId {
    RecordId::from_u128(low.to_u128().wrapping_add(leaf as u128))
}

/// A part of the segment's filter: the bytes of [`PartEntry::range`]. A part without bytes excludes nothing.
pub fn part_filter<'a>(footer: &Footer, index: usize, frame: &'a [u8]) -> Result<Filter<'a>, SegmentError> {
    let entry: &PartEntry = &footer.parts()[index];
    let expected = (entry.range.end - entry.range.start) as usize;
    let filter = || {
        if frame.len() != expected {
            return Err(Damage::Length { got: frame.len(), expected });
        }
        if expected == 0 {
            return Filter::read(&[])?.ok_or(Damage::Contradiction("it is none"));
        }
        if crc32c::crc32c(frame) != entry.sum {
            return Err(Damage::Sum);
        }
        let body = frame_body(frame, PART_MAGIC).ok_or(Damage::Contradiction("it is not a part frame"))?;
        debug_assert_eq!(body.len() + FRAME_HEADER_BYTES, frame.len());
        match entry.filter {
            FilterEntry::Whole => Filter::read(body)?.ok_or(Damage::Contradiction("its filter is none")),
            FilterEntry::Paged(filter) => Filter::paged(filter, body, part_salt(footer, entry)),
        }
    };
    filter().map_err(|damage| SegmentError::Part { index, offset: entry.range.start, damage })
}

/// The filter of a leaf whose pages are known to the footer, of the pages of all leaves of its block, which begin at
/// [`BlockEntry::filters_at`]; for what lies in one piece with all else there is [`leaf_filters`].
pub fn leaf_pages<'a>(
    footer: &Footer,
    index: usize,
    leaf: usize,
    filter: PagedFilter,
    pages: &'a [u8],
) -> Result<Filter<'a>, SegmentError> {
    let entry = &footer.blocks()[index];
    let of = &footer.leaves(index)[leaf];
    let offset = entry.filters_at() + u64::from(of.filter_at);
    paged(entry, leaf, of, filter, pages).map_err(|damage| SegmentError::Block {
        index,
        offset,
        half: Half::Side,
        damage,
    })
}

/// The fingerprint at a place of a part's filter, of the bytes that lie there, counted from the start of
/// [`PartEntry::filter_range`].
pub fn part_print(
    footer: &Footer,
    index: usize,
    pages: Pages,
    place: &Place,
    page: &[u8],
) -> Result<u8, SegmentError> {
    let entry = &footer.parts()[index];
    let offset = entry.filter_range().start + place.range.start as u64;
    pages.read_print(page, place, part_salt(footer, entry)).map_err(|damage| SegmentError::Part {
        index,
        offset,
        damage,
    })
}

/// What the pages of a part's filter are salted with.
fn part_salt(footer: &Footer, entry: &PartEntry) -> RecordId {
    footer.blocks().get(entry.blocks.start).map_or(RecordId::MIN, |block| block.low)
}
