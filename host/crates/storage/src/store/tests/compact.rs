use std::cell::Cell;

use weir_record::limits::STORE_COMPACT_OVERLAP_MAX;

use super::corpus::*;
use crate::disk::sim::{Faults, SimDisk};
use crate::store::{CompactBudget, CompactWork, Compaction, Expected, Merged, Store, StoreOptions};

const NOW: CompactBudget =
    CompactBudget { work: CompactWork::Settle, now_ms: u64::MAX, payload_bytes_max: u64::MAX };

/// A store with some origins in one unit.
fn filled(store: &Store, pieces: std::ops::Range<u64>) -> Vec<Expected> {
    pieces.map(|piece| keep(store, &unit(3, "default"), piece, 60)).collect()
}

#[test]
fn a_merge_keeps_every_record_and_every_origin_and_readers_see_one_step() {
    let (disk, store) = fresh();
    let origins = filled(&store, 0..6);
    let other = keep(&store, &unit(4, "default"), 9, 60);
    let seen = watched(&store);
    let told = seen.lock().unwrap().len();
    let before = store.snapshot();
    let mut expected: Vec<String> =
        before.segments.iter().filter(|s| *s.unit() == origins[0].unit).flat_map(|s| payloads(s)).collect();
    let steps = compact_all(&store);
    let [Compaction::Merged(Merged { inputs: 6, origins: 6, in_bytes, out_bytes, .. })] = steps.as_slice()
    else {
        panic!("{steps:?}");
    };
    let all: Vec<Expected> = origins.iter().chain([&other]).cloned().collect();
    assert_eq!(served(&store), digests(&all));
    assert_eq!(seen.lock().unwrap().len(), told, "compaction changes no holdings");
    let after = store.snapshot();
    assert_eq!((after.segments.len(), after.origins(), after.records()), (2, 7, 420));
    let mut got = payloads(&after.segments[0]);
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
    assert_eq!(
        before.segments.iter().map(|s| payloads(s).len()).sum::<usize>(),
        420,
        "inputs can still be read"
    );
    assert_eq!(names(&disk, "store").len(), 2);
    let counters = store.counters();
    assert_eq!((counters.compacted_in_bytes, counters.compacted_out_bytes), (*in_bytes, *out_bytes));
    let amplification = counters.write_amplification().unwrap();
    assert!((1.2..2.0).contains(&amplification), "{amplification}");
    disk.power_cut(1);
    assert_eq!(served(&open(&disk).0), digests(&all));
}

#[test]
fn any_origin_can_be_cut_out_again_and_is_what_it_was() {
    let (disk, store) = fresh();
    let origins = filled(&store, 0..5);
    for merged in [false, true] {
        if merged {
            assert_eq!(compact_all(&store).len(), 1);
        }
        for expected in &origins {
            let footer = cut(&store, expected);
            assert_eq!((footer.unit(), footer.lineage().len()), (&expected.unit, 1));
            assert_eq!(footer.lineage()[0].digest, expected.digest);
        }
    }
    let files = names(&disk, "store");
    assert!(files.len() == 1 && !files[0].contains("cut-"), "{files:?}");
    let error = store.cut(&unit(3, "default"), name(99)).unwrap_err().to_string();
    assert_eq!(
        error,
        "origin 0000000000000007-0000000000000008-00000099-10800000.3600000.default.p0of1 is not held"
    );
}

#[test]
fn a_stop_between_blocks_leaves_everything_as_it_was() {
    let (disk, store) = fresh();
    let origins = filled(&store, 0..4);
    for blocks in 0.. {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > blocks
        };
        match store.compact_step(NOW, &stop).unwrap() {
            Compaction::Stopped => {
                assert_eq!((names(&disk, "store").len(), served(&store)), (4, digests(&origins)));
            }
            step => {
                assert!(blocks > 8 && matches!(step, Compaction::Merged(_)), "{blocks} {step:?}");
                return;
            }
        }
    }
}

#[test]
fn an_error_at_any_operation_of_a_merge_loses_nothing() {
    for operation in 0.. {
        let (disk, store) = fresh();
        let origins = filled(&store, 0..4);
        disk.set_faults(Faults { error_at: Some(operation), ..Faults::default() });
        let outcome = store.compact_step(NOW, &|| false);
        let failed = disk.counters().errors > 0;
        assert_eq!(served(&store), digests(&origins), "operation {operation}");
        disk.set_faults(Faults::default());
        assert_eq!(served(&open(&disk).0), digests(&origins), "operation {operation}");
        disk.power_cut(operation);
        assert_eq!(served(&open(&disk).0), digests(&origins), "operation {operation}");
        if !failed {
            assert!(operation > 6 && matches!(outcome, Ok(Compaction::Merged(_))), "{operation}");
            return;
        }
        assert!(outcome.is_err(), "operation {operation}");
    }
}

#[test]
fn both_sides_of_an_interrupted_merge_are_counted_once_and_the_inputs_go() {
    let (disk, store) = fresh();
    let origins = filled(&store, 0..4);
    let (merged, footer) = segment(&unit(3, "default"), &[0, 1, 2, 3], 60);
    drop(store);
    put(&disk, &format!("store/{}", footer.name()), &merged);
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.superseded, recovery.segments, recovery.origins), (4, 1, 4));
    assert_eq!(served(&store), digests(&origins));
    assert_eq!(names(&disk, "store"), [footer.name().to_string()]);
}

#[test]
fn segments_that_overlap_in_part_serve_each_origin_once_and_are_not_merged() {
    let (disk, store) = fresh();
    drop(store);
    let hour = unit(3, "default");
    let mut all = Vec::new();
    for pieces in [&[0, 1, 2][..], &[2, 3], &[3, 4]] {
        let (bytes, footer) = segment(&hour, pieces, 60);
        put(&disk, &format!("store/{}", footer.name()), &bytes);
        all.extend(pieces.iter().map(|&piece| origin(&hour, piece, 60).0));
    }
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.origins, recovery.ignored_origins, recovery.superseded), (5, 2, 0));
    assert_eq!(served(&store), digests(&all));
    assert_eq!(compact_all(&store), []);
    for expected in &all {
        assert_eq!(cut(&store, expected).lineage()[0].digest, expected.digest);
    }
}

#[test]
fn without_room_nothing_is_merged_and_the_budget_bounds_a_merge() {
    let (disk, store) = fresh();
    let origins = filled(&store, 0..8);
    disk.set_capacity(Some(disk.used_bytes() + 100));
    assert_eq!(store.compact_step(NOW, &|| false).unwrap(), Compaction::NoRoom);
    disk.set_capacity(None);
    let payload_bytes = store.snapshot().segments[0].file.footer().payload_bytes();
    let two = CompactBudget { payload_bytes_max: payload_bytes * 5 / 2, ..NOW };
    let step = store.compact_step(two, &|| false).unwrap();
    assert!(matches!(step, Compaction::Merged(Merged { inputs: 2, .. })), "{step:?}");
    let one = CompactBudget { payload_bytes_max: payload_bytes, ..NOW };
    assert_eq!(store.compact_step(one, &|| false).unwrap(), Compaction::Nothing);
    assert_eq!(served(&store), digests(&origins));
}

#[test]
fn a_unit_that_still_grows_is_merged_by_class_only() {
    let (_, store) = fresh();
    let mut origins = filled(&store, 0..7);
    let growing = CompactBudget { now_ms: 4 * HOUR_MS, ..NOW };
    assert_eq!(store.compact_step(growing, &|| false).unwrap(), Compaction::Nothing);
    let growing = CompactBudget { work: CompactWork::Merge, ..growing };
    assert_eq!(store.compact_step(growing, &|| false).unwrap(), Compaction::Nothing);
    origins.extend(filled(&store, 7..8));
    let step = store.compact_step(growing, &|| false).unwrap();
    assert!(matches!(step, Compaction::Merged(Merged { inputs: 8, .. })), "{step:?}");
    assert_eq!(served(&store), digests(&origins));
}

#[test]
fn large_segments_are_put_one_behind_the_other_and_written_densely_when_they_settle() {
    let disk = SimDisk::new(1);
    let options = StoreOptions { settled_level: 3, ..options() };
    let (store, _) = open_with(&disk, options);
    let origins: Vec<Expected> = (0..8).map(|piece| keep(&store, &unit(3, "default"), piece, 300)).collect();
    let merge = CompactBudget { work: CompactWork::Merge, ..NOW };
    let before: u64 = store.snapshot().segments.iter().map(|segment| segment.file.bytes()).sum();
    let step = store.compact_step(merge, &|| false).unwrap();
    assert!(matches!(step, Compaction::Merged(Merged { inputs: 8, .. })), "{step:?}");
    assert_eq!(store.compact_step(merge, &|| false).unwrap(), Compaction::Nothing);
    let one = |store: &Store| {
        let footer = store.snapshot().segments[0].file.footer().clone();
        (footer.sections().len(), footer.zstd_level(), footer.file_bytes())
    };
    let (sections, level, bytes) = one(&store);
    assert_eq!((sections, level), (8, 1));
    assert!(bytes < before, "one footer in the place of eight");
    assert_eq!(served(&store), digests(&origins));
    for expected in &origins {
        assert_eq!(cut(&store, expected).lineage()[0].digest, expected.digest);
    }
    // Ended an hour ago, the unit is written once more, and never again.
    let settle = CompactBudget { now_ms: 5 * HOUR_MS, ..NOW };
    let step = store.compact_step(settle, &|| false).unwrap();
    assert!(matches!(step, Compaction::Merged(Merged { inputs: 1, origins: 8, .. })), "{step:?}");
    assert_eq!(one(&store).0, 1);
    assert_eq!(one(&store).1, 3);
    assert_eq!(store.compact_step(settle, &|| false).unwrap(), Compaction::Nothing);
    assert_eq!(served(&store), digests(&origins));
    // A straggler is written densely, and does not rewrite what is there.
    let late = keep(&store, &unit(3, "default"), 90, 3);
    let step = store.compact_step(settle, &|| false).unwrap();
    assert!(matches!(step, Compaction::Merged(Merged { inputs: 1, origins: 1, .. })), "{step:?}");
    assert_eq!(store.compact_step(settle, &|| false).unwrap(), Compaction::Nothing);
    let all: Vec<Expected> = origins.iter().chain([&late]).cloned().collect();
    assert_eq!(served(&store), digests(&all));
    disk.power_cut(1);
    assert_eq!(served(&open_with(&disk, options).0), digests(&all));
}

/// Each section that has ids in common with others takes the memory of a block when they are merged.
#[test]
fn no_more_sections_than_fit_the_memory_are_brought_together_where_they_overlap() {
    let (_, store) = fresh();
    let origins: Vec<Expected> =
        (0..8 * 16).map(|piece| keep(&store, &unit(3, "default"), piece, 60)).collect();
    let merge = CompactBudget { work: CompactWork::Merge, ..NOW };
    let mut merges = 0;
    while store.compact_step(merge, &|| false).unwrap() != Compaction::Nothing {
        merges += 1;
    }
    let sections = |store: &Store| -> Vec<usize> {
        store.snapshot().segments.iter().map(|segment| segment.file.footer().sections().len()).collect()
    };
    assert_eq!((merges, sections(&store)), (8, vec![STORE_COMPACT_OVERLAP_MAX; 8]));
    assert_eq!(served(&store), digests(&origins));
    // Written anew they have a section each, and can go into one.
    compact_all(&store);
    assert_eq!(sections(&store), [1]);
    assert_eq!(served(&store), digests(&origins));
}

#[test]
fn units_are_merged_by_several_threads_while_origins_come_in() {
    let (disk, store) = fresh();
    let mut all: Vec<Expected> = Vec::new();
    for hour in 0..4 {
        all.extend((0..9).map(|piece| keep(&store, &unit(hour, "default"), piece, 30)));
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| compact_all(&store));
        }
        for piece in 9..20 {
            all.extend((0..4).map(|hour| keep(&store, &unit(hour, "default"), piece, 30)));
        }
    });
    assert_eq!(served(&store), digests(&all));
    compact_all(&store);
    assert_eq!(served(&store), digests(&all));
    assert_eq!(names(&disk, "store").len(), store.snapshot().segments.len());
}
