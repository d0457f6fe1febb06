//! A piece in memory, as far as it can be read.

use std::ops::Range;
use std::sync::Arc;

use weir_record::limits::SEAL_PORTION_BYTES;
use weir_record::{BatchView, RecordId};

use crate::ingest_log::reader::Piece;

/// The bytes of some batches.
pub(super) struct Frames {
    batches: Range<usize>,
    bytes: Vec<u8>,
    /// Why there are none.
    error: Option<Arc<str>>,
}

/// Reads the frames of a piece. What cannot be read at once is tried again frame by frame, so that a bad
/// sector costs no more than the frame it lies in.
pub(super) fn frames(piece: &Piece) -> Vec<Frames> {
    let mut frames = Vec::new();
    for portion in piece.portions(SEAL_PORTION_BYTES) {
        let whole = fetch(piece, portion.clone());
        if whole.error.is_none() {
            frames.push(whole);
            continue;
        }
        let mut from = portion.start;
        while from < portion.end {
            let batches = &piece.batches()[from..portion.end];
            let count =
                batches.iter().take_while(|batch| batch.frame_offset == batches[0].frame_offset).count();
            frames.push(fetch(piece, from..from + count));
            from += count;
        }
    }
    frames
}

fn fetch(piece: &Piece, batches: Range<usize>) -> Frames {
    let mut bytes = Vec::new();
    match piece.fetch(batches.clone(), &mut bytes) {
        Ok(count) => {
            bytes.truncate(count);
            Frames { batches, bytes, error: None }
        }
        Err(error) => Frames { batches, bytes: Vec::new(), error: Some(error.to_string().into()) },
    }
}

/// The batches of a piece in the order of their arrival, without those that cannot be read.
pub(super) struct Loaded<'a> {
    pub(super) piece: &'a Piece,
    pub(super) batches: Vec<LoadedBatch<'a>>,
    /// Records that cannot be read.
    pub(super) lost_records: u64,
    /// What is wrong with the piece, if anything is.
    pub(super) spoilt: Option<String>,
}

pub(super) struct LoadedBatch<'a> {
    /// As a number of the piece.
    pub(super) stream: u32,
    pub(super) view: BatchView<'a>,
}

impl<'a> Loaded<'a> {
    pub(super) fn of(piece: &'a Piece, frames: &'a [Frames]) -> Loaded<'a> {
        let mut batches = Vec::with_capacity(piece.batches().len());
        let mut lost_records = 0;
        let mut spoilt = None;
        for Frames { batches: places, bytes, error } in frames {
            for view in piece.views(places.clone(), bytes, error.clone()) {
                match view {
                    Ok((place, view)) => {
                        batches.push(LoadedBatch { stream: piece.batches()[place].stream, view });
                    }
                    Err(damage) => {
                        lost_records += damage.records;
                        spoilt.get_or_insert_with(|| damage.to_string());
                    }
                }
            }
        }
        if piece.damaged_bytes() > 0 {
            spoilt.get_or_insert_with(|| format!("{} bytes of it are damaged", piece.damaged_bytes()));
        }
        Loaded { piece, batches, lost_records, spoilt }
    }

    pub(super) fn topic(&self, batch: &LoadedBatch<'_>) -> &'a str {
        self.piece.streams()[batch.stream as usize].stream.topic()
    }
}

impl LoadedBatch<'_> {
    /// The payload of one record.
    pub(super) fn payload(&self, index: u32) -> &[u8] {
        let ends = &self.view.ends;
        let start = index.checked_sub(1).map_or(0, |before| ends[before as usize]);
        &self.view.arena[start as usize..ends[index as usize] as usize]
    }
}

/// The id `count` behind another one of a run, whose ids were checked to lie in range.
pub(super) fn id_after(id: RecordId, count: u32) -> RecordId {
    RecordId::from_u128(id.to_u128().wrapping_add(u128::from(count)))
}
