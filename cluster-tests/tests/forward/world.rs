//! An ingest node behind a relay, and forwarders that ship to it.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, get, quoted, weir};
use weir_cluster_tests::relay::Relay;

/// An ingest node that can be killed and comes back at the same address.
pub(super) struct Ingest {
    config: PathBuf,
    node: Option<Node>,
    pub(super) relay: Relay,
}

impl Ingest {
    /// The node with its data below `dir`; it does not run yet.
    pub(super) fn new(dir: &Path) -> Result<Ingest> {
        Ingest::with(dir, "")
    }

    /// The same with more settings.
    pub(super) fn with(dir: &Path, settings: &str) -> Result<Ingest> {
        std::fs::create_dir_all(dir)?;
        let config = dir.join("ingest.toml");
        // Small pieces, so that many kills fall into their completion.
        let text = format!("{}[storage]\nseal = {{ bytes = \"256KiB\" }}\n{settings}", config_head(dir));
        std::fs::write(&config, text)?;
        Ok(Ingest { config, node: None, relay: Relay::start()? })
    }

    /// The same, running.
    pub(super) fn running(dir: &Path) -> Result<Ingest> {
        let mut ingest = Ingest::new(dir)?;
        ingest.start()?;
        Ok(ingest)
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let node = Node::start(&self.config)?;
        self.relay.lead_to(Some(&node.url("")))?;
        self.node = Some(node);
        Ok(())
    }

    /// `kill -9`; connections go nowhere until it is started again.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.relay.lead_to(None)?;
        self.node.take().context("the node runs")?.kill()
    }

    pub(super) fn node(&self) -> Result<&Node> {
        self.node.as_ref().context("the node runs")
    }

    /// All payloads of a topic, or of what else a query says behind it, in the order of their ids.
    pub(super) fn lines(&self, topic: &str) -> Result<Vec<String>> {
        let (status, body) = get(&self.node()?.url(&format!("/api/v1/query?format=text&q=topic:{topic}")))?;
        ensure!(status == 200, "status {status}");
        Ok(String::from_utf8(body)?.lines().map(str::to_owned).collect())
    }
}

/// The configuration of a forwarder that follows a file.
pub(super) fn follower_config(dir: &Path, log: &Path, to: &str) -> Result<PathBuf> {
    let path = dir.join("forward.toml");
    let text = format!(
        "[node]\nroles = [\"forward\"]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:0\"\n\
         [forward]\nto = [\"{to}\"]\n[storage]\nseal = {{ bytes = \"64KiB\" }}\n\
         [sources.app]\nplugin = \"file-source\"\ntopic = \"file\"\n\
         grants.files.logs = {{ include = [{}] }}\n",
        quoted(&dir.join("spool")),
        quoted(log),
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Starts a forwarder that follows a file.
pub(super) fn follower(config: &Path) -> Result<Node> {
    Node::spawn(weir(&["run", "-c", &config.display().to_string()]))
}

/// `weir forward` into the topic `in`, to be spawned or changed.
pub(super) fn pipe(arguments: &[&str], to: &[&str]) -> Command {
    let mut command = weir(&["forward", "--topic", "in", "--set", "listen.api=127.0.0.1:0"]);
    command.args(arguments).args(to);
    command
}

/// Starts `weir forward` with a pipe for its standard input.
pub(super) fn piped(mut command: Command) -> Result<(Node, ChildStdin)> {
    command.stdin(Stdio::piped());
    let mut node = Node::spawn(command)?;
    let stdin = node.take_stdin().context("stdin is piped")?;
    Ok((node, stdin))
}

/// A line with a number, of a length that depends on it, so that mixed-up lines show.
pub(super) fn line(number: u64) -> String {
    format!("line {number} {}", "x".repeat((number % 61) as usize))
}

/// Numbered lines as bytes.
pub(super) fn text(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

/// Checks that the lines are exactly those with the numbers below `count`, in order.
pub(super) fn check(found: &[String], count: u64) -> Result<()> {
    let wrong = found.iter().zip((0..count).map(line)).enumerate().find(|(_, (found, want))| *found != want);
    ensure!(wrong.is_none(), "lost, doubled or out of order: {wrong:?}");
    ensure!(found.len() as u64 == count, "{} lines instead of {count}", found.len());
    Ok(())
}

/// The sum of a metric over its labels; 0 when it is not there.
pub(super) fn metric(node: &Node, name: &str) -> Result<u64> {
    let (status, body) = get(&node.url("/metrics"))?;
    ensure!(status == 200, "status {status}");
    let text = String::from_utf8(body)?;
    let ours = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let values = text.lines().filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}
