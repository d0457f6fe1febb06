//! Nodes, the network between them, and a clock that only moves from one event to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use weir_membership::{About, Identity, Key, Membership, Memory, Notice, Now, Setup, State};

/// When the worlds begin: a Unix time after 2020, in milliseconds.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Lost and doubled, in percent.
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    /// Time on the way, at most.
    pub(crate) late_ms: u64,
}

impl Weather {
    pub(crate) const FINE: Weather = Weather { lost: 0, doubled: 0, late_ms: 2 };
    pub(crate) const ROUGH: Weather = Weather { lost: 5, doubled: 2, late_ms: 40 };
}

pub(crate) struct World {
    pub(crate) ms: u64,
    pub(crate) weather: Weather,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: fastrand::Rng,
    /// Ways that are closed, from one node to another.
    cut: BTreeSet<(usize, usize)>,
    /// What is on its way: when it arrives, in which order it was sent.
    wire: BTreeMap<(u64, u64), (SocketAddr, usize, Vec<u8>)>,
    sent: u64,
    /// Bytes that were sent.
    pub(crate) bytes: u64,
    /// Of everything that has happened.
    pub(crate) trace: u64,
    /// A copy of every datagram.
    pub(crate) tap: Vec<(SocketAddr, Vec<u8>)>,
    /// Further addresses of nodes.
    pub(crate) aliases: BTreeMap<SocketAddr, usize>,
    /// What nodes have told.
    pub(crate) notices: Vec<(usize, Notice)>,
}

pub(crate) struct Node {
    pub(crate) core: Option<Membership>,
    pub(crate) memory: Memory,
    pub(crate) addr: SocketAddr,
    pub(crate) id: u64,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) keys: Vec<u8>,
    pub(crate) cluster: &'static str,
    /// What its clock is ahead, in milliseconds.
    pub(crate) ahead_ms: u64,
}

pub(crate) fn addr(index: usize) -> SocketAddr {
    format!("10.0.{}.{}:7659", index / 250, index % 250 + 1).parse().unwrap()
}

pub(crate) fn about(index: usize) -> About {
    let store = index % 2 == 1;
    About { url: format!("http://n{index}:7650"), store, ingest: !store, ..About::default() }
}

impl World {
    /// So many nodes, none of them started. All know the first one's address, and the second one's.
    pub(crate) fn new(nodes: usize, seed: u64) -> World {
        let nodes = (0..nodes).map(|index| Node {
            core: None,
            memory: Memory::default(),
            addr: addr(index),
            id: 100 + index as u64,
            seeds: vec![addr(0), addr(1)],
            keys: vec![1],
            cluster: "test",
            ahead_ms: 0,
        });
        World {
            ms: 0,
            weather: Weather::ROUGH,
            nodes: nodes.collect(),
            rng: fastrand::Rng::with_seed(seed),
            cut: BTreeSet::new(),
            wire: BTreeMap::new(),
            sent: 0,
            bytes: 0,
            trace: seed,
            tap: Vec::new(),
            aliases: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    pub(crate) fn now(&self, index: usize) -> Now {
        Now { ms: self.ms, unix_ms: BEGIN_MS + self.ms + self.nodes[index].ahead_ms }
    }

    pub(crate) fn start(&mut self, index: usize) {
        let now = self.now(index);
        let (process, seed) = (self.rng.u128(..), self.rng.u64(..));
        let node = &mut self.nodes[index];
        let setup = Setup {
            identity: Identity::new(node.addr, node.id, node.memory.bump, now.unix_ms),
            cluster: node.cluster.into(),
            keys: node.keys.iter().map(|id| Key { id: *id, secret: [*id; 32] }).collect(),
            process,
            seed,
            about: about(index),
            memory: node.memory.clone(),
        };
        let mut core = Membership::new(setup, now);
        core.set_seeds(node.seeds.iter().copied(), now);
        node.core = Some(core);
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.start(index));
    }

    /// Ends a process; what it remembers is what was last written.
    pub(crate) fn kill(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let Some(core) = node.core.take() {
            // By way of its bytes.
            node.memory = Memory::decode(&core.memory().encode()).unwrap();
        }
    }

    pub(crate) fn core(&mut self, index: usize) -> &mut Membership {
        self.nodes[index].core.as_mut().unwrap()
    }

    /// Closes the ways between those for which `apart` says so.
    pub(crate) fn cut(&mut self, apart: impl Fn(usize, usize) -> bool) {
        let all = self.nodes.len();
        self.cut = (0..all)
            .flat_map(|from| (0..all).map(move |to| (from, to)))
            .filter(|(from, to)| apart(*from, *to))
            .collect();
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, for_ms: u64) {
        self.run_until(for_ms, |_| false);
    }

    /// Lets time pass until something holds, and says how long that took; `None` when it does not come to be in time.
    pub(crate) fn run_until(&mut self, for_ms: u64, holds: impl Fn(&World) -> bool) -> Option<u64> {
        let (begin, end) = (self.ms, self.ms + for_ms);
        loop {
            if holds(self) {
                return Some(self.ms - begin);
            }
            (0..self.nodes.len()).for_each(|index| self.pump(index));
            let arrival = self.wire.keys().next().map_or(u64::MAX, |(at, _)| *at);
            let cores = self.nodes.iter().filter_map(|node| node.core.as_ref());
            let due = cores.map(Membership::due_ms).min().unwrap_or(u64::MAX).max(self.ms);
            if arrival.min(due) > end {
                self.ms = end;
                return None;
            }
            self.ms = arrival.min(due).max(self.ms);
            if arrival <= due {
                self.deliver();
            } else {
                self.tick();
            }
        }
    }

    fn tick(&mut self) {
        for index in 0..self.nodes.len() {
            let now = self.now(index);
            if let Some(core) = self.nodes[index].core.as_mut().filter(|core| core.due_ms() <= now.ms) {
                core.tick(now);
                self.note(index as u64);
            }
        }
    }

    fn deliver(&mut self) {
        let Some((_, (to, from, bytes))) = self.wire.pop_first() else { return };
        let alias = self.aliases.get(&to).copied();
        let Some(index) = alias.or_else(|| self.nodes.iter().position(|node| node.addr == to)) else {
            return;
        };
        if self.cut.contains(&(from, index)) {
            return;
        }
        let (now, from) = (self.now(index), self.nodes[from].addr);
        if let Some(core) = &mut self.nodes[index].core {
            core.receive(from, &bytes, now);
            self.note(bytes.len() as u64);
        }
    }

    /// Puts on the wire what a node wants to send.
    fn pump(&mut self, index: usize) {
        let Some(core) = &mut self.nodes[index].core else { return };
        self.notices.extend(core.notices().into_iter().map(|notice| (index, notice)));
        for datagram in core.datagrams() {
            self.bytes += datagram.bytes.len() as u64;
            self.send(index, datagram.to, &datagram.bytes);
            self.tap.push((datagram.to, datagram.bytes));
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, bytes: &[u8]) {
        if self.rng.u32(0..100) < self.weather.lost {
            return;
        }
        for _ in 0..=u32::from(self.rng.u32(0..100) < self.weather.doubled) {
            self.sent += 1;
            let at = self.ms + 1 + self.rng.u64(0..self.weather.late_ms);
            self.wire.insert((at, self.sent), (to, from, bytes.to_vec()));
        }
    }

    fn note(&mut self, what: u64) {
        for number in [self.ms, what] {
            self.trace = (self.trace ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
        }
    }

    /// The members that a node takes for up, by id.
    pub(crate) fn up(&self, index: usize) -> Vec<u64> {
        let Some(core) = &self.nodes[index].core else { return Vec::new() };
        core.members(self.now(index)).filter(|member| member.state != State::Down).map(|m| m.node).collect()
    }

    /// Whether every running node knows every other one, with all that it says of itself.
    pub(crate) fn is_whole(&self) -> bool {
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.nodes[*index].core.is_some()).collect();
        running.iter().all(|index| {
            let core = self.nodes[*index].core.as_ref().unwrap();
            let members: Vec<_> = core.members(self.now(*index)).collect();
            running.iter().filter(|other| *other != index).all(|other| {
                members.iter().any(|member| {
                    member.node == self.nodes[*other].id
                        && member.state == State::Up
                        && member.about.as_ref() == Some(&about(*other))
                })
            })
        })
    }
}
