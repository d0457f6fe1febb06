//! Records of many segments, written out as a stream.
//!
//! Segments are read in the order they are given in, each block by block: what is held is a block and what one write
//! takes. What is damaged is told and left out; a problem of the output ends everything.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use weir_query::Rows;
use weir_query::time::{TimeError, parse_bound};
use weir_record::{RecordId, Stream};
use weir_segment::{Block, Decoder, SegmentError};
use weir_storage::disk::Disk;
use weir_storage::disk::real::RealDisk;

use crate::inputs::{InputError, segments};
use crate::opening::{OpenError, Opening};
use crate::out_file::OutFile;
use crate::place::Hour;
use crate::shape::{NoParquet, Shape};
use crate::writer::{Sink, Writer};

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The stream that [`Export::run`] is given.
    Stream,
    /// One file for everything.
    File(PathBuf),
    /// A folder: each segment gets a file of its own per hour, `date=YYYY-MM-DD/hour=HH/<segment>.<extension>`.
    Folder(PathBuf),
}

/// Which records, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id.
    pub from: RecordId,
    /// The first id that is not meant; [`RecordId::MAX`] is no end at all.
    pub to: RecordId,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Export {
    /// The format.
    pub shape: Shape,
    /// Which records.
    pub range: Range,
    /// Where to.
    pub destination: Destination,
    /// Whether files that exist are overwritten.
    pub force: bool,
}

/// What has been done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Records written.
    pub records: u64,
    /// Segments read.
    pub segments: u64,
    /// Files finished.
    pub files: u64,
    /// Inputs and blocks that could not be read.
    pub problems: u64,
}

/// What is left out. The export goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A path without segments.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file that is no sound segment.
    #[error("{0}; none of its records were exported")]
    Open(#[from] OpenError),
    /// A damaged block.
    #[error("{}: {why}; its {records} records were not exported", path.display())]
    Block {
        /// The segment.
        path: PathBuf,
        /// How many records it has.
        records: u32,
        /// Which block, where in the file, and what is wrong.
        why: BlockProblem,
    },
}

/// Why a block cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlockProblem {
    /// The system cannot read it.
    #[error("block {index} at offset {offset} cannot be read: {source}")]
    Io {
        /// Which block, from 0.
        index: usize,
        /// Where it begins.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Its bytes are damaged.
    #[error(transparent)]
    Damage(#[from] SegmentError),
}

/// The export has ended early. Files that are finished stay, the one being written leaves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The stream does not take it.
    #[error("write to standard output: {0}")]
    Stream(io::Error),
    /// A file cannot be written.
    #[error("{}: {source}{}", path.display(), hint(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// This program has no Parquet.
    #[error(transparent)]
    NoParquet(#[from] NoParquet),
    /// No memory to decompress.
    #[error(transparent)]
    Memory(SegmentError),
}

fn hint(source: &io::Error) -> &'static str {
    if weir_storage::disk::is_full(source) {
        "; this file was not kept, those before it are whole: make room, then export again with --force"
    } else {
        ""
    }
}

impl Range {
    /// Of both ends as a query has them: times, or ids. Nothing is no end.
    pub fn parse(from: Option<&str>, to: Option<&str>, now_ms: u64) -> Result<Range, TimeError> {
        let bound = |text: Option<&str>, open| text.map_or(Ok(open), |text| parse_bound(text, now_ms));
        Ok(Range { from: bound(from, RecordId::MIN)?, to: bound(to, RecordId::MAX)? })
    }

    /// Whether the ends are the wrong way round.
    pub fn is_reversed(self) -> bool {
        self.from > self.to
    }

    fn contains(self, id: RecordId) -> bool {
        id >= self.from && (id < self.to || self.to == RecordId::MAX)
    }

    fn meets(self, low: RecordId, high: RecordId) -> bool {
        high >= self.from && (low < self.to || self.to == RecordId::MAX)
    }
}

impl Export {
    /// Writes the records of all segments that `paths` name. `tell` gets what was left out, as soon as it is known.
    pub fn run(
        &self,
        paths: &[PathBuf],
        stream: &mut (dyn Write + Send),
        tell: &mut dyn FnMut(&Problem),
    ) -> Result<Sums, ExportError> {
        self.shape.available()?;
        let (files, problems) = segments(paths);
        let mut run = Run {
            export: self,
            disk: Arc::new(RealDisk),
            stream: Some(stream),
            tell,
            output: None,
            rows: Rows::new(),
            numbers: Vec::new(),
            sums: Sums::default(),
        };
        for problem in problems {
            run.problem(&problem.into());
        }
        match &self.destination {
            Destination::Stream => run.open(None, None)?,
            Destination::File(path) => run.open(Some(path.clone()), None)?,
            Destination::Folder(_) => {}
        }
        let mut reader = Reader {
            decoder: Decoder::new().map_err(ExportError::Memory)?,
            block: Block::new(),
            bytes: Vec::new(),
        };
        // A name stands for every byte of a segment: two stores that have the same one have the same records.
        let mut seen = BTreeSet::new();
        for path in files {
            match Opening::new(&path) {
                Ok(opening) if !seen.insert(opening.footer().name().to_string()) => {}
                Ok(opening) => run.segment(&opening, &mut reader)?,
                Err(error) => run.problem(&error.into()),
            }
        }
        run.close()?;
        Ok(run.sums)
    }
}

/// The buffers that blocks are read with.
struct Reader {
    decoder: Decoder,
    block: Block,
    bytes: Vec<u8>,
}

impl Reader {
    /// Fills `self.block`.
    fn read(&mut self, opening: &Opening, index: usize) -> Result<(), BlockProblem> {
        let entry = &opening.footer().blocks()[index];
        let offset = entry.offset;
        opening.read(entry.range(), &mut self.bytes).map_err(|source| BlockProblem::Io {
            index,
            offset,
            source,
        })?;
        Ok(self.decoder.block(opening.footer(), index, &self.bytes, &mut self.block)?)
    }
}

/// What is being written.
struct Output<'a> {
    /// `None` for the stream.
    path: Option<PathBuf>,
    /// The hour that its records are of, where that matters.
    hour: Option<Hour>,
    writer: Writer<'a>,
}

/// A stream of the segment that has no number in the rows yet.
const UNNUMBERED: u32 = u32::MAX;

struct Run<'a> {
    export: &'a Export,
    disk: Arc<dyn Disk>,
    /// Until it is opened.
    stream: Option<&'a mut (dyn Write + Send)>,
    tell: &'a mut dyn FnMut(&Problem),
    output: Option<Output<'a>>,
    rows: Rows,
    /// Per stream of the segment its number in the rows.
    numbers: Vec<u32>,
    sums: Sums,
}

impl Run<'_> {
    fn problem(&mut self, problem: &Problem) {
        self.sums.problems += 1;
        (self.tell)(problem);
    }

    fn segment(&mut self, opening: &Opening, reader: &mut Reader) -> Result<(), ExportError> {
        let (footer, range) = (opening.footer(), self.export.range);
        let (low, high) = footer.id_range();
        if !range.meets(low, high) {
            return Ok(());
        }
        self.sums.segments += 1;
        let streams: Vec<Arc<Stream>> =
            footer.streams().iter().map(|stream| Arc::new(stream.clone())).collect();
        self.numbers = vec![UNNUMBERED; streams.len()];
        for (index, entry) in footer.blocks().iter().enumerate() {
            if !range.meets(entry.low, entry.high) {
                continue;
            }
            if let Err(why) = reader.read(opening, index) {
                let path = opening.path().to_owned();
                self.problem(&Problem::Block { path, records: entry.records, why });
                continue;
            }
            for record in reader.block.records().filter(|record| range.contains(record.id)) {
                self.place(record.id, opening)?;
                self.push(record.id, &streams[record.stream as usize], record.stream, record.payload)?;
            }
        }
        match self.export.destination {
            Destination::Folder(_) => self.close(),
            Destination::Stream | Destination::File(_) => Ok(()),
        }
    }

    /// Sees to it that the file of the record's hour is open. Ids go up, so an hour that is left does not come back.
    fn place(&mut self, id: RecordId, opening: &Opening) -> Result<(), ExportError> {
        let Destination::Folder(root) = &self.export.destination else { return Ok(()) };
        let hour = Hour::of(id.time_ms());
        if self.output.as_ref().is_some_and(|output| output.hour == Some(hour)) {
            return Ok(());
        }
        self.close()?;
        let path = hour.path(root, &opening.footer().name(), self.export.shape);
        self.open(Some(path), Some(hour))
    }

    fn push(
        &mut self,
        id: RecordId,
        stream: &Arc<Stream>,
        number: u32,
        payload: &[u8],
    ) -> Result<(), ExportError> {
        let in_rows = &mut self.numbers[number as usize];
        if *in_rows == UNNUMBERED {
            *in_rows = self.rows.add_stream(stream.clone());
        }
        self.rows.push(id, *in_rows, payload);
        if self.output.as_ref().is_some_and(|output| output.writer.has_enough(&self.rows)) {
            self.write()?;
        }
        Ok(())
    }

    fn open(&mut self, path: Option<PathBuf>, hour: Option<Hour>) -> Result<(), ExportError> {
        let sink = match (&path, self.stream.take()) {
            (Some(path), stream) => {
                self.stream = stream;
                OutFile::create(self.disk.clone(), path, self.export.force).map(Sink::File)
            }
            (None, Some(stream)) => Ok(Sink::Stream(stream)),
            (None, None) => Err(io::Error::other("it is open already")),
        };
        let writer = sink.and_then(|sink| Writer::new(self.export.shape, sink));
        let writer = writer.map_err(|error| failed(path.as_ref(), error))?;
        self.output = Some(Output { path, hour, writer });
        Ok(())
    }

    /// Writes the rows that wait.
    fn write(&mut self) -> Result<(), ExportError> {
        let Some(output) = &mut self.output else { return Ok(()) };
        if !self.rows.is_empty() {
            output.writer.write(&self.rows).map_err(|error| failed(output.path.as_ref(), error))?;
            self.sums.records += self.rows.count() as u64;
            self.rows = Rows::new();
            self.numbers.fill(UNNUMBERED);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ExportError> {
        self.write()?;
        let Some(Output { path, writer, .. }) = self.output.take() else { return Ok(()) };
        writer.finish().map_err(|error| failed(path.as_ref(), error))?;
        self.sums.files += u64::from(path.is_some());
        Ok(())
    }
}

fn failed(path: Option<&PathBuf>, source: io::Error) -> ExportError {
    match path {
        Some(path) => ExportError::File { path: path.clone(), source },
        None => ExportError::Stream(source),
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sums { records, segments, files, .. } = self;
        write!(f, "exported {records} records of {segments} segments into {files} files")
    }
}
