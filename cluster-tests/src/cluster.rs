//! Several real nodes that know each other by their configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{Node, get, quoted, until};

/// Nodes on one machine, each a process of its own with a port that it keeps over restarts.
pub struct Cluster {
    dir: TempDir,
    members: BTreeMap<String, Member>,
}

struct Member {
    config: PathBuf,
    /// What its command line begins with.
    prefix: Vec<String>,
    url: String,
    node: Option<Node>,
}

impl Cluster {
    /// Writes the configurations of nodes given by name and roles (`"ingest"` or `"ingest, store"`); starts none.
    /// `settings` go into every configuration.
    pub fn new(members: &[(&str, &str)], replication: usize, settings: &str) -> Result<Cluster> {
        let dir = tempfile::tempdir()?;
        // Ports that are free now: taken all at once, so that they differ.
        let taken: Vec<TcpListener> =
            members.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let urls: Vec<String> =
            taken.iter().map(|port| Ok(format!("http://{}", port.local_addr()?))).collect::<Result<_>>()?;
        drop(taken);
        let key_file = dir.path().join("cluster.key");
        std::fs::write(&key_file, "0123456789abcdef".repeat(4))?;
        let peers = urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(", ");
        let mut all = BTreeMap::new();
        for ((name, roles), url) in members.iter().zip(&urls) {
            let roles: Vec<String> = roles.split(", ").map(|role| format!("{role:?}")).collect();
            let address = url.trim_start_matches("http://");
            let text = format!(
                "[node]\nroles = [{}]\ndata_dir = {}\n[listen]\napi = \"{address}\"\n[cluster]\npeers = [{peers}]\n\
                 replication = {replication}\nkey_file = {}\n{settings}\n",
                roles.join(", "),
                quoted(&dir.path().join(name)),
                quoted(&key_file),
            );
            let config = dir.path().join(format!("{name}.toml"));
            std::fs::write(&config, text)?;
            all.insert(
                (*name).to_owned(),
                Member { config, prefix: Vec::new(), url: url.clone(), node: None },
            );
        }
        Ok(Cluster { dir, members: all })
    }

    /// Where the nodes keep their data, by name.
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From now on the command line of a node begins with this.
    pub fn prefix(&mut self, name: &str, prefix: Vec<String>) -> Result<()> {
        self.member(name)?.prefix = prefix;
        Ok(())
    }

    /// Starts one node that is not running.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let member = self.member(name)?;
        let node =
            Node::start_with(&member.prefix, &member.config).with_context(|| format!("start {name}"))?;
        member.node = Some(node);
        Ok(())
    }

    /// Starts all that are not running.
    pub fn start_all(&mut self) -> Result<()> {
        let names: Vec<String> = self.stopped();
        names.iter().try_for_each(|name| self.start(name))
    }

    /// Kills one node as a power failure of its process would; nothing if it is not running.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.member(name)?.node.take().map_or(Ok(()), Node::kill)
    }

    /// Asks one node to stop and gives its exit code.
    pub fn terminate(&mut self, name: &str) -> Result<i32> {
        self.member(name)?.node.take().context("it is not running")?.terminate()
    }

    /// A running node.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        self.member(name)?.node.as_mut().with_context(|| format!("{name} is not running"))
    }

    /// `http://127.0.0.1:port` of a node, running or not.
    pub fn url(&self, name: &str) -> String {
        self.members.get(name).map_or_else(String::new, |member| member.url.clone())
    }

    /// Waits until a metric of a node has a value that is `enough`.
    pub fn until_metric(&self, name: &str, metric: &str, enough: impl Fn(f64) -> bool) -> Result<f64> {
        let url = format!("{}/metrics", self.url(name));
        until(
            &format!("{metric} of {name}"),
            || Ok(value(&String::from_utf8(get(&url)?.1)?, metric)),
            |value| value.is_some_and(&enough),
        )?
        .context("a metric has a value")
    }

    /// What the running nodes have said so far, and where they stand.
    pub fn log(&mut self) -> String {
        let mut text = String::new();
        for (name, member) in &mut self.members {
            let Some(node) = &mut member.node else { continue };
            let metrics = get(&node.url("/metrics")).map(|(_, body)| body).unwrap_or_default();
            let metrics = String::from_utf8_lossy(&metrics);
            let ours = metrics.lines().filter(|line| line.starts_with("weir_") && !line.ends_with(" 0"));
            let ours: Vec<&str> = ours.filter(|line| !line.contains("_seconds_bucket")).collect();
            let _ = writeln!(text, "--- {name}\n{}\n{}", node.log(), ours.join("\n"));
        }
        text
    }

    fn stopped(&self) -> Vec<String> {
        self.members
            .iter()
            .filter(|(_, member)| member.node.is_none())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn member(&mut self, name: &str) -> Result<&mut Member> {
        self.members.get_mut(name).with_context(|| format!("no node is called {name}"))
    }
}

/// The value of a metric, with its labels as they are written.
fn value(text: &str, metric: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split_once(' ').is_some_and(|(name, _)| name == metric))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
