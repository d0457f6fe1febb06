//! One client, one connection, 1 MiB of text at a time, each answered when it is `stored`.

use std::time::Instant;

use crate::bench::http::Client;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, disk};
use crate::node::{Node, free_port};

const BATCH_BYTES: usize = 1 << 20;
/// Half a gigabyte: long enough to leave caches and warm-up behind.
const BATCHES: usize = 512;

pub(super) struct HttpIngest;

impl Figure for HttpIngest {
    fn name(&self) -> &'static str {
        "http-ingest"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let batch = text(BATCH_BYTES);
        // Before and after, since the disk may be shared: its mean is what we could have had.
        let before = disk::synced_writes(&folder, &batch, bench.amount(BATCHES / 2))?;
        let rate = ingest(bench, &folder, &batch)?;
        let after = disk::synced_writes(&folder, &batch, bench.amount(BATCHES / 2))?;
        let row = |against, peer, goal| Row {
            figure: "http-ingest",
            what: "stored, MB/s",
            value: rate,
            against,
            peer,
            goal,
        };
        // Either is enough: a fast disk, or half of what a slow one gives.
        Ok(vec![
            row("write + fdatasync of 1 MiB", f64::midpoint(before, after), Goal::AtLeast(0.5)),
            row("150 MB/s", 150.0, Goal::AtLeast(1.0)),
        ])
    }
}

fn ingest(bench: &Bench<'_>, folder: &std::path::Path, batch: &[u8]) -> anyhow::Result<f64> {
    let mut node = Node::start(&bench.weir, folder, free_port(7650)?, "")?;
    let mut client = Client::connect(node.address)?;
    let path = "/api/v1/ingest?topic=bench&durability=stored";
    client.post(path, batch)?;
    let started = Instant::now();
    let batches = bench.amount(BATCHES);
    for _ in 0..batches {
        client.post(path, batch)?;
    }
    let elapsed = started.elapsed().as_secs_f64();
    node.process.stop()?;
    Ok(disk::megabytes((batch.len() * batches) as u64) / elapsed)
}

/// Log lines of some hundred bytes that differ from one another, `bytes` in all.
pub(super) fn text(bytes: usize) -> Vec<u8> {
    text_after(0, bytes)
}

/// The same, from the line behind the one with this number on.
pub(super) fn text_after(mut number: u64, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 256);
    while text.len() < bytes {
        number += 1;
        // Knuth's multiplier: numbers that look random, the same in every run.
        let noise = number.wrapping_mul(6_364_136_223_846_793_005);
        let line = format!(
            "2026-01-02T03:04:05.{:06}Z level=info service=shop request={noise:016x} path=/cart/{} \
             status=200 duration_ms={} msg=\"order accepted, payment pending\"\n",
            number % 1_000_000,
            noise >> 44,
            noise >> 54,
        );
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(bytes);
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    text
}
