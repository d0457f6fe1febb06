//! Asks a plugin who it is, in an instance that is thrown away and that may call nothing.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};
use weir_record::limits::{PLUGIN_DESCRIBE_BYTES_MAX, PLUGIN_DESCRIBE_MS_MAX};

use crate::capability::log::clean;
use crate::engine::{Engine, ticks};
use crate::error::{Fault, LoadFault, fault_of, frames_of};
use crate::info::Info;
use crate::limits::{self, Limiter, Limits};
use crate::wit::v1::exports::weir::plugin::about::GuestIndices;

/// The interface that is answered far enough to learn of a panic, in the version of this node; wasmtime
/// finds it for every compatible one.
const LOG: &str = "weir:plugin/log@0.1.0";
/// A line that a panic hook wrote.
const LINE_BYTES_MAX: usize = 1024;

struct Alone {
    limiter: Limiter,
    line: Option<String>,
}

/// Runs `describe` for at most 200 ms; what it returns is bounded, too.
pub(crate) fn describe(engine: &Engine, component: &Component) -> Result<Info, LoadFault> {
    let alone = Alone { limiter: Limiter::new(&Limits::default()), line: None };
    let mut store = Store::new(engine.wasm(), alone);
    limits::apply(&mut store, PLUGIN_DESCRIBE_BYTES_MAX, |alone| &mut alone.limiter);
    store.set_epoch_deadline(ticks(PLUGIN_DESCRIBE_MS_MAX));
    store.epoch_deadline_trap();
    let _running = engine.running();
    let info = call(engine, component, &mut store).map_err(|error| told(&error, store.data()))?;
    Info::new(info)
}

fn call(
    engine: &Engine,
    component: &Component,
    store: &mut Store<Alone>,
) -> wasmtime::Result<crate::wit::v1::weir::plugin::types::Info> {
    let mut linker: Linker<Alone> = Linker::new(engine.wasm());
    linker.instance(LOG)?.func_wrap(
        "write",
        |mut store,
         (_level, line, _fields): (Level, String, Vec<(String, String)>)|
         -> wasmtime::Result<()> {
            store.data_mut().line = Some(clean(&line, LINE_BYTES_MAX));
            Err(wasmtime::format_err!("it called log.write, and describe may call nothing"))
        },
    )?;
    linker.define_unknown_imports_as_traps(component)?;
    let pre = linker.instantiate_pre(component)?;
    let indices = GuestIndices::new(&pre)?;
    let instance = pre.instantiate(&mut *store)?;
    let about = indices.load(&mut *store, &instance)?;
    let (info,) = about.func_describe().call(&mut *store, ())?;
    Ok(info)
}

use crate::wit::v1::weir::plugin::log::Level;

fn told(error: &wasmtime::Error, alone: &Alone) -> LoadFault {
    let mut text = match (&alone.line, fault_of(error, PLUGIN_DESCRIBE_MS_MAX, PLUGIN_DESCRIBE_BYTES_MAX)) {
        (Some(line), _) => line.clone(),
        (None, Fault::Deadline { limit_ms }) => format!("took longer than {limit_ms} ms"),
        (None, fault) => fault.to_string(),
    };
    let frames = frames_of(error);
    if !frames.is_empty() {
        text = format!("{text}; at {}", frames.join(" < "));
    }
    LoadFault::Describe(text)
}
