//! Segments from outside: all damage is found, and what is sound comes out in every format.

#![allow(clippy::unwrap_used)]

mod corpus;
mod flips;
#[cfg(feature = "parquet")]
mod parquet;
mod text;
