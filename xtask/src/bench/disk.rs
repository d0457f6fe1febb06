//! What the disk itself can do: the peer of every durable write.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

/// MB/s of writing `chunks` times `chunk` to a new file, each made durable before the next.
pub(super) fn synced_writes(dir: &Path, chunk: &[u8], chunks: usize) -> anyhow::Result<f64> {
    let path = dir.join("disk-probe");
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let started = Instant::now();
    for _ in 0..chunks {
        file.write_all(chunk)?;
        file.sync_data()?;
    }
    let rate = megabytes((chunk.len() * chunks) as u64) / started.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// Bytes as MB, the decimal ones that disks are sold in.
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
