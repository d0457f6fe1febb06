//! A list of held origins, compact enough for a week of a busy cluster, by unit.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use crate::held::{Held, HeldError};
use crate::origin_set::OriginSet;
use crate::ranges::TimeRange;

/// What is kept of an origin, beside its writer and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    piece: u64,
    digest: RecordDigest,
    /// Milliseconds since the start of the unit's bucket.
    low: u32,
    high: u32,
    count: u32,
    bytes: u32,
}

const _: () = assert!(size_of::<Entry>() == 40);

/// The origins of one log of one node, plain or repeats.
#[derive(Debug, Clone, Default)]
struct Writer {
    flags: OriginFlags,
    /// Sorted by piece. Origins come at the end and mostly leave at the front.
    entries: VecDeque<Entry>,
}

impl Writer {
    fn find(&self, piece: u64) -> Result<usize, usize> {
        match self.entries.back() {
            Some(last) if last.piece < piece => Err(self.entries.len()),
            _ => self.entries.binary_search_by_key(&piece, |entry| entry.piece),
        }
    }
}

/// The origins of one unit.
#[derive(Debug, Clone, Default)]
pub struct UnitOrigins {
    writers: BTreeMap<(u64, u64), Writer>,
    names: OriginSet,
    records: u64,
    bytes: u64,
}

impl UnitOrigins {
    /// Their names.
    pub fn names(&self) -> &OriginSet {
        &self.names
    }

    /// The sum of their records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The sum of their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Each of them, in the order of the names. `unit` is the one that they were asked for by.
    pub fn iter(&self, unit: &Unit) -> impl Iterator<Item = Held> {
        self.after(unit, None)
    }

    /// The names of those with records in a range of time, as far as their lowest and highest ids tell.
    pub fn names_in(&self, unit: &Unit, range: TimeRange) -> OriginSet {
        let names = self.writers.iter().flat_map(|(&(node, epoch), writer)| {
            let meets = move |entry: &&Entry| times(unit, entry).meets(range);
            let name = move |entry: &Entry| OriginName { node, epoch, piece: entry.piece };
            writer.entries.iter().filter(meets).map(name)
        });
        names.collect()
    }

    /// Times of origins of which `wanted` holds, as far as they lie in a range. Flags are those of the log that
    /// they come from: a log of repeats has nothing else.
    pub fn times_of(
        &self,
        unit: &Unit,
        range: TimeRange,
        mut wanted: impl FnMut(OriginName, OriginFlags) -> bool,
    ) -> Vec<TimeRange> {
        let mut found = Vec::new();
        for (&(node, epoch), writer) in &self.writers {
            for entry in &writer.entries {
                let times = times(unit, entry).within(range);
                let name = OriginName { node, epoch, piece: entry.piece };
                if !times.is_empty() && wanted(name, writer.flags) {
                    found.push(times);
                }
            }
        }
        found
    }

    /// Whether some of them may be repeats.
    pub fn has_repeats(&self) -> bool {
        self.writers.values().any(|writer| writer.flags.has(OriginFlags::MAYBE_REPEATED))
    }

    /// Those behind a name, in order.
    pub(crate) fn after(&self, unit: &Unit, name: Option<OriginName>) -> impl Iterator<Item = Held> {
        let from = name.map_or((0, 0), |name| (name.node, name.epoch));
        self.writers.range(from..).flat_map(move |(&writer, list)| {
            let skip = match name {
                Some(name) if writer == from => {
                    list.entries.partition_point(|entry| entry.piece <= name.piece)
                }
                _ => 0,
            };
            list.entries.range(skip..).map(move |entry| held(unit, writer, list.flags, entry))
        })
    }
}

fn times(unit: &Unit, entry: &Entry) -> TimeRange {
    TimeRange::new(unit.start_ms() + u64::from(entry.low), unit.start_ms() + u64::from(entry.high))
}

fn held(unit: &Unit, writer: (u64, u64), flags: OriginFlags, entry: &Entry) -> Held {
    let TimeRange { from_ms: low_ms, to_ms: high_ms } = times(unit, entry);
    Held {
        unit: unit.clone(),
        name: OriginName { node: writer.0, epoch: writer.1, piece: entry.piece },
        flags,
        count: u64::from(entry.count),
        low_ms,
        high_ms,
        digest: entry.digest,
        bytes: u64::from(entry.bytes),
    }
}

/// Held origins by unit and name.
///
/// An origin takes 40 bytes, up to 16 more when its neighbours are in other partitions, and an eighth of slack; a
/// unit takes some 300. A week of 36,000 origins an hour is thus 270 to 380 MB.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    units: BTreeMap<Unit, UnitOrigins>,
    count: u64,
    /// The longest bucket there ever was: how far before a range a unit may start and still reach into it.
    bucket_ms_max: u64,
}

impl Catalog {
    /// An empty one.
    pub fn new() -> Catalog {
        Catalog::default()
    }

    /// How many origins there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many units they are in.
    pub fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// The sum of their bytes.
    pub fn bytes(&self) -> u64 {
        self.units.values().map(UnitOrigins::bytes).sum()
    }

    /// Adds an origin, or what is said of it now; `false` when that is what was known.
    pub fn insert(&mut self, held: &Held) -> Result<bool, HeldError> {
        held.check()?;
        if !self.units.contains_key(&held.unit) {
            self.units.insert(held.unit.clone(), UnitOrigins::default());
            self.bucket_ms_max = self.bucket_ms_max.max(held.unit.bucket_ms());
        }
        let Some(unit) = self.units.get_mut(&held.unit) else { return Ok(false) };
        let start_ms = held.unit.start_ms();
        let entry = Entry {
            piece: held.name.piece,
            digest: held.digest,
            low: (held.low_ms - start_ms) as u32,
            high: (held.high_ms - start_ms) as u32,
            count: held.count as u32,
            bytes: held.bytes as u32,
        };
        let writer = unit.writers.entry((held.name.node, held.name.epoch)).or_default();
        // A flag that one of them has is taken to be that of all: it costs a look more and is never wrong.
        let flags = OriginFlags::from_bits(writer.flags.bits() | held.flags.bits()).unwrap_or(held.flags);
        writer.flags = flags;
        match writer.find(entry.piece) {
            Ok(at) if writer.entries[at] == entry => return Ok(false),
            Ok(at) => {
                let old = core::mem::replace(&mut writer.entries[at], entry);
                unit.records -= u64::from(old.count);
                unit.bytes -= u64::from(old.bytes);
            }
            Err(at) => {
                if writer.entries.len() == writer.entries.capacity() {
                    // Doubling would leave half of a week's catalog empty.
                    writer.entries.reserve_exact((writer.entries.len() / 8).max(4));
                }
                writer.entries.insert(at, entry);
                unit.names.insert(held.name);
                self.count += 1;
            }
        }
        unit.records += held.count;
        unit.bytes += held.bytes;
        Ok(true)
    }

    /// Takes an origin out.
    pub fn remove(&mut self, unit: &Unit, name: OriginName) -> Option<Held> {
        let origins = self.units.get_mut(unit)?;
        let writer = origins.writers.get_mut(&(name.node, name.epoch))?;
        let entry = writer.entries.remove(writer.find(name.piece).ok()?)?;
        let removed = held(unit, (name.node, name.epoch), writer.flags, &entry);
        if writer.entries.is_empty() {
            origins.writers.remove(&(name.node, name.epoch));
        }
        origins.names.remove(name);
        origins.records -= removed.count;
        origins.bytes -= removed.bytes;
        self.count -= 1;
        if origins.writers.is_empty() {
            self.units.remove(unit);
        }
        Some(removed)
    }

    /// Takes a whole unit out.
    pub(crate) fn remove_unit(&mut self, unit: &Unit) -> Option<UnitOrigins> {
        let removed = self.units.remove(unit)?;
        self.count -= removed.names.len();
        Some(removed)
    }

    /// Takes out the units of a class that ended at or before a time.
    pub fn remove_below(&mut self, class: &str, below_ms: u64) -> Vec<(Unit, UnitOrigins)> {
        let old = |unit: &Unit| unit.class() == class && ends_ms(unit) <= below_ms;
        let units: Vec<Unit> = self.units_before(below_ms).filter(|unit| old(unit)).cloned().collect();
        let mut removed = Vec::with_capacity(units.len());
        for unit in units {
            if let Some(origins) = self.remove_unit(&unit) {
                removed.push((unit, origins));
            }
        }
        removed
    }

    fn units_before(&self, time_ms: u64) -> impl Iterator<Item = &Unit> {
        self.units.keys().take_while(move |unit| unit.start_ms() < time_ms)
    }

    /// One origin.
    pub fn get(&self, unit: &Unit, name: OriginName) -> Option<Held> {
        let writer = self.units.get(unit)?.writers.get(&(name.node, name.epoch))?;
        let entry = &writer.entries[writer.find(name.piece).ok()?];
        Some(held(unit, (name.node, name.epoch), writer.flags, entry))
    }

    /// Whether an origin is in it.
    pub fn contains(&self, unit: &Unit, name: OriginName) -> bool {
        self.units.get(unit).is_some_and(|origins| origins.names.contains(name))
    }

    /// The origins of a unit.
    pub fn unit(&self, unit: &Unit) -> Option<&UnitOrigins> {
        self.units.get(unit)
    }

    /// All units, in order.
    pub fn units(&self) -> impl Iterator<Item = (&Unit, &UnitOrigins)> {
        self.units.iter()
    }

    /// Some units, in order.
    pub(crate) fn range_of<'a>(
        &'a self,
        range: (Bound<&'a Unit>, Bound<&'a Unit>),
    ) -> impl Iterator<Item = (&'a Unit, &'a UnitOrigins)> {
        self.units.range::<Unit, _>(range)
    }

    /// The units behind one, in order.
    pub fn after_unit(&self, unit: &Unit) -> impl Iterator<Item = &Unit> {
        let behind = (Bound::Excluded(unit), Bound::Unbounded);
        self.units.range::<Unit, _>(behind).map(|(unit, _)| unit)
    }

    /// The units whose buckets reach into a range.
    pub fn units_in(&self, range: TimeRange) -> impl Iterator<Item = (&Unit, &UnitOrigins)> {
        // A unit that starts so early ends before the range does.
        let from_ms = range.from_ms.saturating_sub(self.bucket_ms_max);
        let first = first_unit_at(from_ms);
        let rest = match &first {
            Some(first) => self.units.range(first..),
            None => self.units.range::<Unit, _>(..),
        };
        rest.take_while(move |(unit, _)| unit.start_ms() <= range.to_ms)
            .filter(move |(unit, _)| bucket(unit).meets(range))
    }

    /// Every origin, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = Held> {
        self.units.iter().flat_map(|(unit, origins)| origins.iter(unit))
    }

    /// Retention classes of the units.
    pub fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = self.units.keys().map(|unit| unit.class().into()).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

/// The times that a unit's records may have.
pub fn bucket(unit: &Unit) -> TimeRange {
    TimeRange::new(unit.start_ms(), ends_ms(unit) - 1)
}

/// The first millisecond behind a unit's bucket.
pub(crate) fn ends_ms(unit: &Unit) -> u64 {
    unit.start_ms() + unit.bucket_ms()
}

/// Sorts before every other unit that starts then: `-` comes first among what a class may be made of.
pub(crate) fn first_unit_at(start_ms: u64) -> Option<Unit> {
    Unit::new(start_ms, 1, "-", 0, 1).ok()
}

#[cfg(test)]
mod tests;
