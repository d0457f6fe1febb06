//! How fast queries are, beside ripgrep on the same lines: `cargo run --release -p weir-engine --example scan`.
//!
//! Writes a corpus (200 MB, seeded) to a temporary directory, once as a text file and once as an ingest log,
//! and asks both the same questions from the page cache. Columns: the matcher alone on one core over flat
//! buffers in memory, a count by the engine with one worker and with two (reading, checksums and decoding
//! included), all rows sent, and `rg -c`.

use std::error::Error;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use weir_engine::{Cancel, Engine, EngineOptions, Plan};
use weir_query::{Matcher, Order, parse};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_record::{Batch, BatchFlags, Minter, RecordId, Stream};
use weir_storage::disk::real::RealDisk;
use weir_storage::{Entry, IngestLog, LogOptions};

const CORPUS_BYTES: usize = 200 << 20;
const BATCH_BYTES: usize = 256 << 10;

/// A query, and the arguments with which ripgrep answers it too.
const QUERIES: [(&str, &[&str]); 12] = [
    ("needle77", &["-w", "needle77"]),
    ("\"eedle7\"", &["-F", "eedle7"]),
    ("absent_word", &["-w", "absent_word"]),
    ("checkout", &["-w", "checkout"]),
    ("GET", &["-w", "GET"]),
    ("~\"Needle77\"", &["-i", "needle77"]),
    ("GET checkout -500", &[r"GET.*\bcheckout\b"]),
    (r"/timeout after \d+ms/", &[r"timeout after \d+ms"]),
    (r"/(error|warn)ed: \w+/", &[r"(error|warn)ed: \w+"]),
    (r"/[0-9a-f]{8}-[0-9a-f]{4}-4/", &[r"[0-9a-f]{8}-[0-9a-f]{4}-4"]),
    (r"/\d+\.\d+\.\d+\.77\b/", &[r"\d+\.\d+\.\d+\.77\b"]),
    (r"/\w+\s\w+\s\d{4}[a-f]\s/", &[r"\w+\s\w+\s\d{4}[a-f]\s"]),
];

fn line(random: &mut fastrand::Rng, number: usize) -> String {
    let (a, b, c) = (random.u32(..), random.u16(..), random.u8(..));
    match random.u8(..10) {
        0..4 => format!(
            "10.{}.{}.{c} - - \"GET /api/{}/{a} HTTP/1.1\" {} {b} \"Mozilla/5.0 (X11; Linux x86_64)\"",
            c / 3,
            b % 250,
            ["cart", "checkout", "search", "login"][random.usize(..4)],
            [200, 200, 200, 304, 404, 500][random.usize(..6)],
        ),
        4..7 => format!(
            "{{\"level\":\"info\",\"msg\":\"request served\",\"trace\":\"{a:08x}-{b:04x}-4{b:03x}\",\"took\":{c},\"user\":{b}}}"
        ),
        7..9 => format!(
            "2026-02-03T04:05:06.{b:06} INFO [worker-{}] c.e.Shop - order {a} accepted after {b}ms",
            c % 16
        ),
        _ if number.is_multiple_of(40_000) => {
            format!("time=4 level=error msg=\"lookup of needle77 failed\" id={a:x}")
        }
        _ if number.is_multiple_of(50) => format!("level=warn msg=\"timeout after {b}ms\" peer=10.0.0.{c}"),
        _ => format!("level=debug component=cache msg=\"entry refreshed\" key={a:x} age={b}"),
    }
}

struct Corpus {
    buffers: Vec<(Vec<u32>, Vec<u8>)>,
    bytes: usize,
}

fn corpus() -> Corpus {
    let mut random = fastrand::Rng::with_seed(7);
    let mut corpus = Corpus { buffers: Vec::new(), bytes: 0 };
    let (mut ends, mut arena) = (Vec::new(), Vec::new());
    let mut number = 0;
    while corpus.bytes < CORPUS_BYTES {
        arena.extend_from_slice(line(&mut random, number).as_bytes());
        ends.push(arena.len() as u32);
        number += 1;
        if arena.len() >= BATCH_BYTES {
            corpus.bytes += arena.len();
            corpus.buffers.push((std::mem::take(&mut ends), std::mem::take(&mut arena)));
        }
    }
    corpus
}

fn write_text(corpus: &Corpus, path: &Path) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for (ends, arena) in &corpus.buffers {
        let mut from = 0;
        for &end in ends {
            file.write_all(&arena[from..end as usize])?;
            file.write_all(b"\n")?;
            from = end as usize;
        }
    }
    file.flush()
}

fn write_log(corpus: &Corpus, dir: &Path) -> Result<IngestLog, Box<dyn Error>> {
    let (mut log, _) = IngestLog::open(Arc::new(RealDisk), dir, LogOptions::new(1, 1))?;
    let mut minter = Minter::new(RecordId::MIN);
    let mut random = fastrand::Rng::with_seed(8);
    let stream = Stream::new("shop", [("host", "web1")])?;
    for (number, (ends, arena)) in corpus.buffers.iter().enumerate() {
        let run = minter.mint(1_700_000_000_000 + number as u64, random.u128(..), ends.len() as u32);
        let batch = Batch::new(stream.clone(), BatchFlags::NONE, vec![run], ends.clone(), arena.clone())?;
        log.append(&Entry { checkpoint: None, batches: vec![batch] })?;
        if number % 16 == 15 {
            log.commit()?;
        }
    }
    log.commit()?;
    Ok(log)
}

/// The best of three, in MB/s of payload.
fn speed(bytes: usize, mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        run()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / best / 1e6)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("weir-scan-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let corpus = corpus();
    let text = dir.join("corpus.log");
    write_text(&corpus, &text)?;
    let log = write_log(&corpus, dir)?;
    let snapshot = log.reader().snapshot();
    let memory_bytes_max = QUERY_MEMORY_BYTES_MAX;
    let one = Engine::new(EngineOptions { workers: 1, memory_bytes_max })?;
    let two = Engine::new(EngineOptions { workers: 2, memory_bytes_max })?;
    println!("{} MB in {} pieces; MB/s of payload", corpus.bytes >> 20, snapshot.pieces.len());
    println!(
        "{:<32} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "query", "records", "matcher", "count 1", "count 2", "rows 2", "rg -c"
    );
    for (query, arguments) in QUERIES {
        let matcher = Matcher::compile(&parse(query)?)?;
        let stream_matcher =
            matcher.for_stream(&Stream::new("shop", [("host", "web1")])?).ok_or("no match")?;
        let plan = Plan { matcher, from: RecordId::MIN, to: RecordId::MAX, limit: None, order: Order::Asc };
        let mut found = 0;
        let alone = speed(corpus.bytes, || {
            found = 0;
            for (ends, arena) in &corpus.buffers {
                stream_matcher.scan(ends, arena, &mut |_| found += 1);
            }
            Ok(())
        })?;
        let count = |engine: &Engine| {
            speed(corpus.bytes, || {
                let stats = engine.count(&plan, &snapshot, &Cancel::new())?;
                if stats.records_matched == found {
                    Ok(())
                } else {
                    Err("the engine counts otherwise".into())
                }
            })
        };
        let (count_one, count_two) = (count(&one)?, count(&two)?);
        let rows = speed(corpus.bytes, || {
            two.run(&plan, &snapshot, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
            Ok(())
        })?;
        let rg = speed(corpus.bytes, || {
            Command::new("rg")
                .arg("-c")
                .args(arguments)
                .arg(&text)
                .output()
                .map_err(|e| format!("rg: {e}"))?;
            Ok(())
        });
        let rg = rg.map_or("-".to_owned(), |speed| format!("{speed:.0}"));
        println!("{query:<32} {found:>9} {alone:>8.0} {count_one:>8.0} {count_two:>8.0} {rows:>8.0} {rg:>8}");
    }
    let plan = Plan {
        matcher: Matcher::compile(&parse("GET")?)?,
        from: RecordId::MIN,
        to: RecordId::MAX,
        limit: Some(100),
        order: Order::Desc,
    };
    let started = Instant::now();
    let stats = two.run(&plan, &snapshot, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
    println!("newest 100 of GET: {:?}, {} batches read", started.elapsed(), stats.batches_scanned);
    let all = Plan { matcher: Matcher::compile(&parse("")?)?, limit: None, order: Order::Asc, ..plan };
    let mut stages = None;
    let rows = speed(corpus.bytes, || {
        let stats = two.run(&all, &snapshot, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
        stages = Some(stats.stages);
        Ok(())
    })?;
    println!("everything sent: {rows:.0} MB/s, {stages:?}");
    Ok(())
}
