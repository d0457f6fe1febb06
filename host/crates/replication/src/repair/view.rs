//! What all stores together hold of a unit, as one of them sees it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_segment::{OriginName, RecordDigest, Unit};

use crate::catalog::UnitOrigins;
use crate::held::{Held, OriginKey};
use crate::holdings::Holdings;
use crate::mirror::Mirror;
use crate::origin_set::OriginSet;
use crate::placement::{self, StoreNode};

/// The holdings of this store and of those that answer.
pub(super) struct View<'a> {
    pub(super) own: &'a Holdings,
    pub(super) mirrors: &'a BTreeMap<u64, Mirror>,
    pub(super) stores: &'a [StoreNode],
    pub(super) replication: usize,
    pub(super) is_rebalancing: bool,
}

/// Whose business an origin is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody's, or never ours: there are enough copies, we have one, or we take nothing.
    Never,
    /// Ours.
    Ours,
    /// Ours when these, which stand before us in rank, do not take it. One of them would have to do so fewer.
    Behind { ahead: Vec<u64>, by: u64 },
}

impl<'a> View<'a> {
    /// What a store that is alive holds of a unit, as far as it has told all.
    fn held_by(&self, store: u64, unit: &Unit) -> Option<&'a UnitOrigins> {
        if store == self.own.node() {
            return self.own.catalog().unit(unit);
        }
        self.mirror(store).and_then(|mirror| mirror.catalog().unit(unit))
    }

    fn holds(&self, store: u64, unit: &Unit) -> bool {
        if store == self.own.node() {
            return self.own.catalog().unit(unit).is_some();
        }
        self.mirror(store).is_some_and(|mirror| mirror.holds(unit))
    }

    /// The names of all that a store holds of a unit; `None` when it holds nothing, or when nobody knows them.
    fn names_of(&self, store: u64, unit: &Unit) -> Option<&'a OriginSet> {
        if let Some(held) = self.held_by(store, unit) {
            return Some(held.names());
        }
        let told = self.mirror(store)?.sets().get(unit)?.whole()?;
        self.own.catalog().unit(unit).map(UnitOrigins::names).filter(|own| told.whole.is(own))
    }

    fn mirror(&self, store: u64) -> Option<&'a Mirror> {
        self.mirrors.get(&store).filter(|mirror| mirror.is_whole())
    }

    /// Names of a unit of which a live store has a copy, we have none, and fewer than R stores have one that counts, or
    /// that are to move here.
    pub(super) fn lacking(&self, unit: &Unit) -> OriginSet {
        let held = |store: &StoreNode| self.held_by(store.node, unit).map(UnitOrigins::names);
        let all = self.stores.iter().filter_map(held).fold(OriginSet::new(), |all, names| all.union(names));
        let lacking = if self.is_to_move_here(unit) { all } else { all.difference(&self.enough(unit)) };
        match self.held_by(self.own.node(), unit) {
            Some(own) => lacking.difference(own.names()),
            None => lacking,
        }
    }

    /// Names of a unit of which R stores have a copy that counts, all being known by name.
    pub(super) fn enough(&self, unit: &Unit) -> OriginSet {
        let counting = self.stores.iter().filter(|store| !store.draining);
        let held = counting.filter_map(|store| self.held_by(store.node, unit).map(UnitOrigins::names));
        OriginSet::in_at_least(self.replication, held)
    }

    /// Whether everything of a unit is to lie here: among those that take something, or have some of it, this store is
    /// one of the first R. Those must be the same as in [`View::surplus`], or what is let go of would come back.
    pub(super) fn is_to_move_here(&self, unit: &Unit) -> bool {
        if !self.is_rebalancing {
            return false;
        }
        let is_full = |node: u64| self.stores.iter().any(|store| store.node == node && store.full);
        let counts = |node: &u64| !is_full(*node) || self.holds(*node, unit);
        let rank = placement::rank(unit, self.stores);
        rank.into_iter().filter(counts).take(self.replication).any(|node| node == self.own.node())
    }

    /// Whether a copy of an origin lies at a live store that is being emptied: it is known to go.
    pub(super) fn is_leaving(&self, unit: &Unit, name: OriginName) -> bool {
        let has = |store: &StoreNode| {
            self.held_by(store.node, unit).is_some_and(|held| held.names().contains(name))
        };
        self.stores.iter().any(|store| store.draining && has(store))
    }

    /// Whether a unit belongs to R other stores and not to this one.
    pub(super) fn is_misplaced(&self, unit: &Unit) -> bool {
        let own = self.own.node();
        !placement::rank(unit, self.stores).into_iter().take(self.replication).any(|node| node == own)
    }

    /// What is here of a unit although R stores above this one in its rank have it, whole or damaged here; and those
    /// stores.
    pub(super) fn surplus(&self, unit: &Unit) -> Option<(OriginSet, Vec<u64>)> {
        let own = self.own.node();
        let above = placement::rank(unit, self.stores).into_iter().take_while(|node| *node != own);
        let holders: Vec<(u64, &OriginSet)> =
            above.filter_map(|node| Some((node, self.names_of(node, unit)?))).collect();
        if holders.len() < self.replication {
            return None;
        }
        let whole = self.held_by(own, unit).map(UnitOrigins::names).cloned().unwrap_or_default();
        let here = self.own.damaged_of(unit).map_or(whole.clone(), |damaged| whole.union(damaged));
        let enough = OriginSet::in_at_least(self.replication, holders.iter().map(|(_, names)| *names));
        let names = here.intersection(&enough);
        (!names.is_empty()).then(|| (names, holders.into_iter().map(|(node, _)| node).collect()))
    }

    /// Whether a unit has expired at this store or at one of those that it belongs to: they had it, and whoever still
    /// has it will let go of it.
    pub(super) fn has_expired(&self, unit: &Unit) -> bool {
        if self.own.has_expired(unit) {
            return true;
        }
        let has_expired =
            |store: &StoreNode| self.mirror(store.node).is_some_and(|mirror| mirror.has_expired(unit));
        if !self.stores.iter().any(has_expired) {
            return false;
        }
        let first = placement::rank(unit, self.stores).into_iter().take(self.replication);
        first.into_iter().any(|node| self.mirror(node).is_some_and(|mirror| mirror.has_expired(unit)))
    }

    /// Whose business a copy of an origin is. Stores take it in the order of the unit's rank, those that are full not.
    pub(super) fn turn(&self, key: &OriginKey) -> Turn {
        let own = self.own.node();
        let has =
            |store: u64| self.held_by(store, &key.unit).is_some_and(|held| held.names().contains(key.name));
        if has(own) {
            return Turn::Never;
        }
        if self.is_to_move_here(&key.unit) {
            return Turn::Ours;
        }
        let copies = self.stores.iter().filter(|store| !store.draining && has(store.node)).count();
        let needed = self.replication.saturating_sub(copies);
        if needed == 0 {
            return Turn::Never;
        }
        let takes = |node: &u64| {
            let is_full = self.stores.iter().any(|store| store.node == *node && store.full);
            !is_full && !has(*node)
        };
        let takers: Vec<u64> = placement::rank(&key.unit, self.stores).into_iter().filter(takes).collect();
        let Some(position) = takers.iter().position(|node| *node == own) else { return Turn::Never };
        if position < needed {
            return Turn::Ours;
        }
        let by = (position + 1 - needed) as u64;
        Turn::Behind { ahead: takers[..position].to_vec(), by }
    }

    /// The digest of an origin, as it is here, or else as another store has it.
    pub(super) fn digest(&self, unit: &Unit, name: OriginName) -> Option<RecordDigest> {
        let own = self.own.catalog().get(unit, name).map(|held| held.digest);
        own.or_else(|| {
            let key = OriginKey { unit: unit.clone(), name };
            self.sources(&key).into_iter().next().map(|(_, held)| held.digest)
        })
    }

    /// Live stores that hold an origin, this one left out, and how they hold it.
    pub(super) fn sources(&self, key: &OriginKey) -> Vec<(u64, Held)> {
        let others = self.stores.iter().filter(|store| store.node != self.own.node());
        let held = |store: &StoreNode| {
            let mirror = self.mirror(store.node)?;
            Some((store.node, mirror.catalog().get(&key.unit, key.name)?))
        };
        others.filter_map(held).collect()
    }
}
