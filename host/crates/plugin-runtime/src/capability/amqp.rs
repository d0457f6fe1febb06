//! Messages of a broker's queue. The queue itself, with its connection, belongs to the host and outlives the
//! instances of a plugin; here is what an instance sees of it.

use std::pin::Pin;
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, Resource};

use crate::capability::receipts::Receipt;
use crate::capability::{Capability, Context, failure};
use crate::grants::{AmqpGrant, Grants, key};
use crate::info::Need;
use crate::instance::state::State;
use crate::wit::v1::weir::plugin::amqp;
use crate::wit::v1::weir::plugin::types::{Failure, Verdict};

/// A queue of messages, and who consumes it.
pub trait MessageQueue: Send + Sync {
    /// Begins to consume, if it does not yet. For streams: behind the message at `after`.
    fn open(&self, after: Option<u64>);

    /// Resolves as soon as there is a message, with as many as there are, of at most `bytes_max` payload, but at
    /// least one. Nothing is taken when the future is dropped before.
    fn receive(
        &self,
        messages_max: usize,
        bytes_max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Messages, Broken>> + Send + '_>>;

    /// Whether there is a place for messages that can never be stored.
    fn can_discard(&self) -> bool;
}

/// A queue that cannot be consumed until the configuration changes. What was taken is given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Broken {
    /// `amqp.<what>`.
    pub code: String,
    /// What, why and what to do.
    pub message: String,
}

/// What messages have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The exchange it was published to; empty for the default one.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Properties that are set, by name.
    pub properties: Vec<(String, String)>,
    /// Headers with simple values, by name.
    pub headers: Vec<(String, String)>,
}

/// Messages, laid out flat: message `i` is `bodies[ends[i - 1]..ends[i]]`.
#[derive(Debug)]
pub struct Messages {
    /// All bodies.
    pub bodies: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
    /// Index into `envelopes`, one per message.
    pub envelope_of: Vec<u16>,
    /// What they have in common.
    pub envelopes: Vec<Envelope>,
    /// Unix milliseconds, 0 for none.
    pub times_ms: Vec<u64>,
    /// All message-ids; an empty one is none.
    pub message_ids: Vec<u8>,
    /// Where each ends.
    pub message_id_ends: Vec<u32>,
    /// Offsets in a stream; empty for other queues.
    pub offsets: Vec<u64>,
    /// They may have been delivered before.
    pub redelivered: bool,
    /// Stands for all of them.
    pub receipt: Receipt,
}

/// What an instance holds of a queue.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Consumer(Arc<dyn MessageQueue>);

/// The queues that are granted to an instance.
pub(crate) struct Amqp {
    granted: Vec<(String, AmqpGrant)>,
}

impl Capability for Amqp {
    const NAME: &'static str = "amqp";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        amqp::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(need: &Need, grants: &Grants) -> Option<String> {
        (!grants.amqp.contains_key(&need.name)).then(|| line(&need.name))
    }

    fn prepare(grants: &Grants, _context: &Context) -> Result<Amqp, String> {
        let granted = grants.amqp.iter().map(|(name, grant)| (name.clone(), grant.clone()));
        Ok(Amqp { granted: granted.collect() })
    }
}

fn line(name: &str) -> String {
    format!("grants.amqp.{} = {{ uri = \"amqp://user:password@host/vhost\", queue = \"logs\" }}", key(name))
}

impl amqp::Host for State {}

impl amqp::HostConsumer for State {
    fn open(
        &mut self,
        name: String,
        after: Option<u64>,
    ) -> wasmtime::Result<Result<Resource<Consumer>, Failure>> {
        let Some((_, grant)) = self.amqp.granted.iter().find(|(granted, _)| *granted == name) else {
            let message = format!("no queue is granted as {name:?}; add `{}` to the source", line(&name));
            return Ok(Err(failure(Verdict::BadConfig, "amqp.not-granted", message)));
        };
        let queue = Arc::clone(&grant.0);
        Ok(match self.table.push(Consumer(Arc::clone(&queue))) {
            Ok(consumer) => {
                queue.open(after);
                Ok(consumer)
            }
            Err(_) => Err(failure(
                Verdict::Restart,
                "amqp.too-many",
                "the instance holds as many handles as it may",
            )),
        })
    }

    async fn receive(
        &mut self,
        this: Resource<Consumer>,
        max_messages: u32,
        max_bytes: u32,
        wait_ms: u32,
    ) -> wasmtime::Result<Result<Option<amqp::Pull>, Failure>> {
        let queue = Arc::clone(&self.table.get(&this)?.0);
        let receive = queue.receive(max_messages.max(1) as usize, max_bytes as usize);
        let messages = match self.timing.wait(wait_ms, receive).await {
            None => return Ok(Ok(None)),
            Some(Err(Broken { code, message })) => {
                return Ok(Err(failure(Verdict::BadConfig, &code, message)));
            }
            Some(Ok(messages)) => messages,
        };
        let Messages { bodies, ends, envelope_of, envelopes, times_ms, .. } = messages;
        let Messages { message_ids, message_id_ends, offsets, redelivered, receipt, .. } = messages;
        let Ok(receipt) = self.table.push(receipt) else {
            let message = "the instance holds as many receipts as it may";
            return Ok(Err(failure(Verdict::Restart, "amqp.too-many", message)));
        };
        let envelope = |from: Envelope| {
            let Envelope { exchange, routing_key, properties, headers } = from;
            amqp::Envelope { exchange, routing_key, properties, headers }
        };
        Ok(Ok(Some(amqp::Pull {
            bodies,
            ends,
            envelope_of,
            envelopes: envelopes.into_iter().map(envelope).collect(),
            times_ms,
            message_ids,
            message_id_ends,
            offsets,
            redelivered,
            receipt,
        })))
    }

    fn can_discard(&mut self, this: Resource<Consumer>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&this)?.0.can_discard())
    }

    fn drop(&mut self, this: Resource<Consumer>) -> wasmtime::Result<()> {
        drop(self.table.delete(this)?);
        Ok(())
    }
}
