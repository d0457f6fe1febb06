//! Nodes that share the roles: processes of their own on this machine that know each other by their configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::bench::http::metric;
use crate::bench::{Bench, usage};
use crate::node::{self, Node, POLL, free_port};

/// How long anything may take that the nodes do on their own.
const PATIENCE: Duration = Duration::from_mins(5);

/// Running nodes, in the order in which they were asked for.
pub(super) struct Cluster(Vec<Member>);

struct Member {
    role: &'static str,
    node: Node,
}

impl Cluster {
    /// Starts a node for each of the roles, which know each other, in `folder`.
    pub(super) fn start(
        bench: &Bench<'_>,
        folder: &Path,
        roles: &[&'static str],
        replication: usize,
    ) -> anyhow::Result<Self> {
        let key = folder.join("cluster.key");
        std::fs::write(&key, "0123456789abcdef".repeat(4)).context("write the cluster's key")?;
        let mut ports = Vec::new();
        for _ in roles {
            ports.push(free_port(ports.last().map_or(7650, |port| port + 1))?);
        }
        let urls: Vec<String> = ports
            .iter()
            .map(|port| format!("http://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, *port))))
            .collect();
        let config = format!(
            "[cluster]\npeers = {urls:?}\nreplication = {replication}\nkey_file = {}\n",
            node::quoted(&key)
        );
        let mut members = Vec::new();
        for ((index, role), port) in roles.iter().enumerate().zip(ports) {
            let dir = folder.join(format!("{role}-{index}"));
            std::fs::create_dir(&dir)?;
            let node = Node::start_as(&[role], &bench.weir, &dir, port, &config)
                .with_context(|| format!("start a node with the role {role}"))?;
            members.push(Member { role, node });
        }
        Ok(Self(members))
    }

    /// One node with all roles, to hold a cluster against.
    pub(super) fn of_one(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<Self> {
        let node = Node::start(&bench.weir, folder, free_port(7650)?, "")?;
        Ok(Self(vec![Member { role: "all", node }]))
    }

    /// Where the first node with this role listens, or the one that has all.
    pub(super) fn address(&self, role: &str) -> anyhow::Result<SocketAddr> {
        let member = self.0.iter().find(|member| member.role == role || member.role == "all");
        Ok(member.with_context(|| format!("no node has the role {role}"))?.node.address)
    }

    /// Where all of them listen.
    pub(super) fn addresses(&self, role: &str) -> Vec<SocketAddr> {
        let members = self.0.iter().filter(|member| member.role == role || member.role == "all");
        members.map(|member| member.node.address).collect()
    }

    /// Waits until the query node can answer for all others.
    pub(super) fn until_whole(&mut self) -> anyhow::Result<()> {
        let query = self.address("query")?;
        self.until("an answer that lacks nothing", POLL, || {
            let (status, answer) = node::get(query, "/api/v1/query?format=ndjson&limit=1")?;
            Ok((status == 200 && answer.contains("\"complete\":true")).then_some(()))
        })
    }

    /// Waits until the ingest nodes have handed all that they took to the stores.
    pub(super) fn until_handed_over(&mut self) -> anyhow::Result<()> {
        let ingest = self.addresses("ingest");
        let mut empty_before = false;
        // A look costs the node some processor time, and the figures count that.
        self.until("the stores to have everything", Duration::from_millis(200), || {
            let mut empty = true;
            for address in &ingest {
                let (_, metrics) = node::get(*address, "/metrics")?;
                let waiting =
                    ["weir_ingest_log_records", "weir_backlog_origins", "weir_commit_queue_entries"];
                empty &= waiting.iter().all(|name| metric(&metrics, name, &[]) == 0.0);
            }
            // Twice: what has just left the log may not be in the backlog yet.
            let before = std::mem::replace(&mut empty_before, empty);
            Ok((empty && before).then_some(()))
        })
    }

    /// Processor time that each node has used since its start, by role.
    pub(super) fn cpu(&self) -> anyhow::Result<Vec<(&'static str, Duration)>> {
        self.0.iter().map(|member| Ok((member.role, usage::cpu(member.node.process.id())?))).collect()
    }

    /// The first node with this role.
    pub(super) fn node(&mut self, role: &str) -> anyhow::Result<&mut Node> {
        let member = self.0.iter_mut().find(|member| member.role == role);
        Ok(&mut member.with_context(|| format!("no node has the role {role}"))?.node)
    }

    /// Kills the first node with this role; the others go on.
    pub(super) fn kill(&mut self, role: &str) -> anyhow::Result<()> {
        let at = self.0.iter().position(|member| member.role == role);
        let at = at.with_context(|| format!("no node has the role {role}"))?;
        self.0.remove(at).node.process.kill()
    }

    /// Ends the nodes that have this role alone; the others go on.
    pub(super) fn stop_role(&mut self, role: &str) -> anyhow::Result<()> {
        let ending = self.0.extract_if(.., |member| member.role == role);
        ending.into_iter().try_for_each(|mut member| member.node.process.stop())
    }

    /// Asks all to end, and waits for each.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.0.iter_mut().try_for_each(|member| member.node.process.stop())
    }

    /// Looks every `pause` until there is an answer; fails when a node has ended, and at some time in any case.
    fn until<T>(
        &mut self,
        what: &str,
        pause: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            self.check()?;
            if let Some(found) = look()? {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE {
                let words: Vec<String> = self.0.iter().map(|member| member.node.last_words()).collect();
                bail!("waited {PATIENCE:?} for {what}:\n{}", words.join("\n"));
            }
            std::thread::sleep(pause);
        }
    }

    /// Fails when a node has ended by itself.
    fn check(&mut self) -> anyhow::Result<()> {
        for Member { role, node } in &mut self.0 {
            if let Some(status) = node.process.ended() {
                bail!("the {role} node ended ({status}):\n{}", node.last_words());
            }
        }
        Ok(())
    }
}
