//! What a question has not been told yet: the shares of nodes that failed, were too slow, or had lost something in
//! between. It is planned anew, on whoever else has it.
//!
//! An origin stays what it is wherever it goes, so it is owed by name. All of a set that was planned by its digest is owed
//! as that set: from whoever has just that, or by name when the names have come to be known. A log is owed by its pieces: when it is planned
//! anew they may be sealed, and then they are origins of these names, in whatever units. An ingest node that comes
//! back may have more in its log than it owed, if it died before the end of a piece was durable; of that some may have
//! been told already by a store. Such a log is not read: an answer that lacks something says so, one that counts twice
//! does not.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use weir_segment::Unit;

use crate::assign::{Answering, Assignment, LogPart, Part, Which, in_logs, logs_of};
use crate::catalog::bucket;
use crate::completeness::{MissingRange, Who, Why};
use crate::forms::Forms;
use crate::origin_set::OriginSet;
use crate::quiet::{Quiet, Whole};
use crate::ranges::TimeRange;

/// What is owed of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owed {
    /// Per node and epoch the first piece of a log; all later ones are owed, too.
    logs: BTreeMap<(u64, u64), u64>,
    /// Times of what was in these logs.
    times: Vec<TimeRange>,
    units: BTreeMap<Unit, OwedUnit>,
}

/// What is owed of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct OwedUnit {
    names: OriginSet,
    wholes: BTreeSet<Whole>,
}

impl Owed {
    /// All that a node was to read.
    pub fn of_part(node: u64, part: &Part) -> Owed {
        let mut owed = Owed::default();
        for &(epoch, first_piece) in part.log.iter().flat_map(|log| &log.pieces) {
            owed.logs.insert((node, epoch), first_piece);
        }
        owed.times.extend(part.log.iter().flat_map(|log| &log.times));
        for reading in &part.units {
            match &reading.origins {
                Which::Names(names) => owed.add_origins(&reading.unit, names),
                Which::Whole(whole) => {
                    owed.units.entry(reading.unit.clone()).or_default().wholes.insert(*whole);
                }
            }
        }
        owed
    }

    /// Some origins of a unit as well.
    pub fn add_origins(&mut self, unit: &Unit, origins: &OriginSet) {
        let all = &mut self.units.entry(unit.clone()).or_default().names;
        *all = all.union(origins);
    }

    /// What is owed by somebody else as well.
    pub fn add(&mut self, other: &Owed) {
        for (writer, first_piece) in &other.logs {
            let first = self.logs.entry(*writer).or_insert(*first_piece);
            *first = (*first).min(*first_piece);
        }
        self.times.extend(&other.times);
        for (unit, owed) in &other.units {
            self.add_origins(unit, &owed.names);
            self.units.entry(unit.clone()).or_default().wholes.extend(&owed.wholes);
        }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.units.is_empty()
    }

    /// Which origins of a unit are owed.
    pub(crate) fn of(&self, unit: &Unit, origins: &OriginSet) -> OriginSet {
        let mut owed = self.units.get(unit).map(|owed| owed.names.intersection(origins)).unwrap_or_default();
        for (&(node, epoch), &first_piece) in &self.logs {
            let cut = origins.from_piece(node, epoch, first_piece);
            if !cut.is_empty() {
                owed = owed.union(&cut);
            }
        }
        owed
    }

    /// Units of which a whole set is owed.
    pub(crate) fn wholes(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|(_, owed)| !owed.wholes.is_empty()).map(|(unit, _)| unit)
    }

    /// Whether something may be owed of a unit by name, or as what was in a log.
    pub(crate) fn may_name(&self, unit: &Unit) -> bool {
        let is_named = self.units.get(unit).is_some_and(|owed| !owed.names.is_empty());
        is_named || self.times.iter().any(|times| times.meets(bucket(unit)))
    }

    /// Whether some whole set of a unit is owed.
    pub(crate) fn has_whole(&self, unit: &Unit) -> bool {
        self.units.get(unit).is_some_and(|owed| !owed.wholes.is_empty())
    }

    /// Whether all of a set is owed, or nothing of it; `None` when that takes its names.
    pub(crate) fn share_of(&self, unit: &Unit, quiet: &Quiet) -> Option<bool> {
        if self.times.iter().any(|times| times.meets(quiet.times)) {
            return None;
        }
        let Some(owed) = self.units.get(unit) else { return Some(false) };
        let is_whole = owed.names.is_empty() && owed.wholes.len() == 1 && owed.wholes.contains(&quiet.whole);
        is_whole.then_some(true)
    }

    /// The names of the sets of a unit that are owed, and the sets of which nobody has told them.
    pub(crate) fn named(&self, unit: &Unit, forms: &Forms<'_>) -> (OriginSet, Vec<Whole>) {
        let (mut names, mut lost) = (OriginSet::new(), Vec::new());
        for whole in self.units.get(unit).iter().flat_map(|owed| &owed.wholes) {
            match forms.names_of(whole) {
                Some(known) => names = names.union(known),
                None => lost.push(*whole),
            }
        }
        (names, lost)
    }

    /// Whether something of a node's log is owed.
    pub(crate) fn owes_log_of(&self, node: u64) -> bool {
        self.logs.keys().any(|(owing, _)| *owing == node)
    }

    /// Whether a log is owed, and has nothing in it that is not.
    pub(crate) fn wants(&self, node: u64, log: &LogPart) -> bool {
        let owed = |epoch: u64| self.logs.get(&(node, epoch));
        let is_behind = log.pieces.iter().all(|(epoch, first)| owed(*epoch).is_none_or(|owed| first >= owed));
        // A process that was started since then writes a log of its own. What is there of one in between may have been
        // handed over and read before the next one found it in the log again.
        let others = log.pieces.iter().filter(|(epoch, _)| owed(*epoch).is_none()).count();
        self.owes_log_of(node) && is_behind && others <= 1
    }

    /// Origins that are owed and said to be in logs which the plan does not read.
    pub(crate) fn stuck(&self, answering: &[Answering<'_>], plan: &Assignment) -> Vec<(Unit, Which)> {
        let is_read = |node: u64| plan.parts.get(&node).is_some_and(|part| part.log.is_some());
        let mut stuck = Vec::new();
        for (unit, owed) in &self.units {
            let logs = logs_of(answering.iter()).filter(|(node, _)| !is_read(*node));
            let mut left = in_logs(logs, &owed.names);
            let readings = plan.parts.values().flat_map(|part| &part.units);
            for reading in readings.filter(|reading| reading.unit == *unit) {
                if let Which::Names(names) = &reading.origins {
                    left = left.difference(names);
                }
            }
            if !left.is_empty() {
                stuck.push((unit.clone(), Which::Names(left)));
            }
        }
        stuck
    }

    /// Whether something that is missing by no name may be owed: only logs have no names.
    pub(crate) fn concerns(&self, missing: &MissingRange) -> bool {
        match (missing.why, &missing.who) {
            (Why::IngestSilent, Who::Node(id)) => self.logs.keys().any(|(node, _)| node == id),
            (Why::StoreSilent, _) => !self.logs.is_empty(),
            // Named when all was planned.
            _ => false,
        }
    }
}
