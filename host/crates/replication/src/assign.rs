//! Who reads what for a query: every origin once.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use weir_segment::{OriginFlags, OriginName, Unit};

use crate::catalog::{Catalog, bucket};
use crate::forms::{Form, Forms};
use crate::hash;
use crate::origin_set::OriginSet;
use crate::owed::Owed;
use crate::quiet::Whole;
use crate::ranges::{TimeRange, joined};
use crate::sets::Sets;

mod whole;

/// The log in an ingest node's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPart {
    /// Per epoch the first piece that is in it; so are all later ones. Their origins are read there and nowhere else.
    pub pieces: Vec<(u64, u64)>,
    /// Times of the batches in it that may be repeats or are keyed: the same records may be read elsewhere.
    pub contested: Vec<TimeRange>,
    /// Times of all batches in it, as far as they are asked for.
    pub times: Vec<TimeRange>,
}

impl LogPart {
    /// Whether it has records of some of these times.
    pub(crate) fn meets(&self, times: TimeRange) -> bool {
        self.times.iter().any(|own| own.meets(times))
    }
}

/// A node that has answered the plan, and what it can read.
#[derive(Debug, Clone)]
pub struct Answering<'a> {
    /// Its id.
    pub node: u64,
    /// What it holds: its backlog, its store, or both, exactly as in the snapshot that it keeps for the query.
    pub catalogs: Vec<&'a Catalog>,
    /// What else it holds, known by digest alone.
    pub sets: Option<&'a Sets>,
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

/// Some origins of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These.
    Names(OriginSet),
    /// All of a set of which only the digest is known.
    Whole(Whole),
}

impl Which {
    /// How many they are.
    pub fn len(&self) -> u64 {
        match self {
            Which::Names(names) => names.len(),
            Which::Whole(whole) => whole.origins,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one may be among them.
    pub fn may_have(&self, name: OriginName) -> bool {
        match self {
            Which::Names(names) => names.contains(name),
            Which::Whole(_) => true,
        }
    }
}

/// What a node reads of a unit, and how it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The unit.
    pub unit: Unit,
    /// Which origins, the shorter way to say it.
    pub read: Read,
    /// The same by name, or as the set that it is all of.
    pub origins: Which,
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
    pub unreachable: Vec<(Unit, Which)>,
    /// Nodes whose logs are owed and not read: there is more in them than is owed.
    pub refused: Vec<u64>,
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
            let log = LogPart { contested: times, ..log.clone() };
            plan.parts.entry(node.node).or_default().log = Some(log);
        }
    }
    let is_refused = |node: &&Answering<'_>| {
        let owes = owed.is_some_and(|owed| owed.owes_log_of(node.node));
        owes && node.log.is_some() && !plan.parts.contains_key(&node.node)
    };
    plan.refused = answering.iter().filter(is_refused).map(|node| node.node).collect();
    let is_read = |node: &&Answering<'_>| plan.parts.contains_key(&node.node);
    let logs: Vec<(u64, &LogPart)> = logs_of(answering.iter().filter(is_read)).collect();
    let asked = whole::Asked { range, preferred, owed };
    let mut read = Vec::new();
    let mut all = Forms::all(answering, range);
    // What is owed as a whole is looked for wherever it lies.
    for unit in owed.iter().flat_map(|owed| owed.wholes()) {
        all.entry(unit).or_default();
    }
    for (unit, forms) in all {
        if !forms.is_named() {
            match whole::plan(&mut plan, &forms, &logs, unit, &asked) {
                whole::Planned::ByName => {}
                whole::Planned::Nothing => continue,
                whole::Planned::Whole(node, reading, times) => {
                    contested.extend(times);
                    read.push((node, reading));
                    continue;
                }
            }
        }
        // A set is all that a node has, whatever the range.
        let is_all =
            range.covers(bucket(unit)) || !forms.is_named() || owed.is_some_and(|owed| owed.has_whole(unit));
        let holders = holders(answering, &forms, &logs, unit, (!is_all).then_some(range));
        let mut left = all_of(holders.iter().map(|holder| &holder.readable));
        let mut held = all_of(holders.iter().map(|holder| &holder.held));
        if let Some(owed) = owed {
            let (wholes, lost) = owed.named(unit, &forms);
            plan.unreachable.extend(lost.into_iter().map(|whole| (unit.clone(), Which::Whole(whole))));
            let known = wholes.difference(&held).difference(&in_logs(logs.iter().copied(), &wholes));
            if !known.is_empty() {
                plan.unreachable.push((unit.clone(), Which::Names(known)));
            }
            let of = |names: &OriginSet| owed.of(unit, names).union(&wholes.intersection(names));
            (left, held) = (of(&left), of(&held));
        }
        plan.origins += left.len();
        if held != left {
            let unreachable = held.difference(&left).difference(&in_logs(logs.iter().copied(), &held));
            if !unreachable.is_empty() {
                plan.unreachable.push((unit.clone(), Which::Names(unreachable)));
            }
        }
        let readings = share_out(unit, holders, left, preferred);
        let minor = minor_of(&readings);
        for (_, form) in forms.of.iter().filter(|_| !readings.is_empty()) {
            let mut contest = |times: TimeRange| contested.push(times.within(range));
            match form {
                Form::Names(origins) if origins.has_repeats() || !minor.is_empty() => {
                    let is_contested = |name, flags: OriginFlags| {
                        flags.has(OriginFlags::MAYBE_REPEATED) || minor.contains(name)
                    };
                    origins.times_of(unit, range, is_contested).into_iter().for_each(contest);
                }
                Form::Whole(quiet) if quiet.has_repeats || !minor.is_empty() => contest(quiet.times),
                Form::Names(_) | Form::Whole(_) | Form::Changed(_) => {}
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
        let origins = Which::Names(origins);
        readings.push((holder.node, Reading { unit: unit.clone(), read, origins, has_suspects, is_counted }));
    }
    readings
}

/// What of a keyed unit others read than the one that counts.
fn minor_of(readings: &[(u64, Reading)]) -> OriginSet {
    let minor = readings.iter().filter(|(_, reading)| !reading.is_counted);
    minor.fold(OriginSet::new(), |all, (_, reading)| match &reading.origins {
        Which::Names(names) => all.union(names),
        Which::Whole(_) => all,
    })
}

fn all_of<'a>(sets: impl Iterator<Item = &'a Cow<'a, OriginSet>>) -> OriginSet {
    sets.fold(Cow::Owned(OriginSet::new()), |all, set| join(all, set)).into_owned()
}

/// What the nodes have of a unit by name, all of it or what lies within a range. Of sets without names that nobody has told, nothing.
fn holders<'a>(
    answering: &'a [Answering<'a>],
    forms: &Forms<'a>,
    logs: &[(u64, &LogPart)],
    unit: &Unit,
    within: Option<TimeRange>,
) -> Vec<Holder<'a>> {
    let mut holders = Vec::with_capacity(forms.of.len());
    for of_node in forms.of.chunk_by(|(a, _), (b, _)| a == b) {
        let node = of_node[0].0;
        let mut held: Cow<'_, OriginSet> = Cow::Owned(OriginSet::new());
        for (_, form) in of_node {
            let names = match form {
                Form::Names(origins) => match within {
                    None => Cow::Borrowed(origins.names()),
                    Some(range) => Cow::Owned(origins.names_in(unit, range)),
                },
                Form::Whole(quiet) => match forms.names_of(&quiet.whole) {
                    Some(names) => Cow::Borrowed(names),
                    None => continue,
                },
                Form::Changed(_) => continue,
            };
            held = if held.is_empty() { names } else { join(held, &names) };
        }
        if held.is_empty() {
            continue;
        }
        let mut skipped = in_logs(logs.iter().copied(), &held);
        let unreadable = answering.iter().filter(|other| other.node == node);
        for unreadable in unreadable.filter_map(|node| node.unreadable.get(unit)) {
            skipped = skipped.union(unreadable);
        }
        let readable = if skipped.is_empty() { held.clone() } else { Cow::Owned(held.difference(&skipped)) };
        holders.push(Holder { node, held, readable });
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
