//! The promise of the store: an origin that was confirmed is there after a power cut, once and byte for byte,
//! until it expires; nothing else is, and every file can be read to its end.

mod mutant;
mod oracle;
mod pool;
mod run;

use super::seeds::{Seeds, factor};
use mutant::Mutant;
use run::{Seen, run};

/// Power cuts of one part.
const CUTS_PER_PART: u64 = 10_000;

/// Runs seeds until enough cuts were made, and demands that the rare paths were taken.
fn check(seeds: Seeds) {
    let replay = seeds.is_replay();
    let mut seen = Seen::default();
    let started = std::time::Instant::now();
    for seed in seeds {
        match run(seed, Mutant::None) {
            Ok(one) => seen.add(&one),
            Err(broken) => panic!("{broken}\nreplay: SEED={seed} cargo nextest run -E 'test(sim::store)'"),
        }
        if seen.disk.cuts >= CUTS_PER_PART * factor() {
            break;
        }
    }
    let cuts_per_s = seen.disk.cuts as f64 / started.elapsed().as_secs_f64();
    println!("{} power cuts, {cuts_per_s:.0} a second: {seen:?}", seen.disk.cuts);
    if replay {
        return;
    }
    for (what, times) in [
        ("torn files", seen.disk.torn_files),
        ("lost names", seen.disk.lost_names),
        ("writes on a full disk", seen.disk.full),
        ("I/O errors", seen.disk.errors),
        ("failed syncs", seen.disk.failed_syncs),
        ("origins kept", seen.kept),
        ("origins held already", seen.already),
        ("origins expired before they came", seen.came_expired),
        ("spoilt transfers refused", seen.refused),
        ("transfers given up", seen.given_up),
        ("answers of a full disk", seen.full_answers),
        ("merges", seen.merges),
        ("merges stopped", seen.stopped),
        ("merges without room", seen.no_room),
        ("origins cut out", seen.cut_out),
        ("expired segments", seen.expired),
        ("segments let go of", seen.dropped),
        ("poisoned stores", seen.poisoned),
        ("restarts without a cut", seen.restarts),
        ("cuts while opening", seen.cuts_in_recovery),
        ("unfinished files removed", seen.unfinished),
        ("inputs of interrupted merges removed", seen.superseded),
        ("expired files that came back", seen.came_back),
    ] {
        assert!(times >= 20, "{what}: only {times} times, this path is not tested");
    }
}

#[test]
fn power_cuts_lose_and_invent_no_origin_part_1() {
    check(Seeds::fixed(0));
}

#[test]
fn power_cuts_lose_and_invent_no_origin_part_2() {
    check(Seeds::fixed(1));
}

#[test]
fn power_cuts_lose_and_invent_no_origin_with_seeds_of_now() {
    check(Seeds::of_now());
}

#[test]
fn every_broken_store_is_caught() {
    // Each at least twice as soon as its budget ends, and the same seeds break nothing in the right one.
    for (mutant, seeds_max) in [
        (Mutant::NoSync, 100),
        (Mutant::NoDirSync, 100),
        (Mutant::SyncErrorIgnored, 2_000),
        (Mutant::MergedUnsynced, 300),
        (Mutant::Unverified, 20),
    ] {
        let caught = (0..seeds_max).find_map(|seed| {
            // A broken store may also trip over an assertion: that is caught, too.
            let outcome = std::panic::catch_unwind(|| run(seed, mutant));
            match outcome {
                Ok(Ok(_)) => None,
                Ok(Err(broken)) => Some((seed, broken)),
                Err(_) => Some((seed, "it panicked".to_owned())),
            }
        });
        let Some((seed, broken)) = caught else {
            panic!("{mutant:?} was not caught in {seeds_max} seeds");
        };
        println!("{mutant:?} caught at seed {seed}: {broken}");
    }
}

#[test]
fn a_seed_of_the_store_replays_exactly() {
    for seed in 0..50 {
        let [first, second] = [(); 2].map(|()| run(seed, Mutant::None).map(|seen| seen.trace));
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first, run(seed + 1, Mutant::None).map(|seen| seen.trace), "seed {seed}");
    }
}
