//! A simulated cluster: ingest nodes, stores and somebody who queries, over a network that loses, repeats, delays
//! and reorders, with nodes that stop and start. Time is virtual; a seed decides everything.

mod ingest;
mod net;
mod query;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use weir_replication::{Held, OriginKey, StoreNode};
use weir_segment::RecordDigest;

use ingest::Ingest;
use net::{Message, Net};
use query::Asker;
use store::Store;

/// A bug that is put in on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    /// The ingest node deletes at the first confirmation.
    DeletesEarly,
    /// A store neither verifies what it fetched nor looks at what it confirms.
    IgnoresDigests,
    /// A repeated confirmation counts as one more store.
    CountsRepeats,
    /// A piece is acknowledged when it is sealed.
    AcknowledgesAtSealing,
    /// A store confirms before it has written.
    ConfirmsEarly,
    /// The query asks the stores before the ingest nodes.
    AsksStoresFirst,
    /// What is known is forgotten when the querying node restarts.
    ForgetsKnowledge,
    /// The querying node does not mind gaps.
    IgnoresGaps,
    /// When a node fails that is read, all is planned anew, and what others have read is kept.
    ForgetsWhatIsOwed,
    /// When a node fails that is read, the sets that it was to read as a whole are forgotten.
    ForgetsOwedSets,
    /// The querying node does not remember that units exist which it knows by digest alone.
    ForgetsSets,
    /// A store goes on telling a digest when a block of the unit is damaged.
    HidesDamage,
}

/// What a run is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) ingest_nodes: u64,
    pub(crate) stores: u64,
    pub(crate) replication: usize,
    /// Stores lose origins to damage or are lost altogether, and nodes are down for longer.
    pub(crate) is_rough: bool,
    pub(crate) broken: Broken,
}

/// Sealed or in a log: some records that travel together, by what will be or is the name of their origin.
pub(crate) type Group = Held;

const TICK_MS: u64 = 50;
/// A day after the beginning of time, so that subtracting minutes is harmless.
const START_MS: u64 = 24 * 3_600_000;
const FAULTS_MS: u64 = 12_000;
const QUIET_MS: u64 = 15 * 60_000;

/// The cluster.
pub(crate) struct World {
    pub(crate) shape: Shape,
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) net: Net,
    pub(crate) ingest: BTreeMap<u64, Ingest>,
    pub(crate) stores: BTreeMap<u64, Store>,
    pub(crate) asker: Asker,
    /// All that was ever acknowledged as stored.
    pub(crate) groups: BTreeMap<OriginKey, Group>,
    /// Origins that were damaged or lost somewhere: they need not be on R stores any more.
    pub(crate) damaged: BTreeSet<OriginKey>,
    pub(crate) has_faults: bool,
    pub(crate) figures: Figures,
}

/// What happened, so that a test can tell that it tested something.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) sealed: u64,
    pub(crate) deleted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) restarts: u64,
    pub(crate) lost: u64,
    pub(crate) queries: u64,
    pub(crate) queries_complete: u64,
    /// How often something that was owed was planned anew.
    pub(crate) rounds: u64,
    pub(crate) read: u64,
    /// Units that were read as a whole, that names were asked of, and whose names were given up.
    pub(crate) wholes: u64,
    pub(crate) named: u64,
    pub(crate) settled: u64,
    /// Logs that were owed and had more in them.
    pub(crate) refused: u64,
}

impl World {
    fn new(seed: u64, shape: Shape) -> World {
        let mut rng = Rng::with_seed(seed);
        let ingest = (1..=shape.ingest_nodes).map(|id| (id, Ingest::new(id, shape.replication, &mut rng)));
        let ingest = ingest.collect();
        let stores = (1..=shape.stores).map(|id| (100 + id, Store::new(100 + id, &mut rng))).collect();
        let asker = Asker::new(shape);
        World {
            shape,
            rng,
            now_ms: START_MS,
            net: Net::default(),
            ingest,
            stores,
            asker,
            groups: BTreeMap::new(),
            damaged: BTreeSet::new(),
            has_faults: true,
            figures: Figures::default(),
        }
    }

    /// One in `of`, and never once the faults are over.
    pub(crate) fn strikes(&mut self, of: u32) -> bool {
        self.has_faults && self.rng.u32(..of) == 0
    }

    /// The stores as a node sees them, now and then wrongly.
    pub(crate) fn view(&mut self) -> Vec<StoreNode> {
        let ids: Vec<u64> = self.stores.keys().copied().collect();
        let mut view = Vec::new();
        for node in ids {
            if self.strikes(10) {
                continue;
            }
            let (draining, full) = (self.strikes(20), self.strikes(20));
            let zone = (node % 3 != 0).then(|| format!("zone-{}", node % 2));
            view.push(StoreNode { node, capacity_bytes: node << 30, zone, draining, full });
        }
        view
    }

    /// How many stores have an origin on disk, whole.
    pub(crate) fn copies(&self, key: &OriginKey, digest: RecordDigest) -> usize {
        self.stores.values().filter(|store| store.disk.get(key) == Some(&digest)).count()
    }

    fn step(&mut self) -> Result<(), String> {
        // Once nothing is disturbed any more, what is left are waits.
        self.now_ms += if self.has_faults { TICK_MS } else { 10 * TICK_MS };
        while let Some(message) = self.net.next(self.now_ms) {
            self.deliver(message)?;
        }
        for id in self.ingest.keys().copied().collect::<Vec<u64>>() {
            ingest::tick(self, id)?;
        }
        for id in self.stores.keys().copied().collect::<Vec<u64>>() {
            store::tick(self, id);
        }
        query::tick(self)
    }

    fn deliver(&mut self, message: Message) -> Result<(), String> {
        if message.is_to_ingest() { ingest::take(self, message) } else { store::take(self, message) }
    }

    fn is_settled(&self) -> bool {
        let is_done = |node: &Ingest| node.log.is_empty() && node.disk.is_empty() && node.tickets.is_empty();
        self.ingest.values().all(is_done)
    }

    /// What must hold in the end: all is on R stores and nowhere else, and all waits are over.
    fn check_end(&self) -> Result<(), String> {
        if !self.is_settled() {
            let left: Vec<String> =
                self.ingest.values().flat_map(|node| node.disk.keys()).map(OriginKey::to_string).collect();
            return Err(format!("not handed over in the end: {left:?}"));
        }
        for (key, group) in &self.groups {
            let copies = self.copies(key, group.digest);
            if copies < self.shape.replication && !self.damaged.contains(key) {
                return Err(format!("{key} is on {copies} stores only"));
            }
        }
        Ok(())
    }
}

/// Runs a seed, first with faults and then without, until all is handed over. `Err` says what promise was broken.
pub(crate) fn run(seed: u64, shape: Shape) -> Result<Figures, String> {
    let mut world = World::new(seed, shape);
    let told = |world: &World, why: String| format!("seed {seed}, {shape:?}, at {}: {why}", world.now_ms);
    while world.now_ms < START_MS + FAULTS_MS {
        world.step().map_err(|why| told(&world, why))?;
    }
    world.has_faults = false;
    while world.now_ms < START_MS + FAULTS_MS + QUIET_MS && !(world.is_settled() && world.asker.is_idle()) {
        world.step().map_err(|why| told(&world, why))?;
    }
    world.check_end().map_err(|why| told(&world, why))?;
    // What was said to be missing for a while must not be so for ever.
    let end_ms = world.now_ms + QUIET_MS;
    while !shape.is_rough && !world.asker.is_complete {
        world.step().map_err(|why| told(&world, why))?;
        if world.now_ms > end_ms {
            return Err(told(&world, "everything is there, and no answer is complete".to_owned()));
        }
    }
    Ok(world.figures)
}
