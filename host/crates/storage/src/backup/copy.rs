//! One file, from one folder to another.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use weir_record::limits::SNAPSHOT_COPY_BYTES;

use crate::disk::{Disk, DiskFile};

/// Copies the first `bytes` of an open file to a new one, synced. Its name is durable with the sync of its folder.
pub(super) fn copy(disk: &dyn Disk, from: &dyn DiskFile, bytes: u64, to: &Path) -> io::Result<[u8; 32]> {
    let new = disk.create_new(to)?;
    let digest = read(from, bytes, |chunk, at| new.write_at(chunk, at))?;
    new.sync_all()?;
    Ok(digest)
}

/// The digest of the first `bytes` of an open file.
pub(super) fn digest(from: &dyn DiskFile, bytes: u64) -> io::Result<[u8; 32]> {
    read(from, bytes, |_, _| Ok(()))
}

fn read(
    from: &dyn DiskFile,
    bytes: u64,
    mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; SNAPSHOT_COPY_BYTES.min(usize::try_from(bytes).unwrap_or(SNAPSHOT_COPY_BYTES))];
    let mut at = 0;
    while at < bytes {
        let want = (bytes - at).min(chunk.len() as u64) as usize;
        let read = from.read_at(&mut chunk[..want], at)?;
        if read < want {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&chunk[..want]);
        each(&chunk[..want], at)?;
        at += want as u64;
    }
    Ok(hasher.finalize().into())
}

/// Whether an error says that the file system gives no link to this file, though it would take a copy.
pub(super) fn wants_copy(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let gone = error.kind() == Kind::NotFound;
    gone || matches!(
        error.kind(),
        Kind::CrossesDevices | Kind::Unsupported | Kind::PermissionDenied | Kind::TooManyLinks
    )
}
