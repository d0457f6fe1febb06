//! What an answer lacks: origins that are known to exist and that no answering node holds, and what silent nodes may
//! have taken since they were last heard.
//!
//! What is known comes from all feeds and is remembered on disk: a node that was lost while nobody looked is
//! missed all the same.
//!
//! **Why a silent store is harmless** unless said otherwise: what it held when it was last heard is known by name, and
//! is missed if nobody else has it. What it has fetched since, an ingest node offered in between. If that node
//! answers and its changes are known without a gap since then, the origin is known by name from there: from
//! its announcement, or from the message that it was handed over. If that node is silent as well, it is missed with all
//! that it may have taken since its own last contact, that origin included. There remains an ingest node that
//! answers after a gap: it was restarted, or has had more changes than it remembers. What it sealed and handed over
//! within the gap nobody has told. So as long as a store has not been heard since the end of a gap, what may lie in the
//! gap is reported: the time from what was unconsumed at its beginning (or the oldest that could still arrive) to its
//! end, plus what records may be ahead of the clock. The rule does not look at R: fewer than R silent stores cannot
//! have been the only ones to confirm, but a copy may be damaged, too.
//!
//! **Quiet units** are known by the digests that stores tell of them ([`wholes`](Knowledge::settle)). Where all that answer
//! tell the one digest of all that is known by name, the names are given up. A set that nobody has any more is missed as a
//! whole, until somebody has just that set, or its names have come to be known and are held.
//!
//! What nobody can tell: an origin that a store has lost without noticing between two listings in which it told a unit by
//! digest, when as many others have come to that unit, and no other store has told the same digest. And an origin whose stores were all lost, disks included, before this node or one whose knowledge it
//! merged had ever heard of them or of the origin.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{
    ARRIVAL_LATE_MS_MAX, EVENT_TIME_AHEAD_MS_MAX, KNOWN_GAPS_MAX, KNOWN_NODES_MAX, KNOWN_UNITS_MAX,
    REPLICATION_MAX,
};
use weir_segment::Unit;

use crate::catalog::ends_ms;
use crate::changes::Place;
use crate::held::Gone;
use crate::mirror::Applied;
use crate::origin_set::OriginSet;
use crate::quiet::Whole;
use crate::ranges::TimeRange;

mod bytes;
mod missing;
mod wholes;

pub use missing::{Missing, MissingRange, Who, Why};

/// What a node says of itself when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// When it was asked, by our clock: what it says may be no newer.
    pub asked_ms: u64,
    /// It takes records from clients.
    pub is_ingest: bool,
    /// It keeps origins.
    pub is_store: bool,
    /// Time of the oldest record in its log or backlog; `None` when both are empty.
    pub unconsumed_ms: Option<u64>,
    /// The oldest time that a record which it takes from now on may have; see [`Contact::floor_ms`].
    pub floor_ms: u64,
}

impl Contact {
    /// The floor of a node that takes records as they arise: ten minutes ago. Where older event times are taken, or
    /// batches from a spool, it is the retention limit.
    pub const fn floor_ms(now_ms: u64) -> u64 {
        now_ms.saturating_sub(ARRIVAL_LATE_MS_MAX)
    }
}

/// A node that was heard once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    /// Its last contact.
    contact: Contact,
    /// When another node was first heard at its address; records that it had are missed up to then.
    replaced_ms: Option<u64>,
    /// It said that it leaves, with nothing unconsumed.
    has_left: bool,
}

/// A stretch of an ingest node's life of which we do not know what it handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    /// Times of the records that may be concerned.
    records: TimeRange,
    /// When it began and ended, by our clock.
    began_ms: u64,
    ended_ms: u64,
}

/// What is known of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    /// Origins that were announced, or handed over.
    origins: OriginSet,
    /// Those of them that are over, as all the stores said that were asked.
    expired: OriginSet,
    /// Stores that were said to hold one.
    stores: BTreeSet<u64>,
    /// All that a store had when it told its digest, by store: it exists, too.
    wholes: Vec<(u64, Whole)>,
    /// Sets that stores have told and then told no more, of which it is not known where they are.
    lost: Vec<Whole>,
}

/// What is known to exist.
///
/// Takes 16 bytes per range of pieces and some 300 per unit: 13,000 units are a week in 64 partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Knowledge {
    units: BTreeMap<Unit, Known>,
    /// Per store and class.
    watermarks: BTreeMap<(u64, String), u64>,
    nodes: BTreeMap<u64, Node>,
    /// Per ingest node.
    gaps: BTreeMap<u64, Vec<Gap>>,
    /// Nodes that ought to answer, by address, and which one was last heard there.
    expected: BTreeMap<String, Option<u64>>,
    /// Units that ended before had to be forgotten, because there were too many.
    forgotten_ms: u64,
}

impl Knowledge {
    /// That of somebody who has heard of nothing.
    pub fn new() -> Knowledge {
        Knowledge::default()
    }

    /// Sets the addresses at which nodes ought to answer, up to [`KNOWN_NODES_MAX`] of up to
    /// [`weir_record::limits::ADDRESS_BYTES_MAX`] bytes. A node that was heard at one which is not in the list is
    /// still missed until it is forgotten.
    pub fn expect(&mut self, addresses: impl IntoIterator<Item = String>) {
        let mut before = core::mem::take(&mut self.expected);
        let known = |address: String| {
            let node = before.remove(&address).flatten();
            (address, node)
        };
        self.expected = addresses.into_iter().take(KNOWN_NODES_MAX).map(known).collect();
    }

    /// A node has answered at an address, and its changes were followed to their end and given to
    /// [`Knowledge::applied`]. One that was heard there before is replaced: what it had is missed, until it is heard
    /// elsewhere or forgotten.
    pub fn heard(&mut self, address: &str, id: u64, contact: Contact) {
        if !self.nodes.contains_key(&id) && self.nodes.len() >= KNOWN_NODES_MAX {
            return;
        }
        if let Some(at) = self.expected.get_mut(address) {
            let before = at.replace(id).filter(|before| *before != id);
            if let Some(node) = before.and_then(|before| self.nodes.get_mut(&before)) {
                node.replaced_ms.get_or_insert(contact.asked_ms);
            }
        }
        let fresh = Node { contact, replaced_ms: None, has_left: false };
        let node = self.nodes.entry(id).or_insert_with(|| fresh.clone());
        if contact.asked_ms >= node.contact.asked_ms {
            *node = fresh;
        }
        self.close_gaps();
    }

    /// A node has said that it leaves for good and that nothing of it is unconsumed.
    pub fn left(&mut self, id: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.has_left = true;
        }
        self.close_gaps();
    }

    /// The operator says that a node will not come back. What only it held is missed nevertheless, by name.
    pub fn forget(&mut self, id: u64) {
        self.nodes.remove(&id);
        self.gaps.remove(&id);
        self.watermarks.retain(|(node, _), _| *node != id);
        self.expected.values_mut().filter(|node| **node == Some(id)).for_each(|node| *node = None);
        for known in self.units.values_mut() {
            known.stores.remove(&id);
            // What it had is missed all the same.
            let told: Vec<Whole> =
                known.wholes.extract_if(.., |(store, _)| *store == id).map(|(_, whole)| whole).collect();
            for whole in told {
                known.lose(whole);
            }
        }
        self.close_gaps();
    }

    /// Takes note of what a node holds, as its mirror gave it. `now_ms` is when the answer was taken, by our clock.
    pub fn applied(&mut self, id: u64, place: Place, applied: &Applied, now_ms: u64) {
        for (class, below_ms) in &applied.watermarks {
            let mark = self.watermarks.entry((id, class.clone())).or_default();
            *mark = (*mark).max(*below_ms);
        }
        for held in &applied.added {
            let known = self.units.entry(held.unit.clone()).or_default();
            known.origins.insert(held.name);
            if place == Place::Store {
                known.stores.insert(id);
            }
        }
        for (key, why) in &applied.gone {
            match why {
                // It existed, though we may hear of it for the first time.
                Some(Gone::HandedOver(stores)) => {
                    let known = self.units.entry(key.unit.clone()).or_default();
                    known.origins.insert(key.name);
                    known.stores.extend(stores.iter().take(REPLICATION_MAX));
                }
                Some(Gone::Expired) => {
                    let known = self.units.entry(key.unit.clone()).or_default();
                    known.origins.insert(key.name);
                    known.expired.insert(key.name);
                }
                Some(Gone::Damaged | Gone::Dropped) => {
                    self.units.entry(key.unit.clone()).or_default().origins.insert(key.name);
                }
                // It was announced once, and so is known.
                None => {}
            }
        }
        for told in applied.quiet.iter().filter(|_| place == Place::Store) {
            self.told_whole(id, told, applied.is_listed);
        }
        if applied.has_gap && place == Place::Backlog {
            self.add_gap(id, now_ms);
        }
        if !applied.watermarks.is_empty() || self.units.len() > KNOWN_UNITS_MAX {
            self.prune();
        }
    }

    /// Adds what somebody else knows. Where both have heard of a node, the later contact counts.
    pub fn merge(&mut self, other: &Knowledge) {
        for (unit, theirs) in &other.units {
            let known = self.units.entry(unit.clone()).or_default();
            known.origins = known.origins.union(&theirs.origins);
            known.expired = known.expired.union(&theirs.expired);
            known.stores.extend(&theirs.stores);
            for (store, whole) in &theirs.wholes {
                if known.whole_of(*store).is_none() {
                    known.set_whole(*store, *whole);
                } else if known.whole_of(*store) != Some(*whole) {
                    // Which of both it told last cannot be told.
                    known.lose(*whole);
                }
            }
            theirs.lost.iter().for_each(|whole| known.lose(*whole));
        }
        for (key, below_ms) in &other.watermarks {
            let mark = self.watermarks.entry(key.clone()).or_default();
            *mark = (*mark).max(*below_ms);
        }
        for (id, theirs) in &other.nodes {
            if self.nodes.len() < KNOWN_NODES_MAX || self.nodes.contains_key(id) {
                let node = self.nodes.entry(*id).or_insert_with(|| theirs.clone());
                if theirs.contact.asked_ms > node.contact.asked_ms {
                    *node = theirs.clone();
                }
            }
        }
        // Which of our gaps the other has seen through cannot be told from clocks that differ: all stay until the
        // stores are heard, which is soon.
        for (id, gaps) in &other.gaps {
            self.gaps.entry(*id).or_default().extend(gaps);
        }
        for (address, node) in &mut self.expected {
            *node = node.or_else(|| other.expected.get(address).copied().flatten());
        }
        self.forgotten_ms = self.forgotten_ms.max(other.forgotten_ms);
        self.close_gaps();
        self.prune();
    }

    /// How many origins are known.
    pub fn len(&self) -> u64 {
        self.units.values().map(Known::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The nodes that were heard, and when last.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, Contact)> {
        self.nodes.iter().map(|(id, node)| (*id, node.contact))
    }

    fn add_gap(&mut self, id: u64, now_ms: u64) {
        // Of a node that was never heard, all of its past is a gap.
        let (from_ms, began_ms) = match self.nodes.get(&id) {
            Some(Node { contact, .. }) => (oldest_ms(contact), contact.asked_ms),
            None => (0, 0),
        };
        let records = TimeRange::new(from_ms, now_ms.saturating_add(EVENT_TIME_AHEAD_MS_MAX));
        self.gaps.entry(id).or_default().push(Gap { records, began_ms, ended_ms: now_ms });
        self.close_gaps();
    }

    /// Drops the gaps that hide nothing any more, and joins the oldest of those that are too many.
    fn close_gaps(&mut self) {
        let nodes = &self.nodes;
        for gaps in self.gaps.values_mut() {
            gaps.retain(|gap| nodes.values().any(|node| node.may_have_taken(gap)));
            gaps.sort_unstable_by_key(|gap| (gap.ended_ms, gap.began_ms, gap.records));
            gaps.dedup();
            while gaps.len() > KNOWN_GAPS_MAX {
                let Gap { records, began_ms, .. } = gaps.remove(0);
                if let Some(next) = gaps.first_mut() {
                    next.began_ms = next.began_ms.min(began_ms);
                    let from_ms = next.records.from_ms.min(records.from_ms);
                    next.records = TimeRange::new(from_ms, next.records.to_ms.max(records.to_ms));
                }
            }
        }
        self.gaps.retain(|_, gaps| !gaps.is_empty());
    }

    /// Drops the units that nobody will ever miss.
    fn prune(&mut self) {
        let watermarks = &self.watermarks;
        let stores: Vec<u64> =
            self.nodes.iter().filter(|(_, node)| node.contact.is_store).map(|(id, _)| *id).collect();
        self.units.retain(|unit, known| {
            let has_expired = |store: &u64| below(watermarks, *store, unit);
            let by_holders = !known.stores.is_empty() && known.stores.iter().all(has_expired);
            let by_all = !stores.is_empty() && stores.iter().all(has_expired);
            !by_holders && !by_all
        });
        while self.units.len() > KNOWN_UNITS_MAX {
            let Some((unit, _)) = self.units.pop_first() else { return };
            self.forgotten_ms = self.forgotten_ms.max(ends_ms(&unit));
        }
    }
}

impl Node {
    /// Whether it is a store that may hold something which was handed over within a gap, unknown to us.
    fn may_have_taken(&self, gap: &Gap) -> bool {
        let was_there = self.replaced_ms.is_none_or(|replaced_ms| gap.began_ms < replaced_ms);
        self.contact.is_store && !self.has_left && self.contact.asked_ms < gap.ended_ms && was_there
    }
}

/// The oldest time of a record that a node had or could still take.
fn oldest_ms(contact: &Contact) -> u64 {
    contact.unconsumed_ms.unwrap_or(u64::MAX).min(contact.floor_ms)
}

/// Whether a unit lies below a store's watermark.
fn below(watermarks: &BTreeMap<(u64, String), u64>, store: u64, unit: &Unit) -> bool {
    watermarks.get(&(store, unit.class().into())).is_some_and(|below_ms| ends_ms(unit) <= *below_ms)
}

#[cfg(test)]
mod tests;
