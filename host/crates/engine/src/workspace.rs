//! What a worker keeps from step to step, so that its memory need not be found anew.

use weir_segment::{Block, Decoder, LeafSet, SegmentError};

use crate::selection::{Members, Selection};

/// The buffers of one worker. What is in them belongs to the step under way.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Bytes as they are read.
    pub(crate) bytes: Vec<u8>,
    decoder: Option<Decoder>,
    /// The block under way.
    pub(crate) block: Block,
    /// Its records that are wanted.
    pub(crate) selection: Selection,
    /// Which records are searched.
    pub(crate) members: Members,
    /// Lines of it that match.
    pub(crate) hits: Vec<u32>,
}

impl Workspace {
    /// Decodes the leaves of a block whose bytes were read. `Err` says what is wrong with it.
    pub(crate) fn decode(
        &mut self,
        footer: &weir_segment::Footer,
        index: usize,
        leaves: LeafSet,
    ) -> Result<(), SegmentError> {
        let decoder = made(&mut self.decoder)?;
        decoder.leaves(footer, index, leaves, &self.bytes, &mut self.block)
    }

    /// The same of their lines alone; see [`Decoder::lines`].
    pub(crate) fn lines(
        &mut self,
        footer: &weir_segment::Footer,
        index: usize,
        leaves: LeafSet,
    ) -> Result<bool, SegmentError> {
        let data = &self.bytes[..self.bytes.len() - footer.blocks()[index].side_bytes as usize];
        made(&mut self.decoder)?.lines(footer, index, leaves, data, &mut self.block)
    }

    /// Finds out which records these lines are.
    pub(crate) fn records_of_lines(
        &mut self,
        footer: &weir_segment::Footer,
        index: usize,
        leaves: LeafSet,
    ) -> Result<(), SegmentError> {
        let side = &self.bytes[self.bytes.len() - footer.blocks()[index].side_bytes as usize..];
        made(&mut self.decoder)?.records_of_lines(footer, index, leaves, side, &mut self.block)
    }

    /// Decodes the columns of a block of its side frame, which begins at `at` of the bytes read.
    pub(crate) fn columns(
        &mut self,
        footer: &weir_segment::Footer,
        index: usize,
        at: usize,
    ) -> Result<weir_segment::Columns, SegmentError> {
        let decoder = made(&mut self.decoder)?;
        decoder.columns(footer, index, self.bytes.get(at..).unwrap_or(&[]))
    }
}

fn made(decoder: &mut Option<Decoder>) -> Result<&mut Decoder, SegmentError> {
    match decoder {
        Some(decoder) => Ok(decoder),
        None => Ok(decoder.insert(Decoder::quick()?)),
    }
}
