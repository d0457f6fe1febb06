use alloc::vec;

extern crate std;

use super::*;

const GIB: u64 = 1 << 30;

fn store(node: u64, gib: u64, zone: Option<&str>) -> StoreNode {
    let zone = zone.map(String::from);
    StoreNode { node, capacity_bytes: gib * GIB, zone, draining: false, full: false }
}

/// Nodes have random ids.
fn stores(count: u64) -> Vec<StoreNode> {
    (1..=count).map(|index| store(hash::mix(index), 100, None)).collect()
}

fn units(count: u64) -> Vec<Unit> {
    (0..count)
        .map(|hour| Unit::new(hour * 3_600_000, 3_600_000, "default", (hour % 16) as u16, 16).unwrap())
        .collect()
}

/// How many units have each store among their first `replication`.
fn shares(stores: &[StoreNode], units: &[Unit], replication: usize) -> BTreeMap<u64, u64> {
    let mut shares: BTreeMap<u64, u64> = stores.iter().map(|store| (store.node, 0)).collect();
    for unit in units {
        for node in rank(unit, stores).into_iter().take(replication) {
            *shares.get_mut(&node).unwrap() += 1;
        }
    }
    shares
}

#[test]
fn the_rank_is_the_same_on_every_node_and_for_ever() {
    let stores = [store(1, 100, None), store(2, 100, None), store(3, 1000, None), store(4, 10, None)];
    let ranks: Vec<Vec<u64>> = units(4).iter().map(|unit| rank(unit, &stores)).collect();
    let mut turned = stores.clone();
    turned.reverse();
    assert_eq!(ranks, units(4).iter().map(|unit| rank(unit, &turned)).collect::<Vec<_>>());
    // As another implementation, in another language, has computed them.
    assert_eq!(ranks, [[2, 1, 3, 4], [1, 2, 3, 4], [3, 1, 2, 4], [3, 2, 1, 4]]);
}

#[test]
fn equal_stores_get_equal_shares() {
    for (count, replication) in [(2, 1), (3, 1), (3, 2), (10, 2), (40, 3)] {
        let (stores, units) = (stores(count), units(8000));
        let expected = 8000.0 * replication as f64 / count as f64;
        let chi_square: f64 = shares(&stores, &units, replication)
            .values()
            .map(|&share| (share as f64 - expected).powi(2) / expected)
            .sum();
        // 99.99 % of fair draws stay below this for each number of stores.
        let freedom = (count - 1) as f64;
        assert!(chi_square < freedom + 4.0 * (2.0 * freedom).sqrt() + 12.0, "{count} stores: {chi_square}");
    }
}

#[test]
fn shares_go_by_capacity_in_powers_of_two() {
    let stores = [store(11, 100, None), store(12, 250, None), store(13, 127, None), store(14, 500, None)];
    let shares = shares(&stores, &units(9000), 1);
    // 64, 128, 64 and 256 of 512 parts.
    for (node, parts) in [(11, 64), (12, 128), (13, 64), (14, 256)] {
        let expected = 9000 * parts / 512;
        let got = shares[&node];
        assert!(got.abs_diff(expected) < expected / 8, "store {node}: {got} instead of {expected}");
    }
}

#[test]
fn a_store_that_joins_or_leaves_moves_only_its_own_units() {
    let (few, many) = (stores(9), stores(10));
    let new = many[9].node;
    let mut moved = 0;
    for unit in units(4000) {
        for replication in [1, 2, 3] {
            let before: Vec<u64> = rank(&unit, &few).into_iter().take(replication).collect();
            let after: Vec<u64> = rank(&unit, &many).into_iter().take(replication).collect();
            let (mut kept, mut others) = (before.clone(), after.clone());
            kept.retain(|node| after.contains(node));
            others.retain(|node| *node != new);
            assert_eq!(kept, others);
            moved += u64::from(replication == 1 && before != after);
        }
    }
    assert!((300..500).contains(&moved), "{moved} of 4000 units moved to one of ten stores");
}

#[test]
fn the_first_stores_stand_in_as_many_zones_as_there_are() {
    let zones = [Some("a"), Some("a"), Some("a"), Some("a"), Some("b"), Some("c"), Some("c")];
    let stores: Vec<StoreNode> =
        (1..).zip(zones).map(|(node, zone)| store(hash::mix(node), 100, zone)).collect();
    let zone_of = |node: u64| stores.iter().find(|store| store.node == node).unwrap().zone.clone();
    for unit in units(500) {
        let rank = rank(&unit, &stores);
        assert_eq!(rank.len(), stores.len());
        for replication in 1..=4 {
            let mut zones: Vec<_> = rank.iter().take(replication).map(|node| zone_of(*node)).collect();
            zones.sort_unstable();
            zones.dedup();
            assert_eq!(zones.len(), replication.min(3));
        }
    }
}

#[test]
fn draining_stores_have_no_rank_and_full_ones_pass_their_turn() {
    let mut stores = stores(4);
    for unit in units(50) {
        let before = rank(&unit, &stores);
        let first = stores.iter().position(|store| store.node == before[0]).unwrap();
        stores[first].full = true;
        assert_eq!(rank(&unit, &stores), before);
        assert_eq!(position(&unit, &stores, before[0]), None);
        assert_eq!(position(&unit, &stores, before[1]), Some(0));
        stores[first].draining = true;
        assert_eq!(rank(&unit, &stores), before[1..]);
        assert_eq!(position(&unit, &stores, before[3]), Some(2));
        (stores[first].full, stores[first].draining) = (false, false);
    }
    assert_eq!(rank(&units(1)[0], &[]), vec![0; 0]);
}

#[test]
fn partitions_follow_the_live_stores() {
    for (live, partitions) in
        [(0, 1), (1, 1), (2, 2), (3, 4), (5, 8), (33, 64), (64, 64), (65, 64), (1000, 64)]
    {
        assert_eq!(partitions_for(live), partitions, "{live}");
    }
}

#[test]
fn partitions_are_even_and_repeats_stay_beside_their_piece() {
    let mut plain = [0_u64; 16];
    let mut keyed = [0_u64; 16];
    for piece in 0..16_000 {
        let name = OriginName { node: 5, epoch: 8, piece };
        assert_eq!(partition_of(name, 16), partition_of(name.of_repeats(), 16));
        assert_eq!(partition_of(name, 1), 0);
        plain[usize::from(partition_of(name, 16))] += 1;
        keyed[usize::from(keyed_partition(RecordId::from_parts(1000 + piece, 7)))] += 1;
    }
    for count in plain.into_iter().chain(keyed) {
        assert!((850..1150).contains(&count), "{plain:?} {keyed:?}");
    }
    let of = |piece| partition_of(OriginName { node: 1, epoch: 2, piece }, 64);
    assert_eq!([of(0), of(1), of(2)], [12, 17, 35]);
    assert_eq!(keyed_partition(RecordId::from_u128(1 << 80)), 14);
}

#[test]
fn the_logarithm_is_right_to_nine_digits() {
    for value in [1, 2, 3, 1 << 40, (1 << 63) + 12345, u64::MAX / 3, u64::MAX] {
        let expected = 64.0 - (value as f64).log2();
        let got = minus_log2(value) as f64 / f64::from(u32::MAX);
        assert!((got - expected).abs() < 1e-7, "{value}: {got} instead of {expected}");
    }
    assert_eq!(minus_log2(0), minus_log2(1));
}
