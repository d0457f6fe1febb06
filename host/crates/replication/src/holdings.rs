//! What a node announces: the origins it holds in one place, and how that has changed of late.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use weir_record::limits::{HOLDINGS_EVENTS_MAX, HOLDINGS_QUIET_MS_DEFAULT, REPLICATION_MAX, WATERMARKS_MAX};
use weir_segment::{OriginName, Unit};

use crate::catalog::{Catalog, UnitOrigins, ends_ms};
use crate::changes::{Budget, Changes, Event, Place, Position, Step};
use crate::held::{Gone, Held, HeldError, OriginKey};
use crate::origin_set::OriginSet;
use crate::quiet::Quiet;

/// Stands behind every origin of a unit.
const LAST: OriginName = OriginName { node: u64::MAX, epoch: u64::MAX, piece: u64::MAX };

/// The announcing side. Of it, nothing is on disk: a process builds it from what it finds there and draws an
/// incarnation, by which its peers see that they must list anew.
///
/// Units of a store in which nothing has changed for a while are told by digest; what has been damaged and not mended is
/// told by name, and so is all of its unit.
///
/// Takes a [`Catalog`] and at most [`HOLDINGS_EVENTS_MAX`] changes of some 150 bytes.
#[derive(Debug)]
pub struct Holdings {
    node: u64,
    place: Place,
    incarnation: u64,
    /// Number of the last change.
    sequence: u64,
    catalog: Catalog,
    /// The last changes, the latest of which is number `sequence`.
    events: VecDeque<Event>,
    events_max: usize,
    watermarks: BTreeMap<String, u64>,
    /// What is here and cannot be read. Told for as long as that is so: nobody else may know that it exists.
    damaged: BTreeMap<Unit, OriginSet>,
    /// How long nothing may have changed in a unit; `None`: nothing is told by digest.
    quiet_after_ms: Option<u64>,
    quiet: BTreeMap<Unit, Quiet>,
    /// When something was last seen to have changed in the other units; `None`: since it was last looked.
    awake: BTreeMap<Unit, Option<u64>>,
}

impl Holdings {
    /// Empty ones. The incarnation is random, drawn once per process.
    pub fn new(node: u64, place: Place, incarnation: u64) -> Holdings {
        Holdings {
            node,
            place,
            // 0 is that of somebody who knows nothing.
            incarnation: incarnation.max(1),
            sequence: 0,
            catalog: Catalog::new(),
            events: VecDeque::new(),
            events_max: HOLDINGS_EVENTS_MAX,
            watermarks: BTreeMap::new(),
            damaged: BTreeMap::new(),
            // What waits for stores is gone too soon.
            quiet_after_ms: (place == Place::Store).then_some(HOLDINGS_QUIET_MS_DEFAULT),
            quiet: BTreeMap::new(),
            awake: BTreeMap::new(),
        }
    }

    /// The same, with another time after which a unit counts as quiet; `None`: never.
    #[must_use]
    pub fn quiet_after(mut self, quiet_after_ms: Option<u64>) -> Holdings {
        self.quiet_after_ms = quiet_after_ms;
        self
    }

    /// The node that holds them.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Which of the node's lists it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Where somebody stands who knows all of it.
    pub fn position(&self) -> Position {
        Position { incarnation: self.incarnation, sequence: self.sequence, after: None }
    }

    /// What is held.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Announces an origin that is held from now on; `false`, and nothing happens, when that was known or when
    /// its unit has expired here.
    pub fn add(&mut self, held: Held) -> Result<bool, HeldError> {
        if self.has_expired(&held.unit) || !self.catalog.insert(&held)? {
            return Ok(false);
        }
        self.mend(&held.unit, held.name);
        self.wake(&held.unit);
        self.tell(Event::Held(held));
        Ok(true)
    }

    /// Announces that an origin is held no more; `None`, and nothing happens, when it was not. One that is damaged is
    /// told of until it is held again or its unit has expired.
    pub fn remove(&mut self, unit: &Unit, name: OriginName, mut why: Gone) -> Option<Held> {
        let held = self.catalog.remove(unit, name)?;
        match &mut why {
            Gone::HandedOver(stores) => stores.truncate(REPLICATION_MAX),
            Gone::Damaged => drop(self.damaged.entry(unit.clone()).or_default().insert(name)),
            Gone::Expired | Gone::Dropped => {}
        }
        self.wake(unit);
        self.tell(Event::Gone(held.key(), why));
        Some(held)
    }

    /// Announces that an origin is here and damaged, as of a file that was in quarantine when the process began; `false`,
    /// and nothing happens, when that was known, when a sound copy is held, or when its unit has expired.
    pub fn add_damaged(&mut self, key: OriginKey) -> bool {
        if self.catalog.contains(&key.unit, key.name) || self.has_expired(&key.unit) {
            return false;
        }
        let is_new = self.damaged.entry(key.unit.clone()).or_default().insert(key.name);
        if is_new {
            self.wake(&key.unit);
            self.tell(Event::Gone(key, Gone::Damaged));
        }
        is_new
    }

    /// All that is held was there when the process began: in units whose buckets have ended, nothing has changed since
    /// then, as far as anybody knows.
    pub fn found(&mut self, now_ms: u64) {
        for (unit, since_ms) in &mut self.awake {
            since_ms.get_or_insert(ends_ms(unit).min(now_ms));
        }
        self.look(now_ms);
    }

    /// Tells of the units that have become quiet. To be called now and then.
    pub fn look(&mut self, now_ms: u64) {
        let Some(after_ms) = self.quiet_after_ms else { return };
        let mut quiet = Vec::new();
        for (unit, since_ms) in &mut self.awake {
            // A clock that was set back must not keep anything awake for ever.
            let since_ms = since_ms.get_or_insert(now_ms);
            *since_ms = (*since_ms).min(now_ms);
            if now_ms - *since_ms >= after_ms && !self.damaged.contains_key(unit) {
                quiet.push(unit.clone());
            }
        }
        for unit in quiet {
            self.awake.remove(&unit);
            if let Some(origins) = self.catalog.unit(&unit) {
                let told = Quiet::of(&unit, origins);
                self.quiet.insert(unit.clone(), told);
                self.tell(Event::Quiet(unit, told));
            }
        }
    }

    /// How many units are told by digest.
    pub fn quiet_units(&self) -> usize {
        self.quiet.len()
    }

    fn wake(&mut self, unit: &Unit) {
        if self.quiet_after_ms.is_some() {
            self.quiet.remove(unit);
            self.awake.insert(unit.clone(), None);
        }
    }

    /// What is here and damaged.
    pub fn damaged(&self) -> impl Iterator<Item = (&Unit, &OriginSet)> {
        self.damaged.iter()
    }

    /// What of a unit is here and damaged.
    pub fn damaged_of(&self, unit: &Unit) -> Option<&OriginSet> {
        self.damaged.get(unit)
    }

    /// Whether an origin is here and damaged.
    pub fn is_damaged(&self, key: &OriginKey) -> bool {
        self.damaged.get(&key.unit).is_some_and(|names| names.contains(key.name))
    }

    fn mend(&mut self, unit: &Unit, name: OriginName) {
        if let Some(damaged) = self.damaged.get_mut(unit) {
            damaged.remove(name);
            if damaged.is_empty() {
                self.damaged.remove(unit);
            }
        }
    }

    /// Raises the watermark of a retention class: its units that ended at or before that time are held no more
    /// and never will be again. Gives what was held of them. A lower watermark than before changes nothing, nor
    /// does one of a class too many ([`WATERMARKS_MAX`]).
    pub fn expire(&mut self, class: &str, below_ms: u64) -> Vec<(Unit, UnitOrigins)> {
        let is_known = self.watermarks.contains_key(class);
        if below_ms <= self.watermark(class) || (!is_known && self.watermarks.len() >= WATERMARKS_MAX) {
            return Vec::new();
        }
        self.watermarks.insert(class.into(), below_ms);
        let expired = self.catalog.remove_below(class, below_ms);
        let is_left = |unit: &Unit| unit.class() != class || ends_ms(unit) > below_ms;
        self.damaged.retain(|unit, _| is_left(unit));
        self.quiet.retain(|unit, _| is_left(unit));
        self.awake.retain(|unit, _| is_left(unit));
        self.tell(Event::Watermark { class: class.into(), below_ms });
        expired
    }

    /// The time before which units of a class have expired here; 0 when none has.
    pub fn watermark(&self, class: &str) -> u64 {
        self.watermarks.get(class).copied().unwrap_or(0)
    }

    /// All watermarks, by class.
    pub fn watermarks(&self) -> impl Iterator<Item = (&str, u64)> {
        self.watermarks.iter().map(|(class, &below_ms)| (class.as_str(), below_ms))
    }

    /// Whether a unit lies below the watermark of its class.
    pub fn has_expired(&self, unit: &Unit) -> bool {
        ends_ms(unit) <= self.watermark(unit.class())
    }

    /// What is new since a position, in at most `bytes_max` bytes (and never more than
    /// [`weir_record::limits::CHANGES_BYTES_MAX`]): the changes since, or a listing when they are not
    /// known any more.
    pub fn changes_since(&self, since: &Position, bytes_max: usize) -> Changes {
        let budget = Budget::new(bytes_max);
        let forgotten = self.sequence - self.events.len() as u64;
        let is_known =
            since.incarnation == self.incarnation && (forgotten..=self.sequence).contains(&since.sequence);
        match &since.after {
            None if is_known => self.delta(since, budget),
            Some(after) if is_known => self.listing(since, Some(after), budget),
            _ => self.listing(since, None, budget),
        }
    }

    /// The origins of some units by name, those behind `after`, in at most `bytes_max` bytes. What it tells is proven by
    /// the digests that were told.
    pub fn names_of(&self, units: &[Unit], after: Option<&OriginKey>, bytes_max: usize) -> Changes {
        Changes::naming(self.node, &self.position(), &self.catalog, units, after, bytes_max)
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() == self.events_max {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.sequence += 1;
    }

    fn delta(&self, since: &Position, mut budget: Budget) -> Changes {
        let skip = self.events.len() - (self.sequence - since.sequence) as usize;
        let new = self.events.range(skip..).take_while(|event| budget.take(event));
        let events: Vec<Event> = new.cloned().collect();
        let sequence = since.sequence + events.len() as u64;
        self.changes(Step::Delta, since, Position { sequence, ..self.position() }, events)
    }

    fn listing(&self, since: &Position, after: Option<&OriginKey>, mut budget: Budget) -> Changes {
        let mut events = Vec::new();
        // Of what changes while the pages are fetched, the delta since their beginning tells.
        let (step, sequence) = match after {
            None => (Step::ListingBegins, self.sequence),
            Some(_) => (Step::ListingGoesOn, since.sequence),
        };
        if after.is_none() {
            for (class, below_ms) in self.watermarks() {
                let event = Event::Watermark { class: class.into(), below_ms };
                // They fit by the assertion beside their limit.
                let _ = budget.take(&event);
                events.push(event);
            }
            // A page without an origin would have no place to go on from.
            budget.take_one_more();
        }
        let mut is_cut = false;
        let mut last = after.cloned();
        for (key, event) in self.list(after) {
            is_cut = !budget.take(&event);
            if is_cut {
                break;
            }
            events.push(event);
            last = Some(key);
        }
        let after = last.filter(|_| is_cut);
        self.changes(step, since, Position { sequence, after, ..self.position() }, events)
    }

    /// What is held behind a key: a quiet unit as one, which stands behind all its origins.
    fn list_held<'a>(
        &'a self,
        after: Option<&'a OriginKey>,
    ) -> impl Iterator<Item = (OriginKey, Event)> + use<'a> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Included(&key.unit));
        self.catalog.range_of((from, Bound::Unbounded)).flat_map(move |(unit, origins)| {
            let name = after.filter(|key| key.unit == *unit).map(|key| key.name);
            let quiet = self.quiet.get(unit);
            let whole = quiet.filter(|_| name != Some(LAST)).map(|quiet| {
                (OriginKey { unit: unit.clone(), name: LAST }, Event::Quiet(unit.clone(), *quiet))
            });
            let names = quiet.is_none().then(|| origins.after(unit, name));
            let names = names.into_iter().flatten().map(|held| (held.key(), Event::Held(held)));
            whole.into_iter().chain(names)
        })
    }

    /// What is held and what is damaged, in the order of the keys.
    fn list<'a>(
        &'a self,
        after: Option<&'a OriginKey>,
    ) -> impl Iterator<Item = (OriginKey, Event)> + use<'a> {
        let from = after.cloned();
        let damaged = self
            .damaged
            .iter()
            .flat_map(|(unit, names)| names.iter().map(move |name| OriginKey { unit: unit.clone(), name }));
        let mut damaged = damaged.filter(move |key| from.as_ref().is_none_or(|from| key > from)).peekable();
        let mut held = self.list_held(after).peekable();
        core::iter::from_fn(move || {
            let is_held_next = match (held.peek(), damaged.peek()) {
                (Some((held, _)), Some(damaged)) => held < damaged,
                (held, _) => held.is_some(),
            };
            if is_held_next {
                return held.next();
            }
            damaged.next().map(|key| (key.clone(), Event::Gone(key, Gone::Damaged)))
        })
    }

    fn changes(&self, step: Step, since: &Position, next: Position, events: Vec<Event>) -> Changes {
        let (node, place, latest) = (self.node, self.place, self.sequence);
        Changes { node, place, step, since: since.clone(), next, latest, events }
    }
}

#[cfg(test)]
mod tests;
