//! Filters, rewrites and aggregates that behave, and such that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::tests::guest::{Seen, file, runtime, with_metadata};
use crate::{Counters, Kind, Limits, Plugin, SourceError, Stage, StageBatch, StageOptions};

/// A stage, its functions in text. What is not given is the well-behaved default: open hints at nothing and reads
/// nothing; the call, `$arena $arena_len $ends $ends_len`, answers with nothing.
#[derive(Clone, Copy, Default)]
struct Guest {
    open: Option<&'static str>,
    call: Option<&'static str>,
    head: &'static str,
}

/// `ok` with a list: where its bytes stand, how many.
macro_rules! list {
    ($at:literal, $len:literal) => {
        concat!(
            "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const ",
            $at,
            ")) (i32.store (i32.const 2056) (i32.const ",
            $len,
            ")) (i32.const 2048)"
        )
    };
}

impl Guest {
    fn load(self, kind: Kind) -> Result<Arc<Plugin>, String> {
        let Guest { open, call, head } = self;
        let open = open.unwrap_or("(i32.const 1024)");
        let call = call.unwrap_or("(i32.store (i32.const 2048) (i32.const 0)) (i32.const 2048)");
        let batch = "(param $arena i32) (param $arena_len i32) (param $ends i32) (param $ends_len i32)
                     (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";
        let name = kind.name();
        let export = |function: &str, params: &str, body: &str| {
            format!(r#"(func (export "weir:plugin/{name}@0.1.0#{function}") {params} {body})"#)
        };
        let nothing = "(i32.const 3072)";
        let calls = match kind {
            Kind::Filter => export("matches", batch, call),
            Kind::Rewrite => export("apply", batch, call),
            _ => [
                export("update", batch, nothing),
                export("partial", "(result i32)", call),
                export("merge", "(param i32 i32) (result i32)", nothing),
                export("finish", "(result i32)", nothing),
            ]
            .concat(),
        };
        let open = export("open", "(param i32 i32) (result i32)", open);
        let text = format!(
            r#"(module $guest
              {head}
              (memory (export "memory") 4)
              (global $free (mut i32) (i32.const 131072))
              (data (i32.const 512) "\00\01\00\00\05\00\00\00\10\01\00\00\05\00\00\00\20\01\00\00\04\00\00\00")
              (data (i32.const 256) "guest")
              (data (i32.const 272) "1.0.0")
              (data (i32.const 288) "test")
              (data (i32.const 4096) "\05\ff\ff\ff")
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
              (func (export "weir:plugin/about@0.1.0#describe") (result i32) (i32.const 512))
              {open} {calls})"#
        );
        let module = with_metadata(&text, kind.world());
        runtime().load(file(module)).map_err(|error| error.to_string())
    }

    fn open(self, kind: Kind) -> Result<Stage, SourceError> {
        Stage::open(&self.load(kind).unwrap(), &options())
    }

    /// What comes of a call with three records.
    fn error(self, kind: Kind) -> String {
        let mut stage = match self.open(kind) {
            Ok(stage) => stage,
            Err(error) => return error.to_string(),
        };
        let error = match kind {
            Kind::Filter => stage.matches(&three()).unwrap_err(),
            Kind::Rewrite => stage.apply(&three()).unwrap_err(),
            _ => stage.partial().unwrap_err(),
        };
        let after = stage.matches(&three()).unwrap_err().to_string();
        assert!(after.contains("gone"), "{after}");
        error.to_string()
    }
}

fn options() -> StageOptions {
    StageOptions {
        params: "{}".into(),
        limits: Limits { call_ms: 300, ..Limits::default() },
        observer: Arc::<Seen>::default(),
        counters: Arc::<Counters>::default(),
        cancel: Arc::default(),
    }
}

fn three() -> StageBatch {
    let mut batch = StageBatch::default();
    batch.extend(b"onetwothree", &[3, 6, 11]);
    batch
}

#[test]
fn stages_that_behave_are_heard() {
    let mut filter = Guest { call: Some(list!("4096", "1")), ..Guest::default() }.open(Kind::Filter).unwrap();
    assert_eq!(filter.matches(&three()).unwrap(), [5]);
    assert_eq!(filter.matches(&three()).unwrap(), [5]);
    assert_eq!(filter.hints(), &crate::Hints::default());
    let mut sum = Guest { call: Some(list!("4097", "3")), ..Guest::default() }.open(Kind::Aggregate).unwrap();
    sum.update(&three()).unwrap();
    assert_eq!(sum.partial().unwrap(), [0xff; 3]);
    sum.merge(vec![1; 100]).unwrap();
    assert!(sum.finish().unwrap().is_empty());
}

#[test]
fn answers_that_break_a_rule_cost_the_instance_and_are_told_in_words() {
    let loops = "(loop $l (br $l)) (unreachable)";
    for (kind, guest, words) in [
        (Kind::Filter, Guest::default(), "bitmap of 0 bytes for 3 records"),
        (Kind::Filter, Guest { call: Some(list!("4096", "2")), ..Guest::default() }, "bitmap of 2 bytes"),
        (
            Kind::Filter,
            Guest { call: Some(list!("4097", "1")), ..Guest::default() },
            "behind the last record",
        ),
        (
            Kind::Filter,
            Guest { call: Some(list!("4096", "70000")), ..Guest::default() },
            "handed over more than",
        ),
        (Kind::Filter, Guest { call: Some(list!("4096", "9000000")), ..Guest::default() }, "out of bounds"),
        (Kind::Filter, Guest { call: Some("(unreachable)"), ..Guest::default() }, "unreachable"),
        (Kind::Filter, Guest { call: Some(loops), ..Guest::default() }, "took longer than 300 ms"),
        (Kind::Aggregate, Guest { call: Some(loops), ..Guest::default() }, "took longer than 300 ms"),
        (
            Kind::Filter,
            Guest { call: Some("(drop (memory.grow (i32.const 2000))) (unreachable)"), ..Guest::default() },
            "bytes of memory, its limit is",
        ),
        (
            Kind::Rewrite,
            // One record that came from nobody: two lists of the result overlap on purpose.
            Guest {
                call: Some(
                    "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2112) (i32.const 4096))
                     (i32.store (i32.const 2064) (i32.const 0)) (i32.store (i32.const 2108) (i32.const 4096))
                     (i32.store (i32.const 2112) (i32.const 1)) (i32.const 2048)",
                ),
                ..Guest::default()
            },
            "came-from has 1 entries for 0 records",
        ),
    ] {
        let error = guest.error(kind);
        assert!(error.contains(words), "{kind} {words}: {error}");
    }
}

#[test]
fn a_stage_that_loops_is_interrupted_when_the_query_is_cancelled() {
    let guest = Guest { call: Some("(loop $l (br $l)) (unreachable)"), ..Guest::default() };
    let cancel = Arc::new(AtomicBool::new(false));
    let limits = Limits { call_ms: 60_000, ..Limits::default() };
    let options = StageOptions { cancel: Arc::clone(&cancel), limits, ..options() };
    let mut stage = Stage::open(&guest.load(Kind::Filter).unwrap(), &options).unwrap();
    let (entering, entered) = std::sync::mpsc::channel();
    let called = std::thread::spawn(move || {
        entering.send(Instant::now()).unwrap();
        stage.matches(&three()).unwrap_err();
    });
    let since = entered.recv().unwrap();
    cancel.store(true, Ordering::Relaxed);
    called.join().unwrap();
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}

#[test]
fn hints_that_say_nothing_or_too_much_are_refused() {
    // hints: words at +4, literals at +12; an inner list at 8192.
    let words = "(i32.store (i32.const 1028) (i32.const 8192)) (i32.store (i32.const 1032) (i32.const 1)) (i32.const 1024)";
    let many = "(i32.store (i32.const 1028) (i32.const 8192)) (i32.store (i32.const 1032) (i32.const 1000)) (i32.const 1024)";
    let no_word = "(i32.store (i32.const 1028) (i32.const 8192)) (i32.store (i32.const 1032) (i32.const 1))
                   (i32.store (i32.const 8192) (i32.const 8208)) (i32.store (i32.const 8196) (i32.const 1))
                   (i32.store (i32.const 8208) (i32.const 8224)) (i32.store (i32.const 8212) (i32.const 3))
                   (i32.store (i32.const 8224) (i32.const 0x632d61)) (i32.const 1024)";
    for (open, told) in [
        (words, "without alternatives"),
        (many, "1000 words and literals"),
        (no_word, r#""a-c" is no whole word"#),
    ] {
        let error =
            Guest { open: Some(open), ..Guest::default() }.open(Kind::Filter).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn stages_that_import_more_than_the_log_are_refused() {
    let clock = r#"(import "weir:plugin/timing@0.1.0" "now-unix-ns" (func $now (result i64)))"#;
    let error = Guest { head: clock, ..Guest::default() }.load(Kind::Filter);
    // The metadata of its world has no such import, so it cannot even be made a component.
    assert!(error.unwrap_err().contains("timing"));
}
