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
use crate::origin_set::OriginSet;
use crate::quiet::Quiet;
use crate::sets::Sets;

mod list;

use list::{List, Took};

/// What a node holds in one place, followed from change to change.
///
/// Ask the node for [`Mirror::position`], apply the answer, and go on while it has more. Of an answer that does
/// not follow what is known (repeated, late, of another process) nothing is taken.
///
/// Most units are known by name, quiet ones by the digest of their set alone. A unit of which the names were known when
/// it was told as quiet keeps them until they are [given up](Mirror::unname); those of another can be asked for, and are
/// taken when the digest [proves](Mirror::name) them.
#[derive(Debug)]
pub struct Mirror {
    node: u64,
    place: Place,
    position: Position,
    list: List,
    /// What has come of a listing that will replace the list.
    listing: Option<List>,
    /// Number of the last change when the last listing ended: what is told of earlier ones may be known already.
    listed_until: u64,
    watermarks: BTreeMap<String, u64>,
    is_whole: bool,
}

/// Names that are not those of the unit as it was told. Nothing was taken; it may have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the names of a unit are not those that its digest was made of")]
pub struct NotProven;

/// What an origin, a unit and a unit that is known by digest take in memory, about.
const ORIGIN_BYTES: usize = 60;
const UNIT_BYTES: usize = 300;
const SET_BYTES: usize = 180;

/// How large a list of what a node holds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSize {
    /// Units that are known by name.
    pub by_name: usize,
    /// Units that are known by digest alone.
    pub by_digest: usize,
    /// What it takes in memory, about.
    pub bytes: usize,
}

impl ListSize {
    /// Both together.
    #[must_use]
    pub fn and(self, other: ListSize) -> ListSize {
        ListSize {
            by_name: self.by_name + other.by_name,
            by_digest: self.by_digest + other.by_digest,
            bytes: self.bytes + other.bytes,
        }
    }
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
    /// A unit that cannot be told like that.
    #[error("unit {0} is told with times outside of its bucket, or with no origin")]
    Quiet(Unit),
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
    /// It is of a listing, or of a page of one: what is told may be known for long.
    pub is_listed: bool,
    /// A listing is now complete: what came and went since the last answer before it, nobody has told.
    pub has_gap: bool,
    /// Units that are quiet.
    pub quiet: Vec<QuietUnit>,
    /// Units that are known by digest alone although they were known by name, and the digest is not that of these: what
    /// was followed is not what the node holds.
    pub contradicted: Vec<Unit>,
    /// Units that were known by digest alone and are not in a listing that is now complete.
    pub vanished: Vec<Unit>,
}

/// A unit that is told by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietUnit {
    /// The unit.
    pub unit: Unit,
    /// What the node holds of it.
    pub quiet: Quiet,
    /// Every origin of it is known by name.
    pub is_named: bool,
}

impl Mirror {
    /// One that knows nothing.
    pub fn new(node: u64, place: Place) -> Mirror {
        Mirror {
            node,
            place,
            position: Position::START,
            list: List::default(),
            listing: None,
            listed_until: 0,
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

    /// What is held, as far as it is known by name. While the first listing is under way, the part that has come; while
    /// a later one is, what was known before.
    pub fn catalog(&self) -> &Catalog {
        &self.list.catalog
    }

    /// What is known of the other units.
    pub fn sets(&self) -> &Sets {
        &self.list.sets
    }

    /// How large it is.
    pub fn size(&self) -> ListSize {
        let (by_name, by_digest) = (self.list.catalog.unit_count(), self.list.sets.len());
        let origins = self.list.catalog.len() as usize;
        let bytes = origins * ORIGIN_BYTES + by_name * UNIT_BYTES + by_digest * SET_BYTES;
        ListSize { by_name, by_digest, bytes }
    }

    /// All units of which something is held, in no order.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.list.units()
    }

    /// Whether something is held of a unit.
    pub fn holds(&self, unit: &Unit) -> bool {
        self.list.catalog.unit(unit).is_some() || self.list.sets.get(unit).is_some()
    }

    /// Takes the names of a unit that is known by digest alone, with all that is said of its origins. What is not of that
    /// unit is left alone.
    pub fn name<'a>(
        &mut self,
        unit: &Unit,
        origins: impl Iterator<Item = &'a Held> + Clone,
    ) -> Result<(), NotProven> {
        let origins = origins.filter(|held| held.unit == *unit);
        let names: OriginSet = origins.clone().map(|held| held.name).collect();
        let told = self.list.sets.get(unit).and_then(|told| told.proven_by(&names)).ok_or(NotProven)?;
        for held in origins {
            if self.list.catalog.insert(held).is_err() {
                self.list.catalog.remove_unit(unit);
                return Err(NotProven);
            }
        }
        self.list.sets.name(unit, told);
        Ok(())
    }

    /// Gives up the names of a quiet unit; `false` when it is not quiet, or has none here.
    pub fn unname(&mut self, unit: &Unit) -> bool {
        self.list.catalog.unit(unit).is_some()
            && self.list.sets.unname(unit)
            && self.list.catalog.remove_unit(unit).is_some()
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
            self.listing = (!self.list.is_empty()).then(List::default);
        }
        let is_new = changes.step == Step::Delta;
        applied.is_listed = !is_new;
        for (number, event) in (changes.since.sequence + 1..).zip(changes.events) {
            self.take(event, is_new && number > self.listed_until, &mut applied);
        }
        if changes.step != Step::Delta && changes.next.after.is_none() {
            if let Some(listed) = self.listing.take() {
                list::compare(&self.list, &listed, &mut applied);
                self.list = listed;
            }
            self.is_whole = true;
            self.listed_until = changes.latest;
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
            Step::Named => false,
        };
        if !is_sound || next.sequence > changes.latest {
            return Err(MirrorError::Numbers(changes.node));
        }
        changes.events.iter().try_for_each(|event| match event {
            Event::Held(held) => held.check().map_err(MirrorError::Held),
            Event::Quiet(unit, quiet) if !quiet.fits(unit) => Err(MirrorError::Quiet(unit.clone())),
            Event::Gone(..) | Event::Watermark { .. } | Event::Quiet(..) => Ok(()),
        })
    }

    /// Takes an event. Whether it is new, or may be known from a listing.
    fn take(&mut self, event: Event, is_new: bool, applied: &mut Applied) {
        let is_listed = self.listing.is_some();
        match event {
            Event::Held(held) => {
                let list = self.listing.as_mut().unwrap_or(&mut self.list);
                if list.add(&held) && !is_listed {
                    applied.added.push(held);
                }
            }
            Event::Gone(key, why) => {
                self.list.remove(&key);
                applied.gone.push((key, Some(why)));
            }
            Event::Watermark { class, below_ms } => {
                let is_known = self.watermarks.contains_key(&class);
                if below_ms > self.watermark(&class) && (is_known || self.watermarks.len() < WATERMARKS_MAX) {
                    self.list.remove_below(&class, below_ms);
                    self.watermarks.insert(class.clone(), below_ms);
                    applied.watermarks.push((class, below_ms));
                }
            }
            Event::Quiet(unit, quiet) => {
                let list = self.listing.as_mut().unwrap_or(&mut self.list);
                let took = list.quiet(unit.clone(), quiet);
                if took == Took::Contradicts && is_new {
                    applied.contradicted.push(unit.clone());
                }
                if !is_listed {
                    applied.quiet.push(QuietUnit { unit, quiet, is_named: took == Took::Proven });
                }
            }
        }
    }

    /// Whether a unit lies below the watermark of its class there.
    pub fn has_expired(&self, unit: &Unit) -> bool {
        ends_ms(unit) <= self.watermark(unit.class())
    }
}

#[cfg(test)]
mod tests;
