//! Every metric of the node, in one list. Names begin with `weir_`, units last, labels bounded.

mod amqp;
mod list;
mod noting;
mod process;

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use weir_replication::ListSize;

use amqp::Amqp;
use list::List;
pub(crate) use list::ReadOff;
use process::Process;

/// Values of the label `topic` before further topics are counted as `other`.
const TOPICS_MAX: usize = 200;

/// The node's metrics. Cheap to share, safe to use from any thread.
pub(crate) struct Metrics {
    registry: Registry,
    topics: Mutex<HashSet<String>>,
    /// Records acknowledged, by where they came in and by topic.
    pub(crate) records_in: IntCounterVec,
    /// Payload bytes acknowledged, likewise.
    pub(crate) bytes_in: IntCounterVec,
    /// Requests or batches refused, by reason.
    pub(crate) rejected: IntCounterVec,
    /// Records taken as `received` or from the fast port, and then not stored.
    pub(crate) received_lost: IntCounter,
    /// Records that ingest nodes have acknowledged to the journal.
    pub(crate) forward_records: IntCounter,
    /// Rounds over all ingest nodes in which none took a request.
    pub(crate) forward_retries: IntCounter,
    /// Records dropped from the journal, by reason; see [`Metrics::forward_dropped`].
    forward_dropped: IntCounterVec,
    /// Bytes in the journal that no ingest node has acknowledged.
    pub(crate) forward_spool_bytes: IntGauge,
    /// What the ingest nodes' clocks are ahead of this machine's, when that is too much to go by its own.
    pub(crate) forward_clock_offset: Gauge,
    /// Open connections that send lines, by port: `fast` or `durable`.
    pub(crate) tcp_connections: IntGaugeVec,
    /// Connections refused because too many were open, likewise.
    pub(crate) tcp_refused: IntCounterVec,
    /// Handshakes that failed, by port and reason.
    pub(crate) tls_failed: IntCounterVec,
    /// When this process's certificate ends; there is none without one.
    pub(crate) tls_expiry: GaugeVec,
    /// Pieces of the ingest log.
    pub(crate) log_pieces: IntGauge,
    /// Bytes of the ingest log on disk.
    pub(crate) log_bytes: IntGauge,
    /// Records in the ingest log.
    pub(crate) log_records: IntGauge,
    /// Entries that wait for the next group commit.
    pub(crate) commit_queue_entries: IntGauge,
    /// Payload bytes that wait for the next group commit.
    pub(crate) commit_queue_bytes: IntGauge,
    /// How long the oldest of them has waited.
    pub(crate) commit_queue_age_seconds: Gauge,
    /// Time of one fdatasync.
    pub(crate) fsync_seconds: Histogram,
    /// Failed fsyncs: the first one ends the process.
    pub(crate) fsync_errors: IntCounter,
    /// Group commits.
    pub(crate) commits: IntCounter,
    /// 1 while the disk is too full to take records.
    pub(crate) disk_full: IntGauge,
    /// Files moved to quarantine since the start.
    pub(crate) quarantined: IntCounter,
    /// Damaged stretches found by recovery or queries.
    pub(crate) damaged_frames: IntCounter,
    /// Time of one query, by outcome.
    pub(crate) query_seconds: HistogramVec,
    /// Payload bytes that queries looked at.
    pub(crate) query_scanned_bytes: IntCounter,
    /// Payload bytes that queries could leave out.
    pub(crate) query_skipped_bytes: IntCounter,
    /// Queries whose answer lacked something.
    pub(crate) partial_queries: IntCounter,
    /// Queries that run now.
    pub(crate) queries_running: IntGauge,
    pub(crate) peer_searches_running: IntGauge,
    /// 1 while a source is open, by source.
    pub(crate) source_connected: IntGaugeVec,
    /// Whether the configuration in force is the one that was read last.
    pub(crate) config_reload_success: IntGauge,
    /// When it came into force.
    pub(crate) config_reload_timestamp: Gauge,
    /// Calls into a plugin, by source.
    pub(crate) plugin_calls: ReadOff,
    /// Traps of a plugin, by source.
    pub(crate) plugin_traps: ReadOff,
    /// Restarts of a plugin, by source.
    pub(crate) plugin_restarts: IntCounterVec,
    /// 1 while a source is quarantined, by source.
    pub(crate) plugin_quarantined: IntGaugeVec,
    /// Time spent inside a plugin, by source.
    pub(crate) plugin_seconds: ReadOff,
    /// Memory of a plugin's instance, by source.
    pub(crate) plugin_memory_bytes: IntGaugeVec,
    /// Log lines of a plugin dropped by its rate limit, by source.
    pub(crate) plugin_log_dropped: ReadOff,
    /// Calls into a filter of queries, by filter.
    pub(crate) filter_calls: ReadOff,
    /// Traps of a filter, by filter.
    pub(crate) filter_traps: ReadOff,
    /// Time spent inside a filter, by filter.
    pub(crate) filter_seconds: ReadOff,
    /// Records given to a filter, by filter.
    pub(crate) filter_records: ReadOff,
    /// Records that a filter could not judge and that went on or were left out, by filter.
    pub(crate) filter_unjudged: IntCounterVec,
    /// Values that plugins report themselves, by source and name.
    pub(crate) plugin_values: GaugeVec,
    /// Queues of brokers.
    pub(crate) amqp: Amqp,
    /// The process itself.
    pub(crate) process: Process,
    /// Free bytes of the disk that holds the data.
    pub(crate) disk_free_bytes: Gauge,
    /// Origins that enough stores have confirmed.
    pub(crate) handed_over: IntCounter,
    /// Origins that a store could not take, counted at the ingest node.
    pub(crate) handover_failed: IntCounter,
    /// Origins that wait for stores.
    pub(crate) backlog_origins: IntGauge,
    /// Bytes of their files.
    pub(crate) backlog_bytes: IntGauge,
    /// Seconds since the oldest of them was offered.
    pub(crate) backlog_age_seconds: Gauge,
    /// Origins with which a store fails again and again.
    pub(crate) backlog_poisoned: IntGauge,
    /// Origins that this store has taken.
    pub(crate) pulled: IntCounter,
    /// Origins that this store could not take.
    pub(crate) pull_failed: IntCounter,
    /// Segments of OK Log that are stored here and that their ingester has let go of, by ingester.
    pub(crate) oklog_consumed: IntCounterVec,
    /// Times that a segment of OK Log was not taken, by ingester and reason.
    pub(crate) oklog_refused: IntCounterVec,
    /// 1 while an ingester of OK Log answers, by ingester.
    pub(crate) oklog_ingester_up: IntGaugeVec,
    /// Units of other nodes that are known, by the role that follows them and by `name` or `digest`.
    pub(crate) list_units: IntGaugeVec,
    /// Bytes of memory that they take, about, by the role that follows them.
    pub(crate) list_bytes: IntGaugeVec,
    /// Origins without a copy here that lack copies.
    pub(crate) repair_missing: IntGauge,
    /// Origins that this store has fetched from other stores.
    pub(crate) repair_fetched: IntCounter,
    /// Bytes of their files.
    pub(crate) repair_fetched_bytes: IntCounter,
    /// Origins that this store could not fetch from another one.
    pub(crate) repair_failed: IntCounter,
    /// Origins that this store has let go of because enough others have them.
    pub(crate) store_dropped: IntCounter,
    /// Bytes of their files.
    pub(crate) store_dropped_bytes: IntCounter,
    /// Bytes that are still to be moved, by what they are moved for.
    pub(crate) moving_left_bytes: IntGaugeVec,
    /// 1 while this node is being emptied, or is empty.
    pub(crate) draining: IntGauge,
    /// Segments of the store.
    pub(crate) store_segments: IntGauge,
    /// Origins that it announces.
    pub(crate) store_origins: IntGauge,
    /// Bytes of their files.
    pub(crate) store_bytes: IntGauge,
    /// 1 while the store refuses origins for want of room.
    pub(crate) store_full: IntGauge,
    /// Members that gossip knows, this node aside, by state: `up`, `suspect` or `down`.
    pub(crate) cluster_members: IntGaugeVec,
    /// Datagrams of gossip that were dropped, by reason.
    pub(crate) gossip_rejected: ReadOff,
    /// Datagrams of gossip, `in` or `out`.
    pub(crate) gossip_datagrams: IntCounterVec,
    /// Their bytes.
    pub(crate) gossip_bytes: IntCounterVec,
    /// Bytes that compaction has written.
    pub(crate) compacted_bytes: Gauge,
    pub(crate) write_amplification: Gauge,
}

/// Seconds, from half a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    /// All metrics at zero.
    pub(crate) fn new(version: &str) -> Metrics {
        let registry = Registry::new();
        let list = List(&registry);
        list.gauges("weir_build_info", "Version of this binary.", &["version"])
            .with_label_values(&[version])
            .set(1);
        list.boxed(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        let by_source = &["source"];
        let seconds = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let metrics = Metrics {
            topics: Mutex::default(),
            records_in: list.counters("weir_records_in_total", "Records acknowledged.", &["source", "topic"]),
            bytes_in: list.counters(
                "weir_bytes_in_total",
                "Payload bytes acknowledged.",
                &["source", "topic"],
            ),
            rejected: list.counters("weir_rejected_total", "Requests and batches refused.", &["reason"]),
            received_lost: list.counter(
                "weir_received_lost_records_total",
                "Records taken without waiting for the disk, and then not stored.",
            ),
            forward_records: list.counter(
                "weir_forward_sent_records_total",
                "Records of the spool that ingest nodes acknowledged.",
            ),
            forward_retries: list.counter(
                "weir_forward_retries_total",
                "Rounds over all ingest nodes in which none took a request.",
            ),
            forward_dropped: list.counters(
                "weir_forward_dropped_records_total",
                "Records of the spool that were dropped: it was full, they were too old, or damaged.",
                &["reason"],
            ),
            forward_spool_bytes: list
                .gauge("weir_forward_spool_bytes", "Bytes that wait in the spool for an ingest node."),
            forward_clock_offset: list.add(Gauge::new(
                "weir_forward_clock_offset_seconds",
                "What the clocks of the ingest nodes are ahead of a wrong one here; 0 while it is right.",
            )),
            tcp_connections: list.gauges(
                "weir_tcp_connections",
                "Open connections that send lines.",
                &["port"],
            ),
            tcp_refused: list.counters(
                "weir_tcp_connections_refused_total",
                "Connections for lines refused because too many were open.",
                &["port"],
            ),
            tls_failed: list.counters(
                "weir_tls_handshakes_failed_total",
                "TLS handshakes of clients that came to nothing.",
                &["port", "reason"],
            ),
            tls_expiry: list.add(GaugeVec::new(
                Opts::new(
                    "weir_tls_certificate_expiry_timestamp_seconds",
                    "When the certificate of this process ends, in Unix time.",
                ),
                &[],
            )),
            log_pieces: list.gauge("weir_ingest_log_pieces", "Pieces of the ingest log."),
            log_bytes: list.gauge("weir_ingest_log_bytes", "Bytes of the ingest log on disk."),
            log_records: list.gauge("weir_ingest_log_records", "Records in the ingest log."),
            commit_queue_entries: list
                .gauge("weir_commit_queue_entries", "Entries that wait for the next group commit."),
            commit_queue_bytes: list
                .gauge("weir_commit_queue_bytes", "Payload bytes that wait for the next group commit."),
            commit_queue_age_seconds: list.add(Gauge::new(
                "weir_commit_queue_age_seconds",
                "How long the oldest entry has waited for its group commit.",
            )),
            fsync_seconds: list
                .add(Histogram::with_opts(seconds("weir_fsync_seconds", "Time of one fdatasync."))),
            fsync_errors: list
                .counter("weir_fsync_errors_total", "Failed fsyncs; the first ends the process."),
            commits: list.counter("weir_commits_total", "Group commits of the ingest log."),
            disk_full: list.gauge("weir_disk_full", "1 while the disk is too full to take records."),
            quarantined: list.counter("weir_quarantined_files_total", "Files moved to quarantine."),
            damaged_frames: list
                .counter("weir_damaged_frames_total", "Damaged stretches found in data files."),
            query_seconds: list.add(HistogramVec::new(
                seconds("weir_query_seconds", "Time of one query, first byte to last."),
                &["outcome"],
            )),
            query_scanned_bytes: list
                .counter("weir_query_scanned_bytes_total", "Payload bytes queries looked at."),
            query_skipped_bytes: list
                .counter("weir_query_skipped_bytes_total", "Payload bytes queries left out."),
            partial_queries: list
                .counter("weir_partial_queries_total", "Queries whose answer lacked something."),
            queries_running: list.gauge("weir_queries_running", "Queries that run now."),
            peer_searches_running: list.gauge(
                "weir_peer_searches_running",
                "Searches that run now for queries of other nodes.",
            ),
            config_reload_success: list.gauge(
                "weir_config_reload_success",
                "1 while the configuration that was read last is in force, 0 after one that was wrong.",
            ),
            config_reload_timestamp: list.add(Gauge::new(
                "weir_config_reload_success_timestamp_seconds",
                "When a configuration came into force last, in Unix time.",
            )),
            source_connected: list.gauges("weir_source_connected", "1 while the source is open.", by_source),
            plugin_calls: list.read_off("weir_plugin_calls_total", "Calls into a plugin.", "source"),
            plugin_traps: list.read_off("weir_plugin_traps_total", "Traps of a plugin.", "source"),
            plugin_restarts: list.counters("weir_plugin_restarts_total", "Restarts of a plugin.", by_source),
            plugin_quarantined: list.gauges("weir_plugin_quarantined", "1 while quarantined.", by_source),
            plugin_seconds: list.read_off("weir_plugin_seconds_total", "Time spent inside a plugin.", "source"),
            plugin_memory_bytes: list.gauges(
                "weir_plugin_memory_bytes",
                "Memory of a plugin's instance.",
                by_source,
            ),
            filter_calls: list.read_off("weir_filter_calls_total", "Calls into a filter.", "filter"),
            filter_traps: list.read_off("weir_filter_traps_total", "Traps of a filter.", "filter"),
            filter_seconds: list.read_off("weir_filter_seconds_total", "Time spent inside a filter.", "filter"),
            filter_records: list.read_off("weir_filter_records_total", "Records given to a filter.", "filter"),
            filter_unjudged: list.counters(
                "weir_filter_unjudged_total",
                "Records that a filter failed on and that its on_trap let pass or left out.",
                &["filter"],
            ),
            plugin_log_dropped: list.read_off(
                "weir_plugin_log_dropped_total",
                "Log lines of a plugin dropped by its rate limit.",
                "source",
            ),
            plugin_values: list.add(GaugeVec::new(
                Opts::new("weir_plugin_value", "Values that plugins report themselves."),
                &["source", "name"],
            )),
            amqp: Amqp::new(&list, &seconds),
            process: Process::new(&list),
            handed_over: list.counter(
                "weir_handed_over_origins_total",
                "Origins that enough stores have confirmed, or that a store of OK Log has taken away.",
            ),
            handover_failed: list.counter(
                "weir_handover_failed_total",
                "Times that a store could not take an origin of this node.",
            ),
            backlog_origins: list.gauge("weir_backlog_origins", "Origins that wait for stores."),
            backlog_bytes: list.gauge("weir_backlog_bytes", "Bytes of the origins that wait for stores."),
            backlog_age_seconds: list.add(Gauge::with_opts(Opts::new(
                "weir_backlog_age_seconds",
                "Time since the oldest origin that waits was offered.",
            ))),
            backlog_poisoned: list
                .gauge("weir_backlog_poisoned_origins", "Origins with which a store fails again and again."),
            pulled: list.counter("weir_pulled_origins_total", "Origins that this store has taken."),
            pull_failed: list
                .counter("weir_pull_failed_total", "Times that this store could not take an origin."),
            oklog_consumed: list.counters(
                "weir_oklog_consumed_segments_total",
                "Segments of OK Log stored here and committed at their ingester.",
                &["ingester"],
            ),
            oklog_refused: list.counters(
                "weir_oklog_refused_segments_total",
                "Times that a segment of OK Log was read and not taken: no segment, or the log does not take it.",
                &["ingester", "reason"],
            ),
            oklog_ingester_up: list.gauges(
                "weir_oklog_ingester_up",
                "1 while the ingester of OK Log answers.",
                &["ingester"],
            ),
            list_units: list.gauges(
                "weir_list_units",
                "Units of other nodes that are known, by the role that follows them and how they are known.",
                &["role", "by"],
            ),
            list_bytes: list.gauges(
                "weir_list_bytes",
                "Memory that the lists of what other nodes hold take, about, by the role that follows them.",
                &["role"],
            ),
            repair_missing: list.gauge(
                "weir_repair_missing_origins",
                "Origins on too few stores of which this store has no copy.",
            ),
            repair_fetched: list.counter(
                "weir_repair_fetched_total",
                "Origins that this store has fetched from other stores.",
            ),
            repair_fetched_bytes: list.counter(
                "weir_repair_fetched_bytes_total",
                "Bytes of the origins that this store has fetched from other stores.",
            ),
            repair_failed: list.counter(
                "weir_repair_failed_total",
                "Times that this store could not fetch an origin from another one.",
            ),
            store_dropped: list.counter(
                "weir_store_dropped_origins_total",
                "Origins that this store has let go of because enough others have them.",
            ),
            store_dropped_bytes: list.counter(
                "weir_store_dropped_bytes_total",
                "Bytes of the segments that this store has let go of because enough others have them.",
            ),
            moving_left_bytes: list.gauges(
                "weir_moving_left_bytes",
                "Bytes still to be moved, as far as is known: repair and fill come, give, drain and hand_over go.",
                &["what"],
            ),
            draining: list.gauge("weir_draining", "1 while this node is to be emptied, or is empty."),
            store_segments: list.gauge("weir_store_segments", "Segments of the store."),
            store_origins: list.gauge("weir_store_origins", "Origins that the store holds, whole."),
            store_bytes: list.gauge("weir_store_bytes", "Bytes of the segments of the store."),
            store_full: list.gauge("weir_store_full", "1 while the store takes nothing for want of room."),
            cluster_members: list.gauges(
                "weir_cluster_members",
                "Members that gossip knows, this node aside.",
                &["state"],
            ),
            gossip_rejected: list.read_off(
                "weir_gossip_rejected_total",
                "Datagrams of gossip, or records in them, that were dropped.",
                "reason",
            ),
            gossip_datagrams: list.counters(
                "weir_gossip_datagrams_total",
                "Datagrams of gossip.",
                &["direction"],
            ),
            gossip_bytes: list.counters("weir_gossip_bytes_total", "Their bytes.", &["direction"]),
            compacted_bytes: list.add(Gauge::with_opts(Opts::new(
                "weir_store_compacted_bytes",
                "Bytes that compaction has written since the start.",
            ))),
            write_amplification: list.add(Gauge::with_opts(Opts::new(
                "weir_store_write_amplification",
                "Bytes that the store has written since the start for each byte that it accepted; 1 without merging.",
            ))),
            disk_free_bytes: list
                .add(Gauge::new("weir_disk_free_bytes", "Free bytes of the disk that holds the data.")),
            registry,
        };
        metrics.name_reasons();
        metrics
    }

    /// Has counters begin at zero: the first of something bad is an increase, too.
    fn name_reasons(&self) {
        for reason in ["disk_full", "too_large", "poisoned", "out_of_order", "stopped"] {
            self.rejected.with_label_values(&[reason]);
        }
        for reason in ["full", "too_old", "damaged"] {
            self.forward_dropped.with_label_values(&[reason]);
        }
    }

    /// The Prometheus text format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_registers_and_topics_are_bounded() {
        let metrics = Metrics::new("1.2.3");
        for topic in 0..TOPICS_MAX + 50 {
            metrics.count_in("http", &format!("t{topic}"), 1, 10);
        }
        let text = metrics.text();
        assert!(text.contains("weir_build_info{version=\"1.2.3\"} 1"), "{text}");
        assert!(text.contains("weir_records_in_total{source=\"http\",topic=\"other\"} 50"), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
