use weir_replication::OriginSet;

use super::corpus::*;
use crate::store::{Accepted, Change, GoneReason, StoreDropped};

fn names_of(pieces: &[u64]) -> OriginSet {
    pieces.iter().map(|piece| name(*piece)).collect()
}

#[test]
fn segments_go_whole_are_told_and_can_be_taken_again() {
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    let merged: Vec<_> = (0..2).map(|piece| keep(&store, &hour, piece, 20)).collect();
    compact_all(&store);
    let alone = keep(&store, &hour, 2, 20);
    keep(&store, &unit(4, "default"), 0, 20);
    let (seen, held) = (watched(&store), store.snapshot());
    let told = seen.lock().unwrap().len();
    let dropped = store.drop_origins(&hour, &names_of(&[0, 2, 9])).unwrap();
    assert_eq!((dropped.segments, dropped.origins), (1, 1), "what lies beside the second stays");
    let gone = Change::Gone {
        unit: hour.clone(),
        name: alone.name,
        digest: alone.digest,
        reason: GoneReason::Dropped,
    };
    assert_eq!(seen.lock().unwrap()[told..], [gone]);
    assert_eq!(held.segments.iter().map(|segment| payloads(segment).len()).sum::<usize>(), 80);
    assert_eq!(open(&disk).0.snapshot().origins(), 3, "after a restart as well");
    assert_eq!(store.drop_origins(&hour, &names_of(&[0, 1])).unwrap().origins, 2);
    assert_eq!(store.drop_origins(&hour, &names_of(&[0, 1])).unwrap(), StoreDropped::default());
    assert_eq!(store.units().len(), 1);
    let (expected, bytes) = origin(&hour, 0, 20);
    assert_eq!(expected.digest, merged[0].digest);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
}

#[test]
fn a_damaged_segment_goes_when_others_have_what_it_has_lost() {
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    (0..2).for_each(|piece| drop(keep(&store, &hour, piece, 60)));
    compact_all(&store);
    let segment = store.snapshot().segments[0].clone();
    store.damaged(&segment, &[1]).unwrap();
    assert_eq!(store.drop_origins(&hour, &names_of(&[0])).unwrap(), StoreDropped::default());
    assert_eq!(store.drop_origins(&hour, &names_of(&[0, 1])).unwrap().segments, 1);
    assert!(names(&disk, "store").iter().all(|name| !name.ends_with(".damaged")));
}
