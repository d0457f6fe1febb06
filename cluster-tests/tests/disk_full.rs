//! Disks of an ingest node and of a store that fill up under load, by somebody else or by the records themselves, and
//! have room again: new records are refused before the kernel refuses to write them, nothing is lost, and all goes on
//! by itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::PATIENCE;
use weir_cluster_tests::small_disk::SmallDisk;

use crate::load::traffic::Traffic;

/// A node keeps 64 of them free.
const DISK_MIB: u64 = 112;
/// What is left of the disk of an ingest node that its records are to fill.
const NEARLY_MIB: u64 = 65;
const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }\nfull_at = \"100%\"";

const ROUNDS: u64 = 2;
const ROUNDS_LONG: u64 = 20;
const LOOK: Duration = Duration::from_millis(50);
/// What the log of a node says when the kernel had no room for a write.
const NO_SPACE: &str = "a write was refused";

struct World {
    cluster: Cluster,
    ingest: SmallDisk,
    store: SmallDisk,
}

impl World {
    fn start() -> Result<World> {
        let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
        let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
        let ingest = SmallDisk::mount(&cluster.data_dir("i"), DISK_MIB)?;
        let store = SmallDisk::mount(&cluster.data_dir("s1"), DISK_MIB)?;
        cluster.prefix("i", ingest.prefix())?;
        cluster.prefix("s1", store.prefix())?;
        cluster.start_all()?;
        Ok(World { cluster, ingest, store })
    }

    /// The disk of the ingest node is full to the last byte: all are refused.
    fn fill_ingest(&mut self, traffic: &Traffic) -> Result<Duration> {
        self.ingest.fill()?;
        until_refused(traffic)?;
        self.ingest.free()?;
        traffic.until_more(1, LOOK)
    }

    /// The disk of a store is: what is stored is acknowledged, what is to be replicated waits.
    fn fill_store(&mut self, traffic: &Traffic) -> Result<Duration> {
        self.store.fill()?;
        self.cluster.until_metric("s1", "weir_store_full", |full| full > 0.0)?;
        let (stored, _) = traffic.acknowledged();
        traffic.until_stored(stored, LOOK)?;
        self.store.free()?;
        traffic.until_more(1, LOOK)
    }

    /// The same for so long that the backlog fills the disk of the ingest node: refused before that is full.
    fn fill_both(&mut self, traffic: &Traffic) -> Result<Duration> {
        self.store.fill()?;
        self.ingest.fill_but(NEARLY_MIB)?;
        until_refused(traffic)?;
        self.store.free()?;
        self.ingest.free()?;
        traffic.until_more(1, LOOK)
    }
}

fn until_refused(traffic: &Traffic) -> Result<()> {
    let (before, began) = (traffic.refused(), Instant::now());
    while traffic.refused() < before + 20 {
        ensure!(began.elapsed() < PATIENCE, "nothing is refused");
        traffic.watch(LOOK)?;
    }
    Ok(())
}

#[test]
fn full_disks_refuse_in_time_lose_nothing_and_go_on_by_themselves() -> Result<()> {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let seed = std::env::var("SEED").map_or_else(|_| Ok(fastrand::u64(..)), |seed| seed.parse())?;
    let mut world = World::start()?;
    let traffic = Traffic::start(&[world.cluster.url("i")], &world.cluster.url("q"), seed)?;
    for round in 0..if long { ROUNDS_LONG } else { ROUNDS } {
        for (what, fill) in [
            ("ingest", World::fill_ingest as fn(&mut World, &Traffic) -> Result<Duration>),
            ("store", World::fill_store),
            ("both", World::fill_both),
        ] {
            traffic.until_more(5, LOOK)?;
            let took = fill(&mut world, &traffic);
            let took = took.with_context(|| format!("SEED={seed}, {what}\n{}", world.cluster.log()))?;
            println!("round {round}, {what}: {} refused so far, went on after {took:.1?}", traffic.refused());
        }
    }
    let refused = traffic.refused();
    let no_space = world.cluster.node("i")?.log().matches(NO_SPACE).count() as u64;
    let counts = traffic.settle(&mut world.cluster, &["i"], "s2");
    let counts = counts.with_context(|| format!("SEED={seed}, at the end\n{}", world.cluster.log()))?;
    println!("SEED={seed}: {refused} refused, {no_space} of them by the kernel, {counts:?}");
    ensure!(no_space * 100 <= refused, "{no_space} of {refused} were refused by the kernel first");
    Ok(())
}
