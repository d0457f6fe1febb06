//! A store's part in having R copies of everything: which origins it fetches from other stores, and when.
//!
//! It follows what the other stores announce. An origin that fewer than R of those hold that answer and are not being
//! emptied lacks copies; when that has lasted for a while, those make them that come first in the rank of its unit and
//! have none. When they make no progress at all, the next ones do. What has expired at a store that held it is left
//! alone.
//!
//! Nothing is deleted here, and nothing is promised: a wrong view costs a copy too many or a delay. A copy that was
//! damaged here is made anew at once, whatever the rank says, if others do not have enough. What was damaged here while
//! they had is like any other from then on.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{
    CHANGES_BYTES_MAX, CLAIM_MS, NODE_NAMES_UNITS_MAX, REPAIR_LACKING_MAX, REPAIR_NAMES_RETRY_MS,
    REPAIR_TAKEOVER_MS, REPAIR_UNITS_PER_STEP, TRANSFER_BACKOFF_MS_MAX,
};
use weir_segment::Unit;

use crate::catalog::ends_ms;
use crate::changes::{Changes, Event, Place, Position, Step};
use crate::held::{Held, OriginKey};
use crate::holdings::Holdings;
use crate::mirror::{Mirror, MirrorError};
use crate::offers::backoff_ms;
use crate::origin_set::OriginSet;
use crate::placement::StoreNode;
use crate::puller::Failure;

mod balance;
mod healing;
mod names;
mod view;

pub use balance::{Amount, Surplus};
use names::Clarity;
use view::{Turn, View};

/// Fetch this, verify it and keep it, then say [`Repairer::kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The store that holds it.
    pub from: u64,
    /// What it must be. The size of its file may be another one: it may have to be cut out of a larger one.
    pub held: Held,
}

/// How repair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepairState {
    /// Origins without a copy here that lack copies, as far as units were compared.
    pub lacking: usize,
    /// Units that were not compared yet since something about them changed; at least one while all of them are to be.
    pub units_waiting: usize,
    /// Origins that are being fetched.
    pub fetching: usize,
}

/// An origin that lacks copies and has none here.
#[derive(Debug)]
struct Lack {
    since_ms: u64,
    /// How long it has to last.
    wait_ms: u64,
    /// Not fetched sooner, whoever's turn it is.
    not_before_ms: u64,
    /// When it is looked at next; the key of its place in `due`.
    due_ms: u64,
    failures: u32,
}

/// A fetch under way.
#[derive(Debug)]
struct Running {
    from: u64,
    until_ms: u64,
}

/// Decides what a store fetches from others. As large as what the other stores hold, see
/// [`Catalog`](crate::Catalog) and [`Sets`](crate::Sets), and some 300 bytes for each origin that lacks copies.
#[derive(Debug)]
pub struct Repairer {
    after_ms: u64,
    replication: usize,
    stores: Vec<StoreNode>,
    mirrors: BTreeMap<u64, Mirror>,
    /// Up to where changes of this store's own holdings were looked at.
    own_seen: Position,
    /// All units are to be compared.
    is_all_new: bool,
    /// Units that are to be compared.
    new: BTreeSet<Unit>,
    /// Units of which names are needed, and which stores are asked for them, not before when.
    wanted: BTreeMap<Unit, BTreeMap<u64, u64>>,
    /// Units that have expired at a store that held some of it, while others still hold it.
    expired: BTreeSet<Unit>,
    lacking: BTreeMap<OriginKey, Lack>,
    due: BTreeSet<(u64, OriginKey)>,
    running: BTreeMap<OriginKey, Running>,
    /// What is damaged here and was so while enough others had it: it is no business of this store's more than of others.
    passed: BTreeMap<Unit, OriginSet>,
    /// Stores that failed: how often, and until when they are left alone.
    paused: BTreeMap<u64, (u32, u64)>,
    /// What belongs here is fetched although it lacks no copies.
    is_rebalancing: bool,
    /// Up to where it was looked for what is too much here.
    surplus_seen: Option<Unit>,
    /// When a store last took an origin that had lacked copies for so long that it was due.
    progress: BTreeMap<u64, u64>,
}

impl Repairer {
    /// That of a store that knows of no other store yet. Copies are made when they have been away for `after_ms`.
    pub fn new(after_ms: u64) -> Repairer {
        Repairer {
            after_ms,
            replication: 1,
            stores: Vec::new(),
            mirrors: BTreeMap::new(),
            own_seen: Position::START,
            is_all_new: true,
            new: BTreeSet::new(),
            wanted: BTreeMap::new(),
            expired: BTreeSet::new(),
            lacking: BTreeMap::new(),
            due: BTreeSet::new(),
            running: BTreeMap::new(),
            passed: BTreeMap::new(),
            paused: BTreeMap::new(),
            is_rebalancing: false,
            surplus_seen: None,
            progress: BTreeMap::new(),
        }
    }

    /// Sets the stores that are alive, this one included, and R.
    pub fn set_stores(&mut self, stores: &[StoreNode], replication: usize) {
        let replication = replication.max(1);
        let counting = |stores: &[StoreNode]| -> BTreeSet<(u64, bool)> {
            stores.iter().map(|store| (store.node, store.draining)).collect()
        };
        // What else is said of a store changes its rank, which is looked at when an origin is due.
        if self.replication != replication || counting(&self.stores) != counting(stores) {
            self.is_all_new = true;
        }
        self.replication = replication;
        if self.stores != stores {
            self.stores = stores.to_vec();
            // What was put off because it was somebody else's turn may be ours now.
            let keys: Vec<OriginKey> = self.lacking.keys().cloned().collect();
            for key in &keys {
                self.look_again(key);
            }
        }
    }

    /// Whether what belongs here by rank is to be fetched, although it lacks no copies.
    pub fn set_rebalancing(&mut self, is_rebalancing: bool) {
        self.is_all_new |= self.is_rebalancing != is_rebalancing;
        self.is_rebalancing = is_rebalancing;
    }

    /// What lacks copies now has done so for long enough.
    pub fn hurry(&mut self, now_ms: u64, own: &Holdings) {
        self.see_own(own);
        self.compare(now_ms, own);
        let keys: Vec<OriginKey> = self.lacking.keys().cloned().collect();
        for key in &keys {
            self.hurry_one(key, now_ms.saturating_sub(self.lacking.get(key).map_or(0, |lack| lack.since_ms)));
        }
    }

    /// Where to go on with what a store holds.
    pub fn position(&self, store: u64) -> Position {
        self.mirrors.get(&store).map_or(Position::START, |mirror| mirror.position().clone())
    }

    /// Whether all that a store holds is known.
    pub fn is_whole(&self, store: u64) -> bool {
        self.mirrors.get(&store).is_some_and(Mirror::is_whole)
    }

    /// Takes note of what has changed in what a store holds.
    pub fn applied(&mut self, store: u64, changes: Changes, now_ms: u64) -> Result<(), MirrorError> {
        let mirror = self.mirrors.entry(store).or_insert_with(|| Mirror::new(store, Place::Store));
        let mut expired: Vec<Unit> = Vec::new();
        for event in &changes.events {
            if let Event::Watermark { class, below_ms } = event {
                let is_over = |unit: &&Unit| unit.class() == class && ends_ms(unit) <= *below_ms;
                expired.extend(mirror.units().filter(is_over).cloned());
            }
        }
        let applied = mirror.apply(changes)?;
        self.new.extend(expired.iter().cloned());
        self.expired.extend(expired);
        if applied.has_gap {
            // From now on it counts.
            self.new.extend(mirror.units().cloned());
        }
        self.new.extend(applied.quiet.into_iter().map(|told| told.unit));
        self.new.extend(applied.vanished);
        for held in applied.added {
            let key = held.key();
            if self.lacking.get(&key).is_some_and(|lack| lack.since_ms.saturating_add(lack.wait_ms) <= now_ms)
            {
                self.progress.insert(store, now_ms);
            }
            self.new.insert(key.unit);
        }
        self.new.extend(applied.gone.into_iter().map(|(key, _)| key.unit));
        for (class, below_ms) in applied.watermarks {
            let is_over = |key: &&OriginKey| key.unit.class() == class && ends_ms(&key.unit) <= below_ms;
            self.new.extend(self.lacking.keys().filter(is_over).map(|key| key.unit.clone()));
        }
        Ok(())
    }

    /// A store cannot be followed any more: what it holds does not count until it tells anew.
    pub fn remove(&mut self, store: u64) {
        if let Some(mirror) = self.mirrors.remove(&store) {
            self.new.extend(mirror.units().cloned());
        }
        self.paused.remove(&store);
        self.progress.remove(&store);
    }

    /// What to fetch now: with it, at most `fetching_max` fetches are under way. What it gives is under way until the
    /// caller reports, or for [`CLAIM_MS`].
    pub fn next(&mut self, now_ms: u64, fetching_max: usize, own: &Holdings) -> Vec<Fetch> {
        self.see_own(own);
        self.compare(now_ms, own);
        self.end_overdue(now_ms);
        let mut fetches = Vec::new();
        while self.running.len() < fetching_max {
            let Some((_, key)) = self.due.first().filter(|(due_ms, _)| *due_ms <= now_ms).cloned() else {
                break;
            };
            match self.decide(&key, now_ms, own) {
                Decision::Forget => self.forget(&key),
                Decision::Later(due_ms) => self.put_off(&key, due_ms.max(now_ms + 1)),
                Decision::Fetch(fetch) => {
                    let until_ms = now_ms.saturating_add(CLAIM_MS);
                    self.put_off(&key, u64::MAX);
                    self.running.insert(key, Running { from: fetch.from, until_ms });
                    fetches.push(fetch);
                }
            }
        }
        fetches
    }

    /// An origin is held now, or need not be.
    pub fn kept(&mut self, key: &OriginKey) {
        if let Some(running) = self.running.remove(key) {
            self.paused.remove(&running.from);
        }
        self.forget(key);
        // In case that it was not kept after all.
        self.new.insert(key.unit.clone());
    }

    /// A fetch came to nothing.
    pub fn failed(&mut self, key: &OriginKey, failure: &Failure, now_ms: u64) {
        let Some(Running { from, .. }) = self.running.remove(key) else { return };
        let Some(lack) = self.lacking.get_mut(key) else { return };
        let pause_ms = match failure {
            Failure::Peer => {
                let (failures, until_ms) = self.paused.entry(from).or_default();
                *failures = failures.saturating_add(1);
                *until_ms = now_ms.saturating_add(backoff_ms(*failures));
                // Another store may have it.
                0
            }
            Failure::Busy { retry_ms } => (*retry_ms).min(TRANSFER_BACKOFF_MS_MAX),
            Failure::Unknown | Failure::Origin(_) => {
                lack.failures = lack.failures.saturating_add(1);
                backoff_ms(lack.failures)
            }
        };
        lack.not_before_ms = now_ms.saturating_add(pause_ms);
        self.look_again(key);
    }

    /// When [`Repairer::next`] will next have something to do, if nothing is reported before.
    pub fn next_due_ms(&self) -> Option<u64> {
        let has_units = self.is_all_new || !self.new.is_empty();
        if has_units && self.has_room() {
            return Some(0);
        }
        self.due.first().map(|(due_ms, _)| *due_ms).filter(|due_ms| *due_ms < u64::MAX)
    }

    /// How it stands.
    pub fn state(&self) -> RepairState {
        let (lacking, fetching) = (self.lacking.len(), self.running.len());
        let units_waiting = self.new.len() + self.wanted.len() + usize::from(self.is_all_new);
        RepairState { lacking, units_waiting, fetching }
    }

    /// Takes note of what has changed here.
    fn see_own(&mut self, own: &Holdings) {
        while self.own_seen != own.position() {
            let changes = own.changes_since(&self.own_seen, CHANGES_BYTES_MAX);
            if changes.step != Step::Delta || changes.events.is_empty() {
                self.is_all_new = true;
                self.own_seen = own.position();
                return;
            }
            for event in changes.events {
                match event {
                    Event::Held(Held { unit, .. }) => drop(self.new.insert(unit)),
                    Event::Gone(key, _) => drop(self.new.insert(key.unit)),
                    // What lies below is forgotten when it is due.
                    Event::Watermark { .. } | Event::Quiet(..) => {}
                }
            }
            self.own_seen = changes.next;
        }
    }

    /// Compares some of the units about which something has changed.
    fn compare(&mut self, now_ms: u64, own: &Holdings) {
        if self.is_all_new {
            self.is_all_new = false;
            self.new.extend(self.mirrors.values().flat_map(Mirror::units).cloned());
            self.new.extend(own.catalog().units().map(|(unit, _)| unit.clone()));
            self.new.extend(self.lacking.keys().map(|key| key.unit.clone()));
        }
        for _ in 0..REPAIR_UNITS_PER_STEP {
            if !self.has_room() {
                return;
            }
            let Some(unit) = self.new.pop_first() else { return };
            self.compare_unit(&unit, now_ms, own);
        }
    }

    /// Whether there is room for what comparing may bring.
    fn has_room(&self) -> bool {
        self.lacking.len() < REPAIR_LACKING_MAX && self.wanted.len() < NODE_NAMES_UNITS_MAX
    }

    fn compare_unit(&mut self, unit: &Unit, now_ms: u64, own: &Holdings) {
        if !self.mirrors.values().any(|mirror| mirror.holds(unit)) {
            self.expired.remove(unit);
        }
        let is_over = self.expired.contains(unit) || self.view(own).has_expired(unit);
        let clarity = if is_over {
            self.wanted.remove(unit);
            Clarity::Fine
        } else {
            self.clarify(unit, own)
        };
        let lacking = match clarity {
            Clarity::Fine => OriginSet::new(),
            Clarity::Named => self.view(own).lacking(unit),
            // It is compared again when they have come.
            Clarity::Waits => return,
        };
        self.pass(unit, own, clarity);
        let known: Vec<OriginKey> = self
            .lacking
            .range(OriginKey::first_of(unit)..)
            .map(|(key, _)| key)
            .take_while(|key| key.unit == *unit)
            .filter(|key| !lacking.contains(key.name))
            .cloned()
            .collect();
        for key in &known {
            self.forget(key);
        }
        let waits: Vec<(OriginKey, u64)> = {
            let view = self.view(own);
            let is_known_to_go =
                |key: &OriginKey| self.is_to_heal(key, own) || view.is_leaving(unit, key.name);
            let keys = lacking.iter().map(|name| OriginKey { unit: unit.clone(), name });
            // What an operator moves needs no time to come back.
            let wait_ms =
                |key: &OriginKey| if self.is_rebalancing || is_known_to_go(key) { 0 } else { self.after_ms };
            keys.map(|key| (key.clone(), wait_ms(&key))).collect()
        };
        for (key, wait_ms) in waits {
            if self.lacking.contains_key(&key) {
                self.hurry_one(&key, wait_ms);
                self.look_again(&key);
                continue;
            }
            let due_ms = now_ms.saturating_add(wait_ms);
            self.due.insert((due_ms, key.clone()));
            let lack = Lack { since_ms: now_ms, wait_ms, not_before_ms: due_ms, due_ms, failures: 0 };
            self.lacking.insert(key, lack);
        }
    }

    fn decide(&self, key: &OriginKey, now_ms: u64, own: &Holdings) -> Decision {
        let Some(lack) = self.lacking.get(key) else { return Decision::Forget };
        let view = self.view(own);
        if self.expired.contains(&key.unit) || view.has_expired(&key.unit) {
            return Decision::Forget;
        }
        if self.is_unnamed(&key.unit, own) {
            return Decision::Later(now_ms.saturating_add(REPAIR_NAMES_RETRY_MS));
        }
        match view.turn(key) {
            // Full or emptied now, perhaps not for long.
            Turn::Never if view.lacking(&key.unit).contains(key.name) => {
                return Decision::Later(now_ms.saturating_add(REPAIR_TAKEOVER_MS));
            }
            Turn::Never => return Decision::Forget,
            Turn::Behind { ahead, by } if !self.is_to_heal(key, own) => {
                let progress = ahead.iter().filter_map(|node| self.progress.get(node)).max();
                let since_ms = lack.since_ms.saturating_add(lack.wait_ms).max(progress.copied().unwrap_or(0));
                let turn_ms = since_ms.saturating_add(by.saturating_mul(REPAIR_TAKEOVER_MS));
                if turn_ms > now_ms {
                    return Decision::Later(turn_ms);
                }
            }
            Turn::Ours | Turn::Behind { .. } => {}
        }
        let mut sources = view.sources(key);
        let until_ms = |node: u64| self.paused.get(&node).map_or(0, |(_, until_ms)| *until_ms);
        let soonest_ms = sources.iter().map(|(node, _)| until_ms(*node)).min();
        sources.retain(|(node, _)| until_ms(*node) <= now_ms);
        if sources.is_empty() {
            // Without a store that has it, the next change of one leads here again.
            return soonest_ms.map_or(Decision::Forget, Decision::Later);
        }
        let busy = |node: u64| self.running.values().filter(|running| running.from == node).count();
        sources.sort_by_key(|(node, _)| busy(*node));
        let chosen = lack.failures as usize % sources.len();
        let (from, held) = sources.swap_remove(chosen);
        Decision::Fetch(Fetch { from, held })
    }

    fn view<'a>(&'a self, own: &'a Holdings) -> View<'a> {
        View {
            own,
            mirrors: &self.mirrors,
            stores: &self.stores,
            replication: self.replication,
            is_rebalancing: self.is_rebalancing,
        }
    }

    /// What nobody has reported is taken to have failed: its task is gone, or hangs.
    fn end_overdue(&mut self, now_ms: u64) {
        let overdue = self.running.iter().filter(|(_, running)| running.until_ms <= now_ms);
        let overdue: Vec<OriginKey> = overdue.map(|(key, _)| key.clone()).collect();
        for key in overdue {
            self.failed(&key, &Failure::Origin(String::new()), now_ms);
        }
    }

    /// Has an origin looked at as soon as it may be fetched, unless it is being fetched.
    fn look_again(&mut self, key: &OriginKey) {
        let lack = self.lacking.get(key).filter(|_| !self.running.contains_key(key));
        if let Some(not_before_ms) = lack.map(|lack| lack.not_before_ms) {
            self.put_off(key, not_before_ms);
        }
    }

    /// Has an origin wait no longer than that, unless it has failed: then it has another reason to wait.
    fn hurry_one(&mut self, key: &OriginKey, wait_ms: u64) {
        let Some(lack) = self.lacking.get_mut(key) else { return };
        lack.wait_ms = lack.wait_ms.min(wait_ms);
        if lack.failures == 0 {
            lack.not_before_ms = lack.not_before_ms.min(lack.since_ms.saturating_add(lack.wait_ms));
        }
        self.look_again(key);
    }

    fn put_off(&mut self, key: &OriginKey, due_ms: u64) {
        if let Some(lack) = self.lacking.get_mut(key) {
            self.due.remove(&(lack.due_ms, key.clone()));
            lack.due_ms = due_ms;
            self.due.insert((due_ms, key.clone()));
        }
    }

    fn forget(&mut self, key: &OriginKey) {
        if let Some(lack) = self.lacking.remove(key) {
            self.due.remove(&(lack.due_ms, key.clone()));
        }
    }
}

/// What to do with an origin that is due.
enum Decision {
    Forget,
    Later(u64),
    Fetch(Fetch),
}

#[cfg(test)]
mod tests;
