//! Live tail through the real binary: through kills and restarts, with clients that take nothing, in pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use weir_cluster_tests::process::{Node, PATIENCE, config_head, get, post, run, until, weir};

/// A node whose API stays on one port over restarts.
fn start(dir: &Path, api: SocketAddr) -> Result<Node> {
    let path = dir.join("weir.toml");
    std::fs::write(&path, config_head(dir))?;
    let set = format!("listen.api={api}");
    let mut node = Node::spawn(weir(&["run", "-c", &path.display().to_string(), "--set", &set]))?;
    node.wait_line("ready")?;
    Ok(node)
}

/// A port that nobody uses now.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn ingest(node: &Node, body: &str) -> Result<()> {
    let (status, answer) = post(&node.url("/api/v1/ingest?topic=t"), "text/plain", body.as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Waits until a node has begun so many tails in all.
fn wait_tails(node: &Node, count: usize) -> Result<()> {
    let wanted = format!("weir_http_requests_total{{route=\"/api/v1/tail\",code=\"200\"}} {count}");
    let metrics = || Ok(String::from_utf8(get(&node.url("/metrics"))?.1)?);
    until("tails that have begun", metrics, |text| text.contains(&wanted)).map(drop)
}

/// A `weir tail` and what it prints.
struct Tail {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Tail {
    fn start(args: &[&str]) -> Result<Tail> {
        let mut child = weir(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let out = follow(child.stdout.take().context("stdout is piped")?);
        let err = follow(child.stderr.take().context("stderr is piped")?);
        Ok(Tail { child, out, err })
    }

    fn line(&self) -> Result<String> {
        self.out.recv_timeout(PATIENCE).context("no more lines of the tail")
    }

    /// What it has said on standard error so far.
    fn said(&self) -> String {
        self.err.try_iter().collect()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for its end: the exit code, and what it said on standard error.
    fn end(&mut self) -> Result<(Option<i32>, String)> {
        // The pipe closes when the process ends: that is the event waited for.
        let mut said = String::new();
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) => said.push_str(&line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => bail!("still running: {said}"),
            }
        }
        Ok((self.child.wait()?.code(), said))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // One that has ended refuses both.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|count| count > 0) && send.send(line.clone()).is_ok() {
            line.clear();
        }
    });
    receive
}

#[test]
fn a_tail_through_kills_and_restarts_has_every_line_once_and_in_order() -> Result<()> {
    const ROUNDS: usize = 6;
    let dir = tempfile::tempdir()?;
    let api = free()?;
    let mut node = start(dir.path(), api)?;
    let (dead, url) = (format!("http://{}", free()?), node.url(""));
    let mut tail = Tail::start(&["tail", "topic:t", "--node", &dead, "--node", &url])?;
    wait_tails(&node, 1)?;
    ingest(&node, "0\n")?;
    ensure!(tail.line()? == "0\n");
    let mut next = 1;
    let mut send = |node: &Node, lines: usize| -> Result<()> {
        let body: Vec<String> = (next..next + lines).map(|number| number.to_string()).collect();
        next += lines;
        ingest(node, &body.join("\n"))
    };
    for round in 0..ROUNDS {
        // Alone and together; the last ones have hardly arrived when the node is gone.
        for lines in [[1; 20], [50; 20]].concat() {
            send(&node, lines)?;
        }
        if round % 2 == 0 {
            node.kill()?;
        } else {
            ensure!(node.terminate()? == 0, "a tail does not keep a node from stopping");
        }
        node = start(dir.path(), api)?;
        // A node keeps for tails what it found in its log at its start, and seals it: the next start has only
        // what came later.
        wait_tails(&node, 1)?;
    }
    for number in 1..next {
        let line = tail.line().with_context(|| format!("line {number} of {next}; {}", tail.said()))?;
        ensure!(line == format!("{number}\n"), "{number}: {line}; {}", tail.said());
    }
    tail.signal(Signal::INT)?;
    let (code, said) = tail.end()?;
    ensure!(code == Some(0), "{code:?}: {said}");
    ensure!(said.contains("going on at") && !said.contains("gap") && !said.contains("missing"), "{said}");
    Ok(())
}

#[test]
fn a_tail_in_a_pipe_ends_without_a_word_when_the_reader_has_gone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = start(dir.path(), free()?)?;
    let mut child = weir(&["stream", "--format", "oklog", "--node", &node.url("")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?);
    wait_tails(&node, 1)?;
    ingest(&node, "one")?;
    let mut line = String::new();
    lines.read_line(&mut line)?;
    ensure!(line.len() == 31 && line.ends_with(" one\n"), "{line}");
    drop(lines);
    ingest(&node, "two")?;
    let output = child.wait_with_output()?;
    ensure!(output.status.code() == Some(0) && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[test]
fn what_a_tail_cannot_ask_is_told_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = start(dir.path(), free()?)?;
    let url = node.url("");
    for (args, code, said) in [
        (&["tail", "a (b", "--node", &url][..], 2, "column 3"),
        (&["tail", "--node", "ftp://x"], 2, "only http://"),
        (&["tail", "--node", "http://127.0.0.1:1"], 1, "cannot reach"),
    ] {
        let output = run(args)?;
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code) && err.contains(said), "{args:?}: {err}");
    }
    Ok(())
}

/// Memory of a process now, in bytes; pages of files do not count.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
    Ok(anonymous.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// Opens a tail over a socket and leaves it at that.
fn stalled(node: &Node) -> Result<TcpStream> {
    let address = node.url("");
    let mut stream = TcpStream::connect(address.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /api/v1/tail HTTP/1.0\r\n\r\n")?;
    Ok(stream)
}

/// Reads a tail until it has told of so many records, sent or passed over; tells how many of either kind.
fn count_records(stream: TcpStream, total: u64) -> Result<(u64, u64)> {
    let (mut sent, mut passed, mut gap) = (0, 0, false);
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while sent + passed < total {
        line.clear();
        ensure!(lines.read_until(b'\n', &mut line)? > 0, "ended after {sent} and {passed} of {total}");
        if let Some(data) = line.strip_prefix(b"data: ").filter(|_| gap) {
            let data: serde_json::Value = serde_json::from_slice(data)?;
            passed += data["records"].as_u64().with_context(|| format!("no count: {data}"))?;
        } else if line.starts_with(b"data: ") {
            sent += 1;
        }
        gap = line == b"event: gap\n";
    }
    ensure!(sent + passed == total, "{sent} sent and {passed} passed over of {total}");
    Ok((sent, passed))
}

#[test]
fn stalled_tails_cost_bounded_memory_and_learn_what_they_missed() -> Result<()> {
    const CLIENTS: usize = 20;
    const BODIES: usize = 8;
    let dir = tempfile::tempdir()?;
    let node = start(dir.path(), free()?)?;
    let lines: Vec<String> = (0..80_000).map(|number| format!("line {number} {}", "x".repeat(90))).collect();
    let body = lines.join("\n");
    let records = 2 * (BODIES * 80_000) as u64;
    let load = || -> Result<u64> {
        (0..BODIES).try_for_each(|_| ingest(&node, &body))?;
        // What sealing and handing over take meanwhile is not the clients'.
        let metrics = || Ok(String::from_utf8(get(&node.url("/metrics"))?.1)?);
        until("all is handed over", metrics, |text| {
            text.contains("weir_ingest_log_records 0\n") && text.contains("weir_backlog_origins 0\n")
        })?;
        memory(node.pid())
    };
    // The first one warms up what is kept for the next.
    load()?;
    let alone = load()?;
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| stalled(&node)).collect::<Result<_>>()?;
    wait_tails(&node, CLIENTS)?;
    // Fills the sockets: what each is sent before it stalls.
    load()?;
    let with_clients = load()?;
    println!("{alone} bytes alone, {with_clients} with stalled clients");
    ensure!(with_clients <= alone + (128 << 20), "{alone} bytes alone, {with_clients} with stalled clients");
    for client in clients.into_iter().step_by(7) {
        let (sent, passed) = count_records(client, records)?;
        ensure!(sent > 0 && passed > 0, "{sent} sent, {passed} passed over");
    }
    Ok(())
}

#[test]
fn a_histogram_counts_what_was_ingested_by_level() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = start(dir.path(), free()?)?;
    ingest(&node, "ERROR one\nlevel=warn two\nthree\nERROR four")?;
    let url = node.url("");
    let output = run(&["histogram", "--format", "json", "--buckets", "5", "--node", &url])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let body: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(body["buckets"].as_array().is_some_and(|buckets| buckets.len() <= 5), "{body}");
    let mut sums = [0; 5];
    for bucket in body["buckets"].as_array().context("buckets")? {
        for (sum, count) in sums.iter_mut().zip(bucket["counts"].as_array().context("counts")?) {
            *sum += count.as_u64().context("a count")?;
        }
    }
    ensure!(sums == [2, 1, 0, 0, 1], "{sums:?}");
    let output = run(&["histogram", "ERROR", "--from", "0", "--node", &url])?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains('#') && text.contains("2 records, 2 error"), "{text}");
    ensure!(!text.contains('\x1b'), "{text}");
    Ok(())
}

#[test]
fn a_tail_in_the_browser_is_told_apart_from_one_of_another_site() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = start(dir.path(), free()?)?;
    let address = node.url("");
    for (site, status) in [("same-origin", "200"), ("cross-site", "403")] {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "GET /api/v1/tail HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nsec-fetch-site: {site}\r\n\r\n"
        )?;
        let mut head = String::new();
        BufReader::new(stream).read_line(&mut head)?;
        ensure!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{site}: {head}");
    }
    Ok(())
}
