//! What one peer offers, by when it is due.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use crate::held::{Held, OriginKey};

/// The name of an origin; units are shared.
pub(super) type Key = (Arc<Unit>, OriginName);

/// What is to be done with an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Do {
    Pull,
    Confirm,
}

/// Where an origin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is due at this time, if ever.
    Waiting(Do, u64),
    /// It is under way and should be reported by this time.
    Running(Do, u64),
    /// It is in no line yet, or no more.
    Idle,
}

/// An origin that a peer offers: a [`Held`] without its unit.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    digest: RecordDigest,
    flags: OriginFlags,
    count: u32,
    bytes: u32,
    low: u32,
    high: u32,
    /// When we first heard of it.
    pub(super) seen_ms: u64,
    /// When it may be tried again after a failure.
    pub(super) not_before_ms: u64,
    state: State,
}

impl Candidate {
    /// That of an announcement which has passed [`Held::check`].
    pub(super) fn new(held: &Held, now_ms: u64) -> Candidate {
        Candidate {
            digest: held.digest,
            flags: held.flags,
            count: held.count as u32,
            bytes: held.bytes as u32,
            low: (held.low_ms - held.unit.start_ms()) as u32,
            high: (held.high_ms - held.unit.start_ms()) as u32,
            seen_ms: now_ms,
            not_before_ms: 0,
            state: State::Idle,
        }
    }

    pub(super) fn held(&self, (unit, name): &Key) -> Held {
        Held {
            unit: Unit::clone(unit),
            name: *name,
            flags: self.flags,
            count: u64::from(self.count),
            low_ms: unit.start_ms() + u64::from(self.low),
            high_ms: unit.start_ms() + u64::from(self.high),
            digest: self.digest,
            bytes: u64::from(self.bytes),
        }
    }
}

/// The backlog of one ingest node, as far as it concerns us.
#[derive(Debug, Default)]
pub(super) struct Peer {
    candidates: BTreeMap<Key, Candidate>,
    pulls: BTreeSet<(u64, Key)>,
    confirms: BTreeSet<(u64, Key)>,
    running: BTreeSet<(u64, Key)>,
    pulls_running: usize,
    /// How often it has failed, one time after the other, and until when it is left alone.
    failures: u32,
    until_ms: u64,
}

impl Peer {
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Candidate> {
        self.candidates.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Candidate> {
        self.candidates.get_mut(key)
    }

    pub(super) fn state(&self, key: &Key) -> Option<State> {
        self.candidates.get(key).map(|candidate| candidate.state)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.candidates.keys().cloned().collect()
    }

    pub(super) fn insert(&mut self, key: Key, candidate: Candidate) {
        assert!(candidate.state == State::Idle, "a candidate is put in line after it is known");
        self.candidates.insert(key, candidate);
    }

    /// `false` when it was not there.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.set(key, State::Idle);
        self.candidates.remove(key).is_some()
    }

    /// Brings an origin from one state to another, and into the line that goes with it.
    pub(super) fn set(&mut self, key: &Key, state: State) {
        let Some(candidate) = self.candidates.get_mut(key) else { return };
        let old = core::mem::replace(&mut candidate.state, state);
        match old {
            State::Waiting(Do::Pull, due_ms) => drop(self.pulls.remove(&(due_ms, key.clone()))),
            State::Waiting(Do::Confirm, due_ms) => drop(self.confirms.remove(&(due_ms, key.clone()))),
            State::Running(what, until_ms) => {
                self.running.remove(&(until_ms, key.clone()));
                self.pulls_running -= usize::from(what == Do::Pull);
            }
            State::Idle => {}
        }
        match state {
            State::Waiting(Do::Pull, due_ms) => drop(self.pulls.insert((due_ms, key.clone()))),
            State::Waiting(Do::Confirm, due_ms) => drop(self.confirms.insert((due_ms, key.clone()))),
            State::Running(what, until_ms) => {
                self.running.insert((until_ms, key.clone()));
                self.pulls_running += usize::from(what == Do::Pull);
            }
            State::Idle => {}
        }
    }

    /// The origin that has been due longest.
    pub(super) fn due(&self, what: Do, now_ms: u64) -> Option<Key> {
        let line = match what {
            Do::Pull => &self.pulls,
            Do::Confirm => &self.confirms,
        };
        line.first().filter(|(due_ms, _)| *due_ms <= now_ms).map(|(_, key)| key.clone())
    }

    /// An origin whose report is overdue, and what was done with it.
    pub(super) fn overdue(&self, now_ms: u64) -> Option<(Key, Do)> {
        let (_, key) = self.running.first().filter(|(until_ms, _)| *until_ms <= now_ms)?;
        match self.state(key) {
            Some(State::Running(what, _)) => Some((key.clone(), what)),
            _ => None,
        }
    }

    /// Origins that wait for something, due or not.
    pub(super) fn waiting(&self, what: Do) -> Vec<Key> {
        let line = match what {
            Do::Pull => &self.pulls,
            Do::Confirm => &self.confirms,
        };
        line.iter().map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn pulls_running(&self) -> usize {
        self.pulls_running
    }

    pub(super) fn is_paused(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// It has failed: it is left alone for a while. What was under way at once fails at once, and counts as one.
    pub(super) fn failed(&mut self, now_ms: u64) {
        if !self.is_paused(now_ms) {
            self.failures = self.failures.saturating_add(1);
            self.until_ms = now_ms.saturating_add(crate::offers::backoff_ms(self.failures));
        }
    }

    pub(super) fn answered(&mut self) {
        self.failures = 0;
        self.until_ms = 0;
    }

    /// When there is next something to do.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let lines = [&self.pulls, &self.confirms];
        let due = lines.into_iter().filter_map(|line| line.first()).map(|(due_ms, _)| *due_ms);
        let due = due.map(|due_ms| due_ms.max(self.until_ms));
        due.chain(self.running.first().map(|(until_ms, _)| *until_ms)).filter(|at| *at < u64::MAX).min()
    }

    pub(super) fn key(&self, key: &OriginKey, units: &BTreeMap<Arc<Unit>, super::UnitState>) -> Option<Key> {
        let (unit, _) = units.get_key_value(&key.unit)?;
        Some((Arc::clone(unit), key.name)).filter(|key| self.candidates.contains_key(key))
    }
}
