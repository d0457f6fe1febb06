//! The promise: what was acknowledged is found after a power cut, byte for byte, and nothing else is.

use super::mutant::Mutant;
use super::run::{Seen, run};
use super::seeds::{CUTS_PER_PART, Seeds, factor};

/// Runs seeds until enough cuts were made, and demands that the rare paths were taken.
fn check(seeds: Seeds) {
    let replay = seeds.is_replay();
    let mut seen = Seen::default();
    let started = std::time::Instant::now();
    for seed in seeds {
        match run(seed, Mutant::None) {
            Ok(one) => seen.add(&one),
            Err(broken) => panic!("{broken}\nreplay: SEED={seed} cargo nextest run -E 'test(power_cut)'"),
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
        ("acknowledged entries", seen.acked_entries),
        ("commits of several entries", seen.shared_commits),
        ("torn tails cut off", seen.torn_tails),
        ("cuts during recovery", seen.cuts_in_recovery),
        ("pieces cut off while they were made", seen.unfinished_pieces),
        ("pieces completed by recovery", seen.completed_pieces),
        ("pieces found complete", seen.complete_pieces),
        ("entries refused for a full disk", seen.full_answers),
        ("entries held back behind a refused one", seen.held_answers),
        ("poisoned logs", seen.poisoned),
        ("restarts without a cut", seen.restarts),
        ("expired pieces", seen.expired_pieces),
        ("expiries that left cursors", seen.expired_cursors_kept),
        ("sealed pieces", seen.sealed_pieces),
        ("sealed pieces that were the newest", seen.newest_released),
        ("cuts in sealing", seen.cuts_in_sealing),
        ("pieces not sealed for a full disk", seen.seals_refused),
        ("origins deleted to be sealed again", seen.sealed_again),
        ("unfinished origins", seen.unfinished_origins),
        ("origins handed over", seen.handed_over),
    ] {
        assert!(times >= 20, "{what}: only {times} times, this path is not tested");
    }
}

#[test]
fn power_cuts_lose_and_invent_nothing_part_1() {
    check(Seeds::fixed(0));
}

#[test]
fn power_cuts_lose_and_invent_nothing_part_2() {
    check(Seeds::fixed(1));
}

#[test]
fn power_cuts_lose_and_invent_nothing_part_3() {
    check(Seeds::fixed(2));
}

#[test]
fn power_cuts_lose_and_invent_nothing_with_seeds_of_now() {
    check(Seeds::of_now());
}

#[test]
fn every_broken_variant_is_caught() {
    // Each at least twice as soon as its budget ends, and the same seeds break nothing in the right one.
    for (mutant, seeds_max) in [
        (Mutant::NoSync, 100),
        (Mutant::NoDirSync, 100),
        (Mutant::SyncErrorIgnored, 2_000),
        (Mutant::AckEarly, 200),
        (Mutant::NoChecksum, 4_000),
        (Mutant::TailKept, 500),
        (Mutant::OriginsNotSynced, 500),
        (Mutant::OriginNamesNotSynced, 500),
        (Mutant::OriginsKept, 1_000),
        (Mutant::HandedOverEarly, 4_000),
        (Mutant::CarriedLost, 500),
    ] {
        let caught = (0..seeds_max).find_map(|seed| {
            // A broken log may also trip over an assertion: that is caught, too.
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
fn a_seed_replays_exactly() {
    for seed in 0..100 {
        let [first, second] = [(); 2].map(|()| run(seed, Mutant::None).map(|seen| seen.trace));
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first, run(seed + 1, Mutant::None).map(|seen| seen.trace), "seed {seed}");
    }
}
