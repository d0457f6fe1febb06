//! What a query reads: pieces of the log and segments, side by side.

use std::sync::Arc;

use weir_record::RecordId;
use weir_storage::SegmentFile;

use crate::piece::Piece;

/// Something to search. A record that lies in two of them is shown once.
#[derive(Debug, Clone)]
pub enum Searchable {
    /// Batches in the order of arrival.
    Log(Arc<dyn Piece>),
    /// Records in the order of their ids, in blocks.
    Segment(SegmentPiece),
}

/// A segment, or some of its origins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SegmentPiece {
    file: Arc<SegmentFile>,
    wanted: Share,
}

/// How much of a searchable is searched.
#[derive(Debug, Clone)]
pub(crate) enum Share {
    Nothing,
    All,
    /// Some batches of a piece, or some origins of a segment, by their numbers.
    Only(Arc<[bool]>),
}

impl Share {
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Share::Nothing)
    }

    pub(crate) fn only(&self) -> Option<&[bool]> {
        match self {
            Share::Only(wanted) => Some(wanted),
            Share::All | Share::Nothing => None,
        }
    }

    /// Of flags per number.
    pub(crate) fn of(wanted: Vec<bool>) -> Share {
        if wanted.iter().all(|wanted| *wanted) {
            Share::All
        } else if wanted.iter().any(|wanted| *wanted) {
            Share::Only(wanted.into())
        } else {
            Share::Nothing
        }
    }
}

impl SegmentPiece {
    /// All records of a segment.
    pub fn all(file: Arc<SegmentFile>) -> SegmentPiece {
        SegmentPiece { file, wanted: Share::All }
    }

    /// The records of some origins, by their numbers in the lineage. Numbers that it does not have are passed
    /// over.
    pub fn only(file: Arc<SegmentFile>, origins: impl IntoIterator<Item = usize>) -> SegmentPiece {
        let mut wanted = vec![false; file.footer().lineage().len()];
        for origin in origins {
            if let Some(place) = wanted.get_mut(origin) {
                *place = true;
            }
        }
        SegmentPiece { file, wanted: Share::of(wanted) }
    }

    /// The segment.
    pub fn file(&self) -> &Arc<SegmentFile> {
        &self.file
    }

    /// What to call it when something in it cannot be read.
    pub fn name(&self) -> String {
        name_of(&self.file)
    }
}

pub(crate) fn name_of(file: &SegmentFile) -> String {
    let name = file.path().file_name().unwrap_or(file.path().as_os_str());
    name.to_string_lossy().into_owned()
}

impl Searchable {
    /// What of it was asked for.
    pub(crate) fn share(&self) -> Share {
        match self {
            Searchable::Log(_) => Share::All,
            Searchable::Segment(segment) => segment.wanted.clone(),
        }
    }

    pub(crate) fn id_range(&self) -> (RecordId, RecordId) {
        match self {
            Searchable::Log(piece) => piece.id_range(),
            Searchable::Segment(segment) => segment.file.footer().id_range(),
        }
    }

    /// Payload bytes of all records.
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Searchable::Log(piece) => {
                (0..piece.batch_count()).map(|place| u64::from(piece.batch(place).payload_bytes)).sum()
            }
            Searchable::Segment(segment) => segment.file.footer().payload_bytes(),
        }
    }
}

impl From<Arc<dyn Piece>> for Searchable {
    fn from(piece: Arc<dyn Piece>) -> Searchable {
        Searchable::Log(piece)
    }
}

impl From<SegmentPiece> for Searchable {
    fn from(segment: SegmentPiece) -> Searchable {
        Searchable::Segment(segment)
    }
}
