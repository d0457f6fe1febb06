//! `kill -9` of either end, lost answers, and a second node.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{query, until};

use super::world::{Ingest, check, follower, follower_config, line, metric, pipe, piped, text};

const KILLS: u64 = 40;

#[test]
fn a_followed_file_is_found_once_however_often_both_ends_are_killed() -> Result<()> {
    let kills = if std::env::var_os("WEIR_LONG").is_some() { 1_000 } else { KILLS };
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("app.log");
    let mut file = File::create(&log)?;
    let mut ingest = Ingest::running(dir.path())?;
    let config = follower_config(dir.path(), &log, &ingest.relay.url())?;
    let mut forwarder = follower(&config)?;
    let mut written = 0;
    for round in 0..kills {
        let more = written + random.u64(1..400);
        file.write_all(text(written..more).as_bytes())?;
        // Sometimes some of it has come through, sometimes nothing, sometimes all.
        let wanted = random.u64(written.saturating_sub(50)..=more);
        written = more;
        let found =
            until("lines come through", || ingest.lines("file"), |found| found.len() as u64 >= wanted);
        found.with_context(|| format!("seed {seed}, round {round}: {}", forwarder.log()))?;
        let survivor = match random.u8(..3) {
            0 => {
                ingest.relay.lose_answers(random.u64(..2));
                ingest.kill()?;
                ingest.start()?;
                Some(forwarder)
            }
            1 => {
                forwarder.kill()?;
                None
            }
            _ => {
                forwarder.kill()?;
                ingest.kill()?;
                ingest.start()?;
                None
            }
        };
        forwarder = match survivor {
            Some(forwarder) => forwarder,
            None => follower(&config).with_context(|| format!("seed {seed}, after kill {round}"))?,
        };
    }
    let found = until("all lines", || ingest.lines("file"), |found| found.len() as u64 >= written)?;
    check(&found, written).with_context(|| format!("seed {seed}"))?;
    until("all is acknowledged", || metric(&forwarder, "weir_forward_spool_bytes"), |bytes| *bytes == 0)?;
    ensure!(forwarder.terminate()? == 0, "SIGTERM is a clean end");
    Ok(())
}

#[test]
fn standard_input_with_a_spool_is_found_once_through_kills_of_the_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::running(dir.path())?;
    let spool = dir.path().join("spool").display().to_string();
    let (mut forwarder, mut stdin) = piped(pipe(&["--data-dir", &spool], &[&ingest.relay.url()]))?;
    let mut written = 0;
    for round in 0..12 {
        stdin.write_all(text(written..written + 500).as_bytes())?;
        written += 500;
        if round % 3 == 0 {
            until("a line", || ingest.lines("in"), |found| !found.is_empty())?;
        }
        ingest.kill()?;
        stdin.write_all(text(written..written + 100).as_bytes())?;
        written += 100;
        ingest.start()?;
    }
    drop(stdin);
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    check(&ingest.lines("in")?, written)
}

#[test]
fn what_was_journaled_when_a_forwarder_was_killed_is_sent_by_the_next() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::new(dir.path())?;
    let spool = dir.path().join("spool").display().to_string();
    for (count, terminate) in [(700, false), (900, true)] {
        let from = count - 200 - if terminate { 0 } else { 500 };
        let (forwarder, mut stdin) = piped(pipe(&["--data-dir", &spool], &[&ingest.relay.url()]))?;
        stdin.write_all(text(from..count).as_bytes())?;
        let journaled = || metric(&forwarder, "weir_records_in_total");
        until("all is journaled", journaled, |records| *records == count - from)?;
        if terminate {
            ensure!(forwarder.terminate()? == 0, "what waits in a spool is no failure");
        } else {
            forwarder.kill()?;
        }
    }
    ingest.start()?;
    let (mut last, stdin) = piped(pipe(&["--data-dir", &spool], &[&ingest.relay.url()]))?;
    drop(stdin);
    ensure!(last.wait_exit()? == 0, "{}", last.log());
    check(&ingest.lines("in")?, 900)
}

#[test]
fn another_node_takes_over_and_what_both_have_has_the_same_ids() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut nodes = [Ingest::running(&dir.path().join("a"))?, Ingest::running(&dir.path().join("b"))?];
    let urls = [nodes[0].relay.url(), nodes[1].relay.url()];
    let (mut forwarder, mut stdin) = piped(pipe(&[], &[&urls[0], &urls[1]]))?;
    stdin.write_all(text(0..100).as_bytes())?;
    until("the first node has them", || nodes[0].lines("in"), |found| found.len() == 100)?;
    // The answer to the next request is lost: the other node gets the same records.
    nodes[0].relay.lose_answers(1);
    stdin.write_all(text(100..200).as_bytes())?;
    until("the answer is lost", || Ok(nodes[0].relay.answers_to_lose()), |left| *left == 0)?;
    until("the second node has them", || nodes[1].lines("in"), |found| found.len() == 100)?;
    nodes[1].kill()?;
    stdin.write_all(text(200..300).as_bytes())?;
    drop(stdin);
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    nodes[1].start()?;
    let mut by_id = BTreeMap::new();
    let mut rows = 0;
    for node in &nodes {
        for row in query(node.node()?, "q=topic%3Ain")?.rows {
            rows += 1;
            by_id.insert(row["id"].to_string(), row["payload"].as_str().unwrap_or_default().to_owned());
        }
    }
    let found: Vec<String> = by_id.into_values().collect();
    ensure!(found == (0..300).map(line).collect::<Vec<_>>(), "{} distinct ids", found.len());
    ensure!(rows > 300, "nothing was sent twice, so nothing was tried");
    Ok(())
}
