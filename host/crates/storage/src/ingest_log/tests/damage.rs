//! Files that are not as they were written.

use super::*;
use crate::ingest_log::frame::MAGIC;
use crate::ingest_log::reader::DamageCause;
use proptest::prelude::*;

const ACTIVE: &str = "0000000000000002-00000001.active";
const COMPLETE: &str = "0000000000000002-00000001.log";

fn len(disk: &SimDisk, name: &str) -> u64 {
    disk.open(&log_path(name)).unwrap().len().unwrap()
}

/// A log whose piece is left as a crash leaves it, of as many commits.
fn crashed(records: u32) -> SimDisk {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    write(&mut log, 0..records);
    disk
}

/// One group commit of several entries.
fn grouped(log: &mut IngestLog, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = format!("record {number}");
        let cursor = number.to_le_bytes();
        log.append(&entry(Some(("s", &cursor)), u128::from(number) + 1, &[&payload])).unwrap();
    }
    log.commit().unwrap();
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let whole = crashed(3);
    let bytes = len(&whole, ACTIVE);
    for cut in (bytes - 60)..bytes {
        let disk = crashed(3);
        disk.open(&log_path(ACTIVE)).unwrap().set_len(cut).unwrap();
        let (log, recovery) = open(&disk, options(2));
        assert_eq!(payloads(&log.reader().snapshot()), numbered(0..2), "{cut}");
        assert_eq!(recovery.cursors["s"], 1_u32.to_le_bytes());
        assert!(recovery.truncated_bytes < 80 && recovery.damaged.is_empty());
        assert_eq!(open(&disk, options(3)).1.scanned, 0, "the piece is complete now");
    }
}

#[test]
fn in_the_last_group_nothing_behind_a_gap_counts() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    grouped(&mut log, 0..2);
    let before = len(&disk, ACTIVE);
    grouped(&mut log, 2..6);
    let frame = (len(&disk, ACTIVE) - before) / 4;
    disk.flip(&log_path(ACTIVE), before + frame + 30, 1).unwrap();
    let (log, recovery) = open(&disk, options(2));
    // Records 4 and 5 are sound, but were not acknowledged if 3 was torn; their cursors would skip it.
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..3));
    assert_eq!((recovery.cursors["s"].clone(), recovery.damaged_bytes()), (2_u32.to_le_bytes().into(), 0));
    assert!(recovery.truncated_bytes > 0);
}

#[test]
fn before_the_last_group_both_sides_of_damage_are_kept() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    grouped(&mut log, 0..1);
    let before = len(&disk, ACTIVE);
    grouped(&mut log, 1..2);
    let damaged = len(&disk, ACTIVE) - before;
    grouped(&mut log, 2..4);
    disk.flip(&log_path(ACTIVE), before + 5, 1).unwrap();
    for round in 2..4 {
        let (log, recovery) = open(&disk, options(round));
        assert_eq!(payloads(&log.reader().snapshot()), ["record 0", "record 2", "record 3"]);
        assert_eq!(recovery.cursors["s"], 3_u32.to_le_bytes());
        assert_eq!((recovery.truncated_bytes, recovery.damaged_bytes()), (0, damaged));
        assert_eq!(recovery.damaged[0].offset, before);
        assert_eq!(log.reader().snapshot().pieces[0].damaged_bytes(), damaged);
        assert_eq!(recovery.scanned, u64::from(round == 2), "the footer names the hole");
    }
}

#[test]
fn every_flipped_bit_of_a_complete_piece_is_noticed_and_costs_one_frame_at_most() {
    let disk = crashed(4);
    drop(open(&disk, options(2)));
    let all = numbered(0..4);
    for offset in 0..len(&disk, COMPLETE) {
        let mask = 1 << (offset % 8);
        disk.flip(&log_path(COMPLETE), offset, mask).unwrap();
        let (log, recovery) = open(&disk, options(3));
        assert!(recovery.quarantined.is_empty(), "{offset}: {recovery:?}");
        let snapshot = log.reader().snapshot();
        let mut lost = 0;
        let mut found = Vec::new();
        let mut buf = Vec::new();
        for piece in &snapshot.pieces {
            for view in piece.read_all(&mut buf) {
                match view {
                    Ok((_, view)) => {
                        found.extend(view.payloads().map(|p| String::from_utf8_lossy(p).into_owned()));
                    }
                    Err(damage) => {
                        assert!((damage.offset..damage.offset + damage.bytes).contains(&offset), "{offset}");
                        lost += damage.records;
                    }
                }
            }
        }
        assert!(found.iter().all(|payload| all.contains(payload)), "{offset}");
        let noticed = lost > 0 || recovery.damaged_bytes() > 0;
        // The start frame of a complete piece is not read again: its footer says the same.
        assert!(noticed || found == all, "{offset}");
        assert!(found.len() >= 3, "{offset}");
        disk.flip(&log_path(COMPLETE), offset, mask).unwrap();
        assert_eq!(payloads(&open(&disk, options(4)).0.reader().snapshot()), all);
    }
}

#[test]
fn damage_found_in_reading_is_told_and_the_rest_is_read() {
    let disk = crashed(3);
    let (log, _) = open(&disk, options(2));
    let snapshot = log.reader().snapshot();
    let second = snapshot.pieces[0].batches()[1];
    disk.flip(&log_path(COMPLETE), second.frame_offset + 40, 4).unwrap();
    let mut buf = Vec::new();
    let results: Vec<_> = snapshot.pieces[0].read_all(&mut buf).collect();
    assert!(results[0].is_ok() && results[2].is_ok() && results.len() == 3);
    let damage = results[1].as_ref().unwrap_err();
    assert_eq!((damage.offset, damage.records, damage.batches), (second.frame_offset, 1, 1));
    assert!(matches!(damage.cause, DamageCause::Frame(_)));
    let message = damage.to_string();
    assert!(message.contains(COMPLETE) && message.contains("expected"), "{message}");
}

#[test]
fn what_is_not_ours_is_moved_aside_and_named() {
    let disk = crashed(1);
    drop(open(&disk, options(2)));
    let whole = {
        let file = disk.open(&log_path(COMPLETE)).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let mut later = whole.clone();
    later[8] = 9;
    let sum = crc32c::crc32c(&later[..60]);
    later[60..64].copy_from_slice(&sum.to_le_bytes());
    for (name, content, reason) in [
        ("notes.txt", b"hello".to_vec(), "not the name of a piece of a log"),
        ("00000000000000aa-00000009.log", b"hello".to_vec(), "not a piece of an ingest log"),
        ("00000000000000aa-00000009.active", vec![0x20; 5000], "not a piece of an ingest log"),
        ("00000000000000aa-00000009.log", vec![], "not a piece of an ingest log"),
        ("00000000000000aa-00000009.log", later, "a piece of version 9, this program reads version 1"),
        ("00000000000000aa-00000009.log", whole, "its header is that of piece 0000000000000002-00000001"),
    ] {
        let file = disk.create_new(&log_path(name)).unwrap();
        file.write_at(&content, 0).unwrap();
        let (log, recovery) = open(&disk, options(3));
        assert_eq!(recovery.quarantined.len(), 1, "{name} {reason}");
        let moved = &recovery.quarantined[0];
        assert_eq!((moved.from.clone(), moved.reason.as_str()), (log_path(name), reason));
        let kept = disk.open(&moved.to).unwrap();
        assert_eq!(kept.len().unwrap(), content.len() as u64);
        assert_eq!(payloads(&log.reader().snapshot()), numbered(0..1));
    }
    disk.create_dir(&log_path("00000000000000aa-00000010.log")).unwrap();
    assert_eq!(open(&disk, options(4)).1.quarantined[0].reason, "a directory");
    assert_eq!(files(&disk), [COMPLETE]);
}

#[test]
fn payloads_that_look_like_frames_are_payloads() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    let mut image = vec![0; 300];
    {
        let other = crashed(2);
        let file = other.open(&log_path(ACTIVE)).unwrap();
        file.read_at(&mut image, 0).unwrap();
    }
    let mut hostile = MAGIC.repeat(5000);
    hostile.extend_from_slice(&image);
    let stream = Stream::new::<&str, &str>("t", []).unwrap();
    for number in 0..3 {
        let run = IdRun { first: RecordId::from_u128(number), count: 1 };
        let ends = vec![hostile.len() as u32];
        let batch = Batch::new(stream.clone(), BatchFlags::NONE, vec![run], ends, hostile.clone()).unwrap();
        log.append(&Entry { checkpoint: None, batches: vec![batch] }).unwrap();
        log.commit().unwrap();
    }
    let end = len(&disk, ACTIVE);
    disk.open(&log_path(ACTIVE)).unwrap().set_len(end - 1).unwrap();
    let (log, recovery) = open(&disk, options(2));
    assert_eq!((recovery.records, recovery.damaged_bytes()), (2, 0));
    let mut buf = Vec::new();
    for view in log.reader().snapshot().pieces[0].read_all(&mut buf) {
        assert_eq!(view.unwrap().1.arena, hostile);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    #[test]
    fn no_image_of_a_log_makes_recovery_fail_or_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..40_usize), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        complete in any::<bool>(),
    ) {
        let disk = crashed(4);
        if complete {
            drop(open(&disk, options(2)));
        }
        let name = if complete { COMPLETE } else { ACTIVE };
        let file = disk.open(&log_path(name)).unwrap();
        let bytes = file.len().unwrap() as usize;
        for (at, byte, count) in edits {
            file.write_at(&vec![byte; count], at.index(bytes) as u64).unwrap();
        }
        if let Some(cut) = cut {
            file.set_len(cut.index(bytes) as u64).unwrap();
        }
        let (mut log, first) = open(&disk, options(3));
        let records: Vec<_> = log.reader().snapshot().pieces.iter().map(|piece| piece.records()).collect();
        let mut buf = Vec::new();
        for piece in log.reader().snapshot().pieces {
            piece.read_all(&mut buf).for_each(drop);
        }
        write(&mut log, 100..101);
        log.complete_piece().unwrap();
        let (_, second) = open(&disk, options(4));
        prop_assert_eq!(second.records, records.iter().sum::<u64>() + 1);
        prop_assert_eq!(second.damaged_bytes(), first.damaged_bytes());
        prop_assert!(second.quarantined.is_empty() && second.truncated_bytes == 0);
    }
}
