//! The life of a well-behaved source, and of one that reports its failures.

use serde_json::json;

use super::guest::{Guest, TWO, World, failure, file, runtime};
use crate::{Budget, Call, Fault, Outcome, Polled, Source, Stats, Verdict};

const LOG: &str = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
                     (import "weir:plugin/log@0.1.0" "enabled" (func $enabled (param i32) (result i32)))"#;
const TIMING: &str = r#"(import "weir:plugin/timing@0.1.0" "sleep-ms" (func $sleep (param i32)))
                        (import "weir:plugin/timing@0.1.0" "stopping" (func $stopping (result i32)))"#;
/// `poll` says idle(0).
const IDLE_0: &str = "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 1))
                      (i32.store (i32.const 2056) (i32.const 0)) (i32.const 2048)";

#[tokio::test]
async fn a_source_is_opened_polled_and_closed() {
    let guest = Guest { poll: Some(TWO), ..Guest::default() };
    let world = World::default();
    let mut source = world.open(&guest).await.unwrap();
    for _ in 0..3 {
        let Polled::Records(taken) = source.poll(Budget::MAX).await.unwrap() else { panic!("records") };
        assert_eq!(taken.batch.parts().arena, b"onetwo");
        assert_eq!(taken.batch.parts().ends, [3, 6]);
        assert_eq!((taken.cursor.as_deref(), taken.receipts.len(), taken.more), (Some(&b"c2"[..]), 0, false));
    }
    assert_eq!(world.counters.stats().memory_bytes, 2 << 16);
    assert!(source.close().await.unwrap().is_none());
    let stats = world.counters.stats();
    let running = stats.running;
    assert_eq!(stats, Stats { calls: 6, records: 6, bytes: 18, running, ..Stats::default() });
    assert!(!stats.running.is_zero());
}

#[tokio::test]
async fn what_close_returns_is_handed_over() {
    // `close` returns option<taken>: the same shape one word earlier than in `poll`.
    let close = "
        (i32.store (i32.const 3072) (i32.const 1))
        (i32.store (i32.const 3076) (i32.const 4096)) (i32.store (i32.const 3080) (i32.const 6))
        (i32.store (i32.const 3084) (i32.const 4104)) (i32.store (i32.const 3088) (i32.const 2))
        (i32.const 3072)";
    let source = Guest { close: Some(close), ..Guest::default() }.open().await.unwrap();
    let taken = source.close().await.unwrap().unwrap();
    assert_eq!((taken.batch.count(), taken.cursor), (2, None));
}

#[tokio::test]
async fn config_and_cursor_reach_the_plugin() {
    // Traps unless the config is `{}` and the cursor "c2".
    let open = "
        (if (i32.ne (local.get $config_len) (i32.const 2)) (then (unreachable)))
        (if (i32.ne (i32.load16_u (local.get $config)) (i32.const 0x7d7b)) (then (unreachable)))
        (if (i32.eqz (local.get $has_cursor)) (then (unreachable)))
        (if (i32.ne (i32.load16_u (local.get $cursor)) (i32.load16_u (i32.const 4112))) (then (unreachable)))
        (i32.store8 (i32.const 1024) (i32.const 0)) (i32.const 1024)";
    let guest = Guest { open: Some(open), ..Guest::default() };
    let world = World { cursor: Some(b"c2".to_vec()), ..World::default() };
    assert!(world.open(&guest).await.is_ok());
    let error = World::default().open(&guest).await.err().unwrap();
    assert_eq!((error.call(), error.outcome()), (Call::Open, Outcome::Trap));
}

#[tokio::test]
async fn idleness_is_slowed_down_unless_the_plugin_waited() {
    for (head, poll, least, most) in [
        ("", IDLE_0.to_owned(), 10, 10),
        (TIMING, format!("(call $sleep (i32.const 5)) {IDLE_0}"), 0, 0),
        ("", IDLE_0.replace("2056) (i32.const 0)", "2056) (i32.const -1)"), 60_000, 60_000),
        // Records without a record, a cursor or a receipt.
        (
            "",
            TWO.replace("2060) (i32.const 6)", "2060) (i32.const 0)")
                .replace("2068) (i32.const 2)", "2068) (i32.const 0)")
                .replace("2112) (i32.const 1)", "2112) (i32.const 0)"),
            10,
            10,
        ),
    ] {
        let mut source = Guest { head, poll: Some(poll.leak()), ..Guest::default() }.open().await.unwrap();
        let Polled::Idle { wait_ms } = source.poll(Budget::MAX).await.unwrap() else { panic!("idle") };
        assert!((least..=most).contains(&wait_ms), "{wait_ms}");
    }
}

#[tokio::test]
async fn a_source_that_finishes_says_so() {
    let poll = "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 2)) (i32.const 2048)";
    let mut source = Guest { poll: Some(poll), ..Guest::default() }.open().await.unwrap();
    assert!(matches!(source.poll(Budget::MAX).await, Ok(Polled::Finished)));
}

#[tokio::test]
async fn reported_failures_keep_or_cost_the_instance_as_they_say() {
    for (number, verdict, outcome, gone) in [
        (0, Verdict::Retry, Outcome::Retry { after_ms: None }, false),
        (1, Verdict::BadConfig, Outcome::BadConfig, true),
        (2, Verdict::Restart, Outcome::Restart, true),
        (3, Verdict::Fatal, Outcome::Fatal, true),
    ] {
        let guest = Guest { poll: Some(failure(2048, number)), ..Guest::default() };
        let world = World::default();
        let mut source = world.open(&guest).await.unwrap();
        let error = source.poll(Budget::MAX).await.unwrap_err();
        assert_eq!((error.outcome(), source.is_gone()), (outcome, gone), "{verdict:?}");
        assert!(matches!(error.fault(), Fault::Failure { verdict: it, .. } if *it == verdict));
        let text = error.to_string();
        assert!(
            text.starts_with("source test: plugin guest (sha256 ")
                && text.contains("in poll: no luck (test.code)"),
            "{text}"
        );
        let again = source.poll(Budget::MAX).await.unwrap_err();
        assert_eq!(matches!(again.fault(), Fault::Gone), gone);
        assert_eq!(world.counters.stats().traps, 0);
    }
    let guest = Guest { open: Some(failure(1024, 0)), ..Guest::default() };
    let error = guest.open().await.err().unwrap();
    assert_eq!((error.call(), error.outcome()), (Call::Open, Outcome::Retry { after_ms: None }));
}

#[tokio::test]
async fn what_does_not_fit_the_plugin_is_told_before_it_runs() {
    let describe = r"(i32.store (i32.const 536) (i32.const 8192)) (i32.store (i32.const 540) (i32.const 57))
        (i32.store (i32.const 544) (i32.const 8320)) (i32.store (i32.const 548) (i32.const 1)) (i32.const 512)";
    let more = r#"(data (i32.const 8192) "{\"properties\":{\"n\":{\"type\":\"integer\",\"default\":3}},\"a\":0}")
        ;; need: files "logs", "it reads them", required
        (data (i32.const 8320) "\80\21\00\00\05\00\00\00\88\21\00\00\04\00\00\00\90\21\00\00\02\00\00\00\01")
        (data (i32.const 8576) "files\00\00\00logs\00\00\00\00so")"#;
    let guest = Guest { describe: Some(describe), more, ..Guest::default() };
    let plugin = guest.load();
    assert_eq!(plugin.info().needs[0].name, "logs");
    let error = Source::open(&plugin, World::default().options()).await.err().unwrap();
    assert_eq!(error.outcome(), Outcome::BadConfig);
    let text = error.to_string();
    assert!(
        text.contains("needs files \"logs\"") && text.contains("[sources.test]\ngrants.files.logs = "),
        "{text}"
    );
    let granted = |config| World { config, ..World::granting("/tmp/*.log") };
    assert!(Source::open(&plugin, granted(json!({})).options()).await.is_ok());
    let error = Source::open(&plugin, granted(json!({ "n": "x" })).options()).await.err().unwrap();
    assert!(error.to_string().contains("config.n: expected a whole number, got \"x\""), "{error}");
    let error = Source::open(&plugin, World::granting("/tmp/[").options()).await.err().unwrap();
    assert!(matches!(error.fault(), Fault::Capability(_)), "{error}");
    let long = World { cursor: Some(vec![0; (64 << 10) + 1]), ..granted(json!({})) };
    let error = Source::open(&plugin, long.options()).await.err().unwrap();
    assert!(error.to_string().contains("a cursor of 65537 bytes, more than 65536"), "{error}");
}

#[tokio::test]
async fn only_sources_are_opened_as_sources() {
    let wat = r#"(module (memory (export "memory") 1)
        (data (i32.const 0) "\40\00\00\00\01\00\00\00\40\00\00\00\01\00\00\00\40\00\00\00\01\00\00\00") (data (i32.const 64) "f")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "weir:plugin/about@0.1.0#describe") (result i32) (i32.const 0))
        (func (export "weir:plugin/filter@0.1.0#open") (param i32 i32) (result i32) unreachable)
        (func (export "weir:plugin/filter@0.1.0#matches")
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#;
    let plugin = runtime().load(file(super::guest::with_metadata(wat, "filter-plugin"))).unwrap();
    let error = Source::open(&plugin, World::default().options()).await.err().unwrap();
    assert!(error.to_string().contains("it is a filter, not a source"), "{error}");
}

#[tokio::test]
async fn waits_end_at_the_budget_and_when_stopping() {
    let poll = format!("(call $sleep (i32.const -1)) {IDLE_0}");
    let guest = Guest { head: TIMING, poll: Some(poll.leak()), ..Guest::default() };
    let world = World::default();
    let mut source = world.open(&guest).await.unwrap();
    let (opening, started) = (world.counters.stats().running, std::time::Instant::now());
    source.poll(Budget { wait_ms: 50, ..Budget::MAX }).await.unwrap();
    let (waited, busy) = (started.elapsed(), world.counters.stats().running);
    assert!(waited.as_millis() >= 50);
    assert!(
        busy + std::time::Duration::from_millis(49) <= opening + waited,
        "waiting is not running: {busy:?} of {waited:?}"
    );
    let stop = world.stop.clone();
    let started = std::time::Instant::now();
    let (polled, ()) =
        tokio::join!(source.poll(Budget { wait_ms: 300_000, ..Budget::MAX }), async { stop.stop() });
    polled.unwrap();
    assert!(started.elapsed().as_secs() < 60);
}

#[tokio::test]
async fn a_cancelled_call_ends_the_instance() {
    let poll = format!("(call $sleep (i32.const -1)) {IDLE_0}");
    let guest = Guest { head: TIMING, poll: Some(poll.leak()), ..Guest::default() };
    let mut source = guest.open().await.unwrap();
    let cancelled =
        tokio::time::timeout(std::time::Duration::from_millis(20), source.poll(Budget::MAX)).await;
    assert!(cancelled.is_err());
    assert!(source.is_gone());
    let error = source.poll(Budget::MAX).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Restart);
}

#[tokio::test]
async fn log_lines_are_escaped_limited_and_counted() {
    let poll = "(local $n i32)
        (if (call $enabled (i32.const 0)) (then (unreachable)))
        (loop $again
          (call $log (i32.const 2) (i32.const 4224) (i32.const 12) (i32.const 0) (i32.const 0))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))
        (i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 1)) (i32.const 2048)";
    let guest = Guest { head: LOG, poll: Some(poll), ..Guest::default() };
    let world = World::default();
    let mut source = world.open(&guest).await.unwrap();
    source.poll(Budget::MAX).await.unwrap();
    let stats = world.counters.stats();
    assert_eq!(stats.log_lines + stats.log_lines_dropped, 10_000);
    assert!((200..400).contains(&stats.log_lines), "{stats:?}");
    let lines = world.seen.lines.lock();
    assert_eq!(lines.len() as u64, stats.log_lines);
    assert_eq!(lines[0], "guest test Info a line\\u{1b}[31m\\n [] -0");
}

#[tokio::test]
async fn sources_run_beside_each_other() {
    let plugin = Guest { poll: Some(TWO), ..Guest::default() }.load();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let plugin = std::sync::Arc::clone(&plugin);
            tokio::spawn(async move {
                let mut source = Source::open(&plugin, World::default().options()).await.unwrap();
                for _ in 0..50 {
                    source.poll(Budget::MAX).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
