//! What an answer lacks, and how that is said.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{EVENT_TIME_AHEAD_MS_MAX, QUERY_MISSING_MAX};
use weir_segment::Unit;

use super::{Knowledge, Known, Node, below, oldest_ms};
use crate::assign::{Answering, in_logs, logs_of};
use crate::catalog::bucket;
use crate::forms::{Form, Forms};
use crate::origin_set::OriginSet;
use crate::owed::Owed;
use crate::ranges::TimeRange;

/// Whom to ask for what is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A node by its id.
    Node(u64),
    /// A node that was never heard, by its address.
    Address(String),
    /// Nobody can be named.
    Nobody,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Origins that this node sealed exist, and no node that answered holds them.
    HeldByNobody,
    /// This ingest node does not answer: what it has not handed over is missing.
    IngestSilent,
    /// This store does not answer, and may be the only one to tell of what it took since it was last heard.
    StoreSilent,
    /// This node ought to answer and never has: nothing is known of what it has.
    NeverHeard,
    /// There were more units than can be remembered.
    Forgotten,
}

/// Something that an answer lacks, or may lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRange {
    /// Whom it is about; of origins, the node that sealed them.
    pub who: Who,
    /// Why.
    pub why: Why,
    /// Their unit, when they are known by name.
    pub unit: Option<Unit>,
    /// Times of the records, within what was asked for; the end is `u64::MAX` where it is open.
    pub times: TimeRange,
    /// How many origins, when they are known by name; else 0.
    pub origins: u64,
    /// Stores of this unit that did not answer: they may have them.
    pub silent_stores: Vec<u64>,
}

/// All that an answer lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// The first [`QUERY_MISSING_MAX`].
    pub ranges: Vec<MissingRange>,
    /// How many more there are.
    pub more: u64,
}

impl Missing {
    /// Whether the answer lacks nothing.
    pub fn is_complete(&self) -> bool {
        self.ranges.is_empty()
    }

    fn push(&mut self, range: MissingRange) {
        if self.ranges.len() < QUERY_MISSING_MAX { self.ranges.push(range) } else { self.more += 1 }
    }
}

impl Knowledge {
    /// What the nodes that answer do not have of a range of time.
    ///
    /// A node answers when its changes were followed to their end after the query began, ingest nodes first.
    pub fn missing(&self, answering: &[Answering<'_>], range: TimeRange) -> Missing {
        self.missing_of(answering, range, None)
    }

    /// The same of what is still owed of a question that was planned before. `None`: all of it.
    pub fn missing_of(&self, answering: &[Answering<'_>], range: TimeRange, owed: Option<&Owed>) -> Missing {
        let mut missing = Missing::default();
        let answers = |id: u64| answering.iter().any(|node| node.node == id);
        let mut push = |who, why, times: TimeRange| {
            let (times, silent_stores) = (times.within(range), Vec::new());
            let lacking = MissingRange { who, why, unit: None, times, origins: 0, silent_stores };
            if !times.is_empty() && owed.is_none_or(|owed| owed.concerns(&lacking)) {
                missing.push(lacking);
            }
        };
        for (address, id) in &self.expected {
            if id.is_none() {
                push(Who::Address(address.clone()), Why::NeverHeard, TimeRange::ALL);
            }
        }
        if self.forgotten_ms > 0 {
            push(Who::Nobody, Why::Forgotten, TimeRange::new(0, self.forgotten_ms - 1));
        }
        for (&id, node) in self.nodes.iter().filter(|(id, node)| !node.has_left && !answers(**id)) {
            if node.contact.is_ingest {
                push(Who::Node(id), Why::IngestSilent, node.unconsumed());
            }
            for gap in self.gaps.values().flatten().filter(|gap| node.may_have_taken(gap)) {
                push(Who::Node(id), Why::StoreSilent, gap.records);
            }
        }
        let all = Forms::all(answering, range);
        for (unit, known) in &self.units {
            let is_over = known.stores.iter().any(|id| below(&self.watermarks, *id, unit));
            if is_over || !bucket(unit).meets(range) {
                continue;
            }
            let lacking = lacking(answering, all.get(unit).unwrap_or(&Forms::default()), unit, known, owed);
            for (node, origins) in lacking.into_iter().filter(|(_, origins)| *origins > 0) {
                missing.push(MissingRange {
                    who: node.map_or(Who::Nobody, Who::Node),
                    why: Why::HeldByNobody,
                    unit: Some(unit.clone()),
                    times: bucket(unit).within(range),
                    origins,
                    silent_stores: known.stores.iter().copied().filter(|id| !answers(*id)).collect(),
                });
            }
        }
        missing
    }
}

/// How many origins of a unit nobody holds, and have not expired, by the nodes that sealed them, where that is known.
fn lacking(
    answering: &[Answering<'_>],
    forms: &Forms<'_>,
    unit: &Unit,
    known: &Known,
    owed: Option<&Owed>,
) -> Vec<(Option<u64>, u64)> {
    // Most of the time all have one set, and that is all there is to know.
    if forms.agreed().is_some_and(|quiet| known.agrees(&quiet.whole)) {
        return Vec::new();
    }
    let mut exists = Cow::Borrowed(&known.origins);
    let mut lost = 0;
    // What is owed as a whole is known to the plan.
    let is_concerned = owed.is_none_or(|owed| owed.may_name(unit));
    for whole in known.sets().into_iter().filter(|_| is_concerned) {
        match forms.names_of(&whole) {
            Some(names) => exists = Cow::Owned(exists.union(names)),
            None if forms.has(&whole) => {}
            None => lost = lost.max(whole.origins),
        }
    }
    if let Some(owed) = owed {
        exists = Cow::Owned(owed.of(unit, &exists));
    }
    let left = left_of(answering, forms, exists, &known.expired);
    let named = left.nodes().into_iter().map(|(node, origins)| (Some(node), origins));
    named.chain([(None, lost)]).collect()
}

/// What of these origins of a unit nobody holds, and has not expired.
fn left_of(
    answering: &[Answering<'_>],
    forms: &Forms<'_>,
    exists: Cow<'_, OriginSet>,
    expired: &OriginSet,
) -> OriginSet {
    let mut left = exists;
    let held = forms.of.iter().filter_map(|(_, form)| match form {
        Form::Names(origins) => Some(origins.names()),
        Form::Whole(quiet) => forms.names_of(&quiet.whole),
        Form::Changed(_) => None,
    });
    for names in held.chain([expired]) {
        if left.is_empty() {
            return OriginSet::new();
        }
        left = Cow::Owned(left.difference(names));
    }
    if left.is_empty() {
        return OriginSet::new();
    }
    // Nobody has told the names of what a node has, and it is just these.
    if forms.of.iter().any(|(_, form)| matches!(form, Form::Whole(quiet) if quiet.whole.is(&left))) {
        return OriginSet::new();
    }
    // A node that crashed before a piece had left its log has it in the log again, under the same name.
    left.difference(&in_logs(logs_of(answering.iter()), &left))
}

impl Node {
    /// Times of what it may have and nobody else: without an end, for it may still be taking records, unless another
    /// stands in its place.
    fn unconsumed(&self) -> TimeRange {
        let ahead = |replaced_ms: u64| replaced_ms.saturating_add(EVENT_TIME_AHEAD_MS_MAX);
        TimeRange::new(oldest_ms(&self.contact), self.replaced_ms.map_or(u64::MAX, ahead))
    }
}
