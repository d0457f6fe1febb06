//! One store of three is killed under load, with two copies of everything: what those who write and ask notice.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::bench::cluster::Cluster;
use crate::bench::http::Client;
use crate::bench::http_ingest::text;
use crate::bench::latency::Latencies;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};
use crate::node;

const BATCH_BYTES: usize = 2000;
/// Before the kill, and after it.
const HALF: Duration = Duration::from_secs(10);
const TARGET_MS: f64 = 2_000.0;

pub(super) struct StoreKilled;

/// What was noticed in one half.
#[derive(Default)]
struct Noticed {
    acknowledged: Latencies,
    answers: usize,
    incomplete: usize,
}

impl Figure for StoreKilled {
    fn name(&self) -> &'static str {
        "store-killed"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let mut cluster = Cluster::start(bench, &folder, &["ingest", "store", "store", "store", "query"], 2)?;
        cluster.until_whole()?;
        let before = notice(&mut cluster, |_| Ok(()))?;
        let after = notice(&mut cluster, |cluster| cluster.kill("store"))?;
        cluster.until_handed_over()?;
        cluster.stop()?;
        let row = |what, value, against, peer, goal| Row {
            figure: "store-killed",
            what,
            value,
            against,
            peer,
            goal,
        };
        let slowest = |noticed: &Noticed| noticed.acknowledged.percentile_ms(100);
        let median = |noticed: &Noticed| noticed.acknowledged.percentile_ms(50);
        Ok(vec![
            row("slowest acknowledgement, ms", slowest(&after), "2 s", TARGET_MS, Goal::AtMost(1.0)),
            row(
                "slowest acknowledgement, ms",
                slowest(&after),
                "before the kill",
                slowest(&before),
                Goal::Shown,
            ),
            row("acknowledgement, p50 ms", median(&after), "before the kill", median(&before), Goal::Shown),
            row(
                "incomplete answers",
                after.incomplete as f64,
                "of so many",
                after.answers as f64,
                Goal::AtMost(0.0),
            ),
        ])
    }
}

/// Writes and asks for one half, while `act` is done.
fn notice(
    cluster: &mut Cluster,
    act: impl FnOnce(&mut Cluster) -> anyhow::Result<()>,
) -> anyhow::Result<Noticed> {
    let (ingest, query) = (cluster.address("ingest")?, cluster.address("query")?);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(ingest, &done));
        let asking = scope.spawn(|| ask(query, &done));
        let began = Instant::now();
        let acted = act(cluster);
        std::thread::sleep(HALF.saturating_sub(began.elapsed()));
        done.store(true, Ordering::Release);
        let acknowledged = writing.join().ok().context("the writer has panicked")??;
        let (answers, incomplete) = asking.join().ok().context("the asker has panicked")??;
        acted?;
        Ok(Noticed { acknowledged, answers, incomplete })
    })
}

/// The times of batches sent one after the other.
fn write(ingest: SocketAddr, done: &AtomicBool) -> anyhow::Result<Latencies> {
    let batch = text(BATCH_BYTES);
    let mut client = Client::connect(ingest)?;
    let mut latencies = Latencies::default();
    while !done.load(Ordering::Acquire) {
        let sent = Instant::now();
        client.post("/api/v1/ingest?topic=bench&durability=stored", &batch)?;
        latencies.add(sent.elapsed());
    }
    Ok(latencies)
}

/// How many answers came, and how many of them said that they lack something.
fn ask(query: SocketAddr, done: &AtomicBool) -> anyhow::Result<(usize, usize)> {
    let (mut answers, mut incomplete) = (0, 0);
    while !done.load(Ordering::Acquire) {
        let (status, answer) = node::get(query, "/api/v1/query?format=ndjson&q=topic:bench&limit=10")?;
        ensure!(status == 200 || status == 206, "status {status}: {answer}");
        answers += 1;
        incomplete += usize::from(!answer.contains("\"complete\":true"));
    }
    Ok((answers, incomplete))
}
