//! Where faults are injected: the n-th call of a kind, at a place, in a life.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::strace::Call;

/// All by which the node changes its disk, except for making files and folders.
pub(super) const CALLS: [&str; 6] = ["write", "pwrite64", "fdatasync", "fsync", "rename", "unlink"];
pub(super) const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Io, Fault::Full];

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The process is killed before it is carried out.
    Kill,
    /// It fails as on a broken disk.
    Io,
    /// It fails as on a full disk; so do the next two.
    Full,
}

/// Which of the two lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// From an empty directory.
    New,
    /// From what a kill has left.
    Second,
}

/// The places of the data directory. The calls of one place are few and made by few threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Whole,
    /// The folder itself and the files directly in it.
    Top,
    Log,
    Origins,
    Store,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) life: Life,
    pub(super) place: Place,
    pub(super) call: &'static str,
    pub(super) fault: Fault,
    /// From one, counted on each thread.
    pub(super) nth: usize,
    /// Relative to the data directory: only calls on these count. Empty at the whole of it.
    pub(super) paths: Vec<String>,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { life, place, call, fault, nth, .. } = self;
        write!(f, "{life:?} {place:?} {call} {fault:?} {nth}")
    }
}

impl Point {
    /// Points of a kind are made by the same call and fault.
    pub(super) fn kind(&self) -> String {
        kind(self.call, self.fault)
    }

    /// A sync that fails: nothing is certain any more.
    pub(super) fn is_failed_sync(&self) -> bool {
        self.fault != Fault::Kill && matches!(self.call, "fsync" | "fdatasync")
    }
}

pub(super) fn kind(call: &str, fault: Fault) -> String {
    format!("{call} {fault:?}")
}

impl Place {
    /// Whether a path relative to the data directory lies there.
    fn has(self, path: &str) -> bool {
        let folder = path.split('/').next().unwrap_or_default();
        match self {
            Place::Whole => true,
            Place::Top => !path.contains('/') && !matches!(path, "log" | "origins" | "store"),
            Place::Log => folder == "log",
            Place::Origins => folder == "origins",
            Place::Store => folder == "store",
        }
    }
}

/// Every point of lives that were traced twice.
pub(super) fn all(traced: &[(Life, [Vec<Call>; 2])]) -> Vec<Point> {
    let mut points = Vec::new();
    for (life, [first, second]) in traced {
        for place in [Place::Whole, Place::Top, Place::Log, Place::Origins, Place::Store] {
            // Names that are made anew in each run cannot be told to strace beforehand.
            let again: BTreeSet<&str> = second.iter().map(|call| call.path.as_str()).collect();
            let is_there = |call: &&Call| {
                place == Place::Whole || (place.has(&call.path) && again.contains(call.path.as_str()))
            };
            let calls: Vec<&Call> = first.iter().filter(is_there).collect();
            let paths: BTreeSet<String> = match place {
                Place::Whole => BTreeSet::new(),
                _ => calls.iter().map(|call| call.path.clone()).collect(),
            };
            for call in CALLS {
                // Sockets and events are written to, as well: only at places is it known which.
                if call == "write" && place == Place::Whole {
                    continue;
                }
                let most = most_of_a_thread(&calls, call);
                for (fault, nth) in
                    FAULTS.into_iter().flat_map(|fault| (1..=most).map(move |nth| (fault, nth)))
                {
                    let paths = paths.iter().cloned().collect();
                    points.push(Point { life: *life, place, call, fault, nth, paths });
                }
            }
        }
    }
    points
}

/// How many calls of a kind the thread has made that has made most.
fn most_of_a_thread(calls: &[&Call], name: &str) -> usize {
    let mut counts = BTreeMap::new();
    for call in calls.iter().filter(|call| call.name == name) {
        *counts.entry(call.thread).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

/// Some of the points: one of each life, place, call and fault, then any others.
pub(super) fn sample(mut all: Vec<Point>, count: usize, random: &mut fastrand::Rng) -> Vec<Point> {
    random.shuffle(&mut all);
    let mut seen = BTreeSet::new();
    let is_first = |point: &Point| seen.insert((point.life, point.place, point.call, point.fault));
    let (mut chosen, others): (Vec<Point>, Vec<Point>) = all.into_iter().partition(is_first);
    let more = count.saturating_sub(chosen.len());
    chosen.extend(others.into_iter().take(more));
    chosen
}
