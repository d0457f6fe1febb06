//! The state machine: datagrams and times in, datagrams and members out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::BufMut;
use foca::{Codec as _, Message, Timer};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::codec::{Codec, u16};
use crate::envelope::{Envelope, Key};
use crate::identity::Identity;
use crate::memory::Memory;
use crate::notice::Notice;
use crate::rate::Rate;
use crate::record::{About, Record, What, Why, read_records};
use crate::reject::{Reason, Tally};
use crate::replay::Replay;
use crate::rounds::Rounds;
use crate::spread::{Key as NewsKey, Spread};
use crate::swim::Swim;
use crate::view::{Gone, Member, State, View};

/// Two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back, from any beginning.
    pub ms: u64,
    /// Unix milliseconds.
    pub unix_ms: u64,
}

/// What a process begins with.
pub struct Setup {
    /// Who it is.
    pub identity: Identity,
    /// The name of its cluster.
    pub cluster: String,
    /// Keys: the first seals, all open. None: nothing is secret, so the socket must not leave the machine.
    pub keys: Vec<Key>,
    /// Drawn from the system's entropy by every process: with a key it is half of what keeps secrets.
    pub process: u128,
    /// For everything that is drawn later and is no secret.
    pub seed: u64,
    /// What it says of itself.
    pub about: About,
    /// What the process before it remembered.
    pub memory: Memory,
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Where.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// A node that cannot be forgotten. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// Nobody knows it.
    #[error("no member has the id {0:016x}")]
    Unknown(u64),
    /// It answers.
    #[error("the node {0:016x} is up")]
    Up(u64),
    /// It is this one.
    #[error("the node {0:016x} is the one that was asked")]
    Own(u64),
}

/// A node's part in the gossip of its cluster.
///
/// After every call [`Membership::datagrams`] has what to send, and [`Membership::due_ms`] says when to call
/// [`Membership::tick`] at the latest.
pub struct Membership {
    pub(crate) swim: Swim,
    pub(crate) envelope: Envelope,
    pub(crate) rng: SmallRng,
    pub(crate) view: View,
    pub(crate) spread: Spread,
    pub(crate) rounds: Rounds,
    /// Timers of the protocol: when, in which order they were set, which.
    pub(crate) timers: BTreeMap<(u64, u64), Timer<Identity>>,
    timers_set: u64,
    /// What this node says of itself.
    pub(crate) own: About,
    pub(crate) sequence: u64,
    /// Addresses that the configuration names.
    pub(crate) seeds: BTreeSet<SocketAddr>,
    /// Addresses under which this node has reached itself.
    pub(crate) aliases: BTreeSet<SocketAddr>,
    /// A datagram to the advertised address has arrived.
    pub(crate) is_reached: bool,
    rate: Rate,
    replay: Replay,
    tally: Tally,
    pub(crate) notices: Vec<Notice>,
    /// When trouble of a kind was told last.
    told: BTreeMap<u8, u64>,
    outgoing: Vec<Datagram>,
}

impl Membership {
    /// A node that begins to ask for others at once. `about` must fit ([`About::fits`]).
    pub fn new(setup: Setup, now: Now) -> Membership {
        assert!(setup.about.fits(), "checked with the configuration");
        let mut view = View::default();
        setup.memory.restore(&mut view, setup.identity.node);
        let mut membership = Membership {
            swim: Swim::new(setup.identity, setup.seed),
            envelope: Envelope::new(&setup.cluster, &setup.keys, setup.process),
            rng: SmallRng::seed_from_u64(setup.seed.rotate_left(32)),
            view,
            spread: Spread::default(),
            rounds: Rounds::new(now.ms),
            timers: BTreeMap::new(),
            timers_set: 0,
            own: setup.about,
            sequence: 0,
            seeds: BTreeSet::new(),
            aliases: BTreeSet::new(),
            is_reached: false,
            rate: Rate::default(),
            replay: Replay::default(),
            tally: Tally::default(),
            notices: Vec::new(),
            told: BTreeMap::new(),
            outgoing: Vec::new(),
        };
        membership.refresh(now);
        membership
    }

    /// The addresses to begin with, as far as their names could be resolved this time.
    pub fn set_seeds(&mut self, seeds: impl IntoIterator<Item = SocketAddr>, now: Now) {
        let before = core::mem::replace(&mut self.seeds, seeds.into_iter().collect());
        if !self.seeds.is_subset(&before) {
            self.rounds.announce_ms = now.ms;
        }
    }

    /// What this node says of itself from now on; it must fit.
    pub fn describe(&mut self, about: About, now: Now) {
        assert!(about.fits(), "checked with the configuration");
        if about != self.own {
            self.own = about;
            self.rounds.refresh_soon(now.ms);
        }
    }

    /// Takes a datagram. One that is dropped changes nothing but the counts.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Now) {
        if let Err(reason) = self.take(from, datagram, now) {
            self.reject(reason, from, now);
        }
    }

    /// What to send, in this order. Empty afterwards.
    pub fn datagrams(&mut self) -> Vec<Datagram> {
        core::mem::take(&mut self.outgoing)
    }

    /// What to tell the operator. Empty afterwards.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    /// This node, as others know it now.
    pub fn identity(&self) -> Identity {
        self.swim.identity()
    }

    /// What this node says of itself.
    pub fn about(&self) -> &About {
        &self.own
    }

    /// The other members: those that are up, and those that ought to be. In the order of their ids.
    pub fn members(&self, now: Now) -> impl Iterator<Item = Member> + '_ {
        self.view.members(now, self.swim.suspects().map(|identity| identity.addr).collect())
    }

    /// Nodes that are no longer expected, and why.
    pub fn gone(&self) -> impl Iterator<Item = (u64, Gone)> + '_ {
        self.view.gone.iter().map(|(node, gone)| (*node, *gone))
    }

    /// Counts up whenever members have come, gone, or said something else of themselves than before.
    pub fn revision(&self) -> u64 {
        self.view.revision
    }

    /// What the next process of this node should know.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.view, self.swim.identity().bump)
    }

    /// How many datagrams, or records in them, were dropped for each reason.
    pub fn rejected(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.tally.iter()
    }

    /// An operator says that a node will not come back. `force` forgets it although it answers: it is a member again as
    /// soon as it hears of that.
    pub fn forget(&mut self, node: u64, force: bool, now: Now) -> Result<(), ForgetError> {
        if node == self.swim.identity().node {
            return Err(ForgetError::Own(node));
        }
        let known = self.view.known.get(&node).ok_or(ForgetError::Unknown(node))?;
        if known.state != State::Down && !force {
            return Err(ForgetError::Up(node));
        }
        let bump = known.bump.max(known.said.as_ref().map_or(0, |said| said.bump));
        let gone = Gone { bump, at_ms: now.unix_ms, why: Why::Forgotten };
        self.is_gone(node, gone);
        Ok(())
    }

    /// Says good-bye. With `is_empty` this node has nothing that others lack, and is not expected any more; else it says
    /// that it was stopped. To be called twice with a pause, for datagrams may be lost; nothing else is called after.
    pub fn leave(&mut self, is_empty: bool, now: Now) {
        self.own.stopped = !is_empty;
        self.refresh(now);
        let Identity { node, bump, .. } = self.swim.identity();
        let what = if is_empty { What::Gone(Why::Left) } else { What::About(self.own.clone()) };
        let record = Record { node, bump, sequence: self.sequence, what };
        self.tell_all(&record, now);
        let left = self.swim.leave();
        self.done(&left, None, now);
    }

    fn take(&mut self, from: SocketAddr, datagram: &[u8], now: Now) -> Result<(), Reason> {
        if !self.rate.admit(from.ip(), now.ms) {
            return Err(Reason::Rate);
        }
        let opened = self.envelope.open(datagram)?;
        let mut rest = opened.body.as_slice();
        let length = usize::from(u16(&mut rest).map_err(|_| Reason::Malformed)?);
        let (message, records) = rest.split_at_checked(length).ok_or(Reason::Malformed)?;
        if opened.process == self.envelope.process() {
            self.is_own(message);
            return Err(Reason::Own);
        }
        self.replay.take(opened.process, opened.counter, opened.clock_ms, now.unix_ms)?;
        // All of it is read before any of it counts.
        let records = read_records(records)?;
        if !message.is_empty() {
            self.message(from, message, now)?;
        }
        for record in records {
            match record {
                Ok(record) => self.record(&record, now),
                Err(reason) => self.reject(reason, from, now),
            }
        }
        Ok(())
    }

    /// A message of the protocol.
    fn message(&mut self, from: SocketAddr, message: &[u8], now: Now) -> Result<(), Reason> {
        let mut rest = message;
        let mut header = Codec.decode_header(&mut rest).map_err(|_| Reason::Malformed)?;
        let own = self.swim.identity();
        let mut addressed = Vec::new();
        let mut message = message;
        if header.dst.addr == own.addr {
            self.is_reached = true;
        } else if header.message == Message::Announce && header.dst.is_anybody() {
            // It has come here, by whatever name or address its sender knows this node.
            header.dst = Identity::anybody(own.addr);
            Codec.encode_header(&header, &mut addressed).map_err(|_| Reason::Malformed)?;
            message = &addressed;
        } else {
            return Err(Reason::Astray);
        }
        let received = self.swim.receive(message);
        // What it hears of this is answered by gossip, and gossip is not answered: no two suspects talk for ever.
        if header.message != Message::Gossip {
            self.swim.tell_suspect(header.src);
        }
        self.done(&received, Some(from), now);
        self.view.heard(header.src.node, now.unix_ms);
        if header.message == Message::Announce {
            self.welcome(header.src.addr, now);
        }
        Ok(())
    }

    /// This node has sent it: to its advertised address, or to a seed that turns out to be itself.
    fn is_own(&mut self, message: &[u8]) {
        let mut rest = message;
        if message.is_empty() {
            self.is_reached = true;
        } else if let Ok(header) = Codec.decode_header(&mut rest)
            && self.seeds.contains(&header.dst.addr)
        {
            self.aliases.insert(header.dst.addr);
        }
    }

    fn record(&mut self, record: &Record, now: Now) {
        let own = self.swim.identity();
        match &record.what {
            // What earlier processes of this node have said is still going around.
            What::About(_) if record.node == own.node => {}
            What::About(about) => {
                if self.view.said(record, about, now) {
                    self.spread.add(NewsKey::About(record.node), record.encode());
                    self.rounds.spread_soon(now.ms);
                }
            }
            What::Gone(_) if record.node == own.node => {
                if record.bump >= own.bump {
                    // It is not: it was forgotten while it was silent, or by mistake.
                    let renewed = self.swim.renew();
                    self.done(&renewed, None, now);
                    self.notices.push(Notice::Renewed);
                    self.rounds.refresh_soon(now.ms);
                }
            }
            What::Gone(why) => {
                self.is_gone(record.node, Gone { bump: record.bump, at_ms: record.sequence, why: *why });
                self.rounds.spread_soon(now.ms);
            }
        }
    }

    fn is_gone(&mut self, node: u64, gone: Gone) {
        if self.view.leave(node, gone, &mut self.notices) {
            let what = What::Gone(gone.why);
            let record = Record { node, bump: gone.bump, sequence: gone.at_ms, what };
            self.spread.cancel(NewsKey::About(node));
            self.spread.add(NewsKey::Gone(node), record.encode());
        }
    }

    /// Carries out what the protocol wants done.
    pub(crate) fn done(&mut self, result: &Result<(), foca::Error>, from: Option<SocketAddr>, now: Now) {
        if result.is_err() {
            let from = from.unwrap_or_else(|| self.swim.identity().addr);
            self.reject(Reason::Protocol, from, now);
        }
        let wanted = self.swim.take();
        for (after, timer) in wanted.timers {
            self.timers_set += 1;
            self.timers.insert((now.ms + after.as_millis() as u64, self.timers_set), timer);
        }
        for (to, message) in wanted.messages {
            self.send(to.addr, &message, now);
        }
        if wanted.has_changed {
            let own = self.swim.identity();
            if self.view.sync(self.swim.active(), own, now, &mut self.notices) {
                self.rounds.refresh_soon(now.ms);
            }
        }
    }

    /// Sends a message, and with it the news that fits.
    pub(crate) fn send(&mut self, to: SocketAddr, message: &[u8], now: Now) {
        let mut body = Vec::with_capacity(message.len() + 2);
        body.put_u16_le(message.len() as u16);
        body.put_slice(message);
        self.spread.fill(&mut body, crate::envelope::BODY_BYTES_MAX);
        self.seal(to, &body, now);
    }

    /// Seals a body and sends it.
    pub(crate) fn seal(&mut self, to: SocketAddr, body: &[u8], now: Now) {
        let bytes = self.envelope.seal(body, now.unix_ms);
        self.outgoing.push(Datagram { to, bytes });
    }

    pub(crate) fn reject(&mut self, reason: Reason, from: SocketAddr, now: Now) {
        self.tally.count(reason);
        // A node that asks itself is no trouble, and networks do repeat datagrams.
        if !matches!(reason, Reason::Own | Reason::Replayed) && self.may_tell(reason as u8, now) {
            let count = self.tally.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count);
            self.notices.push(Notice::Rejected { reason, from, count });
        }
    }

    /// Whether trouble of a kind may be told again.
    pub(crate) fn may_tell(&mut self, kind: u8, now: Now) -> bool {
        let last = self.told.get(&kind);
        let may =
            last.is_none_or(|last| now.ms.saturating_sub(*last) >= weir_record::limits::GOSSIP_NOTICE_MS);
        if may {
            self.told.insert(kind, now.ms);
        }
        may
    }
}

#[cfg(test)]
mod tests;
