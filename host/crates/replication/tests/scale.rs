//! What a larger cluster costs: the small share of `examples/scale.rs`, with bounds.

use std::time::Duration;

use crate::size::Cluster;

/// Bytes of an origin in the list of what a store holds.
const LISTED_BYTES_MAX: u64 = 45;
/// Bytes of a unit there that is told by digest.
const QUIET_BYTES_MAX: u64 = 90;
/// A plan of some thousand origins takes milliseconds; machines are busy.
const PLAN_MAX: Duration = Duration::from_secs(5);

#[test]
fn what_a_lost_store_had_is_made_again_once_and_by_many() {
    // Of what was lost one store makes so much at most, in percent, and hands out so much.
    for (stores, makers_min, percent_max) in [(10, 9, 25), (100, 10, 20)] {
        let mut cluster = Cluster::new(stores, 1, 24, 100);
        cluster.rest();
        let repair = cluster.lose();
        println!("{stores} stores: {repair:?}");
        assert!(repair.names > 0, "{stores} stores: {repair:?}");
        assert_eq!(repair.made, repair.lost, "{stores} stores: {repair:?}");
        assert!(repair.makers >= makers_min, "{stores} stores: {repair:?}");
        let most = repair.made_max.max(repair.read_max);
        assert!(most * 100 <= repair.lost * percent_max, "{stores} stores: {repair:?}");
    }
}

#[test]
fn a_plan_reads_every_origin_once_and_lists_stay_as_small_as_they_are() {
    for (stores, ingest_nodes) in [(10, 5), (100, 5)] {
        let mut cluster = Cluster::new(stores, ingest_nodes, 2, 200);
        for bytes_max in [LISTED_BYTES_MAX, QUIET_BYTES_MAX] {
            let (plan, listing) = (cluster.plan(&cluster.mirrors(), 2), cluster.listing());
            println!("{stores} stores: {plan:?}, {listing:?}");
            assert_eq!(plan.origins, cluster.origins());
            assert!(plan.readers <= stores as usize && plan.readers <= plan.units);
            assert!(plan.took < PLAN_MAX, "{stores} stores: {plan:?}");
            assert!(listing.bytes <= bytes_max * listing.entries + 2000, "{stores} stores: {listing:?}");
            cluster.rest();
        }
        let (units, told) = cluster.units();
        assert_eq!(told, 2 * units, "each by its two stores");
    }
}
