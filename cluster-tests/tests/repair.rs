//! Copies that were lost are made again: a store whose disk is gone, and a block that is damaged.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::until;

use crate::cluster::{found, numbers, send};

/// Sealed soon, repaired soon, and told by digest soon.
const SETTINGS: &str =
    "repair_after = \"300ms\"\nquiet_after = \"500ms\"\n[storage]\nseal = { age = \"200ms\" }";

/// Sends so many lines, a few at a time, and waits until every one of them is on two stores.
fn fill(cluster: &Cluster, lines: u64) -> Result<u64> {
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until("the nodes know each other", || found(&query), |(_, complete, _)| *complete)?;
    for from in (0..lines).step_by(100) {
        send(&ingest, "replicated", from, from + 100)?;
    }
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    let origins = cluster.until_metric("i", "weir_handed_over_origins_total", |origins| origins > 0.0)?;
    Ok(origins as u64)
}

/// A metric of several nodes.
fn all(cluster: &Cluster, names: &[&str], metric: &str) -> Result<f64> {
    names.iter().map(|name| cluster.until_metric(name, metric, |_| true)).sum()
}

#[test]
fn a_store_whose_disk_is_lost_is_filled_again_and_then_another_may_go() -> Result<()> {
    let stores = ["s1", "s2", "s3"];
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    let origins = fill(&cluster, 2000)?;
    // Some of them then have to be cut out of merged segments.
    until(
        "stores merge their segments",
        || all(&cluster, &["s2", "s3"], "weir_store_compacted_bytes"),
        |bytes| *bytes > 0.0,
    )?;
    cluster.kill("s1")?;
    fs::remove_dir_all(cluster.data_dir("s1"))?;
    cluster.start("s1")?;
    let state = || -> Result<(f64, f64)> {
        let copies = all(&cluster, &stores, "weir_store_origins")?;
        Ok((copies, all(&cluster, &stores, "weir_repair_missing_origins")?))
    };
    let wanted = 2.0 * origins as f64;
    let whole =
        until("every origin has two copies", state, |(copies, missing)| *copies >= wanted && *missing == 0.0);
    whole.with_context(|| format!("of {wanted} copies; {}", cluster.log()))?;
    ensure!(all(&cluster, &stores, "weir_repair_fetched_total")? > 0.0, "copies were made again");
    for gone in ["s2", "s3"] {
        cluster.kill(gone)?;
        let query = cluster.url("q");
        let (lines, ..) = until("the answer without it", || found(&query), |(_, complete, _)| *complete)?;
        ensure!(lines == numbers(2000), "{} lines without {gone}", lines.len());
        cluster.start(gone)?;
        until("the store is back", || found(&query), |(_, complete, _)| *complete)?;
    }
    Ok(())
}

#[test]
fn a_damaged_block_is_healed_from_another_store() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    cluster.start_all()?;
    fill(&cluster, 500)?;
    // What was handed over last may not be counted yet, but it is here.
    let origins = cluster.until_metric("s1", "weir_store_origins", |held| held > 0.0)?;
    cluster.kill("s1")?;
    spoil(&cluster)?;
    cluster.kill("s2")?;
    cluster.start("s1")?;
    let query = cluster.url("q");
    // Who reads it finds the damage.
    let found_damage = || -> Result<f64> {
        found(&query)?;
        cluster.until_metric("s1", "weir_store_origins", |_| true)
    };
    until("the damage is found", found_damage, |held| *held < origins)?;
    let (lines, complete, _) = found(&query)?;
    ensure!(!complete && lines.len() < 500, "{} lines, complete: {complete}", lines.len());
    cluster.start("s2")?;
    cluster.until_metric("s1", "weir_repair_fetched_total", |fetched| fetched > 0.0)?;
    cluster.until_metric("s1", "weir_repair_missing_origins", |missing| missing == 0.0)?;
    cluster.kill("s2")?;
    let (lines, ..) = until("the answer is whole", || found(&query), |(_, complete, _)| *complete)?;
    ensure!(lines == numbers(500), "{} lines", lines.len());
    Ok(())
}

/// Flips bytes in the middle of a block of a segment of `s1`.
fn spoil(cluster: &Cluster) -> Result<()> {
    let files = fs::read_dir(cluster.data_dir("s1").join("store"))?.map(|entry| Ok(entry?.path()));
    let files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    let segment = files.iter().find(|path| path.extension().is_some_and(|end| end == "zst"));
    let segment = OpenOptions::new().write(true).open(segment.context("it has a segment")?)?;
    segment.write_all_at(&[0xa5; 16], 40)?;
    Ok(())
}
