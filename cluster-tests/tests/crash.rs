//! `kill -9` of the real binary under load: what was acknowledged is there, nothing was invented, and a
//! followed file is read once.
//!
//! Method: clients post numbered lines and note each acknowledgement; a source follows a file that grows; the
//! node is killed after a random number of acknowledgements and started again on the same directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, get, post, quoted, until};

const KILLS: u64 = 100;
const CLIENTS: u64 = 3;

/// Lines sent by one client: the highest number sent, and all that were acknowledged.
#[derive(Default)]
struct Sent {
    next: AtomicU64,
    /// Ranges of numbers.
    acknowledged: Mutex<Vec<(u64, u64)>>,
}

#[test]
fn a_hundred_kills_lose_no_acknowledged_line_and_read_a_file_once() -> Result<()> {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let kills = if long { 10_000 } else { KILLS };
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("app.log");
    let mut file = File::create(&log)?;
    let config = write_config(dir.path(), &log)?;
    let sent: Vec<Sent> = (0..CLIENTS).map(|_| Sent::default()).collect();
    let mut written = 0;

    for round in 0..kills {
        let node = Node::start(&config).with_context(|| format!("seed {seed}, start after kill {round}"))?;
        let acks_before_the_kill = random.u64(1..30);
        let acks = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| -> Result<()> {
            for (client, sent) in sent.iter().enumerate() {
                let (acks, over) = (&acks, &over);
                let url = node.url("/api/v1/ingest?topic=clients&durability=stored");
                let mut random = fastrand::Rng::with_seed(random.u64(..));
                scope.spawn(move || send(&url, client, sent, &mut random, acks, over));
            }
            while acks.load(Ordering::Acquire) < acks_before_the_kill {
                written = grow(&mut file, written, random.u64(1..50))?;
                std::thread::yield_now();
            }
            over.store(true, Ordering::Release);
            node_kill(node.pid())
        })?;
        drop(node);
        if round % 10 == 9 || round + 1 == kills {
            let node = Node::start(&config)?;
            check_clients(&node, &sent).with_context(|| format!("seed {seed}, after kill {round}"))?;
        }
    }
    let node = Node::start(&config)?;
    check_file(&node, written).with_context(|| format!("seed {seed}"))
}

impl Sent {
    fn acknowledge(&self, range: (u64, u64)) {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(range);
    }

    fn all_acknowledged(&self) -> Vec<u64> {
        let ranges = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        ranges.iter().flat_map(|(from, to)| *from..*to).collect()
    }
}

fn write_config(dir: &Path, log: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join("weir.toml");
    // Small pieces, so that many kills fall into their completion.
    let text = format!(
        "{}[storage]\nseal = {{ bytes = \"64KiB\" }}\n[sources.app]\nplugin = \"file-source\"\ntopic = \"file\"\n\
         grants.files.logs = {{ include = [{}] }}\n",
        config_head(dir),
        quoted(log),
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Posts batches until the node is gone.
fn send(
    url: &str,
    client: usize,
    sent: &Sent,
    random: &mut fastrand::Rng,
    acks: &AtomicU64,
    over: &AtomicBool,
) {
    while !over.load(Ordering::Acquire) {
        let from = sent.next.load(Ordering::Relaxed);
        let to = from + random.u64(1..80);
        sent.next.store(to, Ordering::Relaxed);
        let line = |number| format!("client={client} number={number} {}\n", pad(number));
        let body = (from..to).map(line).collect::<Vec<_>>().concat();
        let answer = post(url, "text/plain", body.as_bytes());
        match answer {
            Ok((200, _)) => {
                sent.acknowledge((from, to));
                acks.fetch_add(1, Ordering::AcqRel);
            }
            // The node was killed under the request: the lines may or may not be there.
            _ => return,
        }
    }
}

/// Bytes that make every line different in length and content, so that mixed-up lines show.
fn pad(number: u64) -> String {
    "x".repeat((number % 61) as usize)
}

fn grow(file: &mut File, written: u64, count: u64) -> Result<u64> {
    let line = |number| format!("line {number} {}\n", pad(number));
    let text = (written..written + count).map(line).collect::<Vec<_>>().concat();
    file.write_all(text.as_bytes())?;
    Ok(written + count)
}

fn node_kill(pid: u32) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid as i32).context("a process has an id")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
}

fn lines(node: &Node, topic: &str) -> Result<Vec<String>> {
    let (status, body) = get(&node.url(&format!("/api/v1/query?format=text&q=topic:{topic}")))?;
    ensure!(status == 200, "status {status}");
    Ok(String::from_utf8(body)?.lines().map(str::to_owned).collect())
}

fn check_clients(node: &Node, sent: &[Sent]) -> Result<()> {
    let mut found: HashMap<(usize, u64), u64> = HashMap::new();
    for line in lines(node, "clients")? {
        let mut fields = line.split(' ');
        let mut number = |name: &str| fields.next()?.strip_prefix(name)?.parse::<u64>().ok();
        let (client, number) = number("client=").zip(number("number=")).context("a line that nobody sent")?;
        ensure!(fields.next() == Some(pad(number).as_str()), "altered: {line}");
        ensure!(
            sent.get(client as usize).is_some_and(|s| number < s.next.load(Ordering::Relaxed)),
            "invented: {line}"
        );
        *found.entry((client as usize, number)).or_default() += 1;
    }
    for (client, sent) in sent.iter().enumerate() {
        for number in sent.all_acknowledged() {
            ensure!(found.contains_key(&(client, number)), "lost: client {client} number {number}");
        }
    }
    let twice = found.iter().find(|(_, count)| **count > 1);
    ensure!(twice.is_none(), "twice: {twice:?}");
    Ok(())
}

fn check_file(node: &Node, written: u64) -> Result<()> {
    let found =
        until("all lines of the file", || lines(node, "file"), |found| found.len() as u64 >= written)?;
    let expected: Vec<String> = (0..written).map(|number| format!("line {number} {}", pad(number))).collect();
    let wrong = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    ensure!(wrong.is_none(), "lost, doubled or out of order: {wrong:?}");
    ensure!(found.len() == expected.len(), "{} lines instead of {}", found.len(), expected.len());
    Ok(())
}

#[test]
fn a_node_that_is_asked_to_stop_keeps_what_it_took() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("app.log");
    std::fs::write(&log, "one\ntwo\nno newline yet")?;
    let config = write_config(dir.path(), &log)?;
    let node = Node::start(&config)?;
    until("the file is read", || lines(&node, "file"), |found| found.len() == 2)?;
    let (status, _) = post(&node.url("/api/v1/ingest?topic=clients"), "text/plain", b"client=0 number=0 ")?;
    ensure!(status == 200);
    ensure!(node.terminate()? == 0, "SIGTERM is a clean end");

    let node = Node::start(&config)?;
    let sent = Sent { next: AtomicU64::new(1), ..Sent::default() };
    sent.acknowledge((0, 1));
    check_clients(&node, &[sent])?;
    // The unterminated line was not taken: its end may still come.
    std::fs::OpenOptions::new().append(true).open(&log)?.write_all(b", now\n")?;
    let found = until("the last line", || lines(&node, "file"), |found| found.len() >= 3)?;
    ensure!(found == ["one", "two", "no newline yet, now"], "{found:?}");
    Ok(())
}
