//! A file in the making: removed again unless it is given a name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::limits::STORE_WRITE_BYTES;

use crate::disk::{Disk, DiskFile};

/// Written from its beginning to its end, in large pieces.
pub(crate) struct TmpFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Bytes that have left the buffer.
    written: u64,
    has_name: bool,
}

impl TmpFile {
    /// Makes the file, which must not be there.
    pub(crate) fn create(disk: &Arc<dyn Disk>, path: PathBuf) -> io::Result<TmpFile> {
        let file = disk.create_new(&path)?;
        let disk = Arc::clone(disk);
        Ok(TmpFile { disk, path, file, buffer: Vec::new(), written: 0, has_name: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.is_empty() && bytes.len() >= STORE_WRITE_BYTES {
            self.file.write_at(bytes, self.written)?;
            self.written += bytes.len() as u64;
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= STORE_WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is in the buffer.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Renames the file, which must have been synced before; it stays from then on.
    pub(crate) fn rename(mut self, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, to)?;
        self.has_name = true;
        Ok(())
    }
}

impl Drop for TmpFile {
    fn drop(&mut self) {
        if !self.has_name
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "an unfinished file stays until the next start");
        }
    }
}
