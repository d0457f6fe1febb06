//! The source in a scripted world.

use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::testing::{Record, Run, World};
use weir_plugin_sdk::{Budget, Polled, Verdict};

use crate::StdinSource;

fn open(world: &World, config: &str) -> Run<StdinSource> {
    Run::open(world, config, None).unwrap()
}

fn payloads(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &*record.payload).collect()
}

#[test]
fn lines_come_as_they_are_and_the_last_one_needs_no_newline() {
    let world = World::new();
    world.stdin_push(b"one\r\n\ntwo\0\xff\nthr");
    let mut run = open(&world, "{}");
    assert_eq!(payloads(&run.drain().unwrap()), [&b"one\r"[..], b"", b"two\0\xff"]);
    world.stdin_push(b"ee\nfour");
    assert_eq!(payloads(&run.drain().unwrap()), [&b"three"[..]]);
    world.stdin_close();
    assert_eq!(payloads(&run.drain().unwrap()), [&b"four"[..]]);
    assert!(matches!(run.poll(), Ok(Polled::Finished)));
    assert_eq!(run.close(), (vec![], None));
}

#[test]
fn nothing_to_read_is_idle_and_waits_within_the_poll() {
    let world = World::new();
    world.stdin_push(b"");
    let mut run = open(&world, "{}");
    assert!(matches!(run.poll(), Ok(Polled::Idle { wait_ms: 0 })));
    assert_eq!(world.elapsed_ms(), 1000);
}

#[test]
fn an_empty_input_is_finished_at_once() {
    let world = World::new();
    world.stdin_close();
    assert!(matches!(open(&world, "{}").poll(), Ok(Polled::Finished)));
}

#[test]
fn a_long_line_is_split_with_marks_and_loses_no_byte() {
    for (bytes, max) in [(100 << 20, RECORD_BYTES_MAX), (1000, 7), (8, 7), (7, 7)] {
        let world = World::new();
        let line: Vec<u8> = (0..bytes).map(|i: usize| b'a' + (i % 26) as u8).collect();
        world.stdin_push(b"before\n");
        world.stdin_push(&line);
        world.stdin_push(b"\nafter\n");
        world.stdin_close();
        let mut run = open(&world, &format!(r#"{{"max_line_bytes": {max}}}"#));
        let records = run.drain().unwrap();
        let parts = &records[1..records.len() - 1];
        assert_eq!(parts.iter().flat_map(|r| r.payload.clone()).collect::<Vec<_>>(), line);
        let marks: Vec<_> = parts.iter().map(Record::part).collect();
        let mut expected = vec![Some("middle"); bytes.div_ceil(max)];
        expected[0] = Some("first");
        *expected.last_mut().unwrap() = Some("last");
        assert_eq!(marks, if bytes <= max { vec![None] } else { expected });
        assert_eq!(
            (&*records[0].payload, &*records.last().unwrap().payload),
            (&b"before"[..], &b"after"[..])
        );
    }
}

#[test]
fn a_small_budget_takes_several_polls_and_keeps_the_order() {
    let world = World::new();
    let lines: Vec<String> = (0..50_000).map(|n| format!("line {n}")).collect();
    world.stdin_push(lines.join("\n").as_bytes());
    world.stdin_close();
    let mut run = open(&world, "{}");
    run.set_budget(Budget { records: 7, bytes: RECORD_BYTES_MAX, wait_ms: 10 });
    let records = run.drain().unwrap();
    assert!(records.iter().zip(&lines).all(|(record, line)| record.payload == line.as_bytes()));
    assert_eq!(records.len(), lines.len());
}

#[test]
fn close_hands_over_what_was_read() {
    let world = World::new();
    world.stdin_push(b"one\ntwo\nthree\nhalf");
    let mut run = open(&world, "{}");
    run.set_budget(Budget { records: 1, bytes: RECORD_BYTES_MAX, wait_ms: 10 });
    assert!(matches!(run.poll(), Ok(Polled::Records(taken)) if taken.more));
    assert_eq!(payloads(&run.close().0), [&b"two"[..], b"three", b"half"]);
}

#[test]
fn wrong_settings_and_a_missing_grant_are_said_in_words() {
    let world = World::new();
    for (config, expected) in [
        (
            r#"{"max_line": 1}"#,
            "the plugin's config is wrong: unknown field `max_line`, expected `max_line_bytes` or `prefix`",
        ),
        (
            r#"{"max_line_bytes": "1"}"#,
            "the plugin's config is wrong: invalid type: string \"1\", expected usize",
        ),
    ] {
        let failure = Run::<StdinSource>::open(&world, config, None).unwrap_err();
        assert_eq!((failure.verdict, &*failure.message), (Verdict::BadConfig, expected));
    }
    let failure = open(&world, "{}").poll().unwrap_err();
    assert_eq!((failure.verdict, &*failure.code), (Verdict::BadConfig, "stdin.not-granted"));
}

#[test]
fn a_prefix_stands_in_front_of_every_line_however_the_bytes_come() {
    for size in 1..12 {
        let world = World::new();
        b"one\n\ntwo\nthree".chunks(size).for_each(|chunk| world.stdin_push(chunk));
        world.stdin_close();
        let mut run = open(&world, r#"{"prefix": "[A ] "}"#);
        assert_eq!(payloads(&run.drain().unwrap()), [&b"[A ] one"[..], b"[A ] ", b"[A ] two", b"[A ] three"]);
    }
    let world = World::new();
    world.stdin_close();
    assert!(matches!(open(&world, r#"{"prefix": "A "}"#).poll(), Ok(Polled::Finished)));
    for prefix in ["a\\nb".to_owned(), "x".repeat(129)] {
        let world = World::new();
        assert!(Run::<StdinSource>::open(&world, &format!(r#"{{"prefix": "{prefix}"}}"#), None).is_err());
    }
}
