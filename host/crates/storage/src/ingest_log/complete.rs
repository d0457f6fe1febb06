//! Turning the piece that was written into one that never changes again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, is_full};
use crate::ingest_log::name::PieceName;

/// Bytes that are written once more at a time.
const REWRITE_BYTES: usize = 1 << 20;

/// An incomplete piece and what its end is to be.
#[derive(Debug, Clone)]
pub(crate) struct Incomplete {
    pub(crate) name: PieceName,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the frames end.
    pub(crate) end: u64,
    /// Footer frame and tail.
    pub(crate) footer: Vec<u8>,
    /// Whether the content may be in the page cache only.
    pub(crate) rewrite: bool,
}

/// Whether there was room for the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The piece is complete; its new name waits for the sync of its directory.
    Completed,
    /// The piece is as it was, and durable as far as its frames go.
    NoRoom,
}

/// What failed, and how.
pub(crate) type Failed = (&'static str, io::Error);

impl Incomplete {
    /// Writes the footer, syncs, renames.
    pub(crate) fn complete(&self, disk: &dyn Disk, dir: &Path) -> Result<Outcome, Failed> {
        let file = &*self.file;
        let sync = || file.sync_all().map_err(|error| ("fsync failed", error));
        if self.rewrite {
            match rewrite(file, self.end) {
                Err(error) if is_full(&error) => return Ok(Outcome::NoRoom),
                other => other.map_err(|error| ("write failed", error))?,
            }
            // A footer vouches for what stands before it: that must be durable first.
            sync()?;
        }
        match file.write_at(&self.footer, self.end) {
            Err(error) if is_full(&error) => {
                file.set_len(self.end).map_err(|error| ("cannot cut", error))?;
                sync()?;
                return Ok(Outcome::NoRoom);
            }
            other => other.map_err(|error| ("write failed", error))?,
        }
        sync()?;
        let (from, to) = (self.name.to_string(), self.name.completed().to_string());
        disk.rename(&dir.join(from), &dir.join(to)).map_err(|error| ("rename failed", error))?;
        Ok(Outcome::Completed)
    }
}

/// Writes the bytes of a piece once more, as they are.
///
/// They may have been read from the page cache only: when the sync of an earlier process has failed its
/// pages count as clean and no later sync writes them. Sectors that are durable do not change by it.
fn rewrite(file: &dyn DiskFile, end: u64) -> io::Result<()> {
    let mut bytes = vec![0; REWRITE_BYTES.min(end as usize)];
    let mut at = 0;
    while at < end {
        let part = (end - at).min(bytes.len() as u64) as usize;
        match file.read_at(&mut bytes[..part], at) {
            Ok(read) if read == part => file.write_at(&bytes[..part], at)?,
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // Damage that the scan has passed over: nothing there to be kept.
            Err(error) => tracing::error!(%error, offset = at, "a part of a piece cannot be read"),
        }
        at += part as u64;
    }
    Ok(())
}
