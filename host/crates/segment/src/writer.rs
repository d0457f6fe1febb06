//! Writing a segment, record by record, with memory for one block and one part of the filter.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_record::codec::encode_stream;
use weir_record::limits::{
    RECORD_BYTES_MAX, SEGMENT_BLOCK_BYTES_DEFAULT, SEGMENT_BLOCK_BYTES_MAX, SEGMENT_BLOCK_BYTES_MIN,
    SEGMENT_BLOCK_LEAVES_MAX, SEGMENT_BLOCKS_MAX, SEGMENT_FILTER_PART_BYTES, SEGMENT_FILTER_PART_WORDS,
    SEGMENT_LEAF_BYTES_DEFAULT, SEGMENT_LEAF_BYTES_MIN, SEGMENT_LEAVES_MAX, SEGMENT_ORIGINS_MAX,
    SEGMENT_PAYLOAD_BYTES_MAX, SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX,
};
use weir_record::{RecordId, Stream};
use zstd::zstd_safe::CCtx;

use crate::directory::{BlockEntry, FilterEntry, PartEntry};
use crate::envelope::{PART_MAGIC, VERSION, put_frame};
use crate::error::WriteError;
use crate::footer::Footer;
use crate::fuse::Builder;
use crate::leaf::LeafEntry;
use crate::level::LEVELS;
use crate::lineage::{DigestBuilder, Origin, OriginFlags, OriginName, StreamDigest};
use crate::pages::{PART_WIDTH, PagedFilter};
use crate::pending::Pending;
use crate::section::Section;
use crate::token_set::Distinct;
use crate::unit::Unit;

/// In which order the lines of a block lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouping {
    /// As their ids: other tools print them in order.
    Order,
    /// Lines of one shape side by side: smaller, quicker to compress, and out of order within a block for other
    /// tools.
    #[default]
    Shape,
}

/// How dense a segment becomes, and at what price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Level of zstd, 1 to 19.
    pub level: i32,
    /// Raw bytes of a block, 1 KiB to 4 MiB.
    pub block_bytes: usize,
    /// Raw bytes at which its lines are cut into leaves, from 128 on; below 128 KiB dense they are not.
    pub leaf_bytes: usize,
    /// Order of the lines.
    pub grouping: Grouping,
}

impl Default for WriterOptions {
    fn default() -> WriterOptions {
        WriterOptions {
            level: 1,
            block_bytes: SEGMENT_BLOCK_BYTES_DEFAULT,
            leaf_bytes: SEGMENT_LEAF_BYTES_DEFAULT,
            grouping: Grouping::default(),
        }
    }
}

/// Writes one segment. Bytes are appended to the buffer that each call is given, whenever a block is complete;
/// the caller may empty it between any two calls.
pub struct Writer {
    unit: Unit,
    options: WriterOptions,
    streams: Vec<(Stream, StreamDigest)>,
    numbers: BTreeMap<Stream, u32>,
    stream_bytes: usize,
    origins: Vec<(OriginName, OriginFlags, DigestBuilder)>,
    pending: Pending,
    blocks: Vec<BlockEntry>,
    leaves: Vec<LeafEntry>,
    parts: Vec<PartEntry>,
    /// Words of the blocks since the last part, each as often as there are leaves that have it.
    part_words: Vec<u64>,
    distinct: Distinct,
    filters: Builder,
    part_first_block: usize,
    part_payload_bytes: u64,
    offset: u64,
    last: Option<RecordId>,
    payload_bytes: u64,
    levels: [u64; LEVELS],
    zstd: CCtx<'static>,
}

impl Writer {
    /// A writer for the records of these origins, which must be sorted by name. Each must bring a record.
    pub fn new(
        unit: Unit,
        origins: &[(OriginName, OriginFlags)],
        options: WriterOptions,
    ) -> Result<Writer, WriteError> {
        if !(1..=19).contains(&options.level) {
            return Err(WriteError::Options("the level of compression"));
        }
        if !(SEGMENT_BLOCK_BYTES_MIN..=SEGMENT_BLOCK_BYTES_MAX).contains(&options.block_bytes) {
            return Err(WriteError::Options("the size of a block"));
        }
        if options.leaf_bytes < SEGMENT_LEAF_BYTES_MIN {
            return Err(WriteError::Options("the size of a leaf"));
        }
        let sorted = origins.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !sorted || !(1..=SEGMENT_ORIGINS_MAX).contains(&origins.len()) {
            return Err(WriteError::Origins);
        }
        let zstd = CCtx::try_create().ok_or_else(|| WriteError::Zstd("no memory for a context".into()))?;
        Ok(Writer {
            unit,
            options,
            streams: Vec::new(),
            numbers: BTreeMap::new(),
            stream_bytes: 0,
            origins: origins.iter().map(|&(name, flags)| (name, flags, DigestBuilder::default())).collect(),
            pending: Pending::new(),
            blocks: Vec::new(),
            leaves: Vec::new(),
            parts: Vec::new(),
            part_words: Vec::new(),
            distinct: Distinct::default(),
            filters: Builder::default(),
            part_first_block: 0,
            part_payload_bytes: 0,
            offset: 0,
            last: None,
            payload_bytes: 0,
            levels: [0; LEVELS],
            zstd,
        })
    }

    /// The number of a stream, for [`Writer::push`]; a new one when it has none yet.
    pub fn stream(&mut self, stream: &Stream) -> Result<u32, WriteError> {
        if let Some(&number) = self.numbers.get(stream) {
            return Ok(number);
        }
        let mut encoded = Vec::new();
        encode_stream(&mut encoded, stream);
        let bytes = self.stream_bytes + encoded.len();
        if self.streams.len() == SEGMENT_STREAMS_MAX || bytes > SEGMENT_STREAM_BYTES_MAX {
            return Err(WriteError::Full);
        }
        let number = self.streams.len() as u32;
        self.streams.push((stream.clone(), StreamDigest::of(stream)));
        self.numbers.insert(stream.clone(), number);
        self.stream_bytes = bytes;
        Ok(number)
    }

    /// Adds the next record. Ids must not go down; records with equal ids keep the order in which they come.
    /// `origin` is a place in the list given to [`Writer::new`].
    pub fn push(
        &mut self,
        id: RecordId,
        stream: u32,
        origin: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        if let Some(before) = self.last.filter(|before| *before > id) {
            return Err(WriteError::Order { id, before });
        }
        if !self.unit.holds(id) {
            return Err(WriteError::Unit(id));
        }
        if payload.len() > RECORD_BYTES_MAX {
            return Err(WriteError::Record { id, bytes: payload.len() });
        }
        let Some((_, stream_digest)) = self.streams.get(stream as usize) else {
            return Err(WriteError::Unknown { what: "stream", index: stream });
        };
        let Some((_, _, digest)) = self.origins.get_mut(origin as usize) else {
            return Err(WriteError::Unknown { what: "origin", index: origin });
        };
        let full = self.pending.is_full_for(payload.len(), self.options.block_bytes);
        // The last block is the one that `finish` flushes.
        if self.payload_bytes + payload.len() as u64 > SEGMENT_PAYLOAD_BYTES_MAX
            || full && self.blocks.len() + 1 >= SEGMENT_BLOCKS_MAX
            || full && self.leaves.len() + 2 * SEGMENT_BLOCK_LEAVES_MAX > SEGMENT_LEAVES_MAX
        {
            return Err(WriteError::Full);
        }
        digest.add(id, stream_digest, payload);
        if full {
            self.flush(out)?;
        }
        self.pending.push(id, stream, origin, payload, self.options.grouping == Grouping::Shape);
        self.payload_bytes += payload.len() as u64;
        self.last = Some(id);
        Ok(())
    }

    /// Payload bytes so far.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Writes what is left and the footer; the footer as a reader will see it. The segment is durable when all
    /// bytes are.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Footer, WriteError> {
        if let Some((name, _, _)) = self.origins.iter().find(|(_, _, digest)| digest.count() == 0) {
            return Err(WriteError::EmptyOrigin(*name));
        }
        self.flush(out)?;
        self.end_part(out);
        let origin = |(name, flags, digest): (OriginName, OriginFlags, DigestBuilder)| Origin {
            name,
            flags,
            count: digest.count(),
            digest: digest.finish(),
        };
        let sections = alloc::vec![Section::only(self.blocks.len(), self.streams.len(), self.origins.len())];
        let mut footer = Footer {
            version: VERSION,
            unit: self.unit,
            zstd_level: self.options.level as u8,
            records: self.blocks.iter().map(|block| u64::from(block.records)).sum(),
            payload_bytes: self.payload_bytes,
            levels: self.levels,
            streams: self.streams.into_iter().map(|(stream, _)| stream).collect(),
            lineage: self.origins.into_iter().map(origin).collect(),
            sections,
            blocks: self.blocks,
            leaves: self.leaves,
            parts: self.parts,
            file_bytes: 0,
            digest: 0,
        };
        footer.encode(self.offset, self.options.level, &mut self.zstd, out)?;
        Ok(footer)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        for (sum, count) in self.levels.iter_mut().zip(self.pending.levels()) {
            *sum += u64::from(count);
        }
        let Writer { pending, zstd, filters, leaves, .. } = self;
        let entry = pending.flush(self.offset, self.options, zstd, filters, leaves, out)?;
        self.offset = entry.range().end;
        self.blocks.push(entry);
        self.part_words.extend_from_slice(self.pending.words());
        self.part_payload_bytes += u64::from(entry.payload_bytes);
        if self.part_payload_bytes >= SEGMENT_FILTER_PART_BYTES
            || self.part_words.len() >= SEGMENT_FILTER_PART_WORDS
        {
            self.end_part(out);
        }
        Ok(())
    }

    fn end_part(&mut self, out: &mut Vec<u8>) {
        let blocks = self.part_first_block..self.blocks.len();
        let Some(first) = self.blocks.get(blocks.start) else { return };
        let open = FilterEntry::Paged(PagedFilter::Open);
        let mut part = PartEntry { blocks, range: self.offset..self.offset, sum: 0, filter: open };
        if part.blocks.len() > 1 || first.leaves().len() > 1 {
            let at = out.len();
            let mut bytes = Vec::new();
            let words = self.distinct.of(&self.part_words);
            let filter = PagedFilter::build(&mut self.filters, words, PART_WIDTH, first.low, &mut bytes);
            part.filter = FilterEntry::Paged(filter);
            put_frame(out, PART_MAGIC, &[&bytes]);
            part.range.end += (out.len() - at) as u64;
            part.sum = crc32c::crc32c(&out[at..]);
        }
        self.offset = part.range.end;
        self.part_first_block = part.blocks.end;
        self.part_payload_bytes = 0;
        self.part_words.clear();
        self.parts.push(part);
    }
}
