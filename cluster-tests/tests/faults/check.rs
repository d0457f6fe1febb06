//! What must hold at the end of a life with a fault, and after the start that follows.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use weir_query::time::parse_time;

use super::life::{Ended, Request, Sent, line};
use super::point::{Fault, Point};
use super::strace::Injected;

/// What became of a node with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The call was not made.
    Missed,
    Killed,
    /// It ended by itself and said why.
    Stopped,
    WentOn,
}

/// Checks how a life has ended.
pub(super) fn end(point: &Point, ended: &Ended, injected: Option<&Injected>) -> Result<Outcome> {
    ensure!(!ended.log.contains("panicked"), "a panic");
    if point.fault == Fault::Kill {
        return match ended.code {
            Some(-1) => Ok(Outcome::Killed),
            None => Ok(Outcome::Missed),
            Some(code) => bail!("exit code {code}, and no fault was injected but a kill"),
        };
    }
    let Some(injected) = injected else {
        ensure!(ended.code.is_none(), "it ended without a fault");
        return Ok(Outcome::Missed);
    };
    for request in &ended.sent.requests {
        match request.status {
            Some(200 | 507) | None => {}
            // No room in the log is told as such; all else that fails there is for good.
            Some(503) if ended.code.is_some() => {}
            Some(status) => bail!("answered {status} to {:?}", request.numbers()),
        }
    }
    if let Some(code) = ended.code {
        ensure!(code > 0, "exit code {code}");
        let reason = if point.fault == Fault::Io { "(os error 5)" } else { "(os error 28)" };
        ensure!(ended.log.contains(reason), "it ended without the reason");
    }
    if point.is_failed_sync() {
        ensure!(ended.code.is_some(), "it goes on after a failed sync");
        let known_at_seconds = poisoned_at_seconds(&ended.log).unwrap_or(injected.at_seconds);
        let later = |request: &&Request| request.status == Some(200) && request.at_seconds > known_at_seconds;
        let later = ended.sent.requests.iter().find(later);
        ensure!(later.is_none(), "acknowledged after a failed sync: {later:?}");
    }
    Ok(if ended.code.is_some() { Outcome::Stopped } else { Outcome::WentOn })
}

/// When the node knew of a failed sync, in seconds since 1970: under strace milliseconds after the call began, in which
/// other threads go on.
fn poisoned_at_seconds(log: &str) -> Option<f64> {
    let told = log.lines().find(|line| line.contains("poisoned:"))?;
    let ms = parse_time(told.split_whitespace().next()?, 0).ok()?;
    // What was cut off its time must not make it earlier.
    Some((ms + 1) as f64 / 1000.0)
}

/// Checks that exactly the acknowledged records are there, once each, and perhaps others that were sent.
pub(super) fn records(found: &[String], before: &[Request], sent: &Sent) -> Result<()> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for text in found {
        let number = text.split(' ').nth(1).and_then(|number| number.parse().ok());
        let number = number.with_context(|| format!("a line that nobody sent: {text:?}"))?;
        ensure!(*text == line(number), "altered: {text:?}");
        *counts.entry(number).or_default() += 1;
    }
    let twice = counts.iter().find(|(_, count)| **count > 1);
    ensure!(twice.is_none(), "twice: {twice:?}");
    let requests = || before.iter().chain(&sent.requests);
    let invented =
        counts.keys().find(|number| !requests().any(|request| request.numbers().contains(*number)));
    ensure!(invented.is_none(), "invented: {invented:?}");
    let acknowledged = requests().filter(|request| request.status == Some(200)).flat_map(Request::numbers);
    let lost: Vec<u64> = acknowledged.filter(|number| !counts.contains_key(number)).collect();
    ensure!(lost.is_empty(), "lost: {lost:?}");
    Ok(())
}
