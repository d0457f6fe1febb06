//! How fast rows go from node to node: `cargo run --release -p weir-api --example rows_speed`.
//!
//! Chunks of 512 KiB with lines of 100 bytes of several streams, as a search sends them: written as frames,
//! put together again with their checksums, and read back into rows. One core, no socket; beside it what
//! copying the same bytes takes. The last column is the size on the wire over that of the payloads.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use weir_api::wire::peer::frame::FrameBuffer;
use weir_api::wire::peer::rows::StreamCache;
use weir_api::wire::peer::{Part, SearchPart};
use weir_query::Rows;
use weir_record::limits::QUERY_CHUNK_BYTES;
use weir_record::{RecordId, Stream};

/// Payload bytes that each figure is taken over.
const TOTAL_BYTES: usize = 1 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:>8} {:>8} {:>12} {:>12} {:>12} {:>8}",
        "line", "streams", "encode GB/s", "decode GB/s", "copy GB/s", "size"
    );
    for (line_bytes, streams) in [(100, 1), (100, 16), (100, 1000), (1000, 16), (20, 16)] {
        let rows = chunk(line_bytes, streams)?;
        let part = SearchPart::Rows(rows.clone());
        let rounds = TOTAL_BYTES / rows.payload_bytes();
        let bytes = (rounds * rows.payload_bytes()) as f64;

        let started = Instant::now();
        for _ in 0..rounds {
            black_box(black_box(&part).to_frames()?);
        }
        let encode = bytes / started.elapsed().as_nanos() as f64;

        let frames = part.to_frames()?.concat();
        let (mut buffer, mut known) = (FrameBuffer::default(), StreamCache::default());
        let started = Instant::now();
        for _ in 0..rounds {
            // As a socket hands them on.
            for read in frames.chunks(256 << 10) {
                buffer.push(read);
                while let Some(frame) = buffer.take()? {
                    black_box(SearchPart::of_frame(&frame, &mut known)?);
                }
            }
        }
        let decode = bytes / started.elapsed().as_nanos() as f64;
        assert!(buffer.is_empty());

        let started = Instant::now();
        for _ in 0..rounds {
            black_box(black_box(&frames).clone());
        }
        let copy = bytes / started.elapsed().as_nanos() as f64;
        let size = frames.len() as f64 / rows.payload_bytes() as f64;
        println!("{line_bytes:>8} {streams:>8} {encode:>12.2} {decode:>12.2} {copy:>12.2} {size:>8.2}");
    }
    Ok(())
}

/// Rows of one chunk; the ids of several writers, interleaved.
fn chunk(line_bytes: usize, streams: usize) -> Result<Rows, Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut rows = Rows::new();
    for number in 0..streams {
        let labels = [("host", format!("web{number}")), ("source", "nginx".into())];
        rows.add_stream(Arc::new(Stream::new("orders", labels)?));
    }
    let line: Vec<u8> = (0..2 * line_bytes).map(|_| random.u8(b' '..b'~')).collect();
    let mut time_ms = 1_700_000_000_000;
    while rows.bytes() < QUERY_CHUNK_BYTES {
        time_ms += u64::from(random.u8(..4) == 0);
        let length = line_bytes - line_bytes / 5 + random.usize(..line_bytes * 2 / 5);
        rows.push(
            RecordId::from_parts(time_ms, random.u128(..)),
            random.u32(..streams as u32),
            &line[..length],
        );
    }
    Ok(rows)
}
