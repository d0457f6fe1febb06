//! How fast conditions on fields are: `cargo run --release -p weir-query --example fields`.
//!
//! Searches 100 MB of seeded lines in memory, JSON of some 200 bytes and logfmt. Columns: hits, MB/s of
//! payload, and MB/s with each line looked at on its own, as it would be without a native prefilter. Speeds
//! are of one core by the time that it was had, as Linux counts it, so that they hold on a busy machine.

use std::error::Error;

use weir_query::{Matcher, StreamMatcher, parse};
use weir_record::Stream;

const CORPUS_BYTES: usize = 100 << 20;

const QUERIES: [&str; 14] = [
    "status>=500",
    "status:500",
    "status!=0",
    "user.id:42",
    "took>990.5",
    "msg:\"lookup of needle77 failed\"",
    "path:/api/checkout",
    "absent:1",
    "host:web1",
    "rare:1",
    "level>=warn",
    "level:error status>=500",
    "needle77",
    "~\"Lookup OF needles\"",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn line(dice: &mut Dice, kind: &str) -> String {
    let status = [200, 200, 200, 200, 200, 204, 304, 404, 404, 500][dice.below(10) as usize];
    let level = if status == 500 { "error" } else { "info" };
    let path = ["cart", "checkout", "search", "login"][dice.below(4) as usize];
    let (user, took) = (dice.below(100_000), dice.below(1_000_000) as f64 / 1000.0);
    let msg = if dice.below(50_000) == 0 { "lookup of needle77 failed" } else { "request served" };
    let trace = dice.below(u64::MAX >> 33);
    if kind == "json" {
        format!(
            "{{\"time\":\"2026-02-03T04:05:06.789Z\",\"level\":\"{level}\",\"msg\":\"{msg}\",\"path\":\"/api/{path}\",\
             \"user\":{{\"id\":{user},\"agent\":\"Mozilla/5.0 (X11; Linux)\"}},\"status\":{status},\"took\":{took},\
             \"trace\":\"{trace:016x}\"}}"
        )
    } else {
        format!(
            "time=2026-02-03T04:05:06.789Z level={level} msg=\"{msg}\" path=/api/{path} user.id={user} \
             agent=\"Mozilla/5.0 (X11; Linux)\" status={status} took={took} trace={trace:016x}"
        )
    }
}

/// Nanoseconds that this thread has spent on a processor.
fn cpu_ns() -> Result<u64, Box<dyn Error>> {
    let counts = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(counts.split(' ').next().unwrap_or_default().parse()?)
}

fn matcher(query: &str) -> Result<StreamMatcher, Box<dyn Error>> {
    let stream = Stream::new("shop", [("host", "web1")])?;
    Ok(Matcher::compile(&parse(query)?)?.for_stream(&stream).ok_or("no match")?)
}

fn main() -> Result<(), Box<dyn Error>> {
    for kind in ["json", "logfmt"] {
        let dice = &mut Dice(7);
        let (mut ends, mut arena) = (Vec::new(), Vec::new());
        while arena.len() < CORPUS_BYTES {
            arena.extend_from_slice(line(dice, kind).as_bytes());
            ends.push(arena.len() as u32);
        }
        println!("{kind}, {} lines of {} bytes", ends.len(), arena.len() / ends.len());
        println!("{:<34} {:>8} {:>8} {:>8}", "query", "hits", "MB/s", "each");
        let speed = |query: &str| -> Result<(u64, f64), Box<dyn Error>> {
            let matcher = matcher(query)?;
            let (mut hits, mut best) = (0, u64::MAX);
            for _ in 0..3 {
                let before = cpu_ns()?;
                hits = 0;
                matcher.scan(&ends, &arena, &mut |_| hits += 1);
                best = best.min(cpu_ns()? - before);
            }
            Ok((hits, arena.len() as f64 * 1e3 / best as f64))
        };
        for query in QUERIES {
            let (hits, with) = speed(query)?;
            // An alternative that never holds, and of which nothing is known, leaves no text to look for.
            let (_, without) = speed(&format!("({query}) OR -/^/"))?;
            println!("{query:<34} {hits:>8} {with:>8.0} {without:>8.0}");
        }
    }
    Ok(())
}
