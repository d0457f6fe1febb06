//! How long a record takes from its sender to a reader who asks another node for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::bench::cluster::Cluster;
use crate::bench::http::Client;
use crate::bench::http_ingest::text_after;
use crate::bench::latency::Latencies;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};
use crate::node;

pub(super) const RECORDS: usize = 300;
/// Between two records: so that they come while pieces are sealed and transferred, and between.
const PAUSE: Duration = Duration::from_millis(30);
/// Other records that are there already, in MiB, so that there is something to pass over.
const OTHERS: u64 = 64;
const OTHER_BYTES: usize = 1 << 20;
/// More than the lines of one of them, so that no two share a line.
const OTHER_LINES_MAX: u64 = 1 << 16;
/// How long a record may take before the figure is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const TARGET_MS: f64 = 200.0;

pub(super) struct Seen;

impl Figure for Seen {
    fn name(&self) -> &'static str {
        "seen"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let mut cluster = Cluster::start(bench, &folder, &["ingest", "store", "query"], 1)?;
        cluster.until_whole()?;
        let mut client = Client::connect(cluster.address("ingest")?)?;
        for index in 0..OTHERS {
            let others = text_after(index * OTHER_LINES_MAX, OTHER_BYTES);
            client.post("/api/v1/ingest?topic=others&durability=stored", &others)?;
        }
        cluster.until_handed_over()?;

        let query = cluster.address("query")?;
        let (seen, asked) = times(cluster.address("ingest")?, query, bench.amount(RECORDS))?;
        cluster.stop()?;
        let row = |what, value, against, peer, goal| Row { figure: "seen", what, value, against, peer, goal };
        Ok(vec![
            row("sent to seen, p99 ms", seen.percentile_ms(99), "200 ms", TARGET_MS, Goal::AtMost(1.0)),
            row("sent to seen, p50 ms", seen.percentile_ms(50), "200 ms", TARGET_MS, Goal::Shown),
            row(
                "sent to seen, p50 ms",
                seen.percentile_ms(50),
                "a query for what is absent, p50 ms",
                asked.percentile_ms(50),
                Goal::Shown,
            ),
        ])
    }
}

/// How long so many records took from their sender to a reader, and queries for as many that nobody has sent.
pub(super) fn times(
    ingest: SocketAddr,
    query: SocketAddr,
    records: usize,
) -> anyhow::Result<(Latencies, Latencies)> {
    let mut client = Client::connect(ingest)?;
    let (mut seen, mut asked) = (Latencies::default(), Latencies::default());
    for number in 0..records {
        std::thread::sleep(PAUSE);
        // Words of their own, of which none is part of another.
        seen.add(send_and_see(&mut client, query, &format!("needle{number:06}"))?);
        let absent = Instant::now();
        ensure!(!finds(query, &format!("absent{number:06}"))?, "a record was found that nobody sent");
        asked.add(absent.elapsed());
    }
    Ok((seen, asked))
}

/// From sending a record with this word until an answer of the query node holds it. The query node is asked again
/// and again from the beginning, as by a reader who waits for it.
fn send_and_see(client: &mut Client, query: SocketAddr, word: &str) -> anyhow::Result<Duration> {
    let record = format!("level=info service=shop msg=\"{word} has been sent\"\n");
    std::thread::scope(|scope| {
        let sent = Instant::now();
        let sending =
            scope.spawn(|| client.post("/api/v1/ingest?topic=needles&durability=stored", record.as_bytes()));
        while !finds(query, word)? {
            ensure!(sent.elapsed() < PATIENCE, "{word} was not found within {PATIENCE:?}");
        }
        let seen = sent.elapsed();
        sending.join().ok().context("the sender has panicked")??;
        Ok(seen)
    })
}

/// Whether an answer of the node holds the word. The statistics at its end do not repeat the question.
fn finds(query: SocketAddr, word: &str) -> anyhow::Result<bool> {
    let (status, answer) = node::get(query, &format!("/api/v1/query?format=ndjson&q={word}"))?;
    ensure!(status == 200 && answer.contains("\"complete\":true"), "status {status}: {answer}");
    Ok(answer.contains(word))
}
