//! Reading what is committed, while the log goes on.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_record::codec::Reader;
use weir_record::{BatchView, CodecError, RecordId};

use crate::disk::DiskFile;
use crate::ingest_log::frame::{FRAME_HEADER_BYTES, FrameCodec, FrameFault};
pub use crate::ingest_log::index::{BatchEntry, PieceIndex, StreamEntry};

/// Gives snapshots of a log. Clones read the same log; reading never waits for a commit.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// What was committed at one moment. As long as it is held its pieces can be read, expired or not.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The pieces in the order of arrival, none without records.
    pub pieces: Vec<Arc<Piece>>,
    /// The log begins here: pieces with a lower number have been sealed, and what was sealed of this one and of
    /// later ones is in the log part as well, or came after this moment. (Pieces that cannot be sealed may be older.)
    pub first_piece: u64,
}

/// The committed part of one piece.
#[derive(Debug, Clone)]
pub struct Piece {
    pub(crate) identity: Identity,
    pub(crate) name: Arc<str>,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) codec: FrameCodec,
    pub(crate) index: PieceIndex,
    pub(crate) committed_bytes: u64,
    pub(crate) damaged_bytes: u64,
}

/// Which piece of which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The node that wrote it.
    pub node: u64,
    /// The run of that node's process.
    pub epoch: u64,
    /// Counts up over all epochs of a node.
    pub number: u64,
}

/// Bytes of a piece that cannot be read as what they were. The records in them are lost to this reader;
/// all others are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}: the frame at byte {offset} is damaged, {records} records in {batches} batches cannot be read: {cause}"
)]
pub struct Damage {
    /// Name of the file.
    pub file: Arc<str>,
    /// Where the frame begins.
    pub offset: u64,
    /// Length of the frame.
    pub bytes: u64,
    /// Batches that were asked for and lie in it.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// What is wrong.
    #[source]
    pub cause: DamageCause,
}

/// What is wrong with damaged bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamageCause {
    /// A checksum or a length does not fit.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// The checksum fits but the content is no batch: written so by a program with a bug.
    #[error(transparent)]
    Content(#[from] CodecError),
    /// The batch is not the one that the index names.
    #[error("the batch is not the one that the index names")]
    Index,
    /// The disk cannot read it.
    #[error("the disk cannot read it: {0}")]
    Io(Arc<str>),
}

impl Snapshot {
    /// Records in all pieces.
    pub fn records(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.records()).sum()
    }

    /// Payload bytes in all pieces.
    pub fn payload_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.payload_bytes()).sum()
    }
}

impl Piece {
    /// Which piece it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Number of the piece: pieces are written one after the other.
    pub fn number(&self) -> u64 {
        self.identity.number
    }

    /// Name of the file as it was when the snapshot was taken.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Streams, batches and sums.
    pub fn index(&self) -> &PieceIndex {
        &self.index
    }

    /// The streams.
    pub fn streams(&self) -> &[StreamEntry] {
        self.index.streams()
    }

    /// The batches, in the order of arrival.
    pub fn batches(&self) -> &[BatchEntry] {
        self.index.batches()
    }

    /// Lowest id.
    pub fn low(&self) -> RecordId {
        self.index.low()
    }

    /// Highest id.
    pub fn high(&self) -> RecordId {
        self.index.high()
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.index.records()
    }

    /// Bytes of the payloads.
    pub fn payload_bytes(&self) -> u64 {
        self.index.payload_bytes()
    }

    /// Bytes of the file up to the last committed frame.
    pub fn committed_bytes(&self) -> u64 {
        self.committed_bytes
    }

    /// Bytes that recovery found damaged: their records are in no index, answers may lack them.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged_bytes
    }

    /// The batches in portions whose frames take at most about `bytes_max`, at least one frame each.
    /// No frame is divided.
    pub fn portions(&self, bytes_max: u64) -> impl Iterator<Item = Range<usize>> {
        let batches = self.index.batches();
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = batches.get(from)?;
            let end = batches[from..]
                .iter()
                .position(|batch| {
                    batch.frame_offset != first.frame_offset
                        && batch.frame_end() - first.frame_offset > bytes_max
                })
                .map_or(batches.len(), |count| from + count);
            let portion = from..end;
            from = end;
            Some(portion)
        })
    }

    /// Reads some batches, given as a range of [`Piece::batches`], with one read into `buf`, whose
    /// content is replaced and whose memory is reused.
    pub fn read<'a>(&'a self, batches: Range<usize>, buf: &'a mut Vec<u8>) -> Views<'a> {
        match self.fetch(batches.clone(), buf) {
            Ok(count) => self.views(batches, &buf[..count], None),
            Err(error) => self.views(batches, &[], Some(error.to_string().into())),
        }
    }

    /// Reads the frames of some batches into `buf` and tells how many bytes there were; unchecked.
    pub(crate) fn fetch(&self, batches: Range<usize>, buf: &mut Vec<u8>) -> io::Result<usize> {
        let (_, base, bytes) = self.span(batches);
        // Grown only, not cleared: zeroing what is overwritten at once costs a third of the speed.
        if buf.len() < bytes {
            buf.resize(bytes, 0);
        }
        self.file.read_at(&mut buf[..bytes], base)
    }

    /// Checks the batches in the bytes that [`Piece::fetch`] read, or tells of the error that it met.
    pub(crate) fn views<'a>(
        &'a self,
        batches: Range<usize>,
        bytes: &'a [u8],
        error: Option<Arc<str>>,
    ) -> Views<'a> {
        let (batches, base, _) = self.span(batches);
        Views { piece: self, bytes, base, next: batches.start, end: batches.end, frame: None, error }
    }

    /// Those of the batches that exist, where their frames begin in the file, and their length.
    fn span(&self, batches: Range<usize>) -> (Range<usize>, u64, usize) {
        let end = batches.end.min(self.index.batches().len());
        let batches = batches.start.min(end)..end;
        let entries = &self.index.batches()[batches.clone()];
        let base = entries.first().map_or(0, |batch| batch.frame_offset);
        let bytes = entries.last().map_or(0, |batch| batch.frame_end() - base) as usize;
        (batches, base, bytes)
    }

    /// Reads all batches. For pieces of the usual size; [`Piece::portions`] keeps memory smaller.
    pub fn read_all<'a>(&'a self, buf: &'a mut Vec<u8>) -> Views<'a> {
        self.read(0..self.index.batches().len(), buf)
    }
}

/// Batches that were read, each checked: the place in [`Piece::batches`] and the batch, or the damage
/// of a frame, once per frame.
#[derive(Debug)]
pub struct Views<'a> {
    piece: &'a Piece,
    bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    base: u64,
    next: usize,
    end: usize,
    /// The frame that was checked last: its offset and bytes.
    frame: Option<(u64, &'a [u8])>,
    error: Option<Arc<str>>,
}

impl<'a> Views<'a> {
    fn frame_at(&mut self, batch: &BatchEntry) -> Result<&'a [u8], DamageCause> {
        if let Some((offset, frame)) = self.frame
            && offset == batch.frame_offset
        {
            return Ok(frame);
        }
        if let Some(error) = &self.error {
            return Err(DamageCause::Io(Arc::clone(error)));
        }
        let at = (batch.frame_offset - self.base) as usize;
        let frame = self.bytes.get(at..at + batch.frame_bytes as usize).ok_or(FrameFault::Cut)?;
        let head = self.piece.codec.head(frame, batch.frame_offset)?;
        if head.frame_bytes() != frame.len() {
            return Err(DamageCause::Index);
        }
        self.piece.codec.check_body(head, &frame[FRAME_HEADER_BYTES..])?;
        self.frame = Some((batch.frame_offset, frame));
        Ok(frame)
    }

    fn view(&mut self, batch: &BatchEntry) -> Result<BatchView<'a>, DamageCause> {
        let frame = self.frame_at(batch)?;
        let bytes = frame.get(batch.batch_offset as usize..).ok_or(DamageCause::Index)?;
        let view = BatchView::read(&mut Reader::new(bytes))?;
        if view.ends.len() != batch.count as usize || view.arena.len() != batch.payload_bytes as usize {
            return Err(DamageCause::Index);
        }
        Ok(view)
    }

    /// The damage of a frame; its other batches that were asked for are skipped.
    fn damage(&mut self, first: &BatchEntry, cause: DamageCause) -> Damage {
        let rest = &self.piece.index.batches()[self.next - 1..self.end];
        let lost = rest.iter().take_while(|batch| batch.frame_offset == first.frame_offset);
        let (mut batches, mut records) = (0, 0);
        for batch in lost {
            batches += 1;
            records += u64::from(batch.count);
        }
        self.next += batches as usize - 1;
        let damage = Damage {
            file: Arc::clone(&self.piece.name),
            offset: first.frame_offset,
            bytes: u64::from(first.frame_bytes),
            batches,
            records,
            cause,
        };
        tracing::error!("{damage}");
        damage
    }
}

impl<'a> Iterator for Views<'a> {
    type Item = Result<(usize, BatchView<'a>), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let piece = self.piece;
        let place = self.next;
        let batch = &piece.index.batches()[place];
        self.next += 1;
        Some(match self.view(batch) {
            Ok(view) => Ok((place, view)),
            Err(cause) => Err(self.damage(batch, cause)),
        })
    }
}

/// What writer and readers share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<Published>,
}

#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) complete: Vec<Arc<Piece>>,
    /// The piece that is written, as far as it is committed.
    pub(crate) active: Option<Piece>,
    /// A copy of it for readers, made when one asks and good until the next commit.
    pub(crate) copy: Option<Arc<Piece>>,
    /// The number of the next piece to be made.
    pub(crate) next_number: u64,
    /// Numbers of pieces that cannot be sealed and stay while later ones go.
    pub(crate) stuck: BTreeSet<u64>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Published> {
        // The state is changed in whole steps; a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>) -> LogReader {
        LogReader { shared }
    }

    /// What is committed now. Records are in it from the moment that their commit succeeded.
    pub fn snapshot(&self) -> Snapshot {
        let mut published = self.shared.lock();
        let published = &mut *published;
        let mut pieces = Vec::with_capacity(published.complete.len() + 1);
        pieces.extend(published.complete.iter().filter(|piece| piece.records() > 0).cloned());
        if let Some(active) = &published.active
            && active.records() > 0
        {
            pieces.push(Arc::clone(published.copy.get_or_insert_with(|| Arc::new(active.clone()))));
        }
        let next = published.active.as_ref().map_or(published.next_number, Piece::number);
        let waiting = pieces.iter().map(|piece: &Arc<Piece>| piece.number());
        let first = waiting.filter(|number| !published.stuck.contains(number)).min();
        Snapshot { pieces, first_piece: first.unwrap_or(next) }
    }

    /// Notes that a piece cannot be sealed, before any later one leaves the log.
    pub(crate) fn set_stuck(&self, number: u64) {
        self.shared.lock().stuck.insert(number);
    }

    /// Whether a piece cannot be sealed.
    pub(crate) fn is_stuck(&self, number: u64) -> bool {
        self.shared.lock().stuck.contains(&number)
    }

    /// The pieces that never change again, in the order of arrival, also those without records.
    pub fn complete(&self) -> Vec<Arc<Piece>> {
        self.shared.lock().complete.clone()
    }
}
