//! How fast the log is: `cargo run --release -p weir-storage --example log_speed [dir]`.
//!
//! Appending is measured twice: the CPU of one thread without waiting for the disk, and the wall clock
//! with one sync per group. Reading is from the page cache, whole pieces and in portions that stay in
//! the processor's cache. Lines of 100 bytes, batches of 1 MiB.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_storage::disk::real::RealDisk;
use weir_storage::{Entry, IngestLog, LogError, LogOptions};

const LINE_BYTES: usize = 100;
const LINES: u32 = 10_485;
const ENTRIES: u32 = 512;
const ENTRIES_PER_GROUP: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("weir-log-speed");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&dir)?,
    }
    let outcome = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let entries: Vec<Entry> = (0..ENTRIES_PER_GROUP).map(entry).collect::<Result<_, _>>()?;
    let bytes = f64::from(ENTRIES) * entries[0].bytes() as f64;
    let (mut log, _) = IngestLog::open(Arc::new(RealDisk), dir, LogOptions::new(1, 1))?;
    let (wall, cpu) = (Instant::now(), cpu_time());
    let mut sync = Duration::ZERO;
    for number in 0..ENTRIES {
        let entry = &entries[(number % ENTRIES_PER_GROUP) as usize];
        if let Err(LogError::GroupFull) = log.append(entry) {
            sync += log.commit()?.sync;
            log.append(entry)?;
        }
        if number % ENTRIES_PER_GROUP == ENTRIES_PER_GROUP - 1 {
            sync += log.commit()?.sync;
        }
    }
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    report("append, CPU", bytes, cpu);
    report("append, wall", bytes, wall);
    report("append, wall without syncs", bytes, wall.saturating_sub(sync));
    log.complete_piece()?;
    let (log, recovery) = {
        drop(log);
        let before = Instant::now();
        let opened = IngestLog::open(Arc::new(RealDisk), dir, LogOptions::new(1, 2))?;
        println!(
            "reopen with footers: {:.1} ms, {} pieces",
            before.elapsed().as_secs_f64() * 1e3,
            opened.1.pieces
        );
        opened
    };
    assert_eq!(recovery.records, u64::from(ENTRIES) * u64::from(LINES));
    let snapshot = log.reader().snapshot();
    for (what, portion_bytes) in [("read whole pieces", u64::MAX), ("read portions of 1 MiB", 1 << 20)] {
        for round in ["cold", "warm"] {
            let before = Instant::now();
            let mut buf = Vec::new();
            let mut read = 0;
            for piece in &snapshot.pieces {
                for portion in piece.portions(portion_bytes) {
                    for view in piece.read(portion, &mut buf) {
                        read += view?.1.arena.len();
                    }
                }
            }
            report(&format!("{what}, {round} buffers"), read as f64, before.elapsed());
        }
    }
    Ok(())
}

fn entry(number: u32) -> Result<Entry, Box<dyn Error>> {
    let stream = Stream::new("speed", [("host", "web1")])?;
    let run = IdRun { first: RecordId::from_parts(u64::from(number) + 1, 1), count: LINES };
    let arena: Vec<u8> = (0..LINES as usize * LINE_BYTES).map(|at| b' ' + (at * 7 % 90) as u8).collect();
    let ends = (1..=LINES).map(|line| line * LINE_BYTES as u32).collect();
    let batch = Batch::new(stream, BatchFlags::NONE, vec![run], ends, arena)?;
    Ok(Entry { checkpoint: None, batches: vec![batch] })
}

fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn report(what: &str, bytes: f64, took: Duration) {
    println!("{what}: {:.0} MB/s", bytes / took.as_secs_f64() / 1e6);
}
