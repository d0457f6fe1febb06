//! Copies that an operator has moved: a store and an ingest node that are emptied and taken away, and a store that joins.
//! Nodes are killed in the middle of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{get, post, post_with, run, until};
use weir_record::RecordId;

use crate::cluster::{found, numbers, send};
use crate::gossip::Gossiping;

/// Sealed soon; what is away is not made again by itself while a test runs, only what an operator moves, and slowly.
const SETTINGS: &str =
    "repair_after = \"1h\"\nrepair_bytes_per_s = \"1KiB\"\n[storage]\nseal = { age = \"200ms\" }";

/// Sends lines, a few at a time, until every one of them is on two stores.
fn fill(cluster: &Cluster, lines: u64) -> Result<()> {
    for from in (0..lines).step_by(50) {
        send(&cluster.url("i"), "replicated", from, from + 50)?;
    }
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    Ok(())
}

/// The same as keyed records, which have 16 units of their own: enough for each store to rank first in some.
fn fill_keyed(cluster: &Cluster, lines: u64) -> Result<()> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let path = format!("{}/api/v1/ingest?topic=t&durability=replicated", cluster.url("i"));
    for from in (0..lines).step_by(50) {
        let key = RecordId::from_parts(now_ms, u128::from(from)).to_string();
        let body = numbers(from + 50)[from as usize..].join("\n");
        let (status, _) = post_with(&path, &[("Idempotency-Key", &key)], body.as_bytes())?;
        ensure!(status == 200, "status {status}");
    }
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    Ok(())
}

/// Origins that there are, for none of which the ingest node is needed any more.
fn origins(cluster: &Cluster) -> Result<u64> {
    sum(cluster, &["i"], "weir_handed_over_origins_total")
}

fn copies(cluster: &Cluster, stores: &[&str]) -> Result<u64> {
    sum(cluster, stores, "weir_store_origins")
}

fn sum(cluster: &Cluster, names: &[&str], metric: &str) -> Result<u64> {
    names.iter().map(|name| Ok(cluster.until_metric(name, metric, |_| true)? as u64)).sum()
}

/// `weir cluster …` asked of a node: what it says, and its exit code.
fn order(args: &[&str], asked: &str) -> Result<(String, Option<i32>)> {
    let output = run(&[&["cluster"], args, &["--node", asked]].concat())?;
    let text = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8(text)?, output.status.code()))
}

fn ordered(args: &[&str], asked: &str) -> Result<String> {
    let (text, code) = order(args, asked)?;
    ensure!(code == Some(0), "weir cluster {args:?}: {code:?} {text}");
    Ok(text)
}

/// What a node says of the members.
fn members(asked: &str) -> Result<Vec<Value>> {
    let (status, body) = get(&format!("{asked}/api/v1/cluster"))?;
    ensure!(status == 200, "status {status}");
    let answer: Value = serde_json::from_slice(&body)?;
    Ok(answer["members"].as_array().context("members")?.clone())
}

fn member(asked: &str, url: &str) -> Result<Value> {
    members(asked)?.into_iter().find(|member| member["url"] == url).context("it is a member")
}

/// While copies move, every answer is whole.
fn whole(query: &str, lines: u64) -> Result<()> {
    let (found_lines, complete, _) = found(query)?;
    let are_all = are_all(&found_lines, lines);
    ensure!(complete && are_all, "{} lines, complete: {complete}", found_lines.len());
    Ok(())
}

/// Whether these are all that were sent, each once. Keyed records come in the order of their ids, which are hashes.
fn are_all(found_lines: &[String], lines: u64) -> bool {
    let (mut found_lines, mut sent) = (found_lines.to_vec(), numbers(lines));
    found_lines.sort_unstable();
    sent.sort_unstable();
    found_lines == sent
}

/// Waits until a node is empty, and asks all the while.
fn drain(drained: &str, query: &str, lines: u64) -> Result<()> {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ordered(&["drain", drained, "--wait"], query));
        while !waiting.is_finished() {
            whole(query, lines)?;
        }
        waiting.join().map_err(|_| anyhow!("waiting has panicked"))?.map(drop)
    })
}

/// Each of the stores may be away: the others have everything.
fn survives_each(cluster: &mut Cluster, stores: &[&str], lines: u64) -> Result<()> {
    let query = cluster.url("q");
    for gone in stores {
        cluster.kill(gone)?;
        let (found_lines, ..) =
            until("the answer without it", || found(&query), |(_, complete, _)| *complete)?;
        ensure!(are_all(&found_lines, lines), "{} lines without {gone}", found_lines.len());
        cluster.start(gone)?;
        until("the store is back", || found(&query), |(_, complete, _)| *complete)?;
    }
    Ok(())
}

#[test]
fn a_store_is_emptied_through_a_kill_and_taken_away_and_nothing_is_missed() -> Result<()> {
    let nodes = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&nodes, 2, SETTINGS)?;
    cluster.start_all()?;
    fill(&cluster, 2000)?;
    let (query, drained) = (cluster.url("q"), cluster.url("s1"));
    ordered(&["drain", &drained], &query)?;
    cluster.kill("s1")?;
    cluster.start("s1")?;
    // What is wanted of it has survived; and of two stores none may go any more.
    until("it is back", || found(&query), |(_, complete, _)| *complete)?;
    drain(&drained, &query, 2000)?;
    let (refused, code) = order(&["drain", &cluster.url("s2")], &query)?;
    ensure!(code == Some(2) && refused.contains("copies are to be kept"), "{code:?} {refused}");
    let state = member(&query, &drained)?;
    ensure!(state["draining"] == true && state["empty"] == true, "{state}");
    ensure!(ordered(&["status"], &query)?.contains("drained"), "the table says so");
    let (held, origins) = (copies(&cluster, &["s2", "s3"])?, origins(&cluster)?);
    ensure!(held == 2 * origins, "{held} copies of {origins} origins; {}", cluster.log());
    // New records pass it over.
    send(&cluster.url("i"), "replicated", 2000, 2100)?;
    ensure!(copies(&cluster, &["s1"])? == 0, "an emptied store stays empty");
    ensure!(cluster.terminate("s1")? == 0, "a clean stop");
    let (lines, ..) = until("the answer without it", || found(&query), |(_, complete, _)| *complete)?;
    ensure!(lines == numbers(2100), "{} lines without the emptied store", lines.len());
    survives_each(&mut cluster, &["s2", "s3"], 2100)?;
    // It comes back after all.
    cluster.start("s1")?;
    ordered(&["drain", &drained, "--cancel"], &query)?;
    until("it takes part again", || member(&query, &drained), |member| member["draining"].is_null())?;
    Ok(())
}

#[test]
fn the_only_copies_move_and_no_answer_lacks_them() -> Result<()> {
    let nodes = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&nodes, 1, SETTINGS)?;
    cluster.start_all()?;
    let query = cluster.url("q");
    until("the nodes know each other", || found(&query), |(_, complete, _)| *complete)?;
    fill(&cluster, 1000)?;
    drain(&cluster.url("s1"), &query, 1000)?;
    ensure!(cluster.terminate("s1")? == 0, "a clean stop");
    let (lines, ..) = until("the answer without it", || found(&query), |(_, complete, _)| *complete)?;
    ensure!(lines == numbers(1000), "{} lines without the emptied store", lines.len());
    Ok(())
}

#[test]
fn a_store_that_joins_gets_its_share_and_in_the_end_each_origin_has_two_copies() -> Result<()> {
    let stores = ["s1", "s2", "s3", "s4"];
    let nodes =
        [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("s4", "store"), ("q", "query")];
    // Keyed records are in more and smaller origins, which take more bytes.
    let mut cluster = Cluster::new(&nodes, 2, &SETTINGS.replace("1KiB", "8KiB"))?;
    ["i", "s1", "s2", "s3", "q"].iter().try_for_each(|name| cluster.start(name))?;
    let query = cluster.url("q");
    fill_keyed(&cluster, 2000)?;
    cluster.start("s4")?;
    let all_up = |members: &Vec<Value>| members.iter().all(|member| member["state"] == "up");
    until("it has joined", || members(&query), all_up)?;
    ordered(&["rebalance"], &query)?;
    for killed in ["s4", "s1"] {
        cluster.kill(killed)?;
        cluster.start(killed)?;
    }
    until("they are back", || found(&query), |(_, complete, _)| *complete)?;
    let dropped = || {
        whole(&query, 2000)?;
        sum(&cluster, &["s1", "s2", "s3"], "weir_store_dropped_origins_total")
    };
    until("others have let go of what it has got", dropped, |dropped| *dropped > 0)?;
    for store in stores {
        cluster.node(store)?.wait_line("rebalanced: what is here belongs here")?;
    }
    let (held, origins) = (copies(&cluster, &stores)?, origins(&cluster)?);
    ensure!(held == 2 * origins, "{held} copies of {origins} origins; {}", cluster.log());
    ensure!(copies(&cluster, &["s4"])? > 0, "it has got its share");
    survives_each(&mut cluster, &stores, 2000)
}

#[test]
fn an_ingest_node_is_emptied_under_load_through_a_kill_and_nothing_acknowledged_is_missed() -> Result<()> {
    let cluster = Gossiping::new()?;
    let store = cluster.start("seed", "\"store\"")?;
    let query = cluster.start("query", "\"query\"")?;
    let (first, other) = (cluster.start("first", "\"ingest\"")?, cluster.start("other", "\"ingest\"")?);
    let (asked, leaving) = (query.url(""), first.url(""));
    let up =
        |members: &Vec<Value>| members.len() == 4 && members.iter().all(|member| member["state"] == "up");
    until("the nodes find each other", || members(&asked), up)?;

    let is_over = Arc::new(AtomicBool::new(false));
    let sending = thread::spawn({
        let (to, is_over) = ([leaving.clone(), other.url("")], Arc::clone(&is_over));
        move || load(&to, &is_over)
    });
    let taken = || Ok(String::from_utf8(get(&format!("{leaving}/metrics"))?.1)?);
    let some = "weir_records_in_total{source=\"http\",topic=\"t\"} ";
    until("the first takes records", taken, |metrics| metrics.contains(some))?;
    ordered(&["drain", &leaving], &asked)?;
    first.kill()?;
    let first = cluster.restart("first")?;
    let path = first.url("/api/v1/ingest?topic=t");
    let (status, body) = post(&path, "text/plain", b"no")?;
    ensure!(status == 503 && String::from_utf8_lossy(&body).contains("draining"), "status {status}");
    ordered(&["drain", &first.url(""), "--wait"], &asked)?;
    ensure!(first.terminate()? == 0, "a clean stop");
    let left = |members: &Vec<Value>| members.iter().any(|member| member["state"] == "left");
    until("it has left", || members(&asked), left)?;
    is_over.store(true, Ordering::Relaxed);
    let sent = sending.join().map_err(|_| anyhow!("the sender has panicked"))?;
    ensure!(sent[0] > 0 && sent[1] > 0, "both have taken some: {sent:?}");
    let all = || -> Result<(usize, bool)> {
        let (lines, complete, _) = found(&asked)?;
        Ok((lines.len(), complete))
    };
    let (lines, _) = until("the whole answer", all, |(lines, complete)| {
        *complete && *lines as u64 >= sent.iter().sum::<u64>()
    })?;
    // A request that the kill has cut off may have been stored.
    ensure!(lines as u64 <= sent.iter().sum::<u64>() + 1, "{lines} lines, of {sent:?} sent");
    drop((store, other));
    Ok(())
}

/// Sends lines to the first node that takes them; gives how many each has acknowledged.
fn load(to: &[String; 2], is_over: &AtomicBool) -> [u64; 2] {
    let mut taken = [0, 0];
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) || taken[1] == 0 {
        number += 1;
        for (place, url) in to.iter().enumerate() {
            let line = format!("number {number} to {place}");
            let answer = post(&format!("{url}/api/v1/ingest?topic=t"), "text/plain", line.as_bytes());
            if matches!(answer, Ok((200, _))) {
                taken[place] += 1;
                break;
            }
        }
    }
    taken
}
