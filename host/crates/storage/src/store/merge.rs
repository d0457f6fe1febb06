//! Segments of one unit merged into one: by id, with one block of each in memory, dropping nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use weir_record::RecordId;
use weir_record::limits::STORE_WRITE_BYTES;
use weir_segment::block::Run;
use weir_segment::{Block, Decoder, Footer, Origin, SegmentError, WriteError, Writer, WriterOptions};

use crate::segment_file::SegmentFile;

/// Why there is no merged segment. What was written is to be thrown away.
#[derive(Debug)]
pub(crate) enum MergeError {
    /// The caller said stop.
    Stopped,
    /// An input cannot be read, or its records are not those of its lineage.
    Input(usize),
    /// They do not fit one segment.
    Full,
    /// The writer refuses for another reason.
    Write(WriteError),
    /// The output cannot be written.
    Output(io::Error),
    /// For want of memory.
    Memory,
}

/// Merges segments of one unit, handing bytes to `output` and asking `stop` at each block. Of equal ids those of
/// earlier inputs come first, so that every origin keeps its order and with it its digest.
///
/// The lineage of the result is that of all inputs, proven: a record too many or too few is an error.
pub(crate) fn merge(
    inputs: &[Arc<SegmentFile>],
    options: WriterOptions,
    output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    stop: &dyn Fn() -> bool,
) -> Result<Footer, MergeError> {
    let mut lineage: Vec<(Origin, usize)> = Vec::new();
    for (input, file) in inputs.iter().enumerate() {
        lineage.extend(file.footer().lineage().iter().map(|origin| (*origin, input)));
    }
    lineage.sort_by_key(|(origin, _)| origin.name);
    let names: Vec<_> = lineage.iter().map(|(origin, _)| (origin.name, origin.flags)).collect();
    let unit = inputs.first().map(|file| file.footer().unit().clone()).ok_or(MergeError::Full)?;
    let mut writer = Writer::new(unit, &names, options).map_err(of_write)?;
    let mut reader =
        Reader { decoder: Decoder::new().map_err(|_| MergeError::Memory)?, buffer: Vec::new(), stop };
    let mut cursors = Vec::new();
    let mut heap = BinaryHeap::new();
    for (number, file) in inputs.iter().enumerate() {
        let mut cursor = Cursor::new(number, file, &names, &mut writer)?;
        if cursor.load(&mut reader)? {
            heap.push(Reverse((cursor.id(), number)));
        }
        cursors.push(cursor);
    }
    let mut out = Vec::new();
    while let Some(Reverse((_, number))) = heap.pop() {
        // Records that come in runs cost no more than a look at who is next.
        let next = heap.peek().map(|Reverse(head)| *head);
        let cursor = &mut cursors[number];
        loop {
            cursor.write(&mut writer, &mut out)?;
            if out.len() >= STORE_WRITE_BYTES {
                output(&out).map_err(MergeError::Output)?;
                out.clear();
            }
            if !cursor.advance(&mut reader)? {
                break;
            }
            let head = (cursor.id(), number);
            if next.is_some_and(|next| head > next) {
                heap.push(Reverse(head));
                break;
            }
        }
    }
    let footer = writer.finish(&mut out).map_err(|error| match error {
        WriteError::EmptyOrigin(name) => match lineage.iter().find(|(origin, _)| origin.name == name) {
            Some((_, input)) => MergeError::Input(*input),
            None => MergeError::Full,
        },
        other => of_write(other),
    })?;
    output(&out).map_err(MergeError::Output)?;
    let differs = footer.lineage().iter().zip(&lineage).find(|(got, (expected, _))| *got != expected);
    differs.map_or(Ok(footer.clone()), |(_, (_, input))| Err(MergeError::Input(*input)))
}

fn of_write(error: WriteError) -> MergeError {
    if error == WriteError::Full { MergeError::Full } else { MergeError::Write(error) }
}

/// What all inputs are read with.
struct Reader<'a> {
    decoder: Decoder,
    buffer: Vec<u8>,
    stop: &'a dyn Fn() -> bool,
}

/// One input and where it stands.
struct Cursor<'a> {
    input: usize,
    file: &'a SegmentFile,
    /// Number in the output of each stream and origin of the input.
    streams: Vec<u32>,
    origins: Vec<u32>,
    block: Block,
    next_block: usize,
    /// Place in the block of the record that is next.
    at: usize,
    stream: RunAt,
    origin: RunAt,
}

/// A place in a run-length column.
#[derive(Default)]
struct RunAt {
    run: usize,
    within: u32,
}

impl RunAt {
    fn index(&self, runs: &[Run]) -> usize {
        runs[self.run].index as usize
    }

    fn advance(&mut self, runs: &[Run]) {
        self.within += 1;
        if self.within == runs[self.run].count {
            *self = RunAt { run: self.run + 1, within: 0 };
        }
    }
}

impl<'a> Cursor<'a> {
    fn new(
        input: usize,
        file: &'a SegmentFile,
        names: &[(weir_segment::OriginName, weir_segment::OriginFlags)],
        writer: &mut Writer,
    ) -> Result<Cursor<'a>, MergeError> {
        let footer = file.footer();
        let streams: Result<Vec<u32>, _> =
            footer.streams().iter().map(|stream| writer.stream(stream)).collect();
        let place = |origin: &Origin| names.binary_search_by_key(&origin.name, |(name, _)| *name);
        let origins: Result<Vec<u32>, _> =
            footer.lineage().iter().map(|origin| place(origin).map(|place| place as u32)).collect();
        Ok(Cursor {
            input,
            file,
            streams: streams.map_err(of_write)?,
            origins: origins.map_err(|_| MergeError::Input(input))?,
            block: Block::new(),
            next_block: 0,
            at: 0,
            stream: RunAt::default(),
            origin: RunAt::default(),
        })
    }

    /// Reads the next block; false when there is none.
    fn load(&mut self, reader: &mut Reader<'_>) -> Result<bool, MergeError> {
        if (reader.stop)() {
            return Err(MergeError::Stopped);
        }
        let footer = self.file.footer();
        let Some(entry) = footer.blocks().get(self.next_block) else { return Ok(false) };
        self.file.read_block(entry, &mut reader.buffer).map_err(|_| MergeError::Input(self.input))?;
        let decoded = reader.decoder.block(footer, self.next_block, &reader.buffer, &mut self.block);
        decoded.map_err(|error| match error {
            SegmentError::Memory => MergeError::Memory,
            _ => MergeError::Input(self.input),
        })?;
        self.next_block += 1;
        (self.at, self.stream, self.origin) = (0, RunAt::default(), RunAt::default());
        Ok(true)
    }

    fn id(&self) -> RecordId {
        self.block.columns().ids()[self.at]
    }

    fn write(&self, writer: &mut Writer, out: &mut Vec<u8>) -> Result<(), MergeError> {
        let columns = self.block.columns();
        let stream = self.streams[self.stream.index(columns.streams())];
        let origin = self.origins[self.origin.index(columns.origins())];
        writer.push(self.id(), stream, origin, self.block.payload(self.at), out).map_err(of_write)
    }

    /// Goes on to the next record; false when there is none.
    fn advance(&mut self, reader: &mut Reader<'_>) -> Result<bool, MergeError> {
        let columns = self.block.columns();
        self.at += 1;
        if self.at == columns.ids().len() {
            return self.load(reader);
        }
        self.stream.advance(columns.streams());
        self.origin.advance(columns.origins());
        Ok(true)
    }
}
