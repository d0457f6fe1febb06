//! Nodes apart from each other: records go from ingest nodes to stores, and a query node finds each of them once.

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{get, post, until};

/// Pieces are sealed soon, so that records are on the way when they are asked for.
const SETTINGS: &str = "[storage]\nseal = { age = \"200ms\" }";

/// Sends numbered lines, and expects the durability that was asked for.
pub(crate) fn send(url: &str, durability: &str, from: u64, to: u64) -> Result<()> {
    let body = numbers(to)[from as usize..].join("\n");
    let path = format!("{url}/api/v1/ingest?topic=t&durability={durability}");
    let (status, answer) = post(&path, "text/plain", body.as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// The lines that a query node finds, and whether it says that it found all.
pub(crate) fn found(url: &str) -> Result<(Vec<String>, bool, u16)> {
    let (status, body) = get(&format!("{url}/api/v1/query?format=ndjson&q=topic:t"))?;
    ensure!(status == 200 || status == 206, "status {status}: {}", String::from_utf8_lossy(&body));
    let mut lines = Vec::new();
    let mut complete = false;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_slice(line)?;
        match value["payload"].as_str() {
            Some(payload) => lines.push(payload.to_owned()),
            None => complete = value["stats"]["complete"] == true,
        }
    }
    Ok((lines, complete, status))
}

pub(crate) fn numbers(to: u64) -> Vec<String> {
    (0..to).map(|number| format!("number {number}")).collect()
}

#[test]
fn records_go_to_two_stores_and_each_is_found_once_also_when_one_store_is_gone() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until("the nodes know each other", || found(&query), |(_, complete, _)| *complete)?;
    // Asked for at once, while they go from the log to the stores.
    for round in 0..20 {
        send(&ingest, "stored", round * 100, (round + 1) * 100)?;
        let (lines, complete, _) = found(&query)?;
        ensure!(complete && lines == numbers((round + 1) * 100), "{} lines after round {round}", lines.len());
    }
    send(&ingest, "replicated", 2000, 2100)?;
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    for store in ["s1", "s2"] {
        cluster.until_metric(store, "weir_pulled_origins_total", |origins| origins > 0.0)?;
    }
    // Either store has all of it.
    for store in ["s1", "s2"] {
        cluster.kill(store)?;
        let (lines, complete, _) =
            until("the answer without it", || found(&query), |(_, complete, _)| *complete)?;
        ensure!(complete && lines == numbers(2100), "{} lines without {store}", lines.len());
        cluster.start(store)?;
        until("the store is back", || found(&query), |(_, complete, _)| *complete)?;
    }
    let (_, body) = get(&format!("{query}/api/v1/streams"))?;
    let streams: Value = serde_json::from_slice(&body)?;
    ensure!(streams["streams"][0]["topic"] == "t" && streams["missing"].is_null(), "streams: {streams}");
    // Without the ingest node nobody can tell what it has taken since.
    cluster.kill("i")?;
    let (lines, _, _) = until("the answer says so", || found(&query), |(_, complete, _)| !*complete)?;
    ensure!(lines == numbers(2100), "{} lines without the ingest node", lines.len());
    let (_, body) = get(&format!("{query}/api/v1/streams"))?;
    let streams: Value = serde_json::from_slice(&body)?;
    let missing = streams["missing"][0].as_str().unwrap_or_default();
    ensure!(streams["streams"][0]["topic"] == "t" && missing.contains(&ingest), "streams: {streams}");
    cluster.start("i")?;
    let (lines, _, _) = until("all is well again", || found(&query), |(_, complete, _)| *complete)?;
    ensure!(lines == numbers(2100), "{} lines at the end", lines.len());
    Ok(())
}

#[test]
fn a_store_that_is_lost_is_missed_by_name() -> Result<()> {
    let members = [("i", "ingest"), ("s", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    send(&ingest, "replicated", 0, 100)?;
    until("the lines are found", || found(&query), |(lines, complete, _)| *complete && lines.len() == 100)?;
    cluster.kill("s")?;
    let (lines, _, status) =
        until("the answer says that it lacks something", || found(&query), |(_, complete, _)| !*complete)?;
    ensure!(status == 206 && lines.is_empty(), "status {status} with {} lines", lines.len());
    let (_, body) = get(&format!("{query}/api/v1/query?format=ndjson&q=topic:t"))?;
    let body = String::from_utf8(body)?;
    ensure!(body.contains(&format!("\"node\":\"{}\"", cluster.url("s"))), "the store is not named: {body}");
    cluster.start("s")?;
    until("the lines are back", || found(&query), |(lines, complete, _)| *complete && lines.len() == 100)?;
    ensure!(cluster.terminate("q")? == 0, "a query node stops cleanly");
    Ok(())
}

#[test]
fn a_node_without_the_query_role_passes_questions_on_and_gives_no_part_for_the_whole() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until("the nodes know each other", || found(&query), |(_, complete, _)| *complete)?;
    send(&ingest, "replicated", 0, 100)?;
    let (from, to) = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    for node in ["i", "s1", "s2"] {
        let url = cluster.url(node);
        until("it knows who answers", || found_or_refused(&url), |lines| *lines == Some(numbers(100)))?;
        let (_, body) = get(&format!("{url}/api/v1/histogram?q=topic:t&buckets=1"))?;
        ensure!(serde_json::from_slice::<Value>(&body)?["buckets"][0]["count"] == 100, "a count by {node}");
        let (_, body) = get(&format!("{url}/api/v1/streams"))?;
        ensure!(serde_json::from_slice::<Value>(&body)?["streams"][0]["topic"] == "t", "streams by {node}");
        let (_, body) = get(&format!("{url}/store/query?from={from}&to={to}&q="))?;
        ensure!(body.split_inclusive(|byte| *byte == b'\n').count() == 100, "rows for OK Log by {node}");
        // Mistakes are told as by the node that answers.
        let (status, body) = get(&format!("{url}/api/v1/query?q=(a"))?;
        ensure!(status == 400 && String::from_utf8(body)?.contains("never closed"), "a mistake by {node}");
        let form = ("q=topic:t&limit=7&format=text", "application/x-www-form-urlencoded");
        let (status, body) = post(&format!("{url}/api/v1/query"), form.1, form.0.as_bytes())?;
        ensure!(
            status == 200 && body.split_inclusive(|byte| *byte == b'\n').count() == 7,
            "a form by {node}"
        );
    }
    cluster.kill("q")?;
    for node in ["i", "s1", "s2"] {
        let url = cluster.url(node);
        let (status, body) = get(&format!("{url}/api/v1/query?q=topic:t"))?;
        let body: Value = serde_json::from_slice(&body)?;
        ensure!(status == 503 && body["error"]["code"] == "no_query_node", "status {status}: {body}");
        let (status, body) = get(&format!("{url}/store/query?from={from}&to={to}&q="))?;
        ensure!(status == 503 && body.starts_with(b"this node does not answer"), "status {status}");
    }
    cluster.start("q")?;
    let url = cluster.url("s1");
    until("it is back", || found_or_refused(&url), |lines| *lines == Some(numbers(100)))?;
    Ok(())
}

/// The lines that a node finds; `None` while nobody answers.
fn found_or_refused(url: &str) -> Result<Option<Vec<String>>> {
    match get(&format!("{url}/api/v1/query?q=topic:t"))?.0 {
        503 => Ok(None),
        _ => found(url).map(|(lines, complete, _)| complete.then_some(lines)),
    }
}
