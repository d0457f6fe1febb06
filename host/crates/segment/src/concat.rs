//! Segments of one unit put one behind the other: their frames are copied as they are, and only the footer is
//! new. Costs reading, a checksum and writing; blocks are not decompressed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

use weir_record::Stream;
use weir_record::codec::encode_stream;
use weir_record::limits::{
    SEGMENT_BLOCKS_MAX, SEGMENT_LEAVES_MAX, SEGMENT_ORIGINS_MAX, SEGMENT_PAYLOAD_BYTES_MAX,
    SEGMENT_SECTION_STREAMS_MAX, SEGMENT_SECTIONS_MAX, SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX,
};
use zstd::zstd_safe::CCtx;

use crate::envelope::VERSION;
use crate::error::{Damage, Half, SegmentError, WriteError};
use crate::footer::Footer;
use crate::level::LEVELS;
use crate::lineage::{Origin, OriginName};
use crate::section::{Numbers, Section};

/// Level of zstd of the new footer, which is small.
const FOOTER_LEVEL: i32 = 3;

/// The footer of several segments, one behind the other.
#[derive(Debug)]
pub struct Concat {
    footer: Footer,
    offset: u64,
}

impl Concat {
    /// Whether a segment can be a part of one: version 1 numbers its filters in another way.
    pub fn takes(footer: &Footer) -> bool {
        footer.version() == VERSION
    }

    /// Puts segments one behind the other, in this order. They must be of one unit and have no origin in common;
    /// `Full` when they are more than fits one.
    pub fn new(inputs: &[&Footer]) -> Result<Concat, WriteError> {
        let Some(first) = inputs.first() else { return Err(WriteError::Origins) };
        if !inputs.iter().all(|input| Concat::takes(input) && input.unit() == first.unit()) {
            return Err(WriteError::Options("the version or the unit of a segment"));
        }
        let (streams, numbers) = streams_of(inputs)?;
        let lineage = lineage_of(inputs)?;
        let mut footer = Footer {
            version: VERSION,
            unit: first.unit().clone(),
            zstd_level: inputs.iter().map(|input| input.zstd_level).min().unwrap_or(0),
            records: 0,
            payload_bytes: 0,
            levels: [0; LEVELS],
            streams,
            lineage,
            sections: Vec::new(),
            blocks: Vec::new(),
            leaves: Vec::new(),
            parts: Vec::new(),
            file_bytes: 0,
            digest: 0,
        };
        let mut offset = 0;
        for input in inputs {
            add(&mut footer, input, &numbers, &mut offset);
        }
        let listed: usize = footer.sections.iter().map(|section| section.streams.listed()).sum();
        let fits = footer.sections.len() <= SEGMENT_SECTIONS_MAX
            && listed <= SEGMENT_SECTION_STREAMS_MAX
            && footer.blocks.len() <= SEGMENT_BLOCKS_MAX
            && footer.leaves.len() <= SEGMENT_LEAVES_MAX
            && footer.payload_bytes <= SEGMENT_PAYLOAD_BYTES_MAX;
        if fits { Ok(Concat { footer, offset }) } else { Err(WriteError::Full) }
    }

    /// What of a segment is copied: all before its footer.
    pub fn copied(input: &Footer) -> Range<u64> {
        0..input.parts.last().map_or(0, |part| part.range.end)
    }

    /// Proves a frame of an input, block `index` of the bytes of [`BlockEntry::range`](crate::BlockEntry::range): what is
    /// damaged is not carried on.
    pub fn check_block(input: &Footer, index: usize, bytes: &[u8]) -> Result<(), SegmentError> {
        let entry = &input.blocks()[index];
        let (data, side) = bytes.split_at((entry.data_bytes as usize).min(bytes.len()));
        let broken = |half, offset, damage| Err(SegmentError::Block { index, offset, half, damage });
        for leaf in input.leaves(index) {
            let frame = data.get(leaf.range()).unwrap_or(&[]);
            let offset = entry.offset + u64::from(leaf.at);
            check(frame, leaf.data_bytes, leaf.data_sum)
                .or_else(|damage| broken(Half::Data, offset, damage))?;
        }
        check(side, entry.side_bytes, entry.side_sum)
            .or_else(|damage| broken(Half::Side, entry.side_range().start, damage))
    }

    /// Appends the footer, which belongs behind what was copied.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Footer, WriteError> {
        let mut zstd =
            CCtx::try_create().ok_or_else(|| WriteError::Zstd("no memory for a context".into()))?;
        self.footer.encode(self.offset, FOOTER_LEVEL, &mut zstd, out)?;
        Ok(self.footer)
    }
}

/// Whether bytes are those of a frame.
fn check(bytes: &[u8], expected: u32, sum: u32) -> Result<(), Damage> {
    if bytes.len() != expected as usize {
        return Err(Damage::Length { got: bytes.len(), expected: expected as usize });
    }
    if crc32c::crc32c(bytes) == sum { Ok(()) } else { Err(Damage::Sum) }
}

/// All streams, each once, and their numbers.
fn streams_of(inputs: &[&Footer]) -> Result<(Vec<Stream>, BTreeMap<Stream, u32>), WriteError> {
    let mut streams = Vec::new();
    let mut numbers = BTreeMap::new();
    let (mut bytes, mut encoded) = (0, Vec::new());
    for stream in inputs.iter().flat_map(|input| input.streams()) {
        if numbers.contains_key(stream) {
            continue;
        }
        encoded.clear();
        encode_stream(&mut encoded, stream);
        bytes += encoded.len();
        if streams.len() == SEGMENT_STREAMS_MAX || bytes > SEGMENT_STREAM_BYTES_MAX {
            return Err(WriteError::Full);
        }
        numbers.insert(stream.clone(), streams.len() as u32);
        streams.push(stream.clone());
    }
    Ok((streams, numbers))
}

fn lineage_of(inputs: &[&Footer]) -> Result<Vec<Origin>, WriteError> {
    let mut lineage: Vec<Origin> = inputs.iter().flat_map(|input| input.lineage()).copied().collect();
    lineage.sort_by_key(|origin| origin.name);
    let names: BTreeSet<OriginName> = lineage.iter().map(|origin| origin.name).collect();
    if lineage.len() > SEGMENT_ORIGINS_MAX {
        return Err(WriteError::Full);
    }
    if names.len() == lineage.len() { Ok(lineage) } else { Err(WriteError::Origins) }
}

/// Adds what a segment has, `offset` bytes further on.
fn add(footer: &mut Footer, input: &Footer, numbers: &BTreeMap<Stream, u32>, offset: &mut u64) {
    let stream = |number: u32| numbers.get(&input.streams[number as usize]).copied().unwrap_or(0);
    let place = |number: u32| {
        let name = input.lineage[number as usize].name;
        footer.lineage.partition_point(|origin| origin.name < name) as u32
    };
    let first = footer.blocks.len();
    let first_leaf = footer.leaves.len() as u32;
    footer.leaves.extend_from_slice(&input.leaves);
    let renumbered = |of: &Numbers, number: &dyn Fn(u32) -> u32| {
        Numbers::Each((0..of.len() as u32).map(|own| number(of.of(own))).collect())
    };
    let sections = input.sections.iter().map(|section| Section {
        blocks: first + section.blocks.start..first + section.blocks.end,
        streams: renumbered(&section.streams, &stream),
        origins: renumbered(&section.origins, &place),
    });
    let sections: Vec<Section> = sections.collect();
    footer.sections.extend(sections);
    for block in &input.blocks {
        let mut block = *block;
        block.offset += *offset;
        block.leaves.0 += first_leaf;
        footer.blocks.push(block);
    }
    for part in &input.parts {
        let mut part = part.clone();
        part.blocks = first + part.blocks.start..first + part.blocks.end;
        part.range = part.range.start + *offset..part.range.end + *offset;
        footer.parts.push(part);
    }
    footer.records += input.records;
    footer.payload_bytes += input.payload_bytes;
    footer.levels.iter_mut().zip(input.levels).for_each(|(sum, count)| *sum += count);
    *offset += Concat::copied(input).end;
}
