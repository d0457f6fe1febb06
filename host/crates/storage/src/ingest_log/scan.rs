//! Reading a piece that has no footer: frame by frame, over damaged parts.

use std::sync::Arc;

use weir_record::codec::decode_stream;
use weir_record::{CodecError, RecordId, Stream};

use crate::disk::DiskFile;
use crate::ingest_log::entry::EntryView;
use crate::ingest_log::footer::{Carried, Hole, read_start};
use crate::ingest_log::frame::{FRAME_HEADER_BYTES, FrameCodec, FrameHead, MAGIC};
use crate::ingest_log::header::HEADER_BYTES;
use crate::ingest_log::index::{BatchEntry, PieceIndex, StreamTable};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// What is given up when the disk cannot read it.
const BLOCK_BYTES: usize = 4096;

/// How the end of a piece is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// The last piece of the log: a group that was written but not synced when the power went may be
    /// there in part. It was not acknowledged, and what is there of it is cut off from the first gap on.
    MayBeTorn,
    /// All others were synced to their end: what is not a frame is damage, and what follows is kept.
    WasSynced,
}

/// All that can be read of a piece.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The first frame, if it is sound.
    pub(crate) start: Option<Carried>,
    /// Entries in order.
    frames: Vec<ScannedFrame>,
    /// Everything between and behind that is no frame.
    gaps: Vec<Hole>,
    file_bytes: u64,
}

#[derive(Debug)]
struct ScannedFrame {
    offset: u64,
    bytes: u32,
    /// Start of the group commit that it was part of: all before was synced.
    group_offset: u64,
    checkpoint: Option<(String, Vec<u8>)>,
    batches: Vec<ScannedBatch>,
}

#[derive(Debug)]
struct ScannedBatch {
    encoded_stream: Box<[u8]>,
    stream: Arc<Stream>,
    low: RecordId,
    high: RecordId,
    offset: u32,
    count: u32,
    payload_bytes: u32,
}

/// A scanned piece, judged.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) index: PieceIndex,
    /// Damage: what was synced once and is no frame now.
    pub(crate) holes: Vec<Hole>,
    /// Where the part ends that counts. Shorter than the file when a torn tail is to be cut off.
    pub(crate) end: u64,
}

enum Found {
    Entry(ScannedFrame),
    Start(Carried, u64),
    Nothing,
}

impl Scan {
    /// Reads a piece from its first frame to the end of the file.
    pub(crate) fn run(file: &dyn DiskFile, file_bytes: u64, codec: FrameCodec) -> Scan {
        let mut window = Window { file, file_bytes, base: 0, bytes: Vec::new() };
        let mut scan = Scan { start: None, frames: Vec::new(), gaps: Vec::new(), file_bytes };
        let mut at = HEADER_BYTES as u64;
        let mut gap_from = None;
        while at < file_bytes {
            let next = match read_frame(&mut window, codec, at) {
                Found::Start(carried, end) if at == HEADER_BYTES as u64 => {
                    scan.start = Some(carried);
                    end
                }
                Found::Entry(frame) => {
                    scan.close_gap(&mut gap_from, at);
                    let end = at + u64::from(frame.bytes);
                    scan.frames.push(frame);
                    end
                }
                Found::Start(..) | Found::Nothing => {
                    gap_from.get_or_insert(at);
                    window.next_magic(at + 1)
                }
            };
            at = next;
        }
        scan.close_gap(&mut gap_from, file_bytes);
        scan
    }

    fn close_gap(&mut self, from: &mut Option<u64>, to: u64) {
        if let Some(offset) = from.take() {
            self.gaps.push(Hole { offset, bytes: to - offset });
        }
    }

    /// Whether nothing of the piece can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.start.is_none() && self.frames.is_empty()
    }

    /// Decides what counts, and carries it on. Everything before the last group start that a sound frame
    /// tells of was synced: gaps there are damage. The first gap behind it is where a torn group begins.
    pub(crate) fn judge(self, tail: Tail, carried: &mut Carried) -> Judged {
        let synced_to = match tail {
            Tail::MayBeTorn => self.frames.iter().map(|frame| frame.group_offset).max().unwrap_or(0),
            Tail::WasSynced => self.file_bytes,
        };
        let torn = self.gaps.iter().find(|gap| gap.offset + gap.bytes > synced_to);
        let end = torn.map_or(self.file_bytes, |gap| gap.offset.max(synced_to));
        let mut holes: Vec<Hole> = self.gaps.into_iter().filter(|gap| gap.offset < end).collect();
        if let Some(last) = holes.last_mut() {
            last.bytes = last.bytes.min(end - last.offset);
        }
        if let Some(start) = self.start {
            let highest_id = carried.highest_id.max(start.highest_id);
            *carried = Carried { highest_id, ..start };
        }
        let mut index = PieceIndex::default();
        let mut table = StreamTable::default();
        for frame in self.frames.into_iter().take_while(|frame| frame.offset < end) {
            for batch in frame.batches {
                let (place, new) = table.place(&batch.encoded_stream);
                if new {
                    index.push_stream(batch.stream);
                }
                carried.highest_id = carried.highest_id.max(batch.high);
                let known = index.push_batch(BatchEntry {
                    low: batch.low,
                    high: batch.high,
                    frame_offset: frame.offset,
                    frame_bytes: frame.bytes,
                    batch_offset: batch.offset,
                    stream: place,
                    count: batch.count,
                    payload_bytes: batch.payload_bytes,
                });
                assert!(known, "stream {place} was placed just now");
            }
            if let Some((source, cursor)) = frame.checkpoint {
                carried.cursors.insert(source, cursor);
            }
        }
        Judged { index, holes, end }
    }
}

fn read_frame(window: &mut Window<'_>, codec: FrameCodec, offset: u64) -> Found {
    let Ok(head) = codec.head(window.get(offset, FRAME_HEADER_BYTES), offset) else {
        return Found::Nothing;
    };
    let end = offset + head.frame_bytes() as u64;
    let frame = window.get(offset, head.frame_bytes());
    let Some(body) = sound_body(codec, head, frame) else { return Found::Nothing };
    if let Ok(Some(carried)) = read_start(body) {
        return Found::Start(carried, end);
    }
    match scan_entry(body, offset, head.frame_bytes() as u32) {
        Ok(Some(frame)) => Found::Entry(frame),
        Ok(None) | Err(_) => Found::Nothing,
    }
}

fn sound_body(codec: FrameCodec, head: FrameHead, frame: &[u8]) -> Option<&[u8]> {
    let body = frame.get(FRAME_HEADER_BYTES..head.frame_bytes())?;
    codec.check_body(head, body).ok()?;
    Some(body)
}

fn scan_entry(body: &[u8], offset: u64, bytes: u32) -> Result<Option<ScannedFrame>, CodecError> {
    let Some(entry) = EntryView::read(body)? else { return Ok(None) };
    let Some(group_offset) = offset.checked_sub(entry.group_bytes) else { return Ok(None) };
    let mut batches = Vec::with_capacity(entry.batches.len());
    for (place, view) in entry.batches {
        let (low, high) = view.id_range();
        batches.push(ScannedBatch {
            encoded_stream: view.stream.into(),
            stream: Arc::new(decode_stream(view.stream)?),
            low,
            high,
            offset: place,
            count: view.ends.len() as u32,
            payload_bytes: view.arena.len() as u32,
        });
    }
    let checkpoint = entry.checkpoint.map(|(source, cursor)| (source.to_owned(), cursor.to_vec()));
    Ok(Some(ScannedFrame { offset, bytes, group_offset, checkpoint, batches }))
}

/// A part of a file in memory, moved along as it is asked for.
struct Window<'f> {
    file: &'f dyn DiskFile,
    file_bytes: u64,
    base: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `count` bytes at an offset; fewer at the end of the file.
    fn get(&mut self, offset: u64, count: usize) -> &[u8] {
        let count = (self.file_bytes.saturating_sub(offset)).min(count as u64) as usize;
        let within = offset >= self.base && offset + count as u64 <= self.base + self.bytes.len() as u64;
        if !within {
            self.load(offset, count.max(WINDOW_BYTES));
        }
        let at = (offset - self.base) as usize;
        &self.bytes[at..at + count]
    }

    /// Where the next magic begins, or the end of the file.
    fn next_magic(&mut self, from: u64) -> u64 {
        let mut at = from;
        while at + (MAGIC.len() as u64) <= self.file_bytes {
            let bytes = self.get(at, MAGIC.len());
            debug_assert_eq!(bytes.len(), MAGIC.len());
            let loaded = &self.bytes[(at - self.base) as usize..];
            if let Some(found) = loaded.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) {
                return at + found as u64;
            }
            at += (loaded.len() + 1 - MAGIC.len()) as u64;
        }
        self.file_bytes
    }

    fn load(&mut self, offset: u64, count: usize) {
        let count = (self.file_bytes.saturating_sub(offset)).min(count as u64) as usize;
        self.base = offset;
        self.bytes.clear();
        self.bytes.resize(count, 0);
        if matches!(self.file.read_at(&mut self.bytes, offset), Ok(read) if read == count) {
            return;
        }
        // Some of it cannot be read: what can be is kept, the rest counts as zeros, which are no frame.
        for (number, block) in self.bytes.chunks_mut(BLOCK_BYTES).enumerate() {
            let at = offset + (number * BLOCK_BYTES) as u64;
            if let Err(error) = self.file.read_at(block, at) {
                tracing::error!(%error, offset = at, "a block cannot be read");
                block.fill(0);
            }
        }
    }
}
