//! What a node does by itself: asks those that ought to be members, says how it does, passes news on.

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::BufMut;
use rand::RngExt as _;
use weir_record::limits::{
    GOSSIP_ANNOUNCE_MS, GOSSIP_ANNOUNCES_MAX, GOSSIP_PLACES_ASKED, GOSSIP_REFRESH_MS_MIN, GOSSIP_SPREAD_MS,
    GOSSIP_SPREAD_NODES, GOSSIP_WELCOME_DATAGRAMS_MAX,
};

use crate::envelope::BODY_BYTES_MAX;
use crate::identity::Identity;
use crate::membership::{Membership, Now};
use crate::notice::Notice;
use crate::record::{Record, What, put_record};
use crate::reject::Reason;
use crate::spread::Key;
use crate::view::{State, refresh_ms};

/// Rounds in which the advertised address may stay silent before that is told.
const SILENT_ROUNDS_MAX: u32 = 3;
/// Kinds of trouble beside the reasons.
const RIVALS: u8 = Reason::ALL.len() as u8;
const UNREACHED: u8 = RIVALS + 1;

/// When what is next, in monotonic milliseconds.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) announce_ms: u64,
    refresh_ms: u64,
    refreshed_ms: u64,
    spread_ms: Option<u64>,
    unheard: u32,
}

impl Rounds {
    pub(crate) fn new(ms: u64) -> Rounds {
        Rounds { announce_ms: ms, refresh_ms: ms, refreshed_ms: ms, spread_ms: None, unheard: 0 }
    }

    /// There is something to say about this node.
    pub(crate) fn refresh_soon(&mut self, ms: u64) {
        let soonest = (self.refreshed_ms + GOSSIP_REFRESH_MS_MIN).max(ms);
        self.refresh_ms = self.refresh_ms.min(soonest);
    }

    /// There is news to pass on.
    pub(crate) fn spread_soon(&mut self, ms: u64) {
        self.spread_ms.get_or_insert(ms);
    }
}

impl Membership {
    /// When [`Membership::tick`] has something to do, in monotonic milliseconds.
    pub fn due_ms(&self) -> u64 {
        let own = self.rounds.announce_ms.min(self.rounds.refresh_ms);
        let timer = self.timers.keys().next().map(|(due, _)| *due);
        [timer, self.rounds.spread_ms].into_iter().flatten().fold(own, u64::min)
    }

    /// Does what is due, in the order in which it was to be done.
    pub fn tick(&mut self, now: Now) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now.ms) {
            let timer = entry.remove();
            let handled = self.swim.timer(timer);
            self.done(&handled, None, now);
        }
        if self.rounds.announce_ms <= now.ms {
            self.announce(now);
            let jitter = self.rng.random_range(0..GOSSIP_ANNOUNCE_MS / 10);
            self.rounds.announce_ms = now.ms + GOSSIP_ANNOUNCE_MS - jitter;
        }
        if self.rounds.refresh_ms <= now.ms {
            self.refresh(now);
        }
        if self.rounds.spread_ms.is_some_and(|due| due <= now.ms) {
            self.pass_on(now);
        }
    }

    /// Asks every address that ought to be a member and is not. Without end: a node that was away for a year is a member
    /// within seconds of its return, and so are the two halves of a cluster after they were apart. Of a member whose
    /// place is not known others are asked.
    fn announce(&mut self, now: Now) {
        let own = self.swim.identity();
        let active: Vec<SocketAddr> = self.swim.active().map(|identity| identity.addr).collect();
        let away = self.view.known.values().filter(|known| known.state == State::Down);
        let mut missing: Vec<SocketAddr> =
            self.seeds.iter().copied().chain(away.filter_map(|known| known.addr)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|addr| *addr != own.addr && !self.aliases.contains(addr) && !active.contains(addr));
        while missing.len() > GOSSIP_ANNOUNCES_MAX {
            let drawn = self.rng.random_range(0..missing.len());
            missing.swap_remove(drawn);
        }
        if self.view.has_unplaced(now.unix_ms) {
            // Each knows the places of all, and tells those that fit a datagram.
            let mut others = active;
            for _ in 0..GOSSIP_PLACES_ASKED.min(others.len()) {
                let drawn = self.rng.random_range(0..others.len());
                missing.push(others.swap_remove(drawn));
            }
        }
        for addr in missing {
            let announced = self.swim.announce(Identity::anybody(addr));
            self.done(&announced, None, now);
        }
        self.look_after_itself(own, now);
        self.view.expire(now.unix_ms);
    }

    /// Sees whether this node can be reached, and whether any node is there twice.
    fn look_after_itself(&mut self, own: Identity, now: Now) {
        if !self.is_reached {
            self.rounds.unheard += 1;
            if self.rounds.unheard > SILENT_ROUNDS_MAX && self.may_tell(UNREACHED, now) {
                self.notices.push(Notice::Unreached { addr: own.addr });
            }
            self.seal(own.addr, &0_u16.to_le_bytes(), now);
        }
        let rivals: Vec<Notice> = self.view.rivals(now.ms).collect();
        if !rivals.is_empty() && self.may_tell(RIVALS, now) {
            self.notices.extend(rivals);
        }
    }

    /// Says how this node does.
    pub(crate) fn refresh(&mut self, now: Now) {
        self.sequence = now.unix_ms.max(self.sequence + 1);
        let record = self.own_record();
        self.spread.add(Key::About(record.node), record.encode());
        self.rounds.refreshed_ms = now.ms;
        let nodes = self.view.known.len() + 1;
        self.rounds.refresh_ms = now.ms + refresh_ms(nodes);
        self.rounds.spread_soon(now.ms);
    }

    fn own_record(&self) -> Record {
        let Identity { node, bump, .. } = self.swim.identity();
        Record { node, bump, sequence: self.sequence, what: What::About(self.own.clone()) }
    }

    /// Sends news to some members.
    fn pass_on(&mut self, now: Now) {
        self.rounds.spread_ms = None;
        let mut active: Vec<SocketAddr> = self.swim.active().map(|identity| identity.addr).collect();
        if active.is_empty() {
            // It goes with the announcements, and again when somebody comes.
            return;
        }
        active.sort_unstable();
        for _ in 0..GOSSIP_SPREAD_NODES {
            if active.is_empty() || self.spread.is_empty() {
                break;
            }
            let drawn = self.rng.random_range(0..active.len());
            let to = active.swap_remove(drawn);
            self.send(to, &[], now);
        }
        if !self.spread.is_empty() {
            self.rounds.spread_ms = Some(now.ms + GOSSIP_SPREAD_MS);
        }
    }

    /// Tells one that asks to be a member, or that asks a member for others now and then, all that is known: what it has
    /// missed is made good.
    pub(crate) fn welcome(&mut self, to: SocketAddr, now: Now) {
        let known = self.view.known.iter().filter_map(|(node, known)| known.record(*node));
        let gone = self.view.gone.iter().map(|(node, gone)| Record {
            node: *node,
            bump: gone.bump,
            sequence: gone.at_ms,
            what: What::Gone(gone.why),
        });
        let records: Vec<Record> = core::iter::once(self.own_record()).chain(gone).chain(known).collect();
        let mut bodies = Vec::new();
        let mut body = Vec::new();
        for record in &records {
            let bytes = record.encode();
            if 2 + body.len() + 2 + bytes.len() > BODY_BYTES_MAX {
                bodies.push(core::mem::take(&mut body));
            }
            put_record(&mut body, &bytes);
        }
        bodies.push(body);
        for records in bodies.iter().take(GOSSIP_WELCOME_DATAGRAMS_MAX) {
            let mut body = Vec::with_capacity(records.len() + 2);
            body.put_u16_le(0);
            body.put_slice(records);
            self.seal(to, &body, now);
        }
    }

    /// Tells every member at once: there is no time left for news to go around.
    pub(crate) fn tell_all(&mut self, record: &Record, now: Now) {
        let active: Vec<SocketAddr> = self.swim.active().map(|identity| identity.addr).collect();
        let mut body = Vec::new();
        body.put_u16_le(0);
        put_record(&mut body, &record.encode());
        for to in active.into_iter().take(GOSSIP_ANNOUNCES_MAX) {
            self.seal(to, &body, now);
        }
    }
}
