//! Cutting one origin out of a segment, for a store that lacks it.

use alloc::vec;
use alloc::vec::Vec;

use crate::block::Block;
use crate::error::{SegmentError, WriteError};
use crate::footer::Footer;
use crate::lineage::Origin;
use crate::writer::{Writer, WriterOptions};

/// Copies the records of one origin into a segment of their own, and proves them by the origin's digest.
pub struct Cut<'a> {
    footer: &'a Footer,
    origin: u32,
    /// Number in the new segment of each stream of the old one, once it has one.
    streams: Vec<Option<u32>>,
    writer: Writer,
}

impl<'a> Cut<'a> {
    /// Cuts origin `origin` of the segment with this footer.
    pub fn new(footer: &'a Footer, origin: u32, options: WriterOptions) -> Result<Cut<'a>, SegmentError> {
        let Some(Origin { name, flags, .. }) = footer.lineage().get(origin as usize).copied() else {
            return Err(WriteError::Unknown { what: "origin", index: origin }.into());
        };
        let writer = Writer::new(footer.unit().clone(), &[(name, flags)], options)?;
        Ok(Cut { footer, origin, streams: vec![None; footer.streams().len()], writer })
    }

    /// Takes what belongs to the origin out of the next block; all blocks must come, in order.
    pub fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<(), SegmentError> {
        if !block.columns().origins().iter().any(|run| run.index == self.origin) {
            return Ok(());
        }
        for record in block.records().filter(|record| record.origin == self.origin) {
            let slot = &mut self.streams[record.stream as usize];
            let stream = match *slot {
                Some(stream) => stream,
                None => *slot.insert(self.writer.stream(&self.footer.streams()[record.stream as usize])?),
            };
            self.writer.push(record.id, stream, 0, record.payload, out)?;
        }
        Ok(())
    }

    /// Ends the new segment. `Err` when its records are not those of the origin: what was written is then to be
    /// thrown away.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<Footer, SegmentError> {
        let expected = self.footer.lineage()[self.origin as usize];
        let cut = self.writer.finish(out)?;
        let got = cut.lineage()[0];
        if got == expected {
            return Ok(cut);
        }
        Err(SegmentError::Origin {
            origin: expected.name,
            got_count: got.count,
            got: got.digest,
            expected_count: expected.count,
            expected: expected.digest,
        })
    }
}
