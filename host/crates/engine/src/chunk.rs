//! Rows on their way out.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::Rows;
use weir_record::Stream;

/// Collects rows of many pieces, each stream once.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: Rows,
    // Streams are shared by the rows of a piece, and pieces live as long as the query: so their addresses
    // tell them apart without looking at them.
    by_address: HashMap<usize, u32>,
    by_content: HashMap<Arc<Stream>, u32>,
    last: Option<(usize, u32)>,
}

impl Chunk {
    /// Adds one of the rows of a piece.
    pub(crate) fn push(&mut self, from: &Rows, row: usize) {
        let stream = &from.streams()[from.stream_of()[row] as usize];
        let number = self.number(stream);
        self.rows.push(from.ids()[row], number, from.payload(row));
    }

    fn number(&mut self, stream: &Arc<Stream>) -> u32 {
        let address = Arc::as_ptr(stream).addr();
        if let Some((last, number)) = self.last
            && last == address
        {
            return number;
        }
        let number = *self.by_address.entry(address).or_insert_with(|| {
            *self
                .by_content
                .entry(Arc::clone(stream))
                .or_insert_with(|| self.rows.add_stream(Arc::clone(stream)))
        });
        self.last = Some((address, number));
        number
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// The rows; the chunk is empty afterwards.
    pub(crate) fn take(&mut self) -> Rows {
        self.by_address.clear();
        self.by_content.clear();
        self.last = None;
        std::mem::take(&mut self.rows)
    }
}
