//! Bounds of segments.

/// Raw bytes of one block of a segment, payloads and newlines, unless a single record is larger: among so many lines
/// those of a shape are put side by side.
pub const SEGMENT_BLOCK_BYTES_DEFAULT: usize = 4 << 20;
/// The least that may be asked for in place of it; a smaller last block is no exception to speak of.
pub const SEGMENT_BLOCK_BYTES_MIN: usize = 1 << 10;
/// Raw bytes of the largest block.
pub const SEGMENT_BLOCK_BYTES_MAX: usize = 4 << 20;
/// Raw bytes at which the lines of a block are cut into leaves: what a question decodes at least.
pub const SEGMENT_LEAF_BYTES_DEFAULT: usize = 320 << 10;
/// The same in a segment of a settled unit, which is to be small first.
pub const SEGMENT_SETTLED_LEAF_BYTES: usize = 512 << 10;
/// The least that may be asked for in place of it.
pub const SEGMENT_LEAF_BYTES_MIN: usize = 1 << 7;
/// Leaves of one block; those of a block of many small ones become larger.
pub const SEGMENT_BLOCK_LEAVES_MAX: usize = 64;
/// Leaves of one segment.
pub const SEGMENT_LEAVES_MAX: usize = 262_144;
/// Records in one block of a segment.
pub const SEGMENT_BLOCK_RECORDS_MAX: usize = 65_536;
/// Side columns of one block, before compression: ids, streams, origins, groups and lengths, a few bytes each.
pub const SEGMENT_COLUMNS_BYTES_MAX: usize = SEGMENT_BLOCK_RECORDS_MAX * 64;
/// Blocks in one segment.
pub const SEGMENT_BLOCKS_MAX: usize = 65_536;
/// Sections of one segment: merges that only put segments one behind the other end here.
pub const SEGMENT_SECTIONS_MAX: usize = 1024;
/// Numbers of streams that all sections of a segment list together: it keeps the footer small.
pub const SEGMENT_SECTION_STREAMS_MAX: usize = 1 << 20;
/// Payload of one segment.
pub const SEGMENT_PAYLOAD_BYTES_MAX: u64 = 16 << 30;
/// Distinct streams in one segment.
pub const SEGMENT_STREAMS_MAX: usize = 65_536;
/// Those streams in their encoded form.
pub const SEGMENT_STREAM_BYTES_MAX: usize = 16 << 20;
/// Origins in the lineage of one segment.
pub const SEGMENT_ORIGINS_MAX: usize = 262_144;
/// Footer of a segment, before compression.
pub const SEGMENT_FOOTER_BYTES_MAX: usize = 64 << 20;
/// Payload after which a part of the segment's filter is closed. Larger than a piece of the ingest log, whose last block
/// would be a part of its own otherwise, asked by every question.
pub const SEGMENT_FILTER_PART_BYTES: u64 = 20 << 20;
/// Words of its blocks, those of each block counted once, after which it is closed, too: what building it may hold.
pub const SEGMENT_FILTER_PART_WORDS: usize = 1 << 20;
/// One filter as bytes: the words of a full part and those of one more block, at two bytes each.
pub const SEGMENT_FILTER_BYTES_MAX: usize = 8 << 20;
