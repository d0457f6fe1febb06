//! What grows with a cluster: lists of what is held, plans over them, and what the loss of a store sets going. Taken
//! from the decisions themselves, on clusters in which all is in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use weir_record::limits::CHANGES_BYTES_MAX;
use weir_replication::placement::{partition_of, partitions_for};
use weir_replication::{
    Answering, Held, Holdings, Mirror, Place, Position, Repairer, StoreNode, TimeRange, assign, rank,
};
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

const HOUR_MS: u64 = 3_600_000;
const REPLICATION: usize = 2;
/// Of a cluster under load: one every three seconds, by size or by age.
pub(crate) const PIECES_PER_HOUR: u64 = 1_200;
/// Every node has an epoch.
const EPOCH: u64 = 0x5eed_0000_0000_0001;

/// Stores and what they hold, each origin on the first two of its unit's rank.
pub(crate) struct Cluster {
    nodes: Vec<StoreNode>,
    holdings: BTreeMap<u64, Holdings>,
    hours: u64,
    origins: u64,
}

/// A list of what one store holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    /// Origins, or units of which the digest is told.
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// A plan of a query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) took: Duration,
    pub(crate) origins: u64,
    /// Stores that read something, and units that they are told to read, in all.
    pub(crate) readers: usize,
    pub(crate) units: usize,
}

/// What the others do when a store is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repair {
    /// Copies that went with it.
    pub(crate) lost: u64,
    /// Copies that the others make, and the most that one of them makes.
    pub(crate) made: u64,
    pub(crate) made_max: u64,
    /// The most that one of them has to hand out.
    pub(crate) read_max: u64,
    /// Stores that make some.
    pub(crate) makers: usize,
    /// Units of which names were asked for, by all of them together.
    pub(crate) names: u64,
}

impl Cluster {
    /// So many stores that hold what so many ingest nodes have sealed in some hours.
    pub(crate) fn new(stores: u64, ingest_nodes: u64, hours: u64, pieces_per_hour: u64) -> Cluster {
        let nodes: Vec<StoreNode> = (1..=stores).map(store).collect();
        let place = |node: &StoreNode| (node.node, Holdings::new(node.node, Place::Store, 1));
        let mut holdings: BTreeMap<u64, Holdings> = nodes.iter().map(place).collect();
        let partitions = partitions_for(stores as usize);
        let mut ranks: BTreeMap<Unit, Vec<u64>> = BTreeMap::new();
        let mut origins = 0;
        for hour in 0..hours {
            for piece in hour * pieces_per_hour..(hour + 1) * pieces_per_hour {
                for ingest in 1..=ingest_nodes {
                    let held =
                        held(OriginName { node: 1 << 32 | ingest, epoch: EPOCH, piece }, hour, partitions);
                    let ranked = ranks.entry(held.unit.clone()).or_insert_with(|| rank(&held.unit, &nodes));
                    for node in ranked.iter().take(REPLICATION) {
                        holdings.get_mut(node).unwrap().add(held.clone()).unwrap();
                    }
                    origins += 1;
                }
            }
        }
        Cluster { nodes, holdings, hours, origins }
    }

    pub(crate) fn origins(&self) -> u64 {
        self.origins
    }

    /// What the store that holds most tells to somebody who knows nothing of it.
    pub(crate) fn listing(&self) -> Listing {
        let mut listing = Listing { entries: 0, bytes: 0 };
        let of = self.holdings.values().max_by_key(|holdings| holdings.catalog().len()).unwrap();
        pages(of, |bytes, events| {
            listing.bytes += bytes;
            listing.entries += events;
        });
        listing
    }

    /// Nothing happens for so long that every unit is told by digest.
    pub(crate) fn rest(&mut self) {
        let now_ms = (self.hours + 2) * HOUR_MS;
        self.holdings.values_mut().for_each(|holdings| holdings.found(now_ms));
    }

    /// Units that there are, and those of which the digest is told, by all of the stores together.
    pub(crate) fn units(&self) -> (usize, usize) {
        let units = self.holdings.values().flat_map(|holdings| holdings.catalog().units());
        let units: BTreeSet<&Unit> = units.map(|(unit, _)| unit).collect();
        (units.len(), self.holdings.values().map(Holdings::quiet_units).sum())
    }

    /// What a node knows that follows all stores.
    pub(crate) fn mirrors(&self) -> Vec<Mirror> {
        self.holdings.values().map(|holdings| pages(holdings, |_, _| {})).collect()
    }

    /// Plans over the last hours.
    pub(crate) fn plan(&self, mirrors: &[Mirror], hours: u64) -> Plan {
        let answering = mirrors.iter().map(|mirror| Answering {
            node: mirror.node(),
            catalogs: vec![mirror.catalog()],
            sets: Some(mirror.sets()),
            log: None,
            unreadable: BTreeMap::new(),
        });
        let answering: Vec<Answering<'_>> = answering.collect();
        let range = TimeRange::new((self.hours - hours) * HOUR_MS, self.hours * HOUR_MS - 1);
        let started = Instant::now();
        let assignment = assign(&answering, range, None);
        let took = started.elapsed();
        let units = assignment.parts.values().map(|part| part.units.len()).sum();
        Plan { took, origins: assignment.origins, readers: assignment.parts.len(), units }
    }

    /// Takes the first store away for good, and asks every other one what it does about that at once.
    pub(crate) fn lose(&self) -> Repair {
        const AFTER_MS: u64 = 1000;
        let lost = self.nodes.first().unwrap().node;
        let left: Vec<StoreNode> = self.nodes.iter().filter(|node| node.node != lost).cloned().collect();
        let mut made: BTreeMap<u64, u64> = BTreeMap::new();
        let mut read: BTreeMap<u64, u64> = BTreeMap::new();
        let mut names = 0;
        for StoreNode { node, .. } in &left {
            let own = &self.holdings[node];
            let mut repairer = Repairer::new(AFTER_MS);
            repairer.set_stores(&left, REPLICATION);
            for (other, holdings) in
                self.holdings.iter().filter(|(other, _)| *other != node && **other != lost)
            {
                follow(&mut repairer, *other, holdings);
            }
            // Compared some units at a time, then due all at once.
            for step in 0..=self.origins {
                let now_ms = step / (self.origins + 1);
                for (other, (units, _)) in repairer.names_wanted(now_ms) {
                    names += units.len() as u64;
                    let page = self.holdings[&other].names_of(&units, None, usize::MAX);
                    repairer.named(other, &units, &page.named().unwrap(), now_ms);
                }
                let is_done = repairer.next(now_ms, 0, own).is_empty() && repairer.state().units_waiting == 0;
                if is_done {
                    break;
                }
            }
            for fetch in repairer.next(AFTER_MS + 1, usize::MAX, own) {
                *made.entry(*node).or_default() += 1;
                *read.entry(fetch.from).or_default() += 1;
            }
        }
        let most = |counts: &BTreeMap<u64, u64>| counts.values().max().copied().unwrap_or(0);
        Repair {
            lost: self.holdings[&lost].catalog().len(),
            made: made.values().sum(),
            made_max: most(&made),
            read_max: most(&read),
            makers: made.len(),
            names,
        }
    }
}

fn store(node: u64) -> StoreNode {
    StoreNode { node, capacity_bytes: 1 << 40, zone: None, draining: false, full: false }
}

fn held(name: OriginName, hour: u64, partitions: u16) -> Held {
    let partition = partition_of(name, partitions);
    let unit = Unit::new(hour * HOUR_MS, HOUR_MS, "default", partition, partitions).unwrap();
    let low_ms = hour * HOUR_MS + name.piece % PIECES_PER_HOUR * 3000 % (HOUR_MS - 3000);
    let digest = RecordDigest((u128::from(name.piece) << 64 | u128::from(name.node)).to_le_bytes());
    let (count, bytes) = (60_000, 3 << 20);
    Held { unit, name, flags: OriginFlags::NONE, count, low_ms, high_ms: low_ms + 2999, digest, bytes }
}

/// Goes through all pages of a listing: bytes and events of each.
fn pages(of: &Holdings, mut each: impl FnMut(u64, u64)) -> Mirror {
    let mut mirror = Mirror::new(of.node(), Place::Store);
    let mut since = Position::START;
    loop {
        let changes = of.changes_since(&since, CHANGES_BYTES_MAX);
        each(changes.encode().len() as u64, changes.events.len() as u64);
        let has_more = changes.has_more();
        mirror.apply(changes).unwrap();
        since = mirror.position().clone();
        if !has_more {
            break;
        }
    }
    let by_digest: u64 = mirror.sets().iter().map(|(_, told)| told.origins()).sum();
    assert_eq!(mirror.catalog().len() + by_digest, of.catalog().len());
    mirror
}

fn follow(repairer: &mut Repairer, other: u64, holdings: &Holdings) {
    loop {
        let changes = holdings.changes_since(&repairer.position(other), CHANGES_BYTES_MAX);
        let has_more = changes.has_more();
        repairer.applied(other, changes, 0).unwrap();
        if !has_more {
            return;
        }
    }
}
