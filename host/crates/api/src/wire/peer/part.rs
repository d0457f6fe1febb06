//! Parts of streamed answers, as frames and back.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_query::Rows;
use weir_record::limits::TAIL_POSITION_BYTES_MAX;

use super::frame::{self, Frame, FrameError, Kind};
use super::rows::StreamCache;
use super::search::SearchCodecError;
use super::{Counts, HashedRows, PlanAnswer, SearchEnd, TailEvent, end, rows, tail};
use crate::error::{ApiError, ErrorBody};

/// Bytes of a feed in one frame.
const CHANGES_FRAME_BYTES: usize = 4 << 20;

/// A part of an answer to a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchPart {
    /// Records, in the order asked for.
    Rows(Rows),
    /// Records as hashes, in the order asked for.
    Hashes(HashedRows),
    /// Counts; they are added up.
    Counts(Counts),
    /// The state of an aggregate; they are merged.
    Partial(Bytes),
}

/// The error that an answer ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The HTTP status that it would have had at the beginning.
    pub status: u16,
    /// When to come again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// What is wrong.
    pub error: ErrorBody,
}

/// A frame that is not what it should be. What came before it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Not the body that frames of its kind have.
    #[error(transparent)]
    Codec(#[from] SearchCodecError),
    /// The JSON in it is not what it should be.
    #[error("a frame holds other JSON than it should: {0}")]
    Json(String),
    /// A frame that has no place in this answer.
    #[error("the answer holds a frame that does not belong there: {0:?}")]
    Kind(Kind),
}

/// What a streamed answer consists of.
pub trait Part: Sized {
    /// The frames of a part, in order.
    fn to_frames(&self) -> Result<Vec<Bytes>, FrameError>;

    /// The part that a frame is. `known` are the streams of the frames before it.
    fn of_frame(frame: &Frame, known: &mut StreamCache) -> Result<Self, PartError>;
}

impl Part for SearchPart {
    fn to_frames(&self) -> Result<Vec<Bytes>, FrameError> {
        match self {
            SearchPart::Rows(rows) => rows::encode(rows),
            SearchPart::Hashes(rows) => {
                rows.encode().map(|body| frame::encode(Kind::Hashes, &body)).collect()
            }
            SearchPart::Counts(counts) => Ok(vec![frame::encode(Kind::Counts, &counts.encode())?]),
            SearchPart::Partial(partial) => Ok(vec![frame::encode(Kind::Partial, partial)?]),
        }
    }

    fn of_frame(frame: &Frame, known: &mut StreamCache) -> Result<SearchPart, PartError> {
        match frame.kind {
            Kind::Rows => Ok(SearchPart::Rows(rows::decode(&frame.body, known)?)),
            Kind::Hashes => Ok(SearchPart::Hashes(HashedRows::decode(&frame.body)?)),
            Kind::Counts => Ok(SearchPart::Counts(Counts::decode(&frame.body)?)),
            Kind::Partial => Ok(SearchPart::Partial(frame.body.clone())),
            kind => Err(PartError::Kind(kind)),
        }
    }
}

impl Part for TailEvent {
    fn to_frames(&self) -> Result<Vec<Bytes>, FrameError> {
        match self {
            TailEvent::Rows(rows) => rows::encode(rows),
            TailEvent::Position(position) => Ok(vec![frame::encode(Kind::Position, position)?]),
            TailEvent::Gap(gap) => {
                let mut body = Vec::new();
                tail::put_gap(&mut body, *gap);
                Ok(vec![frame::encode(Kind::Gap, &body)?])
            }
        }
    }

    fn of_frame(frame: &Frame, known: &mut StreamCache) -> Result<TailEvent, PartError> {
        match frame.kind {
            Kind::Rows => Ok(TailEvent::Rows(rows::decode(&frame.body, known)?)),
            Kind::Position if (1..=TAIL_POSITION_BYTES_MAX).contains(&frame.body.len()) => {
                Ok(TailEvent::Position(frame.body.clone()))
            }
            Kind::Position => Err(SearchCodecError::Value("position").into()),
            Kind::Gap => Ok(TailEvent::Gap(tail::read_gap(&frame.body).map_err(SearchCodecError::from)?)),
            kind => Err(PartError::Kind(kind)),
        }
    }
}

impl Failure {
    /// An error as the end of an answer. Its detail stays here.
    pub fn of(error: &ApiError) -> Failure {
        let mut body = error.envelope().error;
        body.message.truncate(end::shorten(&body.message).len());
        Failure { status: error.kind().status().as_u16(), retry_after_s: error.retry_after(), error: body }
    }

    pub(crate) fn to_frame(&self) -> Result<Bytes, PartError> {
        json_frame(Kind::Error, self)
    }

    pub(crate) fn of_frame(frame: &Frame) -> Result<Failure, PartError> {
        json_of(frame)
    }
}

impl SearchEnd {
    pub(crate) fn to_frame(&self) -> Result<Bytes, PartError> {
        Ok(frame::encode(Kind::End, &self.encode())?)
    }

    pub(crate) fn of_frame(frame: &Frame) -> Result<SearchEnd, PartError> {
        Ok(SearchEnd::decode(&frame.body)?)
    }
}

impl PlanAnswer {
    /// All frames but the end.
    pub(crate) fn to_frames(&self) -> Result<Vec<Bytes>, PartError> {
        let mut frames = vec![json_frame(Kind::Plan, self)?];
        frames.extend(changes_frames(&self.changes)?);
        Ok(frames)
    }

    /// The plan of its frame, still without its changes.
    pub(crate) fn of_frame(frame: &Frame) -> Result<PlanAnswer, PartError> {
        json_of(frame)
    }
}

/// Frames that hold the bytes of a feed.
pub(crate) fn changes_frames(changes: &[u8]) -> Result<Vec<Bytes>, PartError> {
    let frames = changes.chunks(CHANGES_FRAME_BYTES).map(|part| frame::encode(Kind::Changes, part));
    Ok(frames.collect::<Result<_, FrameError>>()?)
}

/// A frame that says nothing but its kind.
pub(crate) fn bare_frame(kind: Kind) -> Bytes {
    frame::encode(kind, &[]).unwrap_or_default()
}

fn json_frame(kind: Kind, value: &impl Serialize) -> Result<Bytes, PartError> {
    let body = serde_json::to_vec(value).map_err(|error| PartError::Json(error.to_string()))?;
    Ok(frame::encode(kind, &body)?)
}

fn json_of<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, PartError> {
    serde_json::from_slice(&frame.body).map_err(|error| PartError::Json(error.to_string()))
}
