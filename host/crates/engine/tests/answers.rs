//! What answers say about themselves, and what is not read for them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use weir_engine::Cancel;
use weir_query::Order;
use weir_record::RecordId;
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;

use crate::memory::{MemoryPiece, ask, batch, engine, pieces, plan};

/// Pieces of ten batches of ten records each, one after the other in time.
fn in_a_row(count: u128) -> Vec<Arc<MemoryPiece>> {
    let piece = |piece: u128| {
        let batches = (0..10).map(|number| {
            let first = 1000 * piece + 10 * number;
            let records: Vec<(u128, &[u8])> =
                (first..first + 10).map(|id| (id, &b"common word"[..])).collect();
            batch(if piece.is_multiple_of(2) { "even" } else { "odd" }, &records)
        });
        Arc::new(MemoryPiece::new(batches.collect()))
    };
    (0..count).map(piece).collect()
}

fn batches_read(over: &[Arc<MemoryPiece>]) -> Vec<u64> {
    over.iter().map(|piece| piece.batches_read.load(Relaxed)).collect()
}

#[test]
fn the_newest_are_found_without_reading_the_rest() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let over = in_a_row(20);
    let mut plan = plan("common");
    plan.order = Order::Desc;
    plan.limit = Some(12);
    let (answer, stats) = ask(&engine, &plan, &over).unwrap();
    let expected: Vec<u128> = (19_088..19_100).rev().collect();
    assert_eq!(answer.iter().map(|row| row.0).collect::<Vec<_>>(), expected);
    let read = batches_read(&over);
    assert_eq!(read[..19], [0; 19], "only the newest piece is read");
    assert!(stats.limited);
    assert_eq!((stats.pieces_scanned, stats.pieces_skipped), (1, 19));
}

#[test]
fn what_the_range_and_the_streams_exclude_is_not_read() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let over = in_a_row(6);
    let mut plan = plan("topic:odd common");
    plan.from = RecordId::from_u128(1095);
    plan.to = RecordId::from_u128(3005);
    let (answer, stats) = ask(&engine, &plan, &over).unwrap();
    let expected: Vec<u128> = (1095..1100).chain(3000..3005).collect();
    assert_eq!(answer.iter().map(|row| row.0).collect::<Vec<_>>(), expected);
    assert_eq!(batches_read(&over), [0, 1, 0, 1, 0, 0]);
    assert_eq!((stats.pieces_scanned, stats.pieces_skipped), (2, 4));
    assert_eq!((stats.batches_scanned, stats.batches_skipped), (2, 18));
    assert_eq!((stats.records_scanned, stats.bytes_scanned), (10, 110));
}

#[test]
fn what_cannot_be_read_is_named_once_and_the_rest_is_found() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let mut over = in_a_row(3);
    let damaged = Arc::get_mut(&mut over[1]).unwrap();
    damaged.unreadable = vec![3];
    damaged.lost = Some("a part of it is gone".into());
    let (answer, stats) = ask(&engine, &plan("word"), &over).unwrap();
    assert_eq!(answer.len(), 290);
    assert!(!stats.complete);
    let missing: Vec<_> = stats.missing.iter().map(|m| (m.from.to_u128(), m.to.to_u128(), &*m.why)).collect();
    assert_eq!(missing, [(1000, 1099, "a part of it is gone"), (1030, 1039, "made so")]);
    assert_eq!(stats.missing[1].place, "memory, batch 3");

    let mut elsewhere = plan("word");
    elsewhere.to = RecordId::from_u128(500);
    assert!(
        ask(&engine, &elsewhere, &over).unwrap().1.complete,
        "nothing is missing where nothing was asked"
    );
}

#[test]
fn a_range_that_is_empty_or_a_limit_of_none_reads_nothing() {
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let over = in_a_row(2);
    let mut backwards = plan("");
    (backwards.from, backwards.to) = (RecordId::from_u128(50), RecordId::from_u128(50));
    let mut none = plan("");
    none.limit = Some(0);
    let mut before_all = plan("");
    before_all.to = RecordId::MIN;
    for plan in [backwards, none, before_all] {
        let (answer, stats) = ask(&engine, &plan, &over).unwrap();
        assert_eq!((answer.len(), stats.pieces_skipped, stats.complete), (0, 2, true));
    }
    assert_eq!(batches_read(&over), [0, 0]);
    assert!(ask(&engine, &plan(""), &[]).unwrap().0.is_empty());
}

#[test]
fn the_very_last_id_is_found() {
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let over = [Arc::new(MemoryPiece::new(vec![batch("t", &[(u128::MAX, b"z"), (0, b"a")])]))];
    for order in [Order::Asc, Order::Desc] {
        let mut plan = plan("");
        plan.order = order;
        assert_eq!(ask(&engine, &plan, &over).unwrap().0.len(), 2);
    }
}

#[test]
fn a_sink_that_breaks_ends_the_query() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let over = in_a_row(50);
    let mut calls = 0;
    let stats = engine.run_over(&plan(""), &pieces(&over), &Cancel::new(), &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    assert_eq!(calls, 1);
    assert!(stats.unwrap().stats.records_matched < 5000);
}
