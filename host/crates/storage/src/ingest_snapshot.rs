//! What an ingest node has at one moment, each record once.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_segment::OriginName;

use crate::backlog::Backlog;
use crate::ingest_log::reader::{LogReader, Snapshot};
use crate::seal::origin_name;
use crate::segment_file::SegmentFile;

/// Log and backlog of one moment. As long as it is held all of it can be read, whatever is deleted.
#[derive(Debug, Clone)]
pub struct IngestSnapshot {
    /// Pieces that have not left the log.
    pub log: Snapshot,
    /// Origins of all others, in the order of their names, those of `leaving` included.
    pub origins: Vec<Arc<SegmentFile>>,
    /// Those of them whose piece is just leaving the log: nobody else has them, and nobody was told of them.
    pub leaving: Vec<Arc<SegmentFile>>,
}

impl IngestSnapshot {
    /// Takes the log first and then the backlog: a piece that leaves the log in between has come into the
    /// backlog before. Origins of pieces that are in the log part are left out, so each record is in one of the
    /// two.
    pub fn take(log: &LogReader, backlog: &Backlog) -> IngestSnapshot {
        let log = log.snapshot();
        let in_log: BTreeSet<OriginName> =
            log.pieces.iter().map(|piece| origin_name(piece.identity())).collect();
        let (mut origins, mut leaving) = backlog.snapshot_by_state();
        let is_elsewhere = |origin: &Arc<SegmentFile>| {
            origin.footer().lineage().iter().all(|origin| {
                let name = OriginName { epoch: origin.name.log_epoch(), ..origin.name };
                !in_log.contains(&name)
            })
        };
        origins.retain(is_elsewhere);
        leaving.retain(is_elsewhere);
        origins.extend(leaving.iter().cloned());
        origins.sort_by_key(|origin| origin.footer().lineage()[0].name);
        IngestSnapshot { log, origins, leaving }
    }
}
