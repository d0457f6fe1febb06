//! Snapshots of a log on a real disk, and of one whose power is cut while they are made.

use std::sync::Arc;

use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};

use super::*;
use crate::backlog::Backlog;
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::disk::real::RealDisk;
use crate::disk::sim::{Faults, SimDisk};
use crate::ingest_log::tests::{open, options, payloads};
use crate::{Checkpoint, Entry, IngestLog};

fn making(to: &Path) -> Making<'_> {
    Making { to, node: 7, made_ms: 1_764_028_800_000, version: "0.1.0" }
}

fn entry(number: u32) -> Entry {
    let payload = format!("record {number}");
    let first = RecordId::lowest_at(u64::from(number) + 1000);
    let stream = Stream::new::<&str, &str>("t", []).unwrap();
    let run = vec![IdRun { first, count: 1 }];
    let ends = vec![payload.len() as u32];
    let batch = Batch::new(stream, BatchFlags::NONE, run, ends, payload.into_bytes()).unwrap();
    Entry { checkpoint: None, batches: vec![batch] }
}

fn append(log: &mut IngestLog, numbers: std::ops::Range<u32>) {
    for number in numbers {
        log.append(&entry(number)).unwrap();
        log.commit().unwrap();
    }
}

/// The records of a log on a disk.
fn records(disk: &Arc<dyn Disk>, dir: &Path) -> Vec<String> {
    let (log, recovery) = IngestLog::open(disk.clone(), dir, options(9)).unwrap();
    assert_eq!((recovery.quarantined.len(), recovery.damaged.len()), (0, 0), "{recovery:?}");
    payloads(&log.reader().snapshot())
}

fn expected(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("record {number}")).collect()
}

struct World {
    dir: tempfile::TempDir,
    disk: Arc<dyn Disk>,
}

impl World {
    fn new() -> World {
        World { dir: tempfile::tempdir().unwrap(), disk: Arc::new(RealDisk) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A node with a complete piece and one that is written on.
    fn node(&self) -> (DataDir, IngestLog) {
        let data_dir = DataDir::open(&self.at("data"), 7).unwrap();
        let (mut log, _) = IngestLog::open(self.disk.clone(), data_dir.path(), options(1)).unwrap();
        append(&mut log, 0..10);
        log.complete_filled_piece().unwrap();
        append(&mut log, 10..20);
        (data_dir, log)
    }

    fn snapshot(&self, log: &IngestLog) -> Made {
        self.snapshot_up_to(log, u64::MAX)
    }

    fn snapshot_up_to(&self, log: &IngestLog, up_to_piece: u64) -> Made {
        let (backlog, _) = Backlog::open(self.disk.clone(), &self.at("data"), &log.reader()).unwrap();
        let reader = log.reader();
        let live = Live { ingest: Some((&reader, &backlog)), store: None, up_to_piece };
        let cut = take_live(&*self.disk, &self.at("data"), live).unwrap();
        making(&self.at("snapshot")).write(&*self.disk, &cut).unwrap()
    }

    fn problems(&self) -> Vec<String> {
        verify(&*self.disk, &self.at("snapshot")).unwrap().problems
    }
}

#[test]
fn a_running_log_is_restored_as_it_was_and_goes_on_untouched() {
    let world = World::new();
    let (data_dir, mut log) = world.node();
    let made = world.snapshot(&log);
    // The complete piece is a link; the open one, and the id of the node, are copies.
    assert_eq!((made.linked, made.copied, made.not_linked), (1, 2, 0), "{made:?}");
    append(&mut log, 20..30);
    log.complete_filled_piece().unwrap();
    drop((log, data_dir));

    let verified = verify(&*world.disk, &world.at("snapshot")).unwrap();
    assert_eq!((verified.node, verified.files, verified.problems), (7, 3, vec![]));
    let restored = restore(&*world.disk, &world.at("snapshot"), &world.at("new")).unwrap();
    assert_eq!((restored.node, restored.files), (7, 3));
    let new = DataDir::open(&world.at("new"), 99).unwrap();
    assert_eq!(new.node(), 7, "it is the same node");
    assert_eq!(records(&world.disk, new.path()), expected(20));
    // What the restored node does with its files does not reach the snapshot, nor the node it is of.
    assert_eq!(world.problems(), Vec::<String>::new());
    assert_eq!(records(&world.disk, &world.at("data")), expected(30));
}

#[test]
fn of_a_piece_that_was_begun_later_only_where_sources_stand_is_taken() {
    let world = World::new();
    let (data_dir, mut log) = world.node();
    let complete = log.reader().complete().last().unwrap().number();
    let checkpoint = Checkpoint { source: "orders".into(), cursor: b"17".to_vec() };
    log.append(&Entry { checkpoint: Some(checkpoint), ..entry(20) }).unwrap();
    log.commit().unwrap();
    world.snapshot_up_to(&log, complete);
    drop((log, data_dir));
    restore(&*world.disk, &world.at("snapshot"), &world.at("new")).unwrap();
    assert_eq!(records(&world.disk, &world.at("new")), expected(10));
    let (_, recovery) = IngestLog::open(world.disk.clone(), &world.at("new"), options(11)).unwrap();
    // Its record is not there, so it is not past it either.
    assert_eq!(recovery.cursors.get("orders"), None);
}

#[test]
fn a_stopped_node_is_taken_as_it_lies_there() {
    let world = World::new();
    drop(world.node());
    let cut = take_stopped(&*world.disk, &world.at("data")).unwrap();
    making(&world.at("snapshot")).write(&*world.disk, &cut).unwrap();
    restore(&*world.disk, &world.at("snapshot"), &world.at("new")).unwrap();
    assert_eq!(records(&world.disk, &world.at("new")), expected(20));
}

#[test]
fn whatever_happens_to_a_snapshot_is_found_and_nothing_is_restored_from_it() {
    let world = World::new();
    let (_data_dir, log) = world.node();
    world.snapshot(&log);
    let piece = |extension: &str| {
        let names = std::fs::read_dir(world.at("snapshot/log")).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.extension().is_some_and(|is| is == extension)).unwrap()
    };
    let (active, told) = (piece("active"), "it names the file");
    let whole = std::fs::read(&active).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    for (bytes, problem) in [(&flipped[..], "its digest is"), (&whole[..99], "99 bytes"), (b"", "0 bytes")] {
        std::fs::write(&active, bytes).unwrap();
        let problems = world.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(problem) && problems[0].starts_with("log/"), "{told}: {problems:?}");
        let error = restore(&*world.disk, &world.at("snapshot"), &world.at("new")).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        assert!(!world.at("new").exists());
    }
    std::fs::remove_file(&active).unwrap();
    assert!(world.problems()[0].ends_with("missing"), "{:?}", world.problems());
    std::fs::write(&active, &whole).unwrap();
    std::fs::write(world.at("snapshot/log/more"), "").unwrap();
    assert_eq!(world.problems(), ["log/more: not in the manifest"]);
    std::fs::remove_file(world.at("snapshot/MANIFEST")).unwrap();
    let error = verify(&*world.disk, &world.at("snapshot")).unwrap_err().to_string();
    assert!(error.ends_with("is not a complete snapshot: it has no file MANIFEST"), "{error}");
}

#[test]
fn a_place_that_is_taken_is_left_alone() {
    let world = World::new();
    let (_data_dir, log) = world.node();
    world.snapshot(&log);
    let cut = take_stopped(&*world.disk, &world.at("data")).unwrap();
    let error = making(&world.at("snapshot")).write(&*world.disk, &cut).unwrap_err();
    assert!(matches!(error, BackupError::Exists(_)), "{error}");
    let error = restore(&*world.disk, &world.at("snapshot"), &world.at("data")).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error}");
    // A directory that a crash has left half restored is not a node's.
    std::fs::create_dir(world.at("half")).unwrap();
    std::fs::write(world.at("half/restoring"), "").unwrap();
    let error = DataDir::open(&world.at("half"), 1).unwrap_err().to_string();
    assert!(error.ends_with("remove it and restore again"), "{error}");
    for name in ["", "a/b", "..", ".hidden", "a b", "x.partial", &"x".repeat(65)] {
        assert!(!is_name(name), "{name}");
    }
    assert!(is_name("2026-11-23T10.00_nightly"));
}

#[test]
fn a_snapshot_that_a_power_cut_leaves_is_whole_or_has_no_name() {
    let to = Path::new("snapshots/a");
    let node = || {
        let disk = SimDisk::new(1);
        let (mut log, _) = open(&disk, options(1));
        append(&mut log, 0..3);
        log.complete_filled_piece().unwrap();
        append(&mut log, 3..6);
        disk.create_dir(Path::new("snapshots")).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        disk
    };
    let attempt = |disk: &SimDisk| {
        let cut = take_stopped(disk, Path::new(""))?;
        making(to).write(disk, &cut)
    };
    let mut named = 0;
    for operation in 0.. {
        let disk = node();
        disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
        let made = attempt(&disk);
        let was_cut = disk.is_off();
        disk.power_cut(operation);
        disk.set_faults(Faults::default());
        // This disk gives no links, so what could be one is a copy, and said to be.
        assert!(made.as_ref().is_ok_and(|made| made.not_linked == 1 && made.linked == 0) || was_cut);
        let there = disk.list(to).is_ok();
        assert!(there || made.is_err(), "operation {operation}: it was said to be made");
        if there {
            named += 1;
            assert_eq!(verify(&disk, to).unwrap().problems, Vec::<String>::new(), "{operation}");
        }
        if !was_cut {
            assert!(operation > 10 && (1..operation).contains(&named), "{named} of {operation}");
            return;
        }
    }
}
