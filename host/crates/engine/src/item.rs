//! The parts in which searchables wait for their turn.
//!
//! A piece of the log waits as a whole. A segment waits part by part, as its filter divides it (some 16 MiB
//! of payload each): so that its parts are searched side by side, the newest records touch the newest part
//! only, and each part's filter is read just before its blocks would be.

use std::ops::Range;

use weir_query::Rows;
use weir_record::RecordId;
use weir_record::limits::QUERY_SCAN_BYTES_MIN;

use crate::searchable::{Searchable, SegmentPiece};

/// A piece of the log, or a part of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Which searchable.
    pub(crate) source: usize,
    /// Which part of it, 0 for a piece of the log.
    pub(crate) part: usize,
    pub(crate) low: RecordId,
    pub(crate) high: RecordId,
}

impl Item {
    /// The items of one searchable.
    pub(crate) fn of(source: usize, searchable: &Searchable) -> Vec<Item> {
        match searchable {
            Searchable::Log(piece) => {
                let (low, high) = piece.id_range();
                vec![Item { source, part: 0, low, high }]
            }
            Searchable::Segment(segment) => {
                let footer = segment.file().footer();
                let item = |(part, entry): (usize, &weir_segment::PartEntry)| {
                    let blocks = &footer.blocks()[entry.blocks.clone()];
                    let (low, high) = (blocks.first()?.low, blocks.last()?.high);
                    Some(Item { source, part, low, high })
                };
                footer.parts().iter().enumerate().filter_map(item).collect()
            }
        }
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
                let blocks = &segment.file().footer().blocks()[blocks_of(segment, self.part)];
                blocks.iter().map(|block| size(block.records as usize, block.payload_bytes as usize)).sum()
            }
        }
    }
}

/// The blocks of a part.
pub(crate) fn blocks_of(segment: &SegmentPiece, part: usize) -> Range<usize> {
    segment.file().footer().parts().get(part).map_or(0..0, |entry| entry.blocks.clone())
}
