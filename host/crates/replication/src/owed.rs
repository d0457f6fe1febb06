//! What a question has not been told yet: the shares of nodes that failed, were too slow, or had lost something in
//! between. It is planned anew, on whoever else has it.
//!
//! An origin stays what it is wherever it goes, so it is owed by name. A log is owed by its pieces: when it is planned
//! anew they may be sealed, and then they are origins of these names, in whatever units. An ingest node that comes
//! back may have more in its log than it owed, if it died before the end of a piece was durable; of that some may have
//! been told already by a store. Such a log is not read: an answer that lacks something says so, one that counts twice
//! does not.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_segment::Unit;

use crate::assign::{Answering, Assignment, LogPart, Part, in_logs, logs_of};
use crate::completeness::{MissingRange, Who, Why};
use crate::origin_set::OriginSet;

/// What is owed of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owed {
    /// Per node and epoch the first piece of a log; all later ones are owed, too.
    logs: BTreeMap<(u64, u64), u64>,
    units: BTreeMap<Unit, OriginSet>,
}

impl Owed {
    /// All that a node was to read.
    pub fn of_part(node: u64, part: &Part) -> Owed {
        let mut owed = Owed::default();
        for &(epoch, first_piece) in part.log.iter().flat_map(|log| &log.pieces) {
            owed.logs.insert((node, epoch), first_piece);
        }
        for reading in &part.units {
            owed.add_origins(&reading.unit, &reading.origins);
        }
        owed
    }

    /// Some origins of a unit as well.
    pub fn add_origins(&mut self, unit: &Unit, origins: &OriginSet) {
        let all = self.units.entry(unit.clone()).or_default();
        *all = all.union(origins);
    }

    /// What is owed by somebody else as well.
    pub fn add(&mut self, other: &Owed) {
        for (writer, first_piece) in &other.logs {
            let first = self.logs.entry(*writer).or_insert(*first_piece);
            *first = (*first).min(*first_piece);
        }
        for (unit, origins) in &other.units {
            self.add_origins(unit, origins);
        }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.units.is_empty()
    }

    /// Which origins of a unit are owed.
    pub(crate) fn of(&self, unit: &Unit, origins: &OriginSet) -> OriginSet {
        let mut owed = self.units.get(unit).map(|names| names.intersection(origins)).unwrap_or_default();
        for (&(node, epoch), &first_piece) in &self.logs {
            let cut = origins.from_piece(node, epoch, first_piece);
            if !cut.is_empty() {
                owed = owed.union(&cut);
            }
        }
        owed
    }

    /// Whether a log is owed, and has nothing in it that is not.
    pub(crate) fn wants(&self, node: u64, log: &LogPart) -> bool {
        let owes = |epoch: u64| self.logs.get(&(node, epoch));
        let is_owed = self.logs.keys().any(|(owing, _)| *owing == node);
        // A process that was started since then writes a log of its own.
        is_owed && log.pieces.iter().all(|(epoch, first)| owes(*epoch).is_none_or(|owed| first >= owed))
    }

    /// Origins that are owed and said to be in logs which the plan does not read.
    pub(crate) fn stuck(&self, answering: &[Answering<'_>], plan: &Assignment) -> Vec<(Unit, OriginSet)> {
        let is_read = |node: u64| plan.parts.get(&node).is_some_and(|part| part.log.is_some());
        let mut stuck = Vec::new();
        for (unit, owed) in &self.units {
            let logs = logs_of(answering.iter()).filter(|(node, _)| !is_read(*node));
            let mut left = in_logs(logs, owed);
            let readings = plan.parts.values().flat_map(|part| &part.units);
            for reading in readings.filter(|reading| reading.unit == *unit) {
                left = left.difference(&reading.origins);
            }
            if !left.is_empty() {
                stuck.push((unit.clone(), left));
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
