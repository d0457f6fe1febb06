use super::corpus::*;
use crate::disk::sim::SimDisk;
use crate::store::{Accepted, Change, CompactBudget, CompactWork, Compaction, Expected, GoneReason, Store};

/// A store whose only segment holds three origins, one after the other in time, and is damaged in the last one.
fn damaged() -> (SimDisk, Store, Vec<Expected>) {
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    let origins: Vec<_> = (0..3).map(|piece| keep(&store, &hour, piece, 40)).collect();
    assert_eq!(compact_all(&store).len(), 1);
    let segment = &store.snapshot().segments[0];
    let block = *segment.file.footer().blocks().last().unwrap();
    disk.flip(segment.path(), block.offset + 5, 1).unwrap();
    (disk, store, origins)
}

#[test]
fn damaged_origins_are_announced_no_more_and_can_be_fetched_again() {
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    // The second origin alone reaches into the last blocks.
    let short = keep(&store, &hour, 0, 40);
    let long = keep(&store, &hour, 1, 200);
    compact_all(&store);
    let segment = store.snapshot().segments[0].clone();
    let block = *segment.file.footer().blocks().last().unwrap();
    disk.flip(segment.path(), block.offset + 5, 1).unwrap();
    let seen = watched(&store);
    let damages = store.check(&segment).unwrap();
    assert!(damages[0].to_string().contains("is damaged in its data"), "{}", damages[0]);
    let gone = Change::Gone {
        unit: hour.clone(),
        name: long.name,
        digest: long.digest,
        reason: GoneReason::Damaged,
    };
    assert_eq!(seen.lock().unwrap().last(), Some(&gone));
    assert!(names(&disk, "store")[0].ends_with(".damaged"));
    for store in [store, open(&disk).0] {
        assert_eq!(served(&store), digests(std::slice::from_ref(&short)));
        assert_eq!(cut(&store, &short).lineage()[0].digest, short.digest);
        assert_eq!(store.find(&hour, long.name).map(|_| ()), None);
    }
    let (store, recovery) = open(&disk);
    assert_eq!(recovery.damaged[0].lost, [long.name]);
    assert!(recovery.quarantined.is_empty());
    let (expected, bytes) = origin(&hour, 1, 200);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
    assert_eq!(served(&store), digests(&[short.clone(), long.clone()]));
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.origins, recovery.superseded), (2, 0), "the damaged file is kept");
    assert_eq!(served(&store), digests(&[short, long]));
}

#[test]
fn a_sound_segment_is_left_as_it_is() {
    let (disk, store) = fresh();
    keep(&store, &unit(3, "default"), 0, 40);
    let before = names(&disk, "store");
    assert!(store.check(&store.snapshot().segments[0]).unwrap().is_empty());
    assert_eq!(names(&disk, "store"), before);
}

#[test]
fn a_merge_that_meets_damage_names_it_and_merges_the_rest() {
    let (disk, store, origins) = damaged();
    let more: Vec<_> = (3..6).map(|piece| keep(&store, &unit(3, "default"), piece, 40)).collect();
    let now = CompactBudget { work: CompactWork::Settle, now_ms: u64::MAX, payload_bytes_max: u64::MAX };
    assert_eq!(store.compact_step(now, &|| false).unwrap(), Compaction::GivenUp);
    let lost = store.counters().damaged_origins as usize;
    assert!(lost > 0 && names(&disk, "store").iter().any(|name| name.ends_with(".damaged")));
    let steps = compact_all(&store);
    assert!(matches!(steps.as_slice(), [Compaction::Merged(_)]), "{steps:?}");
    let served = served(&store);
    assert_eq!(served.len(), origins.len() - lost + more.len());
    assert!(digests(&more).keys().all(|name| served.contains_key(name)));
}

#[test]
fn origins_that_are_lost_twice_are_told_once() {
    let (_, store, _) = damaged();
    let segment = store.snapshot().segments[0].clone();
    let seen = watched(&store);
    store.damaged(&segment, &[1]).unwrap();
    store.damaged(&segment, &[1, 2]).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 4, "the first is not held any more in this form");
    let segment = store.snapshot().segments[0].clone();
    store.damaged(&segment, &[1, 2]).unwrap();
    assert_eq!((seen.lock().unwrap().len(), store.holdings().len()), (5, 1));
}
