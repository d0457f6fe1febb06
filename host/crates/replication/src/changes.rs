//! What one node tells another about what it holds: the answer to "what is new since …".

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use weir_segment::Unit;

use crate::catalog::Catalog;
use crate::held::{Gone, Held, OriginKey};
use crate::quiet::Quiet;

pub(crate) mod bytes;

pub(crate) use bytes::Budget;

/// Which of a node's two lists of origins: one with both roles has both, and an origin may be in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// What it has sealed and not yet handed over.
    Backlog,
    /// What it keeps as a store.
    Store,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Backlog => "backlog",
            Place::Store => "store",
        })
    }
}

/// How far somebody has followed a node's changes.
///
/// As text `<incarnation, 16 hex digits>.<sequence>`, and `.<origin>` while a listing is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Of the node's process; 0 for somebody who knows nothing.
    pub incarnation: u64,
    /// Number of the last change that is known, or as of which a listing began.
    pub sequence: u64,
    /// The last origin of the listing so far; `None` when no listing is under way.
    pub after: Option<OriginKey>,
}

impl Position {
    /// Of somebody who knows nothing.
    pub const START: Position = Position { incarnation: 0, sequence: 0, after: None };
}

/// An answer that does not tell names, or not in order. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer that was to tell origins by name tells something else")]
pub struct NotNames;

/// Text that is no position. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position, expected <incarnation, 16 hex digits>.<sequence>[.<origin>]")]
pub struct NotAPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.incarnation, self.sequence)?;
        self.after.as_ref().map_or(Ok(()), |key| write!(f, ".{key}"))
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Position, NotAPosition> {
        let parts = || {
            let mut fields = text.splitn(3, '.');
            let incarnation = u64::from_str_radix(fields.next()?, 16).ok()?;
            let sequence = fields.next()?.parse().ok()?;
            let after = match fields.next() {
                Some(key) => Some(key.parse().ok()?),
                None => None,
            };
            Some(Position { incarnation, sequence, after })
        };
        parts().filter(|position| alloc::format!("{position}") == text).ok_or(NotAPosition)
    }
}

/// One change of what a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It holds this, perhaps for a while already.
    Held(Held),
    /// It holds this no more.
    Gone(OriginKey, Gone),
    /// The units of this class that ended at or before this time have expired here. What it held of them is
    /// gone without further words.
    Watermark {
        /// Name of the retention rule.
        class: String,
        /// Unix milliseconds.
        below_ms: u64,
    },
    /// Nothing has changed in this unit for a while, and this is what it holds of it: no more and no less. Names are
    /// told when they are asked for.
    Quiet(Unit, Quiet),
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The changes that follow the position asked for, one after the other.
    Delta,
    /// The first page of all that is held. What was known before counts until the last page has come.
    ListingBegins,
    /// A further page.
    ListingGoesOn,
    /// The origins of some units by name, as they are held at this moment. No part of what is followed.
    Named,
}

/// An answer: what is new since `since`.
///
/// Whoever has applied it stands at `next`. A listing tells of every origin that is held from its first page to
/// its last; what changes in between follows as a delta since its beginning, so that it may tell of an
/// origin twice, or of the end of one that it never listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The node that tells.
    pub node: u64,
    /// Which of its lists.
    pub place: Place,
    /// What kind of answer this is.
    pub step: Step,
    /// The position that was asked for.
    pub since: Position,
    /// Where one stands after it.
    pub next: Position,
    /// The number of the last change when the answer was made.
    pub latest: u64,
    /// The changes.
    pub events: Vec<Event>,
}

impl Changes {
    /// An answer that tells the origins of some units by name, those behind `after`, in at most `bytes_max` bytes. `at` is
    /// where the node's changes stand.
    pub fn naming(
        node: u64,
        at: &Position,
        names: &Catalog,
        units: &[Unit],
        after: Option<&OriginKey>,
        bytes_max: usize,
    ) -> Changes {
        let mut budget = Budget::new(bytes_max);
        let units: BTreeSet<&Unit> = units.iter().collect();
        let (mut events, mut last, mut is_cut) = (Vec::new(), None, false);
        'page: for unit in units {
            let from = match after {
                Some(key) if key.unit > *unit => continue,
                Some(key) => Some(key.name).filter(|_| key.unit == *unit),
                None => None,
            };
            let origins = names.unit(unit).into_iter().flat_map(|origins| origins.after(unit, from));
            for held in origins {
                let (key, event) = (held.key(), Event::Held(held));
                is_cut = !budget.take(&event);
                if is_cut {
                    break 'page;
                }
                events.push(event);
                last = Some(key);
            }
        }
        let since = Position { after: after.cloned(), ..at.clone() };
        let latest = at.sequence;
        let next = Position { after: last.filter(|_| is_cut), ..at.clone() };
        Changes { node, place: Place::Store, step: Step::Named, since, next, latest, events }
    }

    /// The origins of an answer that tells [names](Step::Named), in the order of their keys; `Err` when it is another one.
    pub fn named(&self) -> Result<Vec<Held>, NotNames> {
        let held = self.events.iter().map(|event| match event {
            Event::Held(held) if self.step == Step::Named => Ok(held.clone()),
            _ => Err(NotNames),
        });
        let held: Vec<Held> = held.collect::<Result<_, _>>()?;
        let is_sorted = held.is_sorted_by(|a, b| (&a.unit, a.name) < (&b.unit, b.name));
        if is_sorted { Ok(held) } else { Err(NotNames) }
    }

    /// Whether there is more to ask for at once.
    pub fn has_more(&self) -> bool {
        self.next.after.is_some() || self.next.sequence < self.latest
    }
}

#[cfg(test)]
mod tests;
