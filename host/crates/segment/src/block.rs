//! Reading blocks: filter, columns, lines.

use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::limits::{SEGMENT_BLOCK_BYTES_MAX, SEGMENT_COLUMNS_BYTES_MAX};
use zstd::zstd_safe::DCtx;

use crate::columns::Bounds;
pub use crate::columns::{Columns, Run};
use crate::directory::BlockEntry;
use crate::envelope::{FRAME_HEADER_BYTES, SIDE_MAGIC, decompress, decompress_into, frame_body, u32_at};
use crate::error::{Damage, Half, SegmentError};
use crate::footer::Footer;
use crate::layout::{Layout, Piece};
use crate::leaf::{LeafEntry, LeafSet};
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
    layout: Layout,
    // Its first `arena_bytes` are those of this block, the rest is left from others.
    arena: Vec<u8>,
    arena_bytes: usize,
}

impl Block {
    /// An empty block, to be filled by [`Decoder::block`].
    pub fn new() -> Block {
        Block::default()
    }

    /// A block of its columns and lines; `None` when lines do not end where they should.
    pub(crate) fn of(columns: Columns, arena: Vec<u8>) -> Option<Block> {
        let (records, arena_bytes) = (columns.ids.len() as u32, arena.len());
        let pieces = [Piece { is_there: true, raw_bytes: arena_bytes as u32, records }];
        let mut block = Block { columns, layout: Layout::default(), arena, arena_bytes };
        block.lay_out(&pieces).map(|()| block)
    }

    /// Ids, streams, origins: in the order of the ids.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// All lines as other tools print them, each with its newline: what is searched at once. Those of the leaves that
    /// were decoded.
    pub fn arena(&self) -> &[u8] {
        &self.arena[..self.arena_bytes]
    }

    /// Where each line of the arena ends, behind its newline.
    pub fn ends(&self) -> &[u32] {
        self.layout.ends()
    }

    /// Which record each line of the arena is, by its place in the order of the ids. Empty when the block
    /// [is in order](Block::is_in_order): then it is that of the line.
    pub fn order(&self) -> &[u32] {
        self.layout.order()
    }

    /// Whether the leaf with the line of a record was decoded.
    pub fn has(&self, index: usize) -> bool {
        self.layout.line_of(index).is_some()
    }

    /// Whether all leaves were decoded.
    pub fn is_whole(&self) -> bool {
        self.layout.is_whole()
    }

    /// Whether the arena has the lines of all records in the order of the ids.
    pub fn is_in_order(&self) -> bool {
        self.is_whole() && self.columns.groups.is_empty()
    }

    /// Finds where each record lies in the arena; `None` when lines do not end where they should.
    fn lay_out(&mut self, pieces: &[Piece]) -> Option<()> {
        self.layout.find(&self.columns, &self.arena[..self.arena_bytes], pieces)
    }

    /// The payload of one record, by its place in the order of the ids; empty when its leaf was not decoded, see
    /// [`Block::has`].
    pub fn payload(&self, index: usize) -> &[u8] {
        self.layout.line_of(index).map_or(&[], |line| self.line(line))
    }

    /// The payload of a line of the arena.
    pub fn line(&self, line: usize) -> &[u8] {
        let range = self.layout.range(line);
        &self.arena[range.start..range.end - 1]
    }

    /// The records of a block that [is whole](Block::is_whole), in the order of their ids.
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
    pub(crate) filter: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Side<'a> {
    /// For its filter: every byte of the frame is proved.
    pub(crate) fn read(entry: &BlockEntry, frame: &'a [u8]) -> Result<Side<'a>, Damage> {
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
        self.leaves(footer, index, LeafSet::all(footer.leaves(index).len()), bytes, block)
    }

    /// The same with some leaves only, of the bytes of their frames, one behind the other, and of the side frame.
    /// The records of other leaves are there, and their payloads are not; see [`Block::has`].
    ///
    /// # Panics
    /// When the footer has no such block: a programming error.
    pub fn leaves(
        &mut self,
        footer: &Footer,
        index: usize,
        wanted: LeafSet,
        bytes: &[u8],
        block: &mut Block,
    ) -> Result<(), SegmentError> {
        let leaves = footer.leaves(index);
        let data_bytes: usize = wanted.iter().map(|leaf| leaves[leaf].data_bytes as usize).sum();
        let (data, frame) = bytes.split_at(data_bytes.min(bytes.len()));
        let decoded = self.decode_lines(leaves, wanted, data, block).and_then(|()| {
            let raw_sum = self.decode_columns(footer, index, frame, block)?;
            let raw_sum = raw_sum.filter(|_| wanted.is_all());
            if raw_sum.is_some_and(|sum| crc32c::crc32c(block.arena()) != sum) {
                return Err((Half::Data, 0, Damage::Sum));
            }
            block.lay_out(&pieces(leaves, wanted)).ok_or((Half::Data, 0, ENDS))
        });
        broken(footer, index, block, decoded)
    }

    /// Fills `block` with the lines of some leaves and nothing else, of the bytes of their frames: enough to search them.
    /// `false` when payloads hold newlines, so that lines are not records; `block` is of no use then.
    ///
    /// # Panics
    /// When the footer has no such block: a programming error.
    pub fn lines(
        &mut self,
        footer: &Footer,
        index: usize,
        wanted: LeafSet,
        data: &[u8],
        block: &mut Block,
    ) -> Result<bool, SegmentError> {
        let leaves = footer.leaves(index);
        let decoded = self.decode_lines(leaves, wanted, data, block);
        broken(footer, index, block, decoded)?;
        let lines = &block.arena[..block.arena_bytes];
        Ok(block.layout.end_at_newlines(lines, &pieces(leaves, wanted)).is_some())
    }

    /// Adds to the [lines](Decoder::lines) of some leaves the columns, of the bytes of [`BlockEntry::side_range`]: which
    /// record each line is. Records cannot be looked up: [`Block::payload`] is not to be called.
    pub fn records_of_lines(
        &mut self,
        footer: &Footer,
        index: usize,
        wanted: LeafSet,
        frame: &[u8],
        block: &mut Block,
    ) -> Result<(), SegmentError> {
        let pieces = pieces(footer.leaves(index), wanted);
        let decoded = self
            .decode_columns(footer, index, frame, block)
            .and_then(|_| block.layout.find_records(&block.columns, &pieces).ok_or((Half::Data, 0, ENDS)));
        broken(footer, index, block, decoded)
    }

    /// The columns; and the sum of all lines, where it is to be proven.
    fn decode_columns(
        &mut self,
        footer: &Footer,
        index: usize,
        frame: &[u8],
        block: &mut Block,
    ) -> Result<Option<u32>, Broken> {
        let entry = &footer.blocks()[index];
        let side = Side::for_columns(entry, frame).map_err(|damage| (Half::Side, 0, damage))?;
        block.columns = side
            .columns(footer, index, entry, &mut self.zstd, &mut self.columns)
            .map_err(|damage| (Half::Side, 0, damage))?;
        Ok((!self.is_quick).then_some(side.raw_sum))
    }

    /// Decompresses the lines of some leaves of a block, which lie one behind the other.
    fn decode_lines(
        &mut self,
        leaves: &[LeafEntry],
        wanted: LeafSet,
        mut data: &[u8],
        block: &mut Block,
    ) -> Result<(), Broken> {
        let data_bytes: usize = wanted.iter().map(|leaf| leaves[leaf].data_bytes as usize).sum();
        if data.len() != data_bytes {
            return Err((Half::Data, 0, Damage::Length { got: data.len(), expected: data_bytes }));
        }
        let raw_bytes: usize = wanted.iter().map(|leaf| leaves[leaf].raw_bytes as usize).sum();
        if raw_bytes > SEGMENT_BLOCK_BYTES_MAX {
            return Err((Half::Data, 0, Damage::Contradiction("it is larger than a block can be")));
        }
        if block.arena.len() < raw_bytes {
            block.arena.resize(raw_bytes, 0);
        }
        block.arena_bytes = 0;
        for leaf in wanted.iter().map(|leaf| &leaves[leaf]) {
            let (frame, rest) = data.split_at(leaf.data_bytes as usize);
            data = rest;
            if crc32c::crc32c(frame) != leaf.data_sum {
                return Err((Half::Data, leaf.at, Damage::Sum));
            }
            let to = block.arena_bytes + leaf.raw_bytes as usize;
            decompress_into(&mut self.zstd, frame, &mut block.arena[block.arena_bytes..to])
                .map_err(|why| (Half::Data, leaf.at, Damage::Zstd(why)))?;
            block.arena_bytes = to;
        }
        Ok(())
    }
}

/// Which half of a block is damaged, where within it, and how.
type Broken = (Half, u32, Damage);

const ENDS: Damage = Damage::Contradiction("a line does not end where it should");

/// The leaves of a block, as they are laid out.
fn pieces(leaves: &[LeafEntry], wanted: LeafSet) -> Vec<Piece> {
    let piece = |(number, leaf): (usize, &LeafEntry)| Piece {
        is_there: wanted.has(number),
        raw_bytes: leaf.raw_bytes,
        records: leaf.records,
    };
    leaves.iter().enumerate().map(piece).collect()
}

/// What decoding came to; a block that is broken holds nothing.
fn broken(
    footer: &Footer,
    index: usize,
    block: &mut Block,
    decoded: Result<(), Broken>,
) -> Result<(), SegmentError> {
    decoded.map_err(|(half, at, damage)| {
        *block = Block::new();
        let entry = &footer.blocks()[index];
        let start = if half == Half::Data { entry.offset } else { entry.side_range().start };
        SegmentError::Block { index, offset: start + u64::from(at), half, damage }
    })
}
