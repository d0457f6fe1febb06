//! Letting go of copies: whole segments of which other stores have enough copies.

use std::sync::Arc;

use weir_replication::OriginSet;
use weir_segment::Unit;

use crate::store::segment::StoredSegment;
use crate::store::{Store, StoreError};

/// What was let go of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreDropped {
    /// Files.
    pub segments: u64,
    /// Origins that they served.
    pub origins: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Store {
    /// Removes segments of a unit of which every origin is in `names`, those included that it does not serve: what lies
    /// beside others that have to stay, stays. The caller must know that others have them. Snapshots that hold a segment
    /// go on reading it. A crash can bring files back.
    pub fn drop_origins(&self, unit: &Unit, names: &OriginSet) -> Result<StoreDropped, StoreError> {
        let inner = &*self.inner;
        inner.check_poison()?;
        let is_doomed = |segment: &Arc<StoredSegment>| {
            segment.file.footer().lineage().iter().all(|origin| names.contains(origin.name))
        };
        let doomed = inner.catalog().drop_segments(unit, is_doomed);
        let mut dropped = StoreDropped::default();
        for segment in &doomed {
            dropped.segments += 1;
            dropped.origins += segment.origins().count() as u64;
            dropped.bytes += segment.file.bytes();
        }
        inner.remove(&doomed)?;
        if dropped.segments > 0 {
            tracing::debug!(%unit, dropped.segments, dropped.origins, dropped.bytes, "other stores have these");
        }
        Ok(dropped)
    }
}
