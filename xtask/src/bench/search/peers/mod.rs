//! Other log stores that a user has running: the same lines are sent to them, and they are asked the same.
//!
//! What they find is compared with what there is, but a difference is told and not an error: it is not our figure
//! that is wrong.

mod json;
mod loki;
mod span;
mod victorialogs;

#[cfg(test)]
mod script;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use self::loki::Loki;
use self::span::Span;
use self::victorialogs::VictoriaLogs;
use crate::args;
use crate::bench::Row;
use crate::bench::disk::megabytes;
use crate::bench::http::Client;
use crate::bench::latency::milliseconds;
use crate::bench::search::details::Detail;
use crate::bench::search::pieces;
use crate::bench::search::questions::{COUNT, QUESTIONS, Question, Target};
use crate::bench::search::row;
use crate::bench::search::timing::timed;
use crate::bench::table::Goal;

/// How long a peer may take from the last line sent until it finds all of them.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two questions for that.
const LOOK: Duration = Duration::from_secs(1);

/// A store that speaks its own language over HTTP.
trait Peer {
    /// What the rows about times call it.
    fn name(&self) -> &'static str;
    /// What the row about ingest calls it.
    fn name_of_rate(&self) -> &'static str;
    /// A new connection: idle ones are ended by the other side.
    fn reconnect(&mut self) -> anyhow::Result<()>;
    /// The body of the request that sends these whole lines, of which the first has this number.
    fn encode(&self, lines: &[u8], first: u64) -> Vec<u8>;
    /// Sends such a body.
    fn send(&mut self, body: &[u8]) -> anyhow::Result<()>;
    /// How many lines the answer is about. `None` if it knows no such question.
    fn ask(&mut self, question: &Question) -> anyhow::Result<Option<u64>>;
    /// Reads everything; returns the number of lines. `None` if it cannot give that in one answer.
    fn export(&mut self) -> anyhow::Result<Option<u64>>;
    /// Whether what VictoriaLogs is to be beaten by holds for it.
    fn is_victorialogs(&self) -> bool;
}

/// What weir did, for the rows about the others.
pub(super) struct Weir<'a> {
    pub(super) file: &'a Path,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) slice_lines: u64,
    /// MB/s of ingest.
    pub(super) rate: f64,
    /// The times of all questions in their order, then that of the export.
    pub(super) details: &'a [Detail],
}

/// The rows of all peers that were named.
pub(super) fn measure(options: &args::Peers, weir: &Weir<'_>) -> anyhow::Result<Vec<Row>> {
    let span = Span::ending_now(weir.lines, weir.slice_lines)?;
    let mut rows = Vec::new();
    if let Some(url) = &options.victorialogs {
        let mut peer = VictoriaLogs::connect(host(url)?, span.clone())?;
        rows.extend(measure_one(&mut peer, weir).with_context(|| format!("VictoriaLogs at {url}"))?);
    }
    if let Some(url) = &options.loki {
        let mut peer = Loki::connect(host(url)?, span)?;
        rows.extend(measure_one(&mut peer, weir).with_context(|| format!("Loki at {url}"))?);
    }
    Ok(rows)
}

fn measure_one(peer: &mut dyn Peer, weir: &Weir<'_>) -> anyhow::Result<Vec<Row>> {
    let rate = megabytes(weir.bytes) / ingest(peer, weir)?.as_secs_f64();
    let mut rows = vec![row("ingest, MB/s", weir.rate, peer.name_of_rate(), rate, Goal::Shown)];
    until_found(peer, weir.lines)?;
    for (question, detail) in QUESTIONS.iter().zip(weir.details) {
        peer.reconnect()?;
        let Some(found) = peer.ask(question).with_context(|| question.name)? else { continue };
        if found != detail.lines {
            eprintln!("search: {}: {}: finds {found} of {} lines", peer.name(), question.name, detail.lines);
        }
        let took = timed(|| Ok(Duration::ZERO), || peer.ask(question).map(|_| None))?.wall;
        let beaten = question.targets.iter().find_map(|target| match target {
            Target::OfVictoriaLogs(share) if peer.is_victorialogs() => Some(Goal::AtMost(*share)),
            _ => None,
        });
        let goal = beaten.unwrap_or(Goal::Shown);
        rows.push(row(question.name, milliseconds(detail.weir.wall), peer.name(), milliseconds(took), goal));
    }
    peer.reconnect()?;
    let started = Instant::now();
    if let (Some(lines), Some(detail)) = (peer.export()?, weir.details.get(QUESTIONS.len())) {
        if lines != weir.lines {
            eprintln!("search: {}: export: {lines} of {} lines came out", peer.name(), weir.lines);
        }
        let ms = milliseconds(started.elapsed());
        let what = "export of everything, ms";
        rows.push(row(what, milliseconds(detail.weir.wall), peer.name(), ms, Goal::Shown));
    }
    Ok(rows)
}

/// Sends everything. Returns how long the requests took, without what it cost here to make them.
fn ingest(peer: &mut dyn Peer, weir: &Weir<'_>) -> anyhow::Result<Duration> {
    let (mut took, mut first) = (Duration::ZERO, 0);
    pieces::each(File::open(weir.file).context("open the corpus")?, |lines| {
        let body = peer.encode(lines, first);
        let sent = Instant::now();
        peer.send(&body)?;
        took += sent.elapsed();
        first += pieces::newlines(lines);
        Ok(())
    })?;
    Ok(took)
}

/// Waits until it finds all lines.
fn until_found(peer: &mut dyn Peer, lines: u64) -> anyhow::Result<()> {
    let everything = Question { name: "everything", ..COUNT };
    let started = Instant::now();
    loop {
        peer.reconnect()?;
        let found = peer.ask(&everything)?.context("it cannot count")?;
        if found >= lines {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("it finds {found} of {lines} lines after {PATIENCE:?}");
        }
        std::thread::sleep(LOOK);
    }
}

/// `host:port` of a URL.
fn host(url: &str) -> anyhow::Result<&str> {
    let host = url.strip_prefix("http://").with_context(|| format!("`{url}`: expected http://host:port"))?;
    let host = host.trim_end_matches('/');
    ensure!(host.contains(':') && !host.contains('/'), "`{url}`: expected http://host:port");
    Ok(host)
}

/// A connection that can be made again.
struct Connection {
    host: String,
    client: Client,
}

impl Connection {
    fn open(host: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::connect(host)?, host: host.to_owned() })
    }

    fn renew(&mut self) -> anyhow::Result<()> {
        self.client = Client::connect(self.host.as_str())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:9428", Some("127.0.0.1:9428")),
            ("http://logs:3100/", Some("logs:3100")),
            ("https://logs:3100", None),
            ("http://logs", None),
            ("http://logs:1/x", None),
            ("logs:1", None),
        ] {
            assert_eq!(host(url).ok(), expected, "{url}");
        }
    }
}
