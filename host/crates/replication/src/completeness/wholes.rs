//! What is known of units by digest.

use alloc::vec::Vec;

use weir_record::limits::KNOWN_LOST_MAX;
use weir_segment::Unit;

use super::{Knowledge, Known};
use crate::catalog::UnitOrigins;
use crate::mirror::{Mirror, QuietUnit};
use crate::origin_set::OriginSet;
use crate::quiet::Whole;

impl Known {
    /// How many origins are known at least.
    pub(super) fn len(&self) -> u64 {
        let told = self.wholes.iter().map(|(_, whole)| whole).chain(&self.lost).map(|whole| whole.origins);
        self.origins.len().max(told.max().unwrap_or(0))
    }

    pub(super) fn whole_of(&self, store: u64) -> Option<Whole> {
        self.wholes.iter().find(|(of, _)| *of == store).map(|(_, whole)| *whole)
    }

    pub(super) fn set_whole(&mut self, store: u64, whole: Whole) {
        if let Some((_, known)) = self.wholes.iter_mut().find(|(of, _)| *of == store) {
            *known = whole;
            return;
        }
        // Doubling would leave half of it empty.
        self.wholes.reserve_exact(1);
        self.wholes.push((store, whole));
    }

    /// A store does not tell a set any more. It is missed, unless its names are known or somebody else tells it.
    pub(super) fn lose(&mut self, whole: Whole) {
        let is_told = self.wholes.iter().any(|(_, known)| *known == whole) || self.lost.contains(&whole);
        // With so many sets of one unit gone, it is said to be missing whatever becomes of one more.
        if !is_told && self.lost.len() < KNOWN_LOST_MAX && !whole.is(&self.origins) {
            self.lost.push(whole);
        }
    }

    /// Sets that exist and are not known by name.
    pub(super) fn sets(&self) -> Vec<Whole> {
        let told = self.wholes.iter().map(|(_, whole)| *whole);
        let mut sets: Vec<Whole> = told.chain(self.lost.iter().copied()).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// Whether all that is known to exist is this set.
    pub(super) fn agrees(&self, whole: &Whole) -> bool {
        let is_one = self.lost.is_empty() && self.wholes.iter().all(|(_, known)| known == whole);
        is_one && (self.origins.is_empty() || whole.is(&self.origins.difference(&self.expired)))
    }
}

impl Knowledge {
    /// A store tells a unit as a whole. In a listing it may have told another set before: see [`Knowledge::listed`].
    pub(super) fn told_whole(&mut self, store: u64, told: &QuietUnit, is_listed: bool) {
        let known = self.units.entry(told.unit.clone()).or_default();
        known.stores.insert(store);
        // Otherwise what has come and gone since it told another one was told by name, or all of it was.
        if !told.is_named && (!is_listed || known.whole_of(store).is_none()) {
            known.set_whole(store, told.quiet.whole);
        }
    }

    /// A listing of a store is complete: what it tells of its units counts instead of what it told before. Where these are
    /// fewer origins than before, what it had is lost, as far as anybody knows.
    pub fn listed(&mut self, mirror: &Mirror) {
        let store = mirror.node();
        for (unit, known) in &mut self.units {
            let Some(before) = known.whole_of(store) else { continue };
            let names = mirror.catalog().unit(unit).map(UnitOrigins::names);
            let now = mirror.sets().get(unit).map(|told| told.quiet().whole);
            let Some(origins) = now.map(|whole| whole.origins).or(names.map(OriginSet::len)) else {
                // It holds none of it, and has not said why.
                continue;
            };
            known.wholes.retain(|(of, _)| *of != store);
            if let Some(now) = now {
                known.set_whole(store, now);
            }
            if origins < before.origins {
                known.lose(before);
            }
        }
    }

    /// The names of a set have come to be known: from here on each of them is missed by itself.
    pub fn named(&mut self, unit: &Unit, names: &OriginSet) {
        let Some(known) = self.units.get_mut(unit) else { return };
        let before = known.wholes.len() + known.lost.len();
        if before == 0 {
            return;
        }
        let whole = Whole::of(names);
        known.wholes.retain(|(_, told)| *told != whole);
        known.lost.retain(|told| *told != whole);
        if known.wholes.len() + known.lost.len() < before {
            known.origins = known.origins.union(names);
        }
    }

    /// Whether all that is known to exist of a unit is this set.
    pub fn agrees(&self, unit: &Unit, whole: &Whole) -> bool {
        self.units.get(unit).is_none_or(|known| known.agrees(whole))
    }

    /// These stores have this set of a unit, and no store that answers has another one. When that is all that is known to
    /// exist, the names are given up; else nothing happens, and it is `false`.
    pub fn settle(&mut self, unit: &Unit, whole: &Whole, stores: &[u64]) -> bool {
        let Some(known) = self.units.get_mut(unit).filter(|known| known.agrees(whole)) else { return false };
        if stores.is_empty() {
            return false;
        }
        known.origins = OriginSet::new();
        for store in stores {
            known.set_whole(*store, *whole);
        }
        true
    }

    /// How many units are known by name, and how many by digest.
    pub fn units(&self) -> (usize, usize) {
        let by_name = self.units.values().filter(|known| !known.origins.is_empty()).count();
        (by_name, self.units.len() - by_name)
    }
}
