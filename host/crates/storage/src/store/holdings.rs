//! What a store tells others that it holds.

use weir_record::RecordId;
use weir_segment::{Origin, OriginName, RecordDigest, Unit};

use crate::store::Store;
use crate::store::segment::StoredSegment;

/// One origin that a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its unit.
    pub unit: Unit,
    /// Name, flags, count and digest.
    pub origin: Origin,
    /// No record of it has a lower id. Exact for a segment of one origin; of a merged one it is the range of
    /// the whole segment, which only bounds that of the origin.
    pub low: RecordId,
    /// No record of it has a higher id; see `low`.
    pub high: RecordId,
    /// Bytes of its file; of a merged segment its share by records.
    pub bytes: u64,
}

impl Holding {
    /// An origin of a segment.
    pub fn of(segment: &StoredSegment, origin: &Origin) -> Holding {
        let footer = segment.file.footer();
        let (low, high) = footer.id_range();
        let share = u128::from(footer.file_bytes()) * u128::from(origin.count);
        let bytes = share.div_ceil(u128::from(footer.records().max(1))) as u64;
        Holding { unit: footer.unit().clone(), origin: *origin, low, high, bytes }
    }
}

/// Why an origin is not held any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReason {
    /// Its unit has expired.
    Expired,
    /// Damage was found in it: another copy has to be fetched.
    Damaged,
    /// Enough others hold it.
    Dropped,
}

/// A change of what a store holds. Compaction is none: the same origins are held before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An origin is held, and durable.
    Added(Holding),
    /// An origin is not held any more.
    Gone {
        /// Its unit.
        unit: Unit,
        /// Its name.
        name: OriginName,
        /// Its records.
        digest: RecordDigest,
        /// Why.
        reason: GoneReason,
    },
}

/// Is told of changes.
pub(crate) type Listener = Box<dyn FnMut(Change) + Send>;

impl Store {
    /// Tells a listener of everything that is held, and from then on of every change, in order and none left
    /// out. It is called while the store is locked: it must be short and must not call the store.
    pub fn watch(&self, listener: impl FnMut(Change) + Send + 'static) {
        self.inner.catalog().watch(Box::new(listener));
    }

    /// Everything that is held.
    pub fn holdings(&self) -> Vec<Holding> {
        let snapshot = self.snapshot();
        let of = |segment| StoredSegment::origins(segment).map(|(_, origin)| Holding::of(segment, origin));
        snapshot.segments.iter().flat_map(|segment| of(&**segment)).collect()
    }
}
