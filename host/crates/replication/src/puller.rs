//! The store's side of the transfer: which origins are its own to fetch, and when.
//!
//! It follows the backlogs of all ingest nodes and says what to do next. The caller does it (fetch, verify, fsync,
//! confirm) and reports how it went. An origin that fails is put off, longer each time, and named; a peer that
//! fails is put off as a whole; neither holds up the others.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::limits::{CLAIM_MS, CONFIRMS_MAX, POISON_FAILURES, RECONFIRM_MS, TAKEOVER_MS};
use weir_segment::{RecordDigest, Unit};

use crate::held::{Held, OriginKey};
use crate::holdings::Holdings;
use crate::mirror::Applied;
use crate::offers::{Confirmation, backoff_ms, cut};
use crate::placement::{self, StoreNode};

mod queue;

use queue::{Candidate, Do, Key, Peer, State};

/// Fetch this, verify digest, count, range and order, keep it, then say [`Puller::kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The ingest node that offers it.
    pub from: u64,
    /// What it must be.
    pub held: Held,
}

/// Confirm this to the node that offers it, then say [`Puller::confirmed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The ingest node that offers it.
    pub to: u64,
    /// Which one.
    pub key: OriginKey,
    /// Of the records that are held.
    pub digest: RecordDigest,
    /// How it is held.
    pub confirmation: Confirmation,
}

/// What there is to do now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// Origins to fetch.
    pub pulls: Vec<Pull>,
    /// Origins to confirm, at most [`CONFIRMS_MAX`].
    pub confirms: Vec<Confirm>,
}

/// Why a pull or a confirmation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The peer does not answer, or not in a way that has to do with the origin: all of its origins wait a while.
    Peer,
    /// Others fetch it, or the peer wants a pause: not a failure of anybody.
    Busy {
        /// When to ask again.
        retry_ms: u64,
    },
    /// The peer does not offer it any more. Its changes will say so as well.
    Unknown,
    /// Something is wrong with it, or with how it was kept.
    Origin(String),
}

/// An origin that fails again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Who offers it.
    pub from: u64,
    /// Which one.
    pub key: OriginKey,
    /// How often it has failed, one time after the other.
    pub failures: u32,
    /// What was wrong last.
    pub why: String,
}

/// What is known of a unit that occurs in a backlog.
#[derive(Debug, Default)]
struct UnitState {
    /// Candidates of this unit, over all peers.
    candidates: usize,
    /// Our place among the stores that take it; `None` when we do not.
    position: Option<usize>,
}

/// Decides what a store fetches. As large as the backlogs that it follows, some 250 bytes per origin.
#[derive(Debug)]
pub struct Puller {
    node: u64,
    replication: usize,
    stores: Vec<StoreNode>,
    units: BTreeMap<Arc<Unit>, UnitState>,
    peers: BTreeMap<u64, Peer>,
    /// The peer that was served first the last time: the next one has its turn.
    turn: u64,
    /// How often an origin has failed, one time after the other, and what was wrong.
    failures: BTreeMap<(u64, OriginKey), (u32, String)>,
}

impl Puller {
    /// That of a store that knows of nothing yet, neither of other stores nor of itself.
    pub fn new(node: u64) -> Puller {
        Puller {
            node,
            replication: 1,
            stores: Vec::new(),
            units: BTreeMap::new(),
            peers: BTreeMap::new(),
            turn: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Sets the stores that are alive, this one included, and R. A list that is wrong for a while costs a copy too
    /// many, or a delay of [`TAKEOVER_MS`].
    pub fn set_stores(&mut self, stores: &[StoreNode], replication: usize) {
        let replication = replication.max(1);
        if self.stores == stores && self.replication == replication {
            return;
        }
        self.stores = stores.to_vec();
        self.replication = replication;
        for (unit, state) in &mut self.units {
            state.position = placement::position(unit, stores, self.node);
        }
        for peer in self.peers.values_mut() {
            for key in peer.waiting(Do::Pull) {
                let due_ms = due_ms(&self.units, replication, peer.get(&key), &key);
                peer.set(&key, State::Waiting(Do::Pull, due_ms));
            }
        }
    }

    /// Takes note of what has changed in a peer's backlog, as its mirror gave it. What we hold is confirmed.
    pub fn applied(&mut self, peer: u64, applied: &Applied, own: &Holdings, now_ms: u64) {
        if applied.has_gap
            && let Some(peer) = self.peers.get_mut(&peer)
        {
            // The peer may have been restarted, and then it has forgotten who confirmed.
            for key in peer.waiting(Do::Confirm) {
                peer.set(&key, State::Waiting(Do::Confirm, now_ms));
            }
        }
        for (key, _) in &applied.gone {
            self.forget(peer, key);
        }
        for held in &applied.added {
            self.forget(peer, &held.key());
            let unit = match self.units.get_key_value(&held.unit) {
                Some((unit, _)) => Arc::clone(unit),
                None => Arc::new(held.unit.clone()),
            };
            let (stores, node) = (&self.stores, self.node);
            let state = self.units.entry(Arc::clone(&unit)).or_insert_with(|| UnitState {
                candidates: 0,
                position: placement::position(&held.unit, stores, node),
            });
            state.candidates += 1;
            let key: Key = (unit, held.name);
            let peer = self.peers.entry(peer).or_default();
            peer.insert(key.clone(), Candidate::new(held, now_ms));
            let state = if own.catalog().contains(&held.unit, held.name) {
                State::Waiting(Do::Confirm, now_ms)
            } else {
                let due_ms = due_ms(&self.units, self.replication, peer.get(&key), &key);
                State::Waiting(Do::Pull, due_ms)
            };
            peer.set(&key, state);
        }
    }

    /// Forgets a peer and what it offered.
    pub fn remove_peer(&mut self, peer: u64) {
        let keys = self.peers.get(&peer).map_or(Vec::new(), Peer::keys);
        for (unit, name) in keys {
            self.forget(peer, &OriginKey { unit: Unit::clone(&unit), name });
        }
        self.peers.remove(&peer);
    }

    /// What to do now: with it, at most `in_flight_max` pulls are under way, half of them from one peer. What it gives
    /// is under way until the caller reports, or for [`CLAIM_MS`].
    pub fn next(&mut self, now_ms: u64, in_flight_max: usize, own: &Holdings) -> Work {
        self.end_overdue(now_ms);
        let mut work = Work::default();
        let ids: Vec<u64> = self.peers.keys().copied().collect();
        let first = ids.partition_point(|peer| *peer <= self.turn);
        let in_turn = || ids[first..].iter().chain(&ids[..first]).copied();
        self.turn = in_turn().next().unwrap_or(0);
        for id in in_turn() {
            self.start(id, Do::Confirm, usize::MAX, now_ms, own, &mut work);
        }
        let of_one_max = in_flight_max.div_ceil(2);
        for id in in_turn() {
            let room = in_flight_max.saturating_sub(self.in_flight());
            let of_one = self.peers.get(&id).map_or(0, Peer::pulls_running);
            self.start(id, Do::Pull, room.min(of_one_max.saturating_sub(of_one)), now_ms, own, &mut work);
        }
        work
    }

    /// The origin is on disk and in our holdings: it is to be confirmed.
    pub fn kept(&mut self, from: u64, key: &OriginKey, now_ms: u64) {
        self.failures.remove(&(from, key.clone()));
        if let Some((peer, key)) = self.find(from, key) {
            peer.answered();
            peer.set(&key, State::Waiting(Do::Confirm, now_ms));
        }
    }

    /// The peer has our confirmation. Should it go on offering the origin for long, it is told again: it may have
    /// been another process that knew.
    pub fn confirmed(&mut self, from: u64, key: &OriginKey, now_ms: u64) {
        self.failures.remove(&(from, key.clone()));
        if let Some((peer, key)) = self.find(from, key) {
            peer.answered();
            peer.set(&key, State::Waiting(Do::Confirm, now_ms.saturating_add(RECONFIRM_MS)));
        }
    }

    /// A pull or a confirmation came to nothing.
    pub fn failed(&mut self, from: u64, key: &OriginKey, failure: Failure, now_ms: u64) {
        let name = key;
        let Some((peer, key)) = self.find(from, key) else { return };
        let Some(State::Running(what, _)) = peer.state(&key) else { return };
        let mut not_before_ms = now_ms;
        match failure {
            Failure::Unknown => {
                peer.answered();
                not_before_ms = now_ms.saturating_add(RECONFIRM_MS);
            }
            Failure::Peer => peer.failed(now_ms),
            Failure::Busy { retry_ms } => {
                peer.answered();
                not_before_ms = now_ms.saturating_add(retry_ms.clamp(1, CLAIM_MS));
            }
            Failure::Origin(why) => {
                let failed = self.failures.entry((from, name.clone())).or_default();
                *failed = (failed.0.saturating_add(1), cut(&why));
                not_before_ms = now_ms.saturating_add(backoff_ms(failed.0));
            }
        }
        self.put_back(from, &key, what, not_before_ms);
    }

    /// We hold an origin no more, as when its segment was damaged: as long as it is offered, it is fetched again.
    pub fn lost(&mut self, key: &OriginKey, now_ms: u64) {
        let peers: Vec<u64> = self.peers.keys().copied().collect();
        for id in peers {
            let Some((peer, key)) = self.find(id, key) else { continue };
            if matches!(peer.state(&key), Some(State::Waiting(Do::Confirm, _))) {
                self.put_back(id, &key, Do::Pull, now_ms);
            }
        }
    }

    /// When [`Puller::next`] will next have something to do, if nothing is reported before.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.peers.values().filter_map(Peer::next_due_ms).min()
    }

    /// Pulls under way.
    pub fn in_flight(&self) -> usize {
        self.peers.values().map(Peer::pulls_running).sum()
    }

    /// Origins that are offered, over all peers.
    pub fn offered(&self) -> usize {
        self.peers.values().map(Peer::len).sum()
    }

    /// Origins that have failed [`POISON_FAILURES`] times or more, one time after the other.
    pub fn stuck(&self) -> impl Iterator<Item = Stuck> {
        let stuck = self.failures.iter().filter(|(_, (failures, _))| *failures >= POISON_FAILURES);
        stuck.map(|((from, key), (failures, why))| Stuck {
            from: *from,
            key: key.clone(),
            failures: *failures,
            why: why.clone(),
        })
    }

    /// Takes up to `room` pulls, or as many confirmations as there may be, out of a peer's line.
    fn start(&mut self, id: u64, line: Do, room: usize, now_ms: u64, own: &Holdings, work: &mut Work) {
        let until_ms = now_ms.saturating_add(CLAIM_MS);
        let end = work.pulls.len().saturating_add(room);
        while work.pulls.len() < end && work.confirms.len() < CONFIRMS_MAX {
            let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.is_paused(now_ms)) else { return };
            let Some(key) = peer.due(line, now_ms) else { return };
            let Some(candidate) = peer.get(&key) else { return };
            let (offered, held) = (candidate.held(&key), own.catalog().get(&key.0, key.1));
            let confirmation = match &held {
                Some(held) if held.digest != offered.digest => {
                    peer.set(&key, State::Running(Do::Confirm, until_ms));
                    let why = alloc::format!("records {} are held under this name", held.digest);
                    self.failed(id, &offered.key(), Failure::Origin(why), now_ms);
                    continue;
                }
                Some(_) => Some(Confirmation::Held),
                None => own.has_expired(&key.0).then_some(Confirmation::Expired),
            };
            match (confirmation, line) {
                (Some(confirmation), _) => {
                    peer.set(&key, State::Running(Do::Confirm, until_ms));
                    let (key, digest) = (offered.key(), offered.digest);
                    work.confirms.push(Confirm { to: id, key, digest, confirmation });
                }
                (None, Do::Pull) => {
                    peer.set(&key, State::Running(Do::Pull, until_ms));
                    work.pulls.push(Pull { from: id, held: offered });
                }
                // It was held when it was put in line.
                (None, Do::Confirm) => self.put_back(id, &key, Do::Pull, now_ms),
            }
        }
    }

    /// What nobody has reported is taken to have failed: its task is gone, or hangs.
    fn end_overdue(&mut self, now_ms: u64) {
        let peers: Vec<u64> = self.peers.keys().copied().collect();
        for id in peers {
            while let Some((key, _)) = self.peers.get(&id).and_then(|peer| peer.overdue(now_ms)) {
                let origin = OriginKey { unit: Unit::clone(&key.0), name: key.1 };
                let why = alloc::format!("nothing was heard of it for {CLAIM_MS} ms");
                self.failed(id, &origin, Failure::Origin(why), now_ms);
            }
        }
    }

    fn put_back(&mut self, id: u64, key: &Key, what: Do, not_before_ms: u64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(candidate) = peer.get_mut(key) {
            candidate.not_before_ms = not_before_ms;
        }
        let due_ms = match what {
            Do::Pull => due_ms(&self.units, self.replication, peer.get(key), key),
            Do::Confirm => not_before_ms,
        };
        peer.set(key, State::Waiting(what, due_ms));
    }

    fn find(&mut self, peer: u64, key: &OriginKey) -> Option<(&mut Peer, Key)> {
        let peer = self.peers.get_mut(&peer)?;
        let key = peer.key(key, &self.units)?;
        Some((peer, key))
    }

    fn forget(&mut self, from: u64, key: &OriginKey) {
        self.failures.remove(&(from, key.clone()));
        let Some((peer, key)) = self.find(from, key) else { return };
        peer.remove(&key);
        if let Some(unit) = self.units.get_mut(&key.0) {
            unit.candidates -= 1;
            if unit.candidates == 0 {
                self.units.remove(&key.0);
            }
        }
    }
}

/// When an origin is ours to fetch: at once when we are among the first R stores of its unit, later when we are
/// behind them, never when we take nothing.
fn due_ms(
    units: &BTreeMap<Arc<Unit>, UnitState>,
    replication: usize,
    candidate: Option<&Candidate>,
    key: &Key,
) -> u64 {
    let position = units.get(&key.0).and_then(|unit| unit.position);
    let (Some(position), Some(candidate)) = (position, candidate) else { return u64::MAX };
    let behind = (position + 1).saturating_sub(replication) as u64;
    let turn_ms = candidate.seen_ms.saturating_add(behind.saturating_mul(TAKEOVER_MS));
    turn_ms.max(candidate.not_before_ms)
}

#[cfg(test)]
mod tests;
