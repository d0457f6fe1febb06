use std::path::Path;

use super::corpus::*;
use crate::disk::Disk;

#[test]
fn what_does_not_belong_there_is_moved_aside_and_named() {
    let (disk, store) = fresh();
    let kept = keep(&store, &unit(3, "default"), 1, 20);
    let (bytes, footer) = segment(&unit(3, "default"), &[2], 20);
    let sound = footer.name().to_string();
    let other = segment(&unit(3, "default"), &[3], 20).1.name().to_string();
    drop(store);
    put(&disk, "store/notes.txt", b"hello");
    put(&disk, "store/a.tmp", b"half");
    put(&disk, &format!("store/{sound}"), &bytes[..bytes.len() - 1]);
    put(&disk, &format!("store/{other}"), &bytes);
    put(&disk, "store/expired", b"weir-expired 1\ndefault 99999999999999\n");
    disk.create_dir(Path::new("store/b.tmp")).unwrap();
    let (store, recovery) = open(&disk);
    assert_eq!(recovery.unfinished, 1);
    let mut told: Vec<String> = recovery.quarantined.iter().map(ToString::to_string).collect();
    told.sort();
    let expected = [
        ("store/10800000.3600000.default.p0of1-", "cut off"),
        ("store/10800000.3600000.default.p0of1-", "its content is that of"),
        ("store/b.tmp", "a directory"),
        ("store/expired", "not the watermarks of expiry"),
        ("store/notes.txt", "not the name of a segment"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (path, why) in expected {
        assert!(
            told.iter().any(|line| line.starts_with(path) && line.contains(why)),
            "{path} {why}: {told:?}"
        );
    }
    assert_eq!(served(&store), digests(&[kept]));
    assert_eq!((names(&disk, "store").len(), names(&disk, "quarantine").len()), (1, 5));
    let again = open(&disk).1;
    assert_eq!((again.quarantined.len(), again.unfinished, again.segments), (0, 0, 1));
}

#[test]
fn of_two_origins_of_one_name_with_other_records_one_is_served_and_both_are_kept() {
    let (disk, store) = fresh();
    drop(store);
    for records in [20, 21] {
        let (bytes, footer) = segment(&unit(3, "default"), &[1], records);
        put(&disk, &format!("store/{}", footer.name()), &bytes);
    }
    let (store, recovery) = open(&disk);
    assert_eq!((recovery.origins, recovery.superseded, recovery.conflicts.len()), (1, 0, 1));
    assert_eq!((store.snapshot().segments.len(), names(&disk, "store").len()), (1, 2));
}

#[test]
fn a_power_cut_at_any_operation_of_opening_is_gone_over_again() {
    for operation in 0.. {
        let (disk, store) = fresh();
        let origins: Vec<_> = (0..3).map(|piece| keep(&store, &unit(3, "default"), piece, 20)).collect();
        drop(store);
        let (merged, footer) = segment(&unit(3, "default"), &[0, 1, 2], 20);
        put(&disk, &format!("store/{}", footer.name()), &merged);
        put(&disk, "store/incoming-3.tmp", b"half");
        put(&disk, "store/notes.txt", b"hello");
        disk.sync_dir(Path::new("store")).unwrap();
        let faults = crate::disk::sim::Faults { cut_at: Some(operation), ..Default::default() };
        disk.set_faults(faults);
        let opened = crate::store::Store::open(std::sync::Arc::new(disk.clone()), Path::new(""), options());
        let cut = disk.is_off();
        drop(opened);
        disk.power_cut(operation);
        assert_eq!(served(&open(&disk).0), digests(&origins), "operation {operation}");
        assert_eq!(names(&disk, "quarantine"), ["notes.txt"]);
        if !cut {
            assert!(operation > 8, "{operation}");
            return;
        }
    }
}
