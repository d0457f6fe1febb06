//! What this node held at one moment, kept readable for the searches that were planned on it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use weir_api::backend::peer::{Origins, SnapshotToken, UnitOrigins};
use weir_engine::{Piece, Searchable, SegmentPiece};
use weir_record::RecordId;
use weir_record::limits::{CHANGES_BYTES_MAX, SNAPSHOT_AGE_MS_MAX, SNAPSHOTS_MAX};
use weir_replication::{Catalog, Changes, Place, Position, TimeRange};
use weir_segment::{OriginName, Unit};
use weir_storage::store::Holding;
use weir_storage::{Backlog, IngestSnapshot, LogReader, SegmentFile, Store, StoredSegment};

use crate::announce::{Announced, held_of};

/// What of this node holds records.
#[derive(Clone)]
pub(crate) struct Holder {
    /// The id of this node.
    pub(crate) node: u64,
    /// `None` without the ingest role.
    pub(crate) ingest: Option<HeldByIngest>,
    /// `None` without the store role.
    pub(crate) store: Option<Store>,
    /// What is told of both.
    pub(crate) announced: Arc<Announced>,
}

/// The ingest role's part of it.
#[derive(Clone)]
pub(crate) struct HeldByIngest {
    /// The log.
    pub(crate) log: LogReader,
    /// The epoch in which this process writes it.
    pub(crate) epoch: u64,
    /// What was sealed of it and waits.
    pub(crate) backlog: Arc<Backlog>,
}

/// What a node holds at one moment, in one place or in both. As long as it is kept all of it can be read, whatever is
/// deleted meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    log: Vec<Arc<weir_storage::Piece>>,
    /// Origins of pieces that are just leaving the log: they belong to the log part.
    leaving: Vec<Arc<SegmentFile>>,
    /// Origins of the backlog, without those whose piece is in the log part.
    backlog: Vec<Arc<SegmentFile>>,
    store: Vec<Arc<StoredSegment>>,
    /// Per epoch the first piece that is in the log part, or will be.
    pub(crate) log_starts: Vec<(u64, u64)>,
}

/// What a search reads of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// What is searched.
    pub(crate) over: Vec<Searchable>,
    /// Origins that were asked for and are not in the snapshot.
    pub(crate) unread: Vec<UnitOrigins>,
}

impl Holder {
    /// Whether there is no record here that others might lack.
    pub(crate) fn is_empty(&self) -> bool {
        let has_log = self
            .ingest
            .as_ref()
            .is_some_and(|ingest| ingest.log.snapshot().records() > 0 || ingest.backlog.sums().origins > 0);
        !has_log && self.store.as_ref().is_none_or(|store| store.snapshot().segments.is_empty())
    }

    /// Everything that this node holds: see [`Pinned::all`].
    pub(crate) fn pin(&self) -> Pinned {
        // Log, backlog, store: the way of a record. It may be seen twice on it, never missed.
        let mut pinned = self.pin_ingest();
        pinned.store = self.store.as_ref().map(|store| store.snapshot().segments).unwrap_or_default();
        pinned
    }

    /// What it holds in one place: exactly what the feed of that place tells at the sequence number that comes with
    /// it.
    pub(crate) fn pin_place(&self, place: Place) -> (Pinned, u64) {
        let feed = self.announced.of(place);
        loop {
            let before = feed.sequence();
            let pinned = match place {
                Place::Backlog => self.pin_ingest(),
                Place::Store => Pinned {
                    store: self.store.as_ref().map(|store| store.snapshot().segments).unwrap_or_default(),
                    ..Pinned::default()
                },
            };
            // What is held changes in one step with what is told of it.
            if feed.sequence() == before {
                return (pinned, before);
            }
        }
    }

    /// What it holds in one place, and what is new of that since a position: the same moment. When there is more than
    /// one answer takes, the rest must be asked for, and then both anew.
    pub(crate) fn plan(&self, place: Place, since: &Position) -> (Pinned, Changes) {
        loop {
            let (pinned, sequence) = self.pin_place(place);
            let changes =
                self.announced.of(place).with(|holdings| holdings.changes_since(since, CHANGES_BYTES_MAX));
            if changes.latest == sequence {
                return (pinned, changes);
            }
        }
    }

    fn pin_ingest(&self) -> Pinned {
        let Some(HeldByIngest { log, epoch, backlog }) = &self.ingest else { return Pinned::default() };
        let IngestSnapshot { log, mut origins, leaving } = IngestSnapshot::take(log, backlog);
        let left = |origin: &Arc<SegmentFile>| leaving.iter().any(|leaving| Arc::ptr_eq(leaving, origin));
        origins.retain(|origin| !left(origin));
        let mut starts = BTreeMap::from([(*epoch, log.first_piece)]);
        let pieces =
            log.pieces.iter().map(|piece| piece.identity()).filter(|piece| piece.number >= log.first_piece);
        let names = leaving.iter().map(|origin| origin.footer().lineage()[0].name);
        let in_log = pieces.map(|piece| (piece.epoch, piece.number));
        for (epoch, number) in in_log.chain(names.map(|name| (name.log_epoch(), name.piece))) {
            let start = starts.entry(epoch).or_insert(number);
            *start = (*start).min(number);
        }
        let log_starts = starts.into_iter().collect();
        Pinned { log: log.pieces, leaving, backlog: origins, store: Vec::new(), log_starts }
    }
}

impl Pinned {
    /// All of it, each record once, although an origin may be in the log, in the backlog and in the store.
    pub(crate) fn all(&self, node: u64) -> Vec<Searchable> {
        let mut over = self.log_pieces();
        let mut by_unit: BTreeMap<&Unit, Vec<&StoredSegment>> = BTreeMap::new();
        for segment in &self.store {
            by_unit.entry(segment.unit()).or_default().push(segment);
            let left_out =
                self.in_log(node, segment.file.footer().lineage().iter().map(|origin| origin.name));
            over.extend(served(segment, |number| !left_out.contains(&number)));
        }
        for segment in &self.backlog {
            let footer = segment.footer();
            let stored = by_unit.get(footer.unit()).is_some_and(|stored| {
                let name = footer.lineage()[0].name;
                stored.iter().any(|stored| stored.origin(name).is_some())
            });
            if !stored {
                over.push(Searchable::Segment(SegmentPiece::all(Arc::clone(segment))));
            }
        }
        over
    }

    /// What of it a search was assigned.
    pub(crate) fn some(&self, log: bool, units: &[UnitOrigins]) -> Selected {
        let mut over = if log { self.log_pieces() } else { Vec::new() };
        let mut asked: BTreeMap<&Unit, Wanted> =
            units.iter().map(|of| (&of.unit, Wanted::new(&of.origins))).collect();
        for segment in &self.backlog {
            let footer = segment.footer();
            if asked.get_mut(footer.unit()).is_some_and(|wanted| wanted.take(footer.lineage()[0].name)) {
                over.push(Searchable::Segment(SegmentPiece::all(Arc::clone(segment))));
            }
        }
        for segment in &self.store {
            let Some(wanted) = asked.get_mut(segment.unit()) else { continue };
            let lineage = segment.file.footer().lineage();
            over.extend(served(segment, |number| wanted.take(lineage[number].name)));
        }
        let unread = asked.into_iter().filter_map(|(unit, wanted)| {
            let lacking = wanted.lacking();
            (!lacking.is_empty()).then(|| UnitOrigins { unit: unit.clone(), origins: Origins::Only(lacking) })
        });
        Selected { unread: unread.collect(), over }
    }

    /// The origins of some units of the store by name.
    pub(crate) fn names_of(&self, units: &[Unit]) -> Catalog {
        let units: BTreeSet<&Unit> = units.iter().collect();
        let mut names = Catalog::new();
        for segment in self.store.iter().filter(|segment| units.contains(segment.unit())) {
            for (_, origin) in segment.origins() {
                if let Err(error) = names.insert(&held_of(&Holding::of(segment, origin))) {
                    tracing::error!(%error, "an origin cannot be told by name: report this");
                }
            }
        }
        names
    }

    /// The lowest and the highest id of all.
    pub(crate) fn id_range(&self) -> Option<(RecordId, RecordId)> {
        let log = self.log.iter().map(|piece| (piece.low(), piece.high()));
        let origins = self.backlog.iter().chain(&self.leaving).map(|segment| segment.footer().id_range());
        let stored = self.store.iter().map(|segment| segment.file.footer().id_range());
        log.chain(origins).chain(stored).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The lowest id in log and backlog.
    pub(crate) fn oldest_unconsumed(&self) -> Option<RecordId> {
        let log = self.log.iter().map(|piece| piece.low());
        let origins = self.backlog.iter().chain(&self.leaving).map(|segment| segment.footer().id_range().0);
        log.chain(origins).min()
    }

    /// Times of all batches in the log, as far as they lie in a range. Which of them may be repeats or have keys is not
    /// known before they are sealed, so all are taken to: they are few seconds' worth.
    pub(crate) fn contested(&self, range: TimeRange) -> Vec<TimeRange> {
        let batches = self.log.iter().flat_map(|piece| piece.batches());
        let leaving = self.leaving.iter().map(|segment| segment.footer().id_range());
        let ids = batches.map(|batch| (batch.low, batch.high)).chain(leaving);
        let times = ids.map(|(low, high)| TimeRange::new(low.time_ms(), high.time_ms()).within(range));
        weir_replication::ranges::joined(times.collect())
    }

    fn log_pieces(&self) -> Vec<Searchable> {
        let pieces = self.log.iter().map(|piece| Searchable::Log(Arc::clone(piece) as Arc<dyn Piece>));
        let leaving =
            self.leaving.iter().map(|origin| Searchable::Segment(SegmentPiece::all(Arc::clone(origin))));
        pieces.chain(leaving).collect()
    }

    /// Numbers of the origins whose piece is in the log part.
    fn in_log(&self, node: u64, names: impl Iterator<Item = OriginName>) -> BTreeSet<usize> {
        let is_in_log = |name: OriginName| {
            name.node == node
                && self
                    .log_starts
                    .iter()
                    .any(|(epoch, first)| name.log_epoch() == *epoch && name.piece >= *first)
        };
        names.enumerate().filter_map(|(number, name)| is_in_log(name).then_some(number)).collect()
    }
}

/// The origins of a stored segment that are wanted and served, as something to search.
fn served(segment: &StoredSegment, mut wanted: impl FnMut(usize) -> bool) -> Option<Searchable> {
    let lineage = segment.file.footer().lineage().len();
    let numbers: Vec<usize> =
        segment.origins().map(|(number, _)| number as usize).filter(|number| wanted(*number)).collect();
    let piece = match numbers.len() {
        0 => return None,
        all if all == lineage => SegmentPiece::all(Arc::clone(&segment.file)),
        _ => SegmentPiece::only(Arc::clone(&segment.file), numbers),
    };
    Some(Searchable::Segment(piece))
}

/// Which origins of a unit are wanted. There may be a quarter of a million, so they are looked up, not gone through.
enum Wanted {
    All,
    AllBut(HashSet<OriginName>),
    /// Those that have not been found yet.
    Only(HashSet<OriginName>),
}

impl Wanted {
    fn new(origins: &Origins) -> Wanted {
        match origins {
            Origins::All => Wanted::All,
            Origins::AllBut(names) => Wanted::AllBut(names.iter().copied().collect()),
            Origins::Only(names) => Wanted::Only(names.iter().copied().collect()),
        }
    }

    /// Whether an origin that is here is wanted. Each is here once.
    fn take(&mut self, name: OriginName) -> bool {
        match self {
            Wanted::All => true,
            Wanted::AllBut(names) => !names.contains(&name),
            Wanted::Only(names) => names.remove(&name),
        }
    }

    /// Those that were asked for by name and are not here.
    fn lacking(self) -> Vec<OriginName> {
        let Wanted::Only(names) = self else { return Vec::new() };
        let mut lacking: Vec<OriginName> = names.into_iter().collect();
        lacking.sort_unstable();
        lacking
    }
}

/// Snapshots that other nodes, or this one, planned on. Bounded in number and age.
#[derive(Default)]
pub(crate) struct Snapshots {
    kept: Mutex<BTreeMap<u128, (Instant, Arc<Pinned>)>>,
}

impl Snapshots {
    /// Keeps a snapshot under a token.
    pub(crate) fn keep(&self, pinned: Pinned) -> SnapshotToken {
        let token = fastrand::u128(..);
        let mut kept = self.kept.lock();
        let now = Instant::now();
        kept.retain(|_, (taken, _)| now.duration_since(*taken) < Duration::from_millis(SNAPSHOT_AGE_MS_MAX));
        if kept.len() >= SNAPSHOTS_MAX {
            let oldest = kept.iter().min_by_key(|(_, (taken, _))| *taken).map(|(token, _)| *token);
            oldest.map(|token| kept.remove(&token));
        }
        kept.insert(token, (now, Arc::new(pinned)));
        SnapshotToken(token)
    }

    /// The snapshot of a token, if it is still kept. It may be searched several times.
    pub(crate) fn get(&self, token: SnapshotToken) -> Option<Arc<Pinned>> {
        self.kept.lock().get(&token.0).map(|(_, pinned)| Arc::clone(pinned))
    }

    /// Forgets a snapshot.
    pub(crate) fn release(&self, token: SnapshotToken) {
        self.kept.lock().remove(&token.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_unit_what_is_wanted_is_taken_and_what_is_lacking_is_told() {
        let name = |piece| OriginName { node: 1, epoch: 2, piece };
        let here = [1, 2, 3];
        for (origins, taken, lacking) in [
            (Origins::All, vec![1, 2, 3], vec![]),
            (Origins::AllBut(vec![name(2), name(9)]), vec![1, 3], vec![]),
            (Origins::Only(vec![name(9), name(3), name(8)]), vec![3], vec![8, 9]),
        ] {
            let mut wanted = Wanted::new(&origins);
            let got: Vec<u64> = here.into_iter().filter(|piece| wanted.take(name(*piece))).collect();
            let left: Vec<u64> = wanted.lacking().into_iter().map(|name| name.piece).collect();
            assert_eq!((got, left), (taken, lacking), "{origins:?}");
        }
    }

    #[test]
    fn a_snapshot_is_kept_until_it_is_released_and_the_oldest_goes_first() {
        let snapshots = Snapshots::default();
        let first = snapshots.keep(Pinned::default());
        let second = snapshots.keep(Pinned::default());
        assert!(snapshots.get(first).is_some());
        for _ in 2..=SNAPSHOTS_MAX {
            snapshots.keep(Pinned::default());
        }
        assert!(snapshots.get(first).is_none() && snapshots.get(second).is_some());
        snapshots.release(second);
        assert!(snapshots.get(second).is_none());
    }
}
