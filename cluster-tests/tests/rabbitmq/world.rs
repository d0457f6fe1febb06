//! A broker, a configuration, and what a node made of the messages.

use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_cluster_tests::process::{Node, config_head, get, query, until};
use weir_cluster_tests::rabbitmq::{Broker, Letter};

/// From the beginning, and also what says that it is from the future.
const ALL: &str = "q=topic:mq&from=0";

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) dir: TempDir,
    config: PathBuf,
}

impl World {
    /// A broker, and a configuration with one source that consumes the queue `q`; `grant` and `source` are further
    /// settings.
    pub(crate) fn start(grant: &str, source: &str) -> Result<World> {
        let dir = tempfile::tempdir()?;
        let broker = Broker::start(&dir.path().join("broker"))?;
        let uri = broker.uri();
        World::with(dir, broker, &uri, grant, source)
    }

    pub(crate) fn with(dir: TempDir, broker: Broker, uri: &str, grant: &str, source: &str) -> Result<World> {
        let config = dir.path().join("weir.toml");
        let text = format!(
            "{}[sources.mq]\nplugin = \"amqp-source\"\n{source}\n[sources.mq.grants.amqp.main]\nuri = {uri:?}\n\
             queue = \"q\"\n{grant}\n",
            config_head(dir.path())
        );
        std::fs::write(&config, text)?;
        Ok(World { broker, dir, config })
    }

    pub(crate) fn node(&self) -> Result<Node> {
        Node::start(&self.config)
    }

    /// Until the broker has been told to forget everything.
    pub(crate) fn until_empty(&self, node: &Node) -> Result<()> {
        let ask = || {
            let waiting = self.broker.publisher()?.depth("q")?;
            Ok((waiting, metric(node, "weir_amqp_unacknowledged_messages{source=\"mq\"}")?))
        };
        until("an empty queue", ask, |(waiting, held)| *waiting == 0 && *held < 1.0).map(drop)
    }
}

/// Until the source is connected.
pub(crate) fn until_consuming(node: &Node) -> Result<()> {
    let connected = || metric(node, "weir_amqp_connected{source=\"mq\"}");
    until("a consumer", connected, |connected| *connected > 0.0).map(drop)
}

/// The value of a metric, labels included.
pub(crate) fn metric(node: &Node, line: &str) -> Result<f64> {
    let (status, body) = get(&node.url("/metrics"))?;
    ensure!(status == 200, "status {status}");
    let text = String::from_utf8(body)?;
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
    Ok(found.unwrap_or(0.0))
}

/// Records of a topic.
pub(crate) fn count_of(node: &Node, topic: &str) -> Result<u64> {
    let (status, body) = get(&node.url(&format!("/api/v1/histogram?q=topic:{topic}&from=0&buckets=1")))?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    let answer: Value = serde_json::from_slice(&body)?;
    let buckets = answer["buckets"].as_array().with_context(|| format!("no buckets in {answer}"))?;
    Ok(buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum())
}

/// All records, oldest first.
pub(crate) fn rows(node: &Node) -> Result<Vec<Value>> {
    let answer = query(node, ALL)?;
    ensure!(answer.stats["complete"] == true, "{}", answer.stats);
    Ok(answer.rows)
}

/// Messages that say who they are, a hundred to a second up to `now_s`.
pub(crate) fn letters(numbers: Range<u64>, now_s: u64) -> Vec<Letter> {
    let letter = |number: u64| Letter {
        body: format!("message {number} level=info").into_bytes(),
        id: format!("id-{number}"),
        time_s: now_s,
        time_ms: 0,
    };
    numbers.map(letter).collect()
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
