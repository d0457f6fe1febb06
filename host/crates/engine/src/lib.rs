//! Runs queries over what storage holds.
//!
//! A query reads [`Searchable`]s: pieces of the log and segments. Those whose ids, streams or filters exclude
//! a match are passed over, the others are searched in parallel by a pool of workers that all queries share in
//! turns; their rows are merged by id, repeats are dropped, and chunks of [`Rows`](weir_query::Rows) go to the
//! caller while the search goes on. Counts and histograms send nothing, and read only what they must.
//!
//! Memory is bounded whatever the size of the answer. Pieces and parts of segments are searched in the order of the answer, and a
//! row is sent as soon as no piece still to be searched can have one before it; so what waits in memory is
//! what overlaps in time. A piece that finds more rows than its share of the memory keeps the first ones
//! and is searched again from there when their turn comes.
//!
//! A plan may have [`Stages`]: matching records go through them, in the workers, before they count as found.
//!
//! What cannot be read is passed over, counted and named in the statistics: damage makes an answer
//! incomplete, never a failure.
//!
//! No async runtime, no socket and no file name in here: callers that must not block call it on a thread
//! of their own, and reading is the piece's business.

#![forbid(unsafe_code)]

mod around;
mod budget;
mod cancel;
mod chunk;
mod collector;
mod count;
mod damaged;
mod engine;
mod findings;
mod flagged;
mod item;
mod job;
mod ledger;
mod log_piece;
mod log_scan;
mod matchers;
mod part_scan;
mod piece;
mod pool;
mod query;
mod searchable;
mod selection;
mod stages;
mod suspects;
mod workspace;

pub use cancel::Cancel;
pub use damaged::{Damaged, DamagedPart};
pub use engine::{Engine, EngineError, EngineOptions, Plan, pieces};
pub use findings::fingerprint;
pub use ledger::Answer;
pub use piece::{BatchSummary, Piece, Unreadable, Views};
pub use searchable::{Searchable, SegmentPiece};
pub use stages::{StageFailure, Stages, Unjudged};
