//! A queue of messages, as far as a plugin sees one: what was not handed over with its receipt comes again.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::amqp::{Envelope, Pull};
use crate::receipts::Receipt;
use crate::sys;
use crate::testing::world::State;

/// A message as its publisher made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Its bytes.
    pub body: Vec<u8>,
    /// What it shares with others.
    pub envelope: Envelope,
    /// Unix milliseconds, 0 for none.
    pub time_ms: u64,
    /// Empty for none.
    pub message_id: String,
}

/// The queue of one grant. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Queue {
    state: Rc<RefCell<State>>,
    grant: String,
}

impl Queue {
    pub(crate) fn new(state: Rc<RefCell<State>>, grant: &str) -> Queue {
        Queue { state, grant: grant.into() }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Broker) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let Ok(broker) = state.queue(&self.grant) else { panic!("the grant {} is gone", self.grant) };
        f(broker)
    }

    /// Puts a message at its end.
    pub fn publish(&self, message: Published) {
        self.with(|broker| broker.waiting.push_back((message, false)));
    }

    /// From now on it is a stream: messages have offsets from 0.
    pub fn make_stream(&self) {
        self.with(|broker| broker.stream = true);
    }

    /// From now on there is a place for what can never be stored.
    pub fn take_discarded(&self) {
        self.with(|broker| broker.takes_discarded = true);
    }

    /// What was discarded, and why.
    pub fn discarded(&self) -> Vec<(Published, String)> {
        self.with(|broker| broker.discarded.clone())
    }

    /// Messages whose receipts the host has, messages that were taken and not handed over, and those that wait.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.with(|broker| {
            let taken = broker.taken.values().map(Vec::len).sum();
            (broker.settled, taken, broker.waiting.len())
        })
    }

    /// What the consumer was opened behind.
    pub fn opened_after(&self) -> Option<u64> {
        self.with(|broker| broker.after)
    }
}

/// The broker's side.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    name: String,
    waiting: VecDeque<(Published, bool)>,
    taken: BTreeMap<u64, Vec<Published>>,
    discarded: Vec<(Published, String)>,
    next_tag: u64,
    next_offset: u64,
    settled: usize,
    stream: bool,
    after: Option<u64>,
    pub(crate) takes_discarded: bool,
}

impl Broker {
    pub(crate) fn new(name: &str) -> Broker {
        Broker { name: name.into(), ..Broker::default() }
    }

    pub(crate) fn open(&mut self, after: Option<u64>) {
        self.after = after;
    }

    pub(crate) fn receive(&mut self, messages_max: usize, bytes_max: usize) -> Option<Pull> {
        let (_, redelivered) = *self.waiting.front()?;
        self.next_tag += 1;
        let receipt = Receipt(sys::Receipt { grant: self.name.clone(), tag: self.next_tag });
        let mut pull = Pull {
            bodies: Vec::new(),
            ends: Vec::new(),
            envelope_of: Vec::new(),
            envelopes: Vec::new(),
            times_ms: Vec::new(),
            message_ids: Vec::new(),
            message_id_ends: Vec::new(),
            offsets: Vec::new(),
            redelivered,
            receipt,
        };
        let mut taken = Vec::new();
        while let Some((message, again)) = self.waiting.front() {
            let fits = pull.bodies.len() + message.body.len() <= bytes_max && taken.len() < messages_max;
            if *again != redelivered || !(fits || taken.is_empty()) {
                break;
            }
            let Some((message, _)) = self.waiting.pop_front() else { break };
            pull.bodies.extend_from_slice(&message.body);
            pull.ends.push(pull.bodies.len() as u32);
            let known = pull.envelopes.iter().position(|other| *other == message.envelope);
            let envelope = known.unwrap_or_else(|| {
                pull.envelopes.push(message.envelope.clone());
                pull.envelopes.len() - 1
            });
            pull.envelope_of.push(envelope as u16);
            pull.times_ms.push(message.time_ms);
            pull.message_ids.extend_from_slice(message.message_id.as_bytes());
            pull.message_id_ends.push(pull.message_ids.len() as u32);
            if self.stream {
                pull.offsets.push(self.next_offset);
                self.next_offset += 1;
            }
            taken.push(message);
        }
        self.taken.insert(self.next_tag, taken);
        Some(pull)
    }

    pub(crate) fn give_back(&mut self, tag: u64) {
        for message in self.taken.remove(&tag).into_iter().flatten().rev() {
            self.waiting.push_front((message, true));
        }
    }

    pub(crate) fn settle(&mut self, tag: u64) {
        self.settled += self.taken.remove(&tag).map_or(0, |messages| messages.len());
    }

    pub(crate) fn discard(&mut self, tag: u64, index: u32, why: &str) -> Result<(), String> {
        if !self.takes_discarded {
            return Err("the grant has no dead_letter".into());
        }
        let message = self.taken.get(&tag).and_then(|messages| messages.get(index as usize));
        self.discarded.extend(message.map(|message| (message.clone(), why.to_owned())));
        Ok(())
    }
}
