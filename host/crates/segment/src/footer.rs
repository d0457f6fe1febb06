//! The footer: what a segment is, without reading any of its records.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use weir_record::codec::{CodecError, Reader, decode_stream, encode_stream, put_varint};
use weir_record::limits::{
    SEGMENT_FOOTER_BYTES_MAX, SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX, STREAM_BYTES_MAX,
};
use weir_record::{RecordId, Stream};
use zstd::zstd_safe::{CCtx, DCtx};

use crate::directory::{self, BlockEntry, Directory, PartEntry};
use crate::envelope::{
    FOOTER_MAGIC, FRAME_HEADER_BYTES, TAIL_BYTES, Tail, VERSION, compress, decompress, frame_body,
};
use crate::error::{Damage, SegmentError, WriteError};
use crate::leaf::LeafEntry;
use crate::level::LEVELS;
use crate::lineage::{self, Origin};
use crate::name::SegmentName;
use crate::section::{self, Section};
use crate::unit::Unit;

/// Everything about a segment but its records and filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    pub(crate) version: u32,
    pub(crate) unit: Unit,
    pub(crate) zstd_level: u8,
    pub(crate) records: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) levels: [u64; LEVELS],
    pub(crate) streams: Vec<Stream>,
    pub(crate) lineage: Vec<Origin>,
    pub(crate) sections: Vec<Section>,
    pub(crate) blocks: Vec<BlockEntry>,
    pub(crate) leaves: Vec<LeafEntry>,
    pub(crate) parts: Vec<PartEntry>,
    pub(crate) file_bytes: u64,
    pub(crate) digest: u64,
}

/// What [`Footer::open`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The footer.
    Footer(Box<Footer>),
    /// So many bytes from the end of the file are needed, more than were given.
    Need(usize),
}

impl Footer {
    /// Reads the footer off the end of a segment. `end` are the last bytes of the file, as many as the caller
    /// likes: 64 KiB do for most; [`Opened::Need`] says how many when they do not. `file_bytes` is the length
    /// of the file.
    pub fn open(end: &[u8], file_bytes: u64) -> Result<Opened, SegmentError> {
        let Some((before, tail_bytes)) = end.split_last_chunk::<TAIL_BYTES>() else {
            if file_bytes < TAIL_BYTES as u64 || end.len() as u64 >= file_bytes {
                return Err(SegmentError::NotASegment);
            }
            return Ok(Opened::Need(TAIL_BYTES));
        };
        let tail = Tail::read(tail_bytes)?;
        let frame_bytes = FRAME_HEADER_BYTES + tail.footer_bytes as usize + TAIL_BYTES;
        let offset = file_bytes.checked_sub(frame_bytes as u64);
        let Some(offset) = offset.filter(|_| tail.file_bytes == file_bytes) else {
            return Err(SegmentError::FileBytes { got: file_bytes, expected: tail.file_bytes });
        };
        let broken = |damage| SegmentError::Footer { offset, damage };
        if tail.footer_bytes as usize > SEGMENT_FOOTER_BYTES_MAX
            || tail.footer_raw_bytes as usize > SEGMENT_FOOTER_BYTES_MAX
        {
            return Err(broken(Damage::Contradiction("it is larger than a footer can be")));
        }
        let Some(at) = end.len().checked_sub(frame_bytes) else { return Ok(Opened::Need(frame_bytes)) };
        let frame = &end[at..];
        if crc32c::crc32c(&before[at..]) != tail.footer_sum {
            return Err(broken(Damage::Sum));
        }
        let body = frame_body(frame, FOOTER_MAGIC)
            .ok_or_else(|| broken(Damage::Contradiction("it is not a footer frame")))?;
        let packed = &body[..body.len() - TAIL_BYTES];
        let mut raw = Vec::new();
        let mut zstd = DCtx::try_create().ok_or(SegmentError::Memory)?;
        decompress(&mut zstd, packed, tail.footer_raw_bytes as usize, &mut raw)
            .map_err(|why| broken(Damage::Zstd(why)))?;
        let read = Footer::read(&raw, tail.version).map_err(|error| broken(error.into()))?;
        let Some((mut footer, _)) = read.filter(|(_, end)| *end == offset) else {
            return Err(broken(Damage::Contradiction("its fields contradict each other")));
        };
        footer.file_bytes = file_bytes;
        footer.digest = name_digest(frame);
        Ok(Opened::Footer(Box::new(footer)))
    }

    /// Appends the footer frame, which begins at `offset` of the file.
    ///
    /// Its body is a zstd frame and the tail. Decompressed, in order: unit; records, payload bytes (v each);
    /// per level v records; from version 2 on the lowest level of zstd of its blocks (u8); v stream count, per
    /// stream v length and its canonical form; lineage; from version 2 on sections; directory.
    pub(crate) fn encode(
        &mut self,
        offset: u64,
        level: i32,
        zstd: &mut CCtx<'static>,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let mut raw = Vec::new();
        self.unit.encode(&mut raw);
        put_varint(&mut raw, self.records);
        put_varint(&mut raw, self.payload_bytes);
        self.levels.iter().for_each(|&count| put_varint(&mut raw, count));
        raw.push(self.zstd_level);
        put_varint(&mut raw, self.streams.len() as u64);
        let mut stream_bytes = Vec::new();
        for stream in &self.streams {
            stream_bytes.clear();
            encode_stream(&mut stream_bytes, stream);
            put_varint(&mut raw, stream_bytes.len() as u64);
            raw.extend_from_slice(&stream_bytes);
        }
        lineage::encode(&mut raw, &self.lineage);
        section::encode(&mut raw, &self.sections);
        directory::encode(&mut raw, &self.blocks, &self.leaves, &self.parts);
        assert!(raw.len() <= SEGMENT_FOOTER_BYTES_MAX, "the limits of a segment bound its footer");

        let (mut packed, mut scratch) = (Vec::new(), Vec::new());
        compress(zstd, &raw, level, &mut packed, &mut scratch)?;
        let at = out.len();
        out.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
        out.extend_from_slice(&((packed.len() + TAIL_BYTES) as u32).to_le_bytes());
        out.extend_from_slice(&packed);
        self.file_bytes = offset + (out.len() - at + TAIL_BYTES) as u64;
        let tail = Tail {
            footer_bytes: packed.len() as u32,
            footer_raw_bytes: raw.len() as u32,
            file_bytes: self.file_bytes,
            footer_sum: crc32c::crc32c(&out[at..]),
            version: VERSION,
        };
        out.extend_from_slice(&tail.encode());
        self.digest = name_digest(&out[at..]);
        Ok(())
    }

    /// Reads a footer as it is when decompressed, and where its frame must begin; `Ok(None)` when it contradicts
    /// itself.
    pub(crate) fn read(raw: &[u8], version: u32) -> Result<Option<(Footer, u64)>, CodecError> {
        let reader = &mut Reader::new(raw);
        let Some(unit) = Unit::read(reader)? else { return Ok(None) };
        let records = reader.varint("records")?;
        let payload_bytes = reader.varint("payload bytes")?;
        let mut levels = [0; LEVELS];
        for count in &mut levels {
            *count = reader.varint("records of a level")?;
        }
        let zstd_level = if version > 1 { reader.array::<1>("level of zstd")?[0] } else { 0 };
        let count = reader.bounded("stream count", SEGMENT_STREAMS_MAX)?;
        let mut streams = Vec::with_capacity(count.min(reader.rest().len() / 4));
        let mut stream_bytes = 0;
        for _ in 0..count {
            let stream = reader.prefixed("stream", STREAM_BYTES_MAX)?;
            stream_bytes += stream.len();
            streams.push(decode_stream(stream)?);
        }
        let Some(lineage) = lineage::read(reader)? else { return Ok(None) };
        let (streams_len, origins) = (streams.len(), lineage.len());
        let mut sections = None;
        if version > 1 {
            let Some(read) = section::read(reader, streams_len, origins)? else { return Ok(None) };
            sections = Some(read);
        }
        let Some(directory) = directory::read(reader, version)? else { return Ok(None) };
        let Directory { blocks, leaves, parts, end } = directory;
        let sections =
            sections.unwrap_or_else(|| alloc::vec![Section::only(blocks.len(), streams_len, origins)]);
        reader.finish()?;
        let sum = |counts: &mut dyn Iterator<Item = u64>| {
            let mut counts = counts;
            Iterator::try_fold(&mut counts, 0_u64, u64::checked_add)
        };
        let sums_fit = sum(&mut blocks.iter().map(|block| u64::from(block.records))) == Some(records)
            && sum(&mut blocks.iter().map(|block| u64::from(block.payload_bytes))) == Some(payload_bytes)
            && sum(&mut lineage.iter().map(|origin| origin.count)) == Some(records)
            && sum(&mut levels.into_iter()) == Some(records);
        let in_unit = blocks.iter().all(|block| unit.holds(block.low) && unit.holds(block.high));
        let is_in_order = are_in_order(&sections, &blocks, &parts);
        let footer = Footer {
            version,
            unit,
            zstd_level,
            records,
            payload_bytes,
            levels,
            streams,
            lineage,
            sections,
            blocks,
            leaves,
            parts,
            file_bytes: 0,
            digest: 0,
        };
        // Records are of a stream.
        let has_streams = (1..=SEGMENT_STREAM_BYTES_MAX).contains(&stream_bytes);
        let fits = sums_fit && in_unit && is_in_order && has_streams;
        Ok(fits.then_some((footer, end)))
    }

    /// Version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The lowest level of zstd that one of its blocks was compressed with; 0 when it is not known (version 1).
    pub fn zstd_level(&self) -> i32 {
        i32::from(self.zstd_level)
    }

    /// The unit of all records.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Number of records, at least one.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of all payloads, without the newlines.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Records per level, in the order of [`Level`](crate::Level).
    pub fn levels(&self) -> [u64; LEVELS] {
        self.levels
    }

    /// The streams, to which blocks refer by number.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// The origins, sorted by name, to which blocks refer by number.
    pub fn lineage(&self) -> &[Origin] {
        &self.lineage
    }

    /// The sections, of which at least one and in the order of their blocks.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The blocks, in the order of their places; within a [`Section`] also of their ids.
    pub fn blocks(&self) -> &[BlockEntry] {
        &self.blocks
    }

    /// The leaves of a block, at least one.
    ///
    /// # Panics
    /// When there is no such block: a programming error.
    pub fn leaves(&self, block: usize) -> &[LeafEntry] {
        &self.leaves[self.blocks[block].leaves()]
    }

    /// The parts of the filter over the whole segment; each block is covered by exactly one.
    pub fn parts(&self) -> &[PartEntry] {
        &self.parts
    }

    /// The lowest and the highest id.
    pub fn id_range(&self) -> (RecordId, RecordId) {
        let ends = self.sections.iter().filter_map(|section| {
            let blocks = &self.blocks[section.blocks.clone()];
            Some((blocks.first()?.low, blocks.last()?.high))
        });
        let wider =
            |(low, high): (RecordId, RecordId), (a, b): (RecordId, RecordId)| (low.min(a), high.max(b));
        ends.reduce(wider).unwrap_or((RecordId::MIN, RecordId::MIN))
    }

    /// Length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// What the file is called.
    pub fn name(&self) -> SegmentName {
        let (low, high) = self.id_range();
        SegmentName { unit: self.unit.clone(), low, high, digest: self.digest }
    }
}

/// Whether sections cover all blocks, no part lies in two of them, and the ids of blocks in each go up.
fn are_in_order(sections: &[Section], blocks: &[BlockEntry], parts: &[PartEntry]) -> bool {
    let covered = sections.last().is_some_and(|section| section.blocks.end == blocks.len());
    let apart = || {
        sections.iter().all(|section| {
            let end = parts.partition_point(|part| part.blocks.end < section.blocks.end);
            parts.get(end).is_some_and(|part| part.blocks.end == section.blocks.end)
        })
    };
    let ascend = || {
        sections
            .iter()
            .all(|section| blocks[section.blocks.clone()].windows(2).all(|pair| pair[0].high <= pair[1].low))
    };
    covered && apart() && ascend()
}

/// See [`SegmentName`].
fn name_digest(frame: &[u8]) -> u64 {
    let digest = Sha256::digest(frame);
    digest.as_slice().iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Block, Decoder};
    use alloc::vec;

    const FIXTURES: [&[u8]; 3] = [
        include_bytes!("../fixtures/v1.zst"),
        include_bytes!("../fixtures/v2.zst"),
        include_bytes!("../fixtures/v3.zst"),
    ];

    /// A fixture's footer, decompressed, its version, and where its frame begins.
    fn raw(fixture: &[u8]) -> (Vec<u8>, u32, usize) {
        let (before, tail) = fixture.split_last_chunk::<TAIL_BYTES>().unwrap();
        let tail = Tail::read(tail).unwrap();
        let packed = &before[before.len() - tail.footer_bytes as usize..];
        let mut raw = Vec::new();
        decompress(&mut DCtx::create(), packed, tail.footer_raw_bytes as usize, &mut raw).unwrap();
        (raw, tail.version, before.len() - packed.len() - FRAME_HEADER_BYTES)
    }

    #[test]
    fn a_forged_footer_whose_sums_hold_is_refused_or_harmless() {
        for fixture in FIXTURES {
            forge(fixture);
        }
    }

    fn forge(fixture: &[u8]) {
        let (raw, version, offset) = raw(fixture);
        let mut accepted = 0;
        for bit in 0..raw.len() * 8 {
            let mut forged = raw.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let Ok(Some((footer, end))) = Footer::read(&forged, version) else { continue };
            if end != offset as u64 {
                continue;
            }
            accepted += 1;
            assert!(footer.blocks.iter().all(|block| block.range().end <= offset as u64));
            assert!(footer.parts.iter().all(|part| part.range.end <= offset as u64));
            let (mut decoder, mut block) = (Decoder::new().unwrap(), Block::new());
            for (index, entry) in footer.blocks.iter().enumerate() {
                let range = entry.range().start as usize..entry.range().end as usize;
                if decoder.block(&footer, index, &fixture[range], &mut block).is_ok() {
                    assert_eq!(block.records().count(), entry.records as usize);
                }
            }
        }
        assert!(accepted > 0, "digests and names can be forged without a contradiction");
    }

    #[test]
    fn a_footer_cut_off_anywhere_is_refused() {
        for fixture in FIXTURES {
            let (raw, version, _) = raw(fixture);
            for bytes in 0..raw.len() {
                assert!(!matches!(Footer::read(&raw[..bytes], version), Ok(Some(_))), "{bytes}");
            }
        }
    }

    /// Records are of a stream: a number of one that is not there must not come out of a block.
    #[test]
    fn a_footer_without_streams_is_refused() {
        let (raw, version, offset) = raw(FIXTURES[2]);
        let (mut footer, _) = Footer::read(&raw, version).unwrap().unwrap();
        footer.streams.clear();
        footer.sections = vec![Section::only(footer.blocks.len(), 0, footer.lineage.len())];
        let (mut out, mut zstd) = (Vec::new(), CCtx::create());
        footer.encode(offset as u64, 1, &mut zstd, &mut out).unwrap();
        let opened = Footer::open(&out, offset as u64 + out.len() as u64);
        assert!(matches!(opened, Err(SegmentError::Footer { .. })), "{opened:?}");
    }

    #[test]
    fn a_file_of_any_length_that_ends_with_a_sound_tail_is_refused() {
        let lying = Tail {
            footer_bytes: u32::MAX,
            footer_raw_bytes: u32::MAX,
            file_bytes: 1 << 40,
            footer_sum: 0,
            version: 2,
        };
        let mut file = vec![0; 100];
        file.extend_from_slice(&lying.encode());
        assert!(matches!(Footer::open(&file, 132), Err(SegmentError::FileBytes { .. })));
        assert!(matches!(Footer::open(&file, 1 << 40), Err(SegmentError::Footer { .. })));
    }
}
