//! Snapshots of a real node under load, and the node that is restored from one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{Node, config_head, get, post, query, run, until};

/// Pieces and segments small and young, so that records are always on their way to the store.
const HASTE: &str = "[storage]\nseal = { age = \"100ms\", bytes = \"64KiB\" }\n";

fn configured(dir: &Path, rest: &str) -> Result<std::path::PathBuf> {
    let config = dir.join("weir.toml");
    std::fs::write(&config, config_head(dir) + rest)?;
    Ok(config)
}

/// Runs `weir` with a path among its arguments, and demands success.
fn weir(args: &[&str]) -> Result<String> {
    let output = run(args)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "weir {args:?}: {told}");
    Ok(String::from_utf8(output.stdout)? + &told)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Each record of the topic, and how often it is found.
fn found(node: &Node) -> Result<BTreeMap<u64, u64>> {
    let answer = query(node, "q=topic:load&limit=10000000")?;
    ensure!(answer.stats["complete"] == true, "{}", answer.stats);
    let mut found = BTreeMap::new();
    for row in &answer.rows {
        let number = row["payload"].as_str().and_then(|text| text.strip_prefix("number ")).context("ours")?;
        *found.entry(number.split(' ').next().context("a number")?.parse()?).or_default() += 1;
    }
    Ok(found)
}

#[test]
fn what_was_acknowledged_before_a_snapshot_under_load_is_restored_exactly_once() -> Result<()> {
    const SNAPSHOTS: usize = 4;
    const BETWEEN: u64 = 600;
    let dir = tempfile::tempdir()?;
    let node = Node::start(&configured(dir.path(), HASTE)?)?;
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let url = node.url("/api/v1/ingest?topic=load");
    let mut before = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let (next, stop, url) = (&next, &stop, &url);
        let sender = scope.spawn(move || -> Result<()> {
            while !stop.load(Ordering::Acquire) {
                let first = next.load(Ordering::Acquire);
                let mut lines = String::new();
                for number in first..first + 20 {
                    let _ = writeln!(lines, "number {number} {}", "x".repeat(400));
                }
                let (status, _) = post(url, "text/plain", lines.as_bytes())?;
                ensure!(status == 200, "{status}");
                // Everything below this was acknowledged.
                next.store(first + 20, Ordering::Release);
            }
            Ok(())
        });
        let mut work = || -> Result<()> {
            for round in 0..SNAPSHOTS {
                let target = (round as u64 + 1) * BETWEEN;
                until("records come", || Ok(next.load(Ordering::Acquire)), |count| *count >= target)?;
                before.push(next.load(Ordering::Acquire));
                let told = weir(&["snapshot", &format!("s{round}"), "--node", &node.url("")])?;
                ensure!(told.contains("files linked"), "{told}");
            }
            Ok(())
        };
        let worked = work();
        stop.store(true, Ordering::Release);
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        worked
    })?;
    ensure!(node.terminate()? == 0);

    for (round, acknowledged) in before.into_iter().enumerate() {
        let snapshot = dir.path().join(format!("data/snapshots/s{round}"));
        let sound = weir(&["snapshot", "verify", &shown(&snapshot)])?;
        ensure!(sound.starts_with("sound: node "), "{sound}");
        let restored = tempfile::tempdir()?;
        let data = restored.path().join("data");
        weir(&["snapshot", "restore", &shown(&snapshot), "--data-dir", &shown(&data)])?;
        let node = Node::start(&configured(restored.path(), HASTE)?)?;
        let check = |found: &BTreeMap<u64, u64>| -> Result<()> {
            let lost = (0..acknowledged).filter(|number| !found.contains_key(number)).count();
            let twice = found.iter().find(|(_, count)| **count != 1);
            ensure!(lost == 0 && twice.is_none(), "snapshot {round}: lost {lost}, twice {twice:?}");
            Ok(())
        };
        check(&found(&node)?)?;
        // And when all of it has come to the store.
        let waiting = || -> Result<String> {
            let (_, text) = weir_cluster_tests::process::get(&node.url("/metrics"))?;
            let text = String::from_utf8(text)?;
            let value =
                |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").to_owned();
            Ok(value("weir_backlog_origins ") + "," + &value("weir_ingest_log_records "))
        };
        until("all is stored", waiting, |left| left == "0,0")?;
        check(&found(&node)?)?;
    }
    Ok(())
}

#[test]
fn a_stopped_node_is_taken_and_mistakes_are_told() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = configured(dir.path(), "")?;
    let node = Node::start(&config)?;
    ensure!(post(&node.url("/api/v1/ingest?topic=load"), "text/plain", b"number 0 x")?.0 == 200);
    let (data, to) = (dir.path().join("data"), dir.path().join("copy"));
    let url = node.url("");
    let (data, to) = (shown(&data), shown(&to));
    let (sound, other) = (shown(&dir.path().join("data/snapshots/a")), shown(dir.path()));
    let fails = |args: &[&str], code: i32, text: &str| -> Result<()> {
        let output = run(args)?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code) && told.contains(text), "weir {args:?}: {told}");
        Ok(())
    };
    weir(&["snapshot", "a", "--node", &url])?;
    fails(&["snapshot", "a", "--node", &url], 1, "is there already; choose another name")?;
    fails(&["snapshot", "a b", "--node", &url], 2, "cannot name a snapshot")?;
    fails(&["snapshot", "../a", "--node", &url], 2, "--data-dir with that of a stopped node")?;
    fails(&["snapshot", &to, "--data-dir", &data], 1, "is used by process")?;
    fails(&["snapshot", "verify", &other], 1, "is not a complete snapshot: it has no file MANIFEST")?;
    fails(&["snapshot", "restore", &sound, "--data-dir", &data], 2, "is not empty")?;
    ensure!(node.terminate()? == 0);
    fails(&["snapshot", &to, "--data-dir", &other], 2, "is not a data directory")?;
    weir(&["snapshot", &to, "--data-dir", &data])?;

    // The directory of the node is lost.
    std::fs::rename(&data, dir.path().join("lost"))?;
    weir(&["snapshot", "restore", &to, "--data-dir", &data])?;
    let node = Node::start(&config)?;
    ensure!(found(&node)? == BTreeMap::from([(0, 1)]));
    Ok(())
}

#[test]
fn a_cluster_that_is_lost_comes_back_from_snapshots_that_were_taken_under_load() -> Result<()> {
    const NODES: [&str; 3] = ["i", "s1", "s2"];
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, "[storage]\nseal = { age = \"150ms\" }")?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    until("the nodes know each other", || crate::cluster::found(&query), |(_, complete, _)| *complete)?;
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut before = 0;
    std::thread::scope(|scope| -> Result<()> {
        let (next, stop, ingest) = (&next, &stop, &ingest);
        let sender = scope.spawn(move || -> Result<()> {
            while !stop.load(Ordering::Acquire) {
                let first = next.load(Ordering::Acquire);
                crate::cluster::send(ingest, "stored", first, first + 10)?;
                next.store(first + 10, Ordering::Release);
            }
            Ok(())
        });
        let mut work = || -> Result<()> {
            until("records come", || Ok(next.load(Ordering::Acquire)), |count| *count >= 1000)?;
            before = next.load(Ordering::Acquire);
            // In the direction in which records move.
            NODES
                .iter()
                .try_for_each(|name| weir(&["snapshot", "all", "--node", &cluster.url(name)]).map(drop))
        };
        let worked = work();
        stop.store(true, Ordering::Release);
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        worked
    })?;
    let saved = tempfile::tempdir()?;
    for name in NODES.iter().chain(&["q"]) {
        cluster.kill(name)?;
        let data = cluster.data_dir(name);
        if *name != "q" {
            std::fs::rename(data.join("snapshots/all"), saved.path().join(name))?;
        }
        std::fs::remove_dir_all(&data)?;
    }
    for name in NODES {
        let data = shown(&cluster.data_dir(name));
        weir(&["snapshot", "restore", &shown(&saved.path().join(name)), "--data-dir", &data])?;
    }
    cluster.start_all()?;
    let check = || -> Result<()> {
        let whole = |(_, complete, _): &(Vec<String>, bool, u16)| *complete;
        let (lines, ..) = until("a whole answer", || crate::cluster::found(&query), whole)?;
        let once: std::collections::BTreeSet<&String> = lines.iter().collect();
        ensure!(
            once.len() == lines.len(),
            "{} of {} lines are there twice",
            lines.len() - once.len(),
            lines.len()
        );
        let lost = crate::cluster::numbers(before).iter().filter(|line| !once.contains(line)).count();
        ensure!(lost == 0, "{lost} of {before} lines are lost");
        // Counts go by the units of origins, and would count a piece that was sealed in two ways twice.
        let (_, body) = get(&format!("{query}/api/v1/histogram?q=topic:t&from=0"))?;
        let counted: serde_json::Value = serde_json::from_slice(&body)?;
        let counts = counted["buckets"].as_array().context("buckets")?.iter();
        let sum: u64 = counts.filter_map(|bucket| bucket["count"].as_u64()).sum();
        ensure!(sum == lines.len() as u64, "{sum} counted, {} lines: {counted}", lines.len());
        Ok(())
    };
    check()?;
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    cluster.until_metric("i", "weir_ingest_log_records", |records| records == 0.0)?;
    cluster.until_metric("i", "weir_backlog_poisoned_origins", |origins| origins == 0.0)?;
    check()
}
