//! The plainest program that takes bytes from a socket and keeps them: the peer of every port for lines.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use crate::bench::disk::megabytes;

/// What it reads at most before it makes that durable.
const READ_BYTES: usize = 1 << 20;

/// MB/s from the first byte sent, `chunks` times `chunk` on one connection, until the last is durable.
pub(super) fn synced(dir: &Path, chunk: &[u8], chunks: usize) -> anyhow::Result<f64> {
    let path = dir.join("sink");
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    let mut sender = TcpStream::connect(port.local_addr()?).context("connect to the sink")?;
    let (mut receiver, _) = port.accept().context("accept the sender")?;
    let started = Instant::now();
    let kept = std::thread::scope(|scope| {
        let keeping = scope.spawn(move || keep(&mut receiver, &mut file));
        let sent = (0..chunks).try_for_each(|_| sender.write_all(chunk));
        // Also after an error: the end is what the sink waits for.
        let ended = sender.shutdown(Shutdown::Write);
        let kept = keeping.join();
        sent.and(ended).context("send to the sink")?;
        kept.ok().context("the sink has panicked")?.context("keep what was sent")
    })?;
    let rate = megabytes(kept as u64) / started.elapsed().as_secs_f64();
    anyhow::ensure!(kept == chunk.len() * chunks, "the sink has kept {kept} bytes");
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// Reads to the end; what has come is durable before more is read.
fn keep(stream: &mut TcpStream, file: &mut File) -> std::io::Result<usize> {
    let mut buffer = vec![0; READ_BYTES];
    let mut kept = 0;
    loop {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(kept);
        }
        file.write_all(&buffer[..bytes])?;
        file.sync_data()?;
        kept += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Scratch;

    #[test]
    fn a_sink_keeps_all_that_is_sent() {
        let scratch = Scratch::below(&std::env::temp_dir(), "weir-sink").unwrap();
        assert!(synced(scratch.path(), &[b'x'; 10_000], 30).unwrap() > 0.0);
    }
}
