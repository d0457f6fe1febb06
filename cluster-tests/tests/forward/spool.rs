//! A spool that is full: sources wait, or the oldest goes.

use std::collections::HashSet;
use std::io::Write;
use std::process::ChildStdin;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::until;

use super::world::{Ingest, metric, pipe, piped};

/// The smallest spool there is.
const SPOOL_BYTES: u64 = 16 << 20;
/// What one poll of the source may bring beyond it.
const POLL_BYTES: u64 = 3 << 20;
const LINES: u64 = 40_000;

fn wide(number: u64) -> String {
    format!("wide {number} {}", "y".repeat(1_000))
}

fn feed(mut stdin: ChildStdin) -> std::thread::JoinHandle<std::io::Result<()>> {
    std::thread::spawn(move || (0..LINES).try_for_each(|number| writeln!(stdin, "{}", wide(number))))
}

#[test]
fn a_full_spool_keeps_the_source_waiting_and_nothing_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::new(dir.path())?;
    let spool = dir.path().join("spool").display().to_string();
    let flags = ["--data-dir", &spool, "--spool-bytes", "16MiB"];
    let (mut forwarder, stdin) = piped(pipe(&flags, &[&ingest.relay.url()]))?;
    let feeding = feed(stdin);
    let bytes = || metric(&forwarder, "weir_forward_spool_bytes");
    until("the spool is full", bytes, |bytes| *bytes > SPOOL_BYTES - POLL_BYTES)?;
    let before = ingest.relay.turned_away();
    until("it is tried again", || Ok(ingest.relay.turned_away()), |tried| *tried > before + 3)?;
    ensure!(bytes()? <= SPOOL_BYTES, "{} bytes in a spool of {SPOOL_BYTES}", bytes()?);
    ensure!(!feeding.is_finished(), "everything was read, so nothing waits");
    ensure!(metric(&forwarder, "weir_forward_dropped_records_total")? == 0);
    ingest.start()?;
    feeding.join().ok().context("the writer ends")??;
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    let found = ingest.lines("in")?;
    let wrong = found.iter().zip((0..LINES).map(wide)).position(|(found, want)| *found != want);
    ensure!(wrong.is_none() && found.len() as u64 == LINES, "{} lines, wrong at {wrong:?}", found.len());
    Ok(())
}

#[test]
fn a_full_spool_may_drop_the_oldest_and_counts_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::new(dir.path())?;
    let spool = dir.path().join("spool").display().to_string();
    let flags = ["--data-dir", &spool, "--spool-bytes", "16MiB", "--on-full", "drop-oldest"];
    let (mut forwarder, stdin) = piped(pipe(&flags, &[&ingest.relay.url()]))?;
    feed(stdin).join().ok().context("the writer ends")??;
    let journaled = || metric(&forwarder, "weir_records_in_total");
    until("all was read", journaled, |records| *records == LINES)?;
    let dropped = metric(&forwarder, "weir_forward_dropped_records_total")?;
    ensure!(dropped > 0 && dropped < LINES, "{dropped} dropped");
    ensure!(metric(&forwarder, "weir_forward_spool_bytes")? <= SPOOL_BYTES);
    ingest.start()?;
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    ensure!(forwarder.log().contains("the spool is full: the oldest records are dropped"));
    let found = ingest.lines("in")?;
    let distinct: HashSet<&String> = found.iter().collect();
    ensure!(distinct.len() == found.len(), "{} lines are there twice", found.len() - distinct.len());
    ensure!(found.len() as u64 + dropped == LINES, "{} found and {dropped} dropped", found.len());
    ensure!(found.last() == Some(&wide(LINES - 1)), "the newest was dropped");
    Ok(())
}
