//! ripgrep on the plain file, and on what zstd makes of the stored one: the peers that every machine has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::bench::search::pattern::Pattern;
use crate::bench::search::questions::{Question, Wanted};
use crate::bench::search::timing::{Timed, timed};
use crate::bench::usage;
use crate::proc;

/// The Debian packages of the programs used here.
pub(super) const PACKAGES: [&str; 2] = ["ripgrep", "zstd"];

/// How many lines of the file have the pattern, and what it costs to know.
pub(super) fn count(pattern: Pattern, file: &Path) -> anyhow::Result<(u64, Timed)> {
    let mut lines = 0;
    let timed = timed(usage::cpu_of_children, || {
        lines = number(rg(pattern).arg("-c").arg("--").arg(file))?;
        Ok(None)
    })?;
    Ok((lines, timed))
}

/// The same for what `zstdcat` makes of the segments of a store: how soon one has the answer without weir.
pub(super) fn count_decoded(pattern: Pattern, segments: &[PathBuf]) -> anyhow::Result<(u64, Timed)> {
    let mut lines = 0;
    let timed = timed(usage::cpu_of_children, || {
        let mut decoding = decoding(segments).stdout(Stdio::piped()).spawn().context("start zstdcat")?;
        let decoded = decoding.stdout.take().context("zstdcat has no output")?;
        let counted = number(rg(pattern).arg("-c").arg("-").stdin(decoded));
        ensure!(decoding.wait()?.success(), "zstdcat has failed");
        lines = counted?;
        Ok(None)
    })?;
    Ok((lines, timed))
}

/// How many of the newest lines of the file have the pattern.
pub(super) fn count_newest(pattern: Pattern, file: &Path, lines: u64) -> anyhow::Result<(u64, Timed)> {
    let mut found = 0;
    let timed = timed(usage::cpu_of_children, || {
        let mut reading = Command::new("tail");
        let reading = reading.arg(format!("-n{lines}")).arg("--").arg(file);
        let mut reading = reading.stdout(Stdio::piped()).spawn().context("start tail")?;
        let newest = reading.stdout.take().context("tail has no output")?;
        let counted = number(rg(pattern).arg("-c").arg("-").stdin(newest));
        ensure!(reading.wait()?.success(), "tail has failed");
        found = counted?;
        Ok(None)
    })?;
    Ok((found, timed))
}

/// What it costs to decode the segments.
pub(super) fn decode(segments: &[PathBuf]) -> anyhow::Result<Timed> {
    timed(usage::cpu_of_children, || {
        let status = decoding(segments).stdout(Stdio::null()).status().context("start zstdcat")?;
        ensure!(status.success(), "zstdcat has failed");
        Ok(None)
    })
}

/// The newest lines with the pattern, newest last, and what it costs to have them by reading the file backwards.
pub(super) fn newest(question: &Question, file: &Path) -> anyhow::Result<(String, Timed)> {
    let Wanted::Newest(limit) = question.wanted else { bail!("{} wants no newest lines", question.name) };
    let mut lines = String::new();
    let timed = timed(usage::cpu_of_children, || {
        let mut reading = Command::new("tac");
        let mut reading = reading.arg(file).stdout(Stdio::piped()).spawn().context("start tac")?;
        let backwards = reading.stdout.take().context("tac has no output")?;
        let found =
            proc::capture(rg(question.pattern).args(["-m", &limit.to_string()]).arg("-").stdin(backwards));
        // It may have been cut short, since nobody read the rest.
        reading.wait()?;
        lines = found?;
        Ok(None)
    })?;
    Ok((lines.lines().rev().collect::<Vec<_>>().join("\n"), timed))
}

/// Size and processor time of the file as zstd packs it at a level, with one thread.
pub(super) fn packed(file: &Path, level: u32) -> anyhow::Result<(u64, f64)> {
    let used = usage::cpu_of_children()?;
    let mut packing = Command::new("zstd");
    packing.args([&format!("-{level}"), "--single-thread", "-q", "-c"]).arg(file).stdout(Stdio::piped());
    let mut packing = packing.spawn().context("start zstd")?;
    let mut packed = packing.stdout.take().context("zstd has no output")?;
    let bytes = std::io::copy(&mut packed, &mut std::io::sink())?;
    ensure!(packing.wait()?.success(), "zstd has failed");
    Ok((bytes, usage::cpu_of_children()?.saturating_sub(used).as_secs_f64()))
}

fn decoding(segments: &[PathBuf]) -> Command {
    let mut decoding = Command::new("zstdcat");
    decoding.arg("--").args(segments);
    decoding
}

fn rg(pattern: Pattern) -> Command {
    let mut rg = Command::new("rg");
    rg.args(["--no-config", "--color", "never", "--no-filename", "--no-line-number", "--text"]);
    rg.args(pattern.rg());
    rg
}

/// The number that `rg -c` prints; it prints none, and does not succeed, where there is nothing.
fn number(rg: &mut Command) -> anyhow::Result<u64> {
    let output = rg.stderr(Stdio::piped()).output().context("start rg")?;
    match (output.status.code(), String::from_utf8_lossy(&output.stdout).trim()) {
        (Some(0), number) => number.parse().with_context(|| format!("rg counts `{number}` lines")),
        (Some(1), "") => Ok(0),
        (_, _) => bail!("rg has failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}
