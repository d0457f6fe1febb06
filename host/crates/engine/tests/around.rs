//! What lies around a record is found where it is, and little else is read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use weir_engine::{Cancel, Searchable, SegmentPiece};
use weir_query::{Anchor, Around};
use weir_record::RecordId;
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_segment::WriterOptions;
use weir_storage::disk::sim::SimDisk;

use crate::memory::{MemoryPiece, Shown, batch, engine, pieces, shown};
use crate::segments::{OriginSpec, open, stream, write};

const HOUR_MS: u64 = 3_600_000;

/// Numbers of the records around, by their times, and how many batches and blocks were searched for them.
fn around(over: &[Searchable], anchors: &[(u64, &str)], before: usize, after: usize) -> (BTreeSet<u64>, u64) {
    let anchors = anchors
        .iter()
        .map(|(time, topic)| Anchor { id: RecordId::lowest_at(*time), stream: Arc::new(stream(topic)) })
        .collect();
    let around = Around { before, after, reach_ms: HOUR_MS, anchors };
    let mut found: Vec<Shown> = Vec::new();
    let answer = engine(2, QUERY_MEMORY_BYTES_MAX).around_over(&around, over, &Cancel::new(), &mut |rows| {
        found.extend(shown(&rows));
        ControlFlow::Continue(())
    });
    let stats = answer.unwrap().stats;
    assert!(stats.complete && !stats.limited);
    (found.iter().map(|row| RecordId::from_u128(row.0).time_ms()).collect(), stats.batches_scanned)
}

#[test]
fn the_nearest_records_of_the_stream_are_found_in_segments_and_the_log() {
    let disk = SimDisk::new(1);
    let record = |n: u64| -> Shown {
        let topic = ["even", "odd"][n as usize % 2];
        (
            RecordId::lowest_at(n).to_u128(),
            topic.to_owned(),
            format!("line {n} {}", "x".repeat(200)).into_bytes(),
        )
    };
    let origin = OriginSpec { flagged: false, records: (0..20_000).map(record).collect() };
    let options = WriterOptions { block_bytes: 16 << 10, ..WriterOptions::default() };
    let path = write(&disk, "x.zst", false, &[origin], options);
    let file = open(&disk, &path);
    assert!(file.footer().blocks().len() > 200);
    let mut over: Vec<Searchable> = vec![SegmentPiece::all(file).into()];
    let newest: Vec<(u128, &[u8])> =
        (20_000..20_010).map(|n| (RecordId::lowest_at(n).to_u128(), &b"line"[..])).collect();
    over.extend(pieces(&[Arc::new(MemoryPiece::new(vec![batch("odd", &newest)]))]));

    let (found, searched) = around(&over, &[(10_000, "even")], 3, 2);
    assert_eq!(found, BTreeSet::from([9_994, 9_996, 9_998, 10_002, 10_004]));
    assert!(searched <= 4, "{searched} blocks of 200 for five neighbours");
    // Over the end of the segment, where the log goes on.
    let (found, searched) = around(&over, &[(19_999, "odd")], 1, 2);
    assert_eq!(found, BTreeSet::from([19_997, 20_000, 20_001]));
    assert!(searched <= 4, "{searched} blocks");
    // At the ends, of several, of a stream that is not there.
    let (found, _) = around(&over, &[(1, "odd"), (2, "even"), (3, "none")], 2, 1);
    assert_eq!(found, BTreeSet::from([0, 3, 4]));
    let (found, searched) = around(&over, &[(5, "odd")], 0, 0);
    assert!(found.is_empty() && searched == 0);
}
