//! A disk that is full or fails.

use super::*;
use crate::disk::sim::Faults;
use crate::ingest_log::LogError;

#[test]
fn a_full_disk_drops_the_group_and_the_log_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    write(&mut log, 0..3);
    disk.set_capacity(Some(disk.used_bytes() + 30));
    for round in 0..3 {
        let _ = log.append(&entry(Some(("s", b"lost")), 50, &["refused"]));
        assert!(matches!(log.commit(), Err(LogError::DiskFull)), "{round}");
        assert_eq!(payloads(&log.reader().snapshot()), numbered(0..3));
    }
    disk.set_capacity(None);
    write(&mut log, 3..5);
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..5));
    let (log, recovery) = open(&disk, options(2));
    assert_eq!((recovery.truncated_bytes, recovery.damaged_bytes()), (0, 0));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..5));
}

#[test]
fn watermarks_refuse_before_the_disk_is_full() {
    let disk = SimDisk::new(1);
    let limits = LogOptions { full_at_percent: 80, resume_at_percent: 50, ..options(1) };
    let (mut log, _) = open(&disk, limits);
    disk.set_capacity(Some(2000));
    let mut number = 0;
    let refused = loop {
        match log.append(&entry(None, number + 1, &["some payload of a record"])) {
            Ok(()) => drop(log.commit().unwrap()),
            Err(error) => break error,
        }
        number += 1;
    };
    assert!(matches!(refused, LogError::DiskFull) && log.is_full());
    assert!((1400..1650).contains(&disk.used_bytes()), "{}", disk.used_bytes());
    assert_eq!(disk.counters().full, 0);
    disk.set_capacity(Some(2500));
    assert!(log.append(&entry(None, 1000, &["x"])).is_err(), "not yet below the lower mark");
    disk.set_capacity(Some(4000));
    log.append(&entry(None, 1000, &["x"])).unwrap();
    assert!(!log.is_full());
}

#[test]
fn after_a_failed_sync_nothing_is_committed() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    write(&mut log, 0..2);
    // The write is operation 0, its sync 1.
    disk.set_faults(Faults { error_at: Some(1), ..Faults::default() });
    log.append(&entry(None, 9, &["not acknowledged"])).unwrap();
    let Err(LogError::Poisoned(reason)) = log.commit() else { panic!("not poisoned") };
    assert!(reason.starts_with("fsync failed: log/") && reason.ends_with("simulated I/O error"), "{reason}");
    assert!(matches!(log.append(&entry(None, 10, &["x"])), Err(LogError::Poisoned(_))));
    assert!(matches!(log.commit(), Err(LogError::Poisoned(_))));
    assert!(matches!(log.complete_piece(), Err(LogError::Poisoned(_))));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..2), "what was committed can be read");
}

#[test]
fn an_error_at_any_operation_loses_nothing_that_was_acknowledged() {
    let (mut at, mut done) = (0, false);
    let mut poisoned = 0;
    while !done {
        let disk = SimDisk::new(at);
        let (mut log, _) = open(&disk, LogOptions { piece_bytes: 25, ..options(1) });
        disk.set_faults(Faults { error_at: Some(at), ..Faults::default() });
        let mut acked = Vec::new();
        for number in 0..8_u32 {
            let payload = format!("record {number}");
            let entry = entry(None, u128::from(number) + 1, &[&payload]);
            if log.append(&entry).is_ok() && log.commit().is_ok() {
                acked.push(payload);
            }
        }
        poisoned += u32::from(log.poison().reason().is_some());
        done = disk.counters().errors == 0;
        drop(log);
        disk.power_cut(at);
        let (log, _) = open(&disk, options(2));
        let found = payloads(&log.reader().snapshot());
        assert!(acked.iter().all(|payload| found.contains(payload)), "operation {at}: {acked:?} {found:?}");
        at += 1;
    }
    assert!(at > 25 && poisoned > 20, "{at} operations, poisoned {poisoned} times");
}

#[test]
fn a_log_on_a_full_disk_opens_and_is_completed_later() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    write(&mut log, 0..3);
    drop(log);
    disk.set_capacity(Some(disk.used_bytes()));
    let (mut log, recovery) = open(&disk, options(2));
    assert_eq!((recovery.records, recovery.completed), (3, 0));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..3));
    assert!(matches!(log.append(&entry(None, 9, &["x"])), Err(LogError::DiskFull)));
    disk.set_capacity(None);
    write(&mut log, 3..4);
    let expected = ["0000000000000002-00000001.log", "0000000000000004-00000002.active"];
    assert_eq!(files(&disk), expected, "the first is completed before the second is begun");
    drop(log);
    let (log, recovery) = open(&disk, options(3));
    assert_eq!((recovery.records, recovery.completed, recovery.damaged_bytes()), (4, 1, 0));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..4));
}

#[test]
fn a_piece_that_cannot_be_completed_for_lack_of_room_goes_on_later() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 25, ..options(1) });
    write(&mut log, 0..3);
    for room in [5, 150] {
        disk.set_capacity(Some(disk.used_bytes() + room));
        assert!(matches!(log.append(&entry(None, 9, &["x"])), Err(LogError::DiskFull)), "{room}");
    }
    disk.set_capacity(None);
    write(&mut log, 3..5);
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..5));
    assert_eq!(open(&disk, options(2)).1.records, 5);
}

/// How the process ended before the recovery that is to be cut off.
#[derive(Debug, Clone, Copy)]
enum Before {
    Killed,
    PowerCut,
    /// The last sync has failed: what the page cache shows is not what is on the disk.
    FailedSync,
    FullDisk,
}

fn crashed(before: Before, seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 3000, ..options(1) });
    write(&mut log, 0..6);
    let tail: Vec<String> = (0..3).map(|number| format!("tail {number} {}", "x".repeat(600))).collect();
    for (number, payload) in (100..).zip(&tail) {
        log.append(&entry(None, number, &[payload])).unwrap();
    }
    disk.set_faults(Faults { error_at: Some(1), ..Faults::default() });
    assert!(log.commit().is_err());
    drop(log);
    match before {
        Before::Killed | Before::FailedSync => {}
        Before::PowerCut => disk.power_cut(seed),
        Before::FullDisk => disk.set_capacity(Some(disk.used_bytes())),
    }
    disk
}

#[test]
fn recovery_can_be_cut_off_anywhere_and_run_again() {
    for before in [Before::Killed, Before::PowerCut, Before::FailedSync, Before::FullDisk] {
        for at in 0..20 {
            for seed in 0..200 {
                let disk = crashed(before, seed);
                let capacity_bytes =
                    matches!(before, Before::FullDisk).then(|| disk.used_bytes() + seed * 10);
                disk.set_faults(Faults { cut_at: Some(at), capacity_bytes, ..Faults::default() });
                let opened = IngestLog::open(Arc::new(disk.clone()), Path::new(""), options(2));
                if let Ok((mut log, _)) = opened {
                    let _ = log.append(&entry(None, 500, &["later"])).and_then(|()| log.commit());
                }
                disk.power_cut(seed);
                let (log, recovery) = open(&disk, options(3));
                let context = format!("{before:?} operation {at} seed {seed}: {recovery:?}");
                assert!(recovery.damaged.is_empty() && recovery.quarantined.is_empty(), "{context}");
                let found = payloads(&log.reader().snapshot());
                assert_eq!(found[..6], numbered(0..6), "{context}");
                assert!(found[6..].iter().all(|p| p.starts_with("tail ") || p == "later"), "{context}");
            }
        }
    }
}
