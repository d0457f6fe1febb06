//! A thousand connections that send a line a second each: nothing may pile up.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::bench::cluster::Cluster;
use crate::bench::file_source::wait_for;
use crate::bench::http::metric;
use crate::bench::table::Goal;
use crate::bench::tcp_lines::{LINE_BYTES, line};
use crate::bench::{Bench, Figure, Row, usage};
use crate::node::{self, Node, free_port};

const CONNECTIONS: usize = 1000;
/// Of all connections together, evenly spread.
const LINES_PER_SECOND: usize = CONNECTIONS;
const SECONDS: usize = 10;
/// Long enough that a backlog that grows is seen to.
const BACKLOG_SECONDS: usize = 30;
/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Connections;

impl Figure for Connections {
    fn name(&self) -> &'static str {
        "connections"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        allow_many_files()?;
        let one = trickle(bench, 1)?;
        let many = trickle(bench, CONNECTIONS)?;
        let waiting = backlog(bench)?;
        let row = |what, value, against, peer, goal| Row {
            figure: "connections",
            what,
            value,
            against,
            peer,
            goal,
        };
        let second = LINES_PER_SECOND as f64;
        let second_bytes = second * LINE_BYTES as f64;
        let at_most = Goal::AtMost(1.0);
        Ok(vec![
            row(
                "1000, commit queue, bytes at most",
                many.queue_bytes,
                "a second of lines",
                second_bytes,
                at_most,
            ),
            row(
                "1000, commit queue, entries at most",
                many.queue_entries,
                "a second of lines",
                second,
                at_most,
            ),
            row(
                "1000, sent but not stored, lines at most",
                many.behind,
                "a second of lines",
                second,
                at_most,
            ),
            row(
                "1000, CPU, % of a core",
                many.cpu_percent,
                "1 connection, as many lines",
                one.cpu_percent,
                Goal::AtMost(2.0),
            ),
            row(
                "1000 before 2 stores, origins that wait at most",
                waiting,
                "a hundredth of the connections",
                CONNECTIONS as f64 / 100.0,
                at_most,
            ),
        ])
    }
}

/// The worst that was seen, and what it cost.
#[derive(Default)]
struct Trickled {
    queue_bytes: f64,
    queue_entries: f64,
    /// Lines sent and not yet stored.
    behind: f64,
    cpu_percent: f64,
}

/// Sends lines on so many connections in turn, at the same rate however many they are.
fn trickle(bench: &Bench<'_>, connections: usize) -> anyhow::Result<Trickled> {
    let folder = bench.folder(&format!("connections-{connections}"))?;
    let mut node = Node::start(&bench.weir, &folder, free_port(7650)?, "")?;
    let address = node.lines_address("fast")?;
    let mut streams = (0..connections)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("open {connections} connections to {address}"))?;
    let lines = LINES_PER_SECOND * SECONDS;
    let (sent, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (started, cpu) = (Instant::now(), usage::cpu(node.process.id())?);
    let mut trickled = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&node, &sent, &done));
        let sending = send(&mut streams, lines, &sent);
        done.store(true, Ordering::Release);
        let watched = watching.join().ok().context("the watcher has panicked")?;
        sending.context("send a line")?;
        watched
    })?;
    let used = usage::cpu(node.process.id())?.saturating_sub(cpu).as_secs_f64();
    trickled.cpu_percent = 100.0 * used / started.elapsed().as_secs_f64();
    drop(streams);
    wait_for(&mut node, lines as u64)?;
    node.process.stop()?;
    Ok(trickled)
}

/// How many origins wait for two stores at most.
fn backlog(bench: &Bench<'_>) -> anyhow::Result<f64> {
    let folder = bench.folder("connections-stores")?;
    let mut cluster = Cluster::start(bench, &folder, &["ingest", "store", "store"], 2)?;
    let ingest = cluster.address("ingest")?;
    let address = cluster.node("ingest")?.lines_address("fast")?;
    let connect = |_| TcpStream::connect(address);
    let mut streams = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>, _>>()?;
    let (sent, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let waiting = std::thread::scope(|scope| {
        let watching = scope.spawn(|| -> anyhow::Result<f64> {
            let mut most: f64 = 0.0;
            while !done.load(Ordering::Acquire) {
                let (_, metrics) = node::get(ingest, "/metrics")?;
                most = most.max(metric(&metrics, "weir_backlog_origins", &[]));
                std::thread::sleep(LOOK);
            }
            Ok(most)
        });
        let sending = send(&mut streams, LINES_PER_SECOND * BACKLOG_SECONDS, &sent);
        done.store(true, Ordering::Release);
        let watched = watching.join().ok().context("the watcher has panicked")?;
        sending.context("send a line")?;
        watched
    })?;
    drop(streams);
    cluster.until_handed_over()?;
    cluster.stop()?;
    Ok(waiting)
}

/// Sends a line on one connection after the other, each at its time.
fn send(streams: &mut [TcpStream], lines: usize, sent: &AtomicUsize) -> std::io::Result<()> {
    let connections = streams.len();
    let pace = Duration::from_secs(1) / LINES_PER_SECOND as u32;
    let started = Instant::now();
    for number in 0..lines {
        let due = pace * number as u32;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        if let Some(stream) = streams.get_mut(number % connections) {
            stream.write_all(&line(number))?;
        }
        sent.store(number + 1, Ordering::Release);
    }
    Ok(())
}

/// Looks at the node until it is done, and keeps the worst of each.
fn watch(node: &Node, sent: &AtomicUsize, done: &AtomicBool) -> anyhow::Result<Trickled> {
    let mut worst = Trickled::default();
    while !done.load(Ordering::Acquire) {
        let (_, metrics) = node::get(node.address, "/metrics")?;
        let now = |name| metric(&metrics, name, &[]);
        worst.queue_bytes = worst.queue_bytes.max(now("weir_commit_queue_bytes"));
        worst.queue_entries = worst.queue_entries.max(now("weir_commit_queue_entries"));
        // What was sent since the node answered counts as well: rather too much than too little.
        let behind = sent.load(Ordering::Acquire) as f64 - now("weir_records_in_total");
        worst.behind = worst.behind.max(behind);
        std::thread::sleep(LOOK);
    }
    Ok(worst)
}

/// Many shells allow 1024 open files; the nodes that are started from here inherit what is allowed here.
fn allow_many_files() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("allow as many open files as the machine permits")
}
