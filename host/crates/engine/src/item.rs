//! The parts in which searchables wait for their turn.
//!
//! A piece of the log waits as a whole. A segment waits in runs of a few blocks, each within a part of its filter
//! (some 16 MiB of payload): so that they are searched side by side, the newest records touch the newest
//! blocks only, the rows of one run are few, and each part's filter is asked just before its blocks would be
//! read.

use std::ops::Range;

use weir_query::Rows;
use weir_record::RecordId;
use weir_record::limits::{QUERY_ITEM_BYTES, QUERY_SCAN_BYTES_MIN};

use weir_segment::{BlockEntry, Footer};

use crate::searchable::Searchable;

/// A piece of the log, or some blocks of a part of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Which searchable.
    pub(crate) source: usize,
    /// Which part of it, 0 for a piece of the log.
    pub(crate) part: usize,
    /// The first of its blocks and the one behind the last.
    blocks: (usize, usize),
    pub(crate) low: RecordId,
    pub(crate) high: RecordId,
}

impl Item {
    /// The items of one searchable.
    pub(crate) fn of(source: usize, searchable: &Searchable) -> Vec<Item> {
        match searchable {
            Searchable::Log(piece) => {
                let (low, high) = piece.id_range();
                vec![Item { source, part: 0, blocks: (0, 0), low, high }]
            }
            Searchable::Segment(segment) => {
                let footer = segment.file().footer();
                let mut items = Vec::new();
                for (part, entry) in footer.parts().iter().enumerate() {
                    let mut rest = entry.blocks.clone();
                    while let Some(item) = Item::first_of(source, part, &mut rest, footer) {
                        items.push(item);
                    }
                }
                items
            }
        }
    }

    /// Takes some blocks off the front of those of a part.
    fn first_of(source: usize, part: usize, rest: &mut Range<usize>, footer: &Footer) -> Option<Item> {
        let blocks = &footer.blocks()[rest.clone()];
        let mut bytes = 0;
        let fits = |block: &&BlockEntry| {
            bytes += block.payload_bytes as usize;
            bytes <= QUERY_ITEM_BYTES
        };
        let count = blocks.iter().take_while(fits).count().max(1);
        let (low, high) = (blocks.first()?.low, blocks.get(count - 1)?.high);
        let start = rest.start;
        rest.start += count;
        Some(Item { source, part, blocks: (start, rest.start), low, high })
    }

    /// Its blocks; none of a piece of the log.
    pub(crate) fn blocks(&self) -> Range<usize> {
        self.blocks.0..self.blocks.1
    }

    /// What a collector needs to keep every row: twice the rows, see
    /// [`Bounds::bytes_max`](crate::collector::Bounds::bytes_max).
    pub(crate) fn need_bytes(&self, searchable: &Searchable) -> usize {
        let rows: usize = self.sizes(searchable, |records, bytes| bytes + records * Rows::ROW_BYTES);
        2 * rows + QUERY_SCAN_BYTES_MIN
    }

    /// Payload bytes of all its records.
    pub(crate) fn payload_bytes(&self, searchable: &Searchable) -> u64 {
        self.sizes(searchable, |_, bytes| bytes) as u64
    }

    fn sizes(&self, searchable: &Searchable, size: impl Fn(usize, usize) -> usize) -> usize {
        match searchable {
            Searchable::Log(piece) => {
                let batches = (0..piece.batch_count()).map(|place| piece.batch(place));
                batches.map(|batch| size(batch.records as usize, batch.payload_bytes as usize)).sum()
            }
            Searchable::Segment(segment) => {
                let blocks = &segment.file().footer().blocks()[self.blocks()];
                blocks.iter().map(|block| size(block.records as usize, block.payload_bytes as usize)).sum()
            }
        }
    }
}
