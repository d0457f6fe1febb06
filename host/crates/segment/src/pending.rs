//! The block that a writer is filling, and how it becomes bytes.

use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::limits::SEGMENT_BLOCK_RECORDS_MAX;
use zstd::zstd_safe::CCtx;

use crate::columns::{Columns, push_run};
use crate::directory::{BlockEntry, FilterEntry};
use crate::envelope::{FRAME_HEADER_BYTES, SIDE_MAGIC, compress, put_frame};
use crate::error::WriteError;
use crate::fuse::Builder;
use crate::group::{Shape, starts};
use crate::level::{HEAD_BYTES, LEVELS, Level};
use crate::pages::{BLOCK_WIDTH, PagedFilter};
use crate::token::{hash_at, is_filtered, words};
use crate::token_set::TokenSet;

/// Length of a side frame's head.
///
/// The body of a side frame is the head, the filter (see [`PagedFilter`]), and the columns as a zstd frame
/// (see [`Columns::encode`]). The head, in order, all numbers 4 bytes, little-endian: bytes of the zstd frame
/// before it; its raw bytes; records; filter bytes; columns bytes; columns bytes decompressed; raw sum;
/// filter sum; columns sum; head sum. The sums are CRC-32C: of the lines decompressed, of the filter, of the
/// columns compressed, and of the 36 bytes before the last.
pub(crate) const HEAD: usize = 40;

/// Records of the next block.
pub(crate) struct Pending {
    columns: Columns,
    arena: Vec<u8>,
    words: TokenSet,
    // Kept from block to block for their memory.
    grouped: Vec<u8>,
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
            words: TokenSet::new(),
            grouped: Vec::new(),
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

    /// The words of the block so far, as hashes.
    pub(crate) fn words(&self) -> &[u64] {
        self.words.members()
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
            shape.word(payload, end);
            if is_filtered(&payload[start..end]) {
                self.words.insert(hash_at(payload, start, end));
            }
            if level.is_none() && end <= HEAD_BYTES {
                level = Level::of_word(payload, start, end);
            }
        }
        if grouped {
            columns.groups.push(shape.group());
        }
        columns.levels[level.unwrap_or(Level::None) as usize] += 1;
        self.arena.extend_from_slice(payload);
        self.arena.push(b'\n');
    }

    /// Appends the block to `out` and starts the next one. The words stay until [`Pending::clear_words`].
    pub(crate) fn flush(
        &mut self,
        offset: u64,
        level: i32,
        zstd: &mut CCtx<'static>,
        filters: &mut Builder,
        out: &mut Vec<u8>,
    ) -> Result<BlockEntry, WriteError> {
        if !self.columns.groups.is_empty() {
            self.group();
        }
        let lines = if self.columns.groups.is_empty() { &self.arena } else { &self.grouped };
        let raw_bytes = lines.len() as u32;
        let raw_sum = crc32c::crc32c(lines);
        let at = out.len();
        let data_bytes = compress(zstd, lines, level, out, &mut self.scratch)? as u32;
        let data_sum = crc32c::crc32c(&out[at..]);

        self.filter.clear();
        let low = self.columns.ids.first().copied().unwrap_or(RecordId::MIN);
        let filter = PagedFilter::build(filters, self.words.members(), BLOCK_WIDTH, low, &mut self.filter);
        self.raw_columns.clear();
        // Every payload ends with a newline; when there are no others, the lines tell their lengths.
        let lines_tell = memchr::memchr_iter(b'\n', lines).count() == self.columns.ids.len();
        self.columns.encode(lines_tell, &mut self.raw_columns);
        self.packed_columns.clear();
        compress(zstd, &self.raw_columns, level, &mut self.packed_columns, &mut self.scratch)?;
        let records = self.columns.ids.len() as u32;
        let numbers = [
            data_bytes,
            raw_bytes,
            records,
            self.filter.len() as u32,
            self.packed_columns.len() as u32,
            self.raw_columns.len() as u32,
            raw_sum,
            crc32c::crc32c(&self.filter),
            crc32c::crc32c(&self.packed_columns),
        ];
        let mut head = [0; HEAD];
        for (field, number) in head.chunks_exact_mut(4).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let head_sum = crc32c::crc32c(&head[..HEAD - 4]);
        head[HEAD - 4..].copy_from_slice(&head_sum.to_le_bytes());
        let side_at = out.len();
        put_frame(out, SIDE_MAGIC, &[&head, &self.filter, &self.packed_columns]);
        let high = self.columns.ids.last().copied().unwrap_or(RecordId::MIN);
        debug_assert!(out.len() - side_at >= FRAME_HEADER_BYTES + HEAD);
        let entry = BlockEntry {
            offset,
            data_bytes,
            side_bytes: (out.len() - side_at) as u32,
            records,
            payload_bytes: raw_bytes - records,
            low,
            high,
            data_sum,
            side_sum: crc32c::crc32c(&out[side_at..]),
            levels: Some(self.columns.levels),
            filter: FilterEntry::Paged(filter),
        };
        self.columns.clear();
        self.arena.clear();
        Ok(entry)
    }

    pub(crate) fn clear_words(&mut self) {
        self.words.clear();
    }

    /// Lays the lines out group by group.
    fn group(&mut self) {
        // Every byte is written below: what is there from before need not be cleared.
        self.grouped.resize(self.arena.len(), 0);
        let starts = starts(&self.columns.lengths, &self.columns.groups);
        let mut from = 0;
        for (&start, &length) in starts.iter().zip(&self.columns.lengths) {
            let (start, bytes) = (start as usize, length as usize + 1);
            self.grouped[start..start + bytes].copy_from_slice(&self.arena[from..from + bytes]);
            from += bytes;
        }
    }
}
