//! What a larger cluster costs.

use crate::share;
use crate::world::{Weather, World};

/// Bytes that a node may send in a second, whatever the number of nodes.
const BYTES_PER_SECOND_MAX: u64 = 5_000;

#[test]
fn many_nodes_find_each_other_soon_and_what_each_sends_does_not_grow_with_them() {
    for nodes in [3, 16, 40, share(80, 300) as usize] {
        let mut world = World::new(nodes, 1);
        world.weather = Weather { lost: 1, doubled: 0, late_ms: 3 };
        world.start_all();
        let everybody = |world: &World| (0..nodes).all(|index| world.up(index).len() == nodes - 1);
        // Looked at now and then: with many nodes looking is what takes time.
        let found = (1..=15).find(|_| {
            world.run(1_000);
            everybody(&world)
        });
        assert!(found.is_some(), "{nodes} nodes do not find each other");
        world.run(20_000);
        let before = world.bytes;
        world.run(30_000);
        let per_second = (world.bytes - before) / nodes as u64 / 30;
        println!("{nodes} nodes: all known after {found:?} s, {per_second} bytes a second from each");
        assert!(per_second <= BYTES_PER_SECOND_MAX, "{nodes} nodes: {per_second} bytes a second from each");
        assert!(everybody(&world));
        for index in 0..nodes {
            let now = world.now(index);
            let stale = world.core(index).members(now).filter(|member| member.is_stale).count();
            assert_eq!(stale, 0, "{nodes} nodes: {index} has old news");
        }
    }
}
