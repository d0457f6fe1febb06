//! Handing out one origin as a segment of its own.

use std::io::{self, Read};
use std::sync::Arc;

use weir_segment::{Block, Cut, Decoder, Origin, OriginName, Unit, WriterOptions};

use crate::disk::{DiskFile, is_full};
use crate::segment_file::{SegmentFile, SegmentFileError};
use crate::store::tmp::TmpFile;
use crate::store::{CutError, Inner, Store, StoreError};

/// The bytes of a segment that holds one origin and nothing else, to be read from the beginning. They can be
/// read whatever becomes of the store's own files.
#[derive(Debug)]
pub struct CutFile {
    file: Arc<dyn DiskFile>,
    origin: Origin,
    bytes: u64,
    at: u64,
}

impl CutFile {
    /// The origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Length of the segment.
    pub fn file_bytes(&self) -> u64 {
        self.bytes
    }
}

impl Read for CutFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = (self.bytes - self.at).min(buf.len() as u64) as usize;
        let read = self.file.read_at(&mut buf[..left], self.at)?;
        if read < left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Store {
    /// An origin that is held, as a segment of its own: its file as it came, or cut out of a merged one and
    /// proven by its digest before the first byte is handed out. The copy has no name and goes with the reader.
    pub fn cut(&self, unit: &Unit, name: OriginName) -> Result<CutFile, CutError> {
        let inner = &*self.inner;
        let not_held = || CutError::NotHeld(name.with_unit(unit));
        let segment = self.find(unit, name).ok_or_else(not_held)?;
        let (number, &origin) = segment.origin(name).ok_or_else(not_held)?;
        let file = &segment.file;
        if file.footer().lineage().len() == 1 {
            return Ok(CutFile { file: Arc::clone(file.handle()), origin, bytes: file.bytes(), at: 0 });
        }
        // More than the share of the origin is never needed, but for the frames around it.
        let space = inner.disk.space(&inner.dir).ok();
        if space.is_some_and(|space| space.free_bytes < inner.options.reserve_bytes / 2) {
            return Err(CutError::Full);
        }
        let tmp = inner.cut_out(file, number)?;
        Ok(CutFile { file: Arc::clone(tmp.file()), origin, bytes: tmp.bytes(), at: 0 })
    }
}

impl Inner {
    fn cut_out(&self, file: &SegmentFile, number: u32) -> Result<TmpFile, CutError> {
        let wrong = |source| SegmentFileError::Segment { path: file.path().to_owned(), source };
        let io = |source| SegmentFileError::Io { path: file.path().to_owned(), source };
        let written = |error: io::Error| {
            if is_full(&error) {
                return CutError::Full;
            }
            CutError::Store(StoreError::io("cannot write into", &self.dir)(error))
        };
        let footer = file.footer();
        let options = WriterOptions {
            block_bytes: self.options.block_bytes,
            leaf_bytes: self.options.leaf_bytes,
            ..WriterOptions::default()
        };
        let mut cut = Cut::new(footer, number, options).map_err(wrong)?;
        let mut decoder = Decoder::new().map_err(wrong)?;
        let (mut block, mut buffer, mut out) = (Block::new(), Vec::new(), Vec::new());
        let mut tmp = self.tmp("cut").map_err(written)?;
        for (index, entry) in footer.blocks().iter().enumerate() {
            file.read_side(entry, &mut buffer).map_err(io)?;
            let columns = decoder.columns(footer, index, &buffer).map_err(wrong)?;
            if !columns.origins().iter().any(|run| run.index == number) {
                continue;
            }
            file.read_block(entry, &mut buffer).map_err(io)?;
            decoder.block(footer, index, &buffer, &mut block).map_err(wrong)?;
            cut.block(&block, &mut out).map_err(wrong)?;
            tmp.write(&out).map_err(written)?;
            out.clear();
        }
        cut.finish(&mut out).map_err(wrong)?;
        tmp.write(&out).and_then(|()| tmp.flush()).map_err(written)?;
        Ok(tmp)
    }
}
