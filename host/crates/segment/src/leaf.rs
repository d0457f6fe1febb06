//! Leaves: the lines of a block, shape by shape, are cut into zstd frames of their own, each with a filter of its own.
//!
//! A word of a service's messages occurs in the leaves that hold lines of that shape, and a rare one in a single leaf:
//! questions decode these, while ids and streams are those of the block. Up to version 2 a block is one leaf.

use alloc::vec::Vec;
use core::ops::Range;

use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::{SEGMENT_BLOCK_BYTES_MAX, SEGMENT_BLOCK_LEAVES_MAX, SEGMENT_BLOCK_RECORDS_MAX};

use crate::directory::FilterEntry;

/// One leaf: a zstd frame, and where its filter lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry {
    /// Where its zstd frame begins, counted from the start of the block.
    pub at: u32,
    /// Bytes of the frame.
    pub data_bytes: u32,
    /// The same decompressed: each payload with its newline.
    pub raw_bytes: u32,
    /// Number of lines.
    pub records: u32,
    /// CRC-32C of the frame.
    pub data_sum: u32,
    /// Its filter.
    pub filter: FilterEntry,
    /// Where the pages of its filter begin, counted from those of the block's first leaf.
    pub filter_at: u32,
}

impl LeafEntry {
    /// Where its zstd frame lies within the block.
    pub fn range(&self) -> Range<usize> {
        self.at as usize..self.at as usize + self.data_bytes as usize
    }

    /// Where its pages lie among those of the block.
    pub fn filter_range(&self) -> Range<usize> {
        self.filter_at as usize..self.filter_at as usize + self.filter.page_bytes()
    }

    /// Bytes of its payloads, without the newlines.
    pub fn payload_bytes(&self) -> u32 {
        self.raw_bytes - self.records
    }
}

/// Some of the leaves of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafSet {
    bits: u64,
    count: u32,
}

const _: () = assert!(SEGMENT_BLOCK_LEAVES_MAX == u64::BITS as usize);

impl LeafSet {
    /// All leaves of a block that has so many, at least one.
    pub fn all(count: usize) -> LeafSet {
        assert!((1..=SEGMENT_BLOCK_LEAVES_MAX).contains(&count), "a block has 1 to 64 leaves");
        LeafSet { bits: u64::MAX >> (SEGMENT_BLOCK_LEAVES_MAX - count), count: count as u32 }
    }

    /// Those of them for which `wanted` holds.
    #[must_use]
    pub fn filter(self, mut wanted: impl FnMut(usize) -> bool) -> LeafSet {
        let bits = self.iter().filter(|&leaf| wanted(leaf)).fold(0, |bits, leaf| bits | 1 << leaf);
        LeafSet { bits, ..self }
    }

    /// Whether a leaf is one of them.
    pub fn has(self, leaf: usize) -> bool {
        self.bits >> leaf & 1 > 0
    }

    /// Whether the block has no other.
    pub fn is_all(self) -> bool {
        self.bits.count_ones() == self.count
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Their numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count as usize).filter(move |&leaf| self.has(leaf))
    }
}

/// Appends: v leaf count; per leaf v bytes of its frame, v bytes decompressed, v records, sum (4, little-endian),
/// filter (see [`FilterEntry`]).
pub(crate) fn encode(out: &mut Vec<u8>, leaves: &[LeafEntry]) {
    put_varint(out, leaves.len() as u64);
    for leaf in leaves {
        for number in [leaf.data_bytes, leaf.raw_bytes, leaf.records] {
            put_varint(out, u64::from(number));
        }
        out.extend_from_slice(&leaf.data_sum.to_le_bytes());
        leaf.filter.encode(out);
    }
}

/// Bytes of frames, bytes decompressed, and records: of all leaves of a block.
pub(crate) type Sums = (u32, u32, u32);

/// Reads what [`encode`] wrote behind the leaves that are known; `Ok(None)` when it contradicts itself.
pub(crate) fn read(reader: &mut Reader<'_>, leaves: &mut Vec<LeafEntry>) -> Result<Option<Sums>, CodecError> {
    let count = reader.bounded("leaf count", SEGMENT_BLOCK_LEAVES_MAX)?;
    let (mut sums, mut filter_at) = ((0, 0, 0), 0);
    for _ in 0..count {
        let data_bytes = reader.bounded("bytes of a leaf", 2 * SEGMENT_BLOCK_BYTES_MAX)? as u32;
        let raw_bytes = reader.bounded("raw bytes of a leaf", SEGMENT_BLOCK_BYTES_MAX)? as u32;
        let records = reader.bounded("records of a leaf", SEGMENT_BLOCK_RECORDS_MAX)? as u32;
        let data_sum = u32::from_le_bytes(reader.array("sum of a leaf")?);
        let Some(filter) = FilterEntry::read(reader, 2)? else { return Ok(None) };
        if records == 0 || raw_bytes < records {
            return Ok(None);
        }
        leaves.push(LeafEntry { at: sums.0, data_bytes, raw_bytes, records, data_sum, filter, filter_at });
        filter_at += filter.page_bytes() as u32;
        sums = (sums.0 + data_bytes, sums.1 + raw_bytes, sums.2 + records);
    }
    Ok((count > 0).then_some(sums))
}

/// Where lines that lie one after the other are cut into leaves: the number of records of each. A new group begins a
/// new leaf when the one before is at least half full and would overflow; a group larger than a leaf is cut within.
pub(crate) fn cut(
    lines: impl Iterator<Item = (u8, u32)> + Clone,
    raw_bytes: usize,
    leaf_bytes: usize,
) -> Vec<u32> {
    // Of leaves that are half full there are twice as many.
    let least = raw_bytes.div_ceil(SEGMENT_BLOCK_LEAVES_MAX / 2);
    let count = (raw_bytes / leaf_bytes.max(least)).max(1);
    let size = raw_bytes.div_ceil(count);
    let mut group_bytes = [0_usize; 256];
    for (group, bytes) in lines.clone() {
        group_bytes[usize::from(group)] += bytes as usize;
    }
    let (mut cuts, mut records, mut held, mut last) = (Vec::new(), 0, 0, None);
    for (group, bytes) in lines {
        let is_new = last.replace(group) != Some(group);
        let overflows = is_new && held * 2 >= size && held + group_bytes[usize::from(group)] > size;
        if records > 0 && (overflows || held >= size) {
            cuts.push(core::mem::take(&mut records));
            held = 0;
        }
        records += 1;
        held += bytes as usize;
    }
    cuts.extend((records > 0).then_some(records));
    assert!(cuts.len() <= SEGMENT_BLOCK_LEAVES_MAX, "each leaf but the last is half full at least");
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn leaves_hold_whole_groups_where_these_fit() {
        let groups = |sizes: &[(u8, usize)]| {
            sizes.iter().flat_map(|&(group, lines)| vec![(group, 10); lines]).collect::<Vec<(u8, u32)>>()
        };
        for (sizes, leaf_bytes, expected) in [
            (&[(0, 10)][..], 1000, vec![10]),
            (&[(0, 30), (1, 30), (2, 30)], 300, vec![30, 30, 30]),
            (&[(0, 20), (1, 20), (2, 20)], 300, vec![20, 20, 20]),
            (&[(0, 5), (1, 5), (2, 50)], 300, vec![30, 30]),
            (&[(0, 70), (9, 5)], 300, vec![38, 37]),
        ] {
            let lines = groups(sizes);
            let raw = lines.len() * 10;
            assert_eq!(cut(lines.iter().copied(), raw, leaf_bytes), expected, "{sizes:?}");
        }
    }

    #[test]
    fn however_lines_are_spread_there_are_not_too_many_leaves() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let mut lines: Vec<(u8, u32)> =
                (0..random.usize(1..600)).map(|_| (random.u8(..), 1 << random.u32(0..14))).collect();
            lines.sort_by_key(|line| line.0);
            let raw: usize = lines.iter().map(|line| line.1 as usize).sum();
            let cuts = cut(lines.iter().copied(), raw, 1 << random.u32(7..16));
            assert_eq!(cuts.iter().map(|&records| records as usize).sum::<usize>(), lines.len());
            assert!(cuts.iter().all(|&records| records > 0));
        }
    }

    #[test]
    fn a_set_has_what_was_left_in_it() {
        let all = LeafSet::all(64);
        assert!(all.is_all() && all.has(63) && !all.is_empty());
        let some = all.filter(|leaf| leaf % 3 == 0);
        assert!(some.has(0) && some.has(63) && !some.has(1) && !some.is_all());
        assert_eq!(some.iter().count(), 22);
        assert!(LeafSet::all(1).filter(|_| false).is_empty() && LeafSet::all(1).is_all());
    }
}
