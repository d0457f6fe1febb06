//! What another node holds, as far as it has told: the receiving side of [`crate::Holdings`].

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::WATERMARKS_MAX;
use weir_segment::Unit;

use crate::catalog::{Catalog, ends_ms};
use crate::changes::{Changes, Event, Place, Position, Step};
use crate::held::{Gone, Held, HeldError, OriginKey};

/// What a node holds in one place, followed from change to change.
///
/// Ask the node for [`Mirror::position`], apply the answer, and go on while it has more. Of an answer that does
/// not follow what is known (repeated, late, of another process) nothing is taken.
#[derive(Debug)]
pub struct Mirror {
    node: u64,
    place: Place,
    position: Position,
    catalog: Catalog,
    /// What has come of a listing that will replace the catalog.
    listing: Option<Catalog>,
    watermarks: BTreeMap<String, u64>,
    is_whole: bool,
}

/// An answer that was not taken. The mirror is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// It is about another node or another of its lists.
    #[error("changes of {got_place} of node {got_node:016x} for the mirror of {place} of node {node:016x}")]
    NotMine {
        /// The mirror's node.
        node: u64,
        /// The mirror's list.
        place: Place,
        /// The answer's node.
        got_node: u64,
        /// The answer's list.
        got_place: Place,
    },
    /// It does not begin where the mirror stands: ask again from there.
    #[error("changes since {got} do not follow {expected}")]
    Gap {
        /// Where the mirror stands.
        expected: Box<Position>,
        /// Where the answer begins.
        got: Box<Position>,
    },
    /// Where it ends is not where its changes lead.
    #[error("changes of node {0:016x} contradict themselves: their numbers are not those of their events")]
    Numbers(u64),
    /// An origin that cannot be.
    #[error(transparent)]
    Held(#[from] HeldError),
}

/// What an answer has changed in the mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Origins that were not held before, or with another digest.
    pub added: Vec<Held>,
    /// Origins that are held no more, and why, if the node said so. Some the mirror may never have known: they
    /// came and went between two answers.
    pub gone: Vec<(OriginKey, Option<Gone>)>,
    /// Retention classes and how far they have expired. What lies below is gone without being in the list above.
    pub watermarks: Vec<(String, u64)>,
    /// A listing is now complete: what came and went since the last answer before it, nobody has told.
    pub has_gap: bool,
}

impl Mirror {
    /// One that knows nothing.
    pub fn new(node: u64, place: Place) -> Mirror {
        Mirror {
            node,
            place,
            position: Position::START,
            catalog: Catalog::new(),
            listing: None,
            watermarks: BTreeMap::new(),
            is_whole: false,
        }
    }

    /// The node that is mirrored.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Which of its lists.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What to ask for next.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether it has ever been complete, and no listing is under way: a query may rely on it.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What is held. While the first listing is under way, the part that has come; while a later one is, what
    /// was known before.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The time before which units of a class have expired there; 0 when none has.
    pub fn watermark(&self, class: &str) -> u64 {
        self.watermarks.get(class).copied().unwrap_or(0)
    }

    /// Takes an answer.
    pub fn apply(&mut self, changes: Changes) -> Result<Applied, MirrorError> {
        self.check(&changes)?;
        let mut applied = Applied::default();
        if changes.step == Step::ListingBegins {
            self.is_whole = false;
            self.listing = (!self.catalog.is_empty()).then(Catalog::new);
        }
        for event in changes.events {
            self.take(event, &mut applied);
        }
        if changes.step != Step::Delta && changes.next.after.is_none() {
            if let Some(listed) = self.listing.take() {
                compare(&self.catalog, &listed, &mut applied);
                self.catalog = listed;
            }
            self.is_whole = true;
            applied.has_gap = true;
        }
        self.position = changes.next;
        Ok(applied)
    }

    fn check(&self, changes: &Changes) -> Result<(), MirrorError> {
        if (changes.node, changes.place) != (self.node, self.place) {
            let (node, place) = (self.node, self.place);
            let (got_node, got_place) = (changes.node, changes.place);
            return Err(MirrorError::NotMine { node, place, got_node, got_place });
        }
        if changes.since != self.position {
            let (expected, got) = (Box::new(self.position.clone()), Box::new(changes.since.clone()));
            return Err(MirrorError::Gap { expected, got });
        }
        let (since, next) = (&changes.since, &changes.next);
        let is_sound = match changes.step {
            Step::Delta => {
                let is_plain = since.after.is_none() && next.after.is_none() && self.is_whole;
                let end = since.sequence.checked_add(changes.events.len() as u64);
                is_plain && next.incarnation == since.incarnation && Some(next.sequence) == end
            }
            Step::ListingBegins => next.incarnation != 0,
            Step::ListingGoesOn => {
                let is_same = (next.incarnation, next.sequence) == (since.incarnation, since.sequence);
                is_same && since.after.is_some() && (next.after.is_none() || next.after > since.after)
            }
        };
        if !is_sound || next.sequence > changes.latest {
            return Err(MirrorError::Numbers(changes.node));
        }
        changes.events.iter().try_for_each(|event| match event {
            Event::Held(held) => held.check().map_err(MirrorError::Held),
            Event::Gone(..) | Event::Watermark { .. } => Ok(()),
        })
    }

    fn take(&mut self, event: Event, applied: &mut Applied) {
        match event {
            Event::Held(held) => {
                let catalog = self.listing.as_mut().unwrap_or(&mut self.catalog);
                // What cannot be was refused before anything was taken.
                if catalog.insert(&held) == Ok(true) && self.listing.is_none() {
                    applied.added.push(held);
                }
            }
            Event::Gone(key, why) => {
                self.catalog.remove(&key.unit, key.name);
                applied.gone.push((key, Some(why)));
            }
            Event::Watermark { class, below_ms } => {
                let is_known = self.watermarks.contains_key(&class);
                if below_ms > self.watermark(&class) && (is_known || self.watermarks.len() < WATERMARKS_MAX) {
                    self.catalog.remove_below(&class, below_ms);
                    self.watermarks.insert(class.clone(), below_ms);
                    applied.watermarks.push((class, below_ms));
                }
            }
        }
    }

    /// Whether a unit lies below the watermark of its class there.
    pub fn has_expired(&self, unit: &Unit) -> bool {
        ends_ms(unit) <= self.watermark(unit.class())
    }
}

/// Tells what a listing has that was not known, and what it lacks.
fn compare(old: &Catalog, new: &Catalog, applied: &mut Applied) {
    let is_new = |held: &Held| old.get(&held.unit, held.name).is_none_or(|old| old != *held);
    applied.added.extend(new.iter().filter(is_new));
    for (unit, origins) in old.units() {
        let gone = match new.unit(unit) {
            Some(listed) => origins.names().difference(listed.names()),
            None => origins.names().clone(),
        };
        let key = |name| (OriginKey { unit: unit.clone(), name }, None);
        applied.gone.extend(gone.iter().map(key));
    }
}

#[cfg(test)]
mod tests;
