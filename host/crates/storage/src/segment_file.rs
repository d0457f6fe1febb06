//! A segment on disk, opened: its footer in memory, everything else read when asked for.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use weir_record::Stream;
use weir_segment::{BlockEntry, Footer, LeafSet, Opened, PartEntry, SegmentError};

use crate::disk::{Disk, DiskFile};

mod asking;
mod stream_sum;

pub use asking::Ask;
pub use stream_sum::StreamSum;

/// Bytes that are read from the end of a file at first: most footers fit.
const END_BYTES: u64 = 64 << 10;

/// An open segment. As long as it is held it can be read, whatever becomes of its name.
pub struct SegmentFile {
    path: PathBuf,
    footer: Footer,
    streams: Vec<Arc<Stream>>,
    /// Made when somebody asks.
    sums: OnceLock<Vec<StreamSum>>,
    file: Arc<dyn DiskFile>,
}

/// A segment that cannot be opened or read. Does not affect state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentFileError {
    /// The system cannot read the file.
    #[error("read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was read is no sound segment.
    #[error("{}: {source}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SegmentError,
    },
}

impl SegmentFile {
    /// Opens a segment and reads its footer; blocks and filters are neither read nor checked.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<SegmentFile, SegmentFileError> {
        let file =
            disk.open(path).map_err(|source| SegmentFileError::Io { path: path.to_owned(), source })?;
        SegmentFile::of(file, path)
    }

    /// The same of a file that is open already.
    pub fn of(file: Arc<dyn DiskFile>, path: &Path) -> Result<SegmentFile, SegmentFileError> {
        let io = |source| SegmentFileError::Io { path: path.to_owned(), source };
        let wrong = |source| SegmentFileError::Segment { path: path.to_owned(), source };
        let file_bytes = file.len().map_err(io)?;
        let mut want = END_BYTES.min(file_bytes);
        let footer = loop {
            let mut end = vec![0; want as usize];
            let read = file.read_at(&mut end, file_bytes - want).map_err(io)?;
            if read < end.len() {
                return Err(io(io::ErrorKind::UnexpectedEof.into()));
            }
            match Footer::open(&end, file_bytes).map_err(wrong)? {
                Opened::Footer(footer) => break *footer,
                // What is asked for is bounded by the limits and by the length of the file.
                Opened::Need(bytes) if bytes as u64 > want && bytes as u64 <= file_bytes => {
                    want = bytes as u64;
                }
                Opened::Need(_) => return Err(wrong(SegmentError::NotASegment)),
            }
        };
        Ok(SegmentFile::written(path.to_owned(), footer, file))
    }

    /// One that was just written, of which the writer has told everything.
    pub(crate) fn written(path: PathBuf, footer: Footer, file: Arc<dyn DiskFile>) -> SegmentFile {
        let streams = footer.streams().iter().map(|stream| Arc::new(stream.clone())).collect();
        SegmentFile { path, footer, streams, sums: OnceLock::new(), file }
    }

    /// Makes its content durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// The same segment under the name that it was given since.
    pub(crate) fn renamed(self, path: &Path) -> SegmentFile {
        SegmentFile { path: path.to_owned(), ..self }
    }

    /// The open file.
    pub(crate) fn handle(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Its streams, by the numbers that blocks use.
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.streams
    }

    /// What it has of each stream, by the numbers of [`SegmentFile::streams`], whatever origin it is of. Reads the
    /// columns of all blocks the first time, some hundredths of the file, and remembers. An error is not remembered.
    pub fn stream_sums(&self) -> Result<&[StreamSum], SegmentFileError> {
        if let Some(sums) = self.sums.get() {
            return Ok(sums);
        }
        let sums = stream_sum::sum(self)?;
        Ok(self.sums.get_or_init(|| sums))
    }

    /// Length of the file, in bytes.
    pub fn bytes(&self) -> u64 {
        self.footer.file_bytes()
    }

    /// Reads a whole block into `buffer`, whose content it replaces.
    pub fn read_block(&self, entry: &BlockEntry, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.read(entry.range(), buffer)
    }

    /// Reads some leaves of a block and its side frame behind them: what [`Decoder::leaves`](weir_segment::Decoder::leaves)
    /// takes.
    pub fn read_leaves(&self, block: usize, wanted: LeafSet, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (entry, leaves) = (&self.footer.blocks()[block], self.footer.leaves(block));
        if wanted.is_all() {
            return self.read_block(entry, buffer);
        }
        let bytes = wanted.iter().map(|leaf| leaves[leaf].data_bytes as usize).sum::<usize>();
        buffer.resize(bytes + entry.side_bytes as usize, 0);
        let (data, side) = buffer.split_at_mut(bytes);
        let mut at = 0;
        for leaf in wanted.iter().map(|leaf| &leaves[leaf]) {
            let end = at + leaf.data_bytes as usize;
            self.fill(&mut data[at..end], entry.offset + u64::from(leaf.at))?;
            at = end;
        }
        self.fill(side, entry.side_range().start)
    }

    /// Reads the side frame of a block: filters and columns.
    pub fn read_side(&self, entry: &BlockEntry, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.read(entry.side_range(), buffer)
    }

    /// Reads a part of the segment's filter.
    pub fn read_part(&self, entry: &PartEntry, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.read(entry.range.clone(), buffer)
    }

    /// Reads any bytes of the file, all or an error.
    pub fn read(&self, range: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize((range.end - range.start) as usize, 0);
        self.fill(buffer, range.start)
    }

    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let read = self.file.read_at(buffer, at)?;
        if read == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use weir_record::RecordId;
    use weir_segment::{OriginFlags, OriginName, Unit, Writer, WriterOptions};

    use super::*;
    use crate::disk::sim::SimDisk;

    fn segment(records: u64) -> Vec<u8> {
        let unit = Unit::new(0, 3_600_000, "default", 0, 1).unwrap();
        let origin = (OriginName { node: 1, epoch: 2, piece: 3 }, OriginFlags::NONE);
        let mut writer = Writer::new(unit, &[origin], WriterOptions::default()).unwrap();
        let mut bytes = Vec::new();
        let stream = writer.stream(&Stream::new("t", [("a", "b")]).unwrap()).unwrap();
        for record in 0..records {
            let payload = format!("line {record}");
            writer.push(RecordId::lowest_at(record), stream, 0, payload.as_bytes(), &mut bytes).unwrap();
        }
        writer.finish(&mut bytes).unwrap();
        bytes
    }

    fn written(disk: &SimDisk, bytes: &[u8]) -> PathBuf {
        let path = PathBuf::from("x.zst");
        disk.create_new(&path).unwrap().write_at(bytes, 0).unwrap();
        path
    }

    #[test]
    fn a_segment_opens_and_its_blocks_can_be_read_after_its_name_is_gone() {
        let disk = SimDisk::new(1);
        let bytes = segment(1000);
        let path = written(&disk, &bytes);
        let file = SegmentFile::open(&disk, &path).unwrap();
        disk.remove(&path).unwrap();
        assert_eq!(
            (file.footer().records(), file.streams().len(), file.bytes()),
            (1000, 1, bytes.len() as u64)
        );
        let mut buffer = Vec::new();
        let entry = file.footer().blocks()[0];
        file.read_block(&entry, &mut buffer).unwrap();
        assert_eq!(buffer, bytes[entry.offset as usize..entry.range().end as usize]);
        file.read_side(&entry, &mut buffer).unwrap();
        assert_eq!(buffer.len(), entry.side_bytes as usize);
    }

    #[test]
    fn the_sums_of_streams_are_those_of_their_records() {
        let unit = Unit::new(0, 3_600_000, "default", 0, 1).unwrap();
        let origin = (OriginName { node: 1, epoch: 2, piece: 3 }, OriginFlags::NONE);
        let options = WriterOptions { block_bytes: 1 << 10, ..WriterOptions::default() };
        let mut writer = Writer::new(unit, &[origin], options).unwrap();
        let mut bytes = Vec::new();
        let names = ["a", "b", "c"];
        let streams = names.map(|topic| writer.stream(&Stream::new(topic, [("", ""); 0]).unwrap()).unwrap());
        for record in 0..500_u64 {
            let stream = streams[(record % 5 % 3) as usize];
            let payload = vec![b'x'; record as usize % 7];
            writer.push(RecordId::lowest_at(record), stream, 0, &payload, &mut bytes).unwrap();
        }
        writer.finish(&mut bytes).unwrap();
        let disk = SimDisk::new(1);
        let file = SegmentFile::open(&disk, &written(&disk, &bytes)).unwrap();
        for (number, sum) in file.stream_sums().unwrap().iter().enumerate() {
            let own: Vec<u64> = (0..500).filter(|record| record % 5 % 3 == number as u64).collect();
            let expected = StreamSum {
                records: own.len() as u64,
                payload_bytes: own.iter().map(|record| record % 7).sum(),
                low: RecordId::lowest_at(own[0]),
                high: RecordId::lowest_at(own[own.len() - 1]),
            };
            assert_eq!(*sum, expected, "{}", names[number]);
        }
    }

    #[test]
    fn every_beginning_of_a_segment_is_refused() {
        let bytes = segment(10);
        for cut in 0..bytes.len() {
            let disk = SimDisk::new(1);
            let path = written(&disk, &bytes[..cut]);
            assert!(SegmentFile::open(&disk, &path).is_err(), "{cut}");
        }
    }
}
