//! Proving a segment: every byte, every record, every origin.

use alloc::vec;
use alloc::vec::Vec;

use crate::block::{Block, Decoder};
use crate::directory::BlockEntry;
use crate::error::{Damage, Half, SegmentError};
use crate::filters::{leaf_filters, part_filter};
use crate::footer::Footer;
use crate::lineage::{DigestBuilder, StreamDigest};
use crate::token::{hash_at, is_filtered, words};

/// Checks a segment block by block, in order, and the digests of its lineage at the end. Goes on after damage.
pub struct Verifier<'a> {
    footer: &'a Footer,
    streams: Vec<StreamDigest>,
    digests: Vec<DigestBuilder>,
    decoder: Decoder,
    block: Block,
    /// Origins of which a record is or may be lost.
    touched: Vec<bool>,
    next: usize,
}

impl<'a> Verifier<'a> {
    /// A verifier of the segment with this footer. `Err` only for want of memory.
    pub fn new(footer: &'a Footer) -> Result<Verifier<'a>, SegmentError> {
        Ok(Verifier {
            footer,
            streams: footer.streams().iter().map(StreamDigest::of).collect(),
            digests: vec![DigestBuilder::default(); footer.lineage().len()],
            decoder: Decoder::new()?,
            block: Block::new(),
            touched: vec![false; footer.lineage().len()],
            next: 0,
        })
    }

    /// Checks the next block, of the bytes of [`BlockEntry::range`]: sums, columns, lines, and that its
    /// filters have every word. Levels are a guess of the time of writing and not checked.
    ///
    /// # Panics
    /// When all blocks have been checked: a programming error.
    pub fn block(&mut self, bytes: &[u8]) -> Result<(), SegmentError> {
        let index = self.next;
        self.next += 1;
        let entry = &self.footer.blocks()[index];
        let decoded = self.decoder.block(self.footer, index, bytes, &mut self.block);
        let judged = decoded.and_then(|()| self.judge(index, entry, bytes));
        if judged.is_err() {
            self.touch(index, entry, bytes);
        }
        judged
    }

    fn judge(&mut self, index: usize, entry: &BlockEntry, bytes: &[u8]) -> Result<(), SegmentError> {
        let filters = leaf_filters(self.footer, index, &bytes[entry.data_bytes as usize..])?;
        for record in self.block.records() {
            let digest = &mut self.digests[record.origin as usize];
            digest.add(record.id, &self.streams[record.stream as usize], record.payload);
        }
        let mut all_found = true;
        let mut end = 0;
        for (leaf, filter) in self.footer.leaves(index).iter().zip(filters) {
            let lines = &self.block.arena()[end..end + leaf.raw_bytes as usize];
            end += lines.len();
            let mut found = words(lines)
                .filter(|&(start, end)| is_filtered(&lines[start..end]))
                .map(|(start, end)| hash_at(lines, start, end));
            all_found &= found.all(|hash| filter.may_contain_hash(hash));
        }
        if all_found {
            return Ok(());
        }
        let offset = entry.side_range().start;
        let damage = Damage::Contradiction("a filter lacks a word");
        Err(SegmentError::Block { index, offset, half: Half::Side, damage })
    }

    /// Marks the origins of a damaged block: all, unless its columns can still be read.
    fn touch(&mut self, index: usize, entry: &BlockEntry, bytes: &[u8]) {
        let side = bytes.get(entry.data_bytes as usize..).unwrap_or(&[]);
        match self.decoder.columns(self.footer, index, side) {
            Ok(columns) => {
                columns.origins().iter().for_each(|run| self.touched[run.index as usize] = true);
            }
            Err(_) => self.touched.fill(true),
        }
    }

    /// Checks a part of the segment's filter, of the bytes of [`PartEntry::range`](crate::PartEntry::range).
    pub fn part(&self, index: usize, bytes: &[u8]) -> Result<(), SegmentError> {
        part_filter(self.footer, index, bytes).map(|_| ())
    }

    /// Numbers of the origins that lie in damaged blocks: what a store must not announce any more.
    pub fn touched(&self) -> impl Iterator<Item = usize> {
        self.touched.iter().enumerate().filter_map(|(index, &touched)| touched.then_some(index))
    }

    /// The origins that no damage touches and whose records are nevertheless not those of their digest. All
    /// blocks must have been checked before; a block left out is an origin found wrong.
    pub fn finish(self) -> Vec<SegmentError> {
        let origins = self.footer.lineage().iter().zip(self.digests).zip(self.touched);
        let wrong = origins.filter(|(_, touched)| !touched).filter_map(|((origin, digest), _)| {
            let (got_count, got) = (digest.count(), digest.finish());
            let right = (got_count, got) == (origin.count, origin.digest);
            (!right).then_some(SegmentError::Origin {
                origin: origin.name,
                got_count,
                got,
                expected_count: origin.count,
                expected: origin.digest,
            })
        });
        wrong.collect()
    }
}
