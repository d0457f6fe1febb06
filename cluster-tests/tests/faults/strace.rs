//! strace: starting a node below it, and reading what it has written.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use weir_cluster_tests::process::weir_bin;

use super::point::{CALLS, Fault, Point};

/// How many calls a full disk refuses.
const REFUSED: usize = 3;

/// A call that a node has made.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) thread: u32,
    pub(super) name: String,
    /// Of the file or folder, relative to the data directory; empty for the directory itself.
    pub(super) path: String,
}

/// What a trace says of the injected fault.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Injected {
    /// Seconds since 1970 when the first such call began.
    pub(super) at_seconds: f64,
    pub(super) path: String,
}

/// Fails, and says what to do, where strace cannot be used.
pub(crate) fn check_usable() -> Result<()> {
    let tried =
        Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output();
    match tried {
        Err(error) => {
            bail!("strace cannot be started ({error}): install it, on Debian with `apt-get install strace`")
        }
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "strace cannot trace: {}; in a container allow ptrace, such as with `docker run --cap-add SYS_PTRACE`; \
             elsewhere see /proc/sys/kernel/yama/ptrace_scope, which must be below 3",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}

/// A node below strace; `None` injects nothing. The process that is started is the node: strace is its grandchild.
pub(super) fn node(dir: &Path, point: Option<&Point>, trace: &Path) -> Command {
    let data = dir.join("data");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-ttt", "-y", "-s", "0", "-o"]).arg(trace);
    match point {
        None => {
            command.arg("-e").arg(format!("trace={}", CALLS.join(",")));
        }
        Some(point) => {
            let Point { call, nth, .. } = point;
            command.arg("-e").arg(format!("trace={call}"));
            command.arg("-e").arg(match point.fault {
                Fault::Kill => format!("inject={call}:signal=SIGKILL:when={nth}"),
                Fault::Io => format!("inject={call}:error=EIO:when={nth}"),
                Fault::Full => format!("inject={call}:error=ENOSPC:when={nth}..{}", nth + REFUSED - 1),
            });
            for path in &point.paths {
                // The folder itself is not there yet: a path with a slash at its end would not be its name.
                command.arg("-P").arg(if path.is_empty() { data.clone() } else { data.join(path) });
            }
        }
    }
    command.arg(weir_bin()).args(["run", "-c"]).arg(dir.join("weir.toml"));
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// The calls of a trace that concern a data directory.
pub(super) fn calls(trace: &Path, data: &Path) -> Result<Vec<Call>> {
    let text = std::fs::read_to_string(trace).with_context(|| format!("read {}", trace.display()))?;
    let line = Regex::new(r#"^(\d+) +[\d.]+ (\w+)\((?:\d+<([^>]*)>|"([^"]*)")"#)?;
    let data = data.display().to_string();
    let mut calls = Vec::new();
    for found in text.lines().filter_map(|text| line.captures(text)) {
        let path = found.get(3).or_else(|| found.get(4)).map_or("", |path| path.as_str());
        if let Some(path) = path.strip_prefix(&data) {
            let path = path.trim_start_matches('/').to_owned();
            calls.push(Call { thread: found[1].parse()?, name: found[2].to_owned(), path });
        }
    }
    ensure!(!calls.is_empty(), "{} has no calls", trace.display());
    Ok(calls)
}

/// The first call that was made to fail.
pub(super) fn injected(trace: &Path) -> Result<Option<Injected>> {
    let text = std::fs::read_to_string(trace).with_context(|| format!("read {}", trace.display()))?;
    let line =
        Regex::new(r#"^(\d+) +([\d.]+) (?:<\.\.\. )?(\w+)(?: resumed>|\((?:\d+<([^>]*)>|"([^"]*)"))"#)?;
    // A call that another thread has interrupted stands on two lines: the path is on the first.
    let mut begun = std::collections::BTreeMap::new();
    for text in text.lines() {
        let Some(found) = line.captures(text) else { continue };
        let path = found.get(4).or_else(|| found.get(5)).map(|path| path.as_str().to_owned());
        if let Some(path) = path {
            begun.insert(found[1].to_owned(), Injected { at_seconds: found[2].parse()?, path });
        }
        if text.ends_with("(INJECTED)") {
            return Ok(begun.remove(&found[1]));
        }
    }
    Ok(None)
}
