//! What a query found unreadable in a segment, for whoever keeps the segment.

use std::sync::Arc;

use weir_storage::SegmentFile;

/// A part of a segment that cannot be read. The query went on without it.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// The segment.
    pub file: Arc<SegmentFile>,
    /// Which part of it.
    pub part: DamagedPart,
    /// Numbers in the lineage of the origins that have lost records: none for a filter, and `None` when
    /// nobody can tell because the columns of the block are lost, too, so that it may be any of the lineage.
    pub origins: Option<Vec<u32>>,
    /// What is wrong.
    pub why: String,
}

impl Damaged {
    /// Whether records are lost with it, and not only time.
    pub fn has_lost_records(&self) -> bool {
        self.origins.as_ref().is_none_or(|origins| !origins.is_empty())
    }
}

/// A part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamagedPart {
    /// A block: its records cannot be read.
    Block(usize),
    /// The filter of a block: it costs speed only.
    BlockFilter(usize),
    /// A part of the segment's filter: it costs speed only.
    FilterPart(usize),
}
