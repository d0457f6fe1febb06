//! Origins on their way to the disk.

use std::path::PathBuf;
use std::sync::Arc;

use weir_record::limits::SEAL_WRITE_BYTES;
use weir_replication::keyed_partition;
use weir_segment::{OriginFlags, OriginName, Unit, WriteError, Writer, WriterOptions};

use super::load::{Loaded, id_after};
use super::order::in_order;
use super::stretch::Stretch;
use super::{OriginsDir, SealError, UNFINISHED};
use crate::disk::{DiskFile, is_full};
use crate::segment_file::SegmentFile;

/// An origin that is to be written.
pub(super) struct Origin {
    pub(super) unit: Unit,
    pub(super) name: OriginName,
    pub(super) flags: OriginFlags,
    /// Only ids of this partition go there.
    pub(super) partition: Option<u16>,
}

/// The origins of one piece while they are written. All or none of them stay.
pub(super) struct Unfinished<'a> {
    into: &'a OriginsDir,
    piece: u64,
    written: Vec<Written>,
    /// How many have their final names.
    renamed: usize,
    /// Numbers that the writer at work has given to the streams of the piece, and which it has.
    streams: Vec<Option<u32>>,
    numbered: Vec<u32>,
    out: Vec<u8>,
}

struct Written {
    temporary: PathBuf,
    /// Under its final name; `None` while it is being written.
    segment: Option<SegmentFile>,
}

impl<'a> Unfinished<'a> {
    pub(super) fn new(into: &'a OriginsDir, loaded: &Loaded<'_>) -> Unfinished<'a> {
        Unfinished {
            into,
            piece: loaded.piece.number(),
            written: Vec::new(),
            renamed: 0,
            streams: vec![None; loaded.piece.streams().len()],
            numbered: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Writes one origin under a name of its own. It is neither durable nor has it its final name.
    pub(super) fn write(
        &mut self,
        origin: Origin,
        loaded: &Loaded<'_>,
        stretches: &[Stretch],
        options: WriterOptions,
    ) -> Result<(), SealError> {
        let Origin { unit, name, flags, partition } = origin;
        let temporary = self.into.path.join(name.with_unit(&unit) + UNFINISHED);
        let file = self.create(temporary)?;
        let writer = Writer::new(unit, &[(name, flags)], options);
        let mut target = Target { writer: writer.map_err(|error| self.refused(error))?, file, offset: 0 };
        self.numbered.drain(..).for_each(|stream| self.streams[stream as usize] = None);
        in_order(stretches, |stretch| self.push(&mut target, loaded, stretch, partition))?;
        let Target { writer, file, mut offset } = target;
        let footer = writer.finish(&mut self.out).map_err(|error| self.refused(error))?;
        self.flush(&*file, &mut offset)?;
        if let Some(written) = self.written.last_mut() {
            let path = self.into.path.join(footer.name().to_string());
            written.segment = Some(SegmentFile::written(path, footer, file));
        }
        Ok(())
    }

    fn push(
        &mut self,
        target: &mut Target,
        loaded: &Loaded<'_>,
        stretch: Stretch,
        partition: Option<u16>,
    ) -> Result<(), SealError> {
        let batch = &loaded.batches[stretch.batch as usize];
        let mut stream = self.streams[batch.stream as usize];
        for n in 0..stretch.count {
            let id = id_after(stretch.id, n);
            if partition.is_some_and(|partition| keyed_partition(id) != partition) {
                continue;
            }
            let number = match stream {
                Some(number) => number,
                None => *stream.insert(self.number(target, loaded, batch.stream)?),
            };
            let payload = batch.payload(stretch.index + n);
            let pushed = target.writer.push(id, number, 0, payload, &mut self.out);
            pushed.map_err(|error| self.refused(error))?;
            if self.out.len() >= SEAL_WRITE_BYTES {
                self.flush(&*target.file, &mut target.offset)?;
            }
        }
        Ok(())
    }

    /// The writer's number of a stream that it has not met before.
    fn number(&mut self, target: &mut Target, loaded: &Loaded<'_>, stream: u32) -> Result<u32, SealError> {
        let numbered = target.writer.stream(&loaded.piece.streams()[stream as usize].stream);
        let number = numbered.map_err(|error| self.refused(error))?;
        self.streams[stream as usize] = Some(number);
        self.numbered.push(stream);
        Ok(number)
    }

    fn create(&mut self, path: PathBuf) -> Result<Arc<dyn DiskFile>, SealError> {
        let disk = &*self.into.disk;
        let mut made = disk.create_new(&path);
        if made.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists) {
            // What an attempt has left that failed.
            made = disk.remove(&path).and_then(|()| disk.create_new(&path));
        }
        let file = made.map_err(io_error("cannot make", &path))?;
        self.written.push(Written { temporary: path, segment: None });
        Ok(file)
    }

    fn flush(&mut self, file: &dyn DiskFile, offset: &mut u64) -> Result<(), SealError> {
        let path = self.written.last().map_or(&self.into.path, |written| &written.temporary);
        file.write_at(&self.out, *offset).map_err(io_error("cannot write", path))?;
        *offset += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    /// Makes all durable: syncs each, gives each its final name, syncs the folder.
    pub(super) fn finish(&mut self) -> Result<Vec<Arc<SegmentFile>>, SealError> {
        let into = self.into;
        let files: Vec<_> =
            self.written.iter().filter_map(|written| Some((written, written.segment.as_ref()?))).collect();
        for (written, segment) in &files {
            let synced = segment.sync();
            synced.map_err(|error| into.poisoned("fsync failed", &written.temporary, &error))?;
        }
        for (written, segment) in &files {
            let renamed = into.disk.rename(&written.temporary, segment.path());
            renamed.map_err(|error| {
                if is_full(&error) {
                    return SealError::DiskFull;
                }
                // As in the log: nobody knows which name it has.
                into.poisoned("rename failed", &written.temporary, &error)
            })?;
            self.renamed += 1;
        }
        if self.renamed > 0 {
            let synced = into.disk.sync_dir(&into.path);
            synced.map_err(|error| into.poisoned("fsync failed", &into.path, &error))?;
        }
        Ok(self.written.drain(..).filter_map(|written| written.segment).map(Arc::new).collect())
    }

    /// Takes back what was written. A final name that cannot be taken back poisons: the same piece sealed once
    /// more might have origins beside it.
    pub(super) fn abandon(&self, error: SealError) -> SealError {
        if matches!(error, SealError::Poisoned(_)) {
            return error;
        }
        let into = self.into;
        for (place, written) in self.written.iter().enumerate() {
            let path = match &written.segment {
                Some(segment) if place < self.renamed => segment.path(),
                _ => &written.temporary,
            };
            match into.disk.remove(path) {
                Ok(()) => {}
                Err(error) if place < self.renamed => {
                    return into.poisoned("a name could not be taken back", path, &error);
                }
                Err(error) => tracing::warn!(%error, path = %path.display(), "cannot be removed"),
            }
        }
        error
    }

    fn refused(&self, source: WriteError) -> SealError {
        SealError::Write { piece: self.piece, source }
    }
}

struct Target {
    writer: Writer,
    file: Arc<dyn DiskFile>,
    offset: u64,
}

fn io_error(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> SealError {
    move |source| {
        if is_full(&source) {
            SealError::DiskFull
        } else {
            SealError::Io { what, path: path.to_owned(), source }
        }
    }
}
