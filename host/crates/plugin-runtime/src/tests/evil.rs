//! What hostile filters, rewrites, aggregates and files try, and what stops it: a table each, a line per crime.

mod files;
mod imports;
mod stages;

use std::sync::Arc;

use super::guest::{Seen, file, runtime, with_metadata};
use crate::{Counters, Kind, Limits, Plugin, SourceError, Stage, StageBatch, StageOptions};

/// A stage in text. What is not given behaves: it opens without hints, keeps two of three records, sums up nothing.
#[derive(Clone, Copy)]
struct Evil {
    kind: Kind,
    /// Imports.
    head: &'static str,
    /// Further functions, globals, memories.
    more: &'static str,
    /// Functions that are not the well-behaved ones.
    bodies: &'static [(&'static str, &'static str)],
    /// Pages of memory at the start.
    pages: u32,
}

const LOG: &str = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;
const LOOP: &str = "(loop (br 0)) (unreachable)";
const TRAP: &str = "(unreachable)";

impl Evil {
    const FILTER: Evil = Evil { kind: Kind::Filter, head: "", more: "", bodies: &[], pages: 4 };
    const REWRITE: Evil = Evil { kind: Kind::Rewrite, ..Evil::FILTER };
    const AGGREGATE: Evil = Evil { kind: Kind::Aggregate, ..Evil::FILTER };

    fn of(kind: Kind, bodies: &'static [(&'static str, &'static str)]) -> Evil {
        Evil { kind, bodies, ..Evil::FILTER }
    }

    fn text(self) -> String {
        let Evil { kind, head, more, bodies, pages } = self;
        let body = |function: &str, behaved: &'static str| {
            bodies.iter().find(|(name, _)| *name == function).map_or(behaved, |(_, body)| body)
        };
        let name = kind.name();
        let export = |function: &str, params: &str, behaved: &'static str| {
            let body = body(function, behaved);
            format!(
                r#"(func ${function} (export "weir:plugin/{name}@0.1.0#{function}") {params} (result i32) {body})"#
            )
        };
        let batch = "(param $arena i32) (param $arena_len i32) (param $ends i32) (param $ends_len i32)
                     (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
        let bitmap = "(i32.store (i32.const 2052) (i32.const 4096)) (i32.store (i32.const 2056) (i32.const 1)) (i32.const 2048)";
        let calls = match kind {
            Kind::Filter => vec![export("matches", batch, bitmap)],
            Kind::Rewrite => vec![export("apply", batch, "(i32.const 2048)")],
            _ => vec![
                export("update", batch, "(i32.const 3072)"),
                export("partial", "", "(i32.const 2048)"),
                export("merge", "(param i32 i32)", "(i32.const 3072)"),
                export("finish", "", "(i32.const 3200)"),
            ],
        };
        let (open, calls) = (export("open", "(param i32 i32)", "(i32.const 1024)"), calls.concat());
        let describe = body("describe", "(i32.const 512)");
        let realloc = body(
            "realloc",
            "(local $at i32)
             (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
             (global.set $free (i32.add (local.get $at) (local.get 3)))
             (local.get $at)",
        );
        format!(
            r#"(module $guest
              {head}
              (memory (export "memory") {pages})
              (global $free (mut i32) (i32.const 131072))
              (global $calls (mut i32) (i32.const 0))
              (data (i32.const 512) "\00\01\00\00\05\00\00\00\10\01\00\00\05\00\00\00\20\01\00\00\04\00\00\00")
              (data (i32.const 256) "guest")
              (data (i32.const 272) "1.0.0")
              (data (i32.const 288) "test")
              (data (i32.const 4096) "\05\ff\ff\ff")
              (data (i32.const 4104) "\03\00\00\00\06\00\00\00\0b\00\00\00")
              (data (i32.const 4128) "a.code")
              (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              (func (export "weir:plugin/about@0.1.0#describe") (result i32) {describe})
              {open} {calls} {more})"#
        )
    }

    fn load(self) -> Result<Arc<Plugin>, String> {
        runtime()
            .load(file(with_metadata(&self.text(), self.kind.world())))
            .map_err(|error| error.to_string())
    }

    fn open(self) -> Result<Stage, SourceError> {
        Stage::open(&self.load().unwrap(), &hasty(&Arc::default()))
    }

    /// Does with it what a query does; where that fails, and with which words.
    fn error(self) -> String {
        match self.load() {
            Err(error) => error,
            Ok(plugin) => lived(&plugin, &hasty(&Arc::default())).unwrap_err().to_string(),
        }
    }
}

/// Calls are interrupted soon.
fn hasty(seen: &Arc<Seen>) -> StageOptions {
    StageOptions {
        params: "{}".into(),
        limits: Limits { call_ms: 300, ..Limits::default() },
        observer: Arc::clone(seen) as _,
        counters: Arc::<Counters>::default(),
        cancel: Arc::default(),
    }
}

fn three() -> StageBatch {
    let mut batch = StageBatch::default();
    batch.extend(b"onetwothree", &[3, 6, 11]);
    batch
}

/// The life of a stage in a query.
fn lived(plugin: &Arc<Plugin>, options: &StageOptions) -> Result<(), SourceError> {
    let mut stage = Stage::open(plugin, options)?;
    let result = call(&mut stage, plugin.kind());
    if result.is_err() {
        let after = call(&mut stage, plugin.kind()).unwrap_err().to_string();
        assert!(after.contains("gone"), "{after}");
        assert!(stage.memory_bytes() <= options.limits.memory_bytes);
        return result;
    }
    if plugin.kind() == Kind::Aggregate {
        let partial = stage.partial()?;
        stage.merge(partial)?;
        stage.finish()?;
    }
    Ok(())
}

fn call(stage: &mut Stage, kind: Kind) -> Result<(), SourceError> {
    match kind {
        Kind::Filter => stage.matches(&three()).map(drop),
        Kind::Rewrite => stage.apply(&three()).map(drop),
        Kind::Aggregate | Kind::Source => stage.update(&three()),
    }
}

#[test]
fn those_that_behave_live() {
    for evil in [Evil::FILTER, Evil::REWRITE, Evil::AGGREGATE] {
        lived(&evil.load().unwrap(), &hasty(&Arc::default())).unwrap();
    }
}
