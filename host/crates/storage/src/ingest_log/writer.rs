//! The piece that is written, and the group that waits to be committed to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_record::Stream;
use weir_record::codec::encode_stream;
use weir_record::limits::{
    COMMIT_GROUP_BYTES_MAX, LOG_CURSORS_BYTES_MAX, PIECE_BATCHES_MAX, PIECE_STREAM_BYTES_MAX,
};

use crate::disk::{DiskFile, is_full};
use crate::ingest_log::complete::{Incomplete, Outcome};
use crate::ingest_log::entry::{Checkpoint, Entry, check_streams};
use crate::ingest_log::footer::{Carried, Footer, cursor_bytes, put_start};
use crate::ingest_log::frame::FrameCodec;
use crate::ingest_log::header::Header;
use crate::ingest_log::index::{BatchEntry, PieceIndex, StreamTable};
use crate::ingest_log::name::{PieceName, State};
use crate::ingest_log::reader::{Identity, Piece, Shared};
use crate::ingest_log::{Committed, IngestLog, LogError, LogOptions};

/// Memory that a group keeps for the next one.
const GROUP_BYTES_KEPT: usize = 4 << 20;

/// The piece that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) name: PieceName,
    pub(crate) codec: FrameCodec,
    /// Where the first entry begins.
    start: u64,
    /// Where the committed frames end.
    pub(crate) end: u64,
    /// The numbers of all streams, those of the waiting group included.
    table: StreamTable,
    /// How many of them are committed.
    streams: usize,
    batches: usize,
    payload_bytes: u64,
}

impl Active {
    /// Whether an entry may still go into this piece. An empty piece takes any entry.
    pub(crate) fn has_room(&self, entry: &Entry, streams: &[Vec<u8>], options: &LogOptions) -> bool {
        let frames_bytes = self.end - self.start;
        let empty = frames_bytes == 0 && self.batches == 0;
        let full = self.payload_bytes >= options.piece_bytes
            || frames_bytes >= options.piece_bytes.saturating_mul(2);
        let new_bytes: usize =
            streams.iter().filter(|stream| !self.table.contains(stream)).map(Vec::len).sum();
        let tables_full = self.batches + entry.batches.len() > PIECE_BATCHES_MAX
            || self.table.bytes() + new_bytes > PIECE_STREAM_BYTES_MAX;
        empty || (!full && !tables_full)
    }
}

/// Entries that are encoded but not committed.
#[derive(Debug, Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    streams: Vec<Arc<Stream>>,
    batches: Vec<BatchEntry>,
    cursors: BTreeMap<String, Vec<u8>>,
    counts: Committed,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn has_room(&self, entry: &Entry) -> bool {
        self.is_empty() || self.bytes.len() + entry.bytes() <= COMMIT_GROUP_BYTES_MAX
    }

    /// Adds an entry for which there is room.
    pub(crate) fn add(&mut self, active: &mut Active, entry: &Entry, streams: &[Vec<u8>]) {
        let at = self.bytes.len();
        let frame_offset = active.end + at as u64;
        FrameCodec::begin(&mut self.bytes);
        let placed = entry.encode(&mut self.bytes, at as u64);
        active.codec.finish(&mut self.bytes, at, frame_offset);
        let frame_bytes = (self.bytes.len() - at) as u32;
        for ((batch, placed), encoded) in entry.batches.iter().zip(placed).zip(streams) {
            let (stream, new) = active.table.place(encoded);
            if new {
                self.streams.push(Arc::new(batch.stream().clone()));
            }
            let (low, high) = batch.id_range();
            self.batches.push(BatchEntry {
                low,
                high,
                frame_offset,
                frame_bytes,
                batch_offset: placed.offset,
                stream,
                count: batch.count() as u32,
                payload_bytes: batch.payload_bytes() as u32,
            });
        }
        active.batches += entry.batches.len();
        active.payload_bytes += entry.payload_bytes();
        if let Some(checkpoint) = &entry.checkpoint {
            self.cursors.insert(checkpoint.source.clone(), checkpoint.cursor.clone());
        }
        self.counts.entries += 1;
        self.counts.records += entry.records();
        self.counts.payload_bytes += entry.payload_bytes();
        self.counts.bytes = self.bytes.len() as u64;
    }

    /// Drops what waits.
    pub(crate) fn clear(&mut self, active: &mut Active) {
        active.table.truncate(active.streams);
        active.batches -= self.batches.len();
        active.payload_bytes -= self.counts.payload_bytes;
        self.reset();
    }

    /// Shows what was committed to readers, and counts it as carried.
    pub(crate) fn publish(
        &mut self,
        active: &mut Active,
        shared: &Shared,
        carried: &mut Carried,
    ) -> Committed {
        active.streams += self.streams.len();
        {
            let mut published = shared.lock();
            published.copy = None;
            if let Some(piece) = &mut published.active {
                self.streams.drain(..).for_each(|stream| piece.index.push_stream(stream));
                for batch in self.batches.drain(..) {
                    let known = piece.index.push_batch(batch);
                    assert!(known, "a batch of stream {} that the piece does not have", batch.stream);
                    carried.highest_id = carried.highest_id.max(batch.high);
                }
                piece.committed_bytes = active.end;
            }
        }
        carried.cursors.append(&mut self.cursors);
        let counts = self.counts;
        self.reset();
        counts
    }

    fn reset(&mut self) {
        if self.bytes.len() < GROUP_BYTES_KEPT / 2 {
            self.bytes.shrink_to(GROUP_BYTES_KEPT);
        }
        self.bytes.clear();
        self.streams.clear();
        self.batches.clear();
        self.cursors.clear();
        self.counts = Committed::default();
    }
}

/// The streams of the batches of an entry in canonical form, in the order of the batches.
pub(crate) fn encode_streams(entry: &Entry) -> Result<Vec<Vec<u8>>, LogError> {
    let mut bytes = 0;
    let streams: Vec<Vec<u8>> = entry
        .batches
        .iter()
        .map(|batch| {
            let mut encoded = Vec::new();
            encode_stream(&mut encoded, batch.stream());
            bytes += encoded.len();
            encoded
        })
        .collect();
    check_streams(bytes)?;
    Ok(streams)
}

impl IngestLog {
    /// Checks that the cursors of all sources together stay within what a piece can carry.
    pub(crate) fn check_cursors(&self, entry: &Entry) -> Result<(), LogError> {
        let Some(checkpoint) = &entry.checkpoint else { return Ok(()) };
        let Checkpoint { source, cursor } = checkpoint;
        let waiting = &self.group.cursors;
        let stay = |(name, _): &(&String, &Vec<u8>)| *name != source;
        let carried = self.carried.cursors.iter().filter(|(name, _)| !waiting.contains_key(*name));
        let others: usize =
            carried.chain(waiting).filter(stay).map(|(name, cursor)| cursor_bytes(name, cursor)).sum();
        let bytes = others + cursor_bytes(source, cursor);
        if bytes <= LOG_CURSORS_BYTES_MAX {
            return Ok(());
        }
        Err(LogError::TooLarge {
            what: "bytes of the cursors of all sources",
            got: bytes as u64,
            max: LOG_CURSORS_BYTES_MAX as u64,
        })
    }

    /// Completes the piece that is written, if there is one, and begins the next.
    pub(crate) fn next_piece(&mut self) -> Result<(), LogError> {
        let completed = self.complete_active()? || self.complete_leftover()?;
        match self.begin_piece() {
            Err(error) if completed => {
                // The rename of the completed piece still waits for its sync.
                self.sync_dir()?;
                Err(error)
            }
            other => other,
        }
    }

    /// Completes the piece that is written; false when there is none. The directory is left to be synced
    /// by the caller.
    pub(crate) fn complete_active(&mut self) -> Result<bool, LogError> {
        let Some(active) = &self.active else { return Ok(false) };
        let (file, name, end) = (Arc::clone(&active.file), active.name, active.end);
        let index = self.shared.lock().active.as_ref().map(|piece| piece.index.clone()).unwrap_or_default();
        let footer = Footer { carried: self.carried.clone(), index, holes: Vec::new() };
        let Some(footer) = footer.encode(active.codec, end) else {
            // Cannot be: the limits of a piece are chosen so that its footer fits.
            let path = self.dir.join(name.to_string());
            return Err(self.poisoned("too large a footer", &path, &std::io::ErrorKind::FileTooLarge.into()));
        };
        self.complete(&Incomplete { name, file, end, footer, rewrite: false })?;
        self.active = None;
        let mut published = self.shared.lock();
        published.copy = None;
        if let Some(piece) = published.active.take() {
            let name = name.completed().to_string().into();
            published.complete.push(Arc::new(Piece { name, ..piece }));
        }
        Ok(true)
    }

    /// Completes what recovery had no room to complete; false when there is nothing of that kind.
    pub(crate) fn complete_leftover(&mut self) -> Result<bool, LogError> {
        let Some(leftover) = self.leftover.take() else { return Ok(false) };
        if let Err(error) = self.complete(&leftover) {
            self.leftover = Some(leftover);
            return Err(error);
        }
        Ok(true)
    }

    fn complete(&self, piece: &Incomplete) -> Result<(), LogError> {
        match piece.complete(&*self.disk, &self.dir) {
            Ok(Outcome::Completed) => Ok(()),
            Ok(Outcome::NoRoom) => Err(LogError::DiskFull),
            Err((what, error)) => Err(self.poisoned(what, &self.dir.join(piece.name.to_string()), &error)),
        }
    }

    fn begin_piece(&mut self) -> Result<(), LogError> {
        let LogOptions { node, epoch, checksum, .. } = self.options;
        let number = self.next_number;
        let name = PieceName { number, epoch, state: State::Active };
        let path = self.dir.join(name.to_string());
        let file = match self.disk.create_new(&path) {
            Ok(file) => file,
            Err(error) if is_full(&error) => return Err(LogError::DiskFull),
            Err(error) => return Err(self.poisoned("cannot make", &path, &error)),
        };
        let codec = FrameCodec::new(checksum, epoch, number);
        let mut bytes = Header { node, epoch, number }.encode(checksum).to_vec();
        put_start(&mut bytes, codec, &self.carried);
        if let Err(error) = file.write_at(&bytes, 0) {
            let removed = self.disk.remove(&path);
            return Err(self.roll_back(&error, removed));
        }
        file.sync_all().map_err(|error| self.poisoned("fsync failed", &path, &error))?;
        self.sync_dir()?;
        self.next_number = self.next_number.saturating_add(1);
        let end = bytes.len() as u64;
        let mut published = self.shared.lock();
        published.next_number = self.next_number;
        published.active = Some(Piece {
            identity: Identity { node, epoch, number },
            name: name.to_string().into(),
            file: Arc::clone(&file),
            codec,
            index: PieceIndex::default(),
            committed_bytes: end,
            damaged_bytes: 0,
        });
        drop(published);
        let table = StreamTable::default();
        self.active = Some(Active {
            file,
            name,
            codec,
            start: end,
            end,
            table,
            streams: 0,
            batches: 0,
            payload_bytes: 0,
        });
        Ok(())
    }
}
