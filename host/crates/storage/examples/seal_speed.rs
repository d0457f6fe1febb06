//! How fast pieces are sealed: `cargo run --release -p weir-storage --example seal_speed [dir]`.
//!
//! Pieces of 16 MiB of generated log lines, 1 MiB of them a batch, in four streams. Measured is the CPU of one
//! thread and the wall clock, syncs and the log letting go included; then what thousands of origins cost. On a file system in memory
//! the syncs cost nothing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_record::limits::UNIT_BUCKET_MS;
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_segment::WriterOptions;
use weir_storage::disk::real::RealDisk;
use weir_storage::disk::sim::prng::Prng;
use weir_storage::poison::Poison;
use weir_storage::{Backlog, Disk, Entry, IngestLog, LogOptions, Moment, OriginsDir, Sealer, UnitRules};

const START_MS: u64 = 1_700_000_000_000 / UNIT_BUCKET_MS * UNIT_BUCKET_MS;
const BATCH_BYTES: usize = 1 << 20;
const BATCHES: u64 = 256;
const HOURS: u64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("weir-seal-speed");
    for flags in [BatchFlags::NONE, BatchFlags::KEYED] {
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&dir)?,
        }
        large(&dir, flags)?;
    }
    std::fs::remove_dir_all(&dir)?;
    std::fs::create_dir_all(&dir)?;
    many(&dir)?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

struct Opened {
    log: IngestLog,
    backlog: Arc<Backlog>,
    sealer: Sealer,
    /// What opening the backlog took.
    took: Duration,
}

fn open(dir: &Path) -> Result<Opened, Box<dyn Error>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (log, _) = IngestLog::open(Arc::clone(&disk), dir, LogOptions::new(1, 2))?;
    let before = Instant::now();
    let (backlog, _) = Backlog::open(Arc::clone(&disk), dir, &log.reader())?;
    let (backlog, took) = (Arc::new(backlog), before.elapsed());
    let rules = UnitRules::new(UNIT_BUCKET_MS, [("debug", "short")])?;
    let into = OriginsDir::new(disk, dir, Poison::default());
    let sealer = Sealer::new(log.reader(), Arc::clone(&backlog), into, rules, WriterOptions::default());
    Ok(Opened { log, backlog, sealer, took })
}

fn moment() -> Moment {
    Moment { now_ms: START_MS, partitions: 2 }
}

fn large(dir: &Path, flags: BatchFlags) -> Result<(), Box<dyn Error>> {
    let mut prng = Prng::new(1);
    let Opened { mut log, backlog, mut sealer, .. } = open(dir)?;
    let mut bytes = 0;
    for number in 0..BATCHES {
        let batch = batch(START_MS + number * 10, BATCH_BYTES, flags, &mut prng)?;
        bytes += batch.payload_bytes();
        log.append(&Entry { checkpoint: None, batches: vec![batch] })?;
        log.commit()?;
    }
    log.complete_piece()?;
    let (wall, cpu) = (Instant::now(), cpu_time());
    let mut pieces = 0;
    while sealer.step(moment(), |pieces| log.release(&pieces))?.is_some() {
        pieces += 1;
    }
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    let mb = |took: Duration| bytes as f64 / took.as_secs_f64() / 1e6;
    let sums = backlog.sums();
    println!(
        "flags {}: {pieces} pieces, {} origins, {:.3} of payload; {:.0} MB/s of CPU, {:.0} MB/s of wall clock",
        flags.bits(),
        sums.origins,
        sums.bytes as f64 / bytes as f64,
        mb(cpu),
        mb(wall)
    );
    Ok(())
}

/// Records of so many hours that each piece becomes thousands of origins.
fn many(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut prng = Prng::new(1);
    let Opened { mut log, mut sealer, .. } = open(dir)?;
    for number in 0..HOURS {
        let batch = batch(START_MS - number * UNIT_BUCKET_MS, 1000, BatchFlags::NONE, &mut prng)?;
        log.append(&Entry { checkpoint: None, batches: vec![batch] })?;
        if number % 100 == 99 {
            log.commit()?;
        }
    }
    log.complete_piece()?;
    let before = Instant::now();
    while sealer.step(moment(), |pieces| log.release(&pieces))?.is_some() {}
    let sealed = before.elapsed();
    drop((log, sealer));
    let Opened { backlog, took, .. } = open(dir)?;
    println!("{} origins of 1 kB are sealed in {sealed:?} and opened in {took:?}", backlog.sums().origins);
    Ok(())
}

fn batch(time_ms: u64, bytes: usize, flags: BatchFlags, prng: &mut Prng) -> Result<Batch, Box<dyn Error>> {
    let (mut arena, mut ends, mut runs) = (Vec::with_capacity(bytes + 200), Vec::new(), Vec::new());
    let keyed = flags.has(BatchFlags::KEYED);
    while arena.len() < bytes {
        line(prng, &mut arena);
        ends.push(arena.len() as u32);
        if keyed || runs.is_empty() {
            let entropy = u128::from(prng.next_u64()) << 8;
            runs.push(IdRun { first: RecordId::from_parts(time_ms, entropy), count: 0 });
        }
        if let Some(run) = runs.last_mut() {
            run.count += 1;
        }
    }
    let host = ["web1", "web2", "web3", "db1"][prng.below(4) as usize];
    Ok(Batch::new(Stream::new("shop", [("host", host)])?, flags, runs, ends, arena)?)
}

/// One of three shapes, about 120 bytes.
fn line(prng: &mut Prng, out: &mut Vec<u8>) {
    let (user, ms, level) =
        (prng.below(20_000), prng.below(3000), ["info", "warn", "error"][prng.below(3) as usize]);
    let text = match prng.below(3) {
        0 => format!(
            "10.{}.{}.{} - - [14/Nov/2023:22:13:20 +0000] \"GET /shop/item/{user}?page={ms} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0\"",
            prng.below(256),
            prng.below(256),
            prng.below(256),
            ms * 7
        ),
        1 => format!(
            "time=2023-11-14T22:13:20.{ms:04}Z level={level} msg=\"order stored\" user={user} took={ms}ms trace={:016x}",
            prng.next_u64()
        ),
        _ => format!(
            "{{\"ts\":\"2023-11-14T22:13:20.{ms:04}Z\",\"level\":\"{level}\",\"service\":\"cart\",\"user\":{user},\"latency_ms\":{ms}}}"
        ),
    };
    out.extend_from_slice(text.as_bytes());
}

fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
