//! The segment: an immutable file of the records of one unit, in the order of their ids.
//!
//! A segment is a valid `.zst` file of the log lines themselves: `zstdcat`, `rg -z` and whatever else reads
//! zstd prints them. What only weir needs (ids, streams, origins, filters, checksums) lies in skippable
//! frames between. This crate writes and reads the bytes and touches no file: a [`Writer`] appends to a
//! buffer that its caller empties, [`Footer::open`] and [`Decoder`] take slices that their caller has read.
//!
//! `docs/FORMATS.md` describes the bytes in order; the structs here say what they mean.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
mod columns;
mod concat;
pub mod cut;
pub mod directory;
pub mod envelope;
pub mod error;
pub mod filter;
pub mod filters;
pub mod footer;
mod fuse;
#[doc(hidden)]
pub mod fuzz;
mod group;
mod ids;
mod layout;
pub mod leaf;
pub mod lineage;
pub mod name;
pub mod pages;
mod pending;
pub mod section;
pub mod token;
mod token_set;
pub mod unit;
pub mod verify;
pub mod writer;

pub use block::{Block, Columns, Decoder, Record};
pub use concat::Concat;
pub use cut::Cut;
pub use directory::{BlockEntry, FilterEntry, PartEntry};
pub use error::{SegmentError, WriteError};
pub use filter::Filter;
pub use footer::{Footer, Opened};
pub use leaf::{LeafEntry, LeafSet};
pub use lineage::{Origin, OriginFlags, OriginName, RecordDigest};
pub use name::SegmentName;
pub use pages::PagedFilter;
pub use section::Section;
pub use unit::Unit;
pub use verify::Verifier;
pub use weir_record::level::{self, Level};
pub use writer::{Grouping, Writer, WriterOptions};
