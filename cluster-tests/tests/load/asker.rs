//! Asks a query node without end, and holds every answer against what was acknowledged before the question.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_cluster_tests::process::{encode, get};

use super::oracle::Oracle;
use super::worker::Stop;

/// An answer: its lines, sorted.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) lines: Vec<String>,
    /// It says that it lacks nothing.
    pub(crate) complete: bool,
}

/// What an asker has got.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) complete: u64,
    pub(crate) incomplete: u64,
    /// Of the complete ones, those that asked for a count alone.
    pub(crate) counted: u64,
}

impl Counts {
    pub(crate) fn plus(self, other: Counts) -> Counts {
        Counts {
            complete: self.complete + other.complete,
            incomplete: self.incomplete + other.incomplete,
            counted: self.counted + other.counted,
        }
    }
}

/// Asks until it is stopped, now and then also what is found of `others`, which somebody else writes.
pub(crate) fn ask_on(
    query: &str,
    others: Option<&str>,
    oracle: &Oracle,
    stop: &Stop,
    seed: u64,
) -> Result<Counts> {
    let all = format!("topic:{}", oracle.topic());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut counts = Counts::default();
    let mut files = BTreeSet::new();
    while !stop.is_set() {
        let known = oracle.acknowledged();
        if known == 0 {
            std::thread::yield_now();
            continue;
        }
        // Mostly what has just been acknowledged, for it is on its way.
        let batch = if random.bool() { known - 1 } else { random.usize(..known) };
        let of_batch = format!("{all} b{batch}");
        let complete = match (random.u8(..40), others) {
            (0, _) => ask(query, &all)?.map(|asked| check_all(&asked, known, oracle)).transpose()?,
            (1, Some(others)) => {
                ask(query, others)?.map(|asked| check_files(asked, &mut files)).transpose()?
            }
            (2..12, _) => {
                let counted = count(query, &of_batch)?;
                let complete =
                    counted.map(|counted| check_count(counted, batch, known, oracle)).transpose()?;
                counts.counted += u64::from(complete == Some(true));
                complete
            }
            _ => ask(query, &of_batch)?.map(|asked| check_batch(&asked, batch, known, oracle)).transpose()?,
        };
        // A query node that is gone answers nothing, and claims nothing.
        match complete {
            Some(true) => counts.complete += 1,
            Some(false) => counts.incomplete += 1,
            None => std::thread::yield_now(),
        }
        if complete.is_some() {
            oracle.progress();
        }
    }
    Ok(counts)
}

fn check_count((found, complete): (u64, bool), batch: usize, known: usize, oracle: &Oracle) -> Result<bool> {
    let all = oracle.batch(batch).len() as u64;
    let right = if complete { found == all } else { found <= all };
    ensure!(right, "batch {batch} of {known}: counted {found} of {all}, complete: {complete}");
    Ok(complete)
}

fn check_batch(asked: &Asked, batch: usize, known: usize, oracle: &Oracle) -> Result<bool> {
    let expected = oracle.batch(batch);
    once(&asked.lines)?;
    let strange = asked.lines.iter().find(|line| !expected.contains(line));
    ensure!(strange.is_none(), "batch {batch}: {strange:?} was not sent in it");
    let (found, all) = (asked.lines.len(), expected.len());
    ensure!(
        !asked.complete || found == all,
        "batch {batch} of {known}: {found} of {all} lines in an answer that says it is complete"
    );
    Ok(asked.complete)
}

fn check_all(asked: &Asked, known: usize, oracle: &Oracle) -> Result<bool> {
    once(&asked.lines)?;
    if asked.complete {
        let found: BTreeSet<&str> = asked.lines.iter().map(String::as_str).collect();
        for batch in 0..known {
            let lost = oracle.batch(batch).into_iter().find(|line| !found.contains(line.as_str()));
            ensure!(lost.is_none(), "{lost:?} is missing in an answer that says it is complete");
        }
    }
    Ok(asked.complete)
}

/// What was found once is found again.
fn check_files(asked: Asked, known: &mut BTreeSet<String>) -> Result<bool> {
    once(&asked.lines)?;
    let found: BTreeSet<String> = asked.lines.into_iter().collect();
    if asked.complete {
        let lost = known.difference(&found).next();
        ensure!(
            lost.is_none(),
            "{lost:?} was found before and is missing in an answer that says it is complete"
        );
    }
    known.extend(found);
    Ok(asked.complete)
}

fn once(sorted: &[String]) -> Result<()> {
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "found twice: {twice:?}");
    Ok(())
}

/// Asks once. `None`: the node is gone, or went while it answered, and claims nothing.
pub(crate) fn ask(query: &str, q: &str) -> Result<Option<Asked>> {
    let Some(body) = answer(&format!("{query}/api/v1/query?format=ndjson&q={}", encode(q)))? else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    let mut complete = None;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { return Ok(None) };
        match value["payload"].as_str() {
            Some(payload) => lines.push(payload.to_owned()),
            None => complete = value["stats"]["complete"].as_bool(),
        }
    }
    lines.sort_unstable();
    Ok(complete.map(|complete| Asked { lines, complete }))
}

/// Asks for the number of records, and whether it is all of them.
fn count(query: &str, q: &str) -> Result<Option<(u64, bool)>> {
    let Some(body) = answer(&format!("{query}/api/v1/histogram?buckets=8&q={}", encode(q)))? else {
        return Ok(None);
    };
    let value: Value = serde_json::from_slice(&body)?;
    let buckets = value["buckets"].as_array().context("a histogram has buckets")?;
    let sum = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
    Ok(Some((sum, value["stats"]["complete"].as_bool().context("a histogram says whether it is complete")?)))
}

/// The body of a good answer; `None` when the node is gone or about to go.
fn answer(url: &str) -> Result<Option<Vec<u8>>> {
    let Ok((status, body)) = get(url) else { return Ok(None) };
    ensure!([200, 206, 503].contains(&status), "status {status}: {}", String::from_utf8_lossy(&body));
    Ok(Some(body).filter(|_| status != 503))
}
