//! Forwarders whose clock is wrong.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, query, until};

use super::world::{Ingest, check, metric, pipe, piped, text};

/// Moves what `clock_gettime(CLOCK_REALTIME)` says by `CLOCK_OFFSET_S`.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, out);
    const char *offset = getenv("CLOCK_OFFSET_S");
    if (result == 0 && clock == CLOCK_REALTIME && offset) out->tv_sec += atol(offset);
    return result;
}
"#;

fn shim(dir: &Path) -> Result<PathBuf> {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    std::fs::write(&source, SHIM)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let status = cc.status().context("run cc, which every build of weir needs as well")?;
    ensure!(status.success(), "cc failed: {status}");
    Ok(library)
}

#[test]
fn a_forwarder_with_a_wrong_clock_goes_by_the_clocks_of_its_nodes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let shim = shim(dir.path())?;
    let ingest = Ingest::running(dir.path())?;
    for (round, offset_s) in [3_600, -3_600, 86_400 * 400].into_iter().enumerate() {
        let mut command = pipe(&["--label", &format!("round={round}")], &[&ingest.relay.url()]);
        command.env("LD_PRELOAD", &shim).env("CLOCK_OFFSET_S", offset_s.to_string());
        let (mut forwarder, mut stdin) = piped(command)?;
        stdin.write_all(text(0..100).as_bytes())?;
        drop(stdin);
        ensure!(forwarder.wait_exit()? == 0, "{offset_s} s: {}", forwarder.log());
        let found = ingest.lines(&format!("in%20label.round:{round}"))?;
        check(&found, 100).with_context(|| format!("{offset_s} s"))?;
    }
    // The ids say when it was, not what the wrong clock said.
    let recent = query(ingest.node()?, "q=topic%3Ain&from=10m&to=now")?.rows.len();
    ensure!(recent == 300, "{recent} of 300 are recent");
    Ok(())
}

/// A forwarder whose clock is an hour behind, with the first 100 lines in its journal.
fn an_hour_behind(dir: &Path, ingest: &Ingest) -> Result<(Node, ChildStdin)> {
    let spool = dir.join("spool").display().to_string();
    let mut command = pipe(&["--data-dir", &spool], &[&ingest.relay.url()]);
    command.env("LD_PRELOAD", shim(dir)?).env("CLOCK_OFFSET_S", "-3600");
    let (forwarder, mut stdin) = piped(command)?;
    stdin.write_all(text(0..100).as_bytes())?;
    until("all is journaled", || metric(&forwarder, "weir_records_in_total"), |records| *records == 100)?;
    Ok((forwarder, stdin))
}

#[test]
fn what_was_journaled_by_a_clock_behind_is_sent_when_the_nodes_are_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::new(dir.path())?;
    let (mut forwarder, mut stdin) = an_hour_behind(dir.path(), &ingest)?;
    ingest.start()?;
    until("the first lines", || ingest.lines("in"), |found| found.len() == 100)?;
    // The first answer has told the time: what comes now has it.
    stdin.write_all(text(100..200).as_bytes())?;
    drop(stdin);
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    check(&ingest.lines("in")?, 200)?;
    let recent = query(ingest.node()?, "q=topic%3Ain&from=10m")?.rows.len();
    ensure!(recent == 100, "{recent} lines have the time of the node");
    Ok(())
}

#[test]
fn what_is_older_than_the_nodes_keep_records_is_dropped_and_counted_and_the_rest_is_sent() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::with(dir.path(), "[retention]\nage = \"30m\"\n")?;
    let (mut forwarder, mut stdin) = an_hour_behind(dir.path(), &ingest)?;
    ingest.start()?;
    let dropped = || metric(&forwarder, "weir_forward_dropped_records_total");
    until("they are dropped", dropped, |dropped| *dropped == 100)?;
    stdin.write_all(text(0..50).as_bytes())?;
    drop(stdin);
    ensure!(forwarder.wait_exit()? == 0, "{}", forwarder.log());
    ensure!(forwarder.log().contains("records older than the nodes keep them are dropped"));
    check(&ingest.lines("in")?, 50)
}
