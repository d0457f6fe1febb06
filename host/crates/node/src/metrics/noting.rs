//! What is noted in several metrics at once, or within bounds.

use super::{ListSize, Metrics, TOPICS_MAX};

impl Metrics {
    /// Counts what was acknowledged.
    pub(crate) fn count_in(&self, source: &str, topic: &str, records: u64, bytes: u64) {
        let topic = self.bounded_topic(topic);
        self.records_in.with_label_values(&[source, &topic]).inc_by(records);
        self.bytes_in.with_label_values(&[source, &topic]).inc_by(bytes);
    }

    /// Takes out how a source is that is not configured any more. What was counted of it stays.
    pub(crate) fn forget_source(&self, name: &str) {
        let gauges = [&self.source_connected, &self.plugin_quarantined, &self.plugin_memory_bytes];
        for gauge in gauges.into_iter().chain(self.amqp.gauges()) {
            // It fails where the source has no such value.
            let _ = gauge.remove_label_values(&[name]);
        }
    }

    /// Counts records dropped from the journal: `full`, `too_old` or `damaged`.
    pub(crate) fn forward_dropped(&self, reason: &str, records: u64) {
        if records > 0 {
            self.forward_dropped.with_label_values(&[reason]).inc_by(records);
        }
    }

    /// Tells how large the lists are that a role follows.
    pub(crate) fn lists(&self, role: &str, size: ListSize) {
        for (by, units) in [("name", size.by_name), ("digest", size.by_digest)] {
            self.list_units.with_label_values(&[role, by]).set(units as i64);
        }
        self.list_bytes.with_label_values(&[role]).set(size.bytes as i64);
    }

    fn bounded_topic(&self, topic: &str) -> String {
        let mut known = self.topics.lock();
        if known.contains(topic) {
            return topic.to_owned();
        }
        if known.len() >= TOPICS_MAX {
            return "other".to_owned();
        }
        known.insert(topic.to_owned());
        topic.to_owned()
    }
}
