//! A queue as a grant gives it: one desk, and the links and connections around it.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_plugin_runtime::{Broken, Envelope, MessageQueue, Messages, Receipt, ReceiptSink};
use weir_record::limits::AMQP_CLOSE_MS_MAX;

use crate::dead_letters;
use crate::desk::{Desk, Entry, Refused};
use crate::link::Link;
use crate::message::Message;
use crate::options::Options;
use crate::watch::{Count, Level, Watch};

/// A queue that is consumed from the first time a plugin opens it until it is closed or dropped.
pub struct Queue {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// What the tasks of a queue share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) options: Options,
    pub(crate) watch: Arc<dyn Watch>,
    pub(crate) desk: Mutex<Desk<Message>>,
    pub(crate) position: Mutex<Position>,
    /// Something waits for a plugin.
    pub(crate) arrived: Notify,
    /// Something was settled: one for each link.
    pub(crate) settled: Vec<Notify>,
    /// Something waits for the exchange for what cannot be stored.
    pub(crate) refused: Notify,
    /// The end has begun: nothing more is taken.
    pub(crate) stop: CancellationToken,
    broken: Mutex<Option<Broken>>,
    connected: Mutex<Vec<bool>>,
    born: Instant,
    myself: Weak<Shared>,
}

/// Where in a stream we are.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// The last message that came, or that was stored before the start.
    pub(crate) after: Option<u64>,
}

impl Queue {
    /// A queue under the name of its source. Nothing is connected yet.
    pub fn new(name: &str, options: Options, watch: Arc<dyn Watch>) -> Arc<Queue> {
        let links = if options.settings.is_stream() { 1 } else { options.settings.consumers.max(1) };
        let shared = Arc::new_cyclic(|myself| Shared {
            name: name.to_owned(),
            watch,
            desk: Mutex::new(Desk::new(
                links,
                options.settings.is_stream(),
                options.settings.dead_letter.is_some(),
            )),
            position: Mutex::default(),
            arrived: Notify::new(),
            settled: (0..links).map(|_| Notify::new()).collect(),
            refused: Notify::new(),
            stop: CancellationToken::new(),
            broken: Mutex::default(),
            connected: Mutex::new(vec![false; links]),
            born: Instant::now(),
            myself: myself.clone(),
            options,
        });
        Arc::new(Queue { shared, tasks: Mutex::new(JoinSet::new()) })
    }

    /// Tells the broker what is stored, gives the rest back, and ends the connections. To be called when the plugin
    /// is gone and its receipts are settled.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_millis(AMQP_CLOSE_MS_MAX), all).await.is_err() {
            tracing::warn!(
                source = self.shared.name,
                "the broker took no goodbye; what is stored may come again"
            );
            tasks.abort_all();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl MessageQueue for Queue {
    fn open(&self, after: Option<u64>) {
        let mut tasks = self.tasks.lock();
        if !tasks.is_empty() || self.shared.stop.is_cancelled() {
            // A new instance of the plugin: what the former one had was given back, or is on its way to the log.
            return;
        }
        self.shared.position.lock().after = after;
        for index in 0..self.shared.settled.len() {
            tasks.spawn(Link::new(self.shared.clone(), index).run());
        }
        if self.shared.options.settings.dead_letter.is_some() {
            tasks.spawn(dead_letters::run(self.shared.clone()));
        }
    }

    fn receive(
        &self,
        messages_max: usize,
        bytes_max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Messages, Broken>> + Send + '_>> {
        Box::pin(async move {
            loop {
                let arrived = self.shared.arrived.notified();
                if let Some(broken) = self.shared.broken.lock().clone() {
                    return Err(broken);
                }
                if let Some(messages) = self.shared.pull(messages_max, bytes_max) {
                    return Ok(messages);
                }
                arrived.await;
            }
        })
    }

    fn can_discard(&self) -> bool {
        self.shared.options.settings.dead_letter.is_some()
    }
}

impl Shared {
    /// Milliseconds since the queue was made.
    pub(crate) fn now_ms(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    /// Nothing can be consumed until the configuration changes.
    pub(crate) fn break_off(&self, code: &str, message: String) {
        tracing::error!(source = self.name, message, "the queue is consumed no more");
        *self.broken.lock() = Some(Broken { code: code.to_owned(), message });
        self.stop.cancel();
        self.arrived.notify_one();
    }

    /// A link has a consumer, or has none any more.
    pub(crate) fn connected(&self, link: usize, is: bool) {
        let mut connected = self.connected.lock();
        connected[link] = is;
        self.watch.level(Level::Connected, connected.iter().filter(|is| **is).count() as u64);
    }

    /// What is on its way to the broker may have changed.
    pub(crate) fn tell_level(&self) {
        let unacknowledged = self.desk.lock().unacknowledged() as u64;
        self.watch.level(Level::Unacknowledged, unacknowledged);
    }

    fn pull(&self, messages_max: usize, bytes_max: usize) -> Option<Messages> {
        let sink = self.myself.upgrade()?;
        let mut desk = self.desk.lock();
        let (receipt, entries) = desk.pull(messages_max, bytes_max)?;
        Some(flat(entries, Receipt::new(sink, receipt)))
    }

    /// A message reached the exchange for what cannot be stored.
    pub(crate) fn buried(&self, refused: &Refused<Message>) {
        self.watch.rejected(refused.reason);
        self.desk.lock().finish(refused.entry.place);
        self.tell_settled();
    }

    fn tell_settled(&self) {
        let (stale, refused) = {
            let mut desk = self.desk.lock();
            (desk.take_stale(), desk.has_refused())
        };
        if stale > 0 {
            self.watch.count(Count::Stale, stale);
        }
        if refused {
            self.refused.notify_one();
        }
        self.settled.iter().for_each(Notify::notify_one);
        self.arrived.notify_one();
    }
}

impl ReceiptSink for Shared {
    fn acknowledge(&self, tag: u64) {
        self.desk.lock().acknowledge(tag);
        self.tell_settled();
    }

    fn give_back(&self, tag: u64) {
        self.desk.lock().give_back(tag);
        self.tell_settled();
    }

    fn discard(&self, tag: u64, index: u32, why: &str) -> Result<(), String> {
        self.desk.lock().refuse(tag, index as usize, why)?;
        self.refused.notify_one();
        Ok(())
    }
}

/// Messages as a plugin gets them.
fn flat(entries: &[Option<Entry<Message>>], receipt: Receipt) -> Messages {
    let bytes = entries.iter().flatten().map(|entry| entry.bytes).sum();
    let mut out = Messages {
        bodies: Vec::with_capacity(bytes),
        ends: Vec::with_capacity(entries.len()),
        envelope_of: Vec::with_capacity(entries.len()),
        envelopes: Vec::new(),
        times_ms: Vec::with_capacity(entries.len()),
        message_ids: Vec::new(),
        message_id_ends: Vec::with_capacity(entries.len()),
        offsets: Vec::new(),
        redelivered: entries.iter().flatten().any(|entry| entry.repeated),
        receipt,
    };
    let mut last: Option<&Arc<Envelope>> = None;
    for Entry { message, .. } in entries.iter().flatten() {
        if !last.is_some_and(|last| Arc::ptr_eq(last, &message.envelope)) {
            out.envelopes.push(message.envelope.as_ref().clone());
            last = Some(&message.envelope);
        }
        out.bodies.extend_from_slice(&message.body);
        out.ends.push(out.bodies.len() as u32);
        // A pull has no more messages than the index has numbers.
        out.envelope_of.push((out.envelopes.len() - 1) as u16);
        out.times_ms.push(message.time_ms);
        out.message_ids.extend_from_slice(message.message_id().as_bytes());
        out.message_id_ends.push(out.message_ids.len() as u32);
        out.offsets.extend(message.offset);
    }
    if out.offsets.len() != out.ends.len() {
        out.offsets.clear();
    }
    out
}
