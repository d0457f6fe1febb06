//! What a worker keeps from step to step, so that its memory need not be found anew.

use weir_segment::{Block, Decoder, SegmentError};

use crate::selection::{Lines, Selection};

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
    /// Its lines as they are searched.
    pub(crate) lines: Lines,
}

impl Workspace {
    /// Decodes the block whose bytes were read. `Err` says what is wrong with it.
    pub(crate) fn decode(&mut self, footer: &weir_segment::Footer, index: usize) -> Result<(), SegmentError> {
        let decoder = made(&mut self.decoder)?;
        decoder.block(footer, index, &self.bytes, &mut self.block)
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
