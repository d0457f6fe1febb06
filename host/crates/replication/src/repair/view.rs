//! What all stores together hold of a unit, as one of them sees it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_segment::Unit;

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

    fn mirror(&self, store: u64) -> Option<&'a Mirror> {
        self.mirrors.get(&store).filter(|mirror| mirror.is_whole())
    }

    /// Names of a unit of which a live store has a copy, we have none, and fewer than R stores have one that counts.
    pub(super) fn lacking(&self, unit: &Unit) -> OriginSet {
        let mut all = OriginSet::new();
        // At place n those with more than n copies.
        let mut copies: Vec<OriginSet> = Vec::new();
        copies.resize_with(self.replication, OriginSet::new);
        for store in self.stores {
            let Some(names) = self.held_by(store.node, unit).map(UnitOrigins::names) else { continue };
            all = all.union(names);
            if store.draining {
                continue;
            }
            for n in (1..copies.len()).rev() {
                let more = copies[n - 1].intersection(names);
                copies[n] = copies[n].union(&more);
            }
            if let Some(first) = copies.first_mut() {
                *first = first.union(names);
            }
        }
        let enough = copies.pop().unwrap_or_default();
        let lacking = all.difference(&enough);
        match self.held_by(self.own.node(), unit) {
            Some(own) => lacking.difference(own.names()),
            None => lacking,
        }
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
