//! What it costs that ingest, store and query are processes of their own: sealing, transfer, and all.

use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::bench::cluster::Cluster;
use crate::bench::disk::megabytes;
use crate::bench::http::{Client, metric};
use crate::bench::http_ingest::text_after;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};
use crate::node;

const BATCH_BYTES: usize = 1 << 20;
/// One gigabyte: dozens of segments, and some merging of them.
const BATCHES: usize = 1 << 10;
/// Batches that differ from one another, more than a segment holds; they are sent in turn.
const BATCHES_DIFFERENT: usize = 64;
/// More than the lines of one batch, so that no two batches share a line.
const BATCH_LINES_MAX: u64 = 1 << 16;
/// What OK Log (its last commit, ca7cdf5) used on one node of two cores for a gigabyte of other log lines of 188 bytes,
/// until all of it could be queried.
const OK_LOG_CPU_PER_GB: f64 = 46.6;

pub(super) struct Transfer;

impl Figure for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let batches: Vec<Vec<u8>> = (0..BATCHES_DIFFERENT as u64)
            .map(|index| text_after(index * BATCH_LINES_MAX, BATCH_BYTES))
            .collect();
        let count = bench.amount(BATCHES);
        let folder = bench.folder("transfer-one")?;
        let one = take(Cluster::of_one(bench, &folder)?, &batches, count)?;
        let folder = bench.folder("transfer-three")?;
        let three = take(Cluster::start(bench, &folder, &["ingest", "store", "query"], 1)?, &batches, count)?;
        let gigabytes = megabytes((BATCH_BYTES * count) as u64) / 1e3;
        let row =
            |what, value, against, peer, goal| Row { figure: "transfer", what, value, against, peer, goal };
        Ok(vec![
            row("3 processes, CPU s", three.cpu, "1 process, CPU s", one.cpu, Goal::AtMost(1.4)),
            row(
                "3 processes, CPU s per GB",
                three.cpu / gigabytes,
                "OK Log on 1 node, CPU s per GB",
                OK_LOG_CPU_PER_GB,
                Goal::AtMost(1.0),
            ),
            row("3 processes, s until stored", three.seconds, "1 process, s", one.seconds, Goal::Shown),
        ])
    }
}

struct Taken {
    /// Of all processes, in seconds.
    cpu: f64,
    /// From the first byte sent until the store has everything.
    seconds: f64,
}

/// Sends everything, waits until the store has it, and makes sure that it does.
fn take(mut cluster: Cluster, batches: &[Vec<u8>], count: usize) -> anyhow::Result<Taken> {
    cluster.until_whole()?;
    let mut client = Client::connect(cluster.address("ingest")?)?;
    let started = Instant::now();
    let mut lines = 0;
    for batch in batches.iter().cycle().take(count) {
        client.post("/api/v1/ingest?topic=bench&durability=stored", batch)?;
        lines += batch.split(|byte| *byte == b'\n').count() - 1;
    }
    cluster.until_handed_over()?;
    let seconds = started.elapsed().as_secs_f64();
    let used = cluster.cpu()?;
    let cpu: f64 = used.iter().map(|(_, cpu)| cpu.as_secs_f64()).sum();
    let each: Vec<String> =
        used.iter().map(|(role, cpu)| format!("{role} {:.2} s", cpu.as_secs_f64())).collect();
    // Merging goes on behind all this; how far it came explains differences.
    let (_, metrics) = node::get(cluster.address("store")?, "/metrics")?;
    let merged = metric(&metrics, "weir_store_compacted_bytes", &[]) / 1e6;
    eprintln!(
        "transfer: processor time: {}; {seconds:.1} s until stored, {merged:.0} MB merged by then",
        each.join(", ")
    );

    // After the clock, and without the ingest node: what is found now, the store has.
    cluster.stop_role("ingest")?;
    let (_, answer) = node::get(cluster.address("query")?, "/api/v1/histogram?q=topic:bench&buckets=1")?;
    let found = answer.split_once("\"count\":").and_then(|(_, rest)| rest.split(',').next());
    let found: usize = found.and_then(|count| count.parse().ok()).context("no count in a histogram")?;
    ensure!(found == lines, "the store has {found} of {lines} records");
    cluster.stop()?;
    Ok(Taken { cpu, seconds })
}
