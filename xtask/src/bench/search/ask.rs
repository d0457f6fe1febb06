//! Questions put to weir: what comes back, and whether it is right.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::bench::http::{Answer, Client, Request, encoded};
use crate::bench::search::questions::{Question, Wanted};
use crate::bench::search::reply;

/// An answer that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// How many lines it is about.
    pub(super) lines: u64,
    /// How long the node took, by its own statistics.
    pub(super) server: Duration,
    /// The lines, where those were wanted as they are.
    pub(super) text: String,
}

/// Asks once. `slice` is the first record of the newest twelfth.
pub(super) fn ask(client: &mut Client, question: &Question, slice: &str) -> anyhow::Result<Reply> {
    let query = encoded(&question.pattern.weir());
    let counted = |answer: &Answer| -> u64 { reply::numbers(&answer.body, "count").sum() };
    let (lines, stats, text) = match question.wanted {
        Wanted::Lines => {
            let answer = client.get(&format!("/api/v1/query?q={query}"))?;
            let lines = answer.body.lines().count().saturating_sub(1) as u64;
            // The last line holds the statistics.
            (lines, answer.body.lines().last().unwrap_or_default().to_owned(), String::new())
        }
        Wanted::Count => {
            let answer = client.get(&format!("/api/v1/histogram?q={query}&buckets=1"))?;
            (counted(&answer), answer.body, String::new())
        }
        Wanted::CountOfSlice => {
            let path = format!("/api/v1/histogram?q={query}&buckets=1&from={slice}");
            let answer = client.get(&path)?;
            (counted(&answer), answer.body, String::new())
        }
        Wanted::Histogram(buckets) => {
            let answer = client.get(&format!("/api/v1/histogram?q={query}&buckets={buckets}"))?;
            (counted(&answer), answer.body, String::new())
        }
        Wanted::Newest(limit) => {
            let path = format!("/api/v1/query?q={query}&limit={limit}&order=desc&format=text");
            let Answer { body, trailers } = client.get(&path)?;
            (body.lines().count() as u64, trailers, body)
        }
    };
    let server = reply::duration(&stats).with_context(|| question.name)?;
    Ok(Reply { lines, server, text })
}

/// Reads everything as text and throws it away; fails unless it has `bytes`.
pub(super) fn export(client: &mut Client, bytes: u64) -> anyhow::Result<Duration> {
    let mut received = 0;
    let server = exported(client, &mut |part| {
        received += part.len() as u64;
        Ok(())
    })?;
    ensure!(received == bytes, "{received} bytes came out of {bytes}");
    Ok(server)
}

/// Reads everything as text; fails unless it is what the file holds, byte for byte.
pub(super) fn export_is(client: &mut Client, file: &Path) -> anyhow::Result<()> {
    let mut file = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let (mut expected, mut at) = (Vec::new(), 0);
    exported(client, &mut |part| {
        expected.resize(part.len(), 0);
        file.read_exact(&mut expected).context("more came out than is in the file")?;
        ensure!(expected == part, "what came out differs from the file within {} bytes of {at}", part.len());
        at += part.len() as u64;
        Ok(())
    })?;
    let left = file.metadata()?.len() - at;
    ensure!(left == 0, "{left} bytes of the file did not come out");
    Ok(())
}

fn exported(
    client: &mut Client,
    take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let path = "/api/v1/query?format=text";
    let trailers =
        client.stream(Request { method: "GET", path, content_type: "text/plain", body: &[] }, take)?;
    reply::duration(&trailers).context("export")
}
