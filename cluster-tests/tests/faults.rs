//! Every call by which a node changes its disk fails once, or is the last one: what was acknowledged is found
//! after a restart, each record once.
//!
//! Method: strace stands between a real node and the kernel, and either kills the node at the n-th call of a kind
//! or has that call fail. A run without faults is traced first; its calls are the points at which the others fail.
//! There are two lives. A new one: an empty directory, 200 records in two bursts, each sealed, handed over to the
//! node's own store and let go of. And a second one: the start after a kill, with 200 records in an incomplete
//! piece, which is completed, sealed and handed over.
//!
//! strace counts the calls of each thread by itself, so the n-th call of the one that makes most of them hides the
//! n-th of the others. Hence each place of the directory is a target of its own besides the whole of it: there,
//! only calls on the paths of the traced run count. The names of a second life are the same in every run.

mod check;
mod life;
mod point;
pub(crate) mod strace;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, anyhow, ensure};

use check::Outcome;
use life::Lives;
use point::Point;

/// Runs at a time: a run mostly waits.
const SIDE_BY_SIDE: usize = 4;
/// Points of the usual share.
const POINTS: usize = 96;
/// Threads take turns differently in each run, so some points are not reached in theirs.
const HITS_PERCENT_MIN: usize = 80;

#[test]
fn no_failing_call_loses_doubles_or_invents_a_record() -> Result<()> {
    strace::check_usable()?;
    let long = std::env::var_os("WEIR_LONG").is_some();
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let only = std::env::var("POINT").ok();
    println!("seed {seed}");
    let lives = Lives::prepare()?;
    let all = point::all(&lives.calls()?);
    let points = match &only {
        Some(only) => all.into_iter().filter(|point| point.to_string() == *only).collect(),
        None if long => all,
        None => point::sample(all, POINTS, &mut fastrand::Rng::with_seed(seed)),
    };
    ensure!(!points.is_empty(), "there is no such point");
    let outcomes = try_all(&lives, &points)
        .with_context(|| format!("SEED={seed} repeats the sample, POINT one of it"))?;
    if only.is_none() {
        check_hits(&outcomes)?;
    }
    Ok(())
}

/// Tries points side by side. The error names every one that failed.
fn try_all<'a>(lives: &Lives, points: &'a [Point]) -> Result<Vec<(&'a Point, Outcome)>> {
    let waiting = Mutex::new(points.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut tried = Vec::new();
        while let Some(point) = next() {
            let outcome = lives.try_point(point);
            println!(
                "{point}: {}",
                outcome.as_ref().map_or("FAILED".into(), |outcome| format!("{outcome:?}"))
            );
            tried.push((point, outcome));
        }
        tried
    };
    let tried = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    });
    let mut outcomes = Vec::new();
    let mut failed = Vec::new();
    for (point, outcome) in tried.map_err(|_| anyhow!("a worker has panicked"))?.into_iter().flatten() {
        match outcome {
            Ok(outcome) => outcomes.push((point, outcome)),
            Err(error) => failed.push(format!("POINT=\"{point}\": {error:#}")),
        }
    }
    ensure!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n\n"));
    Ok(outcomes)
}

/// Faults that were not injected prove nothing.
fn check_hits(outcomes: &[(&Point, Outcome)]) -> Result<()> {
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (point, outcome) in outcomes {
        let (hits, tried) = kinds.entry(point.kind()).or_default();
        *hits += usize::from(*outcome != Outcome::Missed);
        *tried += 1;
    }
    println!("hits of tried: {kinds:#?}");
    let hits: usize = kinds.values().map(|(hits, _)| hits).sum();
    ensure!(hits * 100 >= outcomes.len() * HITS_PERCENT_MIN, "only {hits} of {} were hit", outcomes.len());
    let never = kinds.iter().find(|(_, (hits, _))| *hits == 0);
    ensure!(never.is_none(), "never hit: {never:?}");
    for call in point::CALLS {
        for fault in point::FAULTS {
            let kind = point::kind(call, fault);
            ensure!(kinds.contains_key(&kind), "{kind} was not tried: the node makes no such call?");
        }
    }
    Ok(())
}
