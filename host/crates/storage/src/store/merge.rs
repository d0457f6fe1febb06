//! Segments of one unit made into one: put one behind the other as they are, or merged by id, with one block
//! in memory of each section that others overlap. Drops nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use weir_record::RecordId;
use weir_record::limits::STORE_WRITE_BYTES;
use weir_segment::block::Run;
use weir_segment::filters::part_filter;
use weir_segment::{Block, Concat, Decoder, Footer, Origin, SegmentError, WriteError, Writer, WriterOptions};

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

/// Puts segments of one unit one behind the other, handing bytes to `output` and asking `stop` at each block. Every
/// frame is proven by its checksum before it is copied, so the lineage stays as proven as it was.
pub(crate) fn concat(
    inputs: &[Arc<SegmentFile>],
    output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    stop: &dyn Fn() -> bool,
) -> Result<Footer, MergeError> {
    let footers: Vec<&Footer> = inputs.iter().map(|file| file.footer()).collect();
    let made = Concat::new(&footers).map_err(of_write)?;
    let mut buffer = Vec::new();
    for (number, file) in inputs.iter().enumerate() {
        let (footer, broken) = (file.footer(), |_| MergeError::Input(number));
        for (index, part) in footer.parts().iter().enumerate() {
            for block in part.blocks.clone() {
                if stop() {
                    return Err(MergeError::Stopped);
                }
                file.read_block(&footer.blocks()[block], &mut buffer)
                    .map_err(|_| MergeError::Input(number))?;
                Concat::check_block(footer, block, &buffer).map_err(broken)?;
                output(&buffer).map_err(MergeError::Output)?;
            }
            file.read_part(part, &mut buffer).map_err(|_| MergeError::Input(number))?;
            part_filter(footer, index, &buffer).map_err(broken)?;
            output(&buffer).map_err(MergeError::Output)?;
        }
    }
    let mut out = Vec::new();
    let footer = made.finish(&mut out).map_err(of_write)?;
    output(&out).map_err(MergeError::Output)?;
    Ok(footer)
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
        let numbers = Rc::new(InputNumbers::new(file, &names, &mut writer, number)?);
        for section in file.footer().sections() {
            let cursor = Cursor::new(number, file, Rc::clone(&numbers), section.blocks.clone());
            heap.extend(cursor.low().map(|low| Reverse((low, cursors.len()))));
            cursors.push(cursor);
        }
    }
    let mut out = Vec::new();
    while let Some(Reverse((_, number))) = heap.pop() {
        // Records that come in runs cost no more than a look at who is next.
        let next = heap.peek().map(|Reverse(head)| *head);
        let cursor = &mut cursors[number];
        // A block is read when its first record is due, not before.
        if cursor.is_fresh() && !cursor.load(&mut reader)? {
            continue;
        }
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

/// Numbers in the output of the streams and origins of an input.
struct InputNumbers {
    streams: Vec<u32>,
    origins: Vec<u32>,
}

/// A section of an input, and where it stands.
struct Cursor<'a> {
    input: usize,
    file: &'a SegmentFile,
    numbers: Rc<InputNumbers>,
    block: Block,
    /// Blocks that are still to be read.
    blocks: Range<usize>,
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

impl InputNumbers {
    fn new(
        file: &SegmentFile,
        names: &[(weir_segment::OriginName, weir_segment::OriginFlags)],
        writer: &mut Writer,
        input: usize,
    ) -> Result<InputNumbers, MergeError> {
        let footer = file.footer();
        let streams: Result<Vec<u32>, _> =
            footer.streams().iter().map(|stream| writer.stream(stream)).collect();
        let place = |origin: &Origin| names.binary_search_by_key(&origin.name, |(name, _)| *name);
        let origins: Result<Vec<u32>, _> =
            footer.lineage().iter().map(|origin| place(origin).map(|place| place as u32)).collect();
        Ok(InputNumbers {
            streams: streams.map_err(of_write)?,
            origins: origins.map_err(|_| MergeError::Input(input))?,
        })
    }
}

impl<'a> Cursor<'a> {
    fn new(
        input: usize,
        file: &'a SegmentFile,
        numbers: Rc<InputNumbers>,
        blocks: Range<usize>,
    ) -> Cursor<'a> {
        let (stream, origin) = (RunAt::default(), RunAt::default());
        Cursor { input, file, numbers, block: Block::new(), blocks, at: 0, stream, origin }
    }

    /// The lowest id that is still to come, before anything was read.
    fn low(&self) -> Option<RecordId> {
        self.file.footer().blocks().get(self.blocks.start).map(|block| block.low)
    }

    fn is_fresh(&self) -> bool {
        self.block.columns().ids().is_empty()
    }

    /// Reads the next block; false when there is none.
    fn load(&mut self, reader: &mut Reader<'_>) -> Result<bool, MergeError> {
        if (reader.stop)() {
            return Err(MergeError::Stopped);
        }
        let footer = self.file.footer();
        let Some(index) = self.blocks.next() else {
            // Its memory is free for the sections behind it.
            self.block = Block::new();
            return Ok(false);
        };
        let entry = &footer.blocks()[index];
        self.file.read_block(entry, &mut reader.buffer).map_err(|_| MergeError::Input(self.input))?;
        let decoded = reader.decoder.block(footer, index, &reader.buffer, &mut self.block);
        decoded.map_err(|error| match error {
            SegmentError::Memory => MergeError::Memory,
            _ => MergeError::Input(self.input),
        })?;
        (self.at, self.stream, self.origin) = (0, RunAt::default(), RunAt::default());
        Ok(true)
    }

    fn id(&self) -> RecordId {
        self.block.columns().ids()[self.at]
    }

    fn write(&self, writer: &mut Writer, out: &mut Vec<u8>) -> Result<(), MergeError> {
        let columns = self.block.columns();
        let stream = self.numbers.streams[self.stream.index(columns.streams())];
        let origin = self.numbers.origins[self.origin.index(columns.origins())];
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
