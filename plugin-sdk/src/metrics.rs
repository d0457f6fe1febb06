//! Numbers for the operator's dashboards: `weir_plugin_<name>{source="…"}`. A plugin may define 32.
//!
//! Define them in `open`. A name is `[a-z][a-z0-9_]*`; counters end in `_total`, units stand in the name.

use crate::sys;

/// What a metric does with the values it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A sum that only grows.
#[derive(Debug, Clone, Copy)]
pub struct Counter(u32);

impl Counter {
    /// Defines the counter, or finds it again.
    pub fn new(name: &str, help: &str) -> Counter {
        Counter(sys::metric_define(name, Kind::Counter, help))
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if n > 0 {
            sys::metric_record(self.0, n as f64);
        }
    }
}

/// A value as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(u32);

impl Gauge {
    /// Defines the gauge, or finds it again.
    pub fn new(name: &str, help: &str) -> Gauge {
        Gauge(sys::metric_define(name, Kind::Gauge, help))
    }

    /// Sets the value.
    pub fn set(&self, value: f64) {
        sys::metric_record(self.0, value);
    }
}

/// A distribution of observed values.
#[derive(Debug, Clone, Copy)]
pub struct Histogram(u32);

impl Histogram {
    /// Defines the histogram, or finds it again.
    pub fn new(name: &str, help: &str) -> Histogram {
        Histogram(sys::metric_define(name, Kind::Histogram, help))
    }

    /// Adds one observation.
    pub fn observe(&self, value: f64) {
        sys::metric_record(self.0, value);
    }
}
