//! foca, with what it wants done collected instead of carried out.

use alloc::vec::Vec;
use core::num::{NonZeroU8, NonZeroUsize};
use core::time::Duration;

use bytes::BufMut as _;
use foca::{
    Codec as _, Config, Foca, Header, Incarnation, Message, NoCustomBroadcast, Notification, PeriodicParams,
    Runtime, State, Timer,
};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::codec::Codec;
use crate::envelope::BODY_BYTES_MAX;
use crate::identity::Identity;

/// Room for a message of foca: the body without the length in front of it.
const MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX - 2;

/// The protocol, and what it wants done since that was last taken.
pub(crate) struct Swim {
    foca: Foca<Identity, Codec, SmallRng, NoCustomBroadcast>,
    wanted: Wanted,
}

/// What the protocol wants done.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Messages, with their receivers.
    pub(crate) messages: Vec<(Identity, Vec<u8>)>,
    /// Calls to [`Swim::timer`] after so long. Late is fine, lost is not.
    pub(crate) timers: Vec<(Duration, Timer<Identity>)>,
    /// Members have come, gone, or changed their identity; or this node has.
    pub(crate) has_changed: bool,
}

impl Runtime<Identity> for &mut Wanted {
    fn notify(&mut self, _: Notification<'_, Identity>) {
        self.has_changed = true;
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.messages.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        self.timers.push((after, event));
    }
}

impl Swim {
    pub(crate) fn new(identity: Identity, seed: u64) -> Swim {
        let rng = SmallRng::seed_from_u64(seed);
        Swim { foca: Foca::new(identity, config(), rng, Codec), wanted: Wanted::default() }
    }

    /// This node, as others know it now.
    pub(crate) fn identity(&self) -> Identity {
        *self.foca.identity()
    }

    /// The members that are up, suspected ones among them, without this node.
    pub(crate) fn active(&self) -> impl Iterator<Item = Identity> + '_ {
        self.foca.iter_members().map(|member| *member.id())
    }

    /// Those of them that have not answered of late.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = Identity> + '_ {
        let suspects = self.foca.iter_members().filter(|member| member.state() == State::Suspect);
        suspects.map(|member| *member.id())
    }

    pub(crate) fn take(&mut self) -> Wanted {
        core::mem::take(&mut self.wanted)
    }

    pub(crate) fn receive(&mut self, message: &[u8]) -> Result<(), foca::Error> {
        self.foca.handle_data(message, &mut self.wanted)
    }

    /// Tells a member that it is suspected, if it is, so that it can say otherwise. foca spreads a suspicion a few times:
    /// one that nobody heard would stand although the member answers.
    pub(crate) fn tell_suspect(&mut self, id: Identity) {
        let suspect = self.foca.iter_members().find(|member| *member.id() == id);
        let Some(suspect) = suspect.filter(|member| member.state() == State::Suspect) else { return };
        // The lowest incarnation: it says nothing new of this node.
        let header = Header {
            src: *self.foca.identity(),
            src_incarnation: Incarnation::default(),
            dst: id,
            message: Message::Gossip,
        };
        let mut message = Vec::new();
        let encoded = Codec.encode_header(&header, &mut message).is_ok();
        message.put_u16(1);
        if encoded && Codec.encode_member(suspect, &mut message).is_ok() {
            self.wanted.messages.push((id, message));
        }
    }

    pub(crate) fn timer(&mut self, timer: Timer<Identity>) -> Result<(), foca::Error> {
        // foca tells whom it takes for dead at the end of a suspicion, also when that has been refuted long since; and
        // two nodes that hear so at a time both take new identities, under which neither hears the other again.
        if let Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer {
            let stands = self.foca.iter_members().any(|member| {
                member.id() == member_id
                    && member.state() == State::Suspect
                    && member.incarnation() == *incarnation
            });
            if !stands {
                return Ok(());
            }
        }
        self.foca.handle_timer(timer, &mut self.wanted)
    }

    pub(crate) fn announce(&mut self, to: Identity) -> Result<(), foca::Error> {
        self.foca.announce(to, &mut self.wanted)
    }

    pub(crate) fn leave(&mut self) -> Result<(), foca::Error> {
        self.foca.leave_cluster(&mut self.wanted)
    }

    /// Goes on as a newer process of the same node.
    pub(crate) fn renew(&mut self) -> Result<(), foca::Error> {
        let renewed = foca::Identity::renew(self.foca.identity()).unwrap_or(*self.foca.identity());
        self.wanted.has_changed = true;
        self.foca.change_identity(renewed, &mut self.wanted)
    }
}

/// What was measured to suit: nodes that fall silent are down within 15 s, and a fifth of the datagrams may be lost
/// without a false alarm in an hour.
fn config() -> Config {
    const THREE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
    let every = |ms, nodes| Some(PeriodicParams { frequency: Duration::from_millis(ms), num_members: nodes });
    Config {
        probe_period: Duration::from_secs(1),
        probe_rtt: Duration::from_millis(500),
        num_indirect_probes: THREE,
        max_transmissions: NonZeroU8::MIN.saturating_add(9),
        suspect_to_down_after: Duration::from_secs(10),
        // Addresses may come from a pool, so none is kept for ever.
        remove_down_after: Some(Duration::from_hours(24)),
        max_packet_size: NonZeroUsize::MIN.saturating_add(MESSAGE_BYTES_MAX - 1),
        notify_down_members: true,
        periodic_announce: every(10_000, NonZeroUsize::MIN),
        periodic_announce_to_down_members: every(15_000, NonZeroUsize::MIN.saturating_add(1)),
        periodic_gossip: every(200, THREE),
    }
}
