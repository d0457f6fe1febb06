use alloc::vec;
use weir_segment::{OriginFlags, OriginName, RecordDigest};

use super::*;
use crate::held::Gone;
use crate::placement::rank;

const AFTER_MS: u64 = 1000;
const NODES: [u64; 4] = [1, 2, 3, 4];

fn unit() -> Unit {
    Unit::new(0, 1000, "a", 0, 1).unwrap()
}

fn held(piece: u64) -> Held {
    let name = OriginName { node: 9, epoch: 2, piece };
    let digest = RecordDigest([piece as u8; 16]);
    Held { unit: unit(), name, flags: OriginFlags::NONE, count: 1, low_ms: 1, high_ms: 2, digest, bytes: 10 }
}

fn store(node: u64) -> StoreNode {
    StoreNode { node, capacity_bytes: 1 << 40, zone: None, draining: false, full: false }
}

fn holding(node: u64, pieces: &[u64]) -> Holdings {
    let mut holdings = Holdings::new(node, Place::Store, 1);
    for piece in pieces {
        assert_eq!(holdings.add(held(*piece)), Ok(true));
    }
    holdings
}

/// The stores in the order of the rank of the unit.
fn ranked() -> Vec<u64> {
    rank(&unit(), &NODES.map(store))
}

fn follow(repairer: &mut Repairer, holdings: &Holdings, now_ms: u64) {
    let changes = holdings.changes_since(&repairer.position(holdings.node()), usize::MAX);
    repairer.applied(holdings.node(), changes, now_ms).unwrap();
}

/// A store that knows of all four at time 0. `of` says what each holds, by its place in the rank.
fn knowing(own: u64, replication: usize, of: [&[u64]; 4]) -> (Repairer, BTreeMap<u64, Holdings>) {
    let mut repairer = Repairer::new(AFTER_MS);
    repairer.set_stores(&NODES.map(store), replication);
    let all: BTreeMap<u64, Holdings> =
        ranked().into_iter().zip(of).map(|(node, pieces)| (node, holding(node, pieces))).collect();
    for (_, holdings) in all.iter().filter(|(node, _)| **node != own) {
        follow(&mut repairer, holdings, 0);
    }
    (repairer, all)
}

fn fetched(repairer: &mut Repairer, now_ms: u64, own: &Holdings) -> Vec<(u64, u64)> {
    repairer.next(now_ms, 100, own).into_iter().map(|fetch| (fetch.from, fetch.held.name.piece)).collect()
}

#[test]
fn a_lost_copy_is_made_by_the_first_of_the_rank_that_has_none_and_the_next_takes_over() {
    let ranked = ranked();
    let takes = |place: usize, replication, of| {
        let (mut repairer, all) = knowing(ranked[place], replication, of);
        let own = &all[&ranked[place]];
        for now_ms in [0, AFTER_MS - 1] {
            assert_eq!(fetched(&mut repairer, now_ms, own), []);
        }
        let mut times = vec![AFTER_MS];
        times.extend((1..4).map(|by| AFTER_MS + by * REPAIR_TAKEOVER_MS));
        times.iter().position(|now_ms| !fetched(&mut repairer, *now_ms, own).is_empty())
    };
    for (of, replication, expected) in [
        // One of two copies is there: the first without one, then the next.
        ([&[1][..], &[], &[], &[]], 2, [None, Some(0), Some(1), Some(2)]),
        ([&[], &[], &[], &[1][..]], 2, [Some(0), Some(1), Some(2), None]),
        ([&[], &[1], &[], &[]], 3, [Some(0), None, Some(0), Some(1)]),
        // Nothing lacks.
        ([&[1], &[1], &[], &[]], 2, [None; 4]),
        ([&[], &[], &[1], &[1]], 2, [None; 4]),
        // More copies than stores.
        ([&[1], &[], &[], &[]], 9, [None, Some(0), Some(0), Some(0)]),
    ] {
        let got = [0, 1, 2, 3].map(|place| takes(place, replication, of));
        assert_eq!(got, expected, "{of:?} with {replication} copies");
    }
}

#[test]
fn a_store_that_makes_progress_keeps_the_next_one_waiting() {
    let ranked = ranked();
    let (mut repairer, mut all) = knowing(ranked[2], 2, [&[1, 2], &[], &[], &[]]);
    let own = all.remove(&ranked[2]).unwrap();
    assert_eq!(fetched(&mut repairer, 0, &own), []);
    let progress_ms = AFTER_MS + REPAIR_TAKEOVER_MS - 1;
    let first = all.get_mut(&ranked[1]).unwrap();
    assert_eq!(first.add(held(1)), Ok(true));
    follow(&mut repairer, first, progress_ms);
    assert_eq!(fetched(&mut repairer, progress_ms + REPAIR_TAKEOVER_MS - 1, &own), []);
    assert_eq!(fetched(&mut repairer, progress_ms + REPAIR_TAKEOVER_MS, &own), [(ranked[0], 2)]);
}

#[test]
fn it_is_our_turn_at_once_when_nobody_stands_before_us_any_more() {
    let ranked = ranked();
    let of: [&[u64]; 4] = [&[1], &[], &[], &[]];
    // The one before us is lost, has no room, or has lost the copy that it had made.
    let (mut repairer, mut all) = knowing(ranked[2], 2, of);
    let own = all.remove(&ranked[2]).unwrap();
    for lost in [true, false] {
        assert_eq!(fetched(&mut repairer, 0, &own), []);
        assert_eq!(fetched(&mut repairer, AFTER_MS, &own), []);
        let full = NODES.map(|node| StoreNode { full: node == ranked[1], ..store(node) });
        let left = full.into_iter().filter(|store| !lost || !store.full).collect::<Vec<StoreNode>>();
        repairer.set_stores(&left, 2);
        assert_eq!(fetched(&mut repairer, AFTER_MS + 1, &own), [(ranked[0], 1)], "lost: {lost}");
        (repairer, _) = knowing(ranked[2], 2, of);
    }
    let (mut repairer, mut all) = knowing(ranked[2], 3, [&[1], &[1], &[], &[1]]);
    let own = all.remove(&ranked[2]).unwrap();
    assert_eq!(fetched(&mut repairer, 0, &own), []);
    repairer.remove(ranked[3]);
    assert_eq!(fetched(&mut repairer, 0, &own), []);
    let got = repairer.next(AFTER_MS, 1, &own);
    assert_eq!(got.len(), 1, "{got:?}");
}

#[test]
fn a_restart_is_no_reason_and_a_damaged_copy_does_not_wait() {
    let ranked = ranked();
    let (mut repairer, mut all) = knowing(ranked[2], 2, [&[1], &[1], &[], &[1]]);
    let own = all.remove(&ranked[2]).unwrap();
    assert_eq!(fetched(&mut repairer, 0, &own), []);
    for gone in [0, 3] {
        repairer.remove(ranked[gone]);
    }
    assert_eq!(fetched(&mut repairer, 1, &own), []);
    follow(&mut repairer, &all[&ranked[3]], AFTER_MS);
    assert_eq!(fetched(&mut repairer, 2 * AFTER_MS, &own), []);

    let (mut repairer, mut all) = knowing(ranked[3], 2, [&[1], &[], &[], &[1]]);
    let mut own = all.remove(&ranked[3]).unwrap();
    own.remove(&unit(), held(1).name, Gone::Damaged);
    assert_eq!(fetched(&mut repairer, 0, &own), [(ranked[0], 1)]);
}

#[test]
fn of_stores_that_have_a_copy_damaged_the_one_that_lost_it_last_heals_it() {
    let ranked = ranked();
    for is_late in [false, true] {
        let (mut repairer, mut all) = knowing(ranked[0], 2, [&[1], &[1], &[1], &[]]);
        let mut own = all.remove(&ranked[0]).unwrap();
        own.remove(&unit(), held(1).name, Gone::Damaged);
        if is_late {
            // Two others have it, and this store leaves it at that.
            assert_eq!(fetched(&mut repairer, 0, &own), []);
        }
        let losing = all.get_mut(&ranked[2]).unwrap();
        losing.remove(&unit(), held(1).name, Gone::Damaged);
        follow(&mut repairer, losing, 1);
        let at_once: &[(u64, u64)] = if is_late { &[] } else { &[(ranked[1], 1)] };
        assert_eq!(fetched(&mut repairer, 1, &own), at_once);
        if is_late {
            assert_eq!(
                fetched(&mut repairer, 1 + AFTER_MS, &own),
                [(ranked[1], 1)],
                "the other one does not"
            );
        }
    }
}

#[test]
fn what_others_lose_is_noticed_by_what_they_say() {
    let ranked = ranked();
    for why in [Gone::Damaged, Gone::Dropped] {
        let (mut repairer, mut all) = knowing(ranked[0], 2, [&[], &[1], &[1], &[]]);
        let own = all.remove(&ranked[0]).unwrap();
        assert_eq!(fetched(&mut repairer, 0, &own), []);
        let losing = all.get_mut(&ranked[2]).unwrap();
        losing.remove(&unit(), held(1).name, why);
        follow(&mut repairer, losing, 1);
        assert_eq!(fetched(&mut repairer, 1, &own), []);
        assert_eq!(fetched(&mut repairer, 1 + AFTER_MS, &own), [(ranked[1], 1)]);
    }
}

#[test]
fn copies_of_a_store_that_is_being_emptied_do_not_count_and_can_be_fetched() {
    let ranked = ranked();
    let (mut repairer, all) = knowing(ranked[1], 1, [&[1], &[], &[], &[]]);
    let own = &all[&ranked[1]];
    let draining = NODES.map(|node| StoreNode { draining: node == ranked[0], ..store(node) });
    repairer.set_stores(&draining, 1);
    assert_eq!(fetched(&mut repairer, 0, own), [(ranked[0], 1)], "it is known to go, so nobody waits for it");
}

#[test]
fn an_operator_need_not_wait_until_what_is_away_may_be_back() {
    let ranked = ranked();
    let (mut repairer, all) = knowing(ranked[1], 2, [&[1], &[], &[], &[]]);
    let own = &all[&ranked[1]];
    assert_eq!(fetched(&mut repairer, 10, own), []);
    repairer.hurry(20, own);
    assert_eq!(fetched(&mut repairer, 20, own), [(ranked[0], 1)]);
    // It is still for the first in rank to begin.
    let (mut repairer, all) = knowing(ranked[2], 2, [&[1], &[], &[], &[]]);
    repairer.hurry(0, &all[&ranked[2]]);
    assert_eq!(fetched(&mut repairer, REPAIR_TAKEOVER_MS - 1, &all[&ranked[2]]), []);
    assert_eq!(fetched(&mut repairer, REPAIR_TAKEOVER_MS, &all[&ranked[2]]), [(ranked[0], 1)]);
}

#[test]
fn a_rebalancing_store_fetches_what_belongs_to_it_and_gives_what_stores_above_it_have() {
    let ranked = ranked();
    let given = |place: usize, of| {
        let (mut repairer, all) = knowing(ranked[place], 2, of);
        let own = &all[&ranked[place]];
        repairer.set_rebalancing(true);
        let surplus = repairer.surplus(own, 10).into_iter();
        let pieces: Vec<u64> = surplus
            .flat_map(|found| found.names().iter().collect::<Vec<_>>())
            .map(|name| name.piece)
            .collect();
        (
            pieces,
            repairer.to_give(own).origins,
            fetched(&mut repairer, 0, own).len(),
            repairer.to_fetch(own).origins,
        )
    };
    // The third and the fourth have two copies; the first two fetch them, and only then there is something to give.
    let before: [&[u64]; 4] = [&[], &[], &[1, 2], &[1, 2]];
    assert_eq!(given(0, before), (vec![], 0, 2, 2));
    assert_eq!(given(1, before), (vec![], 0, 2, 2));
    assert_eq!(given(2, before), (vec![], 2, 0, 0));
    assert_eq!(given(3, before), (vec![], 2, 0, 0));
    let half: [&[u64]; 4] = [&[1, 2], &[2], &[1, 2], &[1, 2]];
    assert_eq!(given(2, half), (vec![2], 2, 0, 0));
    assert_eq!(given(3, half), (vec![1, 2], 2, 0, 0));
    assert_eq!(given(0, half), (vec![], 0, 0, 0), "the first ones never give");
}

#[test]
fn what_has_expired_at_a_store_that_held_it_is_left_alone() {
    let ranked = ranked();
    // Who expires it, and whether the second of the rank then makes a copy of what the fourth holds.
    for (place, copies) in [(0, false), (1, false), (2, true), (3, false)] {
        let (mut repairer, mut all) = knowing(ranked[1], 2, [&[], &[], &[], &[1]]);
        let expiring = all.get_mut(&ranked[place]).unwrap();
        expiring.expire("a", 1000);
        if place != 1 {
            follow(&mut repairer, &all[&ranked[place]], 1);
        }
        assert_eq!(fetched(&mut repairer, 1, &all[&ranked[1]]), []);
        let got = fetched(&mut repairer, 1 + AFTER_MS + REPAIR_TAKEOVER_MS, &all[&ranked[1]]);
        assert_eq!(!got.is_empty(), copies, "expired at place {place}");
        assert_eq!(fetched(&mut repairer, 10 * REPAIR_TAKEOVER_MS, &all[&ranked[1]]), []);
    }
}

#[test]
fn a_fetch_that_fails_is_tried_elsewhere_and_no_more_are_under_way_than_may_be() {
    let ranked = ranked();
    let (mut repairer, all) = knowing(ranked[0], 4, [&[], &[1, 2, 3], &[1, 2, 3], &[]]);
    let own = &all[&ranked[0]];
    assert_eq!(repairer.next(0, 2, own), []);
    let first = repairer.next(AFTER_MS, 2, own);
    assert_eq!((first.len(), repairer.state().lacking, repairer.state().fetching), (2, 3, 2));
    assert_ne!(first[0].from, first[1].from, "the work is shared");
    assert_eq!(repairer.next(AFTER_MS, 2, own), []);
    let key = first[0].held.key();
    repairer.failed(&key, &Failure::Peer, AFTER_MS);
    let again = repairer.next(AFTER_MS, 2, own);
    assert!(again.iter().all(|fetch| fetch.from != first[0].from), "{again:?}");
    // What nobody reports is tried again.
    let later = repairer.next(AFTER_MS + CLAIM_MS + TRANSFER_BACKOFF_MS_MAX, 3, own);
    assert!(later.len() <= 3 && repairer.state().fetching <= 3);
}
