//! What can be wrong with a segment, and with what is asked of a writer.

use alloc::string::String;
use core::fmt;

use weir_record::limits::{
    RECORD_BYTES_MAX, SEGMENT_BLOCKS_MAX, SEGMENT_ORIGINS_MAX, SEGMENT_PAYLOAD_BYTES_MAX,
    SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX,
};
use weir_record::{CodecError, RecordId};

use crate::lineage::{OriginName, RecordDigest};

/// Which half of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The zstd frame with the lines.
    Data,
    /// The skippable frame with ids, streams, lengths, origins and filter.
    Side,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Half::Data => "data",
            Half::Side => "side columns",
        })
    }
}

/// What is wrong with a part of a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not those that were written.
    #[error("the checksum does not match")]
    Sum,
    /// Fewer or more bytes than the footer says.
    #[error("{got} bytes instead of {expected}")]
    Length {
        /// What there is.
        got: usize,
        /// What the footer says.
        expected: usize,
    },
    /// zstd refuses the frame.
    #[error("zstd: {0}")]
    Zstd(String),
    /// A field cannot be read.
    #[error(transparent)]
    Field(#[from] CodecError),
    /// The checksum holds and the content contradicts itself: a bug or a forgery.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// Bytes that are not a sound segment. Reading changes no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The file does not end with the tail of a segment: something else, or cut off.
    #[error("not a segment, or cut off: it does not end with the tail of one")]
    NotASegment,
    /// The tail is damaged.
    #[error("the tail is damaged: its checksum does not match")]
    Tail,
    /// A version that this program does not know.
    #[error("segment version {0}, this program reads versions up to {version}", version = crate::envelope::VERSION)]
    Version(u32),
    /// Bytes are missing or follow.
    #[error("the file has {got} bytes, its tail says {expected}")]
    FileBytes {
        /// What the file has.
        got: u64,
        /// What the tail says.
        expected: u64,
    },
    /// The footer is damaged, and with it everything that would be needed to use the segment.
    #[error("the footer at offset {offset} is damaged: {damage}")]
    Footer {
        /// Where its frame begins.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// A block is damaged; all others can be read.
    #[error("block {index} at offset {offset} is damaged in its {half}: {damage}")]
    Block {
        /// Which block, from 0.
        index: usize,
        /// Where the damaged half begins in the file.
        offset: u64,
        /// Which half.
        half: Half,
        /// What is wrong.
        damage: Damage,
    },
    /// A part of the segment's filter is damaged; its blocks have filters of their own.
    #[error("filter part {index} at offset {offset} is damaged: {damage}")]
    Part {
        /// Which part, from 0.
        index: usize,
        /// Where its frame begins.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The records of an origin are not those that its digest stands for.
    #[error(
        "origin {origin} has {got_count} records with digest {got}, the lineage says {expected_count} with {expected}"
    )]
    Origin {
        /// Which one.
        origin: OriginName,
        /// Records found.
        got_count: u64,
        /// Their digest.
        got: RecordDigest,
        /// Records of the lineage.
        expected_count: u64,
        /// Digest of the lineage.
        expected: RecordDigest,
    },
    /// There is no memory for what zstd needs. Nothing is known of the segment.
    #[error("no memory to decompress")]
    Memory,
    /// Records could not be written on into another segment.
    #[error("write the records on: {0}")]
    Write(#[from] WriteError),
}

/// A record that cannot go into the segment being written. The writer stays as it was before the call, but for
/// [`WriteError::Zstd`], after which it must be dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Records come in the order of their ids.
    #[error("record {id} comes after {before}; sort by id first")]
    Order {
        /// The record.
        id: RecordId,
        /// The one before it.
        before: RecordId,
    },
    /// The id lies outside the bucket of the unit.
    #[error("record {0} does not belong into the unit's time bucket")]
    Unit(RecordId),
    /// The payload is too long: it should have been split.
    #[error("record {id} has {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    Record {
        /// The record.
        id: RecordId,
        /// Its length.
        bytes: usize,
    },
    /// No such number was given out by the writer, or no such origin was named to it.
    #[error("there is no {what} {index}")]
    Unknown {
        /// Stream or origin.
        what: &'static str,
        /// Its number.
        index: u32,
    },
    /// The segment is full: end it and begin another.
    #[error(
        "a segment has at most {SEGMENT_BLOCKS_MAX} blocks, {SEGMENT_PAYLOAD_BYTES_MAX} payload bytes, \
         {SEGMENT_STREAMS_MAX} streams of {SEGMENT_STREAM_BYTES_MAX} bytes"
    )]
    Full,
    /// The origins are none, too many, not sorted by name, or one is named twice.
    #[error("a segment has 1 to {SEGMENT_ORIGINS_MAX} origins, sorted by name, each once")]
    Origins,
    /// An origin was named and has no record.
    #[error("origin {0} has no record")]
    EmptyOrigin(OriginName),
    /// Block size or level out of bounds.
    #[error("{0} is out of bounds")]
    Options(&'static str),
    /// zstd failed, for want of memory.
    #[error("compress: {0}")]
    Zstd(String),
}
