//! Which stores a unit belongs to, and which partition an origin falls into.
//!
//! All nodes compute the same from the same list of stores, and from lists that differ nearly the same: what a
//! different view costs is one more copy.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::limits::{UNIT_KEYED_PARTITIONS, UNIT_PARTITIONS_MAX};
use weir_segment::{OriginName, Unit};

use crate::hash;

/// A store, as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreNode {
    /// Its id.
    pub node: u64,
    /// Size of its disk. Never the free space, which changes: units would wander with it.
    pub capacity_bytes: u64,
    /// What fails together with it, such as a rack. Stores without one are each on their own.
    pub zone: Option<String>,
    /// It is being emptied and belongs to no unit any more.
    pub draining: bool,
    /// It takes nothing for now. Its rank stays, but it passes its turn to the next one.
    pub full: bool,
}

/// The smallest and the largest weight, as powers of two of bytes: 1 GiB and 1 EiB.
const WEIGHT_LOG_MIN: u32 = 30;
const WEIGHT_LOG_MAX: u32 = 60;

/// The stores that a unit belongs to, best first; draining ones are left out.
///
/// Weighted rendezvous hashing: each store draws a lot, and the lowest wins. The lot is a number from an
/// exponential distribution whose rate is the store's weight, so a store wins in proportion to its weight,
/// and its joining or leaving moves only what it wins or had won. In detail, so that every version agrees:
///
/// 1. `u` = `fold(unit, node)`, where `unit` is the first 8 bytes, big-endian, of the SHA-256 of the unit's text,
///    `fold(h, v)` = `mix(h ^ mix(v + 0x9e3779b97f4a7c15))` and `mix` the finaliser of splitmix64;
/// 2. `l` = −log2(`u` / 2^64) with 32 bits behind the point, 0 counting as 1 in `u`;
/// 3. the weight is the capacity rounded down to a power of two, from 1 GiB to 1 EiB; the lot is `l` / weight; of
///    equal lots the lower node is better.
///
/// Then the stores take turns by zone: first the best of every zone, then the second-best of each, and so on, in the
/// order of the lots. So the first R stand in as many zones as there are, for every R.
pub fn rank(unit: &Unit, stores: &[StoreNode]) -> Vec<u64> {
    let unit = hash::of_unit(unit);
    let mut lots: Vec<(u128, u64, Option<&str>)> = stores
        .iter()
        .filter(|store| !store.draining)
        .map(|store| (lot(unit, store), store.node, store.zone.as_deref()))
        .collect();
    lots.sort_unstable();
    lots.dedup_by_key(|(_, node, _)| *node);
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, u64)> = Vec::with_capacity(lots.len());
    for (_, node, zone) in lots {
        let turn = zone.map_or(0, |zone| {
            let count = taken.entry(zone).or_default();
            *count += 1;
            *count - 1
        });
        turns.push((turn, node));
    }
    // Stable: within a turn the order of the lots stays.
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, node)| node).collect()
}

/// The place of a store in the rank of a unit among those that take something, from 0; `None` when it takes nothing.
pub fn position(unit: &Unit, stores: &[StoreNode], node: u64) -> Option<usize> {
    let is_full = |node: &u64| stores.iter().any(|store| store.node == *node && store.full);
    rank(unit, stores).iter().filter(|node| !is_full(node)).position(|other| *other == node)
}

fn lot(unit: u64, store: &StoreNode) -> u128 {
    let weight_log = store.capacity_bytes.max(1).ilog2().clamp(WEIGHT_LOG_MIN, WEIGHT_LOG_MAX);
    u128::from(minus_log2(hash::fold(unit, store.node))) << (WEIGHT_LOG_MAX - weight_log)
}

/// −log2(`value` / 2^64), with 32 bits behind the point. By squaring, as floats would not be the same everywhere.
fn minus_log2(value: u64) -> u64 {
    let value = value.max(1);
    let zeros = value.leading_zeros();
    // From 1 to 2, with 63 bits behind the point.
    let mut mantissa = value << zeros;
    let mut fraction = 0_u64;
    for _ in 0..32 {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let is_two = square >> 64 != 0;
        fraction = fraction << 1 | u64::from(is_two);
        mantissa = (square >> u32::from(is_two)) as u64;
    }
    ((u64::from(zeros) + 1) << 32) - fraction
}

/// How many partitions to cut units into: as many as there are live stores, rounded up to a power of two.
pub fn partitions_for(live_stores: usize) -> u16 {
    live_stores.clamp(1, usize::from(UNIT_PARTITIONS_MAX)).next_power_of_two() as u16
}

/// The partition of an origin: `fold(fold(mix(node), epoch), piece)` modulo the partitions, a power of two. Repeats
/// fall into the same one as the rest of their piece.
pub fn partition_of(name: OriginName, partitions: u16) -> u16 {
    let hash = hash::fold(hash::mix(name.node), name.log_epoch());
    let partitions = partitions.max(1);
    assert!(partitions.is_power_of_two(), "partitions are a power of two");
    (hash::fold(hash, name.piece) % u64::from(partitions)) as u16
}

/// The partition, of [`UNIT_KEYED_PARTITIONS`], of a keyed record: `fold(mix(high half), low half)` of its id.
pub fn keyed_partition(id: RecordId) -> u16 {
    let bits = id.to_u128();
    let hash = hash::fold(hash::mix((bits >> 64) as u64), bits as u64);
    (hash % u64::from(UNIT_KEYED_PARTITIONS)) as u16
}

#[cfg(test)]
mod tests;
