//! The sources of this process: loaded, driven, watched.

mod amqp;
mod convert;
pub(crate) mod driver;
pub(crate) mod observe;
pub(crate) mod sink;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_amqp::Queue;
use weir_api::backend::{InstanceInfo, PluginInfo};
use weir_plugin_runtime::{
    AmqpGrant, Counters, FilesGrant, Grants, MessageQueue, RestartPolicy, SourceOptions, Stop,
};

use crate::config::{Config, OnTrap, SourceConfig};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::sources::driver::SourceTask;
use crate::sources::observe::ToNode;
use crate::sources::sink::Sink;
use crate::sources::status::{SourceStatus, State};

/// All sources of a process.
pub(crate) struct Sources {
    plugins: Arc<Plugins>,
    all: Vec<Configured>,
    metrics: Arc<Metrics>,
}

/// One source of the configuration.
struct Configured {
    config: SourceConfig,
    status: Arc<SourceStatus>,
    counters: Arc<Counters>,
}

impl Sources {
    /// The sources of a configuration; nothing is loaded yet.
    pub(crate) fn new(config: &Config, plugins: Arc<Plugins>, metrics: Arc<Metrics>) -> Arc<Sources> {
        let all = config.sources.iter().map(|source| Configured {
            config: source.clone(),
            status: SourceStatus::new(&source.name, metrics.clone()),
            counters: Arc::default(),
        });
        Arc::new(Sources { plugins, all: all.collect(), metrics })
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
            let queues = match amqp::queues(&config, &self.metrics) {
                Ok(queues) => queues,
                Err(why) => {
                    status.failed(&format!("source {}: {why}", config.name));
                    continue;
                }
            };
            let options = self.options_of(source, &queues, &stop);
            let cursor = cursors.remove(&config.name);
            tasks.spawn(async move {
                let name = config.plugin.clone();
                let loading = tokio::task::spawn_blocking({
                    let plugins = sources.plugins.clone();
                    move || plugins.load(&name)
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
                for queue in queues.values() {
                    queue.close().await;
                }
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

    /// All plugins with their instances.
    pub(crate) fn plugins(&self) -> Vec<PluginInfo> {
        self.plugins.names().map(|name| self.plugin_info(name)).collect()
    }

    fn plugin_info(&self, name: &str) -> PluginInfo {
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
        PluginInfo { instances: instances.collect(), ..self.plugins.info(name) }
    }

    /// What an instance of a source is opened with, for any cursor.
    fn options_of(
        &self,
        source: &Configured,
        queues: &BTreeMap<String, Arc<Queue>>,
        stop: &CancellationToken,
    ) -> OptionsOf {
        let config = source.config.clone();
        let files = config.grants.files.iter().map(|(name, grant)| {
            (name.clone(), FilesGrant { include: grant.include.clone(), exclude: grant.exclude.clone() })
        });
        let amqp = queues.iter().map(|(name, queue)| {
            let queue: Arc<dyn MessageQueue> = queue.clone();
            (name.clone(), AmqpGrant(queue))
        });
        let grants = Grants { amqp: amqp.collect(), files: files.collect(), stdin: config.grants.stdin };
        let limits = self.plugins.limits_of(&config.plugin).unwrap_or_default();
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
        RestartPolicy::new(match self.plugins.on_trap(plugin) {
            OnTrap::Stop => weir_plugin_runtime::OnTrap::Stop,
            // `pass` and `drop` are about the records of a filter; a source has none to pass.
            OnTrap::Restart | OnTrap::Pass | OnTrap::Drop => weir_plugin_runtime::OnTrap::Restart,
        })
    }
}

/// Makes the options of a new instance, opened at a cursor.
pub(crate) type OptionsOf = Box<dyn Fn(Option<Vec<u8>>) -> SourceOptions + Send + Sync>;
