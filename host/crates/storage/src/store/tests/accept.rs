use std::sync::{Arc, Barrier};

use super::corpus::*;
use crate::disk::Disk;
use crate::disk::sim::{Faults, SimDisk};
use crate::store::{AcceptError, Accepted, Change, Expected, Offer, Store, StoreError, StoreOptions, Wrong};

/// What is wrong with an origin that is refused.
fn wrong(outcome: Result<Accepted, AcceptError>) -> Wrong {
    match outcome {
        Err(AcceptError::Wrong { source, .. }) => *source,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_origin_is_held_once_and_found_again_after_a_power_cut() {
    let (disk, store) = fresh();
    let seen = watched(&store);
    let (expected, bytes) = origin(&unit(3, "default"), 1, 200);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Already);
    let holdings = store.holdings();
    assert_eq!(holdings.len(), 1);
    assert_eq!((holdings[0].origin.digest, holdings[0].bytes), (expected.digest, bytes.len() as u64));
    assert_eq!(*seen.lock().unwrap(), [Change::Added(holdings[0].clone())]);
    assert_eq!((holdings[0].low.time_ms(), holdings[0].high.time_ms()), (3 * HOUR_MS, 3 * HOUR_MS + 199));
    let snapshot = store.snapshot();
    let sums = snapshot.segments[0].file.stream_sums().unwrap();
    assert_eq!((sums.len(), sums[0].records), (1, 200));
    drop(snapshot);
    drop(store);
    disk.power_cut(1);
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.segments, recovery.origins, recovery.records), (1, 1, 200));
    assert_eq!(served(&store), digests(std::slice::from_ref(&expected)));
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Already);
    assert_eq!(watched(&store).lock().unwrap().len(), 1, "who begins to watch is told what is there");
}

#[test]
fn every_flipped_byte_is_refused_and_leaves_nothing() {
    let (disk, store) = fresh();
    let (expected, bytes) = origin(&unit(3, "default"), 1, 30);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let wrong = wrong(send(&store, &expected, &flipped));
        assert!(matches!(wrong, Wrong::Segment(_)), "byte {at}: {wrong}");
    }
    assert_eq!((names(&disk, "store"), store.holdings().len()), (vec![], 0));
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
}

/// A file of this machine is proven by its checksums alone: they cover every byte.
#[test]
fn every_flipped_byte_of_a_file_of_this_machine_is_refused_too() {
    let (disk, store) = fresh();
    let (expected, bytes) = origin(&unit(3, "default"), 1, 30);
    put(&disk, "sealed", &bytes);
    for at in 0..bytes.len() as u64 {
        let bit = 1 << (at % 8);
        disk.flip("sealed".as_ref(), at, bit).unwrap();
        let wrong = wrong(store.accept_file(expected.clone(), "sealed".as_ref()));
        assert!(matches!(wrong, Wrong::Segment(_)), "byte {at}: {wrong}");
        disk.flip("sealed".as_ref(), at, bit).unwrap();
    }
    assert_eq!(store.accept_file(expected, "sealed".as_ref()).unwrap(), Accepted::Kept);
}

type Edit = fn(&mut Expected);

#[test]
fn what_is_not_what_was_announced_is_refused_and_says_why() {
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    let (expected, bytes) = origin(&hour, 1, 30);
    let (two, footer) = segment(&hour, &[1, 2], 30);
    let of_two = Expected { bytes: two.len() as u64, digest: footer.lineage()[0].digest, ..expected.clone() };
    let changes: [(Edit, &str); 6] = [
        (|expected| expected.count += 1, "announced was"),
        (|expected| expected.digest.0[0] ^= 1, "announced was"),
        (|expected| expected.flags = weir_segment::OriginFlags::MAYBE_REPEATED, "announced was"),
        (|expected| expected.name.piece += 1, "it holds 1 origins, the first is"),
        (|expected| expected.unit = unit(4, "default"), "its records belong to unit 10800000."),
        (|expected| expected.bytes += 1, "bytes came"),
    ];
    for (change, why) in changes {
        let mut other = expected.clone();
        change(&mut other);
        let said = wrong(send(&store, &other, &bytes)).to_string();
        assert!(said.contains(why), "{said}");
    }
    let shorter = Expected { bytes: expected.bytes - 1, ..expected.clone() };
    assert!(matches!(wrong(send(&store, &shorter, &bytes)), Wrong::Bytes { .. }));
    assert!(matches!(wrong(send(&store, &of_two, &two)), Wrong::Lineage { origins: 2, .. }));
    assert!(matches!(wrong(send(&store, &expected, &bytes[..bytes.len() - 1])), Wrong::Bytes { .. }));
    assert_eq!(names(&disk, "store"), [""; 0]);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
    let (forged, bytes) = origin(&hour, 1, 31);
    assert!(matches!(wrong(send(&store, &forged, &bytes)), Wrong::Conflict { .. }));
    assert_eq!(served(&store), digests(&[expected]));
}

#[test]
fn a_file_of_this_machine_is_taken_and_stays() {
    let (disk, store) = fresh();
    let (expected, bytes) = origin(&unit(3, "default"), 1, 3000);
    put(&disk, "x", &bytes);
    assert_eq!(store.accept_file(expected.clone(), "x".as_ref()).unwrap(), Accepted::Kept);
    assert_eq!(store.accept_file(expected.clone(), "x".as_ref()).unwrap(), Accepted::Already);
    assert_eq!(served(&store), digests(&[expected]));
    assert!(names(&disk, "").contains(&"x".to_owned()));
}

#[test]
fn a_full_disk_refuses_in_time_and_accepts_again_by_itself() {
    let disk = SimDisk::new(1);
    let (expected, bytes) = origin(&unit(3, "default"), 1, 100);
    let room = bytes.len() as u64 * 10;
    let guarded = StoreOptions { full_at_percent: 95, resume_at_percent: 90, ..options() };
    let (store, _) = open_with(&disk, guarded);
    put(&disk, "ballast", &vec![1; room as usize]);
    disk.set_capacity(Some(room + bytes.len() as u64));
    assert!(matches!(store.incoming(expected.clone()), Err(AcceptError::Full)));
    assert!(store.is_full() && names(&disk, "store").is_empty());
    disk.remove("ballast".as_ref()).unwrap();
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
    assert!(!store.is_full());
    // What is promised to others counts as well.
    let others: Vec<_> = (2..12)
        .map(|piece| store.incoming(Expected { name: name(piece), ..expected.clone() }))
        .take_while(Result::is_ok)
        .collect();
    assert_eq!(others.len(), 9);
    drop(others);
    assert!(store.incoming(Expected { name: name(2), ..expected }).is_ok());
}

#[test]
fn a_write_that_finds_no_room_costs_the_origin_and_nothing_else() {
    let (disk, store) = fresh();
    let first = keep(&store, &unit(3, "default"), 1, 50);
    let (expected, bytes) = origin(&unit(3, "default"), 2, 50);
    disk.set_capacity(Some(disk.used_bytes() + bytes.len() as u64 / 2));
    assert!(matches!(send(&store, &expected, &bytes), Err(AcceptError::Full)));
    assert_eq!((names(&disk, "store").len(), store.poison().reason()), (1, None));
    disk.set_capacity(None);
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
    assert_eq!(served(&store), digests(&[first, expected]));
}

#[test]
fn an_error_at_any_operation_is_an_error_and_a_failed_sync_is_final() {
    let (expected, bytes) = origin(&unit(3, "default"), 2, 50);
    let (mut poisoned, mut unharmed) = (0, 0);
    for operation in 0.. {
        let (disk, store) = fresh();
        let first = keep(&store, &unit(3, "default"), 1, 50);
        disk.set_faults(Faults { error_at: Some(operation), ..Faults::default() });
        let outcome = send(&store, &expected, &bytes);
        if disk.counters().errors == 0 {
            assert!(operation > 4 && poisoned == 2 && unharmed > 1, "{operation} {poisoned} {unharmed}");
            return;
        }
        assert!(outcome.is_err(), "operation {operation}");
        assert_eq!(served(&store), digests(std::slice::from_ref(&first)));
        let again = send(&store, &expected, &bytes);
        if store.poison().reason().is_some() {
            poisoned += 1;
            assert!(matches!(again, Err(AcceptError::Store(StoreError::Poisoned(_)))), "{again:?}");
        } else {
            unharmed += 1;
            assert_eq!(again.unwrap(), Accepted::Kept);
        }
    }
}

#[test]
fn several_origins_come_in_at_once_and_the_same_one_only_once() {
    const SENDERS: u64 = 8;
    let (disk, store) = fresh();
    let hour = unit(3, "default");
    let begin = Arc::new(Barrier::new(SENDERS as usize));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, begin) = (store.clone(), Arc::clone(&begin));
            let origins: Vec<_> = (0..10).map(|n| origin(&hour, sender * 10 + n, 40)).collect();
            std::thread::spawn(move || {
                begin.wait();
                for (expected, bytes) in &origins {
                    assert_eq!(send(&store, expected, bytes).unwrap(), Accepted::Kept);
                }
                origins.into_iter().map(|(expected, _)| expected).collect::<Vec<_>>()
            })
        })
        .collect();
    let all: Vec<Expected> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
    assert_eq!(served(&store), digests(&all));
    let (expected, bytes) = origin(&hour, 1000, 40);
    let first = store.incoming(expected.clone()).unwrap();
    assert!(matches!(store.incoming(expected.clone()), Err(AcceptError::Busy(_))));
    drop(first);
    assert_eq!(names(&disk, "store").len(), all.len(), "what is dropped leaves nothing");
    assert_eq!(send(&store, &expected, &bytes).unwrap(), Accepted::Kept);
}

#[test]
fn more_than_the_limit_at_once_are_asked_to_come_again() {
    let (_, store) = fresh();
    let (expected, _) = origin(&unit(3, "default"), 1, 1);
    let offer = |store: &Store, piece| store.incoming(Expected { name: name(piece), ..expected.clone() });
    let mut open = Vec::new();
    let refused = (0..1000).find_map(|piece| match offer(&store, piece) {
        Ok(Offer::Wanted(incoming)) => {
            open.push(incoming);
            None
        }
        other => Some(other),
    });
    assert!(matches!(refused, Some(Err(AcceptError::Crowded))));
    assert_eq!(open.len(), weir_record::limits::STORE_INCOMING_MAX);
    open.clear();
    assert!(offer(&store, 1).is_ok());
}
