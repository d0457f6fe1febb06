//! One consumer: connected, fed, and connected again.
//!
//! lapin's own recovery is not used: whatever goes wrong ends the session, and the next one begins from nothing, so
//! the prefetch, the declarations and the consumer are always what is configured.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::{Channel, Connection, Consumer};
use tokio::time::{Instant, sleep_until};
use weir_plugin_runtime::Envelope;
use weir_record::limits::{AMQP_DEPTH_MS, AMQP_SAY_MS};

use crate::back_off::BackOff;
use crate::broker::{self, Place as Host, Remark, Trouble, answer};
use crate::desk::Place;
use crate::ledger::Acknowledged;
use crate::message::Message;
use crate::options::{Options, short};
use crate::queue::Shared;
use crate::watch::{Count, Level};
use crate::window::Window;

/// How often a consumer looks at what no event tells.
const TICK: Duration = Duration::from_millis(500);
/// Deliveries taken in one go before anything else is looked at.
const DELIVERIES_AT_ONCE: usize = 256;

pub(crate) struct Link {
    shared: Arc<Shared>,
    index: usize,
    window: Window,
    last_envelope: Arc<Envelope>,
    said: Vec<Remark>,
}

/// How a session ended that had no trouble.
enum Ended {
    /// The queue stops.
    Stopped,
    /// What was taken could not be stored for too long, and was given back.
    Held,
}

/// Why a consumer is replaced or ended.
enum Round {
    /// The window has another size.
    Resized,
    Ended(Ended),
}

/// An open connection with what is needed of it.
struct Session {
    /// Ends with the session.
    connection: Connection,
    channel: Channel,
    /// For questions, whose failure must not end the consumer's channel.
    asking: Channel,
    epoch: u64,
    ask_depth_at: Instant,
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Link {
        let options = &shared.options;
        let links = shared.settled.len() as u64;
        let window = Window::new(options.settings.prefetch, options.settings.prefetch_bytes / links.max(1));
        Link { shared, index, window, last_envelope: Arc::default(), said: Vec::new() }
    }

    /// Runs until the queue stops.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let mut back_off = BackOff::new(shared.options.uris.len());
        let mut said_at: Option<Instant> = None;
        loop {
            let ended = self.session(&mut back_off).await;
            // Whatever the broker has not been told to forget it gives again.
            self.shared.desk.lock().begin(self.index);
            self.shared.connected(self.index, false);
            let pause_ms = match ended {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Held) => {
                    self.until_settled().await;
                    0
                }
                Err(error) => {
                    let host = Host(&shared.options.uris[back_off.host()]).to_string();
                    let pause_ms = back_off.failed(fastrand::u32(..));
                    shared.watch.count(Count::Disconnects, 1);
                    if said_at.is_none_or(|at| at.elapsed() > Duration::from_millis(AMQP_SAY_MS))
                        || pause_ms < 500
                    {
                        said_at = Some(Instant::now());
                        tracing::warn!(source = shared.name, broker = host, %error, again_in_ms = pause_ms, "no messages from the broker");
                    }
                    pause_ms
                }
            };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                () = shared.stop.cancelled() => return,
            }
        }
    }

    /// From connecting to the end of that connection.
    async fn session(&mut self, back_off: &mut BackOff) -> Result<Ended, Trouble> {
        let shared = self.shared.clone();
        let opened = tokio::select! {
            opened = self.open(back_off.host()) => opened?,
            () = shared.stop.cancelled() => return Ok(Ended::Stopped),
        };
        let mut session = opened;
        self.window.begin();
        let mut round = 0_u32;
        loop {
            let consumer = self.consume(&session, round).await?;
            if round == 0 {
                shared.connected(self.index, true);
                let host = Host(&shared.options.uris[back_off.host()]).to_string();
                tracing::info!(
                    source = shared.name,
                    broker = host,
                    queue = shared.options.settings.queue,
                    "consuming"
                );
            }
            match self.pump(&mut session, consumer, back_off).await? {
                Round::Resized => round += 1,
                Round::Ended(ended) => {
                    self.leave(&session).await?;
                    return Ok(ended);
                }
            }
        }
    }

    async fn open(&mut self, host: usize) -> Result<Session, Trouble> {
        let shared = self.shared.clone();
        let options = &shared.options;
        let connection = broker::connect(options, host, "").await?;
        let channel = answer(options, connection.create_channel()).await?;
        let (channel, remarks) = broker::declare(options, &connection, channel).await?;
        for remark in remarks {
            self.remark(remark);
        }
        let asking = answer(options, connection.create_channel()).await?;
        let epoch = shared.desk.lock().begin(self.index);
        Ok(Session { connection, channel, asking, epoch, ask_depth_at: Instant::now() })
    }

    /// Starts a consumer with what the window grants. The broker takes a prefetch for new consumers only.
    async fn consume(&self, session: &Session, round: u32) -> Result<Consumer, Trouble> {
        let options = &self.shared.options;
        let global = BasicQosOptions { global: false };
        answer(options, session.channel.basic_qos(self.window.granted(), global)).await?;
        let tag = match (self.index, round) {
            (0, 0) => options.names.consumer_tag.clone(),
            (index, round) => format!("{}-{index}-{round}", options.names.consumer_tag),
        };
        let how =
            BasicConsumeOptions { exclusive: options.settings.exclusive, ..BasicConsumeOptions::default() };
        let after = self.shared.position.lock().after;
        let arguments = options.settings.consume_arguments(after);
        let consuming =
            session.channel.basic_consume(short(&options.settings.queue), short(&tag), how, arguments);
        answer(options, consuming).await
    }

    /// Takes deliveries and sends acknowledgements until the consumer is to be replaced or ended.
    async fn pump(
        &mut self,
        session: &mut Session,
        mut consumer: Consumer,
        back_off: &mut BackOff,
    ) -> Result<Round, Trouble> {
        let shared = self.shared.clone();
        let mut tick = Instant::now() + TICK;
        loop {
            let resized = match self.acknowledge(session).await {
                Ok(resized) => resized,
                Err(error) => return Err(reason(&shared.options, &mut consumer, error).await),
            };
            if resized {
                self.cancel(session, &mut consumer).await?;
                return Ok(Round::Resized);
            }
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => {
                    self.cancel(session, &mut consumer).await?;
                    return Ok(Round::Ended(Ended::Stopped));
                }
                () = shared.settled[self.index].notified() => {}
                () = sleep_until(tick) => {
                    tick = Instant::now() + TICK;
                    if self.is_held() {
                        self.cancel(session, &mut consumer).await?;
                        return Ok(Round::Ended(Ended::Held));
                    }
                    self.ask_depth(session).await?;
                }
                next = consumer.next() => {
                    self.deliver(session, next.ok_or(Trouble::Cancelled)??)?;
                    back_off.worked();
                    for _ in 1..DELIVERIES_AT_ONCE {
                        let Some(next) = consumer.next().now_or_never() else { break };
                        self.deliver(session, next.ok_or(Trouble::Cancelled)??)?;
                    }
                    shared.arrived.notify_one();
                }
            }
        }
    }

    fn deliver(&mut self, session: &Session, delivery: Delivery) -> Result<(), Trouble> {
        let shared = &self.shared;
        let place = Place { link: self.index, epoch: session.epoch, tag: delivery.delivery_tag };
        let (message, arrived) = Message::new(delivery, &mut self.last_envelope);
        self.window.delivered(arrived.bytes as u64);
        if let Some(offset) = message.offset {
            shared.position.lock().after = Some(offset);
        }
        let counted = message.delivery_count().is_some();
        let repeated = shared.desk.lock().deliver(place, message, arrived, shared.now_ms())?;
        shared.watch.count(Count::Deliveries, 1);
        if repeated {
            shared.watch.count(Count::Redeliveries, 1);
        }
        if arrived.bytes > shared.options.settings.message_bytes_max {
            self.refuse_long(arrived.bytes);
        }
        if counted && self.shared.options.settings.dead_letter.is_none() {
            self.remark(Remark::NoDeadLetter);
        }
        Ok(())
    }

    /// A message that is longer than any plugin gets.
    fn refuse_long(&self, bytes: usize) {
        let max = self.shared.options.settings.message_bytes_max;
        let why = format!("a message of {bytes} bytes is longer than {max}");
        if self.shared.options.settings.dead_letter.is_some() {
            self.shared.desk.lock().refuse_last(&why);
            self.shared.refused.notify_one();
        } else {
            // It stays with the broker: neither dropped, nor given back again and again.
            let message =
                format!("{why}; give the grant dead_letter = {{ exchange = \"…\" }}, or raise message_bytes");
            self.shared.break_off("amqp.oversize", message);
        }
    }

    /// Tells the broker what is stored. Whether the window has another size now.
    async fn acknowledge(&mut self, session: &Session) -> Result<bool, Trouble> {
        let said = self.shared.desk.lock().acknowledged(self.index);
        let Some(Acknowledged { tag, count, oldest_at_ms }) = said else { return Ok(false) };
        session.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        self.shared.watch.count(Count::Acks, count);
        let waited_ms = self.shared.now_ms().saturating_sub(oldest_at_ms);
        self.shared.watch.acknowledged_after(waited_ms as f64 / 1000.0);
        self.shared.tell_level();
        Ok(self.window.stored(count))
    }

    /// Whether the oldest message has waited so long that others should have it.
    fn is_held(&self) -> bool {
        let oldest_at_ms = self.shared.desk.lock().oldest_at_ms(self.index);
        let waited_ms = oldest_at_ms.map(|at_ms| self.shared.now_ms().saturating_sub(at_ms));
        waited_ms.is_some_and(|waited_ms| waited_ms > self.shared.options.settings.hold_timeout_ms)
    }

    /// Ends a consumer and takes what was on its way.
    async fn cancel(&mut self, session: &Session, consumer: &mut Consumer) -> Result<(), Trouble> {
        let options = self.shared.options.clone();
        let how = BasicCancelOptions::default();
        answer(&options, session.channel.basic_cancel(consumer.tag(), how)).await?;
        while let Some(next) = answer(&options, consumer.next().map(Ok)).await? {
            self.deliver(session, next?)?;
        }
        self.shared.arrived.notify_one();
        Ok(())
    }

    /// Tells the broker what is stored, gives the rest back, and closes.
    async fn leave(&mut self, session: &Session) -> Result<(), Trouble> {
        self.acknowledge(session).await?;
        let unfinished = self.shared.desk.lock().unfinished(self.index);
        if unfinished > 0 && !self.shared.options.settings.is_stream() {
            // A nack, and not just the end of the channel: newer brokers do not count it as a failed delivery.
            let how = BasicNackOptions { multiple: true, requeue: true };
            session.channel.basic_nack(0, how).await?;
            self.shared.watch.count(Count::Nacks, unfinished);
        }
        answer(&self.shared.options, session.connection.close(200, "done".into())).await
    }

    /// Waits until what was taken is stored or given up: as long as it is not, taking it again would only turn in
    /// circles, and cost a delivery each time.
    async fn until_settled(&self) {
        let shared = &self.shared;
        tracing::warn!(source = shared.name, "messages could not be stored for too long and were given back");
        while shared.desk.lock().is_busy() {
            tokio::select! {
                () = shared.settled[self.index].notified() => {}
                () = shared.stop.cancelled() => return,
            }
        }
    }

    async fn ask_depth(&self, session: &mut Session) -> Result<(), Trouble> {
        if self.index == 0 && session.ask_depth_at <= Instant::now() {
            session.ask_depth_at = Instant::now() + Duration::from_millis(AMQP_DEPTH_MS);
            let depth = broker::depth(&self.shared.options, &session.asking).await?;
            self.shared.watch.level(Level::Depth, depth);
        }
        Ok(())
    }

    /// Says a thing about the queue once.
    fn remark(&mut self, remark: Remark) {
        if !self.said.contains(&remark) {
            tracing::warn!(source = self.shared.name, queue = self.shared.options.settings.queue, "{remark}");
            self.said.push(remark);
        }
    }
}

/// Why a channel that takes nothing more was closed: its consumer hears it. What else that hears comes again.
async fn reason(options: &Options, consumer: &mut Consumer, error: Trouble) -> Trouble {
    if !broker::is_closed(&error) {
        return error;
    }
    let hearing = async {
        loop {
            match consumer.next().await {
                Some(Ok(_)) => {}
                Some(Err(why)) => return Some(why),
                None => return None,
            }
        }
    };
    let wait = Duration::from_millis(options.settings.connect_timeout_ms);
    match tokio::time::timeout(wait, hearing).await {
        Ok(Some(why)) => Trouble::Amqp(why),
        Ok(None) | Err(_) => error,
    }
}
