//! The committing thread.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use super::*;
use crate::disk::sim::{Faults, SimDisk};
use crate::ingest_log::tests::{entry, numbered, open, options, payloads};
use weir_record::RecordId;

type Outcome = Result<Stored, CommitError>;

fn start(disk: &SimDisk, options: CommitterOptions, epoch: u64) -> Committer {
    Committer::start(open(disk, crate::ingest_log::tests::options(epoch)).0, options).unwrap()
}

fn usual() -> CommitterOptions {
    CommitterOptions::new(Arc::new(Unobserved))
}

fn submit(committer: &Committer, number: u32) -> Receiver<Outcome> {
    let (sender, receiver) = channel();
    let payload = format!("record {number}");
    let cursor = number.to_le_bytes();
    let entry = entry(Some(("s", &cursor)), u128::from(number) + 1, &[&payload]);
    committer.submit(entry, Box::new(move |outcome| drop(sender.send(outcome)))).unwrap();
    receiver
}

/// Holds the committing thread in its observer until told to go on.
struct Gate {
    entered: Mutex<Option<std::sync::mpsc::Sender<()>>>,
    leave: Mutex<Receiver<()>>,
    rooms: std::sync::atomic::AtomicU64,
}

impl CommitObserver for Gate {
    fn committed(&self, _: &Committed) {
        if let Some(entered) = self.entered.lock().unwrap().take() {
            entered.send(()).unwrap();
            self.leave.lock().unwrap().recv().unwrap();
        }
    }
    fn room(&self) {
        self.rooms.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn what_is_acknowledged_is_visible_and_survives_a_power_cut() {
    let disk = SimDisk::new(1);
    let committer = start(&disk, usual(), 1);
    let reader = committer.reader();
    for number in 0..20 {
        submit(&committer, number).recv().unwrap().unwrap();
        assert_eq!(payloads(&reader.snapshot()).len(), number as usize + 1);
    }
    disk.power_cut(3);
    drop(committer);
    let (log, recovery) = open(&disk, options(2));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..20));
    assert_eq!(recovery.cursors["s"], 19_u32.to_le_bytes());
}

#[test]
fn entries_that_wait_share_a_commit_and_a_full_queue_gives_them_back() {
    let disk = SimDisk::new(1);
    let (entered, has_entered) = channel();
    let (leave, may_leave) = channel();
    let gate =
        Arc::new(Gate { entered: Mutex::new(Some(entered)), leave: Mutex::new(may_leave), rooms: 0.into() });
    let options = CommitterOptions { queue_entries_max: 11, ..CommitterOptions::new(Arc::clone(&gate) as _) };
    let committer = start(&disk, options, 1);
    let first = submit(&committer, 0);
    has_entered.recv().unwrap();
    let others: Vec<_> = (1..11).map(|number| submit(&committer, number)).collect();
    let back =
        committer.submit(entry(None, 99, &["too many"]), Box::new(|_| panic!("not taken"))).unwrap_err();
    assert_eq!(back, entry(None, 99, &["too many"]));
    leave.send(()).unwrap();
    for receiver in std::iter::once(first).chain(others) {
        receiver.recv().unwrap().unwrap();
    }
    let reader = committer.reader();
    committer.stop();
    assert_eq!(payloads(&reader.snapshot()), numbered(0..11));
    assert_eq!(gate.rooms.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn metrics_count_what_was_done() {
    let disk = SimDisk::new(1);
    let committer = start(&disk, usual(), 1);
    for number in 0..5 {
        submit(&committer, number).recv().unwrap().unwrap();
    }
    let (sender, receiver) = channel();
    let refused = entry(Some(("", b"")), 1, &[]);
    committer.submit(refused, Box::new(move |outcome| drop(sender.send(outcome)))).unwrap();
    assert!(matches!(receiver.recv().unwrap(), Err(CommitError::TooLarge(_))));
    // The sums are brought up to date after the callbacks; an expiry is a turn of its own.
    let (sender, receiver) = channel();
    committer.expire(RecordId::MIN, u64::MAX, Box::new(move |outcome| drop(sender.send(outcome))));
    assert_eq!(receiver.recv().unwrap().unwrap(), Expired::default());
    let metrics = committer.metrics();
    assert_eq!((metrics.commits, metrics.entries, metrics.records, metrics.refused), (5, 5, 5, 1));
    assert!(metrics.bytes > metrics.payload_bytes && metrics.payload_bytes == 40);
}

#[test]
fn stopping_commits_what_waits_and_completes_the_piece() {
    let disk = SimDisk::new(1);
    let committer = start(&disk, usual(), 1);
    let receivers: Vec<_> = (0..50).map(|number| submit(&committer, number)).collect();
    committer.stop();
    assert!(receivers.into_iter().all(|receiver| receiver.recv().unwrap().is_ok()));
    let recovery = open(&disk, options(2)).1;
    assert_eq!((recovery.records, recovery.scanned, recovery.completed), (50, 0, 0));
}

#[test]
fn a_source_whose_entry_failed_is_held_until_it_resumes() {
    let disk = SimDisk::new(1);
    let committer = start(&disk, usual(), 1);
    submit(&committer, 0).recv().unwrap().unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    assert_eq!(submit(&committer, 1).recv().unwrap(), Err(CommitError::DiskFull));
    disk.set_capacity(None);
    // Submitted before its driver knew: committed, the cursor would skip record 1.
    assert_eq!(submit(&committer, 2).recv().unwrap(), Err(CommitError::OutOfOrder("s".into())));
    committer.resume("s");
    for number in [1, 2] {
        submit(&committer, number).recv().unwrap().unwrap();
    }
    assert_eq!(payloads(&committer.reader().snapshot()), numbered(0..3));
}

#[test]
fn after_a_failed_sync_everyone_is_told_and_nothing_is_acknowledged() {
    struct Told(Mutex<Vec<String>>);
    impl CommitObserver for Told {
        fn poisoned(&self, reason: &str) {
            self.0.lock().unwrap().push(reason.to_owned());
        }
    }
    let disk = SimDisk::new(1);
    let told = Arc::new(Told(Mutex::default()));
    let committer = start(&disk, CommitterOptions::new(Arc::clone(&told) as _), 1);
    submit(&committer, 0).recv().unwrap().unwrap();
    disk.set_faults(Faults { error_at: Some(1), ..Faults::default() });
    for number in 1..4 {
        committer.resume("s");
        let outcome = submit(&committer, number).recv().unwrap();
        assert!(matches!(outcome, Err(CommitError::Poisoned(_))), "{outcome:?}");
    }
    drop(committer);
    let told = told.0.lock().unwrap();
    assert!(told.len() == 1 && told[0].contains("fsync failed"), "{told:?}");
}

#[test]
fn a_stopped_committer_answers_at_once() {
    let disk = SimDisk::new(1);
    let mut committer = start(&disk, usual(), 1);
    committer.join();
    assert_eq!(submit(&committer, 0).recv().unwrap(), Err(CommitError::Stopped));
    committer.expire(RecordId::MIN, 0, Box::new(|_| panic!("not done")));
}

#[test]
fn it_works_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn crate::Disk> = Arc::new(crate::disk::real::RealDisk);
    let open = |epoch| crate::IngestLog::open(Arc::clone(&disk), dir.path(), options(epoch)).unwrap();
    let committer = Committer::start(open(1).0, usual()).unwrap();
    for number in 0..10 {
        submit(&committer, number).recv().unwrap().unwrap();
    }
    committer.stop();
    let (log, recovery) = open(2);
    assert_eq!((recovery.records, recovery.scanned), (10, 0));
    assert_eq!(payloads(&log.reader().snapshot()), numbered(0..10));
    assert!(Path::new(&dir.path().join("log/0000000000000002-00000001.log")).is_file());
}
