//! Why segments were not read, and where the time went.

use weir_engine::{Cancel, Plan, Searchable, SegmentPiece};
use weir_record::RecordId;
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_segment::WriterOptions;
use weir_storage::disk::sim::SimDisk;

use crate::memory::{Shown, engine, plan};
use crate::segments::{OriginSpec, open, rows, write};

#[test]
fn each_segment_that_is_not_read_has_its_reason() {
    let disk = SimDisk::new(1);
    let segment = |name: &str, first: u64, topic: &str, line: &str| -> Searchable {
        let record = |n: u64| -> Shown {
            (RecordId::lowest_at(n).to_u128(), topic.to_owned(), format!("{line} {n}").into_bytes())
        };
        let records = (first..first + 100).map(record).collect();
        let origin = OriginSpec { flagged: false, records };
        let path = write(&disk, name, false, &[origin], WriterOptions::default());
        SegmentPiece::all(open(&disk, &path)).into()
    };
    let over = [
        segment("old.zst", 0, "a", "wanted"),
        segment("other.zst", 1000, "b", "wanted"),
        segment("quiet.zst", 2000, "a", "boring"),
        segment("hit.zst", 3000, "a", "wanted"),
        segment("hit too.zst", 4000, "a", "wanted"),
    ];
    let engine = engine(2, QUERY_MEMORY_BYTES_MAX);
    let asked = Plan { from: RecordId::lowest_at(1000), ..plan("topic:a wanted") };
    let (found, answer) = rows(&engine, &asked, &over);
    assert_eq!(found.len(), 200);
    let stats = answer.stats;
    assert_eq!((stats.segments_scanned, stats.segments_skipped), (2, 3));
    let reasons = (stats.segments_skipped_time, stats.segments_skipped_streams, stats.segments_pruned);
    assert_eq!(reasons, (1, 1, 1), "{stats:?}");
    let stages = stats.stages;
    assert!(stages.filter_us + stages.decode_us <= stages.scan_us, "{stages:?}");
    assert!(stages.match_us <= stages.scan_us, "{stages:?}");

    // What the limit or a count without reading spares has no reason of these.
    let (_, answer) = rows(&engine, &Plan { limit: Some(5), ..asked.clone() }, &over[3..]);
    assert_eq!((answer.stats.segments_scanned, answer.stats.segments_skipped), (1, 1));
    assert_eq!(answer.stats.segments_pruned, 0);
    let counted = engine.count_over(&asked, &over, &Cancel::new()).unwrap().stats;
    assert_eq!((counted.records_matched, counted.segments_pruned), (200, 1));
}
