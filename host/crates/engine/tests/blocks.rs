//! What is not read of segments, and what happens when it cannot be.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_engine::{Cancel, Damaged, DamagedPart, EngineError, Plan, Searchable, SegmentPiece};
use weir_query::{Buckets, Order, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{QUERY_MEMORY_BYTES_MAX, QUERY_SCAN_BYTES_MIN, SEGMENT_FILTER_PART_BYTES};
use weir_segment::{Grouping, WriterOptions};
use weir_storage::SegmentFile;
use weir_storage::disk::sim::SimDisk;

use crate::memory::{Shown, engine, plan};
use crate::segments::{OriginSpec, open, prints, rows, write};

/// A segment of `records` numbered lines, one a millisecond, of two streams and two origins in turns; every
/// line has its number as a word.
fn numbered(
    disk: &SimDisk,
    records: u64,
    line_bytes: usize,
    options: WriterOptions,
) -> (PathBuf, Arc<SegmentFile>) {
    let record = |n: u64| -> Shown {
        let mut line = format!("common n{n} level=info ").into_bytes();
        line.resize(line.len().max(line_bytes), b'.');
        (RecordId::lowest_at(n).to_u128(), ["even", "odd"][n as usize % 2].to_owned(), line)
    };
    let half = |first: u64| OriginSpec {
        flagged: false,
        records: (0..records).filter(|n| n / 10 % 2 == first).map(record).collect(),
    };
    let path = write(disk, "x.zst", false, &[half(0), half(1)], options);
    let file = open(disk, &path);
    (path, file)
}

fn small(records: u64) -> (SimDisk, PathBuf, Arc<SegmentFile>) {
    let disk = SimDisk::new(1);
    let options = WriterOptions { block_bytes: 4 << 10, ..WriterOptions::default() };
    let (path, file) = numbered(&disk, records, 60, options);
    (disk, path, file)
}

fn all(file: &Arc<SegmentFile>) -> Vec<Searchable> {
    vec![SegmentPiece::all(Arc::clone(file)).into()]
}

fn ids(found: &[Shown]) -> Vec<u64> {
    found.iter().map(|row| RecordId::from_u128(row.0).time_ms()).collect()
}

#[test]
fn the_ends_of_a_segment_are_found_without_reading_the_rest() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let disk = SimDisk::new(1);
    let (_, file) = numbered(&disk, 60_000, 1000, WriterOptions::default());
    assert!(file.footer().parts().len() > 2 && file.footer().payload_bytes() > 2 * SEGMENT_FILTER_PART_BYTES);
    for (order, expected) in
        [(Order::Asc, (0..100).collect::<Vec<_>>()), (Order::Desc, (59_900..60_000).rev().collect())]
    {
        for query in ["common", "", "/c.mmon/"] {
            let plan = Plan { limit: Some(100), order, ..plan(query) };
            let (found, answer) = rows(&engine, &plan, &all(&file));
            assert_eq!(ids(&found), expected);
            assert_eq!(
                (answer.stats.batches_scanned, answer.stats.segments_scanned),
                (1, 1),
                "{query} {order:?}"
            );
        }
    }
    // A range in the middle touches the blocks that it lies in.
    let middle =
        Plan { from: RecordId::lowest_at(20_000), to: RecordId::lowest_at(20_010), ..plan("common") };
    let (found, answer) = rows(&engine, &middle, &all(&file));
    assert_eq!(ids(&found), (20_000..20_010).collect::<Vec<_>>());
    assert!(answer.stats.batches_scanned <= 2, "{:?}", answer.stats);
    assert_eq!(answer.stats.records_scanned, 10);
    // A word of one record is looked for in one block, give or take a false alarm: also in any case, inside of
    // quotes, and where a regex has all of it.
    for query in ["n31234", "~N31234", "\" n31234 \"", "/common n31234 lev/", "/(?i) N312(34|56) \\w+=/"] {
        let (found, answer) = rows(&engine, &plan(query), &all(&file));
        assert_eq!(ids(&found)[0], 31_234, "{query}");
        let stats = answer.stats;
        assert!(stats.batches_scanned <= 3, "{query}: {stats:?}");
        assert_eq!(stats.batches_scanned + stats.batches_pruned, file.footer().blocks().len() as u64);
        assert_eq!(stats.batches_pruned, stats.batches_skipped);
        assert!(stats.bytes_pruned > 55_000_000 && stats.bytes_pruned == stats.bytes_skipped);
    }
    // Nothing of it is found where no word is.
    let (found, answer) = rows(&engine, &plan("absent OR gone"), &all(&file));
    assert!(found.is_empty() && answer.stats.batches_scanned <= 2);
}

#[test]
fn counts_read_what_they_must() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let (_, _, file) = small(2000);
    let blocks = file.footer().blocks().len() as u64;
    assert!(blocks > 10);
    let count =
        |plan: &Plan, over: &[Searchable]| engine.count_over(plan, over, &Cancel::new()).unwrap().stats;
    // All of it: nothing is read. Cut off by a time, one stream, one origin: columns. A word: lines.
    let stats = count(&plan(""), &all(&file));
    assert_eq!((stats.records_matched, stats.segments_scanned, stats.batches_skipped), (2000, 0, blocks));
    let from = Plan { from: RecordId::lowest_at(77), ..plan("") };
    let stats = count(&from, &all(&file));
    assert_eq!((stats.records_matched, stats.batches_scanned), (1923, 0));
    let stats = count(&plan("topic:odd"), &all(&file));
    assert_eq!((stats.records_matched, stats.batches_scanned), (1000, 0));
    let one: Vec<Searchable> = vec![SegmentPiece::only(Arc::clone(&file), [1, 99]).into()];
    let stats = count(&plan("common OR topic:even"), &one);
    assert_eq!((stats.records_matched, stats.batches_scanned), (1000, blocks));
    let stats = count(&plan(""), &one);
    assert_eq!((stats.records_matched, stats.batches_scanned), (1000, 0));
    let none: Vec<Searchable> = vec![SegmentPiece::only(Arc::clone(&file), []).into()];
    assert_eq!(count(&plan(""), &none).records_matched, 0);

    // Buckets that hold a block whole are counted from its columns, others from its lines.
    let whole = Buckets::new(0, 1_000_000, 1).unwrap();
    let (histogram, answer) = engine.histogram_over(&plan(""), whole, &all(&file), &Cancel::new()).unwrap();
    assert_eq!((histogram.counts()[0][2], answer.stats.segments_scanned), (2000, 0));
    let halves = Buckets::new(0, 1_000, 3).unwrap();
    let (histogram, answer) = engine.histogram_over(&plan(""), halves, &all(&file), &Cancel::new()).unwrap();
    assert_eq!(histogram.counts().iter().map(|counts| counts[2]).collect::<Vec<_>>(), [1000, 1000, 0]);
    assert!(answer.stats.batches_scanned <= 1, "{:?}", answer.stats);
}

#[test]
fn a_segment_larger_than_the_memory_is_sent_in_order() {
    let engine = engine(2, 4 * QUERY_SCAN_BYTES_MIN);
    let disk = SimDisk::new(1);
    let options = WriterOptions { grouping: Grouping::Shape, ..WriterOptions::default() };
    let (_, file) = numbered(&disk, 60_000, 500, options);
    for order in [Order::Asc, Order::Desc] {
        let (found, _) = rows(&engine, &Plan { order, ..plan("common") }, &all(&file));
        let expected = 0..60_000;
        match order {
            Order::Asc => assert!(ids(&found).into_iter().eq(expected)),
            Order::Desc => assert!(ids(&found).into_iter().eq(expected.rev())),
        }
    }
}

/// Asks for everything in every mode, after a byte at `offset` was changed; rows found, and what is damaged.
fn ask_damaged(
    disk: &SimDisk,
    path: &Path,
    file: &Arc<SegmentFile>,
    offset: u64,
    query: &str,
) -> (Vec<u64>, Stats, Vec<Damaged>) {
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    disk.flip(path, offset, 0x10).unwrap();
    let (found, answer) = rows(&engine, &plan(query), &all(file));
    let found = ids(&found);
    assert_eq!(prints(&engine, &plan(query), &all(file)).len(), found.len());
    let counted = engine.count_over(&plan(query), &all(file), &Cancel::new()).unwrap().stats;
    // A count needs no columns where the lines tell: it is whole, or lacks what the rows lack.
    if counted.complete && !answer.stats.complete {
        assert_eq!(counted.records_matched, file.footer().records());
    } else {
        assert_eq!(counted.records_matched, found.len() as u64);
        assert_eq!(counted.complete, answer.stats.complete);
    }
    disk.flip(path, offset, 0x10).unwrap();
    (found, answer.stats, answer.damaged)
}

#[test]
fn a_damaged_block_is_named_with_its_origins_and_the_rest_is_found() {
    let (disk, path, file) = small(1000);
    let entry = file.footer().blocks()[3];
    let lost = entry.low.time_ms()..=entry.high.time_ms();
    let rest: Vec<u64> = (0..1000).filter(|n| !lost.contains(n)).collect();
    let side = entry.side_range();
    for (offset, origins) in [
        (entry.offset + 30, Some(vec![0, 1])),
        // The head of the side frame, and the columns.
        (side.start + 8 + 3, None),
        (side.end - 9, None),
    ] {
        let (found, stats, damaged) = ask_damaged(&disk, &path, &file, offset, "common");
        assert_eq!(found, rest, "{offset}");
        assert!(!stats.complete);
        let [missing] = stats.missing.as_slice() else { panic!("{:?}", stats.missing) };
        assert_eq!((missing.from, missing.to), (entry.low, entry.high));
        assert!(missing.place.starts_with("x.zst, block 3"), "{}", missing.place);
        let block = damaged.iter().find(|damaged| damaged.part == DamagedPart::Block(3)).unwrap();
        assert_eq!(block.origins, origins, "{offset}");
        assert!(!block.why.is_empty());
    }
}

#[test]
fn a_query_that_asks_for_all_or_none_ends_at_damage_behind_the_rows_before_it() {
    let (disk, path, file) = small(1000);
    let entry = file.footer().blocks()[3];
    disk.flip(&path, entry.offset + 30, 0x10).unwrap();
    for order in [Order::Asc, Order::Desc] {
        let plan = Plan { whole: true, order, ..plan("common") };
        let mut found = Vec::new();
        let mut sink = |rows: Rows| {
            found.extend(rows.ids().iter().map(|id| id.time_ms()));
            ControlFlow::Continue(())
        };
        let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
        let error = engine.run_over(&plan, &all(&file), &Cancel::new(), &mut sink).unwrap_err();
        let EngineError::Damaged(damaged) = error else { panic!("{error}") };
        assert_eq!(damaged.part, DamagedPart::Block(3));
        let expected: Vec<u64> = match order {
            Order::Asc => (0..entry.low.time_ms()).collect(),
            Order::Desc => (entry.high.time_ms() + 1..1000).rev().collect(),
        };
        assert!(expected.starts_with(&found), "{order:?}: {found:?}");
        let buckets = Buckets::new(0, 1000, 1).unwrap();
        let counted = engine.histogram_of_rest(&plan, buckets, &all(&file), Vec::new(), &Cancel::new());
        assert!(matches!(counted, Err(EngineError::Damaged(_))), "{counted:?}");
    }
}

#[test]
fn a_damaged_filter_costs_no_record() {
    let (disk, path, file) = small(1000);
    let entry = file.footer().blocks()[3];
    let part = file.footer().parts()[0].range.clone();
    for (offset, expected) in [
        (entry.filters_at() + 5, Some(DamagedPart::BlockFilter(3))),
        (part.start + 40, Some(DamagedPart::FilterPart(0))),
        // Headers of frames are read by nobody but whoever proves the whole segment.
        (entry.side_range().start + 2, None),
        (part.start, None),
    ] {
        let (found, stats, damaged) = ask_damaged(&disk, &path, &file, offset, "common");
        assert_eq!(found, (0..1000).collect::<Vec<_>>());
        assert!(stats.complete);
        let told: Vec<_> = damaged.iter().map(|one| (one.part, one.origins.as_deref())).collect();
        let expected: Vec<_> = expected.into_iter().map(|part| (part, Some(&[][..]))).collect();
        assert_eq!((told, stats.filters_unreadable), (expected.clone(), expected.len() as u64));
    }
}

#[test]
fn damage_in_what_was_not_asked_for_is_not_missed() {
    let (disk, path, file) = small(1000);
    let entry = file.footer().blocks()[3];
    disk.flip(&path, entry.offset + 30, 0x10).unwrap();
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let elsewhere = Plan { to: entry.low, ..plan("common") };
    let (found, answer) = rows(&engine, &elsewhere, &all(&file));
    assert!(answer.stats.complete && answer.damaged.is_empty());
    assert_eq!(found.len() as u64, entry.low.time_ms());
    // The streams tell that nothing can match, and the columns how many records a stream has.
    let (_, answer) = rows(&engine, &plan("topic:none common"), &all(&file));
    assert!(answer.stats.complete);
    let counted = engine.count_over(&plan("topic:odd"), &all(&file), &Cancel::new()).unwrap().stats;
    assert_eq!((counted.records_matched, counted.complete), (500, true));
}

#[test]
fn no_flipped_bit_makes_an_answer_wrong_without_a_word() {
    let (disk, path, file) = small(200);
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let end = file.footer().parts().last().unwrap().range.end;
    for offset in (0..end).step_by(3) {
        disk.flip(&path, offset, 1 << (offset % 8)).unwrap();
        for query in ["n117", "common", ""] {
            let expected: Vec<u64> = if query == "n117" { vec![117] } else { (0..200).collect() };
            let (found, answer) = rows(&engine, &plan(query), &all(&file));
            let found = ids(&found);
            if answer.stats.complete {
                assert_eq!(found, expected, "{query}, byte {offset}");
            } else {
                assert!(found.iter().all(|n| expected.contains(n)), "{query}, byte {offset}");
                let lost = |n: &&u64| {
                    let id = RecordId::lowest_at(**n);
                    answer.stats.missing.iter().any(|missing| (missing.from..=missing.to).contains(&id))
                };
                assert!(
                    expected.iter().filter(|n| !found.contains(n)).all(|n| lost(&n)),
                    "{query}, byte {offset}"
                );
            }
        }
        disk.flip(&path, offset, 1 << (offset % 8)).unwrap();
    }
}
