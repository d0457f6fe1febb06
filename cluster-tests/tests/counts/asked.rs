//! What is sent, and what a query node answers.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{encode, get, post_with, until};

/// Pieces are sealed soon, so that records are in logs, backlogs and stores at once.
pub(super) const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";

/// An answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) count: u64,
    /// None of a count.
    pub(super) lines: Vec<String>,
    pub(super) is_complete: bool,
    pub(super) missing: Vec<Value>,
}

/// A line by its number.
pub(super) fn line(number: u64) -> String {
    format!("number {number} level={}", ["info", "warn", "error"][number as usize % 3])
}

/// Sends numbered lines, under a key if there is one.
pub(super) fn send(
    url: &str,
    durability: &str,
    key: Option<&str>,
    numbers: std::ops::Range<u64>,
) -> Result<()> {
    let body = numbers.map(line).collect::<Vec<_>>().join("\n");
    let mut headers = vec![("content-type", "text/plain")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let path = format!("{url}/api/v1/ingest?topic=t&durability={durability}");
    let (status, answer) = post_with(&path, &headers, body.as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Counts what matches.
pub(super) fn count(url: &str, q: &str) -> Result<Asked> {
    let (status, body) = get(&format!("{url}/api/v1/histogram?buckets=20&q={}", encode(q)))?;
    ensure!(status == 200 || status == 206, "status {status}: {}", String::from_utf8_lossy(&body));
    let value: Value = serde_json::from_slice(&body)?;
    let buckets = value["buckets"].as_array().context("a histogram has buckets")?;
    let count = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
    of(count, Vec::new(), &value["stats"])
}

/// Has an aggregate count what matches: the sum over its rows.
pub(super) fn sum(url: &str, q: &str) -> Result<Asked> {
    let Asked { lines, is_complete, missing, .. } = rows(url, &format!("q={}", encode(q)))?;
    let mut count = 0;
    for line in &lines {
        let row: Value = serde_json::from_str(line)?;
        count += row["count"].as_u64().with_context(|| format!("a row counts: {line}"))?;
    }
    Ok(Asked { count, lines: Vec::new(), is_complete, missing })
}

/// Asks for rows.
pub(super) fn rows(url: &str, params: &str) -> Result<Asked> {
    let (status, body) = get(&format!("{url}/api/v1/query?format=ndjson&{params}"))?;
    ensure!(status == 200 || status == 206, "status {status}: {}", String::from_utf8_lossy(&body));
    let (mut lines, mut stats) = (Vec::new(), Value::Null);
    for text in body.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
        let value: Value = serde_json::from_slice(text)?;
        match value["payload"].as_str() {
            Some(payload) => lines.push(payload.to_owned()),
            None => stats = value["stats"].clone(),
        }
    }
    of(lines.len() as u64, lines, &stats)
}

fn of(count: u64, lines: Vec<String>, stats: &Value) -> Result<Asked> {
    let is_complete = stats["complete"].as_bool().context("an answer says whether it is complete")?;
    let missing = stats["missing"].as_array().cloned().unwrap_or_default();
    Ok(Asked { count, lines, is_complete, missing })
}

/// Waits until the nodes know each other.
pub(super) fn ready(cluster: &Cluster) -> Result<()> {
    let url = cluster.url("q");
    until("the nodes know each other", || rows(&url, "limit=1"), |asked| asked.is_complete).map(drop)
}
