//! Backlog, log and sealer together, on a simulated disk.

use std::collections::BTreeSet;

use weir_record::BatchFlags;
use weir_segment::WriterOptions;

use super::*;
use crate::committer::{Committer, CommitterOptions, Stored, Unobserved};
use crate::disk::sim::{Faults, SimDisk};
use crate::ingest_log::reader::LogReader;
use crate::ingest_log::tests::{entry, files, numbered, open, options, payloads, write};
use crate::ingest_log::{Entry, IngestLog, LogError};
use crate::seal::tests::{NOW, batch, read, rules};
use crate::{IngestSnapshot, OriginsDir, Sealer, SealerError};

/// Log, backlog and sealer of one run of a process.
struct Node {
    log: IngestLog,
    backlog: Arc<Backlog>,
    sealer: Sealer,
    recovery: BacklogRecovery,
}

fn start(disk: &SimDisk, run: u64) -> Node {
    let (log, _) = open(disk, options(run));
    let (backlog, recovery) = Backlog::open(Arc::new(disk.clone()), Path::new(""), &log.reader()).unwrap();
    let backlog = Arc::new(backlog);
    let sealer = sealer(disk, &log.reader(), &backlog, log.poison());
    Node { log, backlog, sealer, recovery }
}

fn sealer(disk: &SimDisk, log: &LogReader, backlog: &Arc<Backlog>, poison: crate::poison::Poison) -> Sealer {
    let into = OriginsDir::new(Arc::new(disk.clone()), Path::new(""), poison);
    Sealer::new(log.clone(), Arc::clone(backlog), into, rules(), WriterOptions::default())
}

impl Node {
    fn step(&mut self) -> Result<bool, SealerError> {
        Ok(self.sealer.step(NOW, |pieces| self.log.release(&pieces))?.is_some())
    }

    fn seal_all(&mut self) {
        self.log.complete_filled_piece().unwrap();
        while self.step().unwrap() {}
    }

    /// All payloads, those of the log and those of origins; each must be there once.
    fn payloads(&self) -> BTreeSet<String> {
        let snapshot = IngestSnapshot::take(&self.log.reader(), &self.backlog);
        let mut all = payloads(&snapshot.log);
        for origin in &snapshot.origins {
            all.extend(read(origin).into_iter().map(|(.., payload)| String::from_utf8(payload).unwrap()));
        }
        let once: BTreeSet<String> = all.iter().cloned().collect();
        assert_eq!(once.len(), all.len(), "{all:?}");
        once
    }
}

fn expected(numbers: std::ops::Range<u32>) -> BTreeSet<String> {
    numbered(numbers).into_iter().collect()
}

fn origin_files(disk: &SimDisk) -> usize {
    disk.list(Path::new(ORIGINS_DIR)).unwrap().len()
}

#[test]
fn sealed_pieces_leave_the_log_and_what_they_carried_stays() {
    let disk = SimDisk::new(1);
    for run in 1..5_u32 {
        let mut node = start(&disk, run.into());
        let from = (run - 1) * 5;
        assert_eq!(node.payloads(), expected(0..from));
        write(&mut node.log, from..from + 5);
        node.seal_all();
        assert!(node.log.reader().snapshot().pieces.is_empty());
        assert_eq!(files(&disk).len(), 1, "the one that carries on");
        assert_eq!(node.payloads(), expected(0..from + 5));
        assert!(!node.step().unwrap() && node.log.complete_filled_piece().unwrap().is_none());
        drop(node);
        let (log, recovery) = open(&disk, options(9));
        assert_eq!(recovery.highest_id.to_u128(), u128::from(from) + 5);
        assert_eq!(log.cursors()["s"], (from + 4).to_le_bytes());
        assert_eq!(recovery.records, 0);
    }
}

#[test]
fn origins_may_leave_the_node_only_when_their_piece_has_left_the_log() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..3);
    node.log.complete_piece().unwrap();
    let refused = node.sealer.step(NOW, |_| Err(LogError::DiskFull)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "let go of a sealed piece: the disk is full: free some space or shorten the retention"
    );
    let origin = node.backlog.snapshot().remove(0);
    let (name, unit) = (origin.footer().lineage()[0].name, origin.footer().unit());
    assert!(node.backlog.get(name, unit).is_none() && node.backlog.settled().is_empty());
    assert_eq!(node.payloads(), expected(0..3));
    // Not sealed again, only let go.
    assert!(node.step().unwrap());
    assert_eq!((node.backlog.settled().len(), origin_files(&disk)), (1, 1));
    assert!(node.backlog.get(name, unit).is_some());
    assert_eq!(node.payloads(), expected(0..3));
}

#[test]
fn origins_of_a_piece_that_is_still_in_the_log_are_sealed_again() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..3);
    node.log.complete_piece().unwrap();
    node.sealer.step(NOW, |_| Err(LogError::Closed)).unwrap_err();
    disk.create_new(Path::new("origins/0000000000000007-0000000000000002-00000001-0.1000.x.p0of1.tmp"))
        .unwrap();
    drop(node);
    let mut node = start(&disk, 2);
    assert_eq!((node.recovery.still_in_log, node.recovery.unfinished, origin_files(&disk)), (1, 1, 0));
    assert_eq!(node.payloads(), expected(0..3));
    node.seal_all();
    assert_eq!(node.payloads(), expected(0..3));
    assert_eq!(node.backlog.settled().len(), 1);
}

#[test]
fn what_is_not_ours_is_moved_aside_and_named() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..3);
    node.seal_all();
    let origin = node.backlog.snapshot().remove(0);
    let good = origin.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = Vec::new();
    origin.read(0..origin.bytes(), &mut bytes).unwrap();
    let spoilt = good.replace(&good[good.len() - 6..good.len() - 4], "zz");
    let other = format!("{}00.zst", &good[..good.len() - 6]);
    let put = |name: &str, bytes: &[u8]| {
        disk.create_new(&Path::new(ORIGINS_DIR).join(name)).unwrap().write_at(bytes, 0).unwrap();
    };
    for (name, bytes) in
        [("notes.txt", b"x".as_slice()), ("foreign.tmp", b"x"), (&spoilt, &bytes), (&other, &bytes)]
    {
        put(name, bytes);
    }
    let whole = bytes.len() as u64;
    drop(node);
    let node = start(&disk, 2);
    let reasons: Vec<_> = node.recovery.quarantined.iter().map(|moved| moved.reason.clone()).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with("its footer is that of")), "{reasons:?}");
    assert_eq!(node.payloads(), expected(0..3));
    drop(node);
    let file = disk.open(&Path::new(ORIGINS_DIR).join(&good)).unwrap();
    file.set_len(whole - 1).unwrap();
    let node = start(&disk, 3);
    let moved = &node.recovery.quarantined[0];
    assert!(moved.reason.starts_with("not a segment, or cut off"), "{moved}");
    assert_eq!((node.backlog.sums(), node.backlog.oldest()), (BacklogSums::default(), None));
}

#[test]
fn origins_that_are_handed_over_go_and_readers_keep_them() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    for bucket in 0..3 {
        let id = RecordId::lowest_at(bucket * 1000);
        let batches = vec![batch("t", BatchFlags::NONE, &[(id, 4)])];
        node.log.append(&Entry { checkpoint: None, batches }).unwrap();
        node.log.commit().unwrap();
    }
    node.seal_all();
    let held = node.backlog.snapshot();
    let sums = node.backlog.sums();
    assert_eq!((sums.origins, sums.records), (3, 12));
    assert_eq!(sums.bytes, held.iter().map(|origin| origin.bytes()).sum::<u64>());
    assert_eq!(node.backlog.oldest(), Some(RecordId::MIN));
    let (name, first, second) =
        (held[0].footer().lineage()[0].name, held[0].footer().unit(), held[1].footer().unit());
    assert!(node.backlog.remove(name, first).unwrap() && !node.backlog.remove(name, first).unwrap());
    let moved = node.backlog.move_aside(name, second, "its digest does not match".into()).unwrap().unwrap();
    assert!(moved.to.starts_with("quarantine"));
    assert_eq!((node.backlog.sums().origins, node.backlog.oldest()), (1, Some(RecordId::lowest_at(2000))));
    assert_eq!(held.iter().map(|origin| read(origin).len()).sum::<usize>(), 12);
    drop(node);
    assert_eq!(start(&disk, 2).backlog.sums().origins, 1);
}

#[test]
fn a_piece_with_damage_goes_to_quarantine_and_not_away() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..5);
    node.log.complete_piece().unwrap();
    let piece = node.log.reader().complete().remove(0);
    disk.flip(&Path::new("log").join(piece.name()), piece.batches()[1].frame_offset + 20, 1).unwrap();
    node.seal_all();
    assert_eq!(node.payloads().len(), 4);
    assert_eq!(disk.list(Path::new("quarantine")).unwrap(), [piece.name()]);
    drop(node);
    let node = start(&disk, 2);
    assert_eq!((node.payloads().len(), node.log.cursors()["s"].clone()), (4, 4_u32.to_le_bytes().into()));
}

#[test]
fn origins_of_a_damaged_piece_that_is_still_in_the_log_are_kept_aside() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..5);
    node.log.complete_piece().unwrap();
    node.sealer.step(NOW, |_| Err(LogError::Closed)).unwrap_err();
    let piece = node.log.reader().complete().remove(0);
    let path = Path::new("log").join(piece.name());
    drop(node);
    disk.flip(&path, piece.batches()[1].frame_offset + 20, 1).unwrap();
    // Without its footer the piece is read frame by frame, and the damage shows.
    let bytes = disk.open(&path).unwrap().len().unwrap();
    disk.flip(&path, bytes - 1, 1).unwrap();
    let node = start(&disk, 2);
    assert_eq!(node.recovery.quarantined.len(), 1);
    assert_eq!(node.recovery.quarantined[0].reason, "its piece is still in the log, and damaged");
}

#[test]
fn pieces_without_records_go_with_the_next_that_is_sealed() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    for number in 0..3_u8 {
        node.log.append(&entry(Some(("s", &[number])), 1, &[])).unwrap();
        node.log.commit().unwrap();
        assert_eq!(node.log.complete_filled_piece().unwrap(), None, "nothing to be sealed");
        node.log.complete_piece().unwrap();
    }
    assert!(!node.step().unwrap());
    assert_eq!(files(&disk).len(), 3);
    node.log.append(&entry(None, 7, &["x"])).unwrap();
    node.log.commit().unwrap();
    node.seal_all();
    assert_eq!(files(&disk).len(), 1);
    drop(node);
    assert_eq!(start(&disk, 2).log.cursors()["s"], [2]);
}

#[test]
fn a_full_disk_keeps_the_newest_piece_until_the_next_can_be_begun() {
    let disk = SimDisk::new(1);
    let mut node = start(&disk, 1);
    write(&mut node.log, 0..5);
    node.log.complete_piece().unwrap();
    let piece = node.log.reader().complete().remove(0).identity();
    let leaving = crate::Leaving { piece, spoilt: None };
    disk.set_capacity(Some(disk.used_bytes()));
    assert!(matches!(node.log.release(std::slice::from_ref(&leaving)), Err(LogError::DiskFull)));
    assert_eq!(node.payloads(), expected(0..5));
    disk.set_capacity(None);
    assert_eq!(node.log.release(std::slice::from_ref(&leaving)).unwrap().records, 5);
    assert_eq!(node.log.release(&[leaving]).unwrap(), crate::Released::default(), "gone is gone");
}

#[test]
fn an_error_at_any_operation_loses_and_doubles_nothing() {
    for error_at in 0.. {
        let disk = SimDisk::new(1);
        let mut node = start(&disk, 1);
        write(&mut node.log, 0..4);
        node.log.complete_piece().unwrap();
        disk.set_faults(Faults { error_at: Some(error_at), ..Faults::default() });
        let first = node.step();
        if disk.counters().errors == 0 {
            assert!(error_at > 8 && first.unwrap());
            return;
        }
        assert_eq!(node.payloads(), expected(0..4), "{error_at}");
        if node.log.poison().reason().is_none() {
            node.step().unwrap();
            assert_eq!(node.backlog.settled().len(), 1, "{error_at}");
        }
        drop(node);
        disk.power_cut(error_at);
        let mut node = start(&disk, 2);
        assert_eq!(node.payloads(), expected(0..4), "{error_at}");
        node.seal_all();
        assert_eq!(node.payloads(), expected(0..4), "{error_at}");
        assert_eq!(node.log.cursors()["s"], 3_u32.to_le_bytes());
    }
}

#[test]
fn the_committer_completes_and_lets_go_between_groups() {
    let disk = SimDisk::new(1);
    let Node { log, backlog, .. } = start(&disk, 1);
    let committer = Committer::start(log, CommitterOptions::new(Arc::new(Unobserved))).unwrap();
    let mut sealer = sealer(&disk, &committer.reader(), &backlog, committer.poison());
    let (sender, receiver) = std::sync::mpsc::channel();
    for (payloads, piece) in [(vec!["a"], Some(1)), (vec![], None)] {
        let sender = sender.clone();
        let entry = entry(Some(("s", b"1")), 1, &payloads);
        committer.submit(entry, Box::new(move |outcome| drop(sender.send(outcome)))).unwrap();
        assert_eq!(receiver.recv().unwrap(), Ok(Stored { piece }));
    }
    for number in [Some(1), None] {
        let (sender, receiver) = std::sync::mpsc::channel();
        committer.complete(Box::new(move |outcome| drop(sender.send(outcome))));
        assert_eq!(receiver.recv().unwrap().unwrap(), number);
    }
    assert_eq!(sealer.waiting(), (1, 1));
    let sealed = sealer.step(NOW, |pieces| committer.release_and_wait(pieces)).unwrap().unwrap();
    assert_eq!((sealed.piece.number, sealed.records, sealer.waiting()), (1, 1, (0, 0)));
    committer.stop();
    assert_eq!(start(&disk, 2).payloads(), BTreeSet::from(["a".to_owned()]));
}
