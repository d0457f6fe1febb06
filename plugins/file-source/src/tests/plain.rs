//! Files that grow, and nothing else happens to them.

use weir_plugin_sdk::limits::{BATCH_RECORDS_MAX, CURSOR_BYTES_MAX, RECORD_BYTES_MAX};
use weir_plugin_sdk::testing::{Run, World};
use weir_plugin_sdk::{Budget, Polled, Verdict};

use crate::FileSource;
use crate::tests::{Bench, texts};

#[test]
fn files_are_read_from_their_start_and_followed() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\n\ntwo\r\n");
    bench.logs.append("/l/b.log", b"");
    let mut run = bench.open("{}", None);
    assert_eq!(texts(&run.drain().unwrap()), ["a.log: one", "a.log: ", "a.log: two\r"]);
    bench.logs.append("/l/a.log", b"three\n");
    bench.logs.append("/l/b.log", b"four\n");
    let mut both = texts(&run.drain().unwrap());
    both.sort();
    assert_eq!(both, ["a.log: three", "b.log: four"]);
    assert_eq!(texts(&run.drain().unwrap()), [""; 0]);
    assert_eq!(run.close().0, []);
}

#[test]
fn a_line_is_a_record_when_its_newline_has_come() {
    let bench = Bench::new();
    let mut run = bench.open("{}", None);
    let mut seen = Vec::new();
    for piece in ["on", "", "e\ntw", "o", "\n\nth"] {
        bench.logs.append("/l/a.log", piece.as_bytes());
        seen.push(texts(&run.drain().unwrap()).join(" | "));
    }
    assert_eq!(seen, ["", "", "a.log: one", "", "a.log: two | a.log: "]);
    let cursor = run.cursor();
    assert_eq!(run.close().0, []);
    bench.logs.append("/l/a.log", b"ree\n");
    assert_eq!(texts(&bench.open("{}", cursor).drain().unwrap()), ["a.log: three"]);
}

#[test]
fn bytes_are_kept_as_they_are() {
    let bench = Bench::new();
    let odd: &[u8] = b"\0\0a\0\xff\xfe%s %\x1b[31m\r";
    bench.logs.append("/l/a.log", &[odd, b"\n", odd].concat());
    let mut run = bench.open("{}", None);
    let records = run.drain().unwrap();
    assert_eq!(records.iter().map(|r| &*r.payload).collect::<Vec<_>>(), [odd]);
}

#[test]
fn a_name_with_control_characters_is_a_label_without() {
    let bench = Bench::new();
    bench.logs.append("/l/a\nb.log", b"x\n");
    assert_eq!(texts(&bench.open("{}", None).drain().unwrap()), ["a\u{fffd}b.log: x"]);
}

#[test]
fn long_lines_are_split_with_marks_and_never_jam() {
    let line: Vec<u8> = (0..5 * RECORD_BYTES_MAX).map(|i| b'a' + (i % 23) as u8).collect();
    for length in [1, RECORD_BYTES_MAX, RECORD_BYTES_MAX + 1, 2 * RECORD_BYTES_MAX, 5 * RECORD_BYTES_MAX] {
        let bench = Bench::new();
        let mut run = bench.open("{}", None);
        run.set_budget(Budget { records: 2, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
        bench.logs.append("/l/a.log", b"before\n");
        // Unterminated for a while, and the source opened again in the middle of it.
        bench.logs.append("/l/a.log", &line[..length]);
        let mut records = run.drain().unwrap();
        let mut run = bench.open("{}", run.cursor());
        bench.logs.append("/l/a.log", b"\nafter\n");
        records.extend(run.drain().unwrap());
        let parts = &records[1..records.len() - 1];
        let joined: Vec<u8> = parts.iter().flat_map(|record| record.payload.clone()).collect();
        assert!(joined == line[..length], "{length} bytes came out as {}", joined.len());
        let marks: Vec<_> = parts.iter().map(|record| record.part().unwrap_or("whole")).collect();
        let expected = match parts.len() {
            1 => vec!["whole"],
            count => [&["first"][..], &vec!["middle"; count - 2], &["last"]].concat(),
        };
        assert_eq!((marks.len(), marks), (length.div_ceil(RECORD_BYTES_MAX), expected));
        assert_eq!(
            texts(&[records[0].clone(), records.last().unwrap().clone()]),
            ["a.log: before", "a.log: after"]
        );
    }
}

#[test]
fn the_end_of_a_file_may_be_the_start() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"old\n");
    bench.logs.append("/l/half.log", b"old\nhal");
    bench.logs.append("/l/empty.log", b"");
    let mut run = bench.open(r#"{"start_at": "end"}"#, None);
    assert_eq!(run.drain().unwrap(), []);
    for name in ["a", "half", "empty", "later"] {
        bench.logs.append(&format!("/l/{name}.log"), b"f\nnew\n");
    }
    let mut got = texts(&run.drain().unwrap());
    got.extend(bench.later(&mut run));
    got.sort();
    let expected = [
        "a.log: f",
        "a.log: new",
        "empty.log: f",
        "empty.log: new",
        "half.log: half",
        "half.log: new",
        "later.log: f",
        "later.log: new",
    ];
    assert_eq!(got, expected);
}

#[test]
fn a_first_start_at_the_end_is_remembered_though_nothing_was_read() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"old\n");
    let mut run = bench.open(r#"{"start_at": "end"}"#, None);
    assert!(matches!(run.poll(), Ok(Polled::Records(taken)) if taken.batch.is_empty()));
    let cursor = run.cursor();
    drop(run);
    bench.logs.append("/l/a.log", b"while away\n");
    bench.logs.append("/l/b.log", b"new file\n");
    let mut run = bench.open(r#"{"start_at": "end"}"#, cursor);
    assert_eq!(texts(&run.drain().unwrap()), ["a.log: while away", "b.log: new file"]);
}

#[test]
fn a_cursor_stands_behind_the_records_it_came_with() {
    let bench = Bench::new();
    for file in 0..5 {
        for line in 0..200 {
            bench.logs.append(&format!("/l/{file}.log"), format!("{file} {line}\n").as_bytes());
        }
    }
    let mut all = bench.open("{}", None).drain().unwrap();
    // A new instance for each batch: what one handed over, the next does not.
    let (mut pieces, mut cursor) = (Vec::new(), None);
    loop {
        let mut run = bench.open("{}", cursor);
        run.set_budget(Budget { records: 37, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
        let records = run.step().unwrap();
        cursor = run.cursor();
        if records.is_empty() {
            break;
        }
        pieces.extend(records);
    }
    all.sort_by(|a, b| a.payload.cmp(&b.payload));
    pieces.sort_by(|a, b| a.payload.cmp(&b.payload));
    assert_eq!(pieces, all);
}

#[test]
fn a_large_file_does_not_keep_the_others_waiting() {
    let bench = Bench::new();
    bench.logs.append("/l/a-large.log", "x\n".repeat(10 << 20).as_bytes());
    for file in 0..10 {
        bench.logs.append(&format!("/l/small-{file}.log"), b"me too\n");
    }
    let mut run = bench.open("{}", None);
    // The first chunk of the large one is half a million lines; then everybody has had a turn.
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = 0;
    while seen.len() < 11 {
        let records = run.step().unwrap();
        lines += records.len();
        seen.extend(records.iter().map(|record| record.label("path").unwrap().to_string()));
    }
    assert!(lines <= RECORD_BYTES_MAX / 2 + BATCH_RECORDS_MAX, "{lines} lines");
}

#[test]
fn thousands_of_files_are_read_with_bounded_handles_and_cursor() {
    let bench = Bench::new();
    let path = |file: usize| format!("/var/log/containers/{file:05}.log");
    for file in 0..5000 {
        bench.logs.append(&path(file), format!("{file} first\n").as_bytes());
    }
    let mut run = bench.open("{}", None);
    let mut got = run.drain().unwrap();
    assert_eq!(got.len(), 5000);
    assert!(bench.logs.open_count() <= 512 + 128, "{} handles", bench.logs.open_count());
    assert_eq!(bench.metric("files_tracked"), 5000);
    assert!(run.cursor().unwrap().len() <= CURSOR_BYTES_MAX);
    for file in (0..5000).rev() {
        bench.logs.append(&path(file), format!("{file} second\n").as_bytes());
    }
    got = run.drain().unwrap();
    while got.len() < 5000 {
        bench.world.advance_ms(1000);
        got.extend(run.drain().unwrap());
    }
    assert_eq!(got.len(), 5000);
    let left_out = bench.metric("files_beyond_cursor");
    assert!(left_out > 0 && bench.world.log_lines().iter().any(|l| l.contains("more files than a cursor")));
    // What had no room is read again, the least recently modified files; nothing is lost.
    let mut run = bench.open("{}", run.cursor());
    let again = run.drain().unwrap();
    assert_eq!(again.len(), 2 * left_out);
    assert!(again.iter().all(|record| record.label("path").unwrap() >= path(5000 - left_out).as_str()));
}

#[test]
fn without_notifications_scans_find_what_changed() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\n");
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    bench.logs.silence();
    bench.logs.append("/l/a.log", b"two\n");
    bench.logs.append("/l/b.log", b"three\n");
    assert_eq!(bench.later(&mut run), ["a.log: two", "b.log: three"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_once_and_tried_again() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"secret\n");
    bench.logs.append("/l/b.log", b"open\n");
    bench.logs.deny("/l/a.log", true);
    let mut run = bench.open("{}", None);
    assert_eq!(texts(&run.drain().unwrap()), ["b.log: open"]);
    assert_eq!(bench.later(&mut run), [""; 0]);
    assert!(bench.metric("read_errors_total") >= 2);
    let said =
        bench.world.log_lines().iter().filter(|l| l.starts_with("warn /l/a.log cannot be read")).count();
    assert_eq!(said, 1);
    bench.logs.deny("/l/a.log", false);
    assert_eq!(bench.later(&mut run), ["a.log: secret"]);
}

#[test]
fn wrong_settings_cursors_and_grants_are_said_in_words() {
    let world = World::new();
    let open = |config: &str, cursor: &[u8]| {
        let cursor = (!cursor.is_empty()).then(|| cursor.to_vec());
        Run::<FileSource>::open(&world, config, cursor).unwrap_err()
    };
    for (config, expected) in [
        (
            r#"{"multiline": {"begin": "x"}}"#,
            "the plugin's config is wrong: unknown field `begin`, expected one of `start`, \
             `continuation`, `rules`",
        ),
        (
            r#"{"start_at": "middle"}"#,
            "the plugin's config is wrong: unknown variant `middle`, expected `beginning` or `end`",
        ),
    ] {
        let failure = open(config, b"");
        assert_eq!((failure.verdict, &*failure.message), (Verdict::BadConfig, expected));
    }
    let newer = open("{}", &[3]);
    assert_eq!((newer.verdict, &*newer.code), (Verdict::Fatal, "cursor.newer"));
    assert_eq!(open("{}", &[2, 1]).code, "cursor.damaged");
    let mut run = Run::<FileSource>::open(&world, "{}", None).unwrap();
    assert_eq!(run.poll().unwrap_err().code, "files.not-granted");
}

#[test]
fn an_idle_source_waits_and_scans_every_five_seconds() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\n");
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    let before = bench.world.elapsed_ms();
    for _ in 0..60 {
        assert!(matches!(run.poll(), Ok(Polled::Idle { wait_ms: 0 })));
    }
    assert_eq!(bench.world.elapsed_ms() - before, 60_000);
}
