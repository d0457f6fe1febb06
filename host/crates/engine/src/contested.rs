//! Which batches may share ids with others, told from their outlines alone.
//!
//! A count need not look for repeats among batches whose ids nobody else has, and those are nearly all:
//! ids are counted up within a batch from entropy drawn for it.

use std::sync::Arc;

use weir_record::RecordId;

use crate::piece::Piece;

/// Per piece and batch, whether its range of ids meets that of another batch.
#[derive(Debug)]
pub(crate) struct Contested {
    by_piece: Vec<Arc<[bool]>>,
}

impl Contested {
    /// Looks at the batches that have ids from `from` to `to`, both inclusive.
    pub(crate) fn find(pieces: &[Arc<dyn Piece>], from: RecordId, to: RecordId) -> Contested {
        let mut by_piece: Vec<Vec<bool>> =
            pieces.iter().map(|piece| vec![false; piece.batch_count()]).collect();
        let mut ranges: Vec<(RecordId, RecordId, usize, usize)> = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let batches = (0..piece.batch_count()).map(|place| (piece.batch(place), place));
            let in_range = batches.filter(|(batch, _)| batch.low <= to && batch.high >= from);
            ranges.extend(in_range.map(|(batch, place)| (batch.low, batch.high, number, place)));
        }
        ranges.sort_unstable_by_key(|range| range.0);
        // The range that reaches highest so far; whoever begins below its end meets it.
        let mut reach: Option<(RecordId, usize, usize)> = None;
        for (low, high, number, place) in ranges {
            if let Some((end, other_number, other_place)) = reach
                && low <= end
            {
                by_piece[number][place] = true;
                by_piece[other_number][other_place] = true;
            }
            if reach.is_none_or(|(end, ..)| high > end) {
                reach = Some((high, number, place));
            }
        }
        Contested { by_piece: by_piece.into_iter().map(Arc::from).collect() }
    }

    pub(crate) fn of_piece(&self, number: usize) -> Arc<[bool]> {
        Arc::clone(&self.by_piece[number])
    }
}

/// Whether the ids of a batch ascend, so that none comes twice.
pub(crate) fn ascends(runs: &[weir_record::IdRun]) -> bool {
    runs.windows(2).all(|pair| pair[0].last().is_some_and(|last| last < pair[1].first))
}
