//! Where blocks and parts of the filter lie.

use alloc::vec::Vec;
use core::ops::Range;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::{SEGMENT_BLOCK_RECORDS_MAX, SEGMENT_BLOCKS_MAX, SEGMENT_FILTER_BYTES_MAX};

use crate::envelope::FRAME_HEADER_BYTES;
use crate::level::LEVELS;
use crate::pages::PagedFilter;
use crate::pending::HEAD;

/// One block: a zstd frame with the lines and, right behind it, its side frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes of the zstd frame.
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
    /// CRC-32C of the zstd frame.
    pub data_sum: u32,
    /// CRC-32C of the side frame.
    pub side_sum: u32,
    /// Records per level; version 1 says it in the columns alone.
    pub levels: Option<[u32; LEVELS]>,
    /// Its filter.
    pub filter: FilterEntry,
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

    /// Where the pages of its filter lie in the file; empty for version 1.
    pub fn filter_range(&self) -> Range<u64> {
        let at = self.side_range().start + (FRAME_HEADER_BYTES + HEAD) as u64;
        at..at + self.filter.page_bytes() as u64
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
    /// Where its frame lies, behind its last block. Empty when it has none: a part of a single block, whose
    /// own filter says as much.
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
    fn page_bytes(&self) -> usize {
        match self {
            FilterEntry::Whole => 0,
            FilterEntry::Paged(filter) => filter.bytes(),
        }
    }

    /// Only version 2 is written.
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            FilterEntry::Whole => PagedFilter::Open.encode(out),
            FilterEntry::Paged(filter) => filter.encode(out),
        }
    }

    fn read(reader: &mut Reader<'_>, version: u32) -> Result<Option<FilterEntry>, CodecError> {
        if version == 1 {
            return Ok(Some(FilterEntry::Whole));
        }
        Ok(PagedFilter::read(reader)?.map(FilterEntry::Paged))
    }
}

/// Appends blocks and parts.
///
/// In order: v block count; per block v data bytes, v side bytes, v records, v payload bytes, data sum (4,
/// little-endian), side sum (4), low id (16), high id (16), from version 2 on per level v records, and the
/// filter (see [`PagedFilter::encode`]); v part count; per part v blocks, v bytes of its frame (0 for none),
/// sum (4), from version 2 on the filter. Offsets follow from the lengths: a part's frame lies behind its last
/// block.
pub(crate) fn encode(out: &mut Vec<u8>, blocks: &[BlockEntry], parts: &[PartEntry]) {
    put_varint(out, blocks.len() as u64);
    for block in blocks {
        for number in [block.data_bytes, block.side_bytes, block.records, block.payload_bytes] {
            put_varint(out, u64::from(number));
        }
        out.extend_from_slice(&block.data_sum.to_le_bytes());
        out.extend_from_slice(&block.side_sum.to_le_bytes());
        out.extend_from_slice(&block.low.to_bytes());
        out.extend_from_slice(&block.high.to_bytes());
        block.levels.unwrap_or_default().iter().for_each(|&count| put_varint(out, u64::from(count)));
        block.filter.encode(out);
    }
    put_varint(out, parts.len() as u64);
    for part in parts {
        put_varint(out, part.blocks.len() as u64);
        put_varint(out, part.range.end - part.range.start);
        out.extend_from_slice(&part.sum.to_le_bytes());
        part.filter.encode(out);
    }
}

/// Blocks and parts as they are read, and where the footer must begin.
pub(crate) type Directory = (Vec<BlockEntry>, Vec<PartEntry>, u64);

/// Reads what [`encode`] wrote; `Ok(None)` when it contradicts itself. Of blocks that follow each other the
/// caller checks the order: it knows the sections.
pub(crate) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Option<Directory>, CodecError> {
    let count = reader.bounded("block count", SEGMENT_BLOCKS_MAX)?;
    // Each block has 44 bytes at least.
    let mut blocks: Vec<BlockEntry> = Vec::with_capacity(count.min(reader.rest().len() / 44));
    for _ in 0..count {
        let mut number = |what, max| reader.bounded(what, max).map(|number| number as u32);
        let data_bytes = number("data bytes", FRAME_BYTES_MAX)?;
        let side_bytes = number("side bytes", FRAME_BYTES_MAX)?;
        let records = number("records of a block", SEGMENT_BLOCK_RECORDS_MAX)?;
        let payload_bytes = number("payload bytes of a block", FRAME_BYTES_MAX)?;
        let data_sum = u32::from_le_bytes(reader.array("data sum")?);
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
        let Some(filter) = FilterEntry::read(reader, version)? else { return Ok(None) };
        let entry = BlockEntry {
            offset: 0,
            data_bytes,
            side_bytes,
            records,
            payload_bytes,
            low,
            high,
            data_sum,
            side_sum,
            levels,
            filter,
        };
        let leveled = levels.is_none_or(|levels| {
            levels.iter().map(|&count| u64::from(count)).sum::<u64>() == u64::from(records)
        });
        let has_room = entry.side_range().end >= entry.filter_range().end;
        if records == 0 || low > high || !leveled || !has_room {
            return Ok(None);
        }
        blocks.push(entry);
    }
    let count = reader.bounded("part count", blocks.len())?;
    let mut parts = Vec::with_capacity(count);
    let (mut first, mut offset) = (0, 0);
    for _ in 0..count {
        let covered = reader.bounded("blocks of a part", blocks.len() - first)?;
        let bytes = reader.bounded("bytes of a part", SEGMENT_FILTER_BYTES_MAX + FRAME_HEADER_BYTES)? as u64;
        let sum = u32::from_le_bytes(reader.array("sum of a part")?);
        let Some(filter) = FilterEntry::read(reader, version)? else { return Ok(None) };
        for block in &mut blocks[first..first + covered] {
            block.offset = offset;
            offset = block.range().end;
        }
        let part = PartEntry { blocks: first..first + covered, range: offset..offset + bytes, sum, filter };
        let has_room = bytes == 0 || part.range.end >= part.filter_range().end;
        parts.push(part);
        first += covered;
        offset += bytes;
        if covered == 0 || !has_room {
            return Ok(None);
        }
    }
    Ok((first == blocks.len()).then_some((blocks, parts, offset)))
}

/// More than any frame of a block can have: it only keeps sums within their width.
const FRAME_BYTES_MAX: usize = 64 << 20;
