//! What a larger cluster costs, and how soon it notices.

use crate::history::history;
use crate::share;
use crate::world::{Weather, World};

/// Bytes that a node may send in a second at rest, whatever the number of nodes.
const BYTES_PER_SECOND_MAX: u64 = 5_000;
/// And while all of them come at once.
const JOIN_BYTES_MAX: u64 = 500_000;
/// Until all know each other, and until all miss one that is lost.
const JOINED_MS: u64 = 15_000;
const MISSED_MS: u64 = 30_000;

#[test]
fn many_nodes_find_each_other_soon_and_what_each_sends_does_not_grow_with_them() {
    for nodes in [10, share(100, 300) as usize] {
        let figures = history(nodes, 1);
        println!("{nodes} nodes: {figures:?}");
        assert!(figures.rest_bytes <= BYTES_PER_SECOND_MAX, "{nodes} nodes: {figures:?}");
        assert!(figures.apart_bytes <= 2 * BYTES_PER_SECOND_MAX, "{nodes} nodes: {figures:?}");
        for within_ms in [figures.joined_ms, figures.healed_ms] {
            assert!(within_ms <= JOINED_MS, "{nodes} nodes: {figures:?}");
        }
        assert!(
            figures.first_missed_ms <= figures.missed_ms && figures.missed_ms <= MISSED_MS,
            "{figures:?}"
        );
        assert!(figures.join_bytes <= JOIN_BYTES_MAX, "{nodes} nodes: {figures:?}");
    }
}

/// With so many of them the news that a node is up misses another one now and then; it was found by chance, after minutes.
#[test]
fn a_member_that_is_known_by_name_alone_is_found_soon() {
    let nodes = 250;
    let mut world = World::new(nodes, 1);
    world.weather = Weather { lost: 1, doubled: 0, late_ms: 3 };
    world.start_all();
    world.run(JOINED_MS);
    let alone: Vec<usize> = (0..nodes).filter(|index| world.up(*index).len() < nodes - 1).collect();
    assert!(alone.is_empty(), "{alone:?} do not know all others");
}

#[test]
fn nobody_has_old_news_of_anybody() {
    for nodes in [3, 16, 40] {
        let mut world = World::new(nodes, 1);
        world.weather = Weather { lost: 1, doubled: 0, late_ms: 3 };
        world.start_all();
        world.run(JOINED_MS + 50_000);
        for index in 0..nodes {
            let now = world.now(index);
            let members: Vec<_> = world.core(index).members(now).collect();
            assert!(members.len() == nodes - 1 && members.iter().all(|member| !member.is_stale), "{index}");
        }
    }
}
