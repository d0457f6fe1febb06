//! Files that are made to hurt whoever reads, checks or compiles them.

use std::fmt::Write as _;

use super::{Evil, file, runtime, with_metadata};
use crate::Kind;
use crate::tests::guest::{Guest, with_foreign_metadata};

fn fault(bytes: Vec<u8>) -> String {
    runtime().load(file(bytes)).map(drop).unwrap_err().to_string()
}

/// A filter with more in it.
fn filter_with(more: &str) -> Vec<u8> {
    let text = Evil::FILTER.text();
    let text = text.strip_suffix(')').unwrap();
    with_metadata(&format!("{text} {more})"), Kind::Filter.world())
}

#[test]
fn giant_modules_are_refused_by_what_is_too_much() {
    let functions = |count: usize| "(func)".repeat(count);
    let nested = |depth: usize| format!("(func {} {})", "(block ".repeat(depth), ")".repeat(depth));
    for (name, more, told) in [
        (
            "more locals than there may be",
            format!("(func (local {}))", "i64 ".repeat(60_000)),
            "too many locals",
        ),
        ("more functions than there may be", functions(1_000_100), "count"),
        ("a table from the start", "(table 10000000 funcref)".to_owned(), "exceeds the limit of 20000"),
        ("a memory from the start", "(memory 16000)".to_owned(), "bytes of memory, its limit is"),
    ] {
        let fault = fault(filter_with(&more));
        assert!(fault.contains(told), "{name}: {fault}");
    }
    // Much, and not too much: it loads, or says why not.
    for more in [functions(20_000), nested(2_000), format!("(data \"{}\")", "x".repeat(8 << 20))] {
        let _ = runtime().load(file(filter_with(&more)));
    }
}

#[test]
fn interfaces_that_grow_without_end_are_refused() {
    // Each type is two of the one before: 2^40 in all.
    let mut doubling = String::from("(component (type $t0 (tuple u8 u8))");
    for n in 1..40 {
        let _ = write!(doubling, "(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1);
    }
    doubling.push_str(r#"(import "a:b/c@1.0.0" (instance (export "f" (func (param "x" $t39))))))"#);
    let nested = format!("{}{}", "(component ".repeat(200), ")".repeat(200));
    let instances =
        format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(2_000));
    let many =
        (0..2_000).map(|n| format!("(import \"a:b/c{n}@1.0.0\" (instance))")).collect::<Vec<_>>().concat();
    for (name, wat) in [
        ("types that double", doubling),
        ("components within components", nested),
        ("thousands of instances", instances),
        ("thousands of imports", format!("(component {many})")),
    ] {
        // What cannot even be written down as text is refused by the same rules before.
        let Ok(bytes) = wat::parse_str(&wat) else { continue };
        let fault = fault(bytes);
        assert!(fault.starts_with("plugin guest (sha256 "), "{name}: {fault}");
        assert!(fault.len() < 1 << 20, "{name}: a fault of {} bytes", fault.len());
    }
}

#[test]
fn imports_that_nobody_has_are_refused_by_name() {
    for (name, wit, wat, told) in [
        (
            "a shell",
            "package evil:shell@1.0.0; interface run { exec: func(command: string); } world w { import run; }",
            r#"(module (import "evil:shell/run@1.0.0" "exec" (func (param i32 i32))))"#,
            "imports evil:shell/run@1.0.0, which this node does not give to plugins; a plugin may import interfaces of weir:plugin only",
        ),
        (
            "the clock of WASI",
            "package wasi:clocks@0.2.0; interface wall-clock { now: func() -> u64; } world w { import wall-clock; }",
            r#"(module (import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64))))"#,
            "plugins get no WASI",
        ),
        (
            "an interface of ours that is not",
            "package weir:plugin@0.1.0; interface network { open: func(); } world w { import network; }",
            r#"(module (import "weir:plugin/network@0.1.0" "open" (func)))"#,
            "imports weir:plugin/network@0.1.0, which weir:plugin 0.1.0 does not have",
        ),
    ] {
        let wat = wat.replacen("(module", "(module $m", 1);
        let fault = fault(with_foreign_metadata(&memory_in(&wat), wit, "w"));
        assert!(fault.contains(told), "{name}: {fault}");
    }
    let bare = wat::parse_str(r#"(module (import "env" "system" (func (param i32))))"#).unwrap();
    assert!(fault(bare).contains("no component metadata"));
}

/// Memory and allocator behind the imports of a module.
fn memory_in(wat: &str) -> String {
    let body = wat.strip_suffix(')').unwrap();
    format!(
        r#"{body} (memory (export "memory") 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    )
}

#[test]
fn descriptions_that_are_slow_to_read_are_refused() {
    let describe = |schema: &str| {
        let at = 16_384;
        let more = format!("(data (i32.const {at}) \"{}\")", schema.replace('"', "\\22"));
        let describe = format!(
            "(i32.store (i32.const 536) (i32.const {at})) (i32.store (i32.const 540) (i32.const {})) (i32.const 512)",
            schema.len()
        );
        let guest = Guest { more: more.leak(), describe: Some(describe.leak()), ..Guest::default() };
        runtime().load(file(guest.module())).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(describe(r#"{"type":"object"}"#), Ok(()));
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (name, schema, told) in [
        ("deep", deep(100), "nested deeper than 32"),
        ("deeper than JSON is read", deep(5_000), "not JSON: recursion limit"),
        ("long", format!("\"{}\"", "x".repeat(70_000)), "more than 65536 bytes"),
        ("no object", "[1]".to_owned(), "not a JSON object"),
    ] {
        let error = describe(&schema).unwrap_err();
        assert!(error.contains(told), "{name}: {error}");
    }
}

/// Mutations by a seed: of a module with metadata, and of the component that it becomes. Whatever is left of it loads or
/// is refused; nothing hangs, and no panic comes through.
#[test]
fn mutated_files_load_or_are_refused() {
    let module = Evil::AGGREGATE;
    let module = with_metadata(&module.text(), module.kind.world());
    let component = crate::component(module.clone()).unwrap();
    let runtime = runtime();
    let (mut state, mut loaded, mut refused) = (0x5eed_u64, 0, 0);
    let mut random = |below: usize| {
        // Steele and Vigna's splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    };
    for round in 0..1_000 {
        let mut bytes = if round % 2 == 0 { module.clone() } else { component.clone() };
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => drop(bytes.drain(at..(at + random(9)).min(bytes.len() - 1).max(at))),
                3 => {
                    let copied = bytes[at..(at + random(32)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, copied);
                }
                _ => drop(bytes.splice(at..at, [0xff; 9])),
            }
        }
        match runtime.load(file(bytes)) {
            Ok(_) => loaded += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(loaded > 0 && refused > 500, "{loaded} loaded, {refused} refused");
}
