//! Writing, reading, reopening, expiring, when nothing goes wrong.

use super::*;
use crate::ingest_log::LogError;
use weir_record::limits::{BATCH_BYTES_MAX, COMMIT_GROUP_BYTES_MAX, RECORD_BYTES_MAX};

#[test]
fn records_are_seen_from_their_commit_on_and_not_before() {
    let disk = SimDisk::new(1);
    let (mut log, recovery) = open(&disk, options(1));
    assert_eq!((recovery.highest_id, recovery.pieces), (RecordId::MIN, 0));
    assert!(files(&disk).is_empty(), "a log without entries has no piece");
    let reader = log.reader();
    log.append(&entry(None, 5, &["a", "b"])).unwrap();
    let before = reader.snapshot();
    assert!(before.pieces.is_empty());
    let committed = log.commit().unwrap();
    assert_eq!((committed.entries, committed.records, committed.payload_bytes), (1, 2, 2));
    let first = reader.snapshot();
    log.append(&entry(None, 9, &["c"])).unwrap();
    log.commit().unwrap();
    assert!(before.pieces.is_empty());
    assert_eq!(payloads(&first), ["a", "b"]);
    assert_eq!(payloads(&reader.snapshot()), ["a", "b", "c"]);
    let piece = &reader.snapshot().pieces[0];
    assert_eq!((piece.low().to_u128(), piece.high().to_u128(), piece.records()), (5, 9, 3));
    assert_eq!((piece.streams().len(), piece.batches().len()), (1, 2));
    assert_eq!(piece.streams()[0].stream.topic(), "t");
}

#[test]
fn a_reopened_log_has_its_records_cursors_and_highest_id() {
    for clean in [true, false] {
        let disk = SimDisk::new(1);
        let (mut log, _) = open(&disk, options(1));
        write(&mut log, 0..5);
        if clean {
            log.complete_piece().unwrap();
        }
        drop(log);
        let (mut log, recovery) = open(&disk, options(2));
        assert_eq!(recovery.highest_id.to_u128(), 5);
        assert_eq!(recovery.cursors["s"], 4_u32.to_le_bytes());
        assert_eq!((recovery.scanned, recovery.completed), (u64::from(!clean), u64::from(!clean)));
        assert_eq!(files(&disk), ["0000000000000002-00000001.log"]);
        write(&mut log, 5..7);
        assert_eq!(payloads(&log.reader().snapshot()), numbered(0..7));
        let expected = ["0000000000000002-00000001.log", "0000000000000004-00000002.active"];
        assert_eq!(files(&disk), expected);
    }
}

#[test]
fn pieces_end_when_they_are_full_and_restarts_read_only_footers() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 100, ..options(1) });
    write(&mut log, 0..10);
    assert_eq!(files(&disk).len(), 4);
    log.complete_piece().unwrap();
    let (log, recovery) = open(&disk, options(2));
    assert_eq!((recovery.pieces, recovery.scanned, recovery.records), (4, 0, 10));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..10));
}

#[test]
fn pieces_of_cursors_alone_end_too() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 100, ..options(1) });
    for number in 0..20_u8 {
        log.append(&entry(Some(("s", &[number; 30])), 1, &[])).unwrap();
        log.commit().unwrap();
    }
    assert!(files(&disk).len() > 3);
    assert!(log.reader().snapshot().pieces.is_empty());
    assert_eq!(open(&disk, options(2)).1.cursors["s"], [19; 30]);
}

#[test]
fn expiring_takes_the_oldest_and_leaves_cursors_and_readers_alone() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 1, ..options(1) });
    write(&mut log, 0..6);
    let held = log.reader().snapshot();
    let expired = log.expire(RecordId::from_u128(4), u64::MAX).unwrap();
    assert_eq!((expired.pieces, expired.records), (3, 3));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(3..6));
    assert_eq!(payloads(&held), numbered(0..6));
    log.complete_piece().unwrap();
    assert_eq!(log.expire(RecordId::MAX, 0).unwrap().pieces, 2, "the newest stays");
    let (mut log, recovery) = open(&disk, options(2));
    assert_eq!(
        (recovery.cursors["s"].clone(), recovery.highest_id.to_u128()),
        (5_u32.to_le_bytes().into(), 6)
    );
    log.append(&entry(None, 9, &["x"])).unwrap();
    log.commit().unwrap();
    assert_eq!(log.expire(RecordId::MAX, 0).unwrap().pieces, 1, "now the active one is the newest");
    let (_, recovery) = open(&disk, options(3));
    assert_eq!((recovery.cursors["s"].clone(), recovery.records), (5_u32.to_le_bytes().into(), 1));
}

#[test]
fn expiring_by_size_takes_no_more_than_it_must() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, LogOptions { piece_bytes: 1, ..options(1) });
    write(&mut log, 0..5);
    let bytes: Vec<u64> =
        log.reader().snapshot().pieces.iter().map(|piece| piece.committed_bytes()).collect();
    let total: u64 = bytes.iter().sum();
    assert_eq!(log.expire(RecordId::MIN, total).unwrap().pieces, 0);
    assert_eq!(log.expire(RecordId::MIN, total - 1).unwrap().pieces, 1);
    assert_eq!(payloads(&log.reader().snapshot()), numbered(1..5));
}

#[test]
fn the_largest_batch_fits_and_groups_have_a_bound() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    let payload = "x".repeat(RECORD_BYTES_MAX);
    let large = entry(None, 1, &[payload.as_str(); BATCH_BYTES_MAX / RECORD_BYTES_MAX]);
    log.append(&large).unwrap();
    assert!(matches!(log.append(&large), Err(LogError::GroupFull)));
    let committed = log.commit().unwrap();
    assert!(committed.bytes > COMMIT_GROUP_BYTES_MAX as u64);
    log.append(&large).unwrap();
    log.commit().unwrap();
    let several = Entry { checkpoint: None, batches: vec![batch("t", 1, &[&payload]); 16] };
    assert!(matches!(log.append(&several), Err(LogError::TooLarge { what: "bytes of an entry", .. })));
    drop(log);
    let (log, recovery) = open(&disk, options(2));
    assert_eq!((recovery.records, recovery.damaged_bytes()), (16, 0));
    assert!(payloads(&log.reader().snapshot()).iter().all(|found| *found == payload));
}

#[test]
fn cursors_of_all_sources_together_have_a_bound() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    let cursor = vec![0; 64 << 10];
    let mut refused = None;
    for number in 0..70 {
        let name = format!("source-{number}");
        match log.append(&entry(Some((&name, &cursor)), 1, &[])) {
            Ok(()) => drop(log.commit().unwrap()),
            Err(error) => refused = refused.or(Some((number, error.to_string()))),
        }
    }
    let (number, message) = refused.unwrap();
    assert_eq!(number, 63);
    assert!(message.contains("bytes of the cursors of all sources are more than 4194304"), "{message}");
    log.append(&entry(Some(("source-0", &cursor)), 1, &[])).unwrap();
    log.commit().unwrap();
    assert_eq!(open(&disk, options(2)).1.cursors.len(), 63);
}

#[test]
fn portions_are_whole_frames_and_cover_all_batches() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, options(1));
    for number in 0..9_u128 {
        let batches =
            (0..=number % 3).map(|n| batch(["a", "b", "c"][n as usize], number * 10 + n, &["x"; 5]));
        log.append(&Entry { checkpoint: None, batches: batches.collect() }).unwrap();
    }
    log.commit().unwrap();
    let snapshot = log.reader().snapshot();
    let piece = &snapshot.pieces[0];
    let frame_bytes = u64::from(piece.batches()[0].frame_bytes);
    for bytes_max in [0, 1, frame_bytes, frame_bytes * 3, u64::MAX] {
        let portions: Vec<_> = piece.portions(bytes_max).collect();
        let covered: Vec<usize> = portions.iter().cloned().flatten().collect();
        assert_eq!(covered, (0..piece.batches().len()).collect::<Vec<_>>(), "{bytes_max}");
        let mut buf = Vec::new();
        for portion in portions {
            let last = piece.batches()[portion.end - 1].frame_offset;
            let next = piece.batches().get(portion.end);
            assert!(next.is_none_or(|next| next.frame_offset != last));
            let views: Vec<usize> =
                piece.read(portion.clone(), &mut buf).map(|view| view.unwrap().0).collect();
            assert_eq!(views, portion.collect::<Vec<_>>());
        }
    }
    let mut buf = Vec::new();
    let (place, view) = piece.read(4..5, &mut buf).next().unwrap().unwrap();
    assert_eq!((place, view.ids().next().unwrap()), (4, piece.batches()[4].low));
    assert_eq!(piece.read(40..50, &mut buf).count(), 0);
}
