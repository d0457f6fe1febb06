//! What holds for every cluster, however it is disturbed.

use crate::sim::{Broken, Figures, Shape, run};

fn shapes(broken: Broken) -> [Shape; 5] {
    let shape = |ingest_nodes, stores, replication, is_rough| Shape {
        ingest_nodes,
        stores,
        replication,
        is_rough,
        broken,
    };
    [
        shape(1, 1, 1, false),
        shape(2, 3, 2, false),
        shape(1, 4, 3, false),
        shape(2, 3, 2, true),
        shape(2, 2, 1, true),
    ]
}

/// How many seeds; `WEIR_LONG` runs a hundred times as many.
fn share(seeds: u64) -> u64 {
    if std::env::var_os("WEIR_LONG").is_some() { seeds * 100 } else { seeds }
}

#[test]
fn every_origin_reaches_r_stores_and_every_query_reads_it_once_or_says_that_it_is_missing() {
    let seeds: Vec<u64> = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..share(100)).collect(),
    };
    let mut all = Figures::default();
    for &seed in &seeds {
        for shape in shapes(Broken::Nothing) {
            let figures = run(seed, shape).unwrap_or_else(|why| panic!("{why}"));
            all.sealed += figures.sealed;
            all.deleted += figures.deleted;
            all.acknowledged += figures.acknowledged;
            all.restarts += figures.restarts;
            all.lost += figures.lost;
            all.queries += figures.queries;
            all.queries_complete += figures.queries_complete;
            all.rounds += figures.rounds;
            all.read += figures.read;
            all.wholes += figures.wholes;
            all.named += figures.named;
            all.settled += figures.settled;
            all.refused += figures.refused;
        }
    }
    println!("{} seeds: {all:?}", seeds.len());
    // Disturbed, but not so much that nothing was tested.
    // What is in the log again is sealed and handed over again.
    assert!(
        all.sealed >= all.deleted
            && all.deleted > 0
            && all.acknowledged > 0
            && all.restarts > 0
            && all.lost > 0
    );
    assert!(all.wholes > 0 && all.named > 0 && all.settled > 0);
    assert!(all.queries_complete * 10 > all.queries && all.rounds * 10 > all.queries);
}

#[test]
fn every_broken_variant_is_caught() {
    for broken in [
        Broken::DeletesEarly,
        Broken::IgnoresDigests,
        Broken::CountsRepeats,
        Broken::AcknowledgesAtSealing,
        Broken::ConfirmsEarly,
        Broken::AsksStoresFirst,
        Broken::ForgetsKnowledge,
        Broken::IgnoresGaps,
        Broken::ForgetsWhatIsOwed,
        Broken::ForgetsOwedSets,
        Broken::ForgetsSets,
        Broken::HidesDamage,
    ] {
        let caught = (0..share(200)).find_map(|seed| {
            shapes(broken).into_iter().find_map(|shape| run(seed, shape).err().map(|why| (seed, why)))
        });
        let (seed, why) = caught.unwrap_or_else(|| panic!("{broken:?} is not caught"));
        println!("{broken:?}: seed {seed}: {why}");
    }
}
