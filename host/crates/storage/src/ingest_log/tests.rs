//! The log as a whole, on a simulated disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};

use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::ingest_log::reader::Snapshot;
use crate::ingest_log::{Checkpoint, Entry, IngestLog, LogOptions, Recovery};

mod damage;
mod faults;
mod life;

pub(crate) fn batch(topic: &str, first: u128, payloads: &[&str]) -> Batch {
    let run = IdRun { first: RecordId::from_u128(first), count: payloads.len() as u32 };
    let mut ends = Vec::new();
    let mut arena = Vec::new();
    for payload in payloads {
        arena.extend_from_slice(payload.as_bytes());
        ends.push(arena.len() as u32);
    }
    let stream = Stream::new(topic, [("host", "web1")]).unwrap();
    Batch::new(stream, BatchFlags::NONE, vec![run], ends, arena).unwrap()
}

pub(crate) fn entry(source: Option<(&str, &[u8])>, first: u128, payloads: &[&str]) -> Entry {
    Entry {
        checkpoint: source
            .map(|(source, cursor)| Checkpoint { source: source.into(), cursor: cursor.to_vec() }),
        batches: if payloads.is_empty() { vec![] } else { vec![batch("t", first, payloads)] },
    }
}

/// Options of the n-th run of a process.
pub(crate) fn options(run: u64) -> LogOptions {
    let usual = LogOptions::new(7, run << 1);
    LogOptions { full_at_percent: 100, resume_at_percent: 100, reserve_bytes: 0, ..usual }
}

pub(crate) fn open(disk: &SimDisk, options: LogOptions) -> (IngestLog, Recovery) {
    IngestLog::open(Arc::new(disk.clone()), Path::new(""), options).unwrap()
}

/// All payloads of a snapshot, in order; panics on damage.
pub(crate) fn payloads(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let mut buf = Vec::new();
    for piece in &snapshot.pieces {
        for view in piece.read_all(&mut buf) {
            let (_, view) = view.unwrap();
            found.extend(view.payloads().map(|payload| String::from_utf8_lossy(payload).into_owned()));
        }
    }
    found
}

/// Names of the files in the folder of the log.
pub(crate) fn files(disk: &SimDisk) -> Vec<String> {
    let names = disk.list(Path::new("log")).unwrap();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

pub(crate) fn log_path(name: &str) -> PathBuf {
    Path::new("log").join(name)
}

/// Appends and commits entries of one payload each.
pub(crate) fn write(log: &mut IngestLog, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let cursor = number.to_le_bytes();
        let payload = format!("record {number}");
        log.append(&entry(Some(("s", &cursor)), u128::from(number) + 1, &[&payload])).unwrap();
        log.commit().unwrap();
    }
}

pub(crate) fn numbered(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("record {number}")).collect()
}
