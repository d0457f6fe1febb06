//! Keys through restarts, power cuts at every operation, full disks and failing ones.

use super::*;
use crate::disk::sim::{Faults, SimDisk};
use weir_record::RecordId;

const NOW_MS: u64 = 1_000_000;

fn dir() -> &'static Path {
    Path::new("data")
}

fn disk(seed: u64) -> Arc<SimDisk> {
    let disk = Arc::new(SimDisk::new(seed));
    disk.create_dir(dir()).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    disk
}

fn open(disk: &Arc<SimDisk>) -> Result<KeyFile, KeyFileError> {
    KeyFile::open(disk.clone(), dir(), NOW_MS).map(|(file, _)| file)
}

fn promise(number: u64) -> Promise {
    Promise { first: RecordId::from_parts(number, 1), count: number as u32, sum: 7 }
}

fn answer(number: u64) -> KeyAnswer {
    let id = RecordId::from_parts(number, 1);
    KeyAnswer { records: number, ids: Some((id, id)), durability: 1 }
}

#[test]
fn what_was_promised_or_answered_is_known_after_a_restart_for_a_day() {
    let disk = disk(1);
    let file = open(&disk).unwrap();
    assert_eq!(file.get("a", NOW_MS), None);
    file.promise("a", NOW_MS, promise(1)).unwrap();
    file.promise("b", NOW_MS + 5, promise(2)).unwrap();
    file.answer("b", NOW_MS + 6, answer(2)).unwrap();
    for file in [file, open(&disk).unwrap(), open(&disk).unwrap()] {
        assert_eq!(file.get("a", NOW_MS), Some(KeyState::Promised(promise(1))));
        assert_eq!(file.get("b", NOW_MS), Some(KeyState::Answered(answer(2))));
        let late_ms = NOW_MS + 6 + IDEMPOTENCY_KEY_AGE_MS_MAX;
        assert_eq!((file.get("a", late_ms), file.get("b", late_ms).is_some()), (None, true));
    }
}

#[test]
fn no_power_cut_takes_a_promise() {
    let script = |file: &KeyFile, held: &mut Vec<(String, u64)>| -> Result<(), KeyFileError> {
        for number in 1..6 {
            let key = format!("key-{number}-{}", "x".repeat(200));
            file.promise(&key, NOW_MS, promise(number))?;
            held.push((key.clone(), number));
            file.answer(&key, NOW_MS, answer(number))?;
        }
        Ok(())
    };
    let (mut cuts, mut answers_lost) = (0, 0);
    for seed in 0..400 {
        for cut_at in 0..24 {
            let disk = disk(seed);
            let before = disk.operations();
            disk.set_faults(Faults { cut_at: Some(before + cut_at), ..Faults::default() });
            let mut held = Vec::new();
            if let Ok(file) = open(&disk) {
                let _ = script(&file, &mut held);
            }
            cuts += u64::from(disk.is_off());
            disk.power_cut(seed ^ cut_at);
            disk.set_faults(Faults::default());
            let file = open(&disk).unwrap();
            for (key, number) in held {
                match file.get(&key, NOW_MS) {
                    Some(KeyState::Promised(known)) if known == promise(number) => answers_lost += 1,
                    Some(KeyState::Answered(known)) if known == answer(number) => {}
                    other => panic!("seed {seed}, cut at {cut_at}: {key} is {other:?}"),
                }
            }
        }
    }
    assert!(cuts > 5_000 && answers_lost > 0, "{cuts} cuts, {answers_lost} answers lost");
}

#[test]
fn an_error_promises_nothing_and_a_failed_sync_ends_it() {
    let (mut poisoned, mut full) = (0, 0);
    for error_at in 0..16 {
        let disk = disk(3);
        let before = disk.operations();
        disk.set_faults(Faults { error_at: Some(before + error_at), ..Faults::default() });
        let Ok(file) = open(&disk) else { continue };
        let mut held = Vec::new();
        for number in 1..6 {
            match file.promise(&number.to_string(), NOW_MS, promise(number)) {
                Ok(()) => held.push(number),
                Err(KeyFileError::Poisoned(_)) => poisoned += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(held.len() == 5 || file.poison().reason().is_some() || disk.counters().errors == 1);
        disk.power_cut(error_at);
        disk.set_faults(Faults::default());
        let file = open(&disk).unwrap();
        for number in held {
            assert_eq!(file.get(&number.to_string(), NOW_MS), Some(KeyState::Promised(promise(number))));
        }
    }
    let disk = disk(4);
    let file = open(&disk).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 100));
    for number in 1..9 {
        full += u64::from(matches!(
            file.promise(&number.to_string(), NOW_MS, promise(number)),
            Err(KeyFileError::DiskFull)
        ));
    }
    let file = open(&disk).unwrap();
    assert!(file.get("1", NOW_MS).is_some(), "a full disk keeps no node from starting");
    disk.set_capacity(None);
    file.promise("9", NOW_MS, promise(9)).unwrap();
    assert!(poisoned > 0 && full > 0, "{poisoned} poisoned, {full} full");
}

#[test]
fn keys_and_bytes_are_bounded() {
    let disk = disk(5);
    let file = open(&disk).unwrap();
    let count = IDEMPOTENCY_KEYS_MAX as u64 + 10;
    for number in 0..count {
        file.answer(&number.to_string(), NOW_MS, answer(number)).unwrap();
    }
    assert_eq!(file.lock().keys.len(), IDEMPOTENCY_KEYS_MAX);
    assert_eq!((file.get("0", NOW_MS), file.get("10", NOW_MS).is_some()), (None, true));
    let long = "x".repeat(250);
    let mut number = 0;
    while file.lock().end.generation == 0 {
        number += 1;
        assert!(number < 400_000, "the file grows without bound");
        file.answer(&format!("{long}{}", number % 100), NOW_MS, answer(number)).unwrap();
    }
    assert!(file.lock().end.bytes < IDEMPOTENCY_FILE_BYTES_MAX / 2);
    let last = format!("{long}{}", number % 100);
    let again = open(&disk).unwrap();
    assert_eq!(again.get(&last, NOW_MS), Some(KeyState::Answered(answer(number))));
}

/// A disk that says at each sync of a directory that it is full.
#[derive(Debug)]
struct NoSyncDir(Arc<SimDisk>);

impl Disk for NoSyncDir {
    fn list(&self, dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn space(&self, path: &Path) -> io::Result<crate::disk::Space> {
        self.0.space(path)
    }
}

#[test]
fn a_sync_that_fails_for_want_of_room_is_a_failed_sync() {
    let disk = disk(7);
    open(&disk).unwrap().promise("a", NOW_MS, promise(1)).unwrap();
    // The old file has lost its name to the new one: it must not be written on.
    let opened = KeyFile::open(Arc::new(NoSyncDir(disk.clone())), dir(), NOW_MS);
    assert!(matches!(opened, Err(KeyFileError::Io { .. })), "{opened:?}");
    assert_eq!(open(&disk).unwrap().get("a", NOW_MS), Some(KeyState::Promised(promise(1))));
}

#[test]
fn what_is_no_file_of_keys_is_moved_aside() {
    let disk = disk(6);
    for content in [&b"hello"[..], &[0; 64]] {
        let file = disk.create_new(&dir().join(KEYS)).unwrap();
        file.write_at(content, 0).unwrap();
        let (_, quarantined) = KeyFile::open(disk.clone(), dir(), NOW_MS).unwrap();
        assert_eq!(quarantined.len(), 1, "{content:?}");
        disk.remove(&dir().join(KEYS)).unwrap();
    }
}
