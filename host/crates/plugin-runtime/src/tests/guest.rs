//! Core modules in text that keep the canonical ABI of `weir:plugin` 0.1, with a hole for each function.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use wit_component::StringEncoding;

use crate::{
    Counters, FilesGrant, Grants, Level, Limits, LogLine, Metric, Observer, Plugin, PluginFile, Runtime,
    RuntimeOptions, Source, SourceError, SourceOptions, StdinHub, Stop,
};

/// The parts of a source, each the body of a function in text. What is not given is the well-behaved
/// default: describe says "guest 1.0.0" and needs nothing, open succeeds, poll is idle, close is nothing.
#[derive(Clone, Default)]
pub(super) struct Guest {
    /// Imports and globals.
    pub(super) head: &'static str,
    /// Further functions, data and memories; data from 8192 on.
    pub(super) more: &'static str,
    pub(super) describe: Option<&'static str>,
    /// `$config $config_len $has_cursor $cursor $cursor_len`, the result at 1024.
    pub(super) open: Option<&'static str>,
    /// `$records $bytes $wait`, the result at 2048.
    pub(super) poll: Option<&'static str>,
    /// The result at 3072.
    pub(super) close: Option<&'static str>,
    /// Memory and table besides; `(memory (export "memory") 2)` by default.
    pub(super) memory: Option<&'static str>,
}

/// A result of `poll` with two records, "one" and "two", and the cursor "c2".
pub(super) const TWO: &str = r"
    (i32.store (i32.const 2048) (i32.const 0))            ;; ok
    (i32.store (i32.const 2052) (i32.const 0))            ;; records
    (i32.store (i32.const 2056) (i32.const 4096))         ;; arena
    (i32.store (i32.const 2060) (i32.const 6))
    (i32.store (i32.const 2064) (i32.const 4104))         ;; ends
    (i32.store (i32.const 2068) (i32.const 2))
    (i32.store (i32.const 2112) (i32.const 1))            ;; a cursor
    (i32.store (i32.const 2116) (i32.const 4112))
    (i32.store (i32.const 2120) (i32.const 2))
    (i32.const 2048)";

/// A result of `open` at 1024 or `poll` at 2048: the failure `retry test.code "no luck"`.
pub(super) fn failure(at: u32, verdict: u32) -> &'static str {
    format!(
        r"(i32.store (i32.const {at}) (i32.const 1))
          (i32.store (i32.add (i32.const {at}) (i32.const 4)) (i32.const {verdict}))
          (i32.store (i32.add (i32.const {at}) (i32.const 8)) (i32.const 4128))
          (i32.store (i32.add (i32.const {at}) (i32.const 12)) (i32.const 9))
          (i32.store (i32.add (i32.const {at}) (i32.const 16)) (i32.const 4144))
          (i32.store (i32.add (i32.const {at}) (i32.const 20)) (i32.const 7))
          (i32.const {at})"
    )
    .leak()
}

impl Guest {
    /// The module in text.
    pub(super) fn text(&self) -> String {
        let Guest { head, more, describe, open, poll, close, memory } = self;
        let describe = describe.unwrap_or("(i32.const 512)");
        let open = open.unwrap_or("(i32.store8 (i32.const 1024) (i32.const 0)) (i32.const 1024)");
        let poll = poll.unwrap_or(
            "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 1))
             (i32.store (i32.const 2056) (i32.const 250)) (i32.const 2048)",
        );
        let close = close.unwrap_or("(i32.store (i32.const 3072) (i32.const 0)) (i32.const 3072)");
        let memory = memory.unwrap_or(r#"(memory (export "memory") 2)"#);
        format!(
            r#"(module $guest
              {head}
              {memory}
              (global $free (mut i32) (i32.const 65536))
              ;; info: name, version, summary, config-schema, needs
              (data (i32.const 512) "\00\01\00\00\05\00\00\00\10\01\00\00\05\00\00\00\20\01\00\00\04\00\00\00")
              (data (i32.const 256) "guest")
              (data (i32.const 272) "1.0.0")
              (data (i32.const 288) "test")
              (data (i32.const 4096) "onetwo")
              (data (i32.const 4104) "\03\00\00\00\06\00\00\00")
              (data (i32.const 4112) "c2")
              (data (i32.const 4128) "test.code")
              (data (i32.const 4144) "no luck")
              (data (i32.const 4160) "panicked at src/lib.rs:7: out of luck")
              (data (i32.const 4224) "a line\1b[31m\0a")
              {more}
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
              (func $describe (export "weir:plugin/about@0.1.0#describe") (result i32) {describe})
              (func $open (export "weir:plugin/source@0.1.0#open")
                (param $config i32) (param $config_len i32) (param $has_cursor i32) (param $cursor i32) (param $cursor_len i32)
                (result i32) {open})
              (func $poll (export "weir:plugin/source@0.1.0#poll")
                (param $records i32) (param $bytes i32) (param $wait i32) (result i32) {poll})
              (func $close (export "weir:plugin/source@0.1.0#close") (result i32) {close}))"#
        )
    }

    /// The module with metadata of the source world.
    pub(super) fn module(&self) -> Vec<u8> {
        with_metadata(&self.text(), "source-plugin")
    }

    pub(super) fn load(&self) -> Arc<Plugin> {
        runtime().load(file(self.module())).unwrap()
    }

    pub(super) async fn open(&self) -> Result<Source, SourceError> {
        Source::open(&self.load(), World::default().options()).await
    }
}

/// A core module in text with the metadata of a world of weir's package.
pub(super) fn with_metadata(text: &str, world: &str) -> Vec<u8> {
    let (resolve, package) = crate::wit_package().unwrap();
    let world = resolve.packages[package].worlds[world];
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .unwrap();
    module
}

/// A core module in text with the metadata of a world in other WIT.
pub(super) fn with_foreign_metadata(text: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("test.wit", wit).unwrap();
    let world = resolve.packages[package].worlds[world];
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .unwrap();
    module
}

pub(super) fn runtime() -> Runtime {
    Runtime::new(RuntimeOptions { cache_dir: None, stdin: StdinHub::of(std::io::empty()) }).unwrap()
}

pub(super) fn file(bytes: Vec<u8>) -> PluginFile {
    PluginFile { name: "guest".into(), bytes, sha256: None }
}

/// Everything around a source, watched.
#[derive(Clone)]
pub(super) struct World {
    pub(super) config: Value,
    pub(super) cursor: Option<Vec<u8>>,
    pub(super) grants: Grants,
    pub(super) limits: Limits,
    pub(super) seen: Arc<Seen>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Stop,
}

impl Default for World {
    fn default() -> World {
        World {
            config: Value::Null,
            cursor: None,
            grants: Grants::default(),
            limits: Limits::default(),
            seen: Arc::default(),
            counters: Arc::default(),
            stop: Stop::new(),
        }
    }
}

impl World {
    /// One in which calls are interrupted soon, for plugins that loop.
    pub(super) fn hasty() -> World {
        World { limits: Limits { call_ms: 300, ..Limits::default() }, ..World::default() }
    }

    pub(super) fn granting(pattern: &str) -> World {
        let grant = FilesGrant { include: vec![pattern.into()], exclude: Vec::new() };
        let grants = Grants { files: [("logs".to_owned(), grant)].into(), ..Grants::default() };
        World { grants, ..World::default() }
    }

    pub(super) fn options(&self) -> SourceOptions {
        SourceOptions {
            instance: "test".into(),
            config: self.config.clone(),
            cursor: self.cursor.clone(),
            grants: self.grants.clone(),
            limits: self.limits,
            observer: Arc::clone(&self.seen) as _,
            counters: Arc::clone(&self.counters),
            stop: self.stop.clone(),
        }
    }

    pub(super) async fn open(&self, guest: &Guest) -> Result<Source, SourceError> {
        Source::open(&guest.load(), self.options()).await
    }
}

/// An observer that remembers.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) lines: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn enabled(&self, level: Level) -> bool {
        level >= Level::Info
    }

    fn log(&self, line: &LogLine<'_>) {
        let LogLine { plugin, instance, level, message, fields, dropped } = line;
        let text = format!("{plugin} {instance} {level:?} {message} {fields:?} -{dropped}");
        self.lines.lock().push(text);
    }

    fn define(&self, metric: &Metric) {
        self.lines.lock().push(format!("define {}", metric.name));
    }

    fn record(&self, metric: &Metric, value: f64) {
        self.lines.lock().push(format!("{} {value}", metric.name));
    }
}
