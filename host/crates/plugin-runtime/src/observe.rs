//! What the node gets to see of its plugins: log lines, metrics, and counters per source.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the author of the plugin.
    Debug,
    /// For the operator, nothing wrong.
    Info,
    /// Something is wrong and handled.
    Warn,
    /// Something is wrong.
    Error,
}

/// A line that a plugin logged, or the host about it. Already cut and escaped: no control characters.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// Name of the plugin.
    pub plugin: &'a str,
    /// Name of the source.
    pub instance: &'a str,
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: &'a str,
    /// Names and values beside it.
    pub fields: &'a [(String, String)],
    /// Lines dropped by the rate limit since the line before.
    pub dropped: u64,
}

/// What a metric of a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Values are added up.
    Counter,
    /// The last value counts.
    Gauge,
    /// Values are observations.
    Histogram,
}

/// A metric that a plugin defined, `weir_plugin_<name>{source="<instance>"}` for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Name of the source.
    pub instance: String,
    /// `[a-z][a-z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// What its values mean.
    pub kind: MetricKind,
    /// One line.
    pub help: String,
}

/// Receives what plugins say. Called on the plugin's own stack: it must neither block nor panic.
pub trait Observer: Send + Sync {
    /// Whether lines of this level go anywhere.
    fn enabled(&self, level: Level) -> bool;
    /// A line, at most as many as the rate limit lets through.
    fn log(&self, line: &LogLine<'_>);
    /// A plugin defined a metric; again after each restart.
    fn define(&self, metric: &Metric);
    /// A value for it: finite, and not negative for a counter.
    fn record(&self, metric: &Metric, value: f64);
}

/// Sends lines to `tracing` and forgets metrics.
#[derive(Debug, Default, Clone, Copy)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn enabled(&self, level: Level) -> bool {
        match level {
            Level::Trace => tracing::enabled!(target: "weir::plugin", tracing::Level::TRACE),
            Level::Debug => tracing::enabled!(target: "weir::plugin", tracing::Level::DEBUG),
            Level::Info => tracing::enabled!(target: "weir::plugin", tracing::Level::INFO),
            Level::Warn => tracing::enabled!(target: "weir::plugin", tracing::Level::WARN),
            Level::Error => tracing::enabled!(target: "weir::plugin", tracing::Level::ERROR),
        }
    }

    fn log(&self, line: &LogLine<'_>) {
        let LogLine { plugin, instance, level, message, fields, dropped } = *line;
        let fields = fields.iter().fold(String::new(), |text, (name, value)| text + " " + name + "=" + value);
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "weir::plugin", plugin, source = instance, dropped, "{message}{fields}")
            };
        }
        match level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }

    fn define(&self, _metric: &Metric) {}

    fn record(&self, _metric: &Metric, _value: f64) {}
}

/// What one source did, over all its instances. Shared: the node reads while the source runs.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) traps: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) running_ns: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) memory_bytes: AtomicU64,
    pub(crate) log_lines: AtomicU64,
    pub(crate) log_lines_dropped: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls into the plugin.
    pub calls: u64,
    /// Calls that ended the instance: traps, deadlines, limits, broken rules.
    pub traps: u64,
    /// Failures that the plugin reported itself.
    pub failures: u64,
    /// Time in which the plugin occupied a thread: its own code and the copying in and out of it, not
    /// the waits, and not the reads of files, which run on other threads.
    pub running: Duration,
    /// Records handed over.
    pub records: u64,
    /// Payload bytes handed over.
    pub bytes: u64,
    /// Linear memory of the instance now.
    pub memory_bytes: u64,
    /// Log lines let through.
    pub log_lines: u64,
    /// Log lines dropped by the rate limit.
    pub log_lines_dropped: u64,
}

impl Counters {
    /// All counters now; each is exact, together they may be a call apart.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            calls: get(&self.calls),
            traps: get(&self.traps),
            failures: get(&self.failures),
            running: Duration::from_nanos(get(&self.running_ns)),
            records: get(&self.records),
            bytes: get(&self.bytes),
            memory_bytes: get(&self.memory_bytes),
            log_lines: get(&self.log_lines),
            log_lines_dropped: get(&self.log_lines_dropped),
        }
    }

    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}
