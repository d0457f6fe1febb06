//! What a node has told that it holds: origins by name, and units by digest.

use weir_segment::Unit;

use super::{Applied, QuietUnit};
use crate::catalog::Catalog;
use crate::held::{Held, OriginKey};
use crate::quiet::Quiet;
use crate::sets::Sets;

/// Every unit is in one of them.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) catalog: Catalog,
    pub(super) sets: Sets,
}

/// What a unit that is told as quiet was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// Known by these very names.
    Proven,
    /// Not known by name.
    Unnamed,
    /// Known by other names, which are given up.
    Contradicts,
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.catalog.is_empty() && self.sets.is_empty()
    }

    pub(super) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.catalog.units().map(|(unit, _)| unit).chain(self.sets.iter().map(|(unit, _)| unit))
    }

    /// An origin is held; whether that is new, or not known to be known.
    pub(super) fn add(&mut self, held: &Held) -> bool {
        if self.sets.add(&held.unit, held.name) {
            return true;
        }
        self.wake(&held.unit);
        // What cannot be was refused before anything was taken.
        self.catalog.insert(held) == Ok(true)
    }

    /// An origin is held no more.
    pub(super) fn remove(&mut self, key: &OriginKey) {
        if self.sets.remove(&key.unit, key.name) {
            return;
        }
        self.wake(&key.unit);
        self.catalog.remove(&key.unit, key.name);
        if self.catalog.unit(&key.unit).is_none() {
            self.sets.forget(&key.unit);
        }
    }

    /// A unit is told as a whole.
    pub(super) fn quiet(&mut self, unit: Unit, quiet: Quiet) -> Took {
        match self.catalog.unit(&unit) {
            Some(origins) if quiet.whole.is(origins.names()) => {
                self.sets.insert_named(unit, quiet);
                Took::Proven
            }
            Some(_) => {
                self.catalog.remove_unit(&unit);
                self.sets.insert(unit, quiet);
                Took::Contradicts
            }
            None => {
                self.sets.insert(unit, quiet);
                Took::Unnamed
            }
        }
    }

    pub(super) fn remove_below(&mut self, class: &str, below_ms: u64) {
        self.catalog.remove_below(class, below_ms);
        self.sets.remove_below(class, below_ms);
    }

    fn wake(&mut self, unit: &Unit) {
        if let Some(origins) = self.catalog.unit(unit) {
            self.sets.wake(unit, origins.names());
        }
    }
}

/// Tells what a listing has that was not known, and what it lacks.
pub(super) fn compare(old: &List, new: &List, applied: &mut Applied) {
    let is_new = |held: &Held| old.catalog.get(&held.unit, held.name).is_none_or(|old| old != *held);
    applied.added.extend(new.catalog.iter().filter(is_new));
    for (unit, origins) in old.catalog.units() {
        let gone = match new.catalog.unit(unit) {
            Some(listed) => origins.names().difference(listed.names()),
            // What it holds now has no names.
            None if new.sets.get(unit).is_some() => continue,
            None => origins.names().clone(),
        };
        let key = |name| (OriginKey { unit: unit.clone(), name }, None);
        applied.gone.extend(gone.iter().map(key));
    }
    let is_gone = |unit: &&Unit| new.catalog.unit(unit).is_none() && new.sets.get(unit).is_none();
    applied.vanished.extend(old.sets.iter().map(|(unit, _)| unit).filter(is_gone).cloned());
    let quiet = new.sets.iter().map(|(unit, told)| {
        let quiet = *told.quiet();
        // What was known by name before was told by name.
        let is_named = old.catalog.unit(unit).is_some_and(|known| quiet.whole.is(known.names()));
        QuietUnit { unit: unit.clone(), quiet, is_named }
    });
    applied.quiet.extend(quiet);
}
