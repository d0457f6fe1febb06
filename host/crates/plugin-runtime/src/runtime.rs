//! From a file to a plugin: every check in the order in which a later one may rely on the earlier.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::{Component, Linker};
use weir_record::limits::{PLUGIN_FILE_BYTES_MAX, PLUGIN_MEMORIES_MAX, PLUGIN_TABLES_MAX};

use crate::cache::Cache;
use crate::capability;
use crate::capability::stdin::StdinHub;
use crate::describe::describe;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{LoadError, LoadFault};
use crate::instance::stage::StagePre;
use crate::instance::state::State;
use crate::kind::Kind;
use crate::module;
use crate::plugin::Plugin;
use crate::wit::v1::SourcePluginPre;
use crate::worlds;

/// What a runtime needs to know.
pub struct RuntimeOptions {
    /// Directory for compiled plugins, created if need be; `None` = compile at every start.
    pub cache_dir: Option<PathBuf>,
    /// Where `grants.stdin` leads: [`StdinHub::process`] but in tests.
    pub stdin: Arc<StdinHub>,
}

impl Default for RuntimeOptions {
    /// No cache, the standard input of the process.
    fn default() -> RuntimeOptions {
        RuntimeOptions { cache_dir: None, stdin: StdinHub::process() }
    }
}

/// A file that is to become a plugin.
#[derive(Debug, Clone)]
pub struct PluginFile {
    /// The name in the configuration.
    pub name: String,
    /// The file: a component, or a core module with component metadata.
    pub bytes: Vec<u8>,
    /// What the file must be, when the configuration pins it.
    pub sha256: Option<[u8; 32]>,
}

/// A runtime that cannot start. Affects no state.
#[derive(Debug, thiserror::Error)]
#[error("the plugin engine cannot start: {0}")]
pub struct RuntimeError(String);

/// Loads plugins. One per process.
pub struct Runtime {
    engine: Arc<Engine>,
    linker: Linker<State>,
    /// Of what runs in queries: nothing but the log.
    pure_linker: Linker<State>,
    cache: Cache,
    stdin: Arc<StdinHub>,
    /// Compiling takes a core and much memory for seconds: one at a time.
    compiling: Mutex<()>,
}

impl Runtime {
    /// An engine, its ticker, and the capabilities, linked.
    pub fn new(options: RuntimeOptions) -> Result<Runtime, RuntimeError> {
        let told = |error: wasmtime::Error| RuntimeError(format!("{error:#}"));
        let engine = Arc::new(Engine::new().map_err(told)?);
        let mut linker = Linker::new(engine.wasm());
        capability::link(&mut linker).map_err(told)?;
        let mut pure_linker = Linker::new(engine.wasm());
        capability::link_pure(&mut pure_linker).map_err(told)?;
        let cache = Cache::open(options.cache_dir.as_deref(), &engine);
        Ok(Runtime { engine, linker, pure_linker, cache, stdin: options.stdin, compiling: Mutex::new(()) })
    }

    /// Checks, compiles and describes a plugin. Blocks, for seconds when it has to compile: not for a
    /// thread that serves others.
    pub fn load(&self, file: PluginFile) -> Result<Arc<Plugin>, LoadError> {
        let PluginFile { name, bytes, sha256 } = file;
        let digest = Digest::of(&bytes);
        let wanted = sha256.map(Digest::from_bytes);
        match self.loaded(&name, digest, wanted, bytes) {
            Ok(plugin) => Ok(Arc::new(plugin)),
            Err(fault) => Err(LoadError { plugin: name, digest, fault: Box::new(fault) }),
        }
    }

    fn loaded(
        &self,
        name: &str,
        digest: Digest,
        wanted: Option<Digest>,
        bytes: Vec<u8>,
    ) -> Result<Plugin, LoadFault> {
        if bytes.len() > PLUGIN_FILE_BYTES_MAX {
            return Err(LoadFault::TooLarge { bytes: bytes.len(), max: PLUGIN_FILE_BYTES_MAX });
        }
        if let Some(wanted) = wanted.filter(|&wanted| wanted != digest) {
            return Err(LoadFault::Digest { wanted, got: digest });
        }
        let wasm = module::component(bytes)?;
        let surface = worlds::compare(&wasm).map_err(LoadFault::Interface)?;
        let (component, origin) = {
            let _one = self.compiling.lock();
            self.cache.component(&self.engine, &wasm).map_err(engine)?
        };
        check_resources(&component)?;
        let info = describe(&self.engine, &component)?;
        let (source, stage) = match surface.kind {
            Kind::Source => {
                let pre = self.linker.instantiate_pre(&component).and_then(SourcePluginPre::new);
                (Some(pre.map_err(engine)?), None)
            }
            kind @ (Kind::Filter | Kind::Rewrite | Kind::Aggregate) => {
                let pre = self.pure_linker.instantiate_pre(&component);
                (None, pre.and_then(|pre| StagePre::new(kind, pre)).map_err(engine)?)
            }
        };
        Ok(Plugin {
            name: name.to_owned(),
            digest,
            info,
            imports: surface.imports,
            kind: surface.kind,
            origin,
            source,
            stage,
            engine: Arc::clone(&self.engine),
            stdin: Arc::clone(&self.stdin),
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of `map_err`")]
fn engine(error: wasmtime::Error) -> LoadFault {
    LoadFault::Engine(format!("{error:#}"))
}

/// What an instance would take at its start, so that the error names it before anything is allocated.
fn check_resources(component: &Component) -> Result<(), LoadFault> {
    let Some(needs) = component.resources_required() else {
        return Err(LoadFault::Engine("it imports core modules".into()));
    };
    let counts = [
        ("memories", needs.num_memories, PLUGIN_MEMORIES_MAX),
        ("tables", needs.num_tables, PLUGIN_TABLES_MAX),
    ];
    match counts.into_iter().find(|&(_, got, max)| got as usize > max) {
        Some((what, got, max)) => Err(LoadFault::Resources { what, got: got as usize, max }),
        None => Ok(()),
    }
}
