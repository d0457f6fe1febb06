//! Filters of queries over several nodes: exact, beside the data, and refused in words where they differ.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{Node, encode, get, post, quoted, until};

const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";

/// What the standard filters say of 6,000 [`lines`], each of which lies on two of three stores.
const STANDARD: [(&str, &[&str]); 8] = [
    (r#"grep /"n":17[,}]/ | fields n path as logfmt"#, &["n=17 path=/z"]),
    (r#"grep /"n":5\d\d\d/ invert=yes | count"#, &[r#"{"count":5000}"#]),
    ("where n>=5000 path~/x|nothing/ | count", &[r#"{"count":333}"#]),
    ("top 1 by host", &[r#"{"host":"a","count":3000,"share_percent":50}"#]),
    (
        "stats n by host",
        &[
            r#"{"host":"a","count":3000,"min":0,"max":5998,"avg":2999,"p50":2992,"p95":5728,"p99":5920}"#,
            r#"{"host":"b","count":3000,"min":1,"max":5999,"avg":3000,"p50":2992,"p95":5728,"p99":5920}"#,
        ],
    ),
    ("dedup by path | count", &[r#"{"count":6}"#]),
    (r#"redact /"n":(\d+)/ | dedup | count"#, &[r#"{"count":6}"#]),
    ("patterns | fields count share_percent as text", &["6000 100"]),
];

/// The rows of an answer, and its last line.
fn ask(url: &str, q: &str) -> Result<(u16, Vec<Value>, Value)> {
    let (status, body) = get(&format!("{url}/api/v1/query?q={}", encode(q)))?;
    let mut rows = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        rows.push(serde_json::from_slice(line)?);
    }
    let last = rows.pop().context("an answer has a last line")?;
    Ok((status, rows, last))
}

/// The payloads of an answer that is whole.
fn payloads(url: &str, q: &str) -> Result<Vec<String>> {
    let (status, rows, last) = ask(url, q)?;
    ensure!(status == 200 && last["stats"]["complete"] == true, "{q}: status {status}: {last}");
    Ok(rows.iter().map(|row| row["payload"].as_str().unwrap_or_default().to_owned()).collect())
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    let line = |n: u32| {
        let (host, path) = (["a", "b"][n as usize % 2], ["/x", "/y", "/z"][n as usize % 3]);
        format!("{{\"n\":{n},\"path\":\"{path}\",\"host\":\"{host}\",\"level\":\"info\"}}\n")
    };
    numbers.map(line).collect()
}

fn send(url: &str, topic: &str, numbers: std::ops::Range<u32>) -> Result<()> {
    let (status, body) =
        post(&format!("{url}/api/v1/ingest?topic={topic}"), "text/plain", lines(numbers).as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

#[test]
fn filters_run_on_every_node_and_aggregates_see_each_record_once() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until(
        "the nodes know each other",
        || ask(&query, "x"),
        |(_, _, last)| last["stats"]["complete"] == true,
    )?;
    send(&ingest, "t", 0..6000)?;
    let by_path =
        [r#"{"path":"/x","count":2000}"#, r#"{"path":"/y","count":2000}"#, r#"{"path":"/z","count":2000}"#];
    // In the log, in the backlog, on the stores: wherever they are.
    for _ in 0..5 {
        ensure!(payloads(&query, "topic:t | count by path")? == by_path);
    }
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    ensure!(payloads(&query, "topic:t | count by path")? == by_path);
    ensure!(payloads(&query, "topic:t host:a | count")? == [r#"{"count":3000}"#]);
    ensure!(payloads(&query, "topic:nothing | count")? == [r#"{"count":0}"#]);
    ensure!(payloads(&query, "topic:t | count by host | count")? == [r#"{"count":2}"#]);
    let sampled = payloads(&query, "topic:t | sample 0.1")?;
    ensure!((450..750).contains(&sampled.len()), "{} of 6000 sampled by 0.1", sampled.len());
    // The same ones every time, whoever is asked and counts.
    ensure!(payloads(&query, "topic:t | sample 0.1")? == sampled);
    let counted = format!("{{\"count\":{}}}", sampled.len());
    ensure!(payloads(&query, "topic:t | sample 0.1 | count")? == [counted]);
    let histogram = get(&format!("{query}/api/v1/histogram?q={}", encode("topic:t | sample 0.1 | count")))?.1;
    let histogram: Value = serde_json::from_slice(&histogram)?;
    let buckets = histogram["buckets"].as_array().context("buckets")?.iter();
    let total: u64 = buckets.filter_map(|bucket| bucket["count"].as_u64()).sum();
    ensure!(total == sampled.len() as u64, "{total} in the histogram");
    for (pipes, expected) in STANDARD {
        let answer = payloads(&query, &format!("topic:t | {pipes}"))?;
        ensure!(answer.iter().eq(expected), "{pipes}: {answer:?}");
    }
    // With one of three stores gone each record still has one copy.
    cluster.kill("s2")?;
    let whole = |(status, _, _): &(u16, Vec<Value>, Value)| *status == 200;
    let (_, rows, _) = until("the others answer", || ask(&query, "topic:t | count by path"), whole)?;
    ensure!(rows.iter().map(|row| row["payload"].as_str()).eq(by_path.map(Some)), "{rows:?}");
    Ok(())
}

/// Starts a node with a filter of one's own, `mine`.
fn node(dir: &Path, component: &Path) -> Result<Node> {
    let config = dir.join("weir.toml");
    let text = format!(
        "[node]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:0\"\nfast = \"off\"\ndurable = \"off\"\n\
         [plugins.mine]\npath = {}\n",
        quoted(&dir.join("data")),
        quoted(component),
    );
    std::fs::write(&config, text)?;
    Node::start(&config)
}

#[test]
fn what_is_wrong_with_a_filter_is_told_and_the_node_goes_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let component = dir.path().join("mine.wasm");
    std::fs::write(&component, b"no component")?;
    let node = node(dir.path(), &component)?;
    let url = node.url("");
    send(&url, "t", 0..10)?;
    for (q, column, words) in [
        ("topic:t | cuont", 11, "there is no filter cuont"),
        ("topic:t | stdin-source", 11, "stdin-source is a source"),
        ("topic:t | sample", 17, "share: expected a number, got nothing"),
        ("topic:t | sample 2", 18, "share: expected at most 1"),
        ("topic:t | sample x=1", 18, "sample has no parameter x"),
        ("topic:t | sample 0.1 0.2", 22, "takes no argument here"),
        ("topic:t | count by", 17, "nothing follows by"),
        ("topic:t | mine", 11, "not a WebAssembly file"),
    ] {
        let (status, body) = get(&format!("{url}/api/v1/query?q={}", encode(q)))?;
        let error: Value = serde_json::from_slice(&body)?;
        let (message, at) =
            (error["error"]["message"].as_str().unwrap_or_default(), &error["error"]["column"]);
        ensure!(status == 400 && message.contains(words) && *at == column, "{q}: {status} {error}");
    }
    let (status, body) = get(&format!("{url}/api/v1/tail?q={}", encode("topic:t | count")))?;
    ensure!(status == 400, "a tail has no end: {status} {}", String::from_utf8_lossy(&body));
    ensure!(payloads(&url, "topic:t | count")? == [r#"{"count":10}"#]);
    ensure!(node.terminate()? == 0);
    Ok(())
}
