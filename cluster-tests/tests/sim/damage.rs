//! Bits that flip and files that are spoilt: found, named, and no more lost than was hit.

#![allow(clippy::unwrap_used, reason = "a test: what fails is to end it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::{Minter, RecordId};
use weir_storage::disk::Disk;
use weir_storage::disk::sim::SimDisk;
use weir_storage::disk::sim::prng::Prng;
use weir_storage::{IngestLog, LogOptions, Recovery, Snapshot};

use super::mutant::Mutant;
use super::seeds::factor;
use super::workload::{Settings, Writer};

/// Flips in the usual run.
const FLIPS: u64 = 100_000;
/// Spoilt logs in the usual run.
const IMAGES: u64 = 20_000;

const SETTINGS: Settings = Settings {
    writers: 1,
    piece_bytes: 600,
    group_entries_max: 1,
    payload_bytes_max: 100,
    cursor_bytes_max: 20,
    full_at_percent: 100,
    seals: false,
};

fn open(disk: &SimDisk, epoch: u64) -> (Snapshot, Recovery) {
    let options: LogOptions = SETTINGS.options(epoch, Mutant::None);
    let opened = IngestLog::open(Arc::new(disk.clone()), Path::new(""), options);
    let (log, recovery) = opened.unwrap_or_else(|error| panic!("{error}"));
    (log.reader().snapshot(), recovery)
}

/// A log of some pieces, and its records.
fn written(prng: &mut Prng, complete: bool) -> (SimDisk, BTreeMap<RecordId, Vec<u8>>) {
    let disk = SimDisk::new(prng.next_u64());
    let options = SETTINGS.options(1, Mutant::None);
    let (mut log, _) = IngestLog::open(Arc::new(disk.clone()), Path::new(""), options).unwrap();
    let (mut writer, mut minter) = (Writer::new(1), Minter::new(RecordId::MIN));
    let mut records = BTreeMap::new();
    for _ in 0..20 {
        let (_, entry) = writer.entry(&SETTINGS, &mut minter, prng);
        for batch in &entry.batches {
            records.extend(batch.records().map(|(id, payload)| (id, payload.to_vec())));
        }
        log.append(&entry).unwrap();
        log.commit().unwrap();
    }
    if complete {
        log.complete_piece().unwrap();
    }
    (disk, records)
}

/// What can be read: the records, which must all be among those that were written, how many are told to
/// be lost, and where.
fn read(snapshot: &Snapshot, written: &BTreeMap<RecordId, Vec<u8>>) -> (usize, u64, Vec<(u64, u64)>) {
    let (mut found, mut lost, mut ranges) = (0, 0, Vec::new());
    let mut buf = Vec::new();
    for piece in &snapshot.pieces {
        for view in piece.read_all(&mut buf) {
            match view {
                Ok((_, view)) => {
                    for (id, payload) in view.ids().zip(view.payloads()) {
                        assert_eq!(written.get(&id).map(Vec::as_slice), Some(payload), "altered: {id}");
                        found += 1;
                    }
                }
                Err(damage) => {
                    lost += damage.records;
                    ranges.push((damage.offset, damage.bytes));
                }
            }
        }
    }
    (found, lost, ranges)
}

fn log_files(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let names = disk.list(Path::new("log")).unwrap();
    let path = |name| Path::new("log").join::<std::ffi::OsString>(name);
    names
        .into_iter()
        .map(path)
        .map(|path| {
            let bytes = disk.open(&path).unwrap().len().unwrap();
            (path, bytes)
        })
        .collect()
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_no_more_than_its_frame() {
    let mut prng = Prng::new(6);
    let (mut silent, mut in_frames) = (0, 0);
    let (disk, records) = written(&mut prng, true);
    let files = log_files(&disk);
    assert!(files.len() > 3);
    let flips = FLIPS * factor();
    for flip in 0..flips {
        let (path, bytes) = &files[prng.below(files.len() as u64) as usize];
        let (offset, mask) = (prng.below(*bytes), 1 << prng.below(8));
        disk.flip(path, offset, mask).unwrap();
        let (snapshot, recovery) = open(&disk, flip + 2);
        let (found, lost, ranges) = read(&snapshot, &records);
        match ranges.as_slice() {
            [] => {}
            [(from, bytes)] => {
                in_frames += 1;
                assert!((*from..from + bytes).contains(&offset), "{path:?} {offset}");
            }
            more => panic!("one flip, {} damaged frames", more.len()),
        }
        assert!(recovery.quarantined.is_empty(), "{path:?} {offset}");
        let told = lost > 0 || recovery.damaged_bytes() > 0;
        let all = found == records.len();
        // What a start frame says is said again by the footer: not read, not missed.
        silent += u64::from(all && !told);
        assert!(all || told, "{path:?} {offset}: {found} of {} records, and nothing was said", records.len());
        disk.flip(path, offset, mask).unwrap();
    }
    assert_eq!(read(&open(&disk, 1).0, &records).0, records.len());
    println!("{in_frames} flips in frames, {silent} where nothing is ever read");
    assert!(in_frames > flips / 2 && silent < flips / 5, "{in_frames} {silent}");
}

#[test]
fn no_spoilt_log_makes_recovery_fail_or_invent() {
    let mut prng = Prng::new(7);
    let mut damaged = 0;
    for image in 0..IMAGES * factor() {
        let complete = prng.once_in(2);
        let (disk, records) = written(&mut prng, complete);
        for _ in 0..prng.between(1, 4) {
            spoil(&disk, &mut prng);
        }
        let (snapshot, recovery) = open(&disk, 2);
        damaged += u64::from(recovery.damaged_bytes() > 0 || !recovery.quarantined.is_empty());
        let (found, ..) = read(&snapshot, &records);
        let (again, second) = open(&disk, 3);
        assert_eq!(read(&again, &records).0, found, "image {image}");
        assert!(second.quarantined.is_empty() && second.truncated_bytes == 0, "image {image}: {second:?}");
    }
    assert!(damaged > IMAGES / 4, "only {damaged} of {IMAGES} logs were damaged");
}

/// Overwrites, cuts, grows, renames or copies a file of the log.
fn spoil(disk: &SimDisk, prng: &mut Prng) {
    let files = log_files(disk);
    let (path, bytes) = &files[prng.below(files.len() as u64) as usize];
    let file = disk.open(path).unwrap();
    let other = Path::new("log").join(format!("{:016x}-{:08}.log", prng.below(3), prng.below(12)));
    match prng.below(7) {
        0 => file.set_len(prng.below(*bytes + 1)).unwrap(),
        1 => file.set_len(bytes + prng.below(600)).unwrap(),
        2 => disk.rename(path, &other).unwrap(),
        3 => {
            let mut content = vec![0; *bytes as usize];
            file.read_at(&mut content, 0).unwrap();
            if let Ok(copy) = disk.create_new(&other) {
                copy.write_at(&content, 0).unwrap();
            }
        }
        choice => {
            let mut junk = vec![0; prng.between(1, 200) as usize];
            if choice > 4 {
                prng.fill(&mut junk);
            }
            file.write_at(&junk, prng.below(*bytes + 1)).unwrap();
        }
    }
}
