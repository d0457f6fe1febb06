//! What strangers, twins and broken clocks send changes nothing.

use weir_membership::{Member, Notice, Reason};

use crate::share;
use crate::world::{Weather, World, addr};

fn cluster(nodes: usize, seed: u64) -> World {
    let mut world = World::new(nodes, seed);
    world.weather = Weather::FINE;
    world.start_all();
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world
}

/// The members of a node without what counts on by itself.
fn members(world: &World, index: usize) -> Vec<Member> {
    let core = world.nodes[index].core.as_ref().unwrap();
    let still = |member: Member| Member { heard_ms: None, is_stale: false, ..member };
    core.members(world.now(index)).map(still).collect()
}

fn count(world: &World, index: usize, reason: Reason) -> u64 {
    let core = world.nodes[index].core.as_ref().unwrap();
    core.rejected().find(|(other, _)| *other == reason).unwrap().1
}

#[test]
fn random_flipped_replayed_foreign_and_future_datagrams_change_nothing() {
    let mut world = cluster(3, 1);
    // What members say to the first one for a minute.
    world.tap.clear();
    world.run(60_000);
    let heard: Vec<Vec<u8>> =
        world.tap.iter().filter(|(to, _)| *to == addr(0)).map(|(_, bytes)| bytes.clone()).collect();
    world.run(1_000);
    let foreign = foreign();
    let before = (members(&world, 0), world.core(0).revision(), world.core(0).memory());
    let now = world.now(0);
    let rounds = share(100_000, 1_000_000);
    for round in 0..rounds {
        let mut bytes = match round % 6 {
            0 => (0..world.rng.usize(0..1400)).map(|_| world.rng.u8(..)).collect(),
            1..=3 => heard[world.rng.usize(0..heard.len())].clone(),
            _ => foreign[world.rng.usize(0..foreign.len())].clone(),
        };
        if round % 6 == 2 && !bytes.is_empty() {
            let at = world.rng.usize(0..bytes.len());
            bytes[at] ^= 1 << world.rng.u8(0..8);
        }
        if round % 6 == 3 {
            bytes[0] = world.rng.u8(3..);
        }
        // Each from somewhere else, so that the rate hides nothing.
        let from = addr(1 + round as usize % 4_000);
        world.core(0).receive(from, &bytes, now);
    }
    let after = (members(&world, 0), world.core(0).revision(), world.core(0).memory());
    assert!(before == after, "the view has changed");
    let total: u64 = world.core(0).rejected().map(|(_, count)| count).sum();
    assert!(total >= rounds, "{total} of {rounds} were counted");
    for reason in [
        Reason::FutureVersion,
        Reason::NotOpened,
        Reason::UnknownKey,
        Reason::Replayed,
        Reason::Unsealed,
        Reason::Length,
    ] {
        assert!(count(&world, 0, reason) > rounds / 1_000, "{} was not met", reason.name());
    }
    world.run(5_000);
    assert!(world.is_whole());
}

/// What nodes of other clusters say: with another key, with none, and with our key under another name.
fn foreign() -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for (keys, cluster) in [(vec![2], "test"), (vec![], "test"), (vec![1], "other")] {
        let mut world = World::new(2, 9);
        for node in &mut world.nodes {
            (node.keys, node.cluster) = (keys.clone(), cluster);
        }
        world.start_all();
        world.run(10_000);
        heard.extend(world.tap.into_iter().map(|(_, bytes)| bytes));
    }
    heard
}

#[test]
fn a_dead_node_stays_down_whoever_plays_it_again_and_that_would_be_seen() {
    let mut world = cluster(3, 7);
    world.tap.clear();
    world.run(20_000);
    let said: Vec<Vec<u8>> =
        world.tap.iter().filter(|(to, _)| *to == addr(0)).map(|(_, b)| b.clone()).collect();
    world.kill(2);
    let down = world.run_until(20_000, |world| world.up(0) == [101]);
    assert!(down.is_some(), "the dead node is still up");
    let play = |world: &mut World| {
        let now = world.now(0);
        for (index, bytes) in said.iter().enumerate() {
            world.core(0).receive(addr(3 + index), bytes, now);
        }
        world.up(0)
    };
    assert_eq!(play(&mut world), [101], "a recording brought it back");
    assert_eq!(count(&world, 0, Reason::Replayed), said.len() as u64);
    // The same to a node that does not know what it has taken, as one does just after its start: this test can fail.
    world.kill(0);
    world.start(0);
    assert!(
        play(&mut world).contains(&102),
        "something else keeps recordings out: then this test proves nothing"
    );
}

#[test]
fn two_clusters_with_one_seed_stay_two() {
    let mut world = World::new(4, 2);
    for index in [2, 3] {
        world.nodes[index].keys = vec![2];
        world.nodes[index].seeds = vec![addr(0), addr(2)];
    }
    world.start_all();
    world.run(60_000);
    let up: Vec<_> = (0..4).map(|index| world.up(index)).collect();
    assert_eq!(up, [vec![101], vec![100], vec![103], vec![102]]);
    assert!(count(&world, 0, Reason::UnknownKey) > 10);
    let told: Vec<_> =
        world.notices.iter().filter(|(index, notice)| *index == 0 && notice.is_trouble()).collect();
    assert_eq!(told.len(), 1, "once a minute: {told:?}");
}

#[test]
fn keys_are_rotated_without_a_break() {
    let mut world = cluster(3, 3);
    let steps: [&[u8]; 3] = [&[1, 2], &[2, 1], &[2]];
    for keys in steps {
        for index in 0..3 {
            world.kill(index);
            world.nodes[index].keys = keys.to_vec();
            world.start(index);
            world.run(3_000);
            assert!(world.run_until(10_000, World::is_whole).is_some(), "{keys:?} at {index}");
        }
    }
}

#[test]
fn a_clock_a_year_off_keeps_its_node_out_and_is_told() {
    for ahead_ms in [61_000, 365 * 24 * 3_600_000] {
        let mut world = World::new(3, 4);
        world.nodes[2].ahead_ms = ahead_ms;
        world.start_all();
        world.run(60_000);
        assert_eq!((world.up(0), world.up(2)), (vec![101], vec![]));
        assert!(count(&world, 0, Reason::Clock) > 5);
        assert!(world.notices.iter().any(|(index, notice)| *index == 0 && notice.is_trouble()));
        // Set right and restarted, it is a member.
        world.kill(2);
        world.nodes[2].ahead_ms = 0;
        world.start(2);
        assert!(world.run_until(15_000, World::is_whole).is_some());
    }
}

#[test]
fn two_live_nodes_with_one_id_are_told_and_count_as_the_newer_one() {
    let mut world = World::new(4, 5);
    world.nodes[3].id = world.nodes[2].id;
    (0..3).for_each(|index| world.start(index));
    world.run(30_000);
    world.start(3);
    world.run(120_000);
    let now = world.now(0);
    let member = world.core(0).members(now).find(|member| member.node == 102).unwrap();
    assert_eq!((member.addr, member.rival), (Some(addr(3)), Some(addr(2))));
    let told =
        |index, wanted: &Notice| world.notices.iter().filter(|(at, n)| *at == index && n == wanted).count();
    let rivals = Notice::Rivals { node: 102, counts: addr(3), other: addr(2) };
    assert!((1..=2).contains(&told(0, &rivals)), "{:?}", world.notices);
    assert!(told(2, &Notice::OwnId { addr: addr(3) }) > 0 && told(3, &Notice::OwnId { addr: addr(2) }) > 0);
}

#[test]
fn a_seed_that_is_known_by_another_address_lets_nodes_in_and_a_node_knows_itself() {
    let mut world = World::new(2, 6);
    let alias = "192.0.2.1:7659".parse().unwrap();
    for node in &mut world.nodes {
        node.seeds = vec![alias];
    }
    world.aliases.insert(alias, 0);
    world.start_all();
    world.run(15_000);
    assert!(world.up(0) == [101] && world.up(1) == [100], "{:?} {:?}", world.up(0), world.up(1));
    assert!(count(&world, 0, Reason::Own) > 0);
    assert_eq!(count(&world, 0, Reason::Astray), 0);
}

#[test]
fn a_wrong_advertised_address_is_told() {
    let mut world = World::new(2, 7);
    world.start(0);
    world.run(60_000);
    assert!(world.notices.is_empty(), "{:?}", world.notices);
    // What goes to its advertised address is lost.
    world.cut(|_, to| to == 1);
    world.start(1);
    world.run(60_000);
    assert!(world.notices.contains(&(1, Notice::Unreached { addr: addr(1) })), "{:?}", world.notices);
}
