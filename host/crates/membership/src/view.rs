//! The members: those that are up, those that ought to be, and those that are gone for good.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::SocketAddr;

use weir_record::limits::{
    GOSSIP_GONE_MAX, GOSSIP_GONE_MS, GOSSIP_REFRESH_MS, GOSSIP_REFRESH_NODES, GOSSIP_RIVAL_MS,
    GOSSIP_STALE_PERIODS, KNOWN_NODES_MAX,
};

use crate::identity::Identity;
use crate::membership::Now;
use crate::notice::Notice;
use crate::record::{About, Record, What, Why};

/// How a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// It has not answered of late, and may yet.
    Suspect,
    /// It does not answer.
    Down,
}

/// A member, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id of the node.
    pub node: u64,
    /// Where it takes datagrams; `None` when only others have told of it.
    pub addr: Option<SocketAddr>,
    /// How it does.
    pub state: State,
    /// Since when it is up or down, in Unix milliseconds.
    pub since_ms: u64,
    /// When a datagram of it came last, in Unix milliseconds.
    pub heard_ms: Option<u64>,
    /// What it has said of itself last.
    pub about: Option<About>,
    /// Whether that is so old that load and space are no hint any more.
    pub is_stale: bool,
    /// Another live node with the same id.
    pub rival: Option<SocketAddr>,
}

/// A node that is no longer expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Up to which process of the node this counts.
    pub bump: u64,
    /// When it was said, in Unix milliseconds.
    pub at_ms: u64,
    /// Why.
    pub why: Why,
}

/// What is remembered of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) bump: u64,
    /// Up or down.
    pub(crate) state: State,
    pub(crate) since_ms: u64,
    pub(crate) heard_ms: Option<u64>,
    pub(crate) said: Option<Said>,
    /// Another live identity of the node, and since when (monotonic).
    rival: Option<(SocketAddr, u64)>,
}

/// What a node has said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) bump: u64,
    pub(crate) sequence: u64,
    pub(crate) about: About,
    /// When it came, in Unix milliseconds of this node.
    pub(crate) at_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) known: BTreeMap<u64, Known>,
    pub(crate) gone: BTreeMap<u64, Gone>,
    /// Another live node with the id of this one, and since when (monotonic).
    own_rival: Option<(SocketAddr, u64)>,
    /// Counts up with every change of what others act on.
    pub(crate) revision: u64,
}

impl Known {
    /// A member that is not up.
    pub(crate) fn away(bump: u64, since_ms: u64) -> Known {
        Known { addr: None, bump, state: State::Down, since_ms, heard_ms: None, said: None, rival: None }
    }

    pub(crate) fn record(&self, node: u64) -> Option<Record> {
        let Said { bump, sequence, about, .. } = self.said.as_ref()?;
        Some(Record { node, bump: *bump, sequence: *sequence, what: What::About(about.clone()) })
    }

    fn is_up(&self) -> bool {
        self.state != State::Down
    }
}

impl View {
    /// Follows the members that the protocol knows as active; `own` is this node. Whether one has come.
    pub(crate) fn sync(
        &mut self,
        active: impl Iterator<Item = Identity>,
        own: Identity,
        now: Now,
        notices: &mut Vec<Notice>,
    ) -> bool {
        let mut by_node: BTreeMap<u64, Vec<Identity>> = BTreeMap::new();
        for identity in active {
            if self.gone.get(&identity.node).is_none_or(|gone| gone.bump < identity.bump) {
                by_node.entry(identity.node).or_default().push(identity);
            }
        }
        // An earlier process of this node under another address, or a node with a copied data directory.
        let double = by_node.remove(&own.node).and_then(|all| all.first().map(|identity| identity.addr));
        self.own_rival = double.map(|addr| rival(self.own_rival, addr, now.ms));
        for (node, known) in &mut self.known {
            if known.is_up() && !by_node.contains_key(node) {
                known.state = State::Down;
                known.since_ms = now.unix_ms;
                known.rival = None;
                self.revision += 1;
                notices.push(Notice::Down { node: *node, addr: known.addr });
            }
        }
        let mut has_come = false;
        for (node, mut identities) in by_node {
            identities.sort_unstable_by_key(|identity| core::cmp::Reverse((identity.bump, identity.addr)));
            has_come |= self.is_active(node, &identities, now, notices);
        }
        has_come
    }

    fn is_active(&mut self, node: u64, identities: &[Identity], now: Now, notices: &mut Vec<Notice>) -> bool {
        let Some(identity) = identities.first() else { return false };
        if !self.has_room_for(node) {
            return false;
        }
        self.gone.remove(&node);
        let known = self.known.entry(node).or_insert_with(|| Known::away(identity.bump, now.unix_ms));
        let has_come = !known.is_up();
        if has_come {
            known.since_ms = now.unix_ms;
            notices.push(Notice::Up { node, addr: identity.addr });
        }
        let other = identities.get(1).map(|other| other.addr);
        let rival = other.map(|addr| rival(known.rival, addr, now.ms));
        let after = (Some(identity.addr), known.bump.max(identity.bump), State::Up, rival);
        if has_come || after != (known.addr, known.bump, known.state, known.rival) {
            (known.addr, known.bump, known.state, known.rival) = after;
            self.revision += 1;
        }
        has_come
    }

    /// Nodes that are there twice: not those that have just moved.
    pub(crate) fn rivals(&self, ms: u64) -> impl Iterator<Item = Notice> + '_ {
        let lasting = move |rival: Option<(SocketAddr, u64)>| {
            rival.filter(|(_, since)| ms.saturating_sub(*since) >= GOSSIP_RIVAL_MS).map(|(addr, _)| addr)
        };
        let others = self.known.iter().filter_map(move |(node, known)| {
            Some(Notice::Rivals { node: *node, counts: known.addr?, other: lasting(known.rival)? })
        });
        others.chain(lasting(self.own_rival).map(|addr| Notice::OwnId { addr }))
    }

    /// Whether there is a member of which others have told, not long ago, and nobody where it is: the news that it is up
    /// has missed this node. In a large cluster it would take minutes until that is heard by chance.
    pub(crate) fn has_unplaced(&self, unix_ms: u64) -> bool {
        let stale_ms = GOSSIP_STALE_PERIODS * refresh_ms(self.known.len());
        // The sequence is the time at which the member said it.
        let is_fresh = |said: &Said| unix_ms.saturating_sub(said.sequence) <= stale_ms;
        let is_unplaced = |known: &Known| !known.is_up() && known.addr.is_none();
        self.known.values().any(|known| is_unplaced(known) && known.said.as_ref().is_some_and(is_fresh))
    }

    fn has_room_for(&self, node: u64) -> bool {
        self.known.len() < KNOWN_NODES_MAX || self.known.contains_key(&node)
    }

    /// A datagram of a node has come.
    pub(crate) fn heard(&mut self, node: u64, unix_ms: u64) {
        if let Some(known) = self.known.get_mut(&node) {
            known.heard_ms = Some(unix_ms);
        }
    }

    /// What a node has said of itself; whether that is new.
    pub(crate) fn said(&mut self, record: &Record, about: &About, now: Now) -> bool {
        let Record { node, bump, sequence, .. } = *record;
        if self.gone.get(&node).is_some_and(|gone| gone.bump >= bump) || !self.has_room_for(node) {
            return false;
        }
        self.gone.remove(&node);
        let mut is_new = !self.known.contains_key(&node);
        let known = self.known.entry(node).or_insert_with(|| Known::away(bump, now.unix_ms));
        if known.said.as_ref().is_some_and(|said| (said.bump, said.sequence) >= (bump, sequence)) {
            return false;
        }
        is_new |= known.said.as_ref().is_none_or(|said| said.about != *about);
        known.said = Some(Said { bump, sequence, about: about.clone(), at_ms: now.unix_ms });
        if is_new {
            self.revision += 1;
        }
        true
    }

    /// A node is gone, as far as the process with this bump; whether that is news.
    pub(crate) fn leave(&mut self, node: u64, gone: Gone, notices: &mut Vec<Notice>) -> bool {
        if self.gone.get(&node).is_some_and(|known| known.bump >= gone.bump) {
            return false;
        }
        let newest = |known: &Known| known.bump.max(known.said.as_ref().map_or(0, |said| said.bump));
        if self.known.get(&node).is_some_and(|known| newest(known) > gone.bump) {
            // It has come back since.
            return false;
        }
        if self.known.remove(&node).is_some() {
            notices.push(Notice::Gone { node, why: gone.why });
        }
        if self.gone.len() >= GOSSIP_GONE_MAX {
            let oldest = self.gone.iter().min_by_key(|(_, gone)| gone.at_ms).map(|(node, _)| *node);
            oldest.map(|node| self.gone.remove(&node));
        }
        self.gone.insert(node, gone);
        self.revision += 1;
        true
    }

    /// Forgets what was gone long ago.
    pub(crate) fn expire(&mut self, unix_ms: u64) {
        self.gone.retain(|_, gone| unix_ms.saturating_sub(gone.at_ms) < GOSSIP_GONE_MS);
    }

    /// All but this node; `suspects` are the addresses of those that have not answered of late.
    pub(crate) fn members(
        &self,
        now: Now,
        suspects: BTreeSet<SocketAddr>,
    ) -> impl Iterator<Item = Member> + '_ {
        let stale_ms = GOSSIP_STALE_PERIODS * refresh_ms(self.known.len());
        self.known.iter().map(move |(node, known)| Member {
            node: *node,
            addr: known.addr,
            state: match known.state {
                State::Up if known.addr.is_some_and(|addr| suspects.contains(&addr)) => State::Suspect,
                state => state,
            },
            since_ms: known.since_ms,
            heard_ms: known.heard_ms,
            about: known.said.as_ref().map(|said| said.about.clone()),
            is_stale: known
                .said
                .as_ref()
                .is_none_or(|said| now.unix_ms.saturating_sub(said.at_ms) > stale_ms),
            rival: known.rival.map(|(addr, _)| addr),
        })
    }
}

/// The same one as before, or one that is there from now on.
fn rival(before: Option<(SocketAddr, u64)>, addr: SocketAddr, ms: u64) -> (SocketAddr, u64) {
    before.filter(|(known, _)| *known == addr).unwrap_or((addr, ms))
}

/// How often each of so many nodes says how it does.
pub(crate) fn refresh_ms(nodes: usize) -> u64 {
    (GOSSIP_REFRESH_MS * nodes as u64 / GOSSIP_REFRESH_NODES).max(GOSSIP_REFRESH_MS)
}
