use std::collections::BTreeMap;

use super::corpus::*;
use crate::store::{Accepted, Change, ExpiryRules, GoneReason, Store, StoreExpired};

fn rules(now_hour: u64, default_age_hours: u64) -> ExpiryRules {
    ExpiryRules {
        now_ms: now_hour * HOUR_MS,
        default_age_ms: default_age_hours * HOUR_MS,
        classes: BTreeMap::new(),
        bytes_max: u64::MAX,
    }
}

fn hours(store: &Store) -> Vec<String> {
    store.units().iter().map(|unit| format!("{} {}", unit.class(), unit.start_ms() / HOUR_MS)).collect()
}

#[test]
fn units_expire_by_the_age_of_their_class_and_the_mark_survives_restarts() {
    let (disk, store) = fresh();
    for hour in 0..4 {
        keep(&store, &unit(hour, "default"), hour, 20);
        keep(&store, &unit(hour, "debug"), hour, 20);
    }
    let seen = watched(&store);
    let held = store.snapshot();
    let by_class = ExpiryRules { classes: BTreeMap::from([("debug".to_owned(), HOUR_MS)]), ..rules(4, 2) };
    let expired = store.expire(&by_class).unwrap();
    assert_eq!((expired.segments, expired.origins, expired.records), (5, 5, 100));
    assert_eq!(hours(&store), ["default 2", "debug 3", "default 3"]);
    assert_eq!(held.segments.iter().map(|s| payloads(s).len()).sum::<usize>(), 160, "held ones are readable");
    let gone = |change: &&Change| matches!(change, Change::Gone { reason: GoneReason::Expired, .. });
    assert_eq!(seen.lock().unwrap().iter().filter(gone).count(), 5);
    assert_eq!(store.expire(&by_class).unwrap(), StoreExpired::default());
    for store in [store, open(&disk).0] {
        assert_eq!(
            (store.expired_before("default"), store.expired_before("debug")),
            (2 * HOUR_MS, 3 * HOUR_MS)
        );
        assert_eq!(store.expired_before("other"), 0);
        let (expected, bytes) = origin(&unit(1, "default"), 77, 20);
        assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Expired);
        // A longer age from now on brings nothing back, nor does a clock that goes back.
        store.expire(&rules(3, 100)).unwrap();
        assert_eq!(store.expired_before("default"), 2 * HOUR_MS);
    }
}

#[test]
fn the_oldest_units_go_while_all_take_too_much_whatever_their_class() {
    let (_, store) = fresh();
    for hour in 0..4 {
        keep(&store, &unit(hour, "default"), hour, 20);
        keep(&store, &unit(hour, "debug"), hour, 20);
    }
    let bytes = store.bytes();
    let limited = |bytes_max| ExpiryRules { bytes_max, ..rules(5, 100) };
    assert_eq!(store.expire(&limited(bytes)).unwrap().segments, 0);
    assert_eq!(store.expire(&limited(bytes - 1)).unwrap().segments, 1);
    assert_eq!(hours(&store)[0], "default 0");
    assert_eq!((store.expired_before("debug"), store.expired_before("default")), (HOUR_MS, 0));
    let newest = store.snapshot().segments.into_iter().filter(|s| s.unit().start_ms() >= 2 * HOUR_MS);
    store.expire(&limited(newest.map(|segment| segment.file.bytes()).sum())).unwrap();
    assert_eq!(hours(&store), ["debug 2", "default 2", "debug 3", "default 3"]);
    store.expire(&limited(0)).unwrap();
    assert_eq!((hours(&store).len(), store.bytes()), (0, 0));
}

#[test]
fn files_that_a_crash_brings_back_are_removed_at_the_next_start() {
    let (disk, store) = fresh();
    let (expected, bytes) = origin(&unit(1, "default"), 1, 20);
    send(&store, &expected, &bytes).unwrap();
    let path = path_of(&store.snapshot().segments[0]);
    store.expire(&rules(50, 1)).unwrap();
    put(&disk, path.to_str().unwrap(), &bytes);
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.expired, recovery.segments), (1, 0));
    assert!(store.units().is_empty());
}

#[test]
fn a_full_disk_does_not_keep_expiry_from_making_room() {
    let (disk, store) = fresh();
    keep(&store, &unit(1, "default"), 1, 20);
    disk.set_capacity(Some(disk.used_bytes()));
    assert_eq!(store.expire(&rules(50, 1)).unwrap().segments, 1);
    assert_eq!(names(&disk, "store"), ["expired"], "kept as soon as there was room");
    assert_eq!(open(&disk).0.expired_before("default"), 49 * HOUR_MS);
    disk.set_capacity(Some(disk.used_bytes()));
    store.expire(&rules(60, 1)).unwrap();
    assert_eq!(store.expired_before("default"), 59 * HOUR_MS);
    disk.set_capacity(None);
    store.expire(&rules(60, 1)).unwrap();
    assert_eq!(
        open(&disk).0.expired_before("default"),
        59 * HOUR_MS,
        "and the next time, when there was none"
    );
}

#[test]
fn an_origin_whose_unit_expires_while_it_comes_in_is_not_kept() {
    let (disk, store) = fresh();
    let (expected, bytes) = origin(&unit(1, "default"), 1, 20);
    let crate::store::Offer::Wanted(mut incoming) = store.incoming(expected).unwrap() else { panic!() };
    incoming.write(&bytes).unwrap();
    store.expire(&rules(50, 1)).unwrap();
    assert_eq!(incoming.finish().unwrap(), Accepted::Expired);
    assert_eq!(names(&disk, "store"), ["expired"]);
}
