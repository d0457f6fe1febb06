//! Memory stays within its bound, or the answer says why not.

use std::ops::ControlFlow;
use std::sync::Arc;

use weir_engine::{Cancel, Engine, EngineError, EngineOptions};
use weir_query::Order;
use weir_record::limits::QUERY_SCAN_BYTES_MIN;

use crate::memory::{MemoryPiece, ask, batch, engine, pieces, plan};

/// The least memory with which a piece can be searched.
const LITTLE: usize = 4 * QUERY_SCAN_BYTES_MIN;

/// A piece of `count` small records with ids `first`, `first + step`, …, in batches that lie in no order.
fn many(first: u128, step: u128, count: u128) -> Arc<MemoryPiece> {
    let mut batches: Vec<_> = (0..count.div_ceil(10_000))
        .map(|number| {
            let rows = number * 10_000..count.min((number + 1) * 10_000);
            let records: Vec<(u128, &[u8])> = rows.map(|row| (first + row * step, &b""[..])).collect();
            batch("t", &records)
        })
        .collect();
    batches.reverse();
    Arc::new(MemoryPiece::new(batches))
}

#[test]
fn a_piece_that_does_not_fit_is_searched_in_several_goes() {
    let engine = engine(2, LITTLE);
    // 24 bytes a row: 500,000 of them take 12 MB, and a search may keep a quarter of 4 MB of them.
    let over = [many(0, 1, 500_000), many(250_000, 1, 500_000)];
    for order in [Order::Asc, Order::Desc] {
        let mut plan = plan("");
        plan.order = order;
        let (answer, stats) = ask(&engine, &plan, &over).unwrap();
        let expected: Vec<u128> = match order {
            Order::Asc => (0..750_000).collect(),
            Order::Desc => (0..750_000).rev().collect(),
        };
        assert!(answer.iter().map(|row| row.0).eq(expected), "every id once, in order");
        assert_eq!((stats.records_matched, stats.repeats), (750_000, 250_000));
        assert!(stats.records_scanned > 1_000_000, "records are read more than once");
    }
    let counted = engine.count_over(&plan(""), &pieces(&over), &Cancel::new()).unwrap();
    assert_eq!(counted.stats.records_matched, 750_000);
}

#[test]
fn a_large_limit_is_no_way_around_the_bound() {
    let engine = engine(2, LITTLE);
    let mut plan = plan("");
    plan.limit = Some(400_000);
    let (answer, _) = ask(&engine, &plan, &[many(0, 3, 300_000), many(1, 3, 300_000)]).unwrap();
    assert!(answer.iter().map(|row| row.0).eq((0..600_000_u128).filter(|id| id % 3 < 2).take(400_000)));
}

#[test]
fn too_many_rows_that_wait_for_each_other_are_refused_with_the_bound() {
    let engine = engine(2, LITTLE);
    let over: Vec<_> = (0..40).map(|number| many(number, 40, 100_000)).collect();
    let error = ask(&engine, &plan(""), &over).unwrap_err();
    assert!(matches!(error, EngineError::Memory { bytes_max: LITTLE }), "{error}");
    assert!(error.to_string().contains("narrower time range"), "{error}");

    // With little to find the same pieces are no trouble.
    let mut few = plan("");
    few.limit = Some(10);
    assert_eq!(ask(&engine, &few, &over).unwrap().0.len(), 10);
    assert_eq!(ask(&engine, &plan("absent"), &over).unwrap().0.len(), 0);
}

#[test]
fn one_id_with_more_payloads_than_fit_is_refused() {
    let engine = engine(1, LITTLE);
    let payloads: Vec<Vec<u8>> = (0..7_u8).map(|number| vec![number; 1 << 20]).collect();
    let records: Vec<(u128, &[u8])> = payloads.iter().map(|payload| (5, payload.as_slice())).collect();
    let over = [Arc::new(MemoryPiece::new(vec![batch("t", &records)]))];
    assert!(matches!(ask(&engine, &plan(""), &over), Err(EngineError::Memory { .. })));
}

#[test]
fn queries_share_what_all_may_take_and_one_too_many_is_told_so() {
    let options = EngineOptions { workers: 2, memory_bytes_max: LITTLE, memory_bytes_all_max: LITTLE };
    let engine = Engine::new(options).unwrap();
    // One query holds rows that it cannot send for as long as nobody takes them.
    let over: Vec<_> = (0..4).map(|number| many(number, 4, 40_000)).collect();
    let small = [many(0, 1, 10)];
    let mut asked = false;
    let sources = pieces(&over);
    let answer = engine.run_over(&plan(""), &sources, &Cancel::new(), &mut |_| {
        if !asked {
            asked = true;
            // Another one gets what is left, or is told why not; it never waits for ever.
            match ask(&engine, &plan(""), &small) {
                Ok((rows, _)) => assert_eq!(rows.len(), 10),
                Err(EngineError::MemoryOfAll { bytes_max }) => assert_eq!(bytes_max, LITTLE),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(
                engine.count_over(&plan(""), &pieces(&small), &Cancel::new()).unwrap().stats.records_matched,
                10
            );
        }
        ControlFlow::Continue(())
    });
    assert_eq!(answer.unwrap().stats.records_matched, 160_000);
    assert!(asked);
    // What was taken is given back.
    assert_eq!(ask(&engine, &plan(""), &small).unwrap().0.len(), 10);
}
