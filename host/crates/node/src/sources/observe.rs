//! What plugins say about themselves, passed on to the log and the metrics.

use std::sync::Arc;

use weir_plugin_runtime::{Level, LogLine, Metric, MetricKind, Observer, TracingObserver};

use crate::metrics::Metrics;

/// Lines go to the log, values to `weir_plugin_value`.
pub(crate) struct ToNode(pub(crate) Arc<Metrics>);

impl Observer for ToNode {
    fn enabled(&self, level: Level) -> bool {
        TracingObserver.enabled(level)
    }

    fn log(&self, line: &LogLine<'_>) {
        TracingObserver.log(line);
    }

    fn define(&self, metric: &Metric) {
        self.0.plugin_values.with_label_values(&[&metric.instance, &metric.name]);
    }

    fn record(&self, metric: &Metric, value: f64) {
        let gauge = self.0.plugin_values.with_label_values(&[&metric.instance, &metric.name]);
        match metric.kind {
            MetricKind::Gauge => gauge.set(value),
            // Histograms show their sum: what a plugin observes is mostly added up anyway.
            MetricKind::Counter | MetricKind::Histogram => gauge.add(value),
        }
    }
}
