//! What it costs that the work is spread: three ingest nodes, three stores with two copies and a query node, beside one
//! node that does it all, on the same machine with the same lines.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::bench::cluster::Cluster;
use crate::bench::corpus::{self, Corpus};
use crate::bench::disk::megabytes;
use crate::bench::http::{Client, encoded};
use crate::bench::latency::milliseconds;
use crate::bench::seen;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};

const ROLES: [&str; 7] = ["ingest", "ingest", "ingest", "store", "store", "store", "query"];
const COPIES: usize = 2;
/// Of log lines, each sent to one of the ingest nodes.
const BYTES: usize = 512 << 20;
/// Clients, as many as there are ingest nodes; the single node has as many.
const CLIENTS: usize = 3;
/// Of each question, of which the fastest counts.
const ASKED: usize = 5;
const SEEN_TARGET_MS: f64 = 200.0;
/// Replication may cost so many times what as many single nodes would.
const CPU_SHARE_MAX: f64 = 1.3;

/// What is asked: name, path in front of the pattern, pattern, what is behind it.
const QUESTIONS: [(&str, &str, &str, &str); 8] = [
    ("count of everything, ms", "histogram?q=", "", "&buckets=1"),
    ("histogram of everything, 60 buckets, ms", "histogram?q=", "", "&buckets=60"),
    ("absent word, ms", "query?q=", corpus::ABSENT, ""),
    ("needle, a word in 7 lines, ms", "query?q=", corpus::NEEDLE, ""),
    ("count of a word in 1 %, ms", "histogram?q=", "PaymentDeclined", "&buckets=1"),
    ("count of a word in 30 %, ms", "histogram?q=", "checkout", "&buckets=1"),
    (
        "count of a regex with a literal, ms",
        "histogram?q=",
        r"/PaymentDeclined.*amount=9\d\d\./",
        "&buckets=1",
    ),
    ("newest 100 with a word in 30 %, ms", "query?q=", "checkout", "&limit=100&order=desc"),
];

pub(super) struct Spread;

impl Figure for Spread {
    fn name(&self) -> &'static str {
        "cluster"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let pieces = pieces(bench.amount(BYTES) as u64)?;
        let folder = bench.folder("cluster-one")?;
        let one = run(Cluster::of_one(bench, &folder)?, &pieces, None)?;
        let folder = bench.folder("cluster-seven")?;
        let seen = bench.amount(seen::RECORDS);
        let many = run(Cluster::start(bench, &folder, &ROLES, COPIES)?, &pieces, Some(seen))?;
        ensure!(one.found == many.found, "one node finds {:?}, the cluster {:?}", one.found, many.found);

        let row =
            |what, value, against, peer, goal| Row { figure: "cluster", what, value, against, peer, goal };
        let bytes: usize = pieces.iter().map(Vec::len).sum();
        let mb = megabytes(bytes as u64);
        let copies = COPIES as f64;
        let per_gb = |cpu: f64| cpu * 1e3 / mb;
        let mut rows = vec![
            row(
                "7 processes, 2 copies, CPU s",
                many.cpu,
                "2 single nodes, CPU s",
                copies * one.cpu,
                Goal::AtMost(CPU_SHARE_MAX),
            ),
            row(
                "all ingest nodes, CPU s per GB",
                per_gb(many.cpu_ingest),
                "1 node, CPU s per GB",
                per_gb(one.cpu),
                Goal::Shown,
            ),
            row(
                "acknowledged, MB/s",
                mb / many.sent.as_secs_f64(),
                "1 node, MB/s",
                mb / one.sent.as_secs_f64(),
                Goal::Shown,
            ),
            row(
                "until stored twice, s",
                many.stored.as_secs_f64(),
                "1 node, until stored, s",
                one.stored.as_secs_f64(),
                Goal::Shown,
            ),
        ];
        if let Some((p50, p99)) = many.seen_ms {
            rows.push(row("sent to seen, p50 ms", p50, "200 ms", SEEN_TARGET_MS, Goal::Shown));
            rows.push(row("sent to seen, p99 ms", p99, "200 ms", SEEN_TARGET_MS, Goal::AtMost(1.0)));
        }
        for (((name, ..), many), one) in QUESTIONS.iter().zip(&many.asked).zip(&one.asked) {
            rows.push(row(name, milliseconds(*many), "1 node, ms", milliseconds(*one), Goal::Shown));
        }
        Ok(rows)
    }
}

/// What came of one of them.
struct Outcome {
    /// Of all processes, and of those that take records, in seconds.
    cpu: f64,
    cpu_ingest: f64,
    /// From the first byte until all was acknowledged, and until the stores had it.
    sent: Duration,
    stored: Duration,
    seen_ms: Option<(f64, f64)>,
    /// The fastest time of each question, and how many records it finds.
    asked: Vec<Duration>,
    found: Vec<u64>,
}

/// The lines, cut into what is sent at a time.
fn pieces(bytes: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut corpus = Corpus::new(corpus::SEED, bytes)?;
    let mut pieces = Vec::new();
    loop {
        let mut piece = Vec::new();
        corpus.next_piece(&mut piece);
        if piece.is_empty() {
            return Ok(pieces);
        }
        pieces.push(piece);
    }
}

fn run(mut cluster: Cluster, pieces: &[Vec<u8>], seen: Option<usize>) -> anyhow::Result<Outcome> {
    cluster.until_whole()?;
    let ingest = cluster.addresses("ingest");
    let query = cluster.address("query")?;
    let before = cluster.cpu()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|number| {
            let address = ingest[number % ingest.len()];
            let mine = pieces.iter().skip(number).step_by(CLIENTS);
            scope.spawn(move || send(address, mine))
        });
        // All of them before one is waited for.
        let clients: Vec<_> = clients.collect();
        clients.into_iter().try_for_each(|client| client.join().ok().context("a client has panicked")?)
    })?;
    let sent = started.elapsed();
    cluster.until_handed_over()?;
    let stored = started.elapsed();
    let used = cluster
        .cpu()?
        .into_iter()
        .zip(before)
        .map(|((role, after), (_, before))| (role, after.saturating_sub(before)));
    let used: Vec<(&str, f64)> = used.map(|(role, used)| (role, used.as_secs_f64())).collect();
    let each: Vec<String> = used.iter().map(|(role, used)| format!("{role} {used:.2} s")).collect();
    eprintln!("cluster: processor time: {}", each.join(", "));
    let of = |wanted: &dyn Fn(&str) -> bool| {
        used.iter().filter(|(role, _)| wanted(role)).map(|(_, used)| used).sum()
    };

    let mut client = Client::connect(query)?;
    let (mut asked, mut found) = (Vec::new(), Vec::new());
    for (name, path, pattern, rest) in QUESTIONS {
        let path = format!("/api/v1/{path}{}{rest}", encoded(pattern));
        let (took, count) = fastest(&mut client, &path).context(name)?;
        asked.push(took);
        found.push(count);
    }
    let seen_ms = match seen {
        None => None,
        Some(records) => {
            let (seen, _) = seen::times(*ingest.first().context("an ingest node")?, query, records)?;
            Some((seen.percentile_ms(50), seen.percentile_ms(99)))
        }
    };
    cluster.stop()?;
    Ok(Outcome {
        cpu: of(&|_| true),
        cpu_ingest: of(&|role| role == "ingest"),
        sent,
        stored,
        seen_ms,
        asked,
        found,
    })
}

fn send<'a>(to: SocketAddr, pieces: impl Iterator<Item = &'a Vec<u8>>) -> anyhow::Result<()> {
    let mut client = Client::connect(to)?;
    for piece in pieces {
        client.post("/api/v1/ingest?topic=bench&durability=stored", piece)?;
    }
    Ok(())
}

/// The fastest of some answers, all of which must be whole, and the number of records that the last one is about.
fn fastest(client: &mut Client, path: &str) -> anyhow::Result<(Duration, u64)> {
    let mut best = Duration::MAX;
    let mut count = 0;
    for _ in 0..ASKED {
        let started = Instant::now();
        let answer = client.get(path)?.body;
        best = best.min(started.elapsed());
        ensure!(answer.contains("\"complete\":true"), "{path}: the answer is not whole");
        let matched = answer.rsplit_once("\"records_matched\":").context("statistics")?.1;
        count = matched.split([',', '}']).next().context("a number")?.parse()?;
    }
    Ok((best, count))
}
