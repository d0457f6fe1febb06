//! Where blocks and parts of the filter lie.

use alloc::vec::Vec;
use core::ops::Range;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::{
    SEGMENT_BLOCK_RECORDS_MAX, SEGMENT_BLOCKS_MAX, SEGMENT_FILTER_BYTES_MAX, SEGMENT_LEAVES_MAX,
};

use crate::envelope::FRAME_HEADER_BYTES;
use crate::leaf::{self, LeafEntry};
use crate::level::LEVELS;
use crate::pages::PagedFilter;
use crate::pending::HEAD;

/// One block: its leaves, zstd frames with the lines, and right behind them its side frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes of the zstd frames.
    pub data_bytes: u32,
    /// Bytes of the side frame, its header included.
    pub side_bytes: u32,
    /// Number of records.
    pub records: u32,
    /// Bytes of all payloads, without the newlines.
    pub payload_bytes: u32,
    /// The lowest id.
    pub low: RecordId,
    /// The highest id.
    pub high: RecordId,
    /// CRC-32C of the side frame.
    pub side_sum: u32,
    /// Records per level; version 1 says it in the columns alone.
    pub levels: Option<[u32; LEVELS]>,
    /// Its leaves among those of the segment: the first, and how many.
    pub(crate) leaves: (u32, u32),
}

/// What the directory knows of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterEntry {
    /// Of version 1: it lies in one piece and says itself how it is asked.
    Whole,
    /// Its pages can be read one by one.
    Paged(PagedFilter),
}

impl BlockEntry {
    /// Where the whole block lies in the file.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.data_bytes) + u64::from(self.side_bytes)
    }

    /// Where its side frame lies: enough for filter and columns.
    pub fn side_range(&self) -> Range<u64> {
        self.offset + u64::from(self.data_bytes)..self.range().end
    }

    /// Where the pages of its filters begin in the file.
    pub fn filters_at(&self) -> u64 {
        self.side_range().start + (FRAME_HEADER_BYTES + HEAD) as u64
    }

    /// Its leaves among those of the segment.
    pub(crate) fn leaves(&self) -> Range<usize> {
        self.leaves.0 as usize..(self.leaves.0 + self.leaves.1) as usize
    }

    /// Bytes of the lines, decompressed: each payload with its newline.
    pub fn raw_bytes(&self) -> usize {
        self.payload_bytes as usize + self.records as usize
    }
}

/// A part of the segment's filter: it covers consecutive blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartEntry {
    /// The blocks that it covers.
    pub blocks: Range<usize>,
    /// Where its frame lies, behind its last block. Empty when it has none: a part of a single leaf, whose own
    /// filter says as much.
    pub range: Range<u64>,
    /// CRC-32C of the frame.
    pub sum: u32,
    /// What is in the frame.
    pub filter: FilterEntry,
}

impl PartEntry {
    /// Where its pages lie in the file; empty for version 1.
    pub fn filter_range(&self) -> Range<u64> {
        let at = self.range.start + FRAME_HEADER_BYTES as u64;
        at..at + self.filter.page_bytes() as u64
    }
}

impl FilterEntry {
    pub(crate) fn page_bytes(&self) -> usize {
        match self {
            FilterEntry::Whole => 0,
            FilterEntry::Paged(filter) => filter.bytes(),
        }
    }

    /// Only paged ones are written.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            FilterEntry::Whole => PagedFilter::Open.encode(out),
            FilterEntry::Paged(filter) => filter.encode(out),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Option<FilterEntry>, CodecError> {
        if version == 1 {
            return Ok(Some(FilterEntry::Whole));
        }
        Ok(PagedFilter::read(reader)?.map(FilterEntry::Paged))
    }
}

/// Appends blocks and parts.
///
/// In order: v block count; per block v side bytes, v records, v payload bytes, side sum (4, little-endian), low id
/// (16), high id (16), per level v records, and its leaves (see [`leaf::encode`]); v part count; per part v blocks, v
/// bytes of its frame (0 for none), sum (4), and its filter (see [`PagedFilter::encode`]). Offsets follow from the
/// lengths: a part's frame lies behind its last block.
///
/// In versions 1 and 2 a block has v data bytes, v side bytes, v records, v payload bytes, data sum (4), side sum (4), low
/// id, high id. Version 1 ends here, and its parts have no filter; version 2 has the levels and one filter.
pub(crate) fn encode(out: &mut Vec<u8>, blocks: &[BlockEntry], leaves: &[LeafEntry], parts: &[PartEntry]) {
    put_varint(out, blocks.len() as u64);
    for block in blocks {
        for number in [block.side_bytes, block.records, block.payload_bytes] {
            put_varint(out, u64::from(number));
        }
        out.extend_from_slice(&block.side_sum.to_le_bytes());
        out.extend_from_slice(&block.low.to_bytes());
        out.extend_from_slice(&block.high.to_bytes());
        block.levels.unwrap_or_default().iter().for_each(|&count| put_varint(out, u64::from(count)));
        leaf::encode(out, &leaves[block.leaves()]);
    }
    put_varint(out, parts.len() as u64);
    for part in parts {
        put_varint(out, part.blocks.len() as u64);
        put_varint(out, part.range.end - part.range.start);
        out.extend_from_slice(&part.sum.to_le_bytes());
        part.filter.encode(out);
    }
}

/// Where everything lies, as it is read.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) blocks: Vec<BlockEntry>,
    pub(crate) leaves: Vec<LeafEntry>,
    pub(crate) parts: Vec<PartEntry>,
    /// Where the footer must begin.
    pub(crate) end: u64,
}

/// Reads what [`encode`] wrote; `Ok(None)` when it contradicts itself. Of blocks that follow each other the
/// caller checks the order: it knows the sections.
pub(crate) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Option<Directory>, CodecError> {
    let count = reader.bounded("block count", SEGMENT_BLOCKS_MAX)?;
    let mut directory = Directory::default();
    // Each block has 44 bytes at least.
    directory.blocks.reserve_exact(count.min(reader.rest().len() / 44));
    for _ in 0..count {
        let Some(entry) = read_block(reader, version, &mut directory.leaves)? else { return Ok(None) };
        let leaves = &directory.leaves[entry.leaves()];
        let filters_end = leaves.last().map_or(0, |leaf| leaf.filter_range().end);
        let leveled = entry.levels.is_none_or(|levels| {
            levels.iter().map(|&count| u64::from(count)).sum::<u64>() == u64::from(entry.records)
        });
        let has_room = entry.side_range().end >= entry.filters_at() + filters_end as u64;
        if entry.records == 0 || entry.low > entry.high || !leveled || !has_room {
            return Ok(None);
        }
        directory.blocks.push(entry);
        if directory.leaves.len() > SEGMENT_LEAVES_MAX {
            return Ok(None);
        }
    }
    let is_covered = read_parts(reader, version, &mut directory)?;
    Ok(is_covered.then_some(directory))
}

fn read_block(
    reader: &mut Reader<'_>,
    version: u32,
    leaves: &mut Vec<LeafEntry>,
) -> Result<Option<BlockEntry>, CodecError> {
    let mut number = |what, max| reader.bounded(what, max).map(|number| number as u32);
    let data_bytes = if version < 3 { number("data bytes", FRAME_BYTES_MAX)? } else { 0 };
    let side_bytes = number("side bytes", FRAME_BYTES_MAX)?;
    let records = number("records of a block", SEGMENT_BLOCK_RECORDS_MAX)?;
    let payload_bytes = number("payload bytes of a block", FRAME_BYTES_MAX)?;
    let data_sum = if version < 3 { u32::from_le_bytes(reader.array("data sum")?) } else { 0 };
    let side_sum = u32::from_le_bytes(reader.array("side sum")?);
    let low = RecordId::from_bytes(reader.array("low id")?);
    let high = RecordId::from_bytes(reader.array("high id")?);
    let mut levels = None;
    if version > 1 {
        let counts = levels.insert([0; LEVELS]);
        for count in counts {
            *count = reader.bounded("records of a level", records as usize)? as u32;
        }
    }
    let first = leaves.len();
    let raw_bytes = payload_bytes + records;
    let data_bytes = if version < 3 {
        let Some(filter) = FilterEntry::read(reader, version)? else { return Ok(None) };
        leaves.push(LeafEntry { at: 0, data_bytes, raw_bytes, records, data_sum, filter, filter_at: 0 });
        data_bytes
    } else {
        match leaf::read(reader, leaves)? {
            Some((data_bytes, raw, of_leaves)) if (raw, of_leaves) == (raw_bytes, records) => data_bytes,
            _ => return Ok(None),
        }
    };
    let leaves = (first as u32, (leaves.len() - first) as u32);
    let offset = 0;
    let entry = BlockEntry {
        offset,
        data_bytes,
        side_bytes,
        records,
        payload_bytes,
        low,
        high,
        side_sum,
        levels,
        leaves,
    };
    Ok(Some(entry))
}

/// Reads the parts, and finds where everything lies; `false` when they do not cover the blocks.
fn read_parts(reader: &mut Reader<'_>, version: u32, directory: &mut Directory) -> Result<bool, CodecError> {
    let Directory { blocks, parts, end: offset, .. } = directory;
    let count = reader.bounded("part count", blocks.len())?;
    parts.reserve_exact(count);
    let mut first = 0;
    for _ in 0..count {
        let covered = reader.bounded("blocks of a part", blocks.len() - first)?;
        let bytes = reader.bounded("bytes of a part", SEGMENT_FILTER_BYTES_MAX + FRAME_HEADER_BYTES)? as u64;
        let sum = u32::from_le_bytes(reader.array("sum of a part")?);
        let Some(filter) = FilterEntry::read(reader, version)? else { return Ok(false) };
        for block in &mut blocks[first..first + covered] {
            block.offset = *offset;
            *offset = block.range().end;
        }
        let part = PartEntry { blocks: first..first + covered, range: *offset..*offset + bytes, sum, filter };
        let has_room = bytes == 0 || part.range.end >= part.filter_range().end;
        parts.push(part);
        first += covered;
        *offset += bytes;
        if covered == 0 || !has_room {
            return Ok(false);
        }
    }
    Ok(first == blocks.len())
}

/// More than any frame of a block can have: it only keeps sums within their width.
const FRAME_BYTES_MAX: usize = 64 << 20;
