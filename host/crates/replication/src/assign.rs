//! Who reads what for a query: every origin once.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use weir_segment::{OriginFlags, Unit};

use crate::catalog::{Catalog, UnitOrigins, bucket};
use crate::hash;
use crate::origin_set::OriginSet;
use crate::owed::Owed;
use crate::ranges::{TimeRange, joined};

/// The log in an ingest node's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPart {
    /// Per epoch the first piece that is in it; so are all later ones. Their origins are read there and nowhere else.
    pub pieces: Vec<(u64, u64)>,
    /// Times of the batches in it that may be repeats or are keyed: the same records may be read elsewhere.
    pub contested: Vec<TimeRange>,
}

/// A node that has answered the plan, and what it can read.
#[derive(Debug, Clone)]
pub struct Answering<'a> {
    /// Its id.
    pub node: u64,
    /// What it holds: its backlog, its store, or both, exactly as in the snapshot that it keeps for the query.
    pub catalogs: Vec<&'a Catalog>,
    /// Only of an ingest node, also when its log is empty.
    pub log: Option<LogPart>,
    /// What it holds and could not read when it was asked before.
    pub unreadable: BTreeMap<Unit, OriginSet>,
}

/// What a node reads of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// All that it holds, as it has told it.
    All,
    /// All but these.
    AllBut(OriginSet),
    /// These.
    Only(OriginSet),
}

/// What a node reads of a unit, and how it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The unit.
    pub unit: Unit,
    /// Which origins, the shorter way to say it.
    pub read: Read,
    /// The same by name.
    pub origins: OriginSet,
    /// Other nodes may hold some of the records as well: before anybody counts, these are handed over as ids and
    /// hashes, to be counted once. Those are the flagged origins of the unit, or all that is read of a keyed one which
    /// somebody else counts.
    pub has_suspects: bool,
    /// The node counts the rest. Of a keyed unit one reader does.
    pub is_counted: bool,
}

/// What a node reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The log of its snapshot, if that is read.
    pub log: Option<LogPart>,
    /// Units, in order.
    pub units: Vec<Reading>,
}

/// A plan of what is read where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// Per node what it reads. Who has nothing to read is not listed.
    pub parts: BTreeMap<u64, Part>,
    /// Times in which one record may be read twice, as a repeat or under one key: there, readers that only count must
    /// hand over ids and hashes. Sorted and apart.
    pub contested: Vec<TimeRange>,
    /// Held, but not readable anywhere; or owed, and said to be in a log that is not read any more.
    pub unreachable: Vec<(Unit, OriginSet)>,
    /// How many origins are read, beside the logs.
    pub origins: u64,
}

/// What one node has of one unit, as far as it reaches into the range.
struct Holder<'a> {
    node: u64,
    held: Cow<'a, OriginSet>,
    readable: Cow<'a, OriginSet>,
}

/// Assigns every origin with records in the range to one of the nodes that answered.
///
/// Of a unit, the node that has most is the main reader, and others read what it lacks. Of nodes that have as many,
/// the preferred one reads (the one that asks: it need not send anything), else one that the unit's hash picks,
/// so that units are spread. An ingest node's log is read by itself; an origin of one of its pieces is
/// read by nobody, although a store may have got it since the snapshot. Origins that lie outside of the range may
/// be read or not: they hold nothing that is asked for.
///
/// Ingest nodes must have made their snapshots before stores told what they hold. Otherwise a piece that was
/// sealed and handed over in between would be in neither.
pub fn assign(answering: &[Answering<'_>], range: TimeRange, preferred: Option<u64>) -> Assignment {
    assign_owed(answering, range, preferred, None)
}

/// The same for what is still owed of a question that was planned before: nothing else is read. `None`: all of it.
pub fn assign_owed(
    answering: &[Answering<'_>],
    range: TimeRange,
    preferred: Option<u64>,
    owed: Option<&Owed>,
) -> Assignment {
    let mut plan = Assignment::default();
    let mut contested = Vec::new();
    for node in answering {
        if let Some(log) = node.log.as_ref().filter(|log| owed.is_none_or(|owed| owed.wants(node.node, log)))
        {
            let times = log.contested.iter().map(|times| times.within(range));
            let times: Vec<TimeRange> = times.filter(|times| !times.is_empty()).collect();
            contested.extend(&times);
            let log = LogPart { pieces: log.pieces.clone(), contested: times };
            plan.parts.entry(node.node).or_default().log = Some(log);
        }
    }
    let is_read = |node: &&Answering<'_>| plan.parts.contains_key(&node.node);
    let logs: Vec<(u64, &LogPart)> = logs_of(answering.iter().filter(is_read)).collect();
    let catalogs = answering.iter().flat_map(|node| node.catalogs.iter());
    let units: BTreeSet<&Unit> =
        catalogs.flat_map(|catalog| catalog.units_in(range).map(|(unit, _)| unit)).collect();
    let mut read = Vec::new();
    for unit in units {
        let holders = holders(answering, &logs, unit, range);
        let mut left = all_of(holders.iter().map(|holder| &holder.readable));
        let mut held = all_of(holders.iter().map(|holder| &holder.held));
        if let Some(owed) = owed {
            (left, held) = (owed.of(unit, &left), owed.of(unit, &held));
        }
        plan.origins += left.len();
        if held != left {
            let unreachable = held.difference(&left).difference(&in_logs(logs.iter().copied(), &held));
            if !unreachable.is_empty() {
                plan.unreachable.push((unit.clone(), unreachable));
            }
        }
        let readings = share_out(unit, holders, left, preferred);
        let minor = minor_of(&readings);
        for origins in origins_of(answering, unit) {
            if !readings.is_empty() && (origins.has_repeats() || !minor.is_empty()) {
                contested.extend(origins.times_of(unit, range, |name, flags| {
                    flags.has(OriginFlags::MAYBE_REPEATED) || minor.contains(name)
                }));
            }
        }
        read.extend(readings);
    }
    for (node, reading) in read {
        plan.parts.entry(node).or_default().units.push(reading);
    }
    if let Some(owed) = owed {
        let stuck = owed.stuck(answering, &plan);
        plan.unreachable.extend(stuck);
    }
    plan.contested = joined(contested);
    plan
}

/// Who of the holders of a unit reads what of `left`, all of which they hold together.
fn share_out(
    unit: &Unit,
    mut holders: Vec<Holder<'_>>,
    mut left: OriginSet,
    preferred: Option<u64>,
) -> Vec<(u64, Reading)> {
    let by = hash::of_unit(unit);
    let mut readings: Vec<(u64, Reading)> = Vec::new();
    while !left.is_empty() {
        // Whoever has been chosen has nothing left, so that everybody is chosen once at most.
        let gain = |holder: &Holder<'_>| {
            if *holder.readable == left { left.len() } else { holder.readable.intersection(&left).len() }
        };
        let best = holders.iter().enumerate().max_by_key(|(_, holder)| {
            (gain(holder), preferred == Some(holder.node), Reverse(hash::fold(by, holder.node)))
        });
        let Some(best) = best.map(|(at, _)| at) else { break };
        let holder = holders.swap_remove(best);
        let (origins, rest) = if *holder.readable == left {
            (left, OriginSet::new())
        } else {
            (left.intersection(&holder.readable), left.difference(&holder.readable))
        };
        left = rest;
        let is_counted = !unit.is_keyed() || readings.is_empty();
        let has_suspects = !is_counted || !unit.is_keyed() && origins.has_repeats();
        let read = read(&holder.held, &origins);
        readings.push((holder.node, Reading { unit: unit.clone(), read, origins, has_suspects, is_counted }));
    }
    readings
}

/// What of a keyed unit others read than the one that counts.
fn minor_of(readings: &[(u64, Reading)]) -> OriginSet {
    let minor = readings.iter().filter(|(_, reading)| !reading.is_counted);
    minor.fold(OriginSet::new(), |all, (_, reading)| all.union(&reading.origins))
}

fn all_of<'a>(sets: impl Iterator<Item = &'a Cow<'a, OriginSet>>) -> OriginSet {
    sets.fold(Cow::Owned(OriginSet::new()), |all, set| join(all, set)).into_owned()
}

fn holders<'a>(
    answering: &'a [Answering<'a>],
    logs: &[(u64, &LogPart)],
    unit: &Unit,
    range: TimeRange,
) -> Vec<Holder<'a>> {
    let is_inside = range.covers(bucket(unit));
    let mut holders = Vec::with_capacity(answering.len());
    for node in answering {
        let mut held: Cow<'_, OriginSet> = Cow::Owned(OriginSet::new());
        for origins in node.catalogs.iter().filter_map(|catalog| catalog.unit(unit)) {
            let names = if is_inside {
                Cow::Borrowed(origins.names())
            } else {
                Cow::Owned(origins.names_in(unit, range))
            };
            held = if held.is_empty() { names } else { join(held, &names) };
        }
        if held.is_empty() {
            continue;
        }
        let mut skipped = in_logs(logs.iter().copied(), &held);
        if let Some(unreadable) = node.unreadable.get(unit) {
            skipped = skipped.union(unreadable);
        }
        let readable = if skipped.is_empty() { held.clone() } else { Cow::Owned(held.difference(&skipped)) };
        holders.push(Holder { node: node.node, held, readable });
    }
    holders
}

/// The logs of the nodes that have told theirs.
pub(crate) fn logs_of<'a>(
    answering: impl Iterator<Item = &'a Answering<'a>>,
) -> impl Iterator<Item = (u64, &'a LogPart)> {
    answering.filter_map(|node| Some((node.node, node.log.as_ref()?)))
}

/// Which of these are of pieces that lie in one of these logs.
pub(crate) fn in_logs<'a>(logs: impl Iterator<Item = (u64, &'a LogPart)>, names: &OriginSet) -> OriginSet {
    let mut found = OriginSet::new();
    for (node, log) in logs {
        for &(epoch, first_piece) in &log.pieces {
            let cut = names.from_piece(node, epoch, first_piece);
            if !cut.is_empty() {
                found = found.union(&cut);
            }
        }
    }
    found
}

fn origins_of<'a>(answering: &'a [Answering<'a>], unit: &Unit) -> impl Iterator<Item = &'a UnitOrigins> {
    answering.iter().flat_map(|node| &node.catalogs).filter_map(move |catalog| catalog.unit(unit))
}

/// The union; most of the time one has all.
fn join<'a>(a: Cow<'a, OriginSet>, b: &OriginSet) -> Cow<'a, OriginSet> {
    if *a == *b || b.is_empty() { a } else { Cow::Owned(a.union(b)) }
}

/// The shorter way to say it.
fn read(held: &OriginSet, reads: &OriginSet) -> Read {
    if held == reads {
        return Read::All;
    }
    let but = held.difference(reads);
    if but.ranges() < reads.ranges() { Read::AllBut(but) } else { Read::Only(reads.clone()) }
}

#[cfg(test)]
mod tests;
