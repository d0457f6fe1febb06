//! Ending queries early, and several at a time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use weir_engine::{Cancel, EngineError};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;

use crate::memory::{MemoryPiece, ask, batch, engine, pieces, plan};

/// Eight megabytes that the regex below takes most of a second for: Unicode word boundaries among letters
/// that are not ASCII are beyond the fast engines.
fn slow_piece(first: u128) -> MemoryPiece {
    let line = "é".repeat(100);
    let records: Vec<(u128, &[u8])> = (first..first + 40_000).map(|id| (id, line.as_bytes())).collect();
    MemoryPiece::new(vec![batch("t", &records)])
}

const SLOW: &str = r"/\w+\b\d/";

/// The best of some attempts: a busy machine delays one or another, a worker that looks too seldom all of them.
#[test]
fn a_cancelled_query_ends_within_a_tenth_of_a_second() {
    let within = |took: &Duration| *took < Duration::from_millis(100);
    let took: Vec<Duration> = (0..20).map(|_| cancelled_query()).take_while(|took| !within(took)).collect();
    assert!(took.len() < 20, "{took:?}");
}

/// How long a query goes on after it is cancelled.
fn cancelled_query() -> Duration {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let (began, begun) = channel();
    let mut over = Vec::new();
    for number in 0..10 {
        let mut piece = slow_piece(number * 1_000_000);
        let began = began.clone();
        piece.on_read = Some(Box::new(move || began.send(()).unwrap()));
        over.push(Arc::new(piece));
    }
    let cancel = Cancel::new();
    let took = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let answer =
                engine.run_over(&plan(SLOW), &pieces(&over), &cancel, &mut |_| ControlFlow::Continue(()));
            assert!(matches!(answer, Err(EngineError::Cancelled)), "{answer:?}");
            Instant::now()
        });
        for _ in 0..2 {
            begun.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        let cancelled = Instant::now();
        cancel.cancel();
        asked.join().unwrap().duration_since(cancelled)
    });
    // The workers are free again: dropping the engine waits for them.
    drop(engine);
    let read: u64 = over.iter().map(|piece| piece.batches_read.load(Relaxed)).sum();
    assert_eq!(read, 2, "no piece was begun after the cancel");
    took
}

#[test]
fn a_cancel_that_was_used_ends_queries_at_once() {
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let cancel = Cancel::new();
    cancel.cancel();
    let answer = engine.count_over(&plan(""), &[], &cancel);
    assert!(matches!(answer, Err(EngineError::Cancelled)));
}

#[test]
fn many_queries_at_a_time_each_get_their_own_answer() {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let words = ["alpha", "beta", "gamma", "delta"];
    let over: Vec<_> = (0..30_u128)
        .map(|piece| {
            let records: Vec<(u128, &[u8])> =
                (0..40).map(|n| (piece * 100 + n, words[n as usize % 4].as_bytes())).collect();
            Arc::new(MemoryPiece::new(vec![batch("t", &records)]))
        })
        .collect();
    thread::scope(|scope| {
        for number in 0..16 {
            let (engine, over, word) = (&engine, &over, words[number % 4]);
            scope.spawn(move || {
                for _ in 0..20 {
                    let (answer, _) = ask(engine, &plan(word), over).unwrap();
                    assert_eq!(answer.len(), 300);
                    assert!(answer.iter().all(|row| row.2 == word.as_bytes()));
                }
            });
        }
    });
}

#[test]
fn a_panic_in_a_piece_costs_its_query_only() {
    let engine = engine(1, QUERY_MEMORY_BYTES_MAX);
    let mut bad = MemoryPiece::new(vec![batch("t", &[(1, b"x")])]);
    bad.on_read = Some(Box::new(|| panic!("a bug in the reader")));
    let bad = [Arc::new(bad)];
    match ask(&engine, &plan(""), &bad) {
        Err(EngineError::Worker(message)) => assert_eq!(message, "a bug in the reader"),
        other => panic!("{other:?}"),
    }
    let good = [Arc::new(MemoryPiece::new(vec![batch("t", &[(1, b"x")])]))];
    assert_eq!(ask(&engine, &plan(""), &good).unwrap().0.len(), 1);
}

#[test]
fn after_a_cancel_nothing_more_is_read_than_what_is_under_way() {
    const WORKERS: usize = 2;
    // Batches that are each worth a read of their own.
    let line = "x".repeat(1 << 20);
    let batches = |first: u128| (first..first + 40).map(|id| batch("t", &[(id, line.as_bytes())])).collect();
    let cancel = Cancel::new();
    let reads = Arc::new(AtomicU64::new(0));
    let over: Vec<Arc<MemoryPiece>> = (0..4)
        .map(|number| {
            let mut piece = MemoryPiece::new(batches(1000 * number));
            let (cancel, reads) = (cancel.clone(), Arc::clone(&reads));
            piece.on_read = Some(Box::new(move || {
                if reads.fetch_add(1, Relaxed) + 1 == 5 {
                    cancel.cancel();
                }
            }));
            Arc::new(piece)
        })
        .collect();
    let engine = engine(WORKERS, QUERY_MEMORY_BYTES_MAX);
    let answer =
        engine.run_over(&plan("absent"), &pieces(&over), &cancel, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(answer, Err(EngineError::Cancelled)), "{answer:?}");
    // It waits for the workers.
    drop(engine);
    let read = reads.load(Relaxed);
    // The step that cancels is one worker's; each other one may be about to read.
    assert!((5..5 + WORKERS as u64).contains(&read), "{read} reads of 160");
}
