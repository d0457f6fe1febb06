//! What a real broker will not do on demand: the consumer in front of one that does everything wrong.
//!
//! Whatever happens on a connection, every message comes, none is forgotten before it is stored, and the log says what
//! was wrong.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod fake;
mod wire;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;
use weir_amqp::{Count, Declare, Level, Names, Options, Queue, Reject, Settings, Tls, Watch};
use weir_plugin_runtime::MessageQueue as _;

use fake::{Fake, Fault};

/// Messages in the queue.
const MESSAGES: usize = 60;
/// How long any of it may take before it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Counts what went wrong.
#[derive(Default)]
struct Figures {
    disconnects: AtomicU64,
}

impl Watch for Figures {
    fn count(&self, what: Count, by: u64) {
        if what == Count::Disconnects {
            self.disconnects.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn rejected(&self, _: Reject) {}

    fn level(&self, _: Level, _: u64) {}

    fn acknowledged_after(&self, _: f64) {}
}

/// What was said, in memory.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings(connect_timeout_ms: u64) -> Settings {
    Settings {
        queue: "q".into(),
        declare: Declare::Passive,
        queue_type: None,
        durable: true,
        arguments: Vec::new(),
        bindings: Vec::new(),
        single_active_consumer: false,
        exclusive: false,
        priority: None,
        consumers: 1,
        prefetch: 20,
        prefetch_bytes: 1 << 20,
        heartbeat_s: 1,
        connect_timeout_ms,
        stream_offset: None,
        dead_letter: None,
        hold_timeout_ms: 300_000,
        message_bytes_max: 1 << 20,
    }
}

/// A consumer that stores everything, until the broker has been told to forget all of it.
async fn consume(queue: &Queue, fake: &Fake) {
    queue.open(None);
    let forgotten = || fake.state.lock().forgotten.len() >= MESSAGES;
    while !forgotten() {
        let messages = tokio::select! {
            messages = queue.receive(8, 1 << 20) => messages.unwrap(),
            () = fake.told.notified() => continue,
        };
        let mut from = 0;
        for end in messages.ends.iter().map(|end| *end as usize) {
            let body = String::from_utf8(messages.bodies[from..end].to_vec()).unwrap();
            fake.state.lock().stored.insert(body);
            from = end;
        }
        messages.receipt.acknowledge();
    }
}

/// One life with faults on the first connections; what was said of them, and how many sessions they ended.
fn live(faults: &[Fault]) -> (String, u64) {
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let disconnects = runtime().block_on(async {
        let messages = messages();
        let fake = Fake::start(messages.clone(), faults).await;
        // What is missed is to be the heartbeats, and not an answer.
        let connect_timeout_ms = if faults.contains(&Fault::NoHeartbeats) { 60_000 } else { 2_000 };
        let (queue, figures) = queue_at(&fake, &[], settings(connect_timeout_ms));
        let consumed = timeout(PATIENCE, consume(&queue, &fake)).await;
        let told = String::from_utf8_lossy(&said.0.lock()).into_owned();
        assert!(consumed.is_ok(), "{faults:?}: not all came: {told}");
        let disconnects = figures.disconnects.load(Ordering::Relaxed);
        queue.close().await;
        let state = fake.state.lock();
        assert_eq!(state.early, [""; 0], "{faults:?}: forgotten and not stored");
        assert!(messages.iter().all(|message| state.stored.contains(message)), "{faults:?}: lost");
        disconnects
    });
    let told = String::from_utf8_lossy(&said.0.lock()).into_owned();
    assert!(!told.contains("secret"), "{told}");
    (told, disconnects)
}

#[test]
fn a_broker_that_does_nothing_wrong_is_consumed_in_one_session() {
    for faults in [&[Fault::None][..], &[Fault::Blocked]] {
        let (told, disconnects) = live(faults);
        assert_eq!(disconnects, 0, "{faults:?}: {told}");
    }
}

const ENDED: &str = "the broker ended the connection";
const NO_FRAME: &str = "what came is no frame of AMQP 0-9-1";

/// The fault, and what is said of it.
const FAULTS: [(Fault, &str); 24] = [
    (Fault::HangUp, ENDED),
    (Fault::OtherProtocol, "the server only supports AMQP 1.0.0"),
    (Fault::Http, NO_FRAME),
    (Fault::Silence, "no answer within 2000 ms"),
    (Fault::HalfStart, ENDED),
    (Fault::NoAccess, "ACCESS_REFUSED"),
    (Fault::NoQueue, "NOT_FOUND - no queue 'q'"),
    (Fault::SilentDeclare, "no answer within 2000 ms"),
    (Fault::EndInDeclare, ENDED),
    (Fault::OtherAnswer, "unexpected"),
    (Fault::End, ENDED),
    (Fault::HalfMessage, ENDED),
    (Fault::Garbage, NO_FRAME),
    (Fault::NoFrameEnd, NO_FRAME),
    (Fault::LongFrame, "frame too large"),
    (Fault::LongBody, "body"),
    (Fault::UnknownConsumer, "sent delivery 5 where 4 comes next"),
    (Fault::TagAgain, "sent delivery 3 where 4 comes next"),
    (Fault::TagAhead, "sent delivery 8 where 4 comes next"),
    (Fault::NoHeartbeats, "nothing for two heartbeats"),
    (Fault::Cancel, "the broker cancelled the consumer"),
    (Fault::CloseChannel, "INTERNAL_ERROR"),
    (Fault::CloseConnection, "CONNECTION_FORCED - maintenance"),
    (Fault::RefuseAck, "PRECONDITION_FAILED - unknown delivery tag 1"),
];

#[test]
fn whatever_a_broker_does_wrong_costs_a_session_and_no_message() {
    let mut wrong = Vec::new();
    for (fault, want) in FAULTS {
        let (told, disconnects) = live(&[fault]);
        let said = told.lines().filter(|line| line.contains("no messages from the broker")).count();
        // What was sent and not read makes the kernel reset a connection that is closed.
        let is_said = told.contains(want) || want == ENDED && told.contains("Connection reset by peer");
        if disconnects != 1 || said != 1 || !is_said {
            wrong.push(format!("{fault:?}: {disconnects} sessions ended, want {want:?}:\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_of_faults_is_survived_as_well_as_one() {
    let all: Vec<Fault> = FAULTS
        .iter()
        .map(|(fault, _)| *fault)
        // These cost seconds of waiting each.
        .filter(|fault| !matches!(fault, Fault::Silence | Fault::SilentDeclare | Fault::NoHeartbeats))
        .collect();
    for part in all.chunks(3) {
        let (told, disconnects) = live(part);
        assert_eq!(disconnects, part.len() as u64, "{part:?}: {told}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn messages() -> Vec<String> {
    (0..MESSAGES).map(|number| format!("message {number}")).collect()
}

fn queue_at(fake: &Fake, hosts: &[String], settings: Settings) -> (Arc<Queue>, Arc<Figures>) {
    let names = Names { consumer_tag: "weir-test".into(), connection: "weir test".into() };
    let uri = format!("amqp://user:secret@{}/v", fake.address);
    let options = Options::new(&uri, hosts, settings, names, Tls::default()).unwrap();
    let figures = Arc::new(Figures::default());
    (Queue::new("test", options, figures.clone()), figures)
}

#[test]
fn when_a_broker_is_out_of_order_the_next_of_the_list_is_tried() {
    runtime().block_on(async {
        let broken = Fake::start(Vec::new(), &[Fault::HangUp; 100]).await;
        let refusing = Fake::start(Vec::new(), &[Fault::NoAccess; 100]).await;
        let good = Fake::start(messages(), &[Fault::CloseConnection]).await;
        let hosts = [refusing.address.to_string(), good.address.to_string()];
        let (queue, _) = queue_at(&broken, &hosts, settings(2_000));
        timeout(PATIENCE, consume(&queue, &good)).await.unwrap();
        queue.close().await;
        // The good one had a fault, too, so all were tried twice.
        let connections = [&broken, &refusing, &good].map(|fake| fake.state.lock().connections);
        assert_eq!(connections, [2, 2, 2]);
        assert_eq!(good.state.lock().early, [""; 0]);
    });
}

#[test]
fn what_cannot_be_stored_for_long_is_given_back_once_and_taken_when_that_is_over() {
    runtime().block_on(async {
        let fake = Fake::start(messages(), &[]).await;
        let (queue, figures) = queue_at(&fake, &[], Settings { hold_timeout_ms: 200, ..settings(2_000) });
        queue.open(None);
        let held = timeout(PATIENCE, queue.receive(8, 1 << 20)).await.unwrap().unwrap();
        let given_back = async {
            while fake.state.lock().nacks == 0 {
                fake.told.notified().await;
            }
        };
        timeout(PATIENCE, given_back).await.unwrap();
        // What was held is stored at last: from now on messages are taken again, those that were held among them.
        let first = held.ends.first().map_or(0, |end| *end as usize);
        fake.state.lock().stored.insert(String::from_utf8(held.bodies[..first].to_vec()).unwrap());
        held.receipt.acknowledge();
        timeout(PATIENCE, consume(&queue, &fake)).await.unwrap();
        queue.close().await;
        let state = fake.state.lock();
        assert_eq!(
            (state.nacks, state.connections),
            (1, 2),
            "given back in one round, and taken in the next session"
        );
        assert_eq!(state.early, [""; 0]);
        assert_eq!(figures.disconnects.load(Ordering::Relaxed), 0, "nothing went wrong");
    });
}
