//! What is loaded, what is not, and what is said about it.

use super::guest::{Guest, file, runtime, with_foreign_metadata, with_metadata};
use crate::{Digest, Kind, LoadFault, Origin, PluginFile, Runtime, RuntimeOptions, StdinHub};

fn fault(bytes: Vec<u8>) -> String {
    runtime().load(file(bytes)).unwrap_err().to_string()
}

#[test]
fn a_module_with_metadata_and_its_component_are_the_same_plugin() {
    let guest = Guest::default();
    let plugin = guest.load();
    assert_eq!((plugin.kind(), plugin.imports().len()), (Kind::Source, 0));
    let info = plugin.info();
    assert_eq!(
        (info.name.as_str(), info.version.as_str(), info.summary.as_str()),
        ("guest", "1.0.0", "test")
    );
    let component =
        wit_component::ComponentEncoder::default().module(&guest.module()).unwrap().encode().unwrap();
    let again = runtime().load(file(component)).unwrap();
    assert_eq!((again.kind(), again.info()), (Kind::Source, info));
    assert_ne!(again.digest(), plugin.digest());
}

#[test]
fn only_the_pinned_file_is_loaded() {
    let bytes = Guest::default().module();
    let runtime = runtime();
    let pinned = |digest: Digest| {
        let file =
            PluginFile { name: "guest".into(), bytes: bytes.clone(), sha256: Some(*digest.as_bytes()) };
        runtime.load(file)
    };
    assert!(pinned(Digest::of(&bytes)).is_ok());
    let error = pinned(Digest::of(b"another")).unwrap_err();
    assert!(matches!(*error.fault, LoadFault::Digest { .. }));
    let text = error.to_string();
    assert!(text.contains("plugin guest") && text.contains(&Digest::of(&bytes).to_string()), "{text}");
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let module = Guest { more: "(data (i32.const 8192) \"\\00\\01\")", ..Guest::default() }.module();
    let component = wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    let runtime = runtime();
    for whole in [module, component] {
        assert!(whole.len() > 2048, "more than one cut");
        let cuts = (0..whole.len()).step_by(64).chain([whole.len() - 1]);
        for cut in cuts {
            let error = runtime.load(file(whole[..cut].to_vec())).unwrap_err();
            assert!(error.to_string().starts_with("plugin guest (sha256 "), "{cut}: {error}");
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_does_no_harm() {
    let module = Guest::default().module();
    let runtime = runtime();
    for at in (0..module.len()).step_by(7) {
        let mut bytes = module.clone();
        bytes[at] ^= 0x55;
        // Some changes are harmless; none may panic or hang.
        let _ = runtime.load(file(bytes));
    }
}

#[test]
fn a_file_too_large_is_not_looked_at() {
    let bytes = vec![0; weir_record::limits::PLUGIN_FILE_BYTES_MAX + 1];
    assert!(fault(bytes).contains("strip its debug information"));
}

const WASI: &str = "package wasi:sockets@0.2.0;
    interface tcp { connect: func(port: u32); }
    world sockets { import tcp; }";

#[test]
fn an_unknown_import_is_refused_by_name_with_what_to_do() {
    let wat = r#"(module (import "wasi:sockets/tcp@0.2.0" "connect" (func (param i32))) (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#;
    let text = fault(with_foreign_metadata(wat, WASI, "sockets"));
    for words in ["imports wasi:sockets/tcp@0.2.0", "wasm32-unknown-unknown", "--stub-wasi"] {
        assert!(text.contains(words), "{text}");
    }
    let wat = r#"(module (import "$root" "exec" (func)))"#;
    let text = fault(with_foreign_metadata(wat, "package a:b; world w { import exec: func(); }", "w"));
    assert!(text.contains("imports exec"), "{text}");
}

/// WIT of another time: a log with another signature, a function more, an interface more.
fn skewed(version: &str) -> String {
    format!(
        "package weir:plugin@{version};
         interface log {{ write: func(line: string); flush: func(); }}
         interface sockets {{ open: func(); }}
         interface about {{ describe: func() -> string; }}
         interface source {{ poll: func(); }}
         world w {{ import log; import sockets; export about; export source; }}"
    )
}

fn skewed_module(version: &str) -> Vec<u8> {
    let wat = format!(
        r#"(module
            (import "weir:plugin/log@{version}" "write" (func (param i32 i32)))
            (import "weir:plugin/log@{version}" "flush" (func))
            (import "weir:plugin/sockets@{version}" "open" (func))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "weir:plugin/about@{version}#describe") (result i32) unreachable)
            (func (export "weir:plugin/source@{version}#poll")))"#
    );
    with_foreign_metadata(&wat, &skewed(version), "w")
}

#[test]
fn another_version_is_told_with_both_numbers() {
    for (version, words) in [
        ("0.3.0", "built for weir:plugin 0.3.0 (it imports log), this node has 0.1.0; upgrade this node"),
        ("0.0.9", "this node has 0.1.0; build the plugin with the SDK of this version"),
        ("1.0.0", "built for weir:plugin 1.0.0"),
    ] {
        let text = fault(skewed_module(version));
        assert!(text.contains(words), "{version}: {text}");
    }
}

#[test]
fn within_a_version_each_difference_is_told() {
    let text = fault(skewed_module("0.1.7"));
    for words in [
        "imports log.write as `func(line: string)`, this node has `func(at: enum { trace, debug, info, warn, error }, message: string, fields: list<tuple<string, string>>)`",
        "imports log.flush, which log 0.1.0 does not have",
        "imports weir:plugin/sockets@0.1.7, which weir:plugin 0.1.0 does not have",
        "does not export source.open",
        "exports about.describe as `func() -> string`",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn an_older_and_a_newer_version_that_use_the_same_run() {
    let (resolve, package) = crate::wit_package().unwrap();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(&resolve, package, &[]).unwrap();
    let wit = printer.output.to_string();
    let guest = Guest {
        head: r#"(import "weir:plugin/log@0.1.0" "enabled" (func $enabled (param i32) (result i32)))"#,
        ..Guest::default()
    };
    for version in ["0.1.0", "0.1.9"] {
        let wit = wit.replace("0.1.0", version);
        let module = with_foreign_metadata(&guest.text().replace("0.1.0", version), &wit, "source-plugin");
        let plugin = runtime().load(file(module)).unwrap();
        assert_eq!(plugin.imports(), ["log"], "{version}");
    }
}

const FILTER: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\01\00\00\00\40\00\00\00\01\00\00\00\40\00\00\00\01\00\00\00")
    (data (i32.const 64) "f")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "weir:plugin/about@0.1.0#describe") (result i32) (i32.const 0))
    (func (export "weir:plugin/filter@0.1.0#open") (param i32 i32) (result i32) unreachable)
    (func (export "weir:plugin/filter@0.1.0#matches")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)"#;

#[test]
fn a_filter_is_known_as_one_and_may_import_nothing_but_log() {
    let pure = with_metadata(&format!("(module {FILTER})"), "filter-plugin");
    assert_eq!(runtime().load(file(pure)).unwrap().kind(), Kind::Filter);
    let (resolve, package) = crate::wit_package().unwrap();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(&resolve, package, &[]).unwrap();
    let wit =
        printer.output.to_string().replace("world filter-plugin {", "world filter-plugin { import timing;");
    let wat =
        format!(r#"(module (import "weir:plugin/timing@0.1.0" "stopping" (func (result i32))) {FILTER})"#);
    let text = fault(with_foreign_metadata(&wat, &wit, "filter-plugin"));
    assert!(
        text.contains("imports weir:plugin/timing@0.1.0, but a filter may import nothing but log"),
        "{text}"
    );
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_lacks() {
    for (wat, words) in [
        ("(component)", "exports nothing"),
        (r#"(component (core module $m) (import "a:b/c@1.0.0" (instance)))"#, "a:b/c"),
    ] {
        let text = fault(wat::parse_str(wat).unwrap());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn describe_is_bounded_and_alone() {
    let log = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;
    let timing = r#"(import "weir:plugin/timing@0.1.0" "sleep-ms" (func $sleep (param i32)))"#;
    for (head, more, describe, words) in [
        ("", "", "(loop (br 0)) (unreachable)", "took longer than 200 ms; at guest!describe"),
        ("", "", "(unreachable)", "trapped: wasm `unreachable` instruction executed"),
        (
            log,
            "",
            "(call $log (i32.const 4) (i32.const 4160) (i32.const 37) (i32.const 0) (i32.const 0)) (unreachable)",
            "describe failed: panicked at src/lib.rs:7: out of luck",
        ),
        (timing, "", "(call $sleep (i32.const -1)) (i32.const 512)", "timing"),
        ("", "", "(i32.store (i32.const 516) (i32.const 100000)) (i32.const 512)", "more than 65536 bytes"),
        ("", "", "(i32.store (i32.const 516) (i32.const -1)) (i32.const 512)", "describe failed"),
        ("", "", "(i32.const 131071)", "describe failed"),
        ("", "", "(i32.store8 (i32.const 256) (i32.const 27)) (i32.const 512)", "control characters"),
        ("", "", "(i32.store8 (i32.const 256) (i32.const 255)) (i32.const 512)", "describe failed"),
        ("", "", "(i32.store (i32.const 516) (i32.const 0)) (i32.const 512)", "it is empty"),
        (
            "",
            "",
            "(i32.store (i32.const 536) (i32.const 256)) (i32.store (i32.const 540) (i32.const 5)) (i32.const 512)",
            "config-schema that cannot be: not JSON",
        ),
        ("", "(start $loop) (func $loop (loop (br 0)))", "(i32.const 512)", "took longer than 200 ms"),
    ] {
        let guest = Guest { head, more, describe: Some(describe), ..Guest::default() };
        let text = fault(guest.module());
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn what_needs_too_much_at_its_start_is_refused_by_count() {
    let memories = "(memory 1) (memory 1) (memory 1) (memory 1)";
    let tables: &str = "(table 1 funcref)".repeat(17).leak();
    for (more, words) in [(memories, "memor"), (tables, "table")] {
        let text = fault(Guest { more, ..Guest::default() }.module());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_warm_cache_spares_the_compiler() {
    let dir = tempfile::tempdir().unwrap();
    let load = || {
        let options =
            RuntimeOptions { cache_dir: Some(dir.path().into()), stdin: StdinHub::of(std::io::empty()) };
        Runtime::new(options).unwrap().load(file(Guest::default().module())).unwrap().origin()
    };
    assert_eq!(load(), Origin::Compiled);
    assert_eq!(load(), Origin::Cached);
    let [artifact] = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let mut bytes = std::fs::read(&artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    assert_eq!(load(), Origin::Compiled);
    assert_eq!(load(), Origin::Cached);
}
