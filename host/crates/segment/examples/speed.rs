//! Encode and decode speed and size on generated log lines, or on those of a file: `cargo run --release -p
//! weir-segment --example speed [file [level of zstd [bytes of a leaf]]]`.

use std::time::Instant;

use weir_record::{RecordId, Stream};
use weir_segment::{
    Block, Decoder, Footer, Grouping, OriginFlags, OriginName, Unit, WriteError, Writer, WriterOptions,
};

const LINES: usize = 400_000;

/// Lines of four services, mixed: access log, key=value, JSON, prose.
fn lines() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(1);
    let line = |n: usize| {
        let (ip, user, ms) = (random.u32(..), random.u32(..20_000), random.u32(..3000));
        let level = ["info", "info", "info", "warn", "error", "debug"][random.usize(..6)];
        let at = format!("2023-11-14T22:{:02}:{:02}.{:03}Z", n / 60_000 % 60, n / 1000 % 60, n % 1000);
        match random.u8(..4) {
            0 => format!(
                "10.{}.{}.{} - - [{at}] \"GET /shop/item/{user}?page={} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                ip & 255,
                ip >> 8 & 255,
                ip >> 16 & 255,
                ms % 40,
                ms * 7
            ),
            1 => format!(
                "time={at} level={level} msg=\"order stored\" user={user} took={ms}ms trace={:016x}",
                random.u64(..)
            ),
            2 => format!(
                "{{\"ts\":\"{at}\",\"level\":\"{level}\",\"service\":\"cart\",\"user\":{user},\"latency_ms\":{ms},\"msg\":\"checkout finished\"}}"
            ),
            _ => format!(
                "{at} {} worker-{} connection to db{} timed out after {ms} ms, retrying",
                level.to_uppercase(),
                user % 16,
                user % 5
            ),
        }
    };
    (0..LINES).map(line).collect()
}

fn write(lines: &[String], options: WriterOptions) -> Result<(Vec<u8>, Footer), WriteError> {
    let start_ms = 1_700_000_000_000 / 3_600_000 * 3_600_000;
    let Ok(unit) = Unit::new(start_ms, 3_600_000, "default", 0, 1) else { return Err(WriteError::Origins) };
    let origin = (OriginName { node: 1, epoch: 2, piece: 3 }, OriginFlags::NONE);
    let mut writer = Writer::new(unit, &[origin], options)?;
    let Ok(stream) = Stream::new("shop", [("host", "web1")]) else { return Err(WriteError::Origins) };
    let stream = writer.stream(&stream)?;
    let mut random = fastrand::Rng::with_seed(2);
    let mut out = Vec::new();
    let mut id = RecordId::MIN;
    for (n, line) in lines.iter().enumerate() {
        id = RecordId::from_u128(id.to_u128() + 1);
        if n % 500 == 0 {
            id = RecordId::from_parts(start_ms + n as u64 / 500, random.u128(..) >> 50);
        }
        writer.push(id, stream, 0, line.as_bytes(), &mut out)?;
    }
    let footer = writer.finish(&mut out)?;
    Ok((out, footer))
}

fn main() -> Result<(), weir_segment::SegmentError> {
    let lines = match std::env::args().nth(1) {
        Some(path) => String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default())
            .lines()
            .map(str::to_owned)
            .collect(),
        None => lines(),
    };
    let raw: usize = lines.iter().map(|line| line.len() + 1).sum();
    let mb = |bytes: usize, since: Instant| bytes as f64 / 1e6 / since.elapsed().as_secs_f64();
    println!("{} lines, {:.1} MB", lines.len(), raw as f64 / 1e6);
    let leaf_bytes = std::env::args()
        .nth(3)
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(WriterOptions::default().leaf_bytes);
    let level = std::env::args().nth(2).and_then(|level| level.parse().ok());
    for level in level.map_or_else(|| vec![1, 6, 9, 12], |level| vec![level]) {
        for grouping in [Grouping::Order, Grouping::Shape] {
            let started = Instant::now();
            let (file, footer) =
                write(&lines, WriterOptions { level, grouping, leaf_bytes, ..WriterOptions::default() })?;
            let encode = mb(raw, started);
            let started = Instant::now();
            let (mut decoder, mut block) = (Decoder::new()?, Block::new());
            for (index, entry) in footer.blocks().iter().enumerate() {
                let range = entry.range().start as usize..entry.range().end as usize;
                decoder.block(&footer, index, &file[range], &mut block)?;
            }
            let decode = mb(raw, started);
            let data: usize = footer.blocks().iter().map(|block| block.data_bytes as usize).sum();
            let side: usize = footer.blocks().iter().map(|block| block.side_bytes as usize).sum();
            let share = |bytes: usize| bytes as f64 / raw as f64;
            let leaves = (0..footer.blocks().len()).flat_map(|block| footer.leaves(block));
            let filters: u64 = leaves.map(|leaf| leaf.filter_range().len() as u64).sum();
            let parts: u64 = footer.parts().iter().map(|part| part.filter_range().count() as u64).sum();
            println!(
                "level {level} {grouping:?}: encode {encode:.0} MB/s, decode {decode:.0} MB/s, file {:.3} of raw \
                 (data {:.4}, filters {:.4} + {:.4}, columns {:.4}, the rest {:.4})",
                share(file.len()),
                share(data),
                share(filters as usize),
                share(parts as usize),
                share(side - filters as usize),
                share(file.len() - data - side - parts as usize)
            );
        }
    }
    Ok(())
}
