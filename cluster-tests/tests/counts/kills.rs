//! Stores that die, come back empty, or hang, while records are written and questions asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::until;
use weir_record::RecordId;
use weir_record::limits::HEDGE_MS;

use super::asked::{self, Asked, SETTINGS, count, line, ready, rows, sum};

const KILLS: u64 = 9;
const KILLS_LONG: u64 = 100;
/// Answers between two acts.
const ANSWERS: u64 = 12;

const MEMBERS: [(&str, &str); 6] =
    [("i1", "ingest"), ("i2", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("q", "query")];

/// What was sent and answered so far.
#[derive(Default)]
struct Seen {
    /// Lines that were handed to a node, acknowledged or not.
    sent: AtomicU64,
    acknowledged: AtomicU64,
    complete: AtomicU64,
    incomplete: AtomicU64,
    stop: AtomicBool,
}

impl Seen {
    fn answers(&self) -> u64 {
        self.complete.load(Ordering::SeqCst) + self.incomplete.load(Ordering::SeqCst)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Waits for some answers more.
    fn wait(&self, answers: u64) -> Result<()> {
        let until_answers = self.answers() + answers;
        until("answers", || Ok(self.answers()), |now| *now >= until_answers || !self.goes_on())?;
        ensure!(self.goes_on(), "a worker has ended");
        Ok(())
    }
}

/// Ends the others when one ends, whatever it ends with.
struct StopOnDrop<'a>(&'a Seen);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

/// Writes to both ingest nodes in turns; a third of the batches has a key and goes to both.
fn write(ingests: &[String; 2], seen: &Seen, seed: u64) -> Result<()> {
    let _stop = StopOnDrop(seen);
    let mut random = fastrand::Rng::with_seed(seed);
    while seen.goes_on() {
        let from = seen.acknowledged.load(Ordering::SeqCst);
        let to = from + random.u64(1..40);
        seen.sent.store(to, Ordering::SeqCst);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let key = RecordId::from_parts(now_ms, random.u128(..1 << 80)).to_string();
        let key = (random.u8(..3) == 0).then_some(&*key);
        let first = random.usize(..2);
        asked::send(&ingests[first], "stored", key, from..to)?;
        seen.acknowledged.store(to, Ordering::SeqCst);
        if key.is_some() {
            asked::send(&ingests[1 - first], "stored", key, from..to)?;
        }
    }
    Ok(())
}

/// Asks until it is stopped; every answer is held against what was acknowledged before it and sent before its end.
fn ask(query: &str, seen: &Seen, seed: u64) -> Result<()> {
    let _stop = StopOnDrop(seen);
    let mut random = fastrand::Rng::with_seed(seed);
    while seen.goes_on() {
        let known = seen.acknowledged.load(Ordering::SeqCst);
        let thirds = |of: u64| of.div_ceil(3);
        let kind = random.u8(..7);
        let (asked, low) = match kind {
            0 => (rows(query, "q=topic:t")?, known),
            1 => (count(query, "topic:t level:info")?, thirds(known)),
            2 => (count(query, "topic:t /number [0-9]+/")?, known),
            3 => (sum(query, "topic:t | count by level")?, known),
            4 => (sum(query, "topic:t level:info | sample 1 | count")?, thirds(known)),
            5 => (rows(query, "q=topic:t+%7C+sample+1")?, known),
            _ => (count(query, "topic:t")?, known),
        };
        let sent = seen.sent.load(Ordering::SeqCst);
        let high = if matches!(kind, 1 | 4) { thirds(sent) } else { sent };
        check(&asked, low, high).with_context(|| format!("question {kind} of {known} to {sent}"))?;
        let counter = if asked.is_complete { &seen.complete } else { &seen.incomplete };
        counter.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn check(asked: &Asked, low: u64, high: u64) -> Result<()> {
    ensure!(asked.count <= high, "{} found, {high} sent", asked.count);
    ensure!(
        !asked.is_complete || asked.count >= low,
        "{} found of {low}, and said to be complete",
        asked.count
    );
    let mut lines: Vec<&String> = asked.lines.iter().collect();
    lines.sort_unstable();
    lines.dedup();
    ensure!(lines.len() == asked.lines.len(), "lines are found twice");
    Ok(())
}

#[test]
fn sums_and_rows_are_exact_or_say_that_they_are_not_while_stores_are_killed_and_replaced() -> Result<()> {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let kills = if long { KILLS_LONG } else { KILLS };
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    run(kills, seed).with_context(|| format!("SEED={seed}"))
}

fn run(kills: u64, seed: u64) -> Result<()> {
    let mut cluster = Cluster::new(&MEMBERS, 2, SETTINGS)?;
    cluster.start_all()?;
    ready(&cluster)?;
    let (query, ingests) = (cluster.url("q"), [cluster.url("i1"), cluster.url("i2")]);
    let seen = Seen::default();
    let mut random = fastrand::Rng::with_seed(seed);
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| write(&ingests, &seen, seed));
        let askers = [1, 2].map(|number| {
            let (query, seen) = (&query, &seen);
            scope.spawn(move || ask(query, seen, seed ^ number))
        });
        let acted = act(&mut cluster, &seen, kills, &mut random);
        seen.stop.store(true, Ordering::SeqCst);
        for worker in [writer].into_iter().chain(askers) {
            worker.join().ok().context("a worker has panicked")??;
        }
        acted
    })?;
    let sent = seen.acknowledged.load(Ordering::SeqCst);
    let whole = |asked: &Asked| asked.is_complete && asked.count == sent;
    until("all of it", || count(&query, "topic:t"), whole)?;
    let all = until("all rows", || rows(&query, "q=topic:t"), whole)?;
    let mut expected: Vec<String> = (0..sent).map(line).collect();
    let mut found = all.lines;
    expected.sort_unstable();
    found.sort_unstable();
    ensure!(found == expected, "{} lines of {sent} at the end", found.len());
    let [complete, incomplete] =
        [&seen.complete, &seen.incomplete].map(|counter| counter.load(Ordering::SeqCst));
    // With one store of three gone and two copies of everything nothing is missing.
    eprintln!("{sent} lines, {complete} answers complete, {incomplete} not");
    ensure!(complete > 12 * incomplete, "{incomplete} answers were incomplete, {complete} were not");
    Ok(())
}

fn act(cluster: &mut Cluster, seen: &Seen, kills: u64, random: &mut fastrand::Rng) -> Result<()> {
    seen.wait(ANSWERS)?;
    for _ in 0..kills {
        let store = ["s1", "s2", "s3"][random.usize(..3)];
        cluster.kill(store)?;
        seen.wait(ANSWERS)?;
        cluster.start(store)?;
        seen.wait(ANSWERS)?;
    }
    Ok(())
}

/// Two stores, a copy on each of 3,000 records, and the address of the query node.
fn two_stores() -> Result<(Cluster, String)> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    ready(&cluster)?;
    asked::send(&cluster.url("i"), "replicated", None, 0..3000)?;
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    let query = cluster.url("q");
    until("all of it", || count(&query, "topic:t"), is_exact)?;
    Ok((cluster, query))
}

fn is_exact(asked: &Asked) -> bool {
    asked.is_complete && asked.count == 3000
}

#[test]
fn a_store_that_comes_back_empty_makes_no_answer_wrong() -> Result<()> {
    let (mut cluster, query) = two_stores()?;
    cluster.kill("s1")?;
    std::fs::remove_dir_all(cluster.data_dir("s1"))?;
    cluster.start("s1")?;
    for _ in 0..20 {
        for asked in [count(&query, "topic:t")?, rows(&query, "q=topic:t")?] {
            ensure!(asked.count == 3000 || !asked.is_complete, "{asked:?}");
        }
    }
    until("all of it from the other", || count(&query, "topic:t"), is_exact)?;
    until("all rows from the other", || rows(&query, "q=topic:t"), is_exact)?;
    Ok(())
}

#[test]
fn a_store_that_hangs_is_read_elsewhere_and_later_queries_do_not_wait_for_it() -> Result<()> {
    let (mut cluster, query) = two_stores()?;
    for store in ["s1", "s2"] {
        cluster.node(store)?.pause(true)?;
        for asked in [count(&query, "topic:t /number/")?, rows(&query, "q=topic:t")?] {
            ensure!(is_exact(&asked), "with {store} hanging: {} {:?}", asked.count, asked.missing);
        }
        // By now it is known to be silent. A query that asks it all the same waits until the other is asked as well,
        // and all would; the shortest tells, however busy the machine is.
        let mut shortest = Duration::MAX;
        for _ in 0..10 {
            let began = Instant::now();
            let asked = count(&query, "topic:t /number/")?;
            ensure!(is_exact(&asked), "with {store} hanging: {} {:?}", asked.count, asked.missing);
            shortest = shortest.min(began.elapsed());
        }
        ensure!(shortest < Duration::from_millis(HEDGE_MS), "of ten counts each took {shortest:?} or more");
        cluster.node(store)?.pause(false)?;
        until("it is heard again", || count(&cluster.url(store), "topic:none"), |asked| asked.is_complete)?;
    }
    Ok(())
}
