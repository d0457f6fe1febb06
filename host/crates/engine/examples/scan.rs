//! How fast queries are, beside ripgrep on the same lines: `cargo run --release -p weir-engine --example scan`.
//!
//! Writes a corpus (200 MB, seeded) to a temporary directory: as a text file, as an ingest log, and as a segment,
//! once with its lines in order and once grouped by shape. Then it asks all the same questions from the page
//! cache. Columns: the matcher alone over flat buffers in memory; a count by the engine over the log, over the
//! segment and over the one grouped by shape (reading, checksums and decoding included); all rows sent; and
//! `rg -c`. Of a segment the blocks that were decoded are shown, too.
//!
//! Speeds are of one core: payload by the time that all threads spent on a processor, as Linux counts it, so
//! that they hold on a busy machine as well.

use std::error::Error;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use weir_engine::{Cancel, Engine, EngineOptions, Plan, Searchable, SegmentPiece, pieces};
use weir_query::{Buckets, Matcher, Order, parse};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_record::{Batch, BatchFlags, Minter, RecordId, Stream};
use weir_segment::{Grouping, OriginFlags, OriginName, Unit, Writer, WriterOptions};
use weir_storage::disk::real::RealDisk;
use weir_storage::{Entry, IngestLog, LogOptions, SegmentFile};

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

const START_MS: u64 = 1_699_999_200_000;

fn write_segment(corpus: &Corpus, path: &Path, grouping: Grouping) -> Result<Searchable, Box<dyn Error>> {
    let unit = Unit::new(START_MS, 3_600_000, "default", 0, 1)?;
    let origin = (OriginName { node: 1, epoch: 2, piece: 3 }, OriginFlags::NONE);
    let mut writer = Writer::new(unit, &[origin], WriterOptions { grouping, ..WriterOptions::default() })?;
    let stream = writer.stream(&Stream::new("shop", [("host", "web1")])?)?;
    let mut minter = Minter::new(RecordId::MIN);
    let mut random = fastrand::Rng::with_seed(8);
    let mut bytes = Vec::new();
    for (number, (ends, arena)) in corpus.buffers.iter().enumerate() {
        let run = minter.mint(START_MS + 1000 * number as u64, random.u128(..), ends.len() as u32);
        let mut from = 0;
        for (&end, id) in ends.iter().zip(run.ids()) {
            writer.push(id, stream, 0, &arena[from..end as usize], &mut bytes)?;
            from = end as usize;
        }
    }
    writer.finish(&mut bytes)?;
    std::fs::write(path, &bytes)?;
    let file = SegmentFile::open(&RealDisk, path)?;
    println!("segment, {grouping:?}: {} MB, {} blocks", bytes.len() >> 20, file.footer().blocks().len());
    Ok(SegmentPiece::all(Arc::new(file)).into())
}

/// Nanoseconds that this process has spent on processors, and processes that it waited for.
fn cpu_ns() -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let counts = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += counts.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    // Fields 16 and 17 are those of children, in ticks of a hundredth of a second.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    let children: u64 = fields.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum();
    Ok(sum + children * 10_000_000)
}

/// The best of three, in MB of payload per second of a core.
fn speed(bytes: usize, mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best = u64::MAX;
    for _ in 0..3 {
        let before = cpu_ns()?;
        run()?;
        best = best.min(cpu_ns()? - before);
    }
    Ok(bytes as f64 * 1e3 / best as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("weir-scan-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn plan(query: &str) -> Result<Plan, Box<dyn Error>> {
    let matcher = Matcher::compile(&parse(query)?)?;
    Ok(Plan {
        matcher,
        from: RecordId::MIN,
        to: RecordId::MAX,
        limit: None,
        order: Order::Asc,
        whole: false,
        stages: None,
    })
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let corpus = corpus();
    let text = dir.join("corpus.log");
    write_text(&corpus, &text)?;
    let log = write_log(&corpus, dir)?;
    let log = pieces(&log.reader().snapshot());
    let in_order = [write_segment(&corpus, &dir.join("order.zst"), Grouping::Order)?];
    let by_shape = [write_segment(&corpus, &dir.join("shape.zst"), Grouping::Shape)?];
    let memory_bytes_max = QUERY_MEMORY_BYTES_MAX;
    let engine =
        Engine::new(EngineOptions { workers: 2, memory_bytes_max, memory_bytes_all_max: memory_bytes_max })?;
    println!("{} MB in {} pieces; MB/s of payload and core", corpus.bytes >> 20, log.len());
    println!(
        "{:<31} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6} {:>7} {:>7} {:>7}",
        "query", "records", "matcher", "log", "rows", "segment", "blocks", "rows", "shape", "rg -c"
    );
    for (query, arguments) in QUERIES {
        let plan = plan(query)?;
        let stream_matcher =
            plan.matcher.for_stream(&Stream::new("shop", [("host", "web1")])?).ok_or("no match")?;
        let mut found = 0;
        let alone = speed(corpus.bytes, || {
            found = 0;
            for (ends, arena) in &corpus.buffers {
                stream_matcher.scan(ends, arena, &mut |_| found += 1);
            }
            Ok(())
        })?;
        let mut blocks = 0;
        let mut count = |over: &[Searchable]| {
            speed(corpus.bytes, || {
                let stats = engine.count_over(&plan, over, &Cancel::new())?.stats;
                blocks = stats.batches_scanned;
                if stats.records_matched == found {
                    Ok(())
                } else {
                    Err("the engine counts otherwise".into())
                }
            })
        };
        let (log_count, shape_count, segment) = (count(&log)?, count(&by_shape)?, count(&in_order)?);
        let rows = |over: &[Searchable]| {
            speed(corpus.bytes, || {
                engine.run_over(&plan, over, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
                Ok(())
            })
        };
        let (log_rows, seg_rows) = (rows(&log)?, rows(&in_order)?);
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
        println!(
            "{query:<31} {found:>8} {alone:>8.0} {log_count:>7.0} {log_rows:>7.0} {segment:>7.0} {blocks:>6} \
             {seg_rows:>7.0} {shape_count:>7.0} {rg:>7}"
        );
    }
    measure_whole(&engine, corpus.bytes, &[("log", &log), ("segment", &in_order), ("shape", &by_shape)])
}

/// What touches everything, or as little as it can.
fn measure_whole(
    engine: &Engine,
    bytes: usize,
    kinds: &[(&str, &[Searchable])],
) -> Result<(), Box<dyn Error>> {
    let newest = Plan { limit: Some(100), order: Order::Desc, ..plan("GET")? };
    let needle = plan("needle77")?;
    let all = plan("")?;
    let every_line = plan("\"\\x01\\x02\"")?;
    let buckets = Buckets::new(START_MS, 60_000, 60)?;
    for (kind, over) in kinds {
        let started = Instant::now();
        let answer = engine.run_over(&newest, over, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
        println!("{kind}: newest 100 of GET: {:?}, {} read", started.elapsed(), answer.stats.batches_scanned);
        let started = Instant::now();
        let answer = engine.count_over(&needle, over, &Cancel::new())?;
        println!("{kind}: needle: {:?}, {} read", started.elapsed(), answer.stats.batches_scanned);
        let started = Instant::now();
        let answer = engine.count_over(&all, over, &Cancel::new())?;
        println!("{kind}: count of all: {:?}, {} records", started.elapsed(), answer.stats.records_matched);
        let started = Instant::now();
        let (_, answer) = engine.histogram_over(&all, buckets, over, &Cancel::new())?;
        println!("{kind}: histogram of all: {:?}, {} read", started.elapsed(), answer.stats.batches_scanned);
        let full = speed(bytes, || Ok(engine.count_over(&every_line, over, &Cancel::new()).map(|_| ())?))?;
        println!("{kind}: every line tested: {full:.0} MB/s");
        let mut stages = None;
        let rows = speed(bytes, || {
            let answer = engine.run_over(&all, over, &Cancel::new(), &mut |_| ControlFlow::Continue(()))?;
            stages = Some(answer.stats.stages);
            Ok(())
        })?;
        println!("{kind}: everything sent: {rows:.0} MB/s, {stages:?}");
    }
    Ok(())
}
