//! Numbers for the operator's dashboards. Always given to sources. A plugin defines a few names; it has
//! no labels to multiply them with.

use wasmtime::component::{HasSelf, Linker};
use weir_record::limits::{NAME_BYTES_MAX, PLUGIN_METRICS_MAX};

use crate::capability::log::clean;
use crate::capability::{Capability, Context};
use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::observe::{Level, Metric, MetricKind};
use crate::wit::v1::weir::plugin::metrics;

/// One line of help.
const HELP_BYTES_MAX: usize = 256;

pub(crate) struct Metrics {
    context: Context,
    defined: Vec<Metric>,
}

impl Capability for Metrics {
    const NAME: &'static str = "metrics";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        metrics::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(_need: &Need, _grants: &Grants) -> Option<String> {
        None
    }

    fn prepare(_grants: &Grants, context: &Context) -> Result<Metrics, String> {
        Ok(Metrics { context: context.clone(), defined: Vec::new() })
    }
}

impl Metrics {
    /// The id of a metric, from 1; or why it is refused.
    fn define(&mut self, name: &str, kind: MetricKind, help: &str) -> Result<u32, String> {
        if let Some(at) = self.defined.iter().position(|metric| metric.name == name) {
            let before = self.defined[at].kind;
            return if before == kind {
                Ok(at as u32 + 1)
            } else {
                Err(format!("metric {name} is a {before:?} already and cannot be a {kind:?}"))
            };
        }
        if !is_name(name) {
            return Err(format!("metric {name:?} is not [a-z][a-z0-9_]*, at most {NAME_BYTES_MAX} bytes"));
        }
        if self.defined.len() >= PLUGIN_METRICS_MAX {
            return Err(format!("metric {name} is one too many, a plugin may have {PLUGIN_METRICS_MAX}"));
        }
        let help = clean(help, HELP_BYTES_MAX);
        let metric =
            Metric { instance: self.context.instance.as_ref().into(), name: name.into(), kind, help };
        self.context.observer.define(&metric);
        self.defined.push(metric);
        Ok(self.defined.len() as u32)
    }

    fn record(&self, id: u32, value: f64) {
        let Some(metric) = (id as usize).checked_sub(1).and_then(|at| self.defined.get(at)) else { return };
        let falls = metric.kind == MetricKind::Counter && value < 0.0;
        if value.is_finite() && !falls {
            self.context.observer.record(metric, value);
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|c| c.is_ascii_lowercase())
        && bytes.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

impl metrics::Host for State {
    fn define(&mut self, name: String, of: metrics::Kind, help: String) -> u32 {
        let kind = match of {
            metrics::Kind::Counter => MetricKind::Counter,
            metrics::Kind::Gauge => MetricKind::Gauge,
            metrics::Kind::Histogram => MetricKind::Histogram,
        };
        self.metrics.define(&name, kind, &help).unwrap_or_else(|why| {
            self.log.note(Level::Warn, &why);
            0
        })
    }

    fn record_value(&mut self, id: u32, value: f64) {
        self.metrics.record(id, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::observe::{LogLine, Observer};

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Observer for Seen {
        fn enabled(&self, _level: Level) -> bool {
            true
        }

        fn log(&self, _line: &LogLine<'_>) {}

        fn define(&self, metric: &Metric) {
            self.0.lock().push(format!("{}.{} {:?}", metric.instance, metric.name, metric.kind));
        }

        fn record(&self, metric: &Metric, value: f64) {
            self.0.lock().push(format!("{} {value}", metric.name));
        }
    }

    #[test]
    fn names_are_bounded_and_values_sane() {
        let seen = Arc::new(Seen::default());
        let context =
            Context { observer: Arc::clone(&seen) as _, ..crate::instance::state::tests::context() };
        let mut metrics = Metrics::prepare(&Grants::default(), &context).unwrap();
        let mut define = |name: &str, kind| metrics.define(name, kind, "").ok();
        assert_eq!(define("lines_total", MetricKind::Counter), Some(1));
        assert_eq!(define("lag", MetricKind::Gauge), Some(2));
        assert_eq!(define("lines_total", MetricKind::Counter), Some(1));
        assert_eq!(define("lines_total", MetricKind::Gauge), None);
        for name in ["", "_a", "A", "a-b", "1a", "a{b=\"c\"}", &"a".repeat(65)] {
            assert_eq!(define(name, MetricKind::Gauge), None, "{name}");
        }
        for (id, value) in
            [(1, 2.0), (1, -1.0), (1, f64::NAN), (2, -1.0), (2, f64::INFINITY), (0, 1.0), (9, 1.0)]
        {
            metrics.record(id, value);
        }
        let seen = seen.0.lock();
        assert_eq!(*seen, ["test.lines_total Counter", "test.lag Gauge", "lines_total 2", "lag -1"]);
    }

    #[test]
    fn a_plugin_has_so_many_names_and_no_more() {
        let context = crate::instance::state::tests::context();
        let mut metrics = Metrics::prepare(&Grants::default(), &context).unwrap();
        let refused = (0..100).filter(|n| metrics.define(&format!("m{n}"), MetricKind::Gauge, "").is_err());
        assert_eq!(refused.count(), 100 - PLUGIN_METRICS_MAX);
    }
}
