//! A node with all roles on one disk, and what it holds at one moment, as queries read it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use weir_engine::{Piece, Searchable, SegmentPiece};
use weir_record::limits::SEGMENT_LEAF_BYTES_MIN;
use weir_segment::{OriginName, Unit, WriterOptions};
use weir_storage::disk::Disk;
use weir_storage::disk::sim::SimDisk;
use weir_storage::store::{Expected, Verification};
use weir_storage::{
    Backlog, IngestLog, IngestSnapshot, LogOptions, OriginsDir, Sealer, SegmentFile, Store, StoreOptions,
    StoreRecovery, StoredSegment, UnitRules,
};

use super::mutant::Mutant;
use super::{BUCKET_MS, NODE, Settings, class_of};

/// What one life of the process has open.
pub(super) struct Node {
    pub(super) epoch: u64,
    pub(super) log: IngestLog,
    pub(super) backlog: Arc<Backlog>,
    pub(super) sealer: Sealer,
    pub(super) store: Store,
    pub(super) recovery: StoreRecovery,
}

impl Node {
    pub(super) fn open(disk: &SimDisk, settings: &Settings, epoch: u64) -> Result<Node, String> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let options = LogOptions {
            piece_bytes: settings.piece_bytes,
            full_at_percent: 100,
            resume_at_percent: 100,
            reserve_bytes: 0,
            ..LogOptions::new(NODE, epoch << 1)
        };
        let told = |error: &dyn std::fmt::Display| format!("does not open: {error}");
        let data_dir = Path::new("");
        let (log, recovery) =
            IngestLog::open(Arc::clone(&disk), data_dir, options).map_err(|error| told(&error))?;
        let (backlog, found) =
            Backlog::open(Arc::clone(&disk), data_dir, &log.reader()).map_err(|error| told(&error))?;
        if !recovery.damaged.is_empty() || !recovery.quarantined.is_empty() || !found.quarantined.is_empty() {
            return Err(format!("not what power cuts do: {recovery:?} {found:?}"));
        }
        let backlog = Arc::new(backlog);
        let rules =
            UnitRules::new(BUCKET_MS, [("debug", class_of("debug"))]).map_err(|error| told(&error))?;
        let into = OriginsDir::new(Arc::clone(&disk), data_dir, log.poison());
        let (block_bytes, leaf_bytes) =
            (settings.block_bytes, (settings.block_bytes / 8).max(SEGMENT_LEAF_BYTES_MIN));
        let written = WriterOptions { block_bytes, leaf_bytes, ..WriterOptions::default() };
        let sealer = Sealer::new(log.reader(), Arc::clone(&backlog), into, rules, written);
        let options = StoreOptions {
            level: 1,
            settled_level: 3,
            block_bytes,
            leaf_bytes,
            settled_leaf_bytes: 2 * leaf_bytes,
            target_bytes: settings.target_bytes,
            full_at_percent: 100,
            resume_at_percent: 100,
            reserve_bytes: 0,
            verification: Verification::Whole,
        };
        let (store, recovery) =
            Store::open_with(disk, data_dir, options, log.poison()).map_err(|error| told(&error))?;
        if !recovery.damaged.is_empty() || !recovery.conflicts.is_empty() || !recovery.quarantined.is_empty()
        {
            return Err(format!("not what power cuts do: {recovery:?}"));
        }
        Ok(Node { epoch: epoch << 1, log, backlog, sealer, store, recovery })
    }
}

/// An origin as an ingest node offers it.
pub(super) fn expected(origin: &SegmentFile) -> Expected {
    let footer = origin.footer();
    let lineage = footer.lineage()[0];
    Expected {
        unit: footer.unit().clone(),
        name: lineage.name,
        flags: lineage.flags,
        count: lineage.count,
        digest: lineage.digest,
        bytes: origin.bytes(),
    }
}

/// Log, backlog and store of one moment, or of moments one after the other: what `Pinned` is in
/// `host/crates/node/src/snapshots.rs`.
#[derive(Debug, Default)]
pub(super) struct Pin {
    log: Vec<Arc<weir_storage::Piece>>,
    /// Origins whose piece is just leaving the log.
    pub(super) leaving: Vec<Arc<SegmentFile>>,
    backlog: Vec<Arc<SegmentFile>>,
    store: Vec<Arc<StoredSegment>>,
    /// Per epoch the first piece that is in the log part, or will be.
    log_starts: BTreeMap<u64, u64>,
}

impl Pin {
    pub(super) fn add_ingest(&mut self, epoch: u64, log: &weir_storage::LogReader, backlog: &Backlog) {
        let IngestSnapshot { log, mut origins, leaving } = IngestSnapshot::take(log, backlog);
        origins.retain(|origin| !leaving.iter().any(|leaving| Arc::ptr_eq(leaving, origin)));
        self.log_starts = BTreeMap::from([(epoch, log.first_piece)]);
        let in_log = log.pieces.iter().map(|piece| piece.identity());
        let in_log = in_log.filter(|piece| piece.number >= log.first_piece);
        let leaves = leaving.iter().map(|origin| origin.footer().lineage()[0].name);
        let pieces = in_log
            .map(|piece| (piece.epoch, piece.number))
            .chain(leaves.map(|name| (name.log_epoch(), name.piece)));
        for (epoch, number) in pieces {
            let start = self.log_starts.entry(epoch).or_insert(number);
            *start = (*start).min(number);
        }
        (self.log, self.leaving, self.backlog) = (log.pieces, leaving, origins);
    }

    pub(super) fn add_store(&mut self, store: &Store) {
        self.store = store.snapshot().segments;
    }

    /// How many sections the most composed of the segments has.
    pub(super) fn sections_max(&self) -> usize {
        self.store.iter().map(|segment| segment.file.footer().sections().len()).max().unwrap_or(0)
    }

    /// All of it, each record once.
    pub(super) fn all(&self, mutant: Mutant) -> Vec<Searchable> {
        let pieces = self.log.iter().map(|piece| Searchable::Log(Arc::clone(piece) as Arc<dyn Piece>));
        let mut over: Vec<Searchable> = pieces.collect();
        if mutant != Mutant::LeavingForgotten {
            over.extend(self.leaving.iter().map(whole));
        }
        let mut by_unit: BTreeMap<&Unit, Vec<&StoredSegment>> = BTreeMap::new();
        for segment in &self.store {
            by_unit.entry(segment.unit()).or_default().push(segment);
            let lineage = segment.file.footer().lineage();
            let is_wanted =
                |number: &usize| mutant == Mutant::LogAndStore || !self.is_in_log(lineage[*number].name);
            let served = segment.origins().map(|(number, _)| number as usize);
            let wanted: Vec<usize> = served.filter(is_wanted).collect();
            over.extend(match wanted.len() {
                0 => None,
                all if all == lineage.len() => Some(whole(&segment.file)),
                _ => Some(Searchable::Segment(SegmentPiece::only(Arc::clone(&segment.file), wanted))),
            });
        }
        for segment in &self.backlog {
            let (unit, name) = (segment.footer().unit(), segment.footer().lineage()[0].name);
            let stored = by_unit
                .get(unit)
                .is_some_and(|stored| stored.iter().any(|stored| stored.origin(name).is_some()));
            if !stored || mutant == Mutant::BacklogAndStore {
                over.push(whole(segment));
            }
        }
        over
    }

    fn is_in_log(&self, name: OriginName) -> bool {
        name.node == NODE && self.log_starts.get(&name.log_epoch()).is_some_and(|first| name.piece >= *first)
    }
}

fn whole(file: &Arc<SegmentFile>) -> Searchable {
    Searchable::Segment(SegmentPiece::all(Arc::clone(file)))
}
