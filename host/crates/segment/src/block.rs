//! Reading blocks: filter, columns, lines.

use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::limits::{SEGMENT_BLOCK_BYTES_MAX, SEGMENT_COLUMNS_BYTES_MAX};
use zstd::zstd_safe::DCtx;

use crate::columns::Bounds;
pub use crate::columns::{Columns, Run};
use crate::directory::{BlockEntry, FilterEntry, PartEntry};
use crate::envelope::{FRAME_HEADER_BYTES, PART_MAGIC, SIDE_MAGIC, decompress, frame_body, u32_at};
use crate::error::{Damage, Half, SegmentError};
use crate::filter::Filter;
use crate::footer::Footer;
use crate::group::{starts, starts_of_lines};
use crate::pages::{PagedFilter, Pages, Place};
use crate::pending::HEAD;
use crate::section::of_block;

/// One record of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its id.
    pub id: RecordId,
    /// Number of its stream in [`Footer::streams`].
    pub stream: u32,
    /// Number of its origin in [`Footer::lineage`].
    pub origin: u32,
    /// Its bytes, without the newline behind them.
    pub payload: &'a [u8],
}

/// A decoded block. Kept by its reader and filled again and again, so that its memory is not.
#[derive(Debug, Clone, Default)]
pub struct Block {
    columns: Columns,
    starts: Vec<u32>,
    arena: Vec<u8>,
}

impl Block {
    /// An empty block, to be filled by [`Decoder::block`].
    pub fn new() -> Block {
        Block::default()
    }

    /// A block of its columns and lines; `None` when lines do not end where they should.
    pub(crate) fn of(columns: Columns, arena: Vec<u8>) -> Option<Block> {
        let mut block = Block { columns, starts: Vec::new(), arena };
        block.lay_out().map(|()| block)
    }

    /// Ids, streams, origins, lengths: in the order of the ids.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// All lines as other tools print them, each with its newline: what is searched at once.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Where each record begins in the arena, in the order of the ids.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Whether the arena has the lines in the order of the ids, so that starts go up.
    pub fn is_in_order(&self) -> bool {
        self.columns.groups.is_empty()
    }

    /// Which record each line of the arena is, by its place in the order of the ids: replaces what `order`
    /// holds. Of use when the block [is not in order](Block::is_in_order); else it counts up.
    pub fn arena_order(&self, order: &mut Vec<u32>) {
        order.clear();
        if self.is_in_order() {
            order.extend(0..self.starts.len() as u32);
            return;
        }
        let mut next = [0_u32; 256];
        self.columns.groups.iter().for_each(|&group| next[usize::from(group)] += 1);
        let mut from = 0;
        for place in &mut next {
            (*place, from) = (from, from + *place);
        }
        order.resize(self.starts.len(), 0);
        for (index, &group) in self.columns.groups.iter().enumerate() {
            let place = &mut next[usize::from(group)];
            order[*place as usize] = index as u32;
            *place += 1;
        }
    }

    /// Finds where each record lies in the arena; `None` when lines do not end where they should.
    fn lay_out(&mut self) -> Option<()> {
        let columns = &mut self.columns;
        if columns.lengths.is_empty() {
            let (starts, lengths) = (&mut self.starts, &mut columns.lengths);
            return starts_of_lines(&self.arena, columns.ids.len(), &columns.groups, starts, lengths);
        }
        self.starts = starts(&columns.lengths, &columns.groups);
        let ends = self.starts.iter().zip(&columns.lengths);
        let mut ends = ends.map(|(start, length)| (start + length) as usize);
        ends.all(|end| self.arena[end] == b'\n').then_some(())
    }

    /// The payload of one record, by its place in the order of the ids.
    pub fn payload(&self, index: usize) -> &[u8] {
        let start = self.starts[index] as usize;
        &self.arena[start..start + self.columns.lengths[index] as usize]
    }

    /// The records in the order of their ids.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let expand = |runs: &'_ [Run]| {
            let runs = runs.to_vec();
            runs.into_iter().flat_map(|run| core::iter::repeat_n(run.index, run.count as usize))
        };
        let numbers = expand(&self.columns.streams).zip(expand(&self.columns.origins));
        self.columns.ids.iter().zip(numbers).enumerate().map(|(index, (&id, (stream, origin)))| Record {
            id,
            stream,
            origin,
            payload: self.payload(index),
        })
    }
}

/// The head of a side frame and what follows it, checked; see [`HEAD`].
pub(crate) struct Side<'a> {
    columns_raw_bytes: usize,
    raw_sum: u32,
    filter_sum: u32,
    filter: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Side<'a> {
    /// For its filter: every byte of the frame is proved.
    fn read(entry: &BlockEntry, frame: &'a [u8]) -> Result<Side<'a>, Damage> {
        if frame.len() != entry.side_bytes as usize {
            return Err(Damage::Length { got: frame.len(), expected: entry.side_bytes as usize });
        }
        if crc32c::crc32c(frame) != entry.side_sum {
            return Err(Damage::Sum);
        }
        frame_body(frame, SIDE_MAGIC).ok_or(Damage::Contradiction("it is not a side frame"))?;
        let side = Side::for_columns(entry, frame)?;
        if crc32c::crc32c(side.filter) == side.filter_sum { Ok(side) } else { Err(Damage::Sum) }
    }

    /// The columns as they are encoded.
    pub(crate) fn raw_columns(&self, zstd: &mut DCtx<'static>, raw: &mut Vec<u8>) -> Result<(), Damage> {
        if self.columns_raw_bytes > SEGMENT_COLUMNS_BYTES_MAX {
            return Err(Damage::Contradiction("its columns are larger than columns can be"));
        }
        decompress(zstd, self.columns, self.columns_raw_bytes, raw).map_err(Damage::Zstd)
    }

    /// For its columns: a damaged filter costs speed and no record, so it is not looked at.
    pub(crate) fn for_columns(entry: &BlockEntry, frame: &'a [u8]) -> Result<Side<'a>, Damage> {
        if frame.len() != entry.side_bytes as usize {
            return Err(Damage::Length { got: frame.len(), expected: entry.side_bytes as usize });
        }
        let body = frame.get(FRAME_HEADER_BYTES..).unwrap_or(&[]);
        let (head, rest) = body.split_at_checked(HEAD).ok_or(Damage::Contradiction("it has no head"))?;
        let field = |number: usize| u32_at(head, number * 4);
        if field(9) != crc32c::crc32c(&head[..HEAD - 4]) {
            return Err(Damage::Sum);
        }
        let agrees = field(0) == entry.data_bytes
            && field(1) as usize == entry.raw_bytes()
            && field(2) == entry.records;
        let (filter_bytes, columns_bytes) = (field(3) as usize, field(4) as usize);
        if !agrees || filter_bytes.checked_add(columns_bytes) != Some(rest.len()) {
            return Err(Damage::Contradiction("its head and the footer contradict each other"));
        }
        let (filter, columns) = rest.split_at(filter_bytes);
        if field(8) != crc32c::crc32c(columns) {
            return Err(Damage::Sum);
        }
        let (columns_raw_bytes, raw_sum, filter_sum) = (field(5) as usize, field(6), field(7));
        Ok(Side { columns_raw_bytes, raw_sum, filter_sum, filter, columns })
    }

    fn columns(
        &self,
        footer: &Footer,
        index: usize,
        entry: &BlockEntry,
        zstd: &mut DCtx<'static>,
        raw: &mut Vec<u8>,
    ) -> Result<Columns, Damage> {
        self.raw_columns(zstd, raw)?;
        let section =
            of_block(footer.sections(), index).ok_or(Damage::Contradiction("it lies in no section"))?;
        let bounds = Bounds {
            version: footer.version(),
            records: entry.records as usize,
            raw_bytes: entry.raw_bytes(),
            streams: &section.streams,
            origins: &section.origins,
        };
        let columns =
            Columns::read(raw, bounds)?.ok_or(Damage::Contradiction("its columns contradict each other"))?;
        let ends = (columns.ids.first(), columns.ids.last());
        if ends != (Some(&entry.low), Some(&entry.high)) {
            return Err(Damage::Contradiction("its ids are not those that the footer says"));
        }
        Ok(columns)
    }
}

/// The filter of a block, of its side frame: the bytes of [`BlockEntry::side_range`].
pub fn block_filter<'a>(footer: &Footer, index: usize, frame: &'a [u8]) -> Result<Filter<'a>, SegmentError> {
    let entry = &footer.blocks()[index];
    let filter = || {
        let side = Side::read(entry, frame)?;
        match entry.filter {
            FilterEntry::Whole => {
                Filter::read(side.filter)?.ok_or(Damage::Contradiction("its filter is none"))
            }
            FilterEntry::Paged(filter) => Filter::paged(filter, side.filter, entry.low),
        }
    };
    let offset = entry.side_range().start;
    filter().map_err(|damage| SegmentError::Block { index, offset, half: Half::Side, damage })
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

/// The filter of a block of version 2, of the bytes of [`BlockEntry::filter_range`] alone; for what lies in one
/// piece with all else there is [`block_filter`].
pub fn block_pages<'a>(
    footer: &Footer,
    index: usize,
    filter: PagedFilter,
    pages: &'a [u8],
) -> Result<Filter<'a>, SegmentError> {
    let entry = &footer.blocks()[index];
    let offset = entry.filter_range().start;
    Filter::paged(filter, pages, entry.low).map_err(|damage| SegmentError::Block {
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

/// Decodes blocks; one per thread, for its buffers.
pub struct Decoder {
    zstd: DCtx<'static>,
    columns: Vec<u8>,
    is_quick: bool,
}

impl Decoder {
    /// A decoder. `Err` only for want of memory.
    pub fn new() -> Result<Decoder, SegmentError> {
        let zstd = DCtx::try_create().ok_or(SegmentError::Memory)?;
        Ok(Decoder { zstd, columns: Vec::new(), is_quick: false })
    }

    /// A decoder for questions: bytes as they lie in the file are proven by their sums, and what zstd makes of them
    /// is not once more, which takes a twentieth of the time. For what is written on or handed on there is
    /// [`Decoder::new`].
    pub fn quick() -> Result<Decoder, SegmentError> {
        Ok(Decoder { is_quick: true, ..Decoder::new()? })
    }

    /// The columns of a block without its lines, of the bytes of [`BlockEntry::side_range`].
    pub fn columns(&mut self, footer: &Footer, index: usize, frame: &[u8]) -> Result<Columns, SegmentError> {
        let entry = &footer.blocks()[index];
        let columns = Side::for_columns(entry, frame)
            .and_then(|side| side.columns(footer, index, entry, &mut self.zstd, &mut self.columns));
        let offset = entry.side_range().start;
        columns.map_err(|damage| SegmentError::Block { index, offset, half: Half::Side, damage })
    }

    /// Fills `block` with block `index`, of the bytes of [`BlockEntry::range`]. Its filter is not looked at:
    /// a block whose filter is damaged still has its records. After an error its content is
    /// undefined, and sound.
    ///
    /// # Panics
    /// When the footer has no such block: a programming error.
    pub fn block(
        &mut self,
        footer: &Footer,
        index: usize,
        bytes: &[u8],
        block: &mut Block,
    ) -> Result<(), SegmentError> {
        let entry = &footer.blocks()[index];
        let at = (entry.data_bytes as usize).min(bytes.len());
        let (data, frame) = bytes.split_at(at);
        let broken = |half, damage| {
            let offset = if half == Half::Data { entry.offset } else { entry.side_range().start };
            SegmentError::Block { index, offset, half, damage }
        };
        if data.len() != entry.data_bytes as usize {
            let damage = Damage::Length { got: data.len(), expected: entry.data_bytes as usize };
            return Err(broken(Half::Data, damage));
        }
        let side = Side::for_columns(entry, frame).map_err(|damage| broken(Half::Side, damage))?;
        let columns = side
            .columns(footer, index, entry, &mut self.zstd, &mut self.columns)
            .map_err(|damage| broken(Half::Side, damage))?;
        block.columns = columns;
        let raw_sum = (!self.is_quick).then_some(side.raw_sum);
        let lines = lines(entry, data, raw_sum, &mut self.zstd, &mut block.arena);
        let lines = lines.and_then(|()| {
            block.lay_out().ok_or(Damage::Contradiction("a line does not end where it should"))
        });
        if lines.is_err() {
            *block = Block::new();
        }
        lines.map_err(|damage| broken(Half::Data, damage))
    }
}

/// Decompresses the lines of a block, and proves them where there is a sum; their number of bytes is that of the
/// footer.
fn lines(
    entry: &BlockEntry,
    data: &[u8],
    raw_sum: Option<u32>,
    zstd: &mut DCtx<'static>,
    arena: &mut Vec<u8>,
) -> Result<(), Damage> {
    if entry.raw_bytes() > SEGMENT_BLOCK_BYTES_MAX {
        return Err(Damage::Contradiction("it is larger than a block can be"));
    }
    if crc32c::crc32c(data) != entry.data_sum {
        return Err(Damage::Sum);
    }
    decompress(zstd, data, entry.raw_bytes(), arena).map_err(Damage::Zstd)?;
    if raw_sum.is_none_or(|sum| crc32c::crc32c(arena) == sum) { Ok(()) } else { Err(Damage::Sum) }
}
