//! Sections: runs of blocks that were written together, so that segments can be put one behind the other
//! without writing their blocks anew.
//!
//! Blocks lie in the order of their ids within a section; sections may overlap. The columns of a block number
//! streams and origins as the section does; the footer says what these numbers are in the segment.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::{SEGMENT_BLOCKS_MAX, SEGMENT_SECTION_STREAMS_MAX, SEGMENT_SECTIONS_MAX};

/// Some blocks, and what their numbers of streams and origins mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The blocks, at least one.
    pub blocks: Range<usize>,
    pub(crate) streams: Numbers,
    pub(crate) origins: Numbers,
}

/// What numbers of a section are in the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// The same: so many there are.
    Same(u32),
    /// By the number in the section.
    Each(Vec<u32>),
}

impl Numbers {
    /// How many the section knows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Numbers::Same(count) => *count as usize,
            Numbers::Each(numbers) => numbers.len(),
        }
    }

    /// How many are written down.
    pub(crate) fn listed(&self) -> usize {
        match self {
            Numbers::Same(_) => 0,
            Numbers::Each(numbers) => numbers.len(),
        }
    }

    /// What one of them is, which must be less than [`Numbers::len`].
    pub(crate) fn of(&self, number: u32) -> u32 {
        match self {
            Numbers::Same(_) => number,
            Numbers::Each(numbers) => numbers[number as usize],
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Numbers::Same(_) => put_varint(out, 0),
            Numbers::Each(numbers) => {
                put_varint(out, numbers.len() as u64);
                for &number in numbers {
                    put_varint(out, u64::from(number));
                }
            }
        }
    }

    fn read(reader: &mut Reader<'_>, of: usize) -> Result<Numbers, CodecError> {
        let count = reader.bounded("numbers of a section", of)?;
        if count == 0 {
            return Ok(Numbers::Same(of as u32));
        }
        let mut numbers = Vec::with_capacity(count.min(reader.rest().len()));
        for _ in 0..count {
            numbers.push(reader.bounded("number of a section", of - 1)? as u32);
        }
        Ok(Numbers::Each(numbers))
    }
}

impl Section {
    /// The only section of a segment.
    pub(crate) fn only(blocks: usize, streams: usize, origins: usize) -> Section {
        Section {
            blocks: 0..blocks,
            streams: Numbers::Same(streams as u32),
            origins: Numbers::Same(origins as u32),
        }
    }
}

/// Appends: v section count; per section v blocks, and twice, of streams and of origins: v count, and so many
/// numbers (v each); a count of 0 stands for all numbers as they are.
pub(crate) fn encode(out: &mut Vec<u8>, sections: &[Section]) {
    put_varint(out, sections.len() as u64);
    for section in sections {
        put_varint(out, section.blocks.len() as u64);
        section.streams.encode(out);
        section.origins.encode(out);
    }
}

/// Reads what [`encode`] wrote, of a segment with so many streams and origins; `Ok(None)` when it contradicts
/// itself: each origin lies in one section, whose numbers keep the order of the lineage.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    streams: usize,
    origins: usize,
) -> Result<Option<Vec<Section>>, CodecError> {
    let count = reader.bounded("section count", SEGMENT_SECTIONS_MAX)?;
    let mut sections = Vec::with_capacity(count);
    let mut first = 0;
    let mut taken = vec![false; origins];
    let mut listed = 0;
    for _ in 0..count {
        let blocks = reader.bounded("blocks of a section", SEGMENT_BLOCKS_MAX)?;
        let streams = Numbers::read(reader, streams)?;
        let own = Numbers::read(reader, origins)?;
        listed += streams.listed();
        if blocks == 0 || listed > SEGMENT_SECTION_STREAMS_MAX {
            return Ok(None);
        }
        let mut before = None;
        for number in (0..own.len() as u32).map(|number| own.of(number)) {
            let again = core::mem::replace(&mut taken[number as usize], true);
            if again || before.is_some_and(|before| before >= number) {
                return Ok(None);
            }
            before = Some(number);
        }
        sections.push(Section { blocks: first..first + blocks, streams, origins: own });
        first += blocks;
    }
    Ok(taken.into_iter().all(|taken| taken).then_some(sections))
}

/// The section of a block.
pub(crate) fn of_block(sections: &[Section], block: usize) -> Option<&Section> {
    sections.get(sections.partition_point(|section| section.blocks.end <= block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(blocks: Range<usize>, streams: &[u32], origins: &[u32]) -> Section {
        Section { blocks, streams: Numbers::Each(streams.to_vec()), origins: Numbers::Each(origins.to_vec()) }
    }

    fn round(sections: &[Section], streams: usize, origins: usize) -> Option<Vec<Section>> {
        let mut bytes = Vec::new();
        encode(&mut bytes, sections);
        let mut reader = Reader::new(&bytes);
        let read = read(&mut reader, streams, origins).unwrap()?;
        reader.finish().unwrap();
        Some(read)
    }

    #[test]
    fn sections_round_trip() {
        let only = [Section::only(5, 3, 2)];
        assert_eq!(round(&only, 3, 2).as_deref(), Some(&only[..]));
        let two = [section(0..2, &[2, 0], &[0, 3]), section(2..9, &[1], &[1, 2])];
        assert_eq!(round(&two, 3, 4).as_deref(), Some(&two[..]));
        assert_eq!(of_block(&two, 1), Some(&two[0]));
        assert_eq!((of_block(&two, 2), of_block(&two, 9)), (Some(&two[1]), None));
    }

    #[test]
    fn origins_lie_in_one_section_each() {
        for (why, sections) in [
            ("twice", [section(0..1, &[0], &[0, 1]), section(1..2, &[0], &[1, 2])]),
            ("never", [section(0..1, &[0], &[0]), section(1..2, &[0], &[1])]),
            ("out of order", [section(0..1, &[0], &[1, 0]), section(1..2, &[0], &[2])]),
            ("no blocks", [section(0..0, &[0], &[0, 1]), section(0..1, &[0], &[2])]),
        ] {
            assert_eq!(round(&sections, 1, 3), None, "{why}");
        }
        assert_eq!(round(&[Section::only(1, 1, 1), Section::only(1, 1, 1)], 1, 1), None);
    }
}
