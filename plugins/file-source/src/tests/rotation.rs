//! Files that are renamed, truncated, copied, deleted, and come back.

use crate::tests::{Bench, texts};

/// Bytes enough to know a file again by its contents.
fn history(tag: &str) -> String {
    let lines: Vec<String> = (0..40).map(|line| format!("{tag} {line}\n")).collect();
    lines.concat()
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_start() {
    for rotated_matches in [true, false] {
        let bench = Bench::new();
        bench.logs.show_only(move |path| rotated_matches || !path.ends_with(".1"));
        bench.logs.append("/l/a.log", b"one\n");
        let mut run = bench.open("{}", None);
        run.drain().unwrap();
        bench.logs.append("/l/a.log", b"two\n");
        bench.logs.rename("/l/a.log", "/l/a.log.1");
        bench.logs.append("/l/a.log", b"four\n");
        // The writer still has the old one open.
        bench.logs.append("/l/a.log.1", b"three\n");
        let mut got = texts(&run.drain().unwrap());
        got.extend(bench.later(&mut run));
        assert_eq!(got, ["a.log: two", "a.log: three", "a.log: four"]);
        bench.logs.append("/l/a.log.1", b"late\n");
        assert_eq!(bench.later(&mut run), ["a.log: late"]);
        assert_eq!(bench.metric("files_rotated_total"), 1);
    }
}

#[test]
fn the_unterminated_end_of_a_rotated_file_is_a_record_once_nobody_writes_any_more() {
    for remove in [true, false] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", b"one\nhalf");
        let mut run = bench.open(r#"{"rotate_wait_ms": 12000}"#, None);
        run.drain().unwrap();
        if remove {
            bench.logs.remove("/l/a.log");
        } else {
            bench.logs.rename("/l/a.log", "/l/b.log");
        }
        let got: Vec<Vec<String>> = (0..5).map(|_| bench.later(&mut run)).collect();
        assert_eq!(got.concat(), ["a.log: half"]);
        assert!(got[..2].concat().is_empty(), "not before the wait is over: {got:?}");
        assert_eq!(bench.logs.open_count(), usize::from(!remove));
        // Nothing of it comes again.
        assert_eq!(bench.later(&mut bench.open("{}", run.cursor())), [""; 0]);
    }
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    // Shorter than before, as long, longer; and with the same beginning.
    for text in ["x\n", "new text\n", "new text, and more of it than before\n", "old text\nand more\n"] {
        let bench = Bench::new();
        bench.logs.append("/l/a.log", b"old text\n");
        bench.logs.append("/l/a.log", b"it goes on\n");
        let mut run = bench.open("{}", None);
        run.drain().unwrap();
        bench.logs.rewrite("/l/a.log", text.as_bytes());
        let mut got = texts(&run.drain().unwrap());
        got.extend(bench.later(&mut run));
        assert_eq!(got, text.lines().map(|line| format!("a.log: {line}")).collect::<Vec<_>>());
        assert_eq!(bench.metric("files_truncated_total"), 1);
        assert!(bench.world.log_lines().iter().any(|line| line.contains("/l/a.log was truncated")));
        // The same while the source was away.
        let cursor = run.cursor();
        drop(run);
        bench.logs.rewrite("/l/a.log", b"behind its back\n");
        assert_eq!(texts(&bench.open("{}", cursor).drain().unwrap()), ["a.log: behind its back"]);
    }
}

#[test]
fn a_file_cut_to_nothing_and_left_so_is_followed_on() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\ntwo\n");
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    bench.logs.truncate("/l/a.log", 0);
    assert_eq!(bench.later(&mut run), [""; 0]);
    bench.logs.append("/l/a.log", b"three\n");
    assert_eq!(bench.later(&mut run), ["a.log: three"]);
}

#[test]
fn copy_and_truncate_reads_the_rest_in_the_copy_and_nothing_twice() {
    let bench = Bench::new();
    // Longer than what is hashed of the head, as files that all begin with the same JSON do.
    let head = "{".repeat(1500);
    let (old, new) = (format!("{head}\nold\n"), format!("{head}\nnew\nthat\nis\nlonger\n"));
    bench.logs.append("/l/a.log", old.as_bytes());
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    bench.logs.append("/l/a.log", b"not read yet\n");
    bench.logs.copy("/l/a.log", "/l/a.log.1");
    bench.logs.rewrite("/l/a.log", new.as_bytes());
    let mut got = texts(&run.drain().unwrap());
    got.extend(bench.later(&mut run));
    let mut expected = vec!["a.log: not read yet".to_string()];
    expected.extend(new.lines().map(|line| format!("a.log: {line}")));
    assert_eq!(got, expected);
}

#[test]
fn an_inode_used_again_is_another_file() {
    for (first, second) in [("one\ntwo\n", "three\nfour\nfive\n"), ("one\ntwo\n", "x\n")] {
        let bench = Bench::new();
        bench.logs.reuse_inodes();
        bench.logs.append("/l/a.log", first.as_bytes());
        let mut run = bench.open("{}", None);
        run.drain().unwrap();
        let cursor = run.cursor();
        drop(run);
        bench.logs.remove("/l/a.log");
        bench.logs.append("/l/b.log", second.as_bytes());
        let got = texts(&bench.open("{}", cursor).drain().unwrap());
        assert_eq!(got, second.lines().map(|line| format!("b.log: {line}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_renamed_while_the_source_was_away_goes_on_where_it_was() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\n");
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    let cursor = run.cursor();
    drop(run);
    bench.logs.append("/l/a.log", b"two\n");
    bench.logs.rename("/l/a.log", "/l/a.log.1");
    bench.logs.append("/l/a.log", b"three\n");
    let mut got = texts(&bench.open("{}", cursor).drain().unwrap());
    got.sort();
    assert_eq!(got, ["a.log: three", "a.log: two"]);
}

#[test]
fn a_vanished_file_is_known_again_by_identity_or_by_contents() {
    for copied in [false, true] {
        for reopened in [false, true] {
            let bench = Bench::new();
            bench.logs.append("/l/a.log", history("old").as_bytes());
            let mut run = bench.open(r#"{"rotate_wait_ms": 0}"#, None);
            run.drain().unwrap();
            if copied {
                bench.logs.copy("/l/a.log", "/elsewhere");
            } else {
                bench.logs.rename("/l/a.log", "/elsewhere");
            }
            bench.logs.show_only(|path| path.starts_with("/l/"));
            bench.logs.remove("/l/a.log");
            bench.later(&mut run);
            if reopened {
                run = bench.open("{}", run.cursor());
                run.drain().unwrap();
            }
            bench.logs.append("/elsewhere", b"new\n");
            bench.logs.rename("/elsewhere", "/l/back.log");
            assert_eq!(bench.later(&mut run), ["back.log: new"], "copied {copied}, reopened {reopened}");
        }
    }
}

#[test]
fn files_that_begin_alike_are_not_taken_for_each_other() {
    let bench = Bench::new();
    let header = "#".repeat(2000) + "\n";
    for name in ["a", "b"] {
        bench.logs.append(&format!("/l/{name}.log"), format!("{header}{name}\n").as_bytes());
    }
    let mut run = bench.open("{}", None);
    assert_eq!(run.drain().unwrap().len(), 4);
    bench.logs.remove("/l/a.log");
    bench.logs.append("/l/c.log", format!("{header}not a\nc\n").as_bytes());
    assert_eq!(bench.later(&mut run).len(), 3);
}

#[test]
fn a_file_missed_by_one_scan_goes_on() {
    let bench = Bench::new();
    bench.logs.append("/l/a.log", b"one\nhalf");
    let mut run = bench.open("{}", None);
    run.drain().unwrap();
    bench.logs.show_only(|_| false);
    assert_eq!(bench.later(&mut run), [""; 0]);
    bench.logs.show_only(|_| true);
    bench.logs.append("/l/a.log", b" and half\n");
    assert_eq!(bench.later(&mut run), ["a.log: half and half"]);
    for _ in 0..10 {
        assert_eq!(bench.later(&mut run), [""; 0]);
    }
}
