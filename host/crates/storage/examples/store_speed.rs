//! How fast the store is: `cargo run --release -p weir-storage --example store_speed [dir]`.
//!
//! Opening is measured with 1 GiB of payload in 1,024 segments, from the page cache. Accepting is the CPU of one
//! thread for streaming, proving and syncing origins, compaction that of merging them; both per raw payload.
//! Lines of about 100 bytes as services write them, origins of 1 MiB.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_record::{RecordId, Stream};
use weir_segment::{OriginFlags, OriginName, Unit, Writer, WriterOptions};
use weir_storage::disk::real::RealDisk;
use weir_storage::disk::sim::prng::Prng;
use weir_storage::store::{CompactBudget, CompactWork, Compaction, Expected, Offer};
use weir_storage::{Store, StoreOptions};

const ORIGINS: u64 = 1024;
const ORIGIN_BYTES: u64 = 1 << 20;
const HOUR_MS: u64 = 3_600_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("weir-store-speed");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&dir)?,
    }
    let outcome = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let options = StoreOptions { full_at_percent: 100, resume_at_percent: 100, ..StoreOptions::default() };
    let (store, _) = Store::open(Arc::new(RealDisk), dir, options)?;
    let unit = Unit::new(HOUR_MS, HOUR_MS, "default", 0, 1)?;
    let (mut wall, mut cpu, mut raw_bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for piece in 0..ORIGINS {
        let (expected, file, payload_bytes) = origin(&unit, piece)?;
        let (before, cpu_before) = (Instant::now(), cpu_time());
        let Offer::Wanted(mut incoming) = store.incoming(expected)? else { return Err("not wanted".into()) };
        for part in file.chunks(64 << 10) {
            incoming.write(part)?;
        }
        incoming.finish()?;
        wall += before.elapsed();
        cpu += cpu_time().saturating_sub(cpu_before);
        raw_bytes += payload_bytes;
    }
    report("accept, CPU", raw_bytes, cpu);
    report("accept, wall", raw_bytes, wall);
    drop(store);

    let before = Instant::now();
    let (store, recovery) = Store::open(Arc::new(RealDisk), dir, options)?;
    let (records, bytes) = (recovery.records, recovery.bytes);
    println!(
        "open: {:.1} ms, {} segments, {records} records, {:.0} MB of payload in {:.0} MB",
        before.elapsed().as_secs_f64() * 1e3,
        recovery.segments,
        raw_bytes as f64 / 1e6,
        bytes as f64 / 1e6
    );
    for (what, work) in [("while the unit grows", CompactWork::Merge), ("settled", CompactWork::Settle)] {
        let (before, cpu) = (Instant::now(), cpu_time());
        let budget = CompactBudget { work, now_ms: 1000 * HOUR_MS, payload_bytes_max: u64::MAX };
        let mut merged_bytes = 0;
        while let Compaction::Merged(merged) = store.compact_step(budget, &|| false)? {
            merged_bytes += merged.payload_bytes;
        }
        report(&format!("compact {what}, CPU"), merged_bytes, cpu_time().saturating_sub(cpu));
        report(&format!("compact {what}, wall"), merged_bytes, before.elapsed());
        println!("{} segments, {:.0} MB", store.snapshot().segments.len(), store.bytes() as f64 / 1e6);
    }
    let written = bytes + store.counters().compacted_out_bytes;
    println!("write amplification {:.2}", written as f64 / bytes as f64);
    Ok(())
}

fn origin(unit: &Unit, piece: u64) -> Result<(Expected, Vec<u8>, u64), Box<dyn Error>> {
    let mut prng = Prng::new(piece);
    let name = OriginName { node: piece % 4, epoch: 2, piece };
    let mut writer = Writer::new(unit.clone(), &[(name, OriginFlags::NONE)], WriterOptions::default())?;
    let stream = writer.stream(&Stream::new("speed", [("host", format!("web{}", piece % 4))])?)?;
    let mut file = Vec::new();
    // Pieces of four nodes overlap in time, batches of 100 lines do not interleave.
    let mut first = 0;
    let mut record = 0;
    while writer.payload_bytes() < ORIGIN_BYTES {
        if record % 100 == 0 {
            let time_ms = unit.start_ms() + piece / 4 * 3000 + record / 4;
            first = RecordId::from_parts(time_ms, u128::from(prng.next_u64())).to_u128();
        }
        let id = RecordId::from_u128(first + u128::from(record % 100));
        let level = ["INFO", "INFO", "WARN", "ERROR", "DEBUG"][prng.below(5) as usize];
        let line = format!(
            "2023-11-14T22:13:{:02}.{:03}Z {level} handler: user_{} paid {} in {} ms trace={:016x}",
            record / 1000 % 60,
            record % 1000,
            prng.below(5000),
            prng.below(100_000),
            prng.below(900),
            prng.next_u64()
        );
        writer.push(id, stream, 0, line.as_bytes(), &mut file)?;
        record += 1;
    }
    let footer = writer.finish(&mut file)?;
    let origin = footer.lineage()[0];
    let expected = Expected {
        unit: unit.clone(),
        name,
        flags: origin.flags,
        count: origin.count,
        digest: origin.digest,
        bytes: file.len() as u64,
    };
    Ok((expected, file, footer.payload_bytes()))
}

fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn report(what: &str, bytes: u64, took: Duration) {
    println!("{what}: {:.0} MB/s", bytes as f64 / took.as_secs_f64().max(1e-9) / 1e6);
}
