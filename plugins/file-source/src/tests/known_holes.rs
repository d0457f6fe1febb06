//! Holes that other tailers have or had, by the numbers of their reports: each is a case here.

use std::io::Write as _;

use weir_plugin_sdk::testing::Run;

use crate::FileSource;
use crate::tests::{Bench, texts};

const CONFIG: &str = r#"{"rotate_wait_ms": 0}"#;

/// Lets some scans come due.
fn rest(bench: &Bench, run: &mut Run<FileSource>) -> Vec<String> {
    (0..4).flat_map(|_| bench.later(run)).collect()
}

fn lines(name: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{name}: line {number} of this log")).collect()
}

fn text(numbers: std::ops::Range<usize>) -> String {
    let lines: Vec<String> = numbers.map(|number| format!("line {number} of this log\n")).collect();
    lines.concat()
}

/// Vector 5833, OpenTelemetry 46496, Filebeat 51417: one of two files that begin alike was skipped.
#[test]
fn files_with_the_same_beginning_are_two_files_while_they_grow() {
    let bench = Bench::new();
    let mut run = bench.open(CONFIG, None);
    let header = "#fields of both\n".repeat(100);
    for name in ["kern.log", "ufw.log", "kern.log.old"] {
        bench.logs.append(&format!("/l/{name}"), header.as_bytes());
    }
    // The third is named after the first: only what comes shows that it is no copy.
    bench.logs.append("/l/kern.log", b"kern\n");
    bench.logs.append("/l/ufw.log", b"ufw\n");
    let mut got = texts(&run.drain().unwrap());
    got.extend(rest(&bench, &mut run));
    got.retain(|line| !line.contains('#'));
    assert_eq!(got, ["kern.log: kern", "ufw.log: ufw"]);
}

/// Vector 23619: truncated and written anew, a stale reader went on in the middle of it.
#[test]
fn a_file_written_anew_is_read_once_however_long_it_has_become() {
    for count in [3, 40, 200] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", text(0..40).as_bytes());
        let mut run = bench.open(CONFIG, None);
        run.drain().unwrap();
        bench.logs.rewrite("/l/a.log", text(1000..1000 + count).as_bytes());
        let mut got = texts(&run.drain().unwrap());
        got.extend(rest(&bench, &mut run));
        assert_eq!(got, lines("a.log", 1000..1000 + count));
    }
}

/// Fluent Bit 4895 and 8025: an inode used again was read from the position of the file before.
#[test]
fn an_inode_used_again_while_the_node_is_down_is_another_file() {
    let bench = Bench::new();
    bench.logs.reuse_inodes();
    bench.logs.append("/l/a.log", text(0..10).as_bytes());
    let mut run = bench.open(CONFIG, None);
    run.drain().unwrap();
    let cursor = run.cursor();
    drop(run);
    bench.logs.remove("/l/a.log");
    bench.logs.append("/l/b.log", text(100..130).as_bytes());
    let mut run = bench.open(CONFIG, cursor);
    let mut got = texts(&run.drain().unwrap());
    got.extend(rest(&bench, &mut run));
    assert_eq!(got, lines("b.log", 100..130));
}

/// Fluent Bit 1108 and Promtail 3108, 9699: rotations were missed, under load or while the process was down.
#[test]
fn several_rotations_between_two_looks_are_all_read() {
    for down in [false, true] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", text(0..5).as_bytes());
        let mut run = bench.open(CONFIG, None);
        let mut got = texts(&run.drain().unwrap());
        let cursor = run.cursor();
        for rotation in 1..5 {
            bench.logs.append("/l/a.log", text(rotation * 10 - 5..rotation * 10 + 5).as_bytes());
            for number in (1..rotation).rev() {
                bench.logs.rename(&format!("/l/a.log.{number}"), &format!("/l/a.log.{}", number + 1));
            }
            bench.logs.rename("/l/a.log", "/l/a.log.1");
        }
        bench.logs.append("/l/a.log", text(45..50).as_bytes());
        if down {
            run = bench.open(CONFIG, cursor);
        }
        got.extend(rest(&bench, &mut run));
        let mut got: Vec<String> =
            got.iter().map(|line| format!("a.log: {}", line.split_once(": ").unwrap().1)).collect();
        got.sort_by_key(|line| line.split(' ').nth(2).and_then(|number| number.parse::<usize>().ok()));
        assert_eq!(got, lines("a.log", 0..50), "down: {down}");
    }
}

/// Fluent Bit 2110, 5382, 9580: lines written in pieces around a rotation came in pieces.
#[test]
fn a_line_that_ends_after_its_file_was_renamed_is_one_line() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\nhal");
    let mut run = bench.open(r#"{"rotate_wait_ms": 60000}"#, None);
    let mut got = texts(&run.drain().unwrap());
    bench.logs.rename("/l/a.log", "/l/a.log.1");
    bench.logs.append("/l/a.log", b"new\n");
    got.extend(bench.later(&mut run));
    bench.logs.append("/l/a.log.1", b"f\n");
    got.extend(rest(&bench, &mut run));
    assert_eq!(got, ["a.log: one", "a.log: new", "a.log: half"]);
}

/// Fluent Bit 11455: a position behind the end of a file kept it from being read for a day.
#[test]
fn a_file_shorter_than_its_position_is_read_at_once() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", text(0..100).as_bytes());
    let mut run = bench.open(CONFIG, None);
    run.drain().unwrap();
    let cursor = run.cursor();
    drop(run);
    bench.logs.rewrite("/l/a.log", b"short\n");
    assert_eq!(texts(&bench.open(CONFIG, cursor).drain().unwrap()), ["a.log: short"]);
}

/// OpenTelemetry 43693, Filebeat 39731 and 45300: copying and truncating got stuck, doubled the file, or lost
/// lines of it.
#[test]
fn copy_and_truncate_again_and_again_loses_and_doubles_nothing() {
    let bench = Bench::new();
    let mut run = bench.open(CONFIG, None);
    let head = "{".repeat(1000);
    let (mut got, mut expected) = (Vec::new(), Vec::new());
    for round in 0..6 {
        for part in ["read", "unread"] {
            let line = format!("{head} {part} {round}");
            bench.logs.append("/l/a.log", format!("{line}\n").as_bytes());
            expected.push(line);
            if part == "read" || round % 2 == 0 {
                got.extend(texts(&run.drain().unwrap()));
            }
        }
        bench.logs.copy("/l/a.log", &format!("/l/a.log.{round}"));
        if round % 3 == 0 {
            got.extend(bench.later(&mut run));
        }
        bench.logs.truncate("/l/a.log", 0);
    }
    got.extend(rest(&bench, &mut run));
    let mut got: Vec<_> = got.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    got.sort_unstable();
    expected.sort();
    assert_eq!(got, expected);
}

/// OpenTelemetry 40523: what had been read was read again when it was compressed.
#[test]
fn a_compressed_file_is_read_from_where_it_was_read_before() {
    for (down, unread) in [(false, 0), (true, 0), (false, 5), (true, 5)] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", text(0..50).as_bytes());
        let mut run = bench.open(CONFIG, None);
        assert_eq!(run.drain().unwrap().len(), 50);
        let cursor = run.cursor();
        if down {
            drop(run);
            run = bench.open(CONFIG, cursor);
        }
        bench.logs.append("/l/a.log", text(50..50 + unread).as_bytes());
        bench.logs.rename("/l/a.log", "/l/a.log.1");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bench.logs.read("/l/a.log.1")).unwrap();
        bench.logs.append("/l/a.log.1.gz", &encoder.finish().unwrap());
        bench.logs.remove("/l/a.log.1");
        let got = rest(&bench, &mut run);
        assert_eq!(got, lines("a.log", 50..50 + unread), "down: {down}, unread: {unread}");
    }
}

/// A writer without `O_APPEND` goes on where it was: before that there is a hole.
#[test]
fn the_hole_that_a_truncation_leaves_is_skipped_and_other_nuls_are_kept() {
    for hole in [100, 3 << 20] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", text(0..10).as_bytes());
        let mut run = bench.open(CONFIG, None);
        run.drain().unwrap();
        bench.logs.truncate("/l/a.log", 0);
        assert_eq!(rest(&bench, &mut run), [""; 0]);
        bench.logs.truncate("/l/a.log", hole);
        bench.logs.append("/l/a.log", b"new\n\0kept\n");
        assert_eq!(rest(&bench, &mut run), ["a.log: new", "a.log: \0kept"]);
    }
}

/// What is read once has an end, and every file in it, empty ones, compressed ones and copies included.
#[test]
fn what_is_read_once_ends_with_its_last_line() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\ntwo");
    bench.logs.append("/l/empty.log", b"");
    let packed = zstd::encode_all(&b"three\nfour"[..], 3).unwrap();
    bench.logs.append("/l/old.log.zst", &packed);
    let mut run = bench.open(r#"{"once": true, "multiline": {"continuation": "^ "}}"#, None);
    let mut got = texts(&run.drain().unwrap());
    got.sort();
    assert_eq!(got, ["a.log: one", "a.log: two", "old.log.zst: four", "old.log.zst: three"]);
    assert!(matches!(run.poll(), Ok(weir_plugin_sdk::Polled::Finished)));
}
