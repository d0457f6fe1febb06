//! One connection, lines of 100 bytes, on both ports that take OK Log's protocol.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::bench::file_source::wait_for;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, disk, sink};
use crate::node::{Node, free_port};

/// With the newline.
pub(super) const LINE_BYTES: usize = 100;
const BATCH_LINES: usize = 10_000;
/// Half a gigabyte: long enough to leave caches and buffers behind.
const BATCHES: usize = 500;
/// What OK Log 0.3 took on one fast connection with such lines on a machine of two cores.
const OK_LOG_FAST: f64 = 134_000.0;
/// What it took on its durable port, which fsyncs every line.
const OK_LOG_DURABLE: f64 = 1_100.0;
const TARGET: f64 = 1_000_000.0;

pub(super) struct TcpLines;

impl Figure for TcpLines {
    fn name(&self) -> &'static str {
        "tcp-lines"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let lines = lines();
        let peer = disk::synced_writes(&folder, &lines, bench.amount(BATCHES / 2))?;
        let disk_records = peer * 1e6 / LINE_BYTES as f64;
        let sink = sink::synced(&folder, &lines, bench.amount(BATCHES))? * 1e6 / LINE_BYTES as f64;
        let fast = stored(bench, "fast", &lines)?;
        let durable = stored(bench, "durable", &lines)?;
        let row =
            |what, value, against, peer, goal| Row { figure: "tcp-lines", what, value, against, peer, goal };
        Ok(vec![
            row("fast, records/s", fast, "OK Log, records/s", OK_LOG_FAST, Goal::AtLeast(6.0)),
            row("fast, records/s", fast, "target, records/s", TARGET, Goal::AtLeast(1.0)),
            row("fast, records/s", fast, "write + fdatasync of 1 MB", disk_records, Goal::AtLeast(0.2)),
            row("fast, records/s", fast, "sink: read, write, fdatasync", sink, Goal::AtLeast(0.2)),
            row("durable, records/s", durable, "OK Log, records/s", OK_LOG_DURABLE, Goal::AtLeast(100.0)),
        ])
    }
}

fn lines() -> Vec<u8> {
    (0..BATCH_LINES).flat_map(line).collect()
}

/// A line of [`LINE_BYTES`] that begins with its number.
pub(super) fn line(number: usize) -> Vec<u8> {
    let mut line = format!("{number:09} ").into_bytes();
    line.resize(LINE_BYTES - 1, b'x');
    line.push(b'\n');
    line
}

/// Records per second from the first byte sent until the last record can be found.
fn stored(bench: &Bench<'_>, port: &str, lines: &[u8]) -> anyhow::Result<f64> {
    let folder = bench.folder(&format!("tcp-lines-{port}"))?;
    let mut node = Node::start(&bench.weir, &folder, free_port(7650)?, "")?;
    let address = node.lines_address(port)?;
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let batches = bench.amount(BATCHES);
    let started = Instant::now();
    for _ in 0..batches {
        stream.write_all(lines)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let answer = stream.read(&mut [0])?;
    anyhow::ensure!(answer == 0, "the protocol has no answers");
    let records = batches * BATCH_LINES;
    wait_for(&mut node, records as u64)?;
    let elapsed = started.elapsed().as_secs_f64();
    node.process.stop()?;
    Ok(records as f64 / elapsed)
}
