//! Queues of brokers, made of what the configuration grants.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter, IntGauge};
use weir_amqp::{Count, Level, Names, Options, Queue, Reject, Tls, Watch};
use weir_record::limits::CONFIG_FILE_BYTES_MAX;

use crate::config::{AmqpGrant, Secret, SourceConfig};
use crate::metrics::Metrics;

/// What the brokers of one source are reached with, by the names of their grants; or what is wrong with a file that a
/// grant names.
pub(super) fn brokers(source: &SourceConfig) -> Result<BTreeMap<String, Options>, String> {
    let broker = |(name, grant): (&String, &AmqpGrant)| {
        let options = options(&source.name, grant).map_err(|why| format!("grants.amqp.{name}: {why}"))?;
        Ok((name.clone(), options))
    };
    source.grants.amqp.iter().map(broker).collect()
}

/// Their queues. Nothing is connected yet.
pub(super) fn queues(
    source: &SourceConfig,
    brokers: &BTreeMap<String, Options>,
    metrics: &Metrics,
) -> BTreeMap<String, Arc<Queue>> {
    let queue = |(name, options): (&String, &Options)| {
        let figures = Arc::new(Figures::new(&source.name, metrics));
        (name.clone(), Queue::new(&source.name, options.clone(), figures))
    };
    brokers.iter().map(queue).collect()
}

fn options(source: &str, grant: &AmqpGrant) -> Result<Options, String> {
    let uri = match &grant.uri {
        Secret::Inline(uri) => uri.clone(),
        Secret::File(path) => read(path)?.trim_end().to_owned(),
    };
    let client = grant.tls.client.as_ref();
    let client = client.map(|(certificate, key)| Ok::<_, String>((read(certificate)?, read(key)?)));
    let tls = Tls {
        ca: grant.tls.ca.as_deref().map(read).transpose()?,
        client: client.transpose()?,
        server_name: grant.tls.server_name.clone(),
    };
    let names = Names {
        consumer_tag: grant.consumer_tag.clone().unwrap_or_else(|| format!("weir-{source}")),
        connection: grant.connection_name.clone().unwrap_or_else(|| format!("weir {source}")),
    };
    let options = Options::new(&uri, &grant.hosts, grant.settings.clone(), names, tls);
    options.map_err(|error| format!("uri: {error}"))
}

/// A small text file.
fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let told = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(CONFIG_FILE_BYTES_MAX as u64).read_to_string(&mut text).map_err(told)?;
    Ok(text)
}

/// One queue on the dashboards.
struct Figures {
    deliveries: IntCounter,
    redeliveries: IntCounter,
    acks: IntCounter,
    nacks: IntCounter,
    rejects: IntCounter,
    /// By reason, too.
    rejected: [IntCounter; Reject::ALL.len()],
    stale: IntCounter,
    disconnects: IntCounter,
    connected: IntGauge,
    unacknowledged: IntGauge,
    depth: IntGauge,
    ack_seconds: Histogram,
}

impl Figures {
    fn new(source: &str, metrics: &Metrics) -> Figures {
        let messages = |what: &str| metrics.amqp.messages.with_label_values(&[source, what]);
        Figures {
            deliveries: messages("delivered"),
            redeliveries: messages("redelivered"),
            acks: messages("acked"),
            nacks: messages("nacked"),
            rejects: messages("rejected"),
            rejected: Reject::ALL.map(|why| metrics.amqp.rejected.with_label_values(&[source, why.name()])),
            stale: messages("stale"),
            disconnects: metrics.amqp.disconnects.with_label_values(&[source]),
            connected: metrics.amqp.connected.with_label_values(&[source]),
            unacknowledged: metrics.amqp.unacknowledged.with_label_values(&[source]),
            depth: metrics.amqp.queue_messages.with_label_values(&[source]),
            ack_seconds: metrics.amqp.ack_seconds.with_label_values(&[source]),
        }
    }
}

impl Watch for Figures {
    fn count(&self, what: Count, by: u64) {
        match what {
            Count::Deliveries => &self.deliveries,
            Count::Redeliveries => &self.redeliveries,
            Count::Acks => &self.acks,
            Count::Nacks => &self.nacks,
            Count::Stale => &self.stale,
            Count::Disconnects => &self.disconnects,
        }
        .inc_by(by);
    }

    fn rejected(&self, why: Reject) {
        self.rejects.inc();
        if let Some(counter) =
            Reject::ALL.iter().position(|it| *it == why).and_then(|at| self.rejected.get(at))
        {
            counter.inc();
        }
    }

    fn level(&self, what: Level, value: u64) {
        match what {
            Level::Connected => &self.connected,
            Level::Unacknowledged => &self.unacknowledged,
            Level::Depth => &self.depth,
        }
        .set(value as i64);
    }

    fn acknowledged_after(&self, seconds: f64) {
        self.ack_seconds.observe(seconds);
    }
}
