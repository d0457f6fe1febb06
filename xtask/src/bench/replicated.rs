//! How long a small batch waits until two stores have it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::ensure;

use crate::bench::cluster::Cluster;
use crate::bench::http::Client;
use crate::bench::http_ingest::text;
use crate::bench::latency::Latencies;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};

/// Some ten lines.
const BATCH_BYTES: usize = 2000;
const REQUESTS: usize = 200;
/// Before the clock: the nodes get to know each other.
const WARM_UP: usize = 5;
const TARGET_MS: f64 = 150.0;

pub(super) struct Replicated;

impl Figure for Replicated {
    fn name(&self) -> &'static str {
        "replicated"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let cluster = Cluster::start(bench, &folder, &["ingest", "store", "store"], 2)?;
        let ingest = cluster.address("ingest")?;
        let replicated = acknowledged(bench, ingest, "replicated")?;
        let stored = acknowledged(bench, ingest, "stored")?;
        cluster.stop()?;
        let row =
            |what, value, against, peer, goal| Row { figure: "replicated", what, value, against, peer, goal };
        let (median, slow) = (replicated.percentile_ms(50), replicated.percentile_ms(99));
        Ok(vec![
            row("2 copies, p50 ms", median, "150 ms", TARGET_MS, Goal::AtMost(1.0)),
            row("2 copies, p99 ms", slow, "150 ms", TARGET_MS, Goal::Shown),
            row("2 copies, p50 ms", median, "stored, p50 ms", stored.percentile_ms(50), Goal::Shown),
            row("2 copies, p99 ms", slow, "stored, p99 ms", stored.percentile_ms(99), Goal::Shown),
        ])
    }
}

/// The times of batches sent one after the other on one connection, from sending to the answer.
fn acknowledged(bench: &Bench<'_>, ingest: SocketAddr, durability: &str) -> anyhow::Result<Latencies> {
    let batch = text(BATCH_BYTES);
    let path = format!("/api/v1/ingest?topic=bench&durability={durability}");
    let mut client = Client::connect(ingest)?;
    let mut latencies = Latencies::default();
    for request in 0..WARM_UP + bench.amount(REQUESTS) {
        let sent = Instant::now();
        let answer = client.post(&path, &batch)?;
        let took = sent.elapsed();
        ensure!(answer.contains(&format!("\"durability\":\"{durability}\"")), "not {durability}: {answer}");
        if request >= WARM_UP {
            latencies.add(took);
        }
    }
    Ok(latencies)
}
