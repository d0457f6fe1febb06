//! Blocks that cannot be read on one store, and on both.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::until;

use super::asked::{self, Asked, SETTINGS, count, ready, rows};

/// Spoils the first block of each segment of a store, under the node's feet. Gives how many.
fn spoil(data_dir: &Path) -> Result<usize> {
    let mut spoilt = 0;
    for entry in fs::read_dir(data_dir.join("store"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "zst") {
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            file.write_all_at(&[0x55; 64], 20)?;
            spoilt += 1;
        }
    }
    Ok(spoilt)
}

#[test]
fn what_one_store_has_lost_is_read_from_the_other_and_what_both_have_lost_is_named() -> Result<()> {
    for is_count in [true, false] {
        let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
        let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
        cluster.start_all()?;
        ready(&cluster)?;
        let (query, ingest) = (cluster.url("q"), cluster.url("i"));
        for batch in 0..5 {
            asked::send(&ingest, "replicated", None, batch * 1000..(batch + 1) * 1000)?;
        }
        cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
        let ask = || if is_count { count(&query, "/number/") } else { rows(&query, "q=/number/") };
        let is_exact = |asked: &Asked| asked.is_complete && asked.count == 5000;
        until("all of it", ask, is_exact)?;
        ensure!(spoil(&cluster.data_dir("s1"))? > 0, "a store has segments");
        for _ in 0..3 {
            let asked = ask()?;
            ensure!(is_exact(&asked), "damage on one of two: {} {:?}", asked.count, asked.missing);
        }
        ensure!(spoil(&cluster.data_dir("s2"))? > 0, "a store has segments");
        for _ in 0..3 {
            let asked = ask()?;
            let is_named =
                |missing: &serde_json::Value| missing["from"].is_string() && missing["to"].is_string();
            ensure!(!asked.is_complete && asked.missing.iter().any(is_named), "damage on both: {asked:?}");
        }
    }
    Ok(())
}
