//! Crimes against what the host lends: receipts, queues, waits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::tests::guest::{Guest, World};
use crate::{
    AmqpGrant, Broken, Budget, Envelope, Grants, MessageQueue, Messages, Outcome, Polled, Receipt,
    ReceiptSink,
};

/// A broker that remembers what becomes of its messages.
#[derive(Default)]
struct Broker {
    next: AtomicU64,
    given_back: Mutex<Vec<u64>>,
    acknowledged: Mutex<Vec<u64>>,
    /// Nothing ever comes.
    is_silent: bool,
}

impl ReceiptSink for Broker {
    fn acknowledge(&self, tag: u64) {
        self.acknowledged.lock().push(tag);
    }

    fn give_back(&self, tag: u64) {
        self.given_back.lock().push(tag);
    }

    fn discard(&self, _tag: u64, _index: u32, _why: &str) -> Result<(), String> {
        Err("there is no place for it".into())
    }
}

/// Its queue: as many messages as anybody asks for, one at a time.
struct Queue(Arc<Broker>);

impl MessageQueue for Queue {
    fn open(&self, _after: Option<u64>) {}

    fn receive(
        &self,
        _messages_max: usize,
        _bytes_max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Messages, Broken>> + Send + '_>> {
        Box::pin(async {
            if self.0.is_silent {
                std::future::pending::<()>().await;
            }
            let tag = self.0.next.fetch_add(1, Ordering::Relaxed);
            Ok(Messages {
                bodies: b"one".to_vec(),
                ends: vec![3],
                envelope_of: vec![0],
                envelopes: vec![Envelope::default()],
                times_ms: vec![0],
                message_ids: Vec::new(),
                message_id_ends: vec![0],
                offsets: Vec::new(),
                redelivered: false,
                receipt: Receipt::new(Arc::clone(&self.0) as _, tag),
            })
        })
    }

    fn can_discard(&self) -> bool {
        false
    }
}

const HEAD: &str = r#"
    (import "weir:plugin/amqp@0.1.0" "[static]consumer.open" (func $consume (param i32 i32 i32 i64 i32)))
    (import "weir:plugin/amqp@0.1.0" "[method]consumer.receive" (func $receive (param i32 i32 i32 i32 i32)))
    (import "weir:plugin/receipts@0.1.0" "[resource-drop]receipt" (func $forget (param i32)))
    (import "weir:plugin/timing@0.1.0" "sleep-ms" (func $sleep (param i32)))
    (global $consumer (mut i32) (i32.const 0))
    (global $kept (mut i32) (i32.const 0))"#;

/// `$get`: opens the queue at the first call, waits for a message for ever, answers with its receipt.
const GET: &str = r#"
    (data (i32.const 8192) "main")
    (func $get (result i32)
      (if (i32.eqz (global.get $consumer)) (then
        (call $consume (i32.const 8192) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 8208))
        (if (i32.load8_u (i32.const 8208)) (then (unreachable)))
        (global.set $consumer (i32.load (i32.const 8212)))))
      (call $receive (global.get $consumer) (i32.const 1) (i32.const -1) (i32.const -1) (i32.const 8224))
      (if (i32.load8_u (i32.const 8224)) (then (return (i32.const -1))))
      (if (i32.eqz (i32.load8_u (i32.const 8228))) (then (return (i32.const -2))))
      (global.set $free (i32.const 65536))
      (i32.load (i32.const 8300)))"#;

const IDLE: &str = "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) (i32.const 250)) (i32.const 2048)";

/// A poll that hands over one record and a list of receipts.
fn taken(receipts: &[&str]) -> String {
    let stores = receipts
        .iter()
        .enumerate()
        .map(|(n, receipt)| format!("(i32.store (i32.const {}) {receipt})", 8400 + 4 * n))
        .collect::<Vec<_>>()
        .concat();
    format!(
        "{stores}
         (i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 0))
         (i32.store (i32.const 2056) (i32.const 4096)) (i32.store (i32.const 2060) (i32.const 3))
         (i32.store (i32.const 2064) (i32.const 4104)) (i32.store (i32.const 2068) (i32.const 1))
         (i32.store (i32.const 2124) (i32.const 8400)) (i32.store (i32.const 2128) (i32.const {}))
         (i32.const 2048)",
        receipts.len()
    )
}

fn world(broker: &Arc<Broker>) -> World {
    let grant = AmqpGrant(Arc::new(Queue(Arc::clone(broker))));
    World {
        grants: Grants { amqp: [("main".to_owned(), grant)].into(), ..Grants::default() },
        ..World::hasty()
    }
}

fn guest(poll: impl Into<String>) -> Guest {
    Guest { head: HEAD, more: GET, poll: Some(poll.into().leak()), ..Guest::default() }
}

#[tokio::test]
async fn a_receipt_that_is_handed_over_is_the_hosts() {
    let broker = Arc::new(Broker::default());
    let mut source = world(&broker).open(&guest(taken(&["(call $get)"]))).await.unwrap();
    let Polled::Records(taken) = source.poll(Budget::MAX).await.unwrap() else { panic!("records") };
    assert_eq!((taken.batch.count(), taken.receipts.len()), (1, 1));
    drop(source);
    assert!(broker.given_back.lock().is_empty());
    taken.receipts.into_iter().for_each(Receipt::acknowledge);
    assert_eq!((&*broker.acknowledged.lock(), broker.given_back.lock().len()), (&vec![0], 0));
}

/// What becomes of receipts that are not handed over as they should be: all of them go back, at the latest with the
/// instance, and none is acknowledged.
#[tokio::test]
async fn receipts_that_are_dropped_kept_doubled_or_forged_go_back() {
    for (name, poll, told) in [
        ("dropped", format!("(call $forget (call $get)) {IDLE}"), ""),
        ("kept for ever", format!("(global.set $kept (call $get)) {IDLE}"), ""),
        ("held in a trap", "(drop (call $get)) (unreachable)".to_owned(), "trapped"),
        (
            "handed over twice",
            format!(
                "(global.set $kept (call $get)) {}",
                taken(&["(global.get $kept)", "(global.get $kept)"])
            ),
            "trapped",
        ),
        ("never given", taken(&["(call $get)", "(i32.const 4711)"]), "trapped"),
        (
            "a consumer for a receipt",
            format!("(drop (call $get)) {}", taken(&["(global.get $consumer)"])),
            "trapped",
        ),
        (
            "used after it was dropped",
            format!(
                "(global.set $kept (call $get)) (call $forget (global.get $kept)) (call $forget (global.get $kept)) {IDLE}"
            ),
            "trapped",
        ),
        (
            "with records that lie",
            format!(
                "(i32.store (i32.const 2060) (i32.const 7)) {}",
                taken(&["(call $get)"]).replace("2060) (i32.const 3)", "2060) (i32.const 2)")
            ),
            "of an arena of 2",
        ),
    ] {
        let broker = Arc::new(Broker::default());
        let mut source = world(&broker).open(&guest(poll)).await.unwrap();
        match source.poll(Budget::MAX).await {
            Ok(polled) => assert!(told.is_empty(), "{name}: {polled:?}"),
            Err(error) => {
                assert!(!told.is_empty() && error.to_string().contains(told), "{name}: {error}");
                assert_eq!(error.outcome(), Outcome::Trap, "{name}");
            }
        }
        drop(source);
        assert_eq!(*broker.given_back.lock(), [0], "{name}");
        assert!(broker.acknowledged.lock().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn who_hoards_receipts_gets_no_more_and_loses_none() {
    let broker = Arc::new(Broker::default());
    // Until there is none, or the host says no.
    let poll = format!("(loop $l (br_if $l (i32.ge_s (call $get) (i32.const 0)))) {IDLE}");
    let mut world = world(&broker);
    world.limits.call_ms = 30_000;
    let mut source = world.open(&guest(poll)).await.unwrap();
    source.poll(Budget::MAX).await.unwrap();
    let given = broker.next.load(Ordering::Relaxed);
    // The last one found no place and went back at once.
    assert!((1_000..=1_100).contains(&given), "{given}");
    assert_eq!(broker.given_back.lock().len(), 1);
    drop(source);
    assert_eq!(broker.given_back.lock().len() as u64, given);
}

#[tokio::test]
async fn waits_for_ever_end_with_the_call() {
    let silent = Arc::new(Broker { is_silent: true, ..Broker::default() });
    for (name, guest) in [
        ("a message in poll", guest(format!("(drop (call $get)) {IDLE}"))),
        (
            "again and again",
            guest(format!("(drop (call $get)) (drop (call $get)) (drop (call $get)) {IDLE}")),
        ),
        (
            "in open",
            Guest {
                open: Some(
                    "(call $sleep (i32.const -1)) (i32.store8 (i32.const 1024) (i32.const 0)) (i32.const 1024)",
                ),
                ..guest(IDLE)
            },
        ),
    ] {
        let mut source = world(&silent).open(&guest).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let polled = source.poll(Budget { wait_ms: 50, ..Budget::MAX }).await;
        assert!(matches!(polled, Ok(Polled::Idle { .. })), "{name}: {polled:?}");
    }
    // One that goes on asking is interrupted.
    let mut source =
        world(&silent).open(&guest("(loop (drop (call $get)) (br 0)) (unreachable)")).await.unwrap();
    let error = source.poll(Budget { wait_ms: 50, ..Budget::MAX }).await.unwrap_err();
    assert!(error.to_string().contains("took longer than"), "{error}");
}
