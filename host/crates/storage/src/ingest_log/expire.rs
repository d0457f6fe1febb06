//! Deleting what is too old or too much, in whole pieces.

use std::sync::Arc;

use weir_record::RecordId;

use crate::ingest_log::reader::Piece;
use crate::ingest_log::{IngestLog, LogError, io_error};

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Files.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl IngestLog {
    /// Deletes complete pieces whose newest record is older than `keep_from`, and then the oldest while
    /// all pieces together take more than `bytes_max` bytes. Snapshots that hold a piece go on reading it.
    ///
    /// The newest piece always stays: it carries the cursors and the highest id. A crash can bring
    /// deleted pieces back, which does no harm.
    pub fn expire(&mut self, keep_from: RecordId, bytes_max: u64) -> Result<Expired, LogError> {
        self.check_poison()?;
        let doomed = self.unpublish(keep_from, bytes_max);
        let mut expired = Expired::default();
        let mut failed = None;
        for piece in &doomed {
            let path = self.dir.join(piece.name());
            // One that cannot be deleted must not keep the others; it is back after a restart.
            match self.disk.remove(&path) {
                Ok(()) => {
                    expired.pieces += 1;
                    expired.records += piece.records();
                    expired.bytes += piece.committed_bytes();
                }
                Err(error) => failed = Some(io_error("cannot delete", &path)(error)),
            }
        }
        if expired.pieces > 0 {
            self.sync_dir()?;
            tracing::info!(expired.pieces, expired.records, expired.bytes, "expired");
        }
        failed.map_or(Ok(expired), Err)
    }

    fn unpublish(&self, keep_from: RecordId, bytes_max: u64) -> Vec<Arc<Piece>> {
        let mut published = self.shared.lock();
        let newest = if published.active.is_some() { None } else { published.complete.last().cloned() };
        let active_bytes = published.active.as_ref().map_or(0, Piece::committed_bytes);
        let complete_bytes: u64 = published.complete.iter().map(|piece| piece.committed_bytes()).sum();
        let mut bytes = active_bytes + complete_bytes;
        let (mut kept, mut doomed) = (Vec::new(), Vec::new());
        // Old pieces first, so that size takes only what age has left.
        for by_age in [true, false] {
            for piece in std::mem::take(if by_age { &mut published.complete } else { &mut kept }) {
                let is_newest = newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, &piece));
                let goes = if by_age { piece.high() < keep_from } else { bytes > bytes_max };
                if goes && !is_newest {
                    bytes -= piece.committed_bytes();
                    doomed.push(piece);
                } else if by_age {
                    kept.push(piece);
                } else {
                    published.complete.push(piece);
                }
            }
        }
        doomed
    }
}
