//! OK Log's routes between nodes: queries over several of weir's, and stores of OK Log that consume from one.

use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{Node, encode, get, post, quoted, until};
use weir_record::RecordId;

use crate::oklog::{EVER, head, payloads};

const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";

/// A text segment of numbered lines, with one of odd bytes at its end; and its payloads.
fn segment(lines: u64) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let now_ms = UNIX_EPOCH.elapsed()?.as_millis() as u64 - 60_000;
    let mut payloads: Vec<Vec<u8>> = (0..lines).map(|n| format!("line {n}").into_bytes()).collect();
    payloads.push(b"odd \0\xff\" 100%".to_vec());
    let mut text = Vec::new();
    for (n, payload) in payloads.iter().enumerate() {
        text.extend_from_slice(RecordId::from_parts(now_ms + n as u64, 5).to_string().as_bytes());
        text.push(b' ');
        text.extend_from_slice(payload);
        text.push(b'\n');
    }
    Ok((text, payloads))
}

fn replicate(url: &str, text: &[u8]) -> Result<()> {
    let (status, said) = post(&format!("{url}/store/replicate"), "application/binary", text)?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// Status and payloads of a query by one of its two routes.
fn ask(url: &str, route: &str, params: &str) -> Result<(u16, Vec<Vec<u8>>)> {
    let (status, body) = get(&format!("{url}/store/{route}?{EVER}&{params}"))?;
    let found = if status < 300 { payloads(&body)? } else { Vec::new() };
    Ok((status, found))
}

#[test]
fn the_routes_of_oklog_answer_from_all_nodes() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until("the nodes know each other", || ask(&query, "query", "q="), |(status, _)| *status == 200)?;
    let (text, expected) = segment(500)?;
    replicate(&ingest, &text)?;
    replicate(&ingest, &text)?;
    // At once, while they go from the log to the stores, and when they are there.
    ensure!(ask(&query, "query", "q=")? == (200, expected.clone()));
    // One node alone, as OK Log's own nodes ask each other.
    let stores = [cluster.url("s1"), cluster.url("s2")];
    let stored = || {
        let mut found = Vec::new();
        for store in &stores {
            let (status, part) = ask(store, "_query", "q=")?;
            ensure!(status == 200, "status {status}");
            found.extend(part);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    };
    until("the stores have all records", stored, |found| found.len() == expected.len())?;
    ensure!(ask(&query, "_query", "q=")?.0 == 503, "this one holds nothing");
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    ensure!(ask(&query, "query", "q=")? == (200, expected.clone()));
    for (params, found) in [
        ("q=%00%ff%22+100%25".to_owned(), &expected[500..]),
        ("q=line+499".to_owned(), &expected[499..500]),
        (format!("regex&q={}", encode(r"^line 49[0-1]\b")), &expected[490..492]),
        (format!("regex&q={}", encode("a/b|line 7$")), &expected[7..8]),
    ] {
        ensure!(ask(&query, "query", &params)? == (200, found.to_vec()), "{params}");
    }
    let path = format!("/store/query?{EVER}");
    let text = until(
        "the survey knows the stores",
        || head(&query, "HEAD", &path),
        |text| !text.contains("X-Oklog-Max-Data-Set-Size: 0"),
    )?;
    for line in ["HTTP/1.1 200", "X-Oklog-Nodes-Queried: 3", "X-Oklog-Error-Count: 0"] {
        ensure!(text.contains(line), "no {line} in {text}");
    }
    let members = || Ok(serde_json::from_slice::<Value>(&get(&format!("{query}/store/_clusterstate"))?.1)?);
    let state = until("four nodes are members", members, |state| state["n"] == 4)?;
    ensure!(state["members"][0]["Name"] == state["self"], "{state}");
    let own_port: u16 = query.rsplit(':').next().context("a port")?.parse()?;
    ensure!(state["members"][0]["Port"] == own_port, "{state}");
    let kinds: Vec<&Value> = state["delegate"].as_object().context("an object")?.values().collect();
    ensure!(kinds.iter().filter(|kind| kind["type"] == "ingest").count() == 1, "{state}");

    // A store that is gone takes its records along, and every route says so.
    cluster.kill("s1")?;
    let (_, rest) =
        until("the answer is partial", || ask(&query, "query", "q="), |(status, _)| *status == 206)?;
    ensure!(rest.len() < 501);
    for method in ["HEAD", "GET"] {
        let text = head(&query, method, &path)?;
        ensure!(text.starts_with("HTTP/1.1 206") && text.contains("X-Oklog-Error-Count: 1"), "{text}");
    }
    Ok(())
}

/// A node that hands out, if `consumers` is so.
fn ingest_node(dir: &Path, consumers: bool) -> Result<Node> {
    let config = dir.join("weir.toml");
    let text = format!(
        "[node]\nroles = [\"ingest\"]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:0\"\nfast = \"off\"\n\
         durable = \"off\"\n[oklog]\nconsumers = {consumers}\n{SETTINGS}\n",
        quoted(&dir.join("data"))
    );
    std::fs::write(&config, text)?;
    Node::start(&config)
}

/// GET or POST: status and text.
fn say(node: &Node, method: &str, path: &str) -> Result<(u16, String)> {
    let url = node.url(path);
    let (status, body) = if method == "POST" { post(&url, "text/plain", b"")? } else { get(&url)? };
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The claims on all that is there, and what they hold.
fn claimed(node: &Node, wanted: usize) -> Result<(Vec<String>, Vec<Vec<u8>>)> {
    let (mut claims, mut found) = (Vec::new(), Vec::new());
    while found.len() < wanted {
        let (_, claim) =
            until("a segment", || say(node, "GET", "/ingest/next"), |(status, _)| *status == 200)?;
        let (status, body) = get(&node.url(&format!("/ingest/read?id={claim}")))?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
        found.extend(payloads(&body)?);
        claims.push(claim);
    }
    found.sort_unstable();
    Ok((claims, found))
}

#[test]
fn stores_of_oklog_take_away_what_they_commit_and_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (text, mut expected) = segment(300)?;
    let node = ingest_node(dir.path(), false)?;
    replicate(&node.url(""), &text)?;
    for (method, path) in
        [("GET", "/ingest/next"), ("POST", "/ingest/commit?id=x"), ("GET", "/ingest/_segmentstate")]
    {
        let (status, said) = say(&node, method, path)?;
        ensure!(status == 404 && said.contains("oklog.consumers = true"), "{path}: {status} {said}");
    }
    node.kill()?;

    let node = ingest_node(dir.path(), true)?;
    let in_order = expected.clone();
    expected.sort_unstable();
    let (claims, found) = claimed(&node, 301)?;
    ensure!(found == expected, "{} records read", found.len());
    ensure!(say(&node, "GET", "/ingest/next")?.0 == 404, "each segment is claimed once");
    ensure!(ask(&node.url(""), "query", "q=")? == (200, in_order.clone()), "what is claimed is still here");
    let (_, state) = say(&node, "GET", "/ingest/_segmentstate")?;
    ensure!(state.starts_with(&format!("{} pending\n", claims.len())), "{state}");
    // Claims end with the process, and what was only read is handed out again.
    node.kill()?;
    let node = ingest_node(dir.path(), true)?;
    let (status, _) = say(&node, "POST", &format!("/ingest/commit?id={}", claims[0]))?;
    ensure!(status == 404, "a claim of the last process: {status}");
    let (claims, found) = claimed(&node, 301)?;
    ensure!(found == expected, "{} records read again", found.len());
    for claim in &claims {
        let (status, said) = say(&node, "POST", &format!("/ingest/commit?id={claim}"))?;
        ensure!((status, said.as_str()) == (200, "Commit OK"), "{status} {said}");
    }
    ensure!(ask(&node.url(""), "query", "q=")? == (200, Vec::new()), "they are gone");
    node.kill()?;
    let node = ingest_node(dir.path(), true)?;
    ensure!(ask(&node.url(""), "query", "q=")? == (200, Vec::new()), "also after a restart");
    // What has come since is none of it.
    let (status, _) = post(&node.url("/api/v1/ingest?topic=t"), "text/plain", b"later")?;
    ensure!(status == 200);
    let (_, found) = claimed(&node, 1)?;
    ensure!(found == [b"later"]);
    ensure!(node.terminate()? == 0, "an open claim does not keep the node from stopping");
    Ok(())
}
