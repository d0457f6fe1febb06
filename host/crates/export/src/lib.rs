//! Segments read offline: opened by path, verified, and their records written out for other tools.
//!
//! - [`Opening`]: a segment on disk, only read, so that a copy on a read-only medium will do.
//! - [`Findings`]: all that is wrong with one, for `weir segment verify`.
//! - [`export`]: records as JSON lines, CSV or Parquet, to a stream, a file, or a folder per hour.
//!
//! Nothing here talks to a node. Memory is bounded by a row group of Parquet and a block of a segment, whatever the
//! size of what is read; a file gets its name when it is whole and durable.

#![forbid(unsafe_code)]

mod csv;
pub mod export;
mod inputs;
mod opening;
mod out_file;
#[cfg(feature = "parquet")]
mod parquet;
mod place;
mod shape;
mod verify;
mod writer;

pub use export::{Destination, Export, ExportError, Problem, Range, Sums};
pub use opening::{OpenError, Opening};
pub use shape::{NoParquet, Shape};
pub use verify::Findings;
