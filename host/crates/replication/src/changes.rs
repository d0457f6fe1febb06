//! What one node tells another about what it holds: the answer to "what is new since …".

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::held::{Gone, Held, OriginKey};

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
    /// Whether there is more to ask for at once.
    pub fn has_more(&self) -> bool {
        self.next.after.is_some() || self.next.sequence < self.latest
    }
}

#[cfg(test)]
mod tests;
