//! Readers of bytes that others may have made: mutations of sound inputs end in an error or in what the bytes say,
//! never in a panic, and never in more memory than is written here.
//!
//! Fixed seeds, the same in every run; a failure prints its seed, `WEIR_SEED=<n>` runs that one alone, `WEIR_LONG=1` a
//! hundred times as many.

// What counts must stand between the program and the allocator.
#![allow(unsafe_code)]

#[path = "fuzz/counting.rs"]
mod counting;
#[path = "fuzz/inputs.rs"]
mod inputs;
#[path = "fuzz/mutation.rs"]
mod mutation;
#[path = "fuzz/plugins.rs"]
mod plugins;
#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_record::limits::{
    QUERY_REGEXES_MAX, REGEX_BYTES_MAX, SEGMENT_BLOCK_BYTES_MAX, SEGMENT_COLUMNS_BYTES_MAX,
    SEGMENT_FOOTER_BYTES_MAX,
};

use mutation::Mutator;

/// What is allocated whatever the input: for small tables, and the tests themselves.
const ANYWAY_BYTES: usize = 1 << 20;

/// Runs a target on all of its inputs and on mutations of them.
fn check(
    inputs: &[Vec<u8>],
    mutator: &mut Mutator,
    count: u64,
    target: impl Fn(&[u8]),
    bytes_max: fn(usize) -> usize,
) {
    let run = |input: &[u8], seed: &dyn std::fmt::Display| {
        let caught = catch_unwind(AssertUnwindSafe(|| counting::peak_bytes(|| target(input))));
        let again =
            format!("replay: WEIR_SEED={seed}\ninput: {}", input[..input.len().min(2_000)].escape_ascii());
        let Ok(peak) = caught else { panic!("it panicked, see above\n{again}") };
        let max = bytes_max(input.len());
        assert!(peak <= max, "{peak} bytes for an input of {}, more than {max}\n{again}", input.len());
        peak
    };
    for input in inputs {
        run(input, &"none");
    }
    let asked = std::env::var("WEIR_SEED")
        .ok()
        .map(|seed| seed.parse::<u64>().unwrap_or_else(|_| panic!("a seed is a number, got {seed:?}")));
    let is_long = std::env::var("WEIR_LONG").is_ok_and(|value| value != "0");
    let seeds = match asked {
        Some(seed) => seed..seed + 1,
        None => 0..count * if is_long { 100 } else { 1 },
    };
    let (started, total) = (std::time::Instant::now(), seeds.end - seeds.start);
    let mut largest = (0, 0);
    for seed in seeds {
        let input = mutator.mutate(inputs, seed);
        largest = largest.max((run(&input, &seed), input.len()));
    }
    let per_s = total as f64 / started.elapsed().as_secs_f64();
    println!(
        "{total} mutations, {per_s:.0} a second; at most {} bytes, of an input of {}",
        largest.0, largest.1
    );
}

/// What reading a segment of so many bytes may take: what a forged footer says is not taken for more than limits
/// allow.
fn segment_bytes_max(bytes: usize) -> usize {
    SEGMENT_FOOTER_BYTES_MAX
        + 2 * SEGMENT_COLUMNS_BYTES_MAX
        + 2 * SEGMENT_BLOCK_BYTES_MAX
        + 16 * bytes
        + ANYWAY_BYTES
}

#[test]
fn any_segment_is_read_or_refused() {
    let mut mutator = Mutator { finish: Some(mutation::with_sums), ..Mutator::default() };
    check(&inputs::segments(), &mut mutator, 6_000, targets::segment, segment_bytes_max);
}

#[test]
fn any_forged_footer_of_a_segment_is_followed_or_refused() {
    for file in inputs::segments() {
        let target = |footer: &[u8]| targets::segment(&mutation::with_footer(&file, footer));
        check(&inputs::of(&file)[0], &mut Mutator::default(), 1_500, target, segment_bytes_max);
    }
}

#[test]
fn any_footer_is_read_or_refused() {
    let footers: Vec<_> = inputs::segments().iter().flat_map(|file| inputs::of(file)[0].clone()).collect();
    check(&footers, &mut Mutator::default(), 60_000, targets::footer, |bytes| 64 * bytes + ANYWAY_BYTES);
}

#[test]
fn any_block_is_read_or_refused() {
    let blocks: Vec<_> = inputs::segments().iter().flat_map(|file| inputs::of(file)[1].clone()).collect();
    check(&blocks, &mut Mutator::default(), 40_000, targets::block, |bytes| 64 * bytes + 8 * ANYWAY_BYTES);
}

#[test]
fn any_filter_is_read_or_refused() {
    let filters: Vec<_> = inputs::segments().iter().flat_map(|file| inputs::of(file)[2].clone()).collect();
    check(&filters, &mut Mutator::default(), 60_000, targets::filter, |_| ANYWAY_BYTES);
}

#[test]
fn any_query_is_read_or_refused() {
    let mut mutator = Mutator { words: inputs::QUERY_WORDS, ..Mutator::default() };
    // A regex is compiled once to see whether it may be, and once more to be searched for.
    let bytes_max = |bytes| 16 * QUERY_REGEXES_MAX * REGEX_BYTES_MAX + 1_000 * bytes + ANYWAY_BYTES;
    check(&inputs::queries(), &mut mutator, 12_000, targets::query, bytes_max);
}

#[test]
fn any_payload_is_searched_for_fields() {
    let mut mutator = Mutator { words: inputs::FIELD_WORDS, ..Mutator::default() };
    check(&inputs::payloads(), &mut mutator, 60_000, targets::fields, |bytes| 16 * bytes + ANYWAY_BYTES);
}

#[test]
fn any_batch_of_a_plugin_is_taken_or_refused() {
    check(&plugins::batches(), &mut Mutator::default(), 60_000, plugins::batch, |bytes| {
        // Every label of every stream may be copied, and an empty record costs its place in every list.
        256 * bytes + ANYWAY_BYTES
    });
}

#[test]
fn any_component_is_told_or_refused() {
    let mut mutator = Mutator { words: plugins::WORDS, ..Mutator::default() };
    check(&plugins::components(), &mut mutator, 3_000, plugins::component, |bytes| {
        256 * bytes + 64 * ANYWAY_BYTES
    });
}
