//! What a hostile or broken source tries, and what stops it.

use std::time::{Duration, Instant};

use super::guest::{Guest, TWO, World, file, runtime, with_metadata};
use crate::{Budget, Call, Fault, LimitError, Limits, Outcome, PluginBatchError, Source, SourceError};

const LOG: &str = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;
const LOOP: &str = "(loop (br 0)) (unreachable)";

async fn error_in_poll(guest: Guest) -> SourceError {
    error_in_poll_of(World::default(), guest).await
}

async fn error_in_poll_of(world: World, guest: Guest) -> SourceError {
    let mut source = world.open(&guest).await.unwrap();
    let error = source.poll(Budget { wait_ms: 0, ..Budget::MAX }).await.unwrap_err();
    assert!(source.is_gone());
    assert_eq!(error.outcome(), Outcome::Trap);
    error
}

fn guest(poll: impl Into<String>) -> Guest {
    Guest { poll: Some(poll.into().leak()), ..Guest::default() }
}

#[tokio::test]
async fn a_trap_tells_plugin_call_panic_and_frames() {
    let panic = "(call $log (i32.const 4) (i32.const 4160) (i32.const 37) (i32.const 0) (i32.const 0)) (call $inner) (unreachable)";
    let guest =
        Guest { head: LOG, more: "(func $inner (unreachable))", poll: Some(panic), ..Guest::default() };
    let error = error_in_poll(guest).await;
    let text = error.to_string();
    assert!(text.starts_with("source test: plugin guest (sha256 "), "{text}");
    assert!(
        text.ends_with(" in poll: panicked at src/lib.rs:7: out of luck; at guest!inner < guest!poll"),
        "{text}"
    );
    assert_eq!(error.frames(), ["guest!inner", "guest!poll"]);
}

#[tokio::test]
async fn a_trap_without_a_panic_tells_the_last_line() {
    let body =
        "(call $log (i32.const 2) (i32.const 4224) (i32.const 6) (i32.const 0) (i32.const 0)) (unreachable)";
    let guest = Guest { head: LOG, poll: Some(body), ..Guest::default() };
    let text = error_in_poll(guest).await.to_string();
    assert!(text.contains("in poll: trapped: wasm `unreachable` instruction executed; its last log line: a line; at guest!poll"), "{text}");
}

#[tokio::test]
async fn a_trap_in_any_call_is_named_by_it() {
    let error = Guest { open: Some("(unreachable)"), ..Guest::default() }.open().await.err().unwrap();
    assert_eq!((error.call(), error.outcome()), (Call::Open, Outcome::Trap), "{error}");
    let error = error_in_poll(guest("(unreachable)")).await;
    assert_eq!((error.call(), error.outcome()), (Call::Poll, Outcome::Trap), "{error}");
    let source = Guest { close: Some("(unreachable)"), ..Guest::default() }.open().await.unwrap();
    let error = source.close().await.unwrap_err();
    assert_eq!((error.call(), error.outcome()), (Call::Close, Outcome::Trap), "{error}");
}

#[tokio::test]
async fn an_endless_loop_ends_in_bounded_time_wherever_it_is() {
    let post_return =
        r#"(func (export "cabi_post_weir:plugin/source@0.1.0#poll") (param i32) (loop (br 0)))"#;
    let copies = "(loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 131071)) (br 0)) (unreachable)";
    for (guest, frame) in [
        (guest(LOOP), "guest!poll"),
        (guest(copies), "guest!poll"),
        (
            Guest {
                poll: Some("(call $deep) (unreachable)"),
                more: "(func $deep (loop (br 0)))",
                ..Guest::default()
            },
            "guest!deep",
        ),
        (Guest { poll: Some(TWO), more: post_return, ..Guest::default() }, "guest!"),
    ] {
        let started = Instant::now();
        let error = error_in_poll_of(World::hasty(), guest).await;
        let spent = started.elapsed();
        assert!(matches!(error.fault(), Fault::Deadline { limit_ms: 300 }), "{error}");
        assert!(error.frames()[0].starts_with(frame), "{error}");
        assert!(spent >= Duration::from_millis(300) && spent < Duration::from_mins(1), "{spent:?}");
    }
    let error = World::hasty().open(&Guest { open: Some(LOOP), ..Guest::default() }).await.err().unwrap();
    assert!(matches!((error.fault(), error.call()), (Fault::Deadline { .. }, Call::Open)), "{error}");
    // While the settings are put into its memory.
    let text = Guest::default().text().replace("(local.get $at))", "(loop (br 0)) (local.get $at))");
    let error = open_text(&text).await;
    assert!(matches!((error.fault(), error.call()), (Fault::Deadline { .. }, Call::Open)), "{error}");
}

/// The error of opening a module in text.
async fn open_text(text: &str) -> SourceError {
    let plugin = runtime().load(file(with_metadata(text, "source-plugin"))).unwrap();
    Source::open(&plugin, World::hasty().options()).await.err().unwrap()
}

#[tokio::test]
async fn a_loop_leaves_others_their_turn() {
    // One thread: the loop has to yield for the ticks to be counted.
    let looping = tokio::spawn(error_in_poll_of(World::hasty(), guest(LOOP)));
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut turns = 0;
    while !looping.is_finished() {
        ticks.tick().await;
        turns += 1;
    }
    assert!(turns > 2, "{turns}");
    assert!(matches!(looping.await.unwrap().fault(), Fault::Deadline { .. }));
}

#[tokio::test]
async fn recursion_ends() {
    let poll = Guest {
        more: "(func $deep (call $deep) (call $deep))",
        poll: Some("(call $deep) (unreachable)"),
        ..Guest::default()
    };
    let error = error_in_poll(poll).await;
    assert!(error.to_string().contains("call stack exhausted"), "{error}");
}

#[tokio::test]
async fn a_memory_bomb_is_stopped_by_the_sum() {
    let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    let grow = |memories: usize| {
        let grow: Vec<_> =
            (0..memories).map(|n| format!("(drop (memory.grow {n} (i32.const 16)))")).collect();
        let grow = grow.concat();
        format!("(loop {grow} (br 0)) (unreachable)")
    };
    for (more, memories) in [("", 1), ("(memory 1) (memory 1) (memory 1)", 4)] {
        let world = World { limits, ..World::default() };
        let guest = Guest { more, poll: Some(grow(memories).leak()), ..Guest::default() };
        let mut source = world.open(&guest).await.unwrap();
        let error = source.poll(Budget::MAX).await.unwrap_err();
        let Fault::Limit(LimitError::Memory { wanted, max }) = error.fault() else { panic!("{error}") };
        assert!(*max == 16 << 20 && wanted - max <= 16 << 16, "{wanted}");
        assert!(error.to_string().contains("limits.memory"), "{error}");
        assert!(world.counters.stats().memory_bytes <= 16 << 20);
    }
    // From the start on.
    let memory = Some(r#"(memory (export "memory") 300)"#);
    let world = World { limits, ..World::default() };
    let error = world.open(&Guest { memory, ..Guest::default() }).await.err().unwrap();
    assert!(matches!(error.fault(), Fault::Limit(_)), "{error}");
    assert_eq!(error.call(), Call::Start);
}

#[tokio::test]
async fn a_table_bomb_is_stopped() {
    let more = "(table $t 1 funcref)";
    let poll = Some("(drop (table.grow $t (ref.null func) (i32.const 100000000))) (unreachable)");
    let error = error_in_poll(Guest { more, poll, ..Guest::default() }).await;
    assert!(matches!(error.fault(), Fault::Limit(LimitError::Table { .. })), "{error}");
}

#[tokio::test]
async fn lying_batches_are_refused() {
    let set = |from: &str, to: &str| {
        assert!(TWO.contains(from), "{from}");
        TWO.replace(from, to)
    };
    let also = |stores: &str| format!("{stores} {TWO}");
    for (poll, words) in [
        (
            also(
                "(i64.store (i32.const 4104) (i64.const 0x600000003)) (i32.store (i32.const 4104) (i32.const 7))",
            ),
            "the end of record 1 lies before its start",
        ),
        (set("2060) (i32.const 6)", "2060) (i32.const 5)"), "the ends cover 6 bytes of an arena of 5"),
        (set("2068) (i32.const 2)", "2068) (i32.const 1)"), "the ends cover 3 bytes of an arena of 6"),
        (
            also("(i32.store (i32.const 2072) (i32.const 4096)) (i32.store (i32.const 2076) (i32.const 7))"),
            "times has 7 entries for 2 records",
        ),
        (
            also("(i32.store (i32.const 2080) (i32.const 4096)) (i32.store (i32.const 2084) (i32.const 2))"),
            "record 0 is of stream 28271, of 0",
        ),
        (
            also("(i32.store (i32.const 2104) (i32.const 4096)) (i32.store (i32.const 2108) (i32.const 6))"),
            "a source gives no ids",
        ),
        (set("2120) (i32.const 2)", "2120) (i32.const 65537)"), "a cursor of 65537 bytes, more than 65536"),
    ] {
        let error = error_in_poll(guest(poll)).await;
        assert!(matches!(error.fault(), Fault::Batch(_)), "{error}");
        assert!(error.to_string().contains(words), "{words}\n{error}");
    }
}

#[tokio::test]
async fn more_than_the_budget_is_refused() {
    let mut source = guest(TWO).open().await.unwrap();
    let error = source.poll(Budget { records: 1, ..Budget::MAX }).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Batch(PluginBatchError::Records { got: 2, max: 1 })), "{error}");
}

#[tokio::test]
async fn lying_pointers_and_texts_are_refused() {
    let set = |from: &str, to: &str| TWO.replace(from, to);
    for poll in [
        set("2056) (i32.const 4096)", "2056) (i32.const -16)"),
        set("2060) (i32.const 6)", "2060) (i32.const -1)"),
        set("2064) (i32.const 4104)", "2064) (i32.const 4105)"),
        set("2048) (i32.const 0)", "2048) (i32.const 9)"),
        set("2052) (i32.const 0)", "2052) (i32.const 3)"),
        "(i32.const 2049)".into(),
        "(i32.const -8)".into(),
        super::guest::failure(2048, 4).into(),
        format!("(i32.store8 (i32.const 4128) (i32.const 255)) {}", super::guest::failure(2048, 0)),
    ] {
        let error = error_in_poll(guest(poll)).await;
        assert!(matches!(error.fault(), Fault::Trap(_)), "{error}");
    }
}

#[tokio::test]
async fn a_list_larger_than_any_batch_is_not_copied() {
    let memory = Some(r#"(memory (export "memory") 512)"#);
    let poll = TWO.replace("2060) (i32.const 6)", "2060) (i32.const 33000000)");
    let error = error_in_poll(Guest { memory, poll: Some(poll.leak()), ..Guest::default() }).await;
    assert!(matches!(error.fault(), Fault::Copy { .. }), "{error}");
}

#[tokio::test]
async fn an_allocator_that_lies_is_refused() {
    // The settings have to be put somewhere; this one says where there is no memory.
    let text = Guest::default().text().replace("(local.get $at))", "(i32.const -4))");
    let error = open_text(&text).await;
    assert!(matches!(error.fault(), Fault::Trap(_)), "{error}");
}

#[tokio::test]
async fn nothing_is_reached_without_a_grant() {
    let head = r#"(import "weir:plugin/files@0.1.0" "scan" (func $scan (param i32 i32 i32)))
                  (import "weir:plugin/stdin@0.1.0" "read" (func $read (param i32 i32 i32)))"#;
    // Hands the failure of the capability on as its own: result<_, failure> is shaped like the first
    // words of result<polled, failure>, for `scan` and `read` alike.
    for (call, words) in [
        (
            "(call $scan (i32.const 4096) (i32.const 3) (i32.const 2048))",
            "no files are granted as \"one\"; add `grants.files.one = ",
        ),
        (
            "(call $read (i32.const 9) (i32.const 9) (i32.const 2048))",
            "standard input is not granted to this source; add `grants.stdin = true`",
        ),
    ] {
        let poll = format!(
            "{call} (if (i32.eqz (i32.load8_u (i32.const 2048))) (then (unreachable))) (i32.const 2048)"
        );
        let mut source = Guest { head, poll: Some(poll.leak()), ..Guest::default() }.open().await.unwrap();
        let error = source.poll(Budget::MAX).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::BadConfig, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn handles_run_out_with_an_error_and_not_with_the_host() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one"), "text").unwrap();
    let dir = std::fs::canonicalize(dir.path()).unwrap();
    let path = format!("{}/one", dir.display());
    let head =
        r#"(import "weir:plugin/files@0.1.0" "[static]file.open" (func $file (param i32 i32 i32 i32 i32)))"#;
    let poll = format!(
        "(loop $again
           (call $file (i32.const 8192) (i32.const 4) (i32.const 8200) (i32.const {}) (i32.const 2048))
           (br_if $again (i32.eqz (i32.load8_u (i32.const 2048)))))
         (i32.const 2048)",
        path.len()
    );
    let more = format!(r#"(data (i32.const 8192) "logs") (data (i32.const 8200) "{path}")"#);
    let guest = Guest { head, more: more.leak(), poll: Some(poll.leak()), ..Guest::default() };
    let world = World::granting(&format!("{}/*", dir.display()));
    let mut source = world.open(&guest).await.unwrap();
    let error = source.poll(Budget::MAX).await.unwrap_err();
    assert!(error.to_string().contains("too many handles are open (files.too-many)"), "{error}");
    assert!(!source.is_gone());
    drop(dir);
}
