//! Members that are gone for good, and those that only seem to be.

use weir_membership::{ForgetError, Notice, State, Why};

use crate::world::World;

fn cluster(nodes: usize, seed: u64) -> World {
    let mut world = World::new(nodes, seed);
    world.start_all();
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world
}

/// The ids of the members that a node expects, up or not.
fn expected(world: &mut World, index: usize) -> Vec<u64> {
    let now = world.now(index);
    world.core(index).members(now).map(|member| member.node).collect()
}

#[test]
fn a_node_that_leaves_with_nothing_is_gone_at_once_and_is_back_when_it_starts_again() {
    let mut world = cluster(4, 3);
    for _ in 0..2 {
        let now = world.now(3);
        world.core(3).leave(true, now);
        world.run(100);
    }
    world.kill(3);
    world.run(1_000);
    for index in 0..3 {
        assert!(!expected(&mut world, index).contains(&103), "{index}");
        let gone: Vec<_> = world.core(index).gone().collect();
        assert!(matches!(gone[..], [(103, gone)] if gone.why == Why::Left), "{gone:?}");
    }
    world.run(120_000);
    assert!(!expected(&mut world, 0).contains(&103));
    world.start(3);
    assert!(world.run_until(15_000, World::is_whole).is_some());
    assert_eq!(world.core(0).gone().count(), 0);
}

#[test]
fn a_node_that_was_stopped_with_records_stays_expected_and_has_said_so() {
    let mut world = cluster(3, 4);
    for _ in 0..2 {
        let now = world.now(2);
        world.core(2).leave(false, now);
        world.run(100);
    }
    world.kill(2);
    world.run(1_000);
    let now = world.now(0);
    let member = world.core(0).members(now).find(|member| member.node == 102).unwrap();
    assert_eq!(member.state, State::Down);
    assert!(member.about.unwrap().stopped);
}

#[test]
fn what_is_forgotten_is_forgotten_by_all_also_by_those_that_were_away() {
    let mut world = cluster(5, 6);
    world.kill(4);
    world.run(20_000);
    world.kill(3);
    let now = world.now(0);
    assert_eq!(world.core(0).forget(104, false, now), Ok(()));
    assert_eq!(world.core(0).forget(104, false, now), Err(ForgetError::Unknown(104)));
    assert_eq!(world.core(0).forget(100, true, now), Err(ForgetError::Own(100)));
    assert_eq!(world.core(0).forget(101, false, now), Err(ForgetError::Up(101)));
    world.run(5_000);
    for index in 0..3 {
        assert!(!expected(&mut world, index).contains(&104), "{index}");
    }
    // Its memory would bring the forgotten node back.
    world.start(3);
    assert_eq!(expected(&mut world, 3), [100, 101, 102, 104]);
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world.run(30_000);
    for index in 0..4 {
        assert!(!expected(&mut world, index).contains(&104), "{index}");
    }
    world.start(4);
    assert!(world.run_until(15_000, World::is_whole).is_some(), "who comes back is a member again");
}

#[test]
fn a_live_node_that_is_forgotten_by_force_comes_back() {
    let mut world = cluster(3, 7);
    let now = world.now(0);
    assert_eq!(world.core(0).forget(102, true, now), Ok(()));
    assert!(!expected(&mut world, 0).contains(&102));
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world.run(30_000);
    assert!(world.is_whole());
    assert!(world.notices.contains(&(2, Notice::Renewed)));
}

#[test]
fn who_joins_late_learns_of_members_that_are_away() {
    let mut world = World::new(4, 8);
    (0..3).for_each(|index| world.start(index));
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world.kill(2);
    world.run(30_000);
    world.start(3);
    assert!(world.run_until(15_000, World::is_whole).is_some());
    world.run(11_000);
    assert_eq!(expected(&mut world, 3), [100, 101, 102]);
}

#[test]
fn what_a_node_says_of_itself_goes_around_in_a_moment_and_grows_stale_without_it() {
    let mut world = cluster(5, 9);
    world.run(2_000);
    let now = world.now(2);
    let mut about = crate::world::about(2);
    about.full = true;
    world.core(2).describe(about.clone(), now);
    world.run(2_000);
    for index in [0, 1, 3, 4] {
        let now = world.now(index);
        let member = world.core(index).members(now).find(|member| member.node == 102).unwrap();
        assert_eq!((member.about.as_ref(), member.is_stale), (Some(&about), false), "{index}");
        assert!(now.unix_ms - member.heard_ms.unwrap() < 5_000);
    }
    world.kill(2);
    world.run(30_000);
    let now = world.now(0);
    let member = world.core(0).members(now).find(|member| member.node == 102).unwrap();
    assert!(member.is_stale && member.state == State::Down);
}
