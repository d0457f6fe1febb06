//! Which names of origins repair needs: of quiet units the digests of all holders are compared, and only where they
//! differ, or where there are too few of them, does it matter what the origins are called.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_record::limits::{CLAIM_MS, REPAIR_NAMES_RETRY_MS};
use weir_segment::Unit;

use super::Repairer;
use crate::held::Held;
use crate::holdings::Holdings;
use crate::mirror::{ListSize, Mirror};
use crate::quiet::Whole;

/// What is known of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clarity {
    /// All holders have one set, and there are enough of them.
    Fine,
    /// All of it is known by name.
    Named,
    /// Names were asked for.
    Waits,
}

impl Repairer {
    /// Which units of which store to ask for the names of, and to tell [`Repairer::named`] or [`Repairer::unnamed`] of: as
    /// many as one request takes, and how many origins they had. Not again before that is told or has taken too long.
    pub fn names_wanted(&mut self, now_ms: u64) -> BTreeMap<u64, (Vec<Unit>, u64)> {
        let mut due: BTreeMap<u64, Vec<Unit>> = BTreeMap::new();
        for (unit, nodes) in &self.wanted {
            for (node, _) in nodes.iter().filter(|(_, not_before_ms)| **not_before_ms <= now_ms) {
                due.entry(*node).or_default().push(unit.clone());
            }
        }
        let mut asking = BTreeMap::new();
        for (node, units) in due {
            let Some(mirror) = self.mirrors.get(&node) else { continue };
            let (units, origins) = mirror.sets().askable(units.iter());
            for unit in &units {
                let asked = self.wanted.get_mut(unit).and_then(|nodes| nodes.get_mut(&node));
                if let Some(not_before_ms) = asked {
                    *not_before_ms = now_ms.saturating_add(CLAIM_MS);
                }
            }
            asking.insert(node, (units, origins));
        }
        asking
    }

    /// A store has told the origins of these units by name, in the order of their keys.
    pub fn named(&mut self, store: u64, units: &[Unit], origins: &[Held], now_ms: u64) {
        for unit in units {
            let from = origins.partition_point(|held| held.unit < *unit);
            let of_unit = &origins[from..];
            let of_unit = &of_unit[..of_unit.partition_point(|held| held.unit == *unit)];
            if let Some(mirror) = self.mirrors.get_mut(&store) {
                // What has changed meanwhile is told by the feed, and then asked for again.
                let _ = mirror.name(unit, of_unit.iter());
            }
        }
        self.unnamed(store, units, now_ms);
    }

    /// A store did not tell them, or not all.
    pub fn unnamed(&mut self, store: u64, units: &[Unit], now_ms: u64) {
        for unit in units {
            let asked = self.wanted.get_mut(unit).and_then(|nodes| nodes.get_mut(&store));
            if let Some(not_before_ms) = asked {
                *not_before_ms = now_ms.saturating_add(REPAIR_NAMES_RETRY_MS);
            }
            self.new.insert(unit.clone());
        }
    }

    /// How large the lists of other stores are.
    pub fn size(&self) -> ListSize {
        self.mirrors.values().map(Mirror::size).fold(ListSize::default(), ListSize::and)
    }

    /// Whether a unit can be compared, and how. Sees to it that it can be.
    pub(super) fn clarify(&mut self, unit: &Unit, own: &Holdings) -> Clarity {
        let holders = self.holders(unit, own);
        let is_told = |node: &u64| self.mirrors.get(node).is_some_and(|mirror| mirror.sets().is_told(unit));
        if !holders.iter().any(is_told) {
            self.wanted.remove(unit);
            return Clarity::Named;
        }
        if self.is_fine(unit, &holders, own) {
            self.wanted.remove(unit);
            for node in &holders {
                self.mirrors.get_mut(node).map(|mirror| mirror.unname(unit));
            }
            return Clarity::Fine;
        }
        self.name_by_others(unit, &holders, own);
        let mut wanted = BTreeMap::new();
        let mut seen: Vec<Whole> = Vec::new();
        let before = self.wanted.remove(unit).unwrap_or_default();
        for node in holders {
            let Some(told) = self.mirrors.get(&node).and_then(|mirror| mirror.sets().get(unit)) else {
                continue;
            };
            // One of those with the same set will do.
            if let Some(quiet) = told.whole() {
                if seen.contains(&quiet.whole) {
                    continue;
                }
                seen.push(quiet.whole);
            }
            wanted.insert(node, before.get(&node).copied().unwrap_or(0));
        }
        if wanted.is_empty() {
            return Clarity::Named;
        }
        self.wanted.insert(unit.clone(), wanted);
        Clarity::Waits
    }

    /// Whether some of a unit is known by digest alone, so that nothing can be said of one of its origins.
    pub(super) fn is_unnamed(&self, unit: &Unit, own: &Holdings) -> bool {
        let is_unnamed =
            |node: &u64| self.mirrors.get(node).is_some_and(|mirror| mirror.sets().get(unit).is_some());
        self.holders(unit, own).iter().any(is_unnamed)
    }

    /// Live stores that hold some of a unit, as far as they have told all.
    fn holders(&self, unit: &Unit, own: &Holdings) -> Vec<u64> {
        let holds = |node: &u64| match self.mirrors.get(node) {
            _ if *node == own.node() => own.catalog().unit(unit).is_some(),
            Some(mirror) => mirror.is_whole() && mirror.holds(unit),
            None => false,
        };
        self.stores.iter().map(|store| store.node).filter(holds).collect()
    }

    /// Whether all holders have one set, and there are enough that count; and this store has what is to lie here.
    fn is_fine(&self, unit: &Unit, holders: &[u64], own: &Holdings) -> bool {
        let mut sets = holders.iter().map(|node| match self.mirrors.get(node) {
            _ if *node == own.node() => own.catalog().unit(unit).map(|held| Whole::of(held.names())),
            Some(mirror) => match mirror.sets().get(unit) {
                Some(told) => told.whole().map(|quiet| quiet.whole),
                None => mirror.catalog().unit(unit).map(|held| Whole::of(held.names())),
            },
            None => None,
        });
        let first = sets.next().flatten();
        if first.is_none() || sets.any(|set| set != first) {
            return false;
        }
        let counts = |node: &&u64| self.stores.iter().any(|store| store.node == **node && !store.draining);
        let is_here = holders.contains(&own.node());
        let has_enough = holders.iter().filter(counts).count() >= self.replication;
        has_enough && (is_here || !self.view(own).is_to_move_here(unit))
    }

    /// Takes the names of a set from whoever has told them of the same set.
    fn name_by_others(&mut self, unit: &Unit, holders: &[u64], own: &Holdings) {
        let unnamed: Vec<u64> = holders
            .iter()
            .copied()
            .filter(|node| self.mirrors.get(node).is_some_and(|mirror| mirror.sets().get(unit).is_some()))
            .collect();
        for node in unnamed {
            for other in holders.iter().filter(|other| **other != node) {
                let known = if *other == own.node() {
                    own.catalog().unit(unit)
                } else {
                    self.mirrors.get(other).and_then(|mirror| mirror.catalog().unit(unit))
                };
                let told = self.mirrors.get(&node).and_then(|mirror| mirror.sets().get(unit));
                let proven = told.zip(known).and_then(|(told, held)| told.proven_by(held.names()));
                if proven.is_none() {
                    continue;
                }
                let origins: Vec<Held> = known.iter().flat_map(|held| held.iter(unit)).collect();
                if let Some(mirror) = self.mirrors.get_mut(&node)
                    && mirror.name(unit, origins.iter()).is_ok()
                {
                    break;
                }
            }
        }
    }
}
