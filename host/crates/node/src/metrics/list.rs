//! Metrics as they are made and registered.

use prometheus::{CounterVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Registers what it makes. A name that is taken or malformed is a mistake in the list below.
pub(super) struct List<'a>(pub(super) &'a Registry);

/// A counter by one label whose value is kept elsewhere and read off when somebody asks.
pub(crate) struct ReadOff(CounterVec);

impl ReadOff {
    /// Brings one value up to date; values never go down.
    pub(crate) fn set(&self, labels: &[&str], value: f64) {
        let counter = self.0.with_label_values(labels);
        counter.inc_by((value - counter.get()).max(0.0));
    }
}

impl List<'_> {
    pub(super) fn read_off(&self, name: &str, help: &str, label: &str) -> ReadOff {
        ReadOff(self.add(CounterVec::new(Opts::new(name, help), &[label])))
    }

    pub(super) fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> C {
        match made {
            Ok(metric) => {
                self.boxed(Box::new(metric.clone()));
                metric
            }
            Err(error) => panic!("the list of metrics is wrong: {error}"),
        }
    }

    pub(super) fn boxed(&self, metric: Box<dyn prometheus::core::Collector>) {
        if let Err(error) = self.0.register(metric) {
            panic!("the list of metrics is wrong: {error}");
        }
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }
}
