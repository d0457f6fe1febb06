//! A piece of the log as far as its batches may have been stored elsewhere, or cannot have been.

use std::ops::Range;
use std::sync::Arc;

use weir_record::{BatchFlags, RecordId, Stream};

use crate::piece::{BatchSummary, Piece, Views};
use crate::searchable::Searchable;

/// Hands over some of the batches that it reads. Which ones is not known before: flags stand in the batches.
#[derive(Debug)]
struct Flagged {
    piece: Arc<dyn Piece>,
    is_flagged: bool,
}

/// The searchables, of the log only the batches that have flags or those that have none.
pub(crate) fn by_flags(sources: &[Searchable], is_flagged: bool) -> Vec<Searchable> {
    let part = |source: &Searchable| match source {
        Searchable::Log(piece) => Searchable::Log(Arc::new(Flagged { piece: Arc::clone(piece), is_flagged })),
        Searchable::Segment(segment) => Searchable::Segment(segment.clone()),
    };
    sources.iter().map(part).collect()
}

impl Piece for Flagged {
    fn name(&self) -> &str {
        self.piece.name()
    }

    fn id_range(&self) -> (RecordId, RecordId) {
        self.piece.id_range()
    }

    fn stream_count(&self) -> usize {
        self.piece.stream_count()
    }

    fn stream(&self, number: usize) -> &Arc<Stream> {
        self.piece.stream(number)
    }

    fn batch_count(&self) -> usize {
        self.piece.batch_count()
    }

    fn batch(&self, place: usize) -> BatchSummary {
        self.piece.batch(place)
    }

    fn read(&self, places: Range<usize>, buffer: &mut Vec<u8>, each: Views<'_>) {
        self.piece.read(places, buffer, &mut |view| match view {
            Ok((_, view)) if (view.flags == BatchFlags::NONE) == self.is_flagged => {}
            view => each(view),
        });
    }

    fn lost(&self) -> Option<String> {
        self.piece.lost()
    }
}
