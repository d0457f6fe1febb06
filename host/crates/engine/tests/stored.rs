//! Queries over a real ingest log, on a simulated disk.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use weir_engine::Cancel;
use weir_query::{Order, Stats};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_storage::disk::sim::SimDisk;
use weir_storage::ingest_log::reader::Snapshot;
use weir_storage::{Entry, IngestLog, LogOptions};

use crate::memory::{Shown, batch, engine, plan, shown};

/// A log of small pieces with records `0..count`, in entries of three batches.
fn log(disk: &SimDisk, count: u128) -> Snapshot {
    let options = LogOptions {
        piece_bytes: 2000,
        full_at_percent: 100,
        resume_at_percent: 100,
        reserve_bytes: 0,
        ..LogOptions::new(7, 1)
    };
    let (mut log, _) = IngestLog::open(Arc::new(disk.clone()), Path::new(""), options).unwrap();
    for first in (0..count).step_by(15) {
        let batches = (0..3).map(|part| {
            let ids = first + 5 * part..first + 5 * part + 5;
            let texts: Vec<(u128, String)> = ids.map(|id| (id, format!("record number {id}"))).collect();
            let records: Vec<(u128, &[u8])> = texts.iter().map(|(id, text)| (*id, text.as_bytes())).collect();
            batch(["a", "b", "c"][part as usize], &records)
        });
        log.append(&Entry { checkpoint: None, batches: batches.collect() }).unwrap();
        log.commit().unwrap();
    }
    log.reader().snapshot()
}

fn ask(query: &str, order: Order, limit: Option<u64>, snapshot: &Snapshot) -> (Vec<Shown>, Stats) {
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let plan = weir_engine::Plan { order, limit, ..plan(query) };
    let mut answer = Vec::new();
    let stats = engine
        .run(&plan, snapshot, &Cancel::new(), &mut |rows| {
            answer.extend(shown(&rows));
            ControlFlow::Continue(())
        })
        .unwrap();
    let counted = engine.count(&plan, snapshot, &Cancel::new()).unwrap();
    if limit.is_none() {
        assert_eq!(counted.records_matched, answer.len() as u64);
    }
    (answer, stats)
}

#[test]
fn what_was_committed_is_found_in_both_orders() {
    let snapshot = log(&SimDisk::new(1), 1500);
    assert!(snapshot.pieces.len() > 5, "{}", snapshot.pieces.len());
    let (answer, stats) = ask("record", Order::Asc, None, &snapshot);
    assert!(answer.iter().map(|row| row.0).eq(0..1500));
    assert!(stats.complete);
    let (answer, _) = ask("topic:b", Order::Desc, Some(6), &snapshot);
    let found: Vec<_> = answer.iter().map(|(id, topic, _)| (*id, topic.as_str())).collect();
    assert_eq!(found, [1494, 1493, 1492, 1491, 1490, 1479].map(|id| (id, "b")));
    let (answer, stats) = ask("777", Order::Asc, None, &snapshot);
    assert_eq!(answer, [(777, "c".to_owned(), b"record number 777".to_vec())]);
    assert_eq!(stats.records_scanned, 1500);
}

#[test]
fn a_flipped_bit_costs_its_frame_and_is_named() {
    let disk = SimDisk::new(2);
    let snapshot = log(&disk, 1500);
    let piece = &snapshot.pieces[2];
    let hit = piece.batches()[4];
    let path = Path::new("log").join(piece.name());
    disk.flip(&path, hit.frame_offset + u64::from(hit.batch_offset) + 40, 0x10).unwrap();
    let lost: Vec<u128> = piece
        .batches()
        .iter()
        .filter(|batch| batch.frame_offset == hit.frame_offset)
        .flat_map(|batch| batch.low.to_u128()..=batch.high.to_u128())
        .collect();
    assert_eq!(lost.len(), 15);

    let (answer, stats) = ask("", Order::Asc, None, &snapshot);
    assert!(answer.iter().map(|row| row.0).eq((0..1500).filter(|id| !lost.contains(id))));
    assert!(!stats.complete);
    let [missing] = stats.missing.as_slice() else { panic!("{:?}", stats.missing) };
    assert_eq!((missing.from.to_u128(), missing.to.to_u128()), (lost[0], lost[14]));
    assert!(missing.place.contains(piece.name()) && missing.place.contains(&hit.frame_offset.to_string()));
    assert!(missing.why.contains("checksum"), "{}", missing.why);
}
