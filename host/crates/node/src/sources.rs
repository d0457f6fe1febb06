//! The sources of this process: loaded, driven, watched, and exchanged when the configuration is.

mod amqp;
mod convert;
pub(crate) mod driver;
pub(crate) mod observe;
pub(crate) mod reload;
pub(crate) mod sink;
mod slot;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_amqp::Queue;
use weir_api::backend::PluginInfo;
use weir_plugin_runtime::{Counters, RestartPolicy, SourceOptions, Stop};

use crate::config::{Config, SourceConfig};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::sources::driver::SourceTask;
use crate::sources::observe::ToNode;
use crate::sources::sink::Sink;
use crate::sources::slot::{Ended, Slot, grants, stands_at};
use crate::sources::status::State;

/// All sources of a process.
pub(crate) struct Sources {
    plugins: Arc<Plugins>,
    metrics: Arc<Metrics>,
    slots: Mutex<BTreeMap<String, Slot>>,
    /// Where sources stand that are not configured (any more).
    left: Mutex<BTreeMap<String, Ended>>,
    /// Where they deliver to, from the start on.
    feeding: OnceLock<Feeding>,
    runs: TaskTracker,
}

struct Feeding {
    sink: Arc<dyn Sink>,
    stop: CancellationToken,
}

impl Sources {
    /// The sources of a configuration; nothing is loaded yet.
    pub(crate) fn new(config: &Config, plugins: Arc<Plugins>, metrics: Arc<Metrics>) -> Arc<Sources> {
        let slots = config.sources.iter().map(|source| (source.name.clone(), Slot::new(source, &metrics)));
        let runs = TaskTracker::new();
        // Others may still begin: it is closed so that it can be waited for.
        runs.close();
        Arc::new(Sources {
            plugins,
            slots: Mutex::new(slots.collect()),
            left: Mutex::default(),
            feeding: OnceLock::new(),
            runs,
            metrics,
        })
    }

    /// Starts every source as a task of its own. A source whose plugin cannot be loaded fails alone.
    pub(crate) fn start(
        self: &Arc<Self>,
        sink: Arc<dyn Sink>,
        cursors: BTreeMap<String, Vec<u8>>,
        stop: &CancellationToken,
    ) {
        let feeding = Feeding { sink, stop: stop.clone() };
        let feeding = self.feeding.get_or_init(|| feeding);
        let cursors = cursors.into_iter().map(|(name, cursor)| (name, stands_at(Some(cursor))));
        let mut left: BTreeMap<String, Ended> = cursors.collect();
        for slot in self.slots.lock().values_mut() {
            let before = left.remove(&slot.config.name).unwrap_or_else(|| stands_at(None));
            self.run(slot, before, feeding);
        }
        *self.left.lock() = left;
    }

    /// Waits until no source runs any more.
    pub(crate) async fn ended(&self) {
        self.runs.wait().await;
    }

    /// Starts a run of a source, once the one before has ended.
    fn run(self: &Arc<Self>, slot: &mut Slot, before: Ended, feeding: &Feeding) {
        slot.stop = feeding.stop.child_token();
        slot.ended = before.clone();
        let queues = match &slot.brokers {
            Ok(brokers) => amqp::queues(&slot.config, brokers, &self.metrics),
            Err(why) => return slot.status.failed(&format!("source {}: {why}", slot.config.name)),
        };
        let options = self.options_of(&slot.config, &slot.counters, &queues, &slot.stop);
        let (sources, sink, stop) = (self.clone(), feeding.sink.clone(), slot.stop.clone());
        let (config, status) = (slot.config.clone(), slot.status.clone());
        let name = config.name.clone();
        let run = self.runs.spawn(async move {
            let cursor = match before.await {
                Ok(cursor) => cursor,
                Err(why) => {
                    status.failed(&format!("source {}: {why}", config.name));
                    return Err(why);
                }
            };
            let name = config.plugin.clone();
            let loading = tokio::task::spawn_blocking({
                let plugins = sources.plugins.clone();
                move || plugins.load(&name)
            });
            let plugin = match loading.await {
                Ok(Ok(plugin)) => plugin,
                Ok(Err(error)) => {
                    status.failed(&format!("source {}: {error}", config.name));
                    return Ok(cursor);
                }
                Err(error) => {
                    status.failed(&format!("source {}: loading ended: {error}", config.name));
                    return Ok(cursor);
                }
            };
            let policy = sources.policy_of(&config.plugin);
            // Whatever a former run could not store comes again.
            sink.resume(&config.name);
            let task =
                SourceTask { config, plugin, options, sink, policy, born: Instant::now(), status, stop };
            let cursor = task.run(cursor).await;
            for queue in queues.values() {
                queue.close().await;
            }
            Ok(cursor)
        });
        let ended = run.map(move |ended| {
            ended.unwrap_or_else(|error| {
                Err(format!("where {name} stands is not known ({error}); start the process again"))
            })
        });
        slot.ended = ended.boxed().shared();
    }

    /// Whether every source that has ended read to its end or was stopped.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let slots = self.slots.lock();
        let facts = slots.values().map(|slot| (slot.config.name.clone(), slot.status.facts()));
        facts
            .filter(|(_, facts)| facts.state == State::Failed)
            .map(|(name, facts)| (name, facts.last_error.unwrap_or_default()))
            .collect()
    }

    /// All plugins with their instances.
    pub(crate) fn plugins(&self) -> Vec<PluginInfo> {
        self.plugins.names().iter().map(|name| self.plugin_info(name)).collect()
    }

    fn plugin_info(&self, name: &str) -> PluginInfo {
        let slots = self.slots.lock();
        let instances = slots.values().filter(|slot| slot.config.plugin == name).map(Slot::instance);
        let instances = instances.collect();
        drop(slots);
        PluginInfo { instances, ..self.plugins.info(name) }
    }

    /// What an instance of a source is opened with, for any cursor.
    fn options_of(
        &self,
        config: &SourceConfig,
        counters: &Arc<Counters>,
        queues: &BTreeMap<String, Arc<Queue>>,
        stop: &CancellationToken,
    ) -> OptionsOf {
        let (config, counters) = (config.clone(), counters.clone());
        let grants = grants(&config, queues);
        let limits = self.plugins.limits_of(&config.plugin).unwrap_or_default();
        let observer = Arc::new(ToNode(self.metrics.clone()));
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
        for (name, slot) in &*self.slots.lock() {
            let stats = slot.counters.stats();
            let labels = &[name.as_str()];
            self.metrics.plugin_calls.set(labels, stats.calls as f64);
            self.metrics.plugin_traps.set(labels, stats.traps as f64);
            self.metrics.plugin_seconds.set(labels, stats.running.as_secs_f64());
            self.metrics.plugin_log_dropped.set(labels, stats.log_lines_dropped as f64);
            self.metrics.plugin_memory_bytes.with_label_values(labels).set(stats.memory_bytes as i64);
        }
    }

    fn policy_of(&self, plugin: &str) -> RestartPolicy {
        RestartPolicy::new(self.plugins.on_trap(plugin))
    }
}

/// Makes the options of a new instance, opened at a cursor.
pub(crate) type OptionsOf = Box<dyn Fn(Option<Vec<u8>>) -> SourceOptions + Send + Sync>;
