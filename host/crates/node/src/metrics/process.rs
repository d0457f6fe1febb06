//! How the process itself does: its event loop, beside what the process collector reads of the kernel.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use prometheus::{Gauge, IntCounterVec, IntGaugeVec};
use tokio::runtime::Handle;

use super::list::{List, ReadOff};
use crate::logging::{self, Dropped};

/// Of the process and its runtime.
pub(crate) struct Process {
    /// Times that an event loop stood, by runtime.
    pub(crate) stalls: IntCounterVec,
    /// Threads that run tasks.
    workers: Gauge,
    /// Tasks that have not ended.
    tasks: Gauge,
    /// Tasks that wait for a thread, beside those in the threads' own queues.
    queued: Gauge,
    /// Time in which a thread ran tasks.
    busy_seconds: ReadOff,
    /// Lines of the node's own log, by level.
    log_lines: ReadOff,
    /// Lines of it that were not kept in the topic, by reason.
    log_dropped: ReadOff,
    /// Where those are counted.
    dropped: OnceLock<Arc<Dropped>>,
    /// Size of the disk that holds the data.
    pub(crate) disk_size_bytes: Gauge,
    /// How long the oldest record has waited for as many stores as it is to lie on.
    pub(crate) replication_lag_seconds: Gauge,
    /// Segments and what is to become of them, by state.
    pub(crate) segments: IntGaugeVec,
    /// Their bytes.
    pub(crate) segment_bytes: IntGaugeVec,
}

impl Process {
    pub(super) fn new(list: &List<'_>) -> Process {
        let gauge = |name: &str, help: &str| list.add(Gauge::new(name, help));
        let stalls = list.counters("weir_stalls_total", "Times that an event loop stood.", &["runtime"]);
        // Named from the start, so that an increase is one from zero.
        stalls.with_label_values(&["main"]);
        Process {
            stalls,
            workers: gauge("weir_runtime_workers", "Threads that run tasks."),
            tasks: gauge("weir_runtime_tasks", "Tasks that have not ended."),
            queued: gauge("weir_runtime_queued_tasks", "Tasks that wait for a thread."),
            busy_seconds: list.read_off(
                "weir_runtime_busy_seconds_total",
                "Time in which a thread ran tasks.",
                "worker",
            ),
            log_lines: list.read_off("weir_log_lines_total", "Lines of the node's own log.", "level"),
            log_dropped: list.read_off(
                "weir_log_dropped_lines_total",
                "Lines of the node's own log that did not come into its topic.",
                "reason",
            ),
            dropped: OnceLock::new(),
            disk_size_bytes: gauge("weir_disk_size_bytes", "Size of the disk that holds the data."),
            replication_lag_seconds: gauge(
                "weir_replication_lag_seconds",
                "How long the oldest record has waited for the stores that it is to lie on.",
            ),
            segments: list.gauges(
                "weir_segments",
                "Pieces of the log, origins that wait for stores, segments of the store, damaged ones.",
                &["state"],
            ),
            segment_bytes: list.gauges(
                "weir_segment_bytes",
                "Bytes of the files that weir_segments counts.",
                &["state"],
            ),
        }
    }

    /// From here on what the log loses is counted.
    pub(crate) fn keeps_log(&self, dropped: Arc<Dropped>) {
        // Once per process.
        let _ = self.dropped.set(dropped);
    }

    /// Reads off what the log and the runtime count; the latter only if called within it.
    pub(crate) fn refresh(&self) {
        for (level, count) in logging::told() {
            self.log_lines.set(&[level], count as f64);
        }
        if let Some(dropped) = self.dropped.get() {
            for (reason, count) in [("full", &dropped.full), ("refused", &dropped.refused)] {
                self.log_dropped.set(&[reason], count.load(Ordering::Relaxed) as f64);
            }
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let of = runtime.metrics();
        self.workers.set(of.num_workers() as f64);
        self.tasks.set(of.num_alive_tasks() as f64);
        self.queued.set(of.global_queue_depth() as f64);
        for worker in 0..of.num_workers() {
            let busy = of.worker_total_busy_duration(worker).as_secs_f64();
            self.busy_seconds.set(&[&worker.to_string()], busy);
        }
    }

    /// Files in a state: `log`, `backlog`, `store` or `damaged`.
    pub(crate) fn in_state(&self, state: &str, files: usize, bytes: u64) {
        self.segments.with_label_values(&[state]).set(files as i64);
        self.segment_bytes.with_label_values(&[state]).set(bytes as i64);
    }
}
