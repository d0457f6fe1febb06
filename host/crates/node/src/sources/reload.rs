//! Another configuration of the sources: looked at as a whole first, then put in force, source by source.
//!
//! What is not changed is not touched. What is changed ends as with the process (its last batch is stored, its last
//! messages are acknowledged), and begins anew behind that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_amqp::Options;
use weir_plugin_runtime::Source;

use crate::config::{Config, SourceConfig, changes};
use crate::plugins::Next;
use crate::sources::slot::{Ended, Slot, grants, stands_at};
use crate::sources::status::State;
use crate::sources::{Sources, amqp};

type Brokers = BTreeMap<String, Options>;

/// What another configuration means for the sources, nothing of it in force yet.
pub(crate) struct Plan {
    begins: Vec<(SourceConfig, Brokers)>,
    removed: Vec<String>,
    plugins: Next,
}

/// What has been put in force. Names are sorted.
#[derive(Default)]
pub(crate) struct Exchanged {
    pub(crate) started: Vec<String>,
    pub(crate) restarted: Vec<String>,
    pub(crate) stopped: Vec<String>,
    /// Plugins whose files have changed.
    pub(crate) plugins: Vec<String>,
    /// Runs that end.
    pub(super) ending: Vec<(String, Ended)>,
}

impl Exchanged {
    /// The sources that have not ended.
    pub(crate) fn still_ending(&self) -> Vec<String> {
        let ending = self.ending.iter().filter(|(_, ended)| ended.peek().is_none());
        ending.map(|(name, _)| name.clone()).collect()
    }

    /// Waits until all have ended that were to.
    pub(crate) async fn ended(&self) {
        futures_util::future::join_all(self.ending.iter().map(|(_, ended)| ended.clone())).await;
    }
}

impl Sources {
    /// Looks at another configuration, at the plugins and secrets that it names, too. Blocks, for seconds when a plugin
    /// has to be compiled. The error has a line for everything that is wrong.
    pub(crate) fn plan(&self, old: &Config, new: &Config) -> Result<Plan, Vec<String>> {
        let changes = changes(old, new);
        let wants: BTreeSet<&str> = new.sources.iter().map(|source| source.plugin.as_str()).collect();
        let plugins = self.plugins.next(new, &wants)?;
        let (mut begins, mut problems) = (Vec::new(), Vec::new());
        for source in &new.sources {
            let mut told =
                |why: &str| problems.push(format!("{}: sources.{}: {why}", source.place, source.name));
            let brokers = match amqp::brokers(source) {
                Ok(brokers) => brokers,
                Err(why) => {
                    told(&why);
                    continue;
                }
            };
            let named = |names: &[String]| names.contains(&source.name);
            let is_new = named(&changes.added) || named(&changes.changed);
            if !is_new && !plugins.changed.contains(&source.plugin) && self.runs_with(&source.name, &brokers)
            {
                continue;
            }
            match self.accepts(source, &brokers, &plugins) {
                Ok(()) => begins.push((source.clone(), brokers)),
                Err(why) => told(&why),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Plan { begins, removed: changes.removed, plugins })
    }

    /// Whether a source has these brokers, and has not been given up.
    fn runs_with(&self, name: &str, brokers: &Brokers) -> bool {
        self.slots.lock().get(name).is_some_and(|slot| {
            slot.brokers.as_ref() == Ok(brokers) && slot.status.facts().state != State::Failed
        })
    }

    /// Whether the plugin would be opened with these settings.
    fn accepts(&self, source: &SourceConfig, brokers: &Brokers, plugins: &Next) -> Result<(), String> {
        let plugin = plugins.plugin(&source.plugin);
        let plugin = plugin.ok_or_else(|| format!("there is no plugin {}", source.plugin))?;
        let grants = grants(source, &amqp::queues(source, brokers, &self.metrics));
        Source::check(plugin, &source.name, &grants, &mut source.config.clone())
            .map_err(|error| error.to_string())
    }

    /// Puts a plan in force. Blocks while a plugin is being loaded.
    pub(crate) fn follow(self: &Arc<Self>, plan: Plan) -> Exchanged {
        let mut done =
            Exchanged { plugins: plan.plugins.changed.iter().cloned().collect(), ..Exchanged::default() };
        self.plugins.switch(plan.plugins);
        let (mut slots, mut left) = (self.slots.lock(), self.left.lock());
        for name in plan.removed {
            let Some(slot) = slots.remove(&name) else { continue };
            slot.stop.cancel();
            done.ending.push((name.clone(), slot.ended.clone()));
            self.forget(&name, slot.ended.clone());
            left.insert(name.clone(), slot.ended);
            done.stopped.push(name);
        }
        for (config, brokers) in plan.begins {
            let name = config.name.clone();
            let before = if let Some(slot) = slots.get_mut(&name) {
                slot.stop.cancel();
                slot.status.starting();
                (slot.config, slot.brokers) = (config, Ok(brokers));
                done.ending.push((name.clone(), slot.ended.clone()));
                done.restarted.push(name.clone());
                slot.ended.clone()
            } else {
                slots.insert(name.clone(), Slot::new(&config, &self.metrics));
                done.started.push(name.clone());
                left.remove(&name).unwrap_or_else(|| stands_at(None))
            };
            if let (Some(slot), Some(feeding)) = (slots.get_mut(&name), self.feeding.get()) {
                self.run(slot, before, feeding);
            }
        }
        done
    }

    /// Takes a source out of the metrics that say how it is, once it has ended and if it is not back by then.
    fn forget(self: &Arc<Self>, name: &str, ended: Ended) {
        let (sources, name) = (self.clone(), name.to_owned());
        self.runs.spawn(async move {
            let _ = ended.await;
            if !sources.slots.lock().contains_key(&name) {
                sources.metrics.forget_source(&name);
            }
        });
    }
}
