//! What a node announces: the origins it holds in one place, and how that has changed of late.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{HOLDINGS_EVENTS_MAX, REPLICATION_MAX, WATERMARKS_MAX};
use weir_segment::{OriginName, Unit};

use crate::catalog::{Catalog, UnitOrigins, ends_ms};
use crate::changes::{Budget, Changes, Event, Place, Position, Step};
use crate::held::{Gone, Held, HeldError, OriginKey};
use crate::origin_set::OriginSet;

/// The announcing side. Of it, nothing is on disk: a process builds it from what it finds there and draws an
/// incarnation, by which its peers see that they must list anew.
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
        }
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
            self.tell(Event::Gone(key, Gone::Damaged));
        }
        is_new
    }

    /// What is here and damaged.
    pub fn damaged(&self) -> impl Iterator<Item = (&Unit, &OriginSet)> {
        self.damaged.iter()
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
        self.damaged.retain(|unit, _| unit.class() != class || ends_ms(unit) > below_ms);
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

    /// What is held and what is damaged, in the order of the keys.
    fn list<'a>(
        &'a self,
        after: Option<&'a OriginKey>,
    ) -> impl Iterator<Item = (OriginKey, Event)> + use<'a> {
        let held: Box<dyn Iterator<Item = Held> + 'a> = match after {
            None => Box::new(self.catalog.iter()),
            Some(key) => Box::new(self.catalog.after(key)),
        };
        let from = after.cloned();
        let damaged = self
            .damaged
            .iter()
            .flat_map(|(unit, names)| names.iter().map(move |name| OriginKey { unit: unit.clone(), name }));
        let mut damaged = damaged.filter(move |key| from.as_ref().is_none_or(|from| key > from)).peekable();
        let mut held = held.peekable();
        core::iter::from_fn(move || {
            let is_held_next = match (held.peek(), damaged.peek()) {
                (Some(held), Some(damaged)) => (&held.unit, held.name) < (&damaged.unit, damaged.name),
                (held, _) => held.is_some(),
            };
            if is_held_next {
                return held.next().map(|held| (held.key(), Event::Held(held)));
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
