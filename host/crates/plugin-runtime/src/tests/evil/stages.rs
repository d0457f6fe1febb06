//! Crimes of filters, rewrites and aggregates.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Evil, LOG, LOOP, TRAP, call, hasty, lived, three};
use crate::tests::guest::Seen;
use crate::{Kind, Limits, Stage, StageOptions};

/// All exports of stages.
const EXPORTS: [(Kind, &str); 9] = [
    (Kind::Filter, "open"),
    (Kind::Filter, "matches"),
    (Kind::Rewrite, "open"),
    (Kind::Rewrite, "apply"),
    (Kind::Aggregate, "open"),
    (Kind::Aggregate, "update"),
    (Kind::Aggregate, "partial"),
    (Kind::Aggregate, "merge"),
    (Kind::Aggregate, "finish"),
];

/// Checks what comes of each.
fn check(crimes: &[(&str, Evil, &str)]) {
    for (name, evil, words) in crimes {
        let error = evil.error();
        assert!(error.contains(words), "{name}: {words}\n{error}");
    }
}

fn with(function: &'static str, body: &'static str) -> &'static [(&'static str, &'static str)] {
    vec![(function, body)].leak()
}

#[test]
fn an_endless_loop_in_any_export_ends_and_is_named() {
    for (kind, function) in EXPORTS {
        let error = Evil::of(kind, with(function, LOOP)).error();
        let words = format!("in {function}: took longer than 300 ms");
        assert!(error.contains(&words) && error.contains(&format!("at guest!{function}")), "{error}");
    }
    for kind in [Kind::Filter, Kind::Rewrite, Kind::Aggregate] {
        let error = Evil::of(kind, with("describe", LOOP)).error();
        assert!(error.contains("describe failed: took longer than 200 ms"), "{error}");
    }
}

#[test]
fn a_trap_in_any_export_is_named_with_its_functions() {
    for (kind, function) in EXPORTS {
        let error = Evil::of(kind, with(function, TRAP)).error();
        let words =
            format!("in {function}: trapped: wasm `unreachable` instruction executed; at guest!{function}");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn a_trap_at_the_nth_call_costs_the_instance_and_no_other() {
    let counting = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eq (global.get $calls) (i32.const 4)) (then (unreachable)))";
    for (kind, function, behaved) in [
        (
            Kind::Filter,
            "matches",
            "(i32.store (i32.const 2052) (i32.const 4096)) (i32.store (i32.const 2056) (i32.const 1)) (i32.const 2048)",
        ),
        (Kind::Rewrite, "apply", "(i32.const 2048)"),
        (Kind::Aggregate, "update", "(i32.const 3072)"),
    ] {
        for n in 1..=5 {
            let body = counting.replace("const 4))", &format!("const {n}))"));
            let plugin = Evil::of(kind, with(function, format!("{body} {behaved}").leak())).load().unwrap();
            let options = hasty(&Arc::default());
            // A fresh instance knows nothing of the one before.
            for _ in 0..2 {
                let mut stage = Stage::open(&plugin, &options).unwrap();
                for _ in 1..n {
                    call(&mut stage, kind).unwrap();
                }
                assert!(call(&mut stage, kind).unwrap_err().to_string().contains("trapped"), "{kind} {n}");
                assert!(call(&mut stage, kind).unwrap_err().to_string().contains("gone"), "{kind} {n}");
            }
        }
    }
}

#[test]
fn bombs_are_stopped_by_the_limits_and_told_with_them() {
    let memories = "(memory $a 1) (memory $b 1) (memory $c 1)";
    let grow_all = "(loop $l (drop (memory.grow (i32.const 8))) (drop (memory.grow $a (i32.const 8)))
        (drop (memory.grow $b (i32.const 8))) (drop (memory.grow $c (i32.const 8))) (br $l)) (unreachable)";
    let tables = "(table $t 1 funcref) (table $u 1 funcref)";
    let grow_tables = "(loop $l (drop (table.grow $t (ref.null func) (i32.const 999)))
        (drop (table.grow $u (ref.null func) (i32.const 999))) (br $l)) (unreachable)";
    check(&[
        (
            "memory at once",
            Evil::of(Kind::Filter, with("matches", "(drop (memory.grow (i32.const 65000))) (unreachable)")),
            "its limit is 67108864",
        ),
        (
            "memory bit by bit",
            Evil::of(
                Kind::Aggregate,
                with("update", "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)"),
            ),
            "raise `limits.memory`",
        ),
        (
            "memory in open",
            Evil::of(
                Kind::Rewrite,
                with("open", "(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (unreachable)"),
            ),
            "raise `limits.memory`",
        ),
        (
            "four memories",
            Evil { more: memories, bodies: with("matches", grow_all), ..Evil::FILTER },
            "bytes of memory, its limit is",
        ),
        ("memory from the start", Evil { pages: 2000, ..Evil::FILTER }, "bytes of memory, its limit is"),
        (
            "a table at once",
            Evil {
                more: tables,
                bodies: with(
                    "matches",
                    "(drop (table.grow $t (ref.null func) (i32.const -1))) (unreachable)",
                ),
                ..Evil::FILTER
            },
            "table elements, at most 20000",
        ),
        (
            "tables bit by bit",
            Evil { more: tables, bodies: with("update", grow_tables), ..Evil::AGGREGATE },
            "table elements, at most 20000",
        ),
        (
            "recursion",
            Evil {
                more: "(func $deep (call $deep) (call $deep))",
                bodies: with("apply", "(call $deep) (unreachable)"),
                ..Evil::REWRITE
            },
            "call stack exhausted",
        ),
        (
            "recursion through a table",
            Evil {
                more: "(table 1 funcref) (elem (i32.const 0) $deep) (type $f (func)) (func $deep (call_indirect (type $f) (i32.const 0)) (call_indirect (type $f) (i32.const 0)))",
                bodies: with("finish", "(call $deep) (unreachable)"),
                ..Evil::AGGREGATE
            },
            "call stack exhausted",
        ),
    ]);
}

#[test]
fn memory_that_grows_from_call_to_call_is_stopped_by_the_sum() {
    let grow = "(drop (memory.grow (i32.const 64))) (i32.const 3072)";
    let plugin = Evil::of(Kind::Aggregate, with("update", grow)).load().unwrap();
    let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    let mut stage = Stage::open(&plugin, &StageOptions { limits, ..hasty(&Arc::default()) }).unwrap();
    let mut calls = 0;
    let error = loop {
        match stage.update(&three()) {
            Ok(()) => calls += 1,
            Err(error) => break error.to_string(),
        }
        assert!(stage.memory_bytes() <= limits.memory_bytes && calls < 10);
    };
    assert!(error.contains("its limit is 16777216"), "{error}");
}

#[test]
fn what_is_slow_in_a_clever_way_ends_like_any_loop() {
    let slow: [(&str, &str); 4] = [
        (
            "large copies, of which each is one instruction",
            "(loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 262143)) (br 0)) (unreachable)",
        ),
        (
            "large fills",
            "(loop (memory.fill (i32.const 131072) (i32.const 1) (i32.const 131072)) (br 0)) (unreachable)",
        ),
        ("calls in a circle", "(loop (call $ping) (br 0)) (unreachable)"),
        (
            "a count to 2^64",
            "(local $n i64) (loop (local.set $n (i64.add (local.get $n) (i64.const 1))) (br_if 0 (i64.ne (local.get $n) (i64.const 0)))) (unreachable)",
        ),
    ];
    for (name, body) in slow {
        let evil = Evil {
            more: "(func $ping (call $pong)) (func $pong)",
            bodies: with("matches", body),
            ..Evil::FILTER
        };
        let error = evil.error();
        assert!(error.contains("took longer than 300 ms"), "{name}: {error}");
    }
    // The host gives records by the plugin's own allocator, and cleans up by its own function.
    let post = r#"(func (export "cabi_post_weir:plugin/filter@0.1.0#matches") (param i32) (loop (br 0)))"#;
    check(&[
        ("an allocator that loops", Evil::of(Kind::Filter, with("realloc", LOOP)), "took longer than 300 ms"),
        ("cleaning up for ever", Evil { more: post, ..Evil::FILTER }, "took longer than 300 ms"),
    ]);
}

#[test]
fn an_allocator_that_lies_harms_itself_alone() {
    check(&[
        ("beyond the memory", Evil::of(Kind::Filter, with("realloc", "(i32.const -4)")), "realloc return"),
        ("not aligned", Evil::of(Kind::Filter, with("realloc", "(i32.const 131073)")), "not aligned"),
        ("a trap", Evil::of(Kind::Aggregate, with("realloc", TRAP)), "trapped"),
        (
            "calls out of the middle of a call",
            Evil {
                head: LOG,
                bodies: with(
                    "realloc",
                    "(call $log (i32.const 2) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0)) (i32.const 131072)",
                ),
                ..Evil::FILTER
            },
            "cannot leave component instance",
        ),
    ]);
    // Everything over everything: its own records are garbage then, and nobody else's.
    let plugin = Evil::of(Kind::Filter, with("realloc", "(i32.const 131072)")).load().unwrap();
    lived(&plugin, &hasty(&Arc::default())).unwrap();
}

/// `ok` of a rewrite at 2048, or of `finish` at 3200: words that are stored, by their place behind the first.
fn answer(at: u32, words: &[(u32, i32)]) -> &'static str {
    let store =
        |(offset, value): &(u32, i32)| format!("(i32.store (i32.const {}) (i32.const {value}))", at + offset);
    let stores = words.iter().map(store).collect::<Vec<_>>().concat();
    format!("{stores} (i32.const {at})").leak()
}

/// Places of the lists of a batch behind the first word: where the list lies, and how long it is.
const ARENA: (u32, u32) = (4, 8);
const ENDS: (u32, u32) = (12, 16);
const TIMES: (u32, u32) = (20, 24);
const STREAM_OF: (u32, u32) = (28, 32);
const IDS: (u32, u32) = (52, 56);
const CAME_FROM: (u32, u32) = (60, 64);

#[test]
fn lying_answers_are_refused_in_words() {
    let list = |(at, count): (u32, u32), address, items| [(at, address), (count, items)];
    let batch = [list(ARENA, 8192, 11), list(ENDS, 4104, 3)].concat();
    let also = |more: [(u32, i32); 2]| [batch.clone(), more.to_vec()].concat();
    for (name, words, told) in [
        ("ends beyond the arena", [list(ARENA, 8192, 5), list(ENDS, 4104, 3)].concat(), "of an arena of 5"),
        (
            "an arena behind the ends",
            [list(ARENA, 8192, 20), list(ENDS, 4104, 3)].concat(),
            "of an arena of 20",
        ),
        // 4100 holds zero, then 3, 6: goes up; from 4112 on 11, then 0: goes down.
        ("ends that go down", [list(ARENA, 8192, 11), list(ENDS, 4112, 2)].concat(), "lies before its start"),
        ("times of others", also(list(TIMES, 8192, 7)), "times has 7 entries for 3 records"),
        ("streams that are not there", also(list(STREAM_OF, 4096, 3)), "of stream"),
        ("ids", also(list(IDS, 8192, 48)), "ids"),
        ("a list in nowhere", list(ARENA, -65536, 70000).to_vec(), "out of bounds"),
        ("ends that are not aligned", [list(ARENA, 8192, 11), list(ENDS, 4105, 3)].concat(), "not aligned"),
    ] {
        for (kind, function, at) in [(Kind::Rewrite, "apply", 2048), (Kind::Aggregate, "finish", 3200)] {
            let error = Evil::of(kind, with(function, answer(at, &words))).error();
            assert!(error.contains(told), "{name}: {told}\n{error}");
        }
    }
    for (name, words, told) in [
        ("fewer origins than records", batch.clone(), "came-from has 0 entries for 3 records"),
        (
            "an origin that was not given",
            also(list(CAME_FROM, 4104, 3)),
            "came-from does not go up within the 3 records",
        ),
        (
            "the same origin twice",
            [list(ARENA, 8192, 0), list(ENDS, 8192, 2), list(CAME_FROM, 8192, 2)].concat(),
            "came-from does not go up",
        ),
    ] {
        let error = Evil::of(Kind::Rewrite, with("apply", answer(2048, &words))).error();
        assert!(error.contains(told), "{name}: {told}\n{error}");
    }
}

#[test]
fn states_that_are_too_large_are_not_taken() {
    let partial = |bytes: i32| with("partial", answer(2048, &[(4, 8192), (8, bytes)]));
    for (bytes, pages, told) in [
        ((16 << 20) + 1, 400, "a partial of 16777217 bytes"),
        (20 << 20, 400, "handed over more than 16842752 bytes"),
        (1 << 30, 4, "out of bounds"),
        (-1, 4, "out of bounds"),
    ] {
        let error = Evil { bodies: partial(bytes), pages, ..Evil::AGGREGATE }.error();
        assert!(error.contains(told), "{bytes}: {error}");
    }
}

#[test]
fn a_flood_of_log_lines_drowns_nobody() {
    let flood = "(loop $l (call $log (i32.const 2) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0)) (br $l)) (unreachable)";
    let seen = Arc::<Seen>::default();
    let plugin = Evil { head: LOG, bodies: with("matches", flood), ..Evil::FILTER }.load().unwrap();
    let options = hasty(&seen);
    let error = lived(&plugin, &options).unwrap_err().to_string();
    assert!(
        error.contains("took longer than 300 ms") && error.contains("its last log line: guest"),
        "{error}"
    );
    let stats = options.counters.stats();
    assert_eq!(seen.lines.lock().len() as u64, stats.log_lines);
    // The burst, and what a call that a busy machine lets run longer adds to it.
    assert!(stats.log_lines < 2_000 && stats.log_lines_dropped > 0, "{stats:?}");
}

#[test]
fn log_lines_and_errors_are_cut_before_they_are_copied() {
    let log = |args: &str| with("matches", format!("(call $log {args}) (unreachable)").leak());
    for (name, args, told) in [
        (
            "a line of 8 MiB",
            "(i32.const 2) (i32.const 0) (i32.const 8388608) (i32.const 0) (i32.const 0)",
            "handed over more than",
        ),
        (
            "a line in nowhere",
            "(i32.const 2) (i32.const -8) (i32.const 64) (i32.const 0) (i32.const 0)",
            "out of bounds",
        ),
        (
            "a line that is no text",
            "(i32.const 2) (i32.const 4097) (i32.const 3) (i32.const 0) (i32.const 0)",
            "utf-8",
        ),
        (
            "a level that is none",
            "(i32.const 77) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0)",
            "trapped",
        ),
        (
            "a million fields",
            "(i32.const 2) (i32.const 256) (i32.const 5) (i32.const 65536) (i32.const 100000)",
            "handed over more than",
        ),
    ] {
        let error = Evil { head: LOG, bodies: log(args), pages: 200, ..Evil::FILTER }.error();
        assert!(error.contains(told), "{name}: {error}");
    }
    // failure { verdict, code, message, retry-after }: a message of zeros, as long as may be copied.
    let failure = answer(2048, &[(0, 1), (4, 3), (8, 4128), (12, 6), (16, 16384), (20, 60_000)]);
    let mut stage = Evil::of(Kind::Filter, with("matches", failure)).open().unwrap();
    let error = stage.matches(&three()).unwrap_err().to_string();
    assert!(error.len() < 5_000 && error.contains("(a.code)") && error.contains("\\u{0}"), "{}", error.len());
}

#[test]
fn a_start_function_does_what_it_does_before_anybody_relies_on_it() {
    for (name, more, told) in [
        ("loops", "(start $s) (func $s (loop (br 0)))", "describe failed: took longer than 200 ms"),
        ("traps", "(start $s) (func $s (unreachable))", "describe failed: trapped"),
        (
            "takes memory",
            "(start $s) (func $s (drop (memory.grow (i32.const 65000))))",
            "bytes of memory, its limit is",
        ),
        ("recurses", "(start $s) (func $s (call $s) (call $s))", "call stack exhausted"),
    ] {
        let error = Evil { more, ..Evil::FILTER }.load().unwrap_err();
        assert!(error.contains(told), "{name}: {error}");
    }
}

#[test]
fn a_filter_that_loops_leaves_others_their_turn() {
    let good = Evil::FILTER.load().unwrap();
    let options =
        StageOptions { limits: Limits { call_ms: 60_000, ..Limits::default() }, ..hasty(&Arc::default()) };
    let mut looping =
        Stage::open(&Evil::of(Kind::Filter, with("matches", LOOP)).load().unwrap(), &options).unwrap();
    let cancel = Arc::clone(&options.cancel);
    let thread = std::thread::spawn(move || looping.matches(&three()).unwrap_err());
    for _ in 0..100 {
        lived(&good, &hasty(&Arc::default())).unwrap();
    }
    assert!(!thread.is_finished(), "it has looped all the time");
    cancel.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

#[test]
fn more_instances_than_there_is_room_for_are_refused_and_nobody_else_is_hurt() {
    let plugin = Evil::FILTER.load().unwrap();
    let options = hasty(&Arc::default());
    let mut alive = Vec::new();
    let error = loop {
        match Stage::open(&plugin, &options) {
            Ok(stage) => alive.push(stage),
            Err(error) => break error.to_string(),
        }
        assert!(alive.len() < 1_000);
    };
    assert!(error.contains("plugin guest"), "{error}");
    let last = alive.last_mut().unwrap();
    assert_eq!(last.matches(&three()).unwrap(), [5]);
    drop(alive);
    lived(&plugin, &options).unwrap();
}
