//! What a log record is: its id, its stream, its bytes, and how many of them travel together.
//!
//! Pure: no clock, no disk, no socket, no randomness. Time and entropy are passed in, so that a
//! simulation can replay every decision made here. Everything else in weir depends on this crate and
//! it depends on nothing of ours.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod batch;
pub mod codec;
pub mod id;
pub mod level;
pub mod limits;
pub mod lines;
pub mod merge;
pub mod mint;
pub mod split;
pub mod stream;
pub mod word;

pub use batch::{Batch, BatchError, BatchFlags, IdRun};
pub use codec::{BatchView, CodecError};
pub use id::RecordId;
pub use level::Level;
pub use mint::Minter;
pub use stream::{Stream, StreamError};
