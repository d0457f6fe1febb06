//! Several real nodes that know each other by their configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::network::Network;
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
    /// Writes the configurations of nodes given by name and roles (`"ingest"` or `"ingest, store"`), which know each
    /// other by their addresses; starts none. `settings` go into every configuration.
    pub fn new(members: &[(&str, &str)], replication: usize, settings: &str) -> Result<Cluster> {
        // Ports that are free now: taken all at once, so that they differ.
        let taken: Vec<TcpListener> =
            members.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let addresses: Vec<String> =
            taken.iter().map(|port| Ok(port.local_addr()?.to_string())).collect::<Result<_>>()?;
        drop(taken);
        let peers = addresses.iter().map(|address| format!("\"http://{address}\"")).collect::<Vec<_>>();
        let mut cluster = Cluster { dir: tempfile::tempdir()?, members: BTreeMap::new() };
        for (member, address) in members.iter().zip(&addresses) {
            let listen = format!("api = \"{address}\"");
            let others = format!("peers = [{}]\nreplication = {replication}\n{settings}", peers.join(", "));
            cluster.write(*member, address, &listen, &others)?;
        }
        Ok(cluster)
    }

    /// The same for nodes on hosts of their own, which find each other by gossip through the first two; the name of
    /// each is its zone. Lines over TCP go to ports 7651 and 7652.
    pub fn on_hosts(
        network: &mut Network,
        members: &[(&str, &str)],
        replication: usize,
        settings: &str,
    ) -> Result<Cluster> {
        let hosts: Vec<String> = members.iter().map(|(name, _)| network.add(name)).collect::<Result<_>>()?;
        let seeds = hosts.iter().take(2).map(|host| format!("\"{host}:7659\"")).collect::<Vec<_>>();
        let mut cluster = Cluster { dir: tempfile::tempdir()?, members: BTreeMap::new() };
        for (member, host) in members.iter().zip(&hosts) {
            let listen = format!(
                "api = \"{host}:7650\"\nfast = \"{host}:7651\"\ndurable = \"{host}:7652\"\n\
                 insecure = \"yes, I mean it\""
            );
            let others = format!(
                "name = \"test\"\ngossip = \"{host}:7659\"\njoin = [{}]\nzone = {:?}\n\
                 replication = {replication}\n{settings}",
                seeds.join(", "),
                member.0,
            );
            cluster.write(*member, &format!("{host}:7650"), &listen, &others)?;
            cluster.prefix(member.0, network.prefix(member.0)?)?;
        }
        Ok(cluster)
    }

    /// Writes the configuration of one more member, with what its sections on listening and on the others say.
    fn write(&mut self, member: (&str, &str), address: &str, listen: &str, others: &str) -> Result<()> {
        let (name, roles) = member;
        let roles: Vec<String> = roles.split(", ").map(|role| format!("{role:?}")).collect();
        let key_file = self.dir.path().join("cluster.key");
        std::fs::write(&key_file, "0123456789abcdef".repeat(4))?;
        let text = format!(
            "[node]\nroles = [{}]\ndata_dir = {}\n[listen]\n{listen}\n[cluster]\nkey_file = {}\n{others}\n",
            roles.join(", "),
            quoted(&self.dir.path().join(name)),
            quoted(&key_file),
        );
        let config = self.dir.path().join(format!("{name}.toml"));
        std::fs::write(&config, text)?;
        let url = format!("http://{address}");
        self.members.insert(name.to_owned(), Member { config, prefix: Vec::new(), url, node: None });
        Ok(())
    }

    /// Where the nodes keep their data, by name.
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From its next start on these sections are in the configuration of a node, in place of those of an earlier call.
    pub fn configure(&mut self, name: &str, sections: &str) -> Result<()> {
        const MARK: &str = "# sections of its own\n";
        let config = &self.member(name)?.config;
        let text = std::fs::read_to_string(config)?;
        let common = text.split(MARK).next().unwrap_or_default();
        Ok(std::fs::write(config, format!("{common}{MARK}{sections}"))?)
    }

    /// From now on the command line of a node begins with this.
    pub fn prefix(&mut self, name: &str, prefix: Vec<String>) -> Result<()> {
        self.member(name)?.prefix = prefix;
        Ok(())
    }

    /// From its next start on a node finds another one at an address of its own, such as that of a relay.
    pub fn reach(&mut self, name: &str, other: &str, url: &str) -> Result<()> {
        let config = &self.member(name)?.config;
        let text = std::fs::read_to_string(config)?;
        let direct = format!("{:?}", self.url(other));
        ensure!(text.contains(&direct), "{name} does not name {other}");
        let config = &self.member(name)?.config;
        Ok(std::fs::write(config, text.replace(&direct, &format!("{url:?}")))?)
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
        Ok(self.terminate_told(name)?.0)
    }

    /// Asks one node to stop, and gives its exit code and all that it has said.
    pub fn terminate_told(&mut self, name: &str) -> Result<(i32, String)> {
        self.member(name)?.node.take().context("it is not running")?.terminate_told()
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

    /// What a node says of the members, by their zones: `up`, `suspect`, `down`.
    pub fn states(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let (status, body) = get(&format!("{}/api/v1/cluster", self.url(name)))?;
        ensure!(status == 200, "status {status} of {name}");
        let answer: Value = serde_json::from_slice(&body)?;
        let members = answer["members"].as_array().context("an answer has members")?.iter();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(members.filter_map(|member| Some((text(&member["zone"])?, text(&member["state"])?))).collect())
    }

    /// Waits until every node says that all are up, and gives how long that took.
    pub fn until_all_up(&self) -> Result<Duration> {
        let began = Instant::now();
        let up = self.members.keys().map(|name| (name.clone(), "up".to_owned()));
        let up: BTreeMap<String, String> = up.collect();
        for name in up.keys() {
            // A node that is just starting does not answer yet.
            let states = || Ok(self.states(name).unwrap_or_default());
            until(&format!("all nodes up for {name}"), states, |states| *states == up)?;
        }
        Ok(began.elapsed())
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
