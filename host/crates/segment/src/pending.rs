//! The block that a writer is filling, and how it becomes bytes.

use alloc::vec::Vec;
use core::ops::Range;

use weir_record::RecordId;
use weir_record::limits::SEGMENT_BLOCK_RECORDS_MAX;
use zstd::zstd_safe::CCtx;

use crate::columns::{Columns, push_run};
use crate::directory::{BlockEntry, FilterEntry};
use crate::envelope::{SIDE_MAGIC, compress, put_frame};
use crate::error::WriteError;
use crate::filters::leaf_salt;
use crate::fuse::Builder;
use crate::group::{SHAPE_BYTES, Shape};
use crate::leaf::{LeafEntry, cut};
use crate::level::{HEAD_BYTES, LEVELS, Level};
use crate::pages::{LEAF_WIDTH, PagedFilter};
use crate::token::{hash_at, is_filtered, words};
use crate::token_set::TokenSet;
use crate::writer::WriterOptions;

/// Length of a side frame's head.
///
/// The body of a side frame is the head, the filters of the leaves (see [`PagedFilter`]), and the columns as a zstd
/// frame (see [`Columns::encode`]). The head, in order, all numbers 4 bytes, little-endian: bytes of the zstd frames
/// before it; their raw bytes; records; filter bytes; columns bytes; columns bytes decompressed; raw sum;
/// filter sum; columns sum; head sum. The sums are CRC-32C: of the lines decompressed, of the filters, of the
/// columns compressed, and of the 36 bytes before the last.
pub(crate) const HEAD: usize = 40;

/// Records of the next block.
pub(crate) struct Pending {
    columns: Columns,
    arena: Vec<u8>,
    // The level of each record.
    levels: Vec<u8>,
    // Where the line of each record begins.
    starts: Vec<u32>,
    // Each word of the leaf under way once, and those of all leaves of the block.
    words: TokenSet,
    leaf_words: Vec<u64>,
    // Which record each line is.
    order: Vec<u32>,
    // Kept from block to block for their memory.
    leaf: Vec<u8>,
    raw_columns: Vec<u8>,
    packed_columns: Vec<u8>,
    filter: Vec<u8>,
    scratch: Vec<u8>,
}

impl Pending {
    pub(crate) fn new() -> Pending {
        Pending {
            columns: Columns::default(),
            arena: Vec::new(),
            levels: Vec::new(),
            starts: Vec::new(),
            words: TokenSet::new(),
            leaf_words: Vec::new(),
            order: Vec::new(),
            leaf: Vec::new(),
            raw_columns: Vec::new(),
            packed_columns: Vec::new(),
            filter: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.ids.is_empty()
    }

    /// Whether a record of so many bytes belongs into the next block.
    pub(crate) fn is_full_for(&self, payload_bytes: usize, block_bytes: usize) -> bool {
        !self.is_empty()
            && (self.arena.len() + payload_bytes + 1 > block_bytes
                || self.columns.ids.len() == SEGMENT_BLOCK_RECORDS_MAX)
    }

    /// The words of the block that was flushed last, as hashes, those of each leaf once.
    pub(crate) fn words(&self) -> &[u64] {
        &self.leaf_words
    }

    /// Records per level so far.
    pub(crate) fn levels(&self) -> [u32; LEVELS] {
        self.columns.levels
    }

    pub(crate) fn push(&mut self, id: RecordId, stream: u32, origin: u32, payload: &[u8], grouped: bool) {
        let columns = &mut self.columns;
        columns.ids.push(id);
        push_run(&mut columns.streams, stream);
        push_run(&mut columns.origins, origin);
        columns.lengths.push(payload.len() as u32);
        let mut level = Level::of_prefix(payload);
        let mut shape = Shape::default();
        for (start, end) in words(payload) {
            if end > HEAD_BYTES || level.is_some() && end > SHAPE_BYTES {
                break;
            }
            shape.word(payload, end);
            if level.is_none() {
                level = Level::of_word(payload, start, end);
            }
        }
        if grouped {
            columns.groups.push(shape.group());
        }
        let level = level.unwrap_or(Level::None) as usize;
        columns.levels[level] += 1;
        self.levels.push(level as u8);
        self.starts.push(self.arena.len() as u32);
        self.arena.extend_from_slice(payload);
        self.arena.push(b'\n');
    }

    /// Appends the block to `out`, its leaves to those of the segment, and starts the next one.
    pub(crate) fn flush(
        &mut self,
        offset: u64,
        options: WriterOptions,
        zstd: &mut CCtx<'static>,
        filters: &mut Builder,
        leaves: &mut Vec<LeafEntry>,
        out: &mut Vec<u8>,
    ) -> Result<BlockEntry, WriteError> {
        self.columns.order_into(&mut self.order);
        self.columns.line_levels.extend(self.order.iter().map(|&record| self.levels[record as usize]));
        let (at, first) = (out.len(), leaves.len());
        let raw = self.put_leaves(options, zstd, filters, leaves, out)?;
        let data_bytes = (out.len() - at) as u32;
        let raw_bytes = self.arena.len() as u32;
        self.raw_columns.clear();
        // Every payload ends with a newline; when there are no others, the lines tell their lengths.
        let lines_tell = raw.newlines == self.columns.ids.len();
        self.columns.encode(lines_tell, &mut self.raw_columns);
        self.packed_columns.clear();
        compress(zstd, &self.raw_columns, options.level, &mut self.packed_columns, &mut self.scratch)?;
        let records = self.columns.ids.len() as u32;
        let numbers = [
            data_bytes,
            raw_bytes,
            records,
            self.filter.len() as u32,
            self.packed_columns.len() as u32,
            self.raw_columns.len() as u32,
            raw.sum,
            crc32c::crc32c(&self.filter),
            crc32c::crc32c(&self.packed_columns),
        ];
        let side_at = out.len();
        put_frame(out, SIDE_MAGIC, &[&head(numbers), &self.filter, &self.packed_columns]);
        let ends = (self.columns.ids.first(), self.columns.ids.last());
        let entry = BlockEntry {
            offset,
            data_bytes,
            side_bytes: (out.len() - side_at) as u32,
            records,
            payload_bytes: raw_bytes - records,
            low: ends.0.copied().unwrap_or(RecordId::MIN),
            high: ends.1.copied().unwrap_or(RecordId::MIN),
            side_sum: crc32c::crc32c(&out[side_at..]),
            levels: Some(self.columns.levels),
            leaves: (first as u32, (leaves.len() - first) as u32),
        };
        self.columns.clear();
        self.arena.clear();
        self.levels.clear();
        self.starts.clear();
        Ok(entry)
    }

    /// Cuts the lines into leaves: their frames go to `out`, their filters to that of the block.
    fn put_leaves(
        &mut self,
        options: WriterOptions,
        zstd: &mut CCtx<'static>,
        filters: &mut Builder,
        leaves: &mut Vec<LeafEntry>,
        out: &mut Vec<u8>,
    ) -> Result<Raw, WriteError> {
        self.filter.clear();
        self.leaf_words.clear();
        let columns = &self.columns;
        let low = columns.ids.first().copied().unwrap_or(RecordId::MIN);
        let sizes = self.order.iter().map(|&record| {
            let group = columns.groups.get(record as usize).copied().unwrap_or(0);
            (group, columns.lengths[record as usize] + 1)
        });
        let cuts = cut(sizes, self.arena.len(), options.leaf_bytes);
        let (block_at, mut from) = (out.len(), 0);
        let mut raw = Raw { sum: 0, newlines: 0 };
        for (number, records) in cuts.into_iter().enumerate() {
            let lines = from..from + records as usize;
            from = lines.end;
            self.gather(lines);
            raw.sum = crc32c::crc32c_append(raw.sum, &self.leaf);
            raw.newlines += memchr::memchr_iter(b'\n', &self.leaf).count();
            let at = out.len();
            let data_bytes = compress(zstd, &self.leaf, options.level, out, &mut self.scratch)? as u32;
            self.leaf_words.extend_from_slice(self.words.members());
            let (salt, filter_at) = (leaf_salt(low, number), self.filter.len() as u32);
            let filter =
                PagedFilter::build(filters, self.words.members(), LEAF_WIDTH, salt, &mut self.filter);
            leaves.push(LeafEntry {
                at: (at - block_at) as u32,
                data_bytes,
                raw_bytes: self.leaf.len() as u32,
                records,
                data_sum: crc32c::crc32c(&out[at..]),
                filter: FilterEntry::Paged(filter),
                filter_at,
            });
        }
        Ok(raw)
    }

    /// Puts the lines of a leaf one behind the other, and finds its words. A leaf fits the cache, the block does not.
    fn gather(&mut self, lines: Range<usize>) {
        self.leaf.clear();
        for &record in &self.order[lines] {
            let start = self.starts[record as usize] as usize;
            let end = start + self.columns.lengths[record as usize] as usize + 1;
            self.leaf.extend_from_slice(&self.arena[start..end]);
        }
        self.words.clear();
        for (start, end) in words(&self.leaf) {
            if is_filtered(&self.leaf[start..end]) {
                self.words.insert(hash_at(&self.leaf, start, end));
            }
        }
    }
}

/// What is known of all lines of a block once its leaves are written.
struct Raw {
    /// CRC-32C of the lines, in the order of the leaves.
    sum: u32,
    newlines: usize,
}

/// The head of a side frame, of the numbers in it.
fn head(numbers: [u32; 9]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    for (field, number) in head.chunks_exact_mut(4).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    let sum = crc32c::crc32c(&head[..HEAD - 4]);
    head[HEAD - 4..].copy_from_slice(&sum.to_le_bytes());
    head
}
