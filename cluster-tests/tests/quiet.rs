//! Stores that tell their units by digest: names are needed only where something has changed or is gone.

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::until;

use crate::cluster::{found, numbers, send};

/// Sealed soon, and told by digest soon.
const SETTINGS: &str = "quiet_after = \"500ms\"\n[storage]\nseal = { age = \"200ms\" }";
const BY_DIGEST: &str = "weir_list_units{by=\"digest\",role=\"query\"}";
const BY_NAME: &str = "weir_list_units{by=\"name\",role=\"query\"}";

/// Waits until the stores have all, and the query node knows it by digest.
fn until_quiet(cluster: &Cluster) -> Result<()> {
    for left in ["weir_ingest_log_records", "weir_backlog_origins"] {
        cluster.until_metric("i", left, |left| left == 0.0)?;
    }
    cluster.until_metric("q", BY_DIGEST, |units| units > 0.0)?;
    cluster.until_metric("q", BY_NAME, |units| units == 0.0).map(drop)
}

/// Waits for a whole answer, which has just these lines.
fn until_whole(cluster: &Cluster, lines: u64) -> Result<()> {
    let (answer, ..) =
        until("the answer is whole", || found(&cluster.url("q")), |(_, complete, _)| *complete)?;
    ensure!(answer == numbers(lines), "{} lines of {lines}", answer.len());
    Ok(())
}

#[test]
fn what_is_told_by_digest_is_found_once_through_changes_and_losses_and_missed_when_it_is_gone() -> Result<()>
{
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    until_whole(&cluster, 0)?;
    let ingest = cluster.url("i");
    for from in (0..200).step_by(50) {
        send(&ingest, "replicated", from, from + 50)?;
    }
    until_quiet(&cluster)?;
    until_whole(&cluster, 200)?;
    // Both what has just come and what it joins is found once.
    for from in (200..300).step_by(10) {
        send(&ingest, "stored", from, from + 10)?;
        until_whole(&cluster, from + 10)?;
    }
    until_quiet(&cluster)?;
    for gone in ["s1", "s2"] {
        cluster.kill(gone)?;
        until_whole(&cluster, 300)?;
        cluster.start(gone)?;
        until("the store is back", || found(&cluster.url("q")), |(_, complete, _)| *complete)?;
    }
    // What exists is remembered by digest, too.
    until_quiet(&cluster)?;
    for gone in ["s1", "s2"] {
        cluster.kill(gone)?;
    }
    let (lines, complete, _) = found(&cluster.url("q"))?;
    ensure!(!complete && lines.is_empty(), "{} lines, complete: {complete}", lines.len());
    cluster.start("s2")?;
    until_whole(&cluster, 300)
}
