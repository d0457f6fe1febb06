//! What a store holds, in memory: changed in single steps under one lock that is never held during input or
//! output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_record::limits::STORE_INCOMING_MAX;
use weir_segment::{Origin, OriginName, Unit};

use crate::disk::Space;
use crate::space::SpaceGuard;
use crate::store::holdings::{Change, GoneReason, Holding, Listener};
use crate::store::segment::{StoreSnapshot, StoredSegment};
use crate::store::watermark::Watermarks;
use crate::store::{StoreCounters, StoreOptions};

pub(crate) struct Catalog {
    /// Also segments that serve nothing any more: they are there to expire.
    units: BTreeMap<Unit, Vec<Arc<StoredSegment>>>,
    pub(crate) watermarks: Watermarks,
    pub(crate) space: SpaceGuard,
    pub(crate) counters: StoreCounters,
    /// Origins that are being taken.
    claims: BTreeSet<(Unit, OriginName)>,
    /// Bytes that they will still write.
    promised_bytes: u64,
    listeners: Vec<Listener>,
}

/// Why an origin cannot be claimed.
pub(crate) enum Unclaimed {
    Busy,
    Crowded,
    Full,
}

impl Catalog {
    pub(crate) fn new(
        segments: Vec<StoredSegment>,
        watermarks: Watermarks,
        options: &StoreOptions,
    ) -> Catalog {
        let mut units: BTreeMap<Unit, Vec<_>> = BTreeMap::new();
        for segment in segments {
            units.entry(segment.unit().clone()).or_default().push(Arc::new(segment));
        }
        Catalog {
            units,
            watermarks,
            space: SpaceGuard::new(options.full_at_percent, options.resume_at_percent, options.reserve_bytes),
            counters: StoreCounters::default(),
            claims: BTreeSet::new(),
            promised_bytes: 0,
            listeners: Vec::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> StoreSnapshot {
        let all = self.units.values().flatten();
        StoreSnapshot {
            segments: all.filter(|segment| segment.origins().next().is_some()).cloned().collect(),
        }
    }

    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.keys()
    }

    /// The segments of each unit.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (&Unit, &[Arc<StoredSegment>])> {
        self.units.iter().map(|(unit, segments)| (unit, segments.as_slice()))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.units.values().flatten().map(|segment| segment.file.bytes()).sum()
    }

    pub(crate) fn find(&self, unit: &Unit, name: OriginName) -> Option<(&Arc<StoredSegment>, &Origin)> {
        let segments = self.units.get(unit)?;
        segments.iter().find_map(|segment| segment.origin(name).map(|(_, origin)| (segment, origin)))
    }

    /// Whether this very segment is still held as it is.
    pub(crate) fn holds(&self, segment: &Arc<StoredSegment>) -> bool {
        let segments = self.units.get(segment.unit());
        segments.is_some_and(|held| held.iter().any(|held| Arc::ptr_eq(held, segment)))
    }

    /// Notes that an origin is being taken, and its room. `space` is that of the disk, if it can tell.
    pub(crate) fn claim(
        &mut self,
        unit: &Unit,
        name: OriginName,
        bytes: u64,
        space: Option<Space>,
    ) -> Result<(), Unclaimed> {
        if self.claims.len() >= STORE_INCOMING_MAX {
            return Err(Unclaimed::Crowded);
        }
        let claim = (unit.clone(), name);
        if self.claims.contains(&claim) {
            return Err(Unclaimed::Busy);
        }
        let all_bytes = self.promised_bytes.saturating_add(bytes);
        if space.is_some_and(|space| self.space.refuses(space, all_bytes)) {
            return Err(Unclaimed::Full);
        }
        self.claims.insert(claim);
        self.promised_bytes = all_bytes;
        Ok(())
    }

    /// Whether there is room for more than was promised.
    pub(crate) fn has_room(&mut self, space: Space) -> bool {
        !self.space.refuses(space, self.promised_bytes)
    }

    /// Takes promised bytes back: they were written, or will not be.
    pub(crate) fn settle(&mut self, bytes: u64) {
        self.promised_bytes = self.promised_bytes.saturating_sub(bytes);
    }

    pub(crate) fn unclaim(&mut self, unit: &Unit, name: OriginName) {
        self.claims.remove(&(unit.clone(), name));
    }

    pub(crate) fn watch(&mut self, mut listener: Listener) {
        for segment in self.units.values().flatten() {
            for (_, origin) in segment.origins() {
                listener(Change::Added(Holding::of(segment, origin)));
            }
        }
        self.listeners.push(listener);
    }

    /// Adds a segment whose origins nobody served before.
    pub(crate) fn add(&mut self, segment: StoredSegment) {
        let added: Vec<Change> =
            segment.origins().map(|(_, origin)| Change::Added(Holding::of(&segment, origin))).collect();
        self.units.entry(segment.unit().clone()).or_default().push(Arc::new(segment));
        self.tell(added);
    }

    /// Puts a segment in the place of others of its unit that hold the same origins: no change to others.
    pub(crate) fn replace(&mut self, inputs: &[Arc<StoredSegment>], output: StoredSegment) {
        let Some(segments) = self.units.get_mut(output.unit()) else { return };
        segments.retain(|held| !inputs.iter().any(|input| Arc::ptr_eq(input, held)));
        segments.push(Arc::new(output));
    }

    /// Puts a segment in the place of itself that serves less, for damage.
    pub(crate) fn shrink(&mut self, before: &Arc<StoredSegment>, after: StoredSegment) {
        let gone: Vec<Change> = before
            .origins()
            .filter(|(number, _)| !after.served.has(*number))
            .map(|(_, origin)| gone(before, origin, GoneReason::Damaged))
            .collect();
        self.counters.damaged_origins += gone.len() as u64;
        self.replace(std::slice::from_ref(before), after);
        self.tell(gone);
    }

    /// Takes out every unit that lies below its watermark.
    pub(crate) fn expire(&mut self) -> Vec<Arc<StoredSegment>> {
        let marks = &self.watermarks;
        let doomed: Vec<_> = self.units.extract_if(.., |unit, _| marks.covers(unit)).collect();
        let doomed: Vec<Arc<StoredSegment>> = doomed.into_iter().flat_map(|(_, segments)| segments).collect();
        self.counters.expired_segments += doomed.len() as u64;
        self.counters.expired_bytes += doomed.iter().map(|segment| segment.file.bytes()).sum::<u64>();
        let expired = |segment| {
            StoredSegment::origins(segment).map(|(_, origin)| gone(segment, origin, GoneReason::Expired))
        };
        let changes = doomed.iter().flat_map(|segment| expired(&**segment)).collect();
        self.tell(changes);
        doomed
    }

    /// Takes segments of a unit out.
    pub(crate) fn drop_segments(
        &mut self,
        unit: &Unit,
        is_doomed: impl Fn(&Arc<StoredSegment>) -> bool,
    ) -> Vec<Arc<StoredSegment>> {
        let Some(segments) = self.units.get_mut(unit) else { return Vec::new() };
        let doomed: Vec<_> = segments.extract_if(.., |segment| is_doomed(segment)).collect();
        if segments.is_empty() {
            self.units.remove(unit);
        }
        let dropped = |segment| {
            StoredSegment::origins(segment).map(|(_, origin)| gone(segment, origin, GoneReason::Dropped))
        };
        let changes = doomed.iter().flat_map(|segment| dropped(&**segment)).collect();
        self.tell(changes);
        doomed
    }

    fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            for listener in &mut self.listeners {
                listener(change.clone());
            }
        }
    }
}

fn gone(segment: &StoredSegment, origin: &Origin, reason: GoneReason) -> Change {
    Change::Gone { unit: segment.unit().clone(), name: origin.name, digest: origin.digest, reason }
}
