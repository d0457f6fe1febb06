//! Whatever was apart comes together.

use weir_membership::State;

use crate::share;
use crate::world::{Weather, World};

/// After this time everybody knows everybody.
const HEALED_MS: u64 = 15_000;

/// A cluster that has found itself.
fn cluster(nodes: usize, seed: u64) -> World {
    let mut world = World::new(nodes, seed);
    world.start_all();
    let took = world.run_until(HEALED_MS, World::is_whole);
    assert!(took.is_some(), "seed {seed}: {nodes} nodes do not find each other");
    world
}

fn check_healed(world: &mut World, seed: u64, what: &str) {
    world.heal();
    let took = world.run_until(HEALED_MS, World::is_whole);
    assert!(took.is_some(), "seed {seed}, {what}: not whole after {HEALED_MS} ms");
}

#[test]
fn nodes_find_each_other_from_two_seeds_however_rough_the_network() {
    for seed in 0..share(100, 1_000) {
        let mut world = cluster(2 + seed as usize % 5, seed);
        world.weather = Weather { lost: 20, doubled: 5, late_ms: 300 };
        world.run(60_000);
        world.weather = Weather::ROUGH;
        check_healed(&mut world, seed, "after a rough minute");
    }
}

#[test]
fn all_partitions_of_two_to_five_nodes_heal() {
    for nodes in 2..=5_usize {
        // Each set of nodes that holds the first one, against the others: full, and one way each.
        for side in (1..1_usize << nodes).filter(|side| side & 1 == 1 && side + 1 < 1 << nodes) {
            for way in 0..3 {
                for seed in 0..share(2, 40) {
                    let mut world = cluster(nodes, seed);
                    let inside = |index: usize| side >> index & 1 == 1;
                    world.cut(|from, to| {
                        let crosses = inside(from) != inside(to);
                        crosses && (way == 0 || inside(from) == (way == 1))
                    });
                    world.run(30_000 + seed * 7_000);
                    check_healed(&mut world, seed, &format!("{nodes} nodes, side {side:b}, way {way}"));
                }
            }
        }
    }
}

#[test]
fn a_partition_is_seen_by_both_sides_and_the_members_stay_expected() {
    let mut world = cluster(4, 1);
    world.cut(|from, to| (from < 2) != (to < 2));
    world.run(20_000);
    assert_eq!((world.up(0), world.up(3)), (vec![101], vec![102]));
    let now = world.now(0);
    assert_eq!(world.core(0).members(now).count(), 3);
    check_healed(&mut world, 1, "two by two");
}

#[test]
fn kills_and_restarts_in_any_order_leave_nobody_outside() {
    for seed in 0..share(60, 600) {
        let mut world = cluster(5, seed);
        for _ in 0..20 {
            let index = world.rng.usize(0..5);
            match world.nodes[index].core {
                Some(_) => world.kill(index),
                None => world.start(index),
            }
            let pause_ms = world.rng.u64(0..8_000);
            world.run(pause_ms);
        }
        for index in 0..5 {
            if world.nodes[index].core.is_none() {
                world.start(index);
            }
        }
        check_healed(&mut world, seed, "restarts");
    }
}

#[test]
fn a_node_that_forgot_everything_or_moved_is_the_same_member() {
    let mut world = cluster(3, 5);
    world.kill(2);
    world.nodes[2].memory = weir_membership::Memory::default();
    world.start(2);
    check_healed(&mut world, 5, "without memory");
    world.kill(2);
    world.nodes[2].addr = "10.9.9.9:1000".parse().unwrap();
    world.start(2);
    check_healed(&mut world, 5, "at another address");
    world.run(60_000);
    let now = world.now(0);
    let members: Vec<_> = world.core(0).members(now).collect();
    assert_eq!(members.len(), 2);
    assert_eq!(members[1].addr, Some(world.nodes[2].addr));
    assert_eq!(members[1].rival, None);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let run = |seed| {
        let mut world = cluster(4, seed);
        world.cut(|from, to| from == 0 && to == 1);
        world.run(40_000);
        world.heal();
        world.run(20_000);
        (world.trace, world.bytes)
    };
    for seed in 0..share(10, 100) {
        assert_eq!(run(seed), run(seed), "seed {seed}");
        assert_ne!(run(seed), run(seed + 1), "seed {seed}");
    }
}

#[test]
fn a_killed_node_is_down_within_twenty_seconds_and_no_other() {
    for seed in 0..share(40, 400) {
        let mut world = cluster(5, seed);
        world.run(5_000);
        world.kill(4);
        let is_suspect = |world: &World| {
            let core = world.nodes[0].core.as_ref().unwrap();
            let mut members = core.members(world.now(0));
            members.any(|member| member.node == 104 && member.state == State::Suspect)
        };
        assert!(world.run_until(10_000, is_suspect).is_some(), "seed {seed}: nobody suspects");
        let took = world.run_until(20_000, |world| (0..4).all(|index| !world.up(index).contains(&104)));
        assert!(took.is_some(), "seed {seed}: the dead node is still up");
        world.run(30_000);
        assert!((0..4).all(|index| world.up(index).len() == 3), "seed {seed}: a live node counts as down");
    }
}
