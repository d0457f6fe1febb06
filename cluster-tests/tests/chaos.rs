//! Kills of every node in turn, a full disk on one of them, and questions all the while: what was acknowledged is
//! found, each record once, or the answer says that it may lack some.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{Node, get, quoted, until, weir};
use weir_cluster_tests::small_disk::SmallDisk;

use crate::load::asker::{Counts, ask_on};
use crate::load::oracle::{self, Oracle};
use crate::load::traffic::complete;
use crate::load::worker::Worker;
use crate::load::writer::{Writer, write};

const KILLS: u64 = 40;
const KILLS_LONG: u64 = 200;
/// Answers that must have come by the end of a long run.
const ANSWERS_LONG: u64 = 10_000;

/// A node keeps 64 of them free.
const DISK_MIB: u64 = 112;

const NODES: [&str; 5] = ["f", "i", "s1", "s2", "q"];

/// Pieces are sealed soon, so that kills fall into sealing and transfer.
const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }\nfull_at = \"100%\"";

/// A forwarder that follows a file, an ingest node, two stores, a query node.
struct World {
    cluster: Cluster,
    forwarder: Option<Node>,
    forward_config: std::path::PathBuf,
    disk: SmallDisk,
}

impl World {
    fn start(followed: &std::path::Path) -> Result<World> {
        let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
        let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
        let disk = SmallDisk::mount(&cluster.data_dir("s2"), DISK_MIB)?;
        cluster.prefix("s2", disk.prefix())?;
        cluster.start_all()?;
        let forward_config = cluster.data_dir("forward.toml");
        let text = format!(
            "[node]\nroles = [\"forward\"]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:0\"\n[forward]\nto = [{:?}]\n\
             [sources.app]\nplugin = \"file-source\"\ntopic = \"file\"\n\
             grants.files.logs = {{ include = [{}] }}\n",
            quoted(&cluster.data_dir("f")),
            cluster.url("i"),
            quoted(followed),
        );
        std::fs::write(&forward_config, text)?;
        let mut world = World { cluster, forwarder: None, forward_config, disk };
        world.restart("f")?;
        Ok(world)
    }

    /// `kill -9` of a running node.
    fn kill(&mut self, name: &str) -> Result<()> {
        match name {
            "f" => self.forwarder.take().map_or(Ok(()), Node::kill),
            _ => self.cluster.kill(name),
        }
    }

    /// Starts one that does not run.
    fn restart(&mut self, name: &str) -> Result<()> {
        if name == "f" {
            let config = self.forward_config.display().to_string();
            self.forwarder = Some(Node::spawn(weir(&["run", "-c", &config]))?);
            return Ok(());
        }
        self.cluster.start(name)
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills_and_a_full_disk() -> Result<()> {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let kills = if long { KILLS_LONG } else { KILLS };
    let seed = std::env::var("SEED").map_or_else(|_| Ok(fastrand::u64(..)), |seed| seed.parse())?;
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir()?;
    let followed = dir.path().join("app.log");
    let mut file = File::create(&followed)?;
    let mut world = World::start(&followed)?;
    let (ingest, query) = (world.cluster.url("i"), world.cluster.url("q"));
    until("the nodes know each other", || complete(&query, "topic:http"), Option::is_some)?;

    let oracle = Arc::new(Oracle::new("http"));
    let to = Writer { ingests: vec![ingest], durability: "stored", seed };
    let writer = Worker::start("writing", &oracle, move |oracle, stop| write(&to, oracle, stop));
    let askers = [1, 2].map(|number| {
        let query = query.clone();
        Worker::start("asking", &oracle, move |oracle, stop| {
            ask_on(&query, Some("topic:file"), oracle, stop, seed ^ number)
        })
    });
    let mut followed_lines = 0;
    let mut full = false;
    for round in 0..kills {
        let at = || format!("SEED={seed}, round {round}");
        // Half of the time the disk of one store is full, to the last byte.
        match round * 6 / kills % 2 {
            1 if !full => world.disk.fill().with_context(at)?,
            0 if full => world.disk.free().with_context(at)?,
            _ => {}
        }
        full = round * 6 / kills % 2 == 1;
        let more = followed_lines + random.u64(1..60);
        let text: String = (followed_lines..more).map(|number| oracle::file_line(number) + "\n").collect();
        file.write_all(text.as_bytes())?;
        followed_lines = more;
        // Kills fall anywhere: right behind the last, or some acknowledgements or answers later.
        oracle.wait_progress(random.u64(0..300)).with_context(at)?;
        let name = NODES[(round % NODES.len() as u64) as usize];
        world.kill(name).with_context(at)?;
        // Sometimes a second one is gone at the same time.
        let other = NODES[random.usize(..NODES.len())];
        if random.u8(..4) == 0 && other != name {
            world.kill(other).with_context(at)?;
            world.restart(other).with_context(at)?;
        }
        world.restart(name).with_context(at)?;
        oracle.check().with_context(at)?;
    }
    if full {
        world.disk.free()?;
    }
    let batches = writer.stop().with_context(|| format!("SEED={seed}"))?;
    let settled = settle(&mut world, &oracle, followed_lines);
    settled.with_context(|| format!("SEED={seed}, at the end\n{}", world.cluster.log()))?;
    let mut counts = Counts::default();
    for asker in askers {
        counts = counts.plus(asker.stop()?);
    }
    oracle.check().with_context(|| format!("SEED={seed}"))?;
    println!("SEED={seed}: {kills} kills, {batches} batches, {followed_lines} followed lines, {counts:?}");
    ensure!(counts.complete > 0 && counts.incomplete > 0, "nothing was tried: {counts:?}");
    ensure!(!long || counts.complete + counts.incomplete >= ANSWERS_LONG, "too few answers: {counts:?}");
    Ok(())
}

/// Waits until everything has arrived where it belongs, and expects to find each record once: with both stores,
/// and with either.
fn settle(world: &mut World, oracle: &Oracle, followed_lines: u64) -> Result<()> {
    let query = world.cluster.url("q");
    let mut file_lines: Vec<String> = (0..followed_lines).map(oracle::file_line).collect();
    file_lines.sort_unstable();
    let has_all = |lines: &Option<Vec<String>>| {
        lines.as_ref().is_some_and(|lines| lines.len() as u64 >= followed_lines)
    };
    until("the followed lines", || complete(&query, "topic:file"), has_all)?;
    let forwarder = world.forwarder.as_ref().context("the forwarder runs")?;
    let metrics = forwarder.url("/metrics");
    let spool = || Ok(String::from_utf8(get(&metrics)?.1)?);
    until("all is acknowledged", spool, |text| text.contains("weir_forward_spool_bytes 0\n"))?;
    world.cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    world.cluster.until_metric("i", "weir_ingest_log_records", |records| records == 0.0)?;
    for gone in [None, Some("s1"), Some("s2")] {
        if let Some(gone) = gone {
            world.kill(gone)?;
        }
        for (topic, expected) in [("topic:file", &file_lines), ("topic:http", &oracle.all())] {
            let found = until(topic, || complete(&query, topic), Option::is_some)?.unwrap_or_default();
            ensure!(found == *expected, "{topic}: {} of {} without {gone:?}", found.len(), expected.len());
        }
        if let Some(gone) = gone {
            world.restart(gone)?;
            until("it is back", || complete(&query, "topic:none"), Option::is_some)?;
        }
    }
    Ok(())
}
