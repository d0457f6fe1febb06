//! Pieces of the ingest log, as storage keeps them.

use std::ops::Range;
use std::sync::Arc;

use weir_record::{RecordId, Stream};
use weir_storage::{Damage, Piece as LogPiece};

use crate::piece::{BatchSummary, Piece, Unreadable, Views};

impl Piece for LogPiece {
    fn name(&self) -> &str {
        LogPiece::name(self)
    }

    fn id_range(&self) -> (RecordId, RecordId) {
        (self.low(), self.high())
    }

    fn stream_count(&self) -> usize {
        self.streams().len()
    }

    fn stream(&self, number: usize) -> &Arc<Stream> {
        &self.streams()[number].stream
    }

    fn batch_count(&self) -> usize {
        self.batches().len()
    }

    fn batch(&self, place: usize) -> BatchSummary {
        let batch = &self.batches()[place];
        BatchSummary {
            low: batch.low,
            high: batch.high,
            stream: batch.stream,
            records: batch.count,
            payload_bytes: batch.payload_bytes,
            group: batch.frame_offset,
        }
    }

    fn read(&self, places: Range<usize>, buffer: &mut Vec<u8>, each: Views<'_>) {
        for view in LogPiece::read(self, places.clone(), buffer) {
            each(view.map_err(|damage| unreadable(self, places.clone(), &damage)));
        }
    }

    fn lost(&self) -> Option<String> {
        let bytes = self.damaged_bytes();
        (bytes > 0).then(|| format!("{bytes} bytes of it were found damaged when the node started"))
    }
}

fn unreadable(piece: &LogPiece, asked: Range<usize>, damage: &Damage) -> Unreadable {
    let in_frame = |place: &usize| piece.batches()[*place].frame_offset == damage.offset;
    Unreadable {
        first: asked.clone().find(in_frame).unwrap_or(asked.start),
        batches: damage.batches as usize,
        place: format!("{}, byte {}", damage.file, damage.offset),
        why: damage.cause.to_string(),
    }
}
