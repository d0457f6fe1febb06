//! How a node ends, and what it tells whoever supervises it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use weir_cluster_tests::process::{Node, PATIENCE, config_head, get, post, query, weir};

fn configured(dir: &Path, rest: &str) -> Result<std::path::PathBuf> {
    let config = dir.join("weir.toml");
    std::fs::write(&config, config_head(dir) + rest)?;
    Ok(config)
}

fn signal(node: &Node, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(node.pid() as i32).context("a process has an id")?;
    Ok(kill_process(pid, signal)?)
}

/// A request whose body never comes.
fn half_a_request(node: &Node) -> Result<TcpStream> {
    let address = node.url("").trim_start_matches("http://").to_owned();
    let mut open = TcpStream::connect(&address)?;
    write!(
        open,
        "POST /api/v1/ingest?topic=half HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\nhalf"
    )?;
    // It counts as one under way when the node has begun with it: a second one on the same port, after it, tells.
    ensure!(get(&node.url("/-/ready"))?.0 == 200);
    Ok(open)
}

#[test]
fn what_is_acknowledged_while_a_node_stops_is_kept_and_the_rest_is_refused() -> Result<()> {
    const SENDERS: usize = 8;
    let dir = tempfile::tempdir()?;
    let config = configured(dir.path(), "")?;
    let mut node = Node::start(&config)?;
    let address = node.url("/api/v1/ingest?topic=load");
    let stopping = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| -> Result<Vec<String>> {
        let send = |sender: usize| {
            let (address, stopping) = (&address, &stopping);
            move || {
                let mut kept = Vec::new();
                for number in 0.. {
                    let line = format!("sender={sender} number={number}");
                    match post(address, "text/plain", line.as_bytes()) {
                        Ok((200, _)) => kept.push(line),
                        // Refused, or the port is closed: told so, and free to send it elsewhere.
                        _ if stopping.load(Ordering::Acquire) => return kept,
                        other => panic!("refused before it stopped: {other:?}"),
                    }
                }
                kept
            }
        };
        let senders: Vec<_> = (0..SENDERS).map(|sender| scope.spawn(send(sender))).collect();
        let some = || query(&node, "q=topic:load&limit=200");
        weir_cluster_tests::process::until("records come", some, |answer| answer.rows.len() >= 200)?;
        stopping.store(true, Ordering::Release);
        signal(&node, Signal::TERM)?;
        let joined = senders.into_iter().map(|sender| sender.join().unwrap_or_default());
        Ok(joined.flatten().collect())
    })?;
    ensure!(node.wait_exit()? == 0, "SIGTERM is a clean end: {}", node.log());

    let node = Node::start(&config)?;
    let answer = query(&node, "q=topic:load&limit=1000000")?;
    let text = |row: &serde_json::Value| row["payload"].as_str().unwrap_or_default().to_owned();
    let found: BTreeSet<String> = answer.rows.iter().map(text).collect();
    ensure!(found.len() == answer.rows.len(), "a record is there twice");
    let lost: Vec<&String> = acknowledged.iter().filter(|line| !found.contains(*line)).collect();
    ensure!(lost.is_empty(), "lost {} of {}: {lost:?}", lost.len(), acknowledged.len());
    ensure!(acknowledged.len() >= 200, "{}", acknowledged.len());
    Ok(())
}

#[test]
fn a_request_that_does_not_end_is_cut_and_does_not_keep_the_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&configured(dir.path(), "")?)?;
    let _open = half_a_request(&node)?;
    signal(&node, Signal::TERM)?;
    ensure!(node.wait_exit()? == 0, "{}", node.log());
    ensure!(node.log().contains("stopped"), "{}", node.log());
    Ok(())
}

#[test]
fn a_second_signal_leaves_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&configured(dir.path(), "")?)?;
    let (status, _) = post(&node.url("/api/v1/ingest?topic=kept"), "text/plain", b"acknowledged")?;
    ensure!(status == 200);
    let _open = half_a_request(&node)?;
    signal(&node, Signal::TERM)?;
    node.wait_line("send it again to leave at once")?;
    signal(&node, Signal::INT)?;
    ensure!(node.wait_exit()? == 130, "{}", node.log());
    ensure!(!node.log().contains("stopped"), "{}", node.log());
    let node = Node::start(&dir.path().join("weir.toml"))?;
    ensure!(query(&node, "q=topic:kept")?.rows.len() == 1, "what was acknowledged is there");
    Ok(())
}

/// Waits for a datagram that begins so; the others are passed over.
fn wait_for(supervisor: &UnixDatagram, beginning: &str) -> Result<String> {
    let mut buffer = [0; 4096];
    loop {
        let count = supervisor.recv(&mut buffer).with_context(|| format!("no {beginning}"))?;
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if text.starts_with(beginning) {
            return Ok(text);
        }
    }
}

#[test]
fn a_supervisor_is_told_when_a_node_is_ready_alive_reloading_and_stopping() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = configured(dir.path(), "")?;
    let path = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&path)?;
    supervisor.set_read_timeout(Some(PATIENCE))?;
    let mut command = weir(&["run", "-c", &config.display().to_string()]);
    let patience = Duration::from_millis(400).as_micros().to_string();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", patience);
    let mut node = Node::spawn(command)?;
    let ready = wait_for(&supervisor, "READY=1")?;
    ensure!(ready.contains("STATUS=ingest,store,query,forward at http://127.0.0.1:"), "{ready}");
    ensure!(get(&node.url("/-/ready"))?.0 == 200, "ready means ready");
    wait_for(&supervisor, "WATCHDOG=1")?;
    wait_for(&supervisor, "WATCHDOG=1")?;

    ensure!(post(&node.url("/-/reload"), "text/plain", b"")?.0 == 200);
    let reloading = wait_for(&supervisor, "RELOADING=1")?;
    ensure!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    wait_for(&supervisor, "READY=1")?;
    // One that is wrong: it goes on, and says so.
    std::fs::write(&config, "[nood]\n")?;
    signal(&node, Signal::HUP)?;
    wait_for(&supervisor, "RELOADING=1")?;
    let ready = wait_for(&supervisor, "READY=1")?;
    ensure!(ready.contains("the one before stays in force"), "{ready}");

    signal(&node, Signal::TERM)?;
    wait_for(&supervisor, "STOPPING=1")?;
    ensure!(node.wait_exit()? == 0, "{}", node.log());
    Ok(())
}
