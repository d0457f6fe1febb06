//! The two lives of a node, with a fault in them, and the start that follows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use weir_cluster_tests::process::{Node, config_head, get, post_with, until};

use super::check::{self, Outcome};
use super::point::{Life, Point};
use super::strace::{self, Call};

pub(super) const RECORDS: u64 = 200;
/// Records of one request.
const REQUEST: u64 = 10;
/// One of so many requests has a key, for which ids are promised first.
const KEYED: u64 = 4;
/// Records of one burst: all of a burst is handed over before the next.
const BURST: u64 = 100;

/// What was sent, and how it was answered.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Records below this number were sent.
    pub(super) sent: u64,
    pub(super) requests: Vec<Request>,
}

/// Records from `first` on.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) first: u64,
    /// Seconds since 1970 when it began.
    pub(super) at_seconds: f64,
    /// `None` when the connection broke.
    pub(super) status: Option<u16>,
}

impl Request {
    pub(super) fn numbers(&self) -> std::ops::Range<u64> {
        self.first..self.first + REQUEST
    }
}

/// How a node that had a fault came to its end.
pub(super) struct Ended {
    pub(super) sent: Sent,
    /// Its exit code, -1 for a signal; `None` when it went on until all was done.
    pub(super) code: Option<i32>,
    pub(super) log: String,
}

/// Where the lives begin.
pub(super) struct Lives {
    root: TempDir,
    /// What was acknowledged in the life before the second.
    before: Vec<Request>,
}

impl Lives {
    pub(super) fn prepare() -> Result<Lives> {
        let root = tempfile::tempdir()?;
        let dir = root.path().canonicalize()?.join("before");
        fs::create_dir(&dir)?;
        // Nothing is sealed in the life before: its records are in an incomplete piece.
        let node = Node::start(&configure(&dir, "60m")?)?;
        let mut sent = Sent::default();
        sent.send(&node, RECORDS);
        ensure!(sent.requests.iter().all(|request| request.status == Some(200)), "{sent:?}");
        node.kill()?;
        Ok(Lives { root, before: sent.requests })
    }

    /// The calls that the lives make when nothing fails, twice each.
    pub(super) fn calls(&self) -> Result<Vec<(Life, [Vec<Call>; 2])>> {
        let traced = |life: Life, name: &str| -> Result<Vec<Call>> {
            let dir = self.begin(life, &format!("{life:?} {name}"))?;
            let trace = dir.join("trace");
            let ended = live(strace::node(&dir, None, &trace), life)?;
            ensure!(ended.code.is_none(), "it ended: {}", ended.log);
            strace::calls(&trace, &dir.join("data"))
        };
        [Life::New, Life::Second]
            .into_iter()
            .map(|life| Ok((life, [traced(life, "traced")?, traced(life, "traced again")?])))
            .collect()
    }

    /// Lives with a fault, then starts again without, and checks what is found.
    pub(super) fn try_point(&self, point: &Point) -> Result<Outcome> {
        let dir = self.begin(point.life, &point.to_string())?;
        let trace = dir.join("trace");
        let ended = live(strace::node(&dir, Some(point), &trace), point.life)?;
        let injected = strace::injected(&trace)?;
        let outcome = check::end(point, &ended, injected.as_ref()).with_context(|| {
            format!("{injected:?}, code {:?}, {:?}\n{}", ended.code, ended.sent, ended.log)
        })?;
        let before = if point.life == Life::Second { self.before.as_slice() } else { &[] };
        let mut again = Node::start(&dir.join("weir.toml")).context("the start that follows")?;
        let found = || -> Result<()> {
            check::records(&lines(&again)?, before, &ended.sent).context("at once")?;
            until("all is handed over again", || is_drained(&again), Result::is_ok)?.ok();
            check::records(&lines(&again)?, before, &ended.sent).context("when all was handed over")
        };
        found().with_context(|| {
            format!(
                "{injected:?}, code {:?}, {:?}\n{}\nafter the restart:",
                ended.code, ended.sent, ended.log
            )
        })?;
        let log = again.log();
        ensure!(!log.contains("panicked") && !log.contains("quarantined"), "after the restart: {log}");
        again.kill()?;
        fs::remove_dir_all(&dir)?;
        Ok(outcome)
    }

    /// A directory in which a life may begin.
    fn begin(&self, life: Life, name: &str) -> Result<PathBuf> {
        let root = self.root.path().canonicalize()?;
        let dir = root.join(name.replace(' ', "-"));
        fs::create_dir(&dir)?;
        configure(&dir, "100ms")?;
        if life == Life::Second {
            copy(&root.join("before/data"), &dir.join("data"))?;
        }
        Ok(dir)
    }
}

impl Sent {
    /// Sends the next `count` records, request by request; stops when a connection breaks.
    fn send(&mut self, node: &Node, count: u64) {
        let end = self.sent + count;
        while self.sent < end {
            let first = self.sent;
            self.sent += REQUEST;
            let mut request = Request { first, at_seconds: now_seconds(), status: None };
            let body: String = request.numbers().map(|number| line(number) + "\n").collect();
            let url = node.url("/api/v1/ingest?topic=faults&durability=stored");
            let mut headers = vec![("content-type", "text/plain")];
            let key = format!("key-{first}");
            if (first / REQUEST).is_multiple_of(KEYED) {
                headers.push(("idempotency-key", &key));
            }
            request.status = post_with(&url, &headers, body.as_bytes()).ok().map(|(status, _)| status);
            let is_broken = request.status.is_none();
            self.requests.push(request);
            if is_broken {
                return;
            }
        }
    }
}

/// Runs a node until it ends, or until all is done.
fn live(command: std::process::Command, life: Life) -> Result<Ended> {
    let mut node = Node::launch(command)?;
    let mut sent = Sent::default();
    let mut stuck = String::new();
    let mut alive = node.wait_listening().is_ok() && node.wait_ready().is_ok();
    let bursts = if life == Life::New { RECORDS / BURST } else { 0 };
    for burst in 0..=bursts {
        if alive && burst > 0 {
            sent.send(&node, BURST);
            alive = sent.requests.last().is_some_and(|request| request.status.is_some());
        }
        // An error is an answer that did not come: the process is ending, or is stuck.
        if alive && let Err(error) = until("all is handed over", || is_done(&mut node), Result::is_ok) {
            alive = false;
            stuck = format!("{error:#}");
        }
    }
    if alive {
        // The tracer ends with it, and has written all when the pipe closes.
        let pid = rustix::process::Pid::from_raw(node.pid() as i32).context("a process has an id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    }
    let code = node.wait_exit().with_context(|| format!("neither done nor ended: {stuck}"))?;
    Ok(Ended { sent, code: (!alive).then_some(code), log: node.log() })
}

/// Whether there is nothing left to do for the node, unless it is to start again.
fn is_done(node: &mut Node) -> Result<Result<(), String>> {
    let waits_for_restart = node.log().contains("a restart offers it again");
    if waits_for_restart { Ok(Ok(())) } else { is_drained(node) }
}

/// Whether all records have left the log, and all origins the backlog; if not, what the node says of itself.
fn is_drained(node: &Node) -> Result<Result<(), String>> {
    let (status, body) = get(&node.url("/metrics"))?;
    ensure!(status == 200, "status {status}");
    let text = String::from_utf8(body)?;
    let is_zero = |name: &str| text.lines().any(|line| line == format!("{name} 0"));
    if is_zero("weir_ingest_log_records") && is_zero("weir_backlog_origins") {
        return Ok(Ok(()));
    }
    let told = |line: &&str| line.starts_with("weir_") && !line.contains("_bucket{") && !line.ends_with(" 0");
    Ok(Err(text.lines().filter(told).collect::<Vec<_>>().join(" ")))
}

fn lines(node: &Node) -> Result<Vec<String>> {
    let (status, body) = get(&node.url("/api/v1/query?format=text&q=topic:faults"))?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    Ok(String::from_utf8(body)?.lines().map(str::to_owned).collect())
}

/// A line with a number, of a length that depends on it, so that mixed-up lines show.
pub(super) fn line(number: u64) -> String {
    format!("line {number} {}", "x".repeat((number % 61) as usize))
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// All roles, and pieces that are sealed after `seal_age`.
fn configure(dir: &Path, seal_age: &str) -> Result<PathBuf> {
    let path = dir.join("weir.toml");
    fs::write(&path, format!("{}[storage]\nseal = {{ age = \"{seal_age}\" }}\n", config_head(dir)))?;
    Ok(path)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
