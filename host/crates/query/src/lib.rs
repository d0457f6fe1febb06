//! The query language, what it matches, and the shape of answers.
//!
//! Text becomes an [`Expr`] ([`parse`]), an expression becomes a [`Matcher`], and a matcher, asked for one
//! stream, searches flat buffers of payloads ([`StreamMatcher::scan`]). Times are read by [`time`], answers
//! are [`Rows`] and [`Stats`].
//!
//! Pure: no clock, no disk, no socket, no thread. "Now" is passed in. Nothing here knows where records are
//! kept or how they are read: that is the engine's.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod context;
mod explain;
pub mod fingerprint;
pub mod histogram;
pub mod language;
pub mod matcher;
pub mod rows;
pub mod stats;
pub mod time;

pub use context::{Anchor, Around, Context, ContextTooLarge, Groups, Next};
pub use explain::{Explanation, Term};
pub use fingerprint::Fingerprint;
pub use histogram::{Buckets, BucketsError, Histogram};
pub use language::{
    Arg, ArgValue, Expr, Operand, Operator, ParseError, Piped, Scope, Stage, parse, parse_piped, parse_regex,
};
pub use matcher::{CompileError, Highlights, Matcher, Prune, RequiredWords, StreamClass, StreamMatcher};
pub use rows::{Mark, Row, Rows};
pub use stats::{Missing, Stats};
pub use weir_record::merge::{NotAnOrder, Order};
