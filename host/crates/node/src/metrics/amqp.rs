//! Metrics of the queues of brokers.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec};

use super::List;

/// All of them by source.
pub(crate) struct Amqp {
    /// Messages, by what became of them, too.
    pub(crate) messages: IntCounterVec,
    /// Messages that went to `dead_letter`, by reason, too.
    pub(crate) rejected: IntCounterVec,
    /// Sessions with brokers that ended other than on request.
    pub(crate) disconnects: IntCounterVec,
    /// Consumers that are connected.
    pub(crate) connected: IntGaugeVec,
    /// Messages that a broker has not been told to forget.
    pub(crate) unacknowledged: IntGaugeVec,
    /// Messages in the queue that nobody has.
    pub(crate) queue_messages: IntGaugeVec,
    /// Time from the delivery of a message to its acknowledgement.
    pub(crate) ack_seconds: HistogramVec,
}

impl Amqp {
    pub(super) fn new(list: &List<'_>, seconds: &dyn Fn(&str, &str) -> HistogramOpts) -> Amqp {
        let by_source = &["source"];
        Amqp {
            messages: list.counters(
                "weir_amqp_messages_total",
                "Messages: delivered, redelivered (of those), acked, nacked, rejected to dead_letter, or stale: \
                 stored when their channel was gone, so that they come again.",
                &["source", "what"],
            ),
            rejected: list.counters(
                "weir_amqp_rejected_total",
                "Messages that went to dead_letter: too_long, refused by the plugin, or failing in it again and again.",
                &["source", "reason"],
            ),
            disconnects: list.counters(
                "weir_amqp_disconnects_total",
                "Sessions with brokers that ended other than on request.",
                by_source,
            ),
            connected: list.gauges("weir_amqp_connected", "Consumers that are connected.", by_source),
            unacknowledged: list.gauges(
                "weir_amqp_unacknowledged_messages",
                "Messages that came and are not acknowledged.",
                by_source,
            ),
            queue_messages: list.gauges(
                "weir_amqp_queue_messages",
                "Messages in the queue that nobody has, as of the last look.",
                by_source,
            ),
            ack_seconds: list.add(HistogramVec::new(
                seconds("weir_amqp_ack_seconds", "Time from the delivery of messages to their acknowledgement."),
                by_source,
            )),
        }
    }

    /// Those that say how a source is now.
    pub(super) fn gauges(&self) -> [&IntGaugeVec; 3] {
        [&self.connected, &self.unacknowledged, &self.queue_messages]
    }
}
