//! The sources of this process: loaded, driven, watched.

mod convert;
pub(crate) mod driver;
mod observe;
pub(crate) mod sink;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::backend::{InstanceInfo, PluginInfo};
use weir_plugin_runtime::{
    Counters, Digest, FilesGrant, Grants, Limits, Plugin, PluginFile, RestartPolicy, Runtime, SourceOptions,
    Stop,
};
use weir_record::limits::PLUGIN_FILE_BYTES_MAX;

use crate::EmbeddedPlugin;
use crate::config::{Config, OnTrap, PluginConfig, SourceConfig};
use crate::metrics::Metrics;
use crate::sources::driver::SourceTask;
use crate::sources::observe::ToNode;
use crate::sources::sink::Sink;
use crate::sources::status::{SourceStatus, State};

/// All sources of a process.
pub(crate) struct Sources {
    runtime: Arc<Runtime>,
    catalog: BTreeMap<String, Origin>,
    loaded: Mutex<BTreeMap<String, Arc<Plugin>>>,
    loading: Mutex<()>,
    all: Vec<Configured>,
    metrics: Arc<Metrics>,
}

/// One source of the configuration.
struct Configured {
    config: SourceConfig,
    status: Arc<SourceStatus>,
    counters: Arc<Counters>,
}

/// Where a plugin's bytes come from.
#[derive(Clone)]
enum Origin {
    Embedded(&'static [u8]),
    File(PluginConfig),
}

impl Sources {
    /// The sources of a configuration; nothing is loaded yet.
    pub(crate) fn new(
        config: &Config,
        embedded: &[EmbeddedPlugin],
        runtime: Arc<Runtime>,
        metrics: Arc<Metrics>,
    ) -> Arc<Sources> {
        let mut catalog: BTreeMap<String, Origin> =
            embedded.iter().map(|plugin| (plugin.name.to_owned(), Origin::Embedded(plugin.bytes))).collect();
        // A configured path stands in for the embedded plugin of the same name.
        catalog
            .extend(config.plugins.iter().map(|plugin| (plugin.name.clone(), Origin::File(plugin.clone()))));
        let all = config.sources.iter().map(|source| Configured {
            config: source.clone(),
            status: SourceStatus::new(&source.name, metrics.clone()),
            counters: Arc::default(),
        });
        Arc::new(Sources {
            runtime,
            catalog,
            loaded: Mutex::default(),
            loading: Mutex::default(),
            all: all.collect(),
            metrics,
        })
    }

    /// Starts every source as a task of its own. A source whose plugin cannot be loaded fails alone.
    pub(crate) fn start(
        self: &Arc<Self>,
        sink: &Arc<dyn Sink>,
        mut cursors: BTreeMap<String, Vec<u8>>,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for source in &self.all {
            let (sources, sink, stop) = (self.clone(), sink.clone(), stop.clone());
            let (config, status) = (source.config.clone(), source.status.clone());
            let options = self.options_of(source, &stop);
            let cursor = cursors.remove(&config.name);
            tasks.spawn(async move {
                let name = config.plugin.clone();
                let loading = tokio::task::spawn_blocking({
                    let sources = sources.clone();
                    move || sources.load(&name)
                });
                let plugin = match loading.await {
                    Ok(Ok(plugin)) => plugin,
                    Ok(Err(error)) => return status.failed(&format!("source {}: {error}", config.name)),
                    Err(error) => {
                        return status.failed(&format!("source {}: loading ended: {error}", config.name));
                    }
                };
                let policy = sources.policy_of(&config.plugin);
                SourceTask { config, plugin, options, sink, policy, born: Instant::now(), status, stop }
                    .run(cursor)
                    .await;
            });
        }
        tasks
    }

    /// Whether every source that has ended read to its end or was stopped.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let facts = self.all.iter().map(|source| (source.config.name.clone(), source.status.facts()));
        facts
            .filter(|(_, facts)| facts.state == State::Failed)
            .map(|(name, facts)| (name, facts.last_error.unwrap_or_default()))
            .collect()
    }

    /// All plugins of the catalogue with their instances.
    pub(crate) fn plugins(&self) -> Vec<PluginInfo> {
        self.catalog.iter().map(|(name, origin)| self.plugin_info(name, origin)).collect()
    }

    fn plugin_info(&self, name: &str, origin: &Origin) -> PluginInfo {
        let instances = self.all.iter().filter(|source| source.config.plugin == name).map(|source| {
            let facts = source.status.facts();
            InstanceInfo {
                name: source.config.name.clone(),
                state: facts.state.word().to_owned(),
                reason: facts.last_error,
                restarts: facts.restarts,
                records: facts.records,
                bytes: facts.bytes,
            }
        });
        let path = match origin {
            Origin::Embedded(_) => None,
            Origin::File(config) => Some(config.path.display().to_string()),
        };
        let mut info = PluginInfo {
            name: name.to_owned(),
            path,
            instances: instances.collect(),
            ..PluginInfo::default()
        };
        if let Some(plugin) = self.loaded.lock().get(name) {
            info.kind = plugin.kind().to_string();
            info.version = Some(plugin.info().version.clone());
            info.summary = Some(plugin.info().summary.clone());
            info.sha256 = plugin.digest().to_string();
            info.imports = plugin.imports().to_vec();
        } else if let Origin::Embedded(bytes) = origin {
            // No source uses it: it is not compiled, and what it says of itself is not known.
            "not loaded".clone_into(&mut info.kind);
            info.sha256 = Digest::of(bytes).to_string();
        }
        info
    }

    fn load(&self, name: &str) -> Result<Arc<Plugin>, String> {
        // One at a time: two sources of one plugin compile it once. A lock of its own, so that whoever asks
        // for the list of plugins never waits for the compiler.
        let _one = self.loading.lock();
        if let Some(plugin) = self.loaded.lock().get(name) {
            return Ok(plugin.clone());
        }
        let file = self.file_of(name)?;
        let plugin = self.runtime.load(file).map_err(|error| error.to_string())?;
        self.loaded.lock().insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }

    fn file_of(&self, name: &str) -> Result<PluginFile, String> {
        let (bytes, sha256) = match self.catalog.get(name) {
            Some(Origin::Embedded(bytes)) => (bytes.to_vec(), None),
            Some(Origin::File(config)) => (read_bounded(&config.path)?, config.sha256),
            None => return Err(format!("there is no plugin {name}")),
        };
        Ok(PluginFile { name: name.to_owned(), bytes, sha256 })
    }

    /// What an instance of a source is opened with, for any cursor.
    fn options_of(&self, source: &Configured, stop: &CancellationToken) -> OptionsOf {
        let config = source.config.clone();
        let files = config.grants.files.iter().map(|(name, grant)| {
            (name.clone(), FilesGrant { include: grant.include.clone(), exclude: grant.exclude.clone() })
        });
        let grants = Grants { files: files.collect(), stdin: config.grants.stdin };
        let limits = match self.catalog.get(&config.plugin) {
            Some(Origin::File(plugin)) => {
                Limits { memory_bytes: plugin.memory_bytes, call_ms: plugin.call_ms }
            }
            _ => Limits::default(),
        };
        let observer = Arc::new(ToNode(self.metrics.clone()));
        let counters = source.counters.clone();
        let plugin_stop = Stop::new();
        tokio::spawn({
            let (stop, plugin_stop) = (stop.clone(), plugin_stop.clone());
            async move {
                stop.cancelled().await;
                plugin_stop.stop();
            }
        });
        Box::new(move |cursor| SourceOptions {
            instance: config.name.clone(),
            config: config.config.clone(),
            cursor,
            grants: grants.clone(),
            limits,
            observer: observer.clone(),
            counters: counters.clone(),
            stop: plugin_stop.clone(),
        })
    }

    /// Brings the metrics of all instances up to date.
    pub(crate) fn refresh(&self) {
        for source in &self.all {
            let stats = source.counters.stats();
            let labels = &[source.config.name.as_str()];
            self.metrics.plugin_calls.set(labels, stats.calls as f64);
            self.metrics.plugin_traps.set(labels, stats.traps as f64);
            self.metrics.plugin_seconds.set(labels, stats.running.as_secs_f64());
            self.metrics.plugin_log_dropped.set(labels, stats.log_lines_dropped as f64);
            self.metrics.plugin_memory_bytes.with_label_values(labels).set(stats.memory_bytes as i64);
        }
    }

    fn policy_of(&self, plugin: &str) -> RestartPolicy {
        let on_trap = match self.catalog.get(plugin) {
            Some(Origin::File(config)) => config.on_trap,
            _ => OnTrap::Restart,
        };
        RestartPolicy::new(match on_trap {
            OnTrap::Stop => weir_plugin_runtime::OnTrap::Stop,
            // `pass` and `drop` are about the records of a filter; a source has none to pass.
            OnTrap::Restart | OnTrap::Pass | OnTrap::Drop => weir_plugin_runtime::OnTrap::Restart,
        })
    }
}

/// Makes the options of a new instance, opened at a cursor.
pub(crate) type OptionsOf = Box<dyn Fn(Option<Vec<u8>>) -> SourceOptions + Send + Sync>;

/// A plugin's file, no more of it than a plugin may have.
fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("cannot read the plugin {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(PLUGIN_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}
