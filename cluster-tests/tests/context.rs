//! Context of hits: the records of the stream on either side, wherever they lie.

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{get, post, run, until};

/// Pieces are sealed soon, so that one stream lies in stores, backlogs and logs at once.
const SETTINGS: &str = "[storage]\nseal = { age = \"200ms\" }";

/// Sends lines one request after the other, so that their ids ascend whatever node takes them.
fn send(url: &str, topic: &str, durability: &str, lines: &[String]) -> Result<()> {
    let path = format!("{url}/api/v1/ingest?topic={topic}&durability={durability}");
    let (status, answer) = post(&path, "text/plain", lines.join("\n").as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// The lines of an answer, context in parentheses, and its statistics.
fn asked(url: &str, params: &str) -> Result<(Vec<String>, Value)> {
    let (status, body) = get(&format!("{url}/api/v1/query?{params}"))?;
    ensure!(status == 200 || status == 206, "status {status}: {}", String::from_utf8_lossy(&body));
    let (mut lines, mut stats) = (Vec::new(), Value::Null);
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_slice(line)?;
        match value["payload"].as_str() {
            Some(payload) if value["context"] == true => lines.push(format!("({payload})")),
            Some(payload) => lines.push(payload.to_owned()),
            None => stats = value["stats"].clone(),
        }
    }
    Ok((lines, stats))
}

#[test]
fn context_is_exact_over_logs_and_stores_of_several_nodes() -> Result<()> {
    let members = [("i1", "ingest"), ("i2", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, SETTINGS)?;
    cluster.start_all()?;
    let (query, ingests) = (cluster.url("q"), [cluster.url("i1"), cluster.url("i2")]);
    until("the nodes know each other", || asked(&query, "limit=1"), |(_, stats)| stats["complete"] == true)?;
    // One stream over both ingest nodes in turns, with another one between; the last rounds are still in the logs.
    let line = |n: u64| format!("{} number {n}", if n % 20 == 7 { "hit" } else { "plain" });
    for round in 0..20_u64 {
        let lines: Vec<String> = (round * 10..round * 10 + 10).map(line).collect();
        let durability = if round < 15 { "replicated" } else { "stored" };
        send(&ingests[round as usize % 2], "t", durability, &lines)?;
        send(
            &ingests[round as usize % 2],
            "noise",
            "stored",
            &["hit of noise".to_owned(), "noise".to_owned()],
        )?;
    }
    // Whatever the clocks of the nodes made of it is the order of the stream.
    let (stream, _) = asked(&query, "q=topic:t")?;
    ensure!(stream.len() == 200, "{} lines", stream.len());
    let all: Vec<usize> = (0..200).filter(|at| stream[*at].starts_with("hit")).collect();
    let near = |hits: &[usize], before: usize, after: usize| -> Vec<String> {
        let is_near = |at: &usize| hits.iter().any(|hit| at + before >= *hit && *at <= hit + after);
        let shown =
            |at: usize| if hits.contains(&at) { stream[at].clone() } else { format!("({})", stream[at]) };
        (0..200).filter(is_near).map(shown).collect()
    };
    for (before, after) in [(1, 1), (0, 3), (12, 0), (9, 12), (30, 30)] {
        let params = format!("q=topic:t%20hit&before={before}&after={after}");
        let (lines, stats) = asked(&query, &params)?;
        ensure!(lines == near(&all, before, after), "-B {before} -A {after}: {lines:?}");
        ensure!(stats["complete"] == true && stats["records_matched"] == 10, "{stats}");
    }
    // The limit counts hits, a further hit is context then; the newest come first if that is asked for.
    let (lines, stats) = asked(&query, "q=topic:t%20hit&before=25&after=1&limit=2&order=desc")?;
    let mut newest = near(&all[8..], 25, 1);
    newest.reverse();
    ensure!(lines == newest && stats["limited"] == true, "{lines:?} {stats}");
    // Context may lie outside of the range.
    let ends = format!("{query}/api/v1/query?q=topic:t%20%22number%20107%22&before=2&after=2");
    let (_, body) = get(&ends)?;
    let text = String::from_utf8(body)?;
    let id = |part: &str| -> Result<String> {
        let line = text.lines().find(|line| line.contains(part)).unwrap_or_default();
        Ok(serde_json::from_str::<Value>(line)?["id"].as_str().unwrap_or_default().to_owned())
    };
    let (from, to) = (id("number 107")?, id("number 108")?);
    let (lines, _) = asked(&query, &format!("q=topic:t&from={from}&to={to}&before=2&after=2"))?;
    let at = stream.iter().position(|line| line == "hit number 107").unwrap_or_default();
    ensure!(lines == near(&[at], 2, 2), "{lines:?}");

    let output = run(&[
        "query",
        "--node",
        &query,
        "--from",
        "0",
        "-C",
        "1",
        "topic:t \"number 47\" OR \"number 50\"",
    ])?;
    let said = String::from_utf8(output.stdout)?;
    let expected = "plain number 46\nhit number 47\nplain number 48\nplain number 49\nplain number 50\nplain number 51\n";
    ensure!(said == expected, "{said}");
    let output = run(&["query", "--node", &query, "--from", "0", "-A", "1", "topic:t hit", "--limit", "2"])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(said == "hit number 7\nplain number 8\n--\nhit number 27\nplain number 28\n", "{said}");

    // What a lost store has may be context: the answer says that it lacks something.
    cluster.kill("s1")?;
    let (_, stats) = until(
        "the answer says so",
        || asked(&query, "q=topic:t%20hit&before=5&after=5"),
        |(_, stats)| stats["complete"] == false,
    )?;
    ensure!(stats["missing"].to_string().contains(&cluster.url("s1")), "{stats}");
    Ok(())
}
