//! The promise of queries: whatever became of records since they were acknowledged, an answer is that of a filter
//! over the list of them.
//!
//! A seed decides everything: the settings, the records, what is done with them, what is asked. A failure prints
//! its seed; `WEIR_SEED=<n>` runs that one alone, `WEIR_LONG=1` a hundred times as many.

mod check;
mod lines;
mod mutant;
mod naive;
mod node;
mod oracle;
mod queries;
mod run;
mod seen;
mod writer;

use weir_storage::disk::sim::prng::Prng;

use super::seeds::{Seeds, is_long};
use mutant::Mutant;
use run::run;
use seen::Seen;

/// Seeds of one part.
const SEEDS_PER_PART: u64 = 1_000;
/// The node.
const NODE: u64 = 7;
/// Length of the buckets of units.
const BUCKET_MS: u64 = 60_000;
/// Where the first bucket begins.
const START_MS: u64 = 100 * BUCKET_MS;
/// Buckets in which records may be.
const UNITS: u64 = 3;

/// How a run is set up. Limits are where bugs live, so most of them are tiny.
#[derive(Debug, Clone, Copy)]
struct Settings {
    piece_bytes: u64,
    block_bytes: usize,
    /// Payload bytes of a merged segment.
    target_bytes: u64,
    /// Up to so many bytes at the end of each line.
    filler_bytes: u64,
    partitions: u16,
    /// Buckets in which records are.
    units: u64,
    streams: u64,
    /// Whether anything expires.
    expires: bool,
    /// One batch of so many is keyed.
    keyed_once_in: u64,
    /// One step of the sealer of so many has a piece completed that is not full.
    completed_once_in: u64,
}

impl Settings {
    fn draw(prng: &mut Prng) -> Settings {
        fn one_of(prng: &mut Prng, choices: &[u64]) -> u64 {
            choices[prng.below(choices.len() as u64) as usize]
        }
        if prng.once_in(3) {
            // Origins of some blocks each, so large that they are put one behind the other as they are.
            return Settings {
                piece_bytes: 4_300,
                block_bytes: 1 << 10,
                target_bytes: one_of(prng, &[12_000, 18_000]),
                filler_bytes: 600,
                partitions: 1,
                units: 1,
                streams: one_of(prng, &[2, 4]),
                expires: prng.once_in(6),
                keyed_once_in: 40,
                completed_once_in: 20,
            };
        }
        Settings {
            piece_bytes: one_of(prng, &[300, 2_000, 6_000]),
            block_bytes: one_of(prng, &[1 << 10, 3 << 10]) as usize,
            target_bytes: one_of(prng, &[2_000, 10_000]),
            filler_bytes: one_of(prng, &[0, 100, 600]),
            partitions: one_of(prng, &[1, 1, 4]) as u16,
            units: one_of(prng, &[1, 1, UNITS]),
            streams: one_of(prng, &[2, 6]),
            expires: one_of(prng, &[0, 0, 1]) == 1,
            keyed_once_in: one_of(prng, &[3, 10]),
            completed_once_in: one_of(prng, &[2, 5]),
        }
    }
}

/// The retention class of a topic.
fn class_of(topic: &str) -> &'static str {
    if topic == "debug" { "short" } else { "default" }
}

/// Runs seeds, and demands that the rare paths were taken.
fn check(seeds: Seeds) {
    let replay = seeds.is_replay();
    let mut seen = Seen::default();
    let started = std::time::Instant::now();
    let count = SEEDS_PER_PART * if is_long() { 100 } else { 1 };
    for seed in seeds.take(count as usize) {
        match run(seed, Mutant::None) {
            Ok(one) => seen.add(one),
            Err(broken) => {
                panic!("{broken}\nreplay: WEIR_SEED={seed} cargo nextest run -E 'test(sim::model)'")
            }
        }
    }
    println!("{:.0} seeds a second: {seen:?}", count as f64 / started.elapsed().as_secs_f64());
    if replay {
        return;
    }
    for (what, times) in seen.counts() {
        assert!(*times >= 5, "{what}: only {times} times, this path is not tested");
    }
}

#[test]
fn every_answer_is_that_of_a_filter_over_what_was_acknowledged_part_1() {
    check(Seeds::fixed(0));
}

#[test]
fn every_answer_is_that_of_a_filter_over_what_was_acknowledged_part_2() {
    check(Seeds::fixed(1));
}

#[test]
fn every_answer_is_that_of_a_filter_with_seeds_of_now() {
    check(Seeds::of_now());
}

#[test]
fn every_broken_node_is_caught() {
    for (mutant, seeds_max) in [
        (Mutant::RepeatsNotFlagged, 200),
        (Mutant::KeysNotFlagged, 200),
        (Mutant::RemovedEarly, 20),
        (Mutant::BacklogAndStore, 20),
        (Mutant::LogAndStore, 200),
        (Mutant::LeavingForgotten, 20),
        (Mutant::StoreFirst, 200),
        (Mutant::TermForgotten, 20),
        (Mutant::EndIncluded, 2_000),
        (Mutant::BucketsLate, 20),
    ] {
        let caught = (0..seeds_max).find_map(|seed| run(seed, mutant).err().map(|broken| (seed, broken)));
        let Some((seed, broken)) = caught else {
            panic!("{mutant:?} was not caught in {seeds_max} seeds");
        };
        println!("{mutant:?} caught at seed {seed}: {broken}");
    }
}
