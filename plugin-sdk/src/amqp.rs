//! Messages of a RabbitMQ queue. Needs the capability `amqp` under the name that [`Consumer::open`] is given.
//!
//! The host keeps the connection, and makes it again: while the broker is away nothing comes. Failures:
//! `amqp.not-granted`, `amqp.oversize` (both bad config), `amqp.too-many` (handles).

use crate::failure::Failure;
use crate::receipts::Receipt;
use crate::sys;

/// What messages have in common; most messages of a queue share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The exchange it was published to; empty for the default one.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Properties that are set, by their names in the protocol (`content-type`, `type`, `app-id`, …), but not
    /// message-id and timestamp.
    pub properties: Vec<(String, String)>,
    /// Headers whose value is text, a number or a boolean, as text; not those that a broker sets on its way.
    pub headers: Vec<(String, String)>,
}

impl Envelope {
    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        find(&self.properties, name)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Messages, laid out flat.
#[derive(Debug)]
pub struct Pull {
    pub(crate) bodies: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) envelope_of: Vec<u16>,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) times_ms: Vec<u64>,
    pub(crate) message_ids: Vec<u8>,
    pub(crate) message_id_ends: Vec<u32>,
    pub(crate) offsets: Vec<u64>,
    /// These messages may have been delivered before: hand their records over with
    /// [`Taken::repeated`](crate::Taken::repeated).
    pub redelivered: bool,
    /// Stands for every message of this pull, in this order.
    pub receipt: Receipt,
}

/// One message of a pull.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its bytes.
    pub body: &'a [u8],
    /// What it shares with others.
    pub envelope: &'a Envelope,
    /// Index of that envelope in the pull.
    pub envelope_index: usize,
    /// When it was published, Unix milliseconds.
    pub time_ms: Option<u64>,
    /// What its publisher calls it; empty: nothing.
    pub message_id: &'a [u8],
    /// Its place in a stream.
    pub offset: Option<u64>,
}

impl Pull {
    /// Number of messages.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// One message; `None` behind the last.
    pub fn message(&self, index: usize) -> Option<Message<'_>> {
        let envelope_index = usize::from(*self.envelope_of.get(index)?);
        Some(Message {
            body: slice(&self.bodies, &self.ends, index)?,
            envelope: self.envelopes.get(envelope_index)?,
            envelope_index,
            time_ms: self.times_ms.get(index).copied().filter(|time| *time != 0),
            message_id: slice(&self.message_ids, &self.message_id_ends, index)?,
            offset: self.offsets.get(index).copied(),
        })
    }

    /// What messages have in common.
    pub fn envelopes(&self) -> &[Envelope] {
        &self.envelopes
    }
}

fn slice<'a>(arena: &'a [u8], ends: &[u32], index: usize) -> Option<&'a [u8]> {
    let from = index.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
    arena.get(from as usize..*ends.get(index)? as usize)
}

/// Consumes the queue of a grant.
#[derive(Debug)]
pub struct Consumer(sys::Consumer);

impl Consumer {
    /// Begins. `after` is for streams alone: the offset of the last message that is stored.
    ///
    /// # Errors
    /// See the module.
    pub fn open(grant: &str, after: Option<u64>) -> Result<Consumer, Failure> {
        sys::Consumer::open(grant, after).map(Consumer)
    }

    /// Waits up to `wait_ms` for the first message, then takes what is there, in the order in which it came: at
    /// most `messages_max` of at most `bytes_max` payload, but one at least. `None`: nothing came.
    ///
    /// # Errors
    /// See the module.
    pub fn receive(
        &self,
        messages_max: usize,
        bytes_max: usize,
        wait_ms: u32,
    ) -> Result<Option<Pull>, Failure> {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.0.receive(clamp(messages_max), clamp(bytes_max), wait_ms)
    }

    /// Whether the grant names an exchange for what can never be stored, so that [`Receipt::discard`] works.
    pub fn can_discard(&self) -> bool {
        self.0.can_discard()
    }
}
