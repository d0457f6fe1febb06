//! A file that is there when it is whole and durable, and not before.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_storage::disk::{Disk, DiskFile};

/// What is gathered for one write.
const BUFFER_BYTES: usize = 1 << 18;

/// Written under another name beside its own; [`OutFile::finish`] syncs and renames it. Dropped before that, it
/// leaves nothing.
pub(crate) struct OutFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    temporary: PathBuf,
    force: bool,
    buffer: Vec<u8>,
    offset: u64,
    finished: bool,
}

impl OutFile {
    /// Begins a file, and the folders above it. One that exists is an error unless `force` is set.
    pub(crate) fn create(disk: Arc<dyn Disk>, path: &Path, force: bool) -> io::Result<OutFile> {
        refuse(path, force)?;
        make_dirs(&*disk, parent(path))?;
        // The process id keeps two exports to one place apart: the last one to finish counts.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = match disk.create_new(&temporary) {
            // Of a process long gone that had the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&temporary)?;
                disk.create_new(&temporary)?
            }
            other => other?,
        };
        let (path, buffer) = (path.to_owned(), Vec::with_capacity(BUFFER_BYTES));
        Ok(OutFile { disk, file, path, temporary, force, buffer, offset: 0, finished: false })
    }

    /// Makes it durable and gives it its name. Nothing is written after it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()?;
        refuse(&self.path, self.force)?;
        self.disk.rename(&self.temporary, &self.path)?;
        self.finished = true;
        self.disk.sync_dir(parent(&self.path))
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.file.write_at(bytes, self.offset)?;
            self.offset += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed has a name that says what it is.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

impl fmt::Debug for OutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file that exists is replaced only by force, and what is not a file (a folder, a device) never.
fn refuse(path: &Path, force: bool) -> io::Result<()> {
    let kind = match path.symlink_metadata() {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_file() {
        let message = "it exists and is not a file; export to - and let the shell write there";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    if force {
        return Ok(());
    }
    let message = "the file exists; choose another --out, or overwrite it with --force";
    Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
}

/// The folder of a file; that of a bare name is where the process stands.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Makes a folder and those above it, each durable in the one above.
fn make_dirs(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    make_dirs(disk, parent(dir))?;
    disk.create_dir(dir)?;
    disk.sync_dir(parent(dir))
}

#[cfg(test)]
mod tests {
    use weir_storage::disk::real::RealDisk;
    use weir_storage::disk::sim::{Faults, SimDisk};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = RealDisk.list(dir).unwrap();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_finished_and_leaves_nothing_when_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/x.csv");
        let folder = dir.path().join("a/b");
        let mut file = OutFile::create(Arc::new(RealDisk), &path, false).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(&folder), [format!("x.csv.{}.tmp", std::process::id())]);
        drop(file);
        assert!(names(&folder).is_empty());

        let content: Vec<u8> = (0..3 * BUFFER_BYTES + 7).map(|n| n as u8).collect();
        let mut file = OutFile::create(Arc::new(RealDisk), &path, false).unwrap();
        for part in content.chunks(BUFFER_BYTES + 5) {
            file.write_all(part).unwrap();
            file.write_all(b"").unwrap();
        }
        file.finish().unwrap();
        assert_eq!((names(&folder), std::fs::read(&path).unwrap()), (vec!["x.csv".to_owned()], content));
    }

    #[test]
    fn what_exists_is_overwritten_only_by_force_and_only_if_it_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let create = |path: &Path, force| OutFile::create(Arc::new(RealDisk), path, force);
        let mut early = create(&path, false).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(early.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists, "made in the meantime");
        assert_eq!(create(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        create(&path, true).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        for other in [dir.path(), Path::new("/dev/null")] {
            assert_eq!(create(other, true).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_nothing() {
        let disk = SimDisk::new(1);
        disk.set_capacity(Some(1 << 20));
        let mut file = OutFile::create(Arc::new(disk.clone()), Path::new("x"), false).unwrap();
        let error = (0..10).find_map(|_| file.write_all(&vec![7; BUFFER_BYTES]).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(file);
        assert_eq!((disk.list(Path::new(".")).unwrap_or_default(), disk.used_bytes()), (vec![], 0));
    }

    fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
        let file = disk.open(path).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_power_cut_at_any_point_leaves_the_old_file_or_the_new_one() {
        let (path, new) = (Path::new("x"), vec![7; 3 * BUFFER_BYTES]);
        let write = |disk: &SimDisk| -> io::Result<()> {
            let mut file = OutFile::create(Arc::new(disk.clone()), path, true)?;
            new.chunks(BUFFER_BYTES - 1).try_for_each(|part| file.write_all(part))?;
            file.finish()
        };
        let (mut kept, mut replaced) = (0, 0);
        for (cut_at, seed) in (0..12).flat_map(|cut_at| (0..20).map(move |seed| (cut_at, seed))) {
            let disk = SimDisk::new(seed);
            let old = disk.create_new(path).unwrap();
            old.write_at(b"old", 0).unwrap();
            old.sync_all().unwrap();
            disk.sync_dir(Path::new(".")).unwrap();
            disk.set_faults(Faults { cut_at: Some(cut_at), ..Faults::default() });
            let written = write(&disk);
            disk.power_cut(seed);
            let found = content(&disk, path);
            let is_new = found == new;
            assert!(
                is_new || (found == b"old" && written.is_err()),
                "cut {cut_at}, seed {seed}: {written:?}"
            );
            *(if is_new { &mut replaced } else { &mut kept }) += 1;
        }
        assert!(kept > 20 && replaced > 20, "{kept} kept, {replaced} replaced");
    }

    #[test]
    fn a_failed_call_gives_no_name() {
        let mut failed = 0;
        for error_at in 0..8 {
            let disk = SimDisk::new(1);
            disk.set_faults(Faults { error_at: Some(error_at), ..Faults::default() });
            let written =
                OutFile::create(Arc::new(disk.clone()), Path::new("x"), false).and_then(|mut file| {
                    file.write_all(&vec![7; BUFFER_BYTES])?;
                    file.finish()
                });
            // The last call makes a name durable that is there.
            let named = disk.open(Path::new("x")).is_ok();
            assert!(named || written.is_err(), "{error_at}");
            assert!(!named || content(&disk, Path::new("x")).len() == BUFFER_BYTES, "{error_at}");
            failed += u64::from(!named);
        }
        assert!(failed >= 3, "{failed}");
    }
}
