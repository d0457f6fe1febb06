//! Nodes that find each other by gossip from one address.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_cluster_tests::process::{Node, get, post, quoted, run, until, weir};

/// Nodes by gossip: each has a port for it, and joins the first one.
pub(crate) struct Gossiping {
    dir: TempDir,
    seed: String,
}

impl Gossiping {
    pub(crate) fn new() -> Result<Gossiping> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("cluster.key"), "0123456789abcdef".repeat(4))?;
        Ok(Gossiping { dir, seed: format!("127.0.0.1:{}", free_udp()?) })
    }

    /// The configuration of a node; the one called `seed` has the address that all others join.
    fn config(&self, name: &str, roles: &str) -> Result<PathBuf> {
        let gossip = if name == "seed" { self.seed.clone() } else { format!("127.0.0.1:{}", free_udp()?) };
        let path = self.dir.path().join(format!("{name}.toml"));
        let text = format!(
            "[node]\nroles = [{roles}]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:{}\"\n[cluster]\nname = \"test\"\n\
             gossip = \"{gossip}\"\njoin = [\"{}\"]\nkey_file = {}\nreplication = 1\nzone = \"{name}\"\n\
             [storage]\nseal = {{ age = \"200ms\" }}\n",
            quoted(&self.dir.path().join(name)),
            free_tcp()?,
            self.seed,
            quoted(&self.dir.path().join("cluster.key")),
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    pub(crate) fn start(&self, name: &str, roles: &str) -> Result<Node> {
        let config = self.config(name, roles)?;
        Node::start(&config).with_context(|| format!("start {name}"))
    }

    /// Starts one again that has ended.
    pub(crate) fn restart(&self, name: &str) -> Result<Node> {
        Node::start(&self.dir.path().join(format!("{name}.toml")))
    }
}

/// `weir tail` that hands over lines as they come.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(node: &Node) -> Result<Tail> {
        let mut command = weir(&["tail", "topic:t", "--node", &node.url("")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Ok(Tail { child, lines })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // Already ended processes refuse both; nothing else can be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_udp() -> Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn free_tcp() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// State by zone, which has the name of the node; those without one are gone.
fn states(node: &Node) -> Result<Vec<(String, String)>> {
    let (status, body) = get(&node.url("/api/v1/cluster"))?;
    ensure!(status == 200, "status {status}");
    let answer: Value = serde_json::from_slice(&body)?;
    let members = answer["members"].as_array().context("members")?.iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut states: Vec<_> = members.map(|member| (text(&member["zone"]), text(&member["state"]))).collect();
    states.sort();
    Ok(states)
}

fn until_states(node: &Node, expected: &[(&str, &str)]) -> Result<()> {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
    until("the members", || states(node), |states| *states == expected)?;
    Ok(())
}

fn send(node: &Node, from: u32, to: u32) -> Result<()> {
    let lines: Vec<String> = (from..to).map(|number| format!("number {number}")).collect();
    let url = node.url("/api/v1/ingest?topic=t&durability=replicated");
    let (status, body) = post(&url, "text/plain", lines.join("\n").as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// How many lines are found, whether they are said to be all, and the whole answer.
fn found(node: &Node) -> Result<(usize, bool, String)> {
    let (status, body) = get(&node.url("/api/v1/query?format=ndjson&q=topic:t"))?;
    ensure!(status == 200 || status == 206, "status {status}: {}", String::from_utf8_lossy(&body));
    let text = String::from_utf8(body)?;
    Ok((text.lines().count() - 1, text.contains("\"complete\":true"), text))
}

fn until_found(node: &Node, lines: usize, complete: bool) -> Result<String> {
    let answer =
        until("the answer", || found(node), |(found, whole, _)| (*found, *whole) == (lines, complete))?;
    Ok(answer.2)
}

fn signal(node: &Node, signal: rustix::process::Signal) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(node.pid())?).context("a process id")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

#[test]
fn nodes_find_each_other_from_one_address_and_say_who_is_missing_until_it_is_forgotten() -> Result<()> {
    let cluster = Gossiping::new()?;
    // The address that all join is silent at first.
    let ingest = cluster.start("ingest", "\"ingest\"")?;
    let query = cluster.start("query", "\"query\"")?;
    let store = cluster.start("seed", "\"store\"")?;
    let up = [("ingest", "up"), ("query", "up"), ("seed", "up")];
    for node in [&ingest, &query, &store] {
        until_states(node, &up)?;
    }
    send(&ingest, 0, 100)?;
    until_found(&query, 100, true)?;

    // A fourth one comes later. What it takes the query node finds, and a tail that was there before hands over.
    let tail = Tail::start(&query)?;
    let late = cluster.start("late", "\"ingest\"")?;
    until_states(&query, &[("ingest", "up"), ("late", "up"), ("query", "up"), ("seed", "up")])?;
    let mut sent = 100;
    let tailed = || -> Result<usize> {
        send(&late, sent, sent + 1)?;
        sent += 1;
        Ok(tail.lines.try_iter().count())
    };
    until("a line of the late node", tailed, |lines| *lines > 0)?;
    drop(tail);
    let all = sent as usize;
    until_found(&query, all, true)?;

    // One stands still for longer than others wait, and goes on.
    signal(&late, rustix::process::Signal::STOP)?;
    until_states(&query, &[("ingest", "up"), ("late", "down"), ("query", "up"), ("seed", "up")])?;
    let text = until_found(&query, all, false)?;
    ensure!(text.contains(&late.url("")), "the silent node is not named: {text}");
    signal(&late, rustix::process::Signal::CONT)?;
    until_states(&query, &[("ingest", "up"), ("late", "up"), ("query", "up"), ("seed", "up")])?;
    until_found(&query, all, true)?;

    // It leaves with nothing: nobody misses it.
    ensure!(late.terminate()? == 0, "a clean stop");
    until_states(&query, &[("-", "left"), ("ingest", "up"), ("query", "up"), ("seed", "up")])?;
    until_found(&query, all, true)?;

    forget_a_killed_one(&cluster, ingest, &query, sent)?;
    Ok(())
}

fn forget_a_killed_one(cluster: &Gossiping, ingest: Node, query: &Node, sent: u32) -> Result<()> {
    let all = sent as usize;
    let (url, asked) = (ingest.url(""), query.url(""));
    let forget = |more: &[&str]| -> Result<(Option<i32>, String)> {
        let output = run(&[&["cluster", "forget", &url, "--node", &asked], more].concat())?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let (code, told) = forget(&[])?;
    ensure!(code == Some(2) && told.contains("is up; stop it first"), "{code:?} {told}");
    ingest.kill()?;
    let text = until_found(query, all, false)?;
    ensure!(text.contains(&url), "the lost node is not named: {text}");
    until_states(query, &[("-", "left"), ("ingest", "down"), ("query", "up"), ("seed", "up")])?;
    let status = run(&["cluster", "status", "--node", &asked])?;
    ensure!(status.status.code() == Some(3), "a member is down");
    let (code, told) = forget(&[])?;
    ensure!(code == Some(0), "{told}");
    until_states(query, &[("-", "forgotten"), ("-", "left"), ("query", "up"), ("seed", "up")])?;
    until_found(query, all, true)?;
    let (code, told) = forget(&[])?;
    ensure!(code == Some(1) && told.contains("no member is"), "{code:?} {told}");
    // It was not lost after all: it is a member again, under its old id.
    let back = cluster.restart("ingest")?;
    until_states(query, &[("-", "left"), ("ingest", "up"), ("query", "up"), ("seed", "up")])?;
    send(&back, sent, sent + 10)?;
    until_found(query, all + 10, true)?;
    Ok(())
}

#[test]
fn what_is_expected_is_expected_after_a_restart_too() -> Result<()> {
    let cluster = Gossiping::new()?;
    let ingest = cluster.start("ingest", "\"ingest\"")?;
    let query = cluster.start("query", "\"query\"")?;
    let store = cluster.start("seed", "\"store\"")?;
    send(&ingest, 0, 10)?;
    until_found(&query, 10, true)?;
    until_states(&query, &[("ingest", "up"), ("query", "up"), ("seed", "up")])?;
    let remembered = cluster.dir.path().join("query/known-members");
    until("the members are remembered", || Ok(Path::new(&remembered).exists()), |exists| *exists)?;
    ensure!(query.terminate()? == 0, "a clean stop");
    store.kill()?;
    let query = cluster.restart("query")?;
    let (lines, complete, text) = found(&query)?;
    ensure!(lines == 0 && !complete, "at once: {text}");
    until_states(&query, &[("ingest", "up"), ("query", "up"), ("seed", "down")])?;
    until_found(&query, 0, false)?;
    let back = cluster.restart("seed")?;
    until_found(&query, 10, true)?;
    drop(back);
    Ok(())
}
