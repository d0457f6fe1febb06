//! The life of a cluster of some size: it is started, loses a node, falls into two halves and comes together again.

use crate::world::{Weather, World};

/// How often the world is looked at, in milliseconds: with many nodes looking is what takes time.
const LOOK_MS: u64 = 100;
/// Time after which a step is given up.
const PATIENCE_MS: u64 = 120_000;
/// How long it is at rest while its bytes are counted, and how long it is apart.
const REST_MS: u64 = 30_000;
const APART_MS: u64 = 60_000;

/// What it took. Bytes are those that one node sends, as datagrams without the headers of UDP and IP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// From the start of all at once until each has all others.
    pub(crate) joined_ms: u64,
    pub(crate) join_bytes: u64,
    /// A second at rest, half a minute after that.
    pub(crate) rest_bytes: u64,
    /// From the loss of a node until the first, and until the last one, takes it for down.
    pub(crate) first_missed_ms: u64,
    pub(crate) missed_ms: u64,
    /// From the return of the way between two halves until each has all others again.
    pub(crate) healed_ms: u64,
    /// A second while they were apart.
    pub(crate) apart_bytes: u64,
}

/// Goes through it. One datagram in a hundred is lost, the others take up to 3 ms.
pub(crate) fn history(nodes: usize, seed: u64) -> Figures {
    let mut world = World::new(nodes, seed);
    world.weather = Weather { lost: 1, doubled: 0, late_ms: 3 };
    world.start_all();
    let joined_ms = until(&mut world, |world| all_see(world, nodes - 1));
    let join_bytes = world.bytes / nodes as u64;
    world.run(REST_MS);
    let rest_bytes = bytes_a_second(&mut world, REST_MS);

    let lost = world.nodes[nodes - 1].id;
    world.kill(nodes - 1);
    let misses = |world: &World, index: usize| !world.up(index).contains(&lost);
    let first_missed_ms = until(&mut world, |world| (0..nodes - 1).any(|index| misses(world, index)));
    let missed_ms =
        first_missed_ms + until(&mut world, |world| (0..nodes - 1).all(|index| misses(world, index)));
    world.start(nodes - 1);
    until(&mut world, |world| all_see(world, nodes - 1));

    world.cut(|from, to| (from < nodes / 2) != (to < nodes / 2));
    let apart_bytes = bytes_a_second(&mut world, APART_MS);
    world.heal();
    let healed_ms = until(&mut world, |world| all_see(world, nodes - 1));
    Figures { joined_ms, join_bytes, rest_bytes, first_missed_ms, missed_ms, healed_ms, apart_bytes }
}

fn all_see(world: &World, others: usize) -> bool {
    (0..world.nodes.len()).all(|index| world.up(index).len() == others)
}

/// What each node sends in a second, on average.
fn bytes_a_second(world: &mut World, for_ms: u64) -> u64 {
    let before = world.bytes;
    world.run(for_ms);
    (world.bytes - before) * 1000 / for_ms / world.nodes.len() as u64
}

/// Lets time pass until something holds; how long that took.
fn until(world: &mut World, holds: impl Fn(&World) -> bool) -> u64 {
    let begin = world.ms;
    while !holds(world) {
        assert!(
            world.ms - begin < PATIENCE_MS,
            "{} nodes: still not after {PATIENCE_MS} ms",
            world.nodes.len()
        );
        world.run(LOOK_MS);
        world.tap.clear();
    }
    world.ms - begin
}
