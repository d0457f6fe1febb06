//! What of a journal waits for an ingest node: bounded, handed out in parcels, dropped from the old end.
//!
//! Knows no disk: it is shown the index of the journal and answers with ranges of it.

use std::ops::Range;

use weir_record::Batch;
use weir_record::limits::{
    FORWARD_BATCH_BYTES, FORWARD_PARCEL_BATCHES, FORWARD_PARCEL_BYTES, FORWARD_RECORD_BYTES,
};
use weir_storage::ingest_log::reader::BatchEntry;

use crate::forward::progress::{Position, Progress, Ticket};

/// One piece of the journal as the spool sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    /// Its number.
    pub(crate) number: u64,
    /// What is committed of it.
    pub(crate) batches: &'a [BatchEntry],
}

/// Batches to be sent in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// The piece that holds them.
    pub(crate) piece: u64,
    /// Which of its batches: whole frames.
    pub(crate) batches: Range<usize>,
    /// Their records.
    pub(crate) records: u64,
    ticket: Ticket,
    charge: u64,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Records that no node will see.
    pub(crate) records: u64,
    /// Their payload bytes.
    pub(crate) bytes: u64,
}

/// The accounts of a journal.
#[derive(Debug)]
pub(crate) struct Spool {
    bytes_max: u64,
    waiting_bytes: u64,
    progress: Progress,
}

impl Spool {
    /// A spool that may hold `bytes_max` and holds what the journal has from `low` on.
    pub(crate) fn new(bytes_max: u64, low: Position, spans: &[Span<'_>]) -> Spool {
        let waiting = spans.iter().flat_map(|span| {
            let from = first_from(*span, low);
            &span.batches[from..]
        });
        Spool { bytes_max, waiting_bytes: waiting.map(charge_of).sum(), progress: Progress::new(low) }
    }

    /// What waits, in bytes: admitted, and neither acknowledged nor dropped.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Below it nothing is needed any more.
    pub(crate) fn low(&self) -> Position {
        self.progress.low()
    }

    /// Takes room for batches that are about to be journaled. False when there is none; what is larger than
    /// the whole spool is taken when nothing else waits.
    pub(crate) fn admit(&mut self, charge: u64) -> bool {
        let fits = self.waiting_bytes == 0 || self.waiting_bytes.saturating_add(charge) <= self.bytes_max;
        if fits {
            self.waiting_bytes += charge;
        }
        fits
    }

    /// Gives room back for what was admitted and then not journaled.
    pub(crate) fn give_back(&mut self, charge: u64) {
        assert!(charge <= self.waiting_bytes, "{charge} bytes given back of {}", self.waiting_bytes);
        self.waiting_bytes -= charge;
    }

    /// The next batches to send; `None` when all that is journaled was handed out.
    pub(crate) fn take(&mut self, spans: &[Span<'_>]) -> Option<Parcel> {
        let (span, from) = self.next_of(spans)?;
        let rest = &span.batches[from..];
        let first = rest.first()?;
        let fits = |(place, batch): &(usize, &BatchEntry)| {
            batch.frame_offset == first.frame_offset
                || *place < FORWARD_PARCEL_BATCHES
                    && batch.frame_end() - first.frame_offset <= FORWARD_PARCEL_BYTES
        };
        let mut count = rest.iter().enumerate().take_while(fits).count();
        // The bound on batches may fall into a frame; frames are not divided.
        let last_offset = rest.get(count).map(|batch| batch.frame_offset);
        while count > 0 && rest.get(count - 1).map(|batch| batch.frame_offset) == last_offset {
            count -= 1;
        }
        if count == 0 {
            count = rest.iter().take_while(|batch| batch.frame_offset == first.frame_offset).count();
        }
        Some(self.hand_out(span, from..from + count))
    }

    /// A parcel was acknowledged, or will never be.
    pub(crate) fn finish(&mut self, parcel: &Parcel) {
        self.progress.finish(parcel.ticket);
        self.give_back(parcel.charge);
    }

    /// Gives up what was not handed out of the oldest piece that is complete. `None` when that is nothing:
    /// all is under way, or in the piece that is being written.
    pub(crate) fn drop_oldest(&mut self, spans: &[Span<'_>]) -> Option<Dropped> {
        let (_newest, complete) = spans.split_last()?;
        let (span, from) = self.next_of(complete)?;
        let doomed = &span.batches[from..];
        let dropped = doomed.iter().fold(Dropped::default(), |sum, batch| Dropped {
            records: sum.records + u64::from(batch.count),
            bytes: sum.bytes + u64::from(batch.payload_bytes),
        });
        let parcel = self.hand_out(span, from..span.batches.len());
        self.finish(&parcel);
        Some(dropped)
    }

    /// The first piece with something to hand out, and its first such batch.
    fn next_of<'a>(&self, spans: &[Span<'a>]) -> Option<(Span<'a>, usize)> {
        let next = self.progress.next();
        let from = spans.partition_point(|span| span.number < next.piece);
        spans[from..].iter().find_map(|span| {
            let batch = first_from(*span, next);
            (batch < span.batches.len()).then_some((*span, batch))
        })
    }

    fn hand_out(&mut self, span: Span<'_>, batches: Range<usize>) -> Parcel {
        let handed = &span.batches[batches.clone()];
        let end = handed.last().map_or(0, BatchEntry::frame_end);
        Parcel {
            piece: span.number,
            records: handed.iter().map(|batch| u64::from(batch.count)).sum(),
            charge: handed.iter().map(charge_of).sum(),
            ticket: self.progress.hand_out(Position { piece: span.number, offset: end }),
            batches,
        }
    }
}

/// The first batch of a piece at or behind a position.
fn first_from(span: Span<'_>, position: Position) -> usize {
    match span.number.cmp(&position.piece) {
        std::cmp::Ordering::Less => span.batches.len(),
        std::cmp::Ordering::Equal => {
            span.batches.partition_point(|batch| batch.frame_offset < position.offset)
        }
        std::cmp::Ordering::Greater => 0,
    }
}

/// What batches are counted in a spool, before they are journaled: about what they take there.
pub(crate) fn charge(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| bytes_of(batch.count() as u64, batch.payload_bytes() as u64)).sum()
}

/// The same from the index of the journal: equal for equal batches, so that the accounts are exact.
fn charge_of(batch: &BatchEntry) -> u64 {
    bytes_of(u64::from(batch.count), u64::from(batch.payload_bytes))
}

fn bytes_of(records: u64, payload_bytes: u64) -> u64 {
    payload_bytes + records * FORWARD_RECORD_BYTES + FORWARD_BATCH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_record::RecordId;

    const HEAD: u64 = 64;

    /// Batches of a piece, one per frame of the given size, ten records each; `(bytes, batches)`.
    fn piece(frames: &[(u64, usize)]) -> Vec<BatchEntry> {
        let mut offset = HEAD;
        let mut out = Vec::new();
        for (bytes, batches) in frames {
            for place in 0..*batches {
                out.push(BatchEntry {
                    low: RecordId::MIN,
                    high: RecordId::MAX,
                    frame_offset: offset,
                    frame_bytes: *bytes as u32,
                    batch_offset: place as u32,
                    stream: 0,
                    count: 10,
                    payload_bytes: 1000,
                });
            }
            offset += bytes;
        }
        out
    }

    fn spans(pieces: &[Vec<BatchEntry>]) -> Vec<Span<'_>> {
        pieces.iter().zip(3..).map(|(batches, number)| Span { number, batches }).collect()
    }

    fn parcels(spool: &mut Spool, spans: &[Span<'_>]) -> Vec<(u64, Range<usize>)> {
        std::iter::from_fn(|| spool.take(spans)).map(|parcel| (parcel.piece, parcel.batches)).collect()
    }

    #[test]
    fn parcels_are_whole_frames_of_one_piece_within_the_bound() {
        let max = FORWARD_PARCEL_BYTES;
        for (pieces, want) in [
            (vec![], vec![]),
            (vec![piece(&[(100, 1), (100, 2)])], vec![(3, 0..3)]),
            (vec![piece(&[(100, 1)]), piece(&[(100, 1)])], vec![(3, 0..1), (4, 0..1)]),
            (vec![piece(&[(max, 1), (1, 1)])], vec![(3, 0..1), (3, 1..2)]),
            (vec![piece(&[(max - 100, 1), (100, 2), (1, 1)])], vec![(3, 0..3), (3, 3..4)]),
            (vec![piece(&[(max * 3, 2), (100, 1)])], vec![(3, 0..2), (3, 2..3)]),
            (
                vec![piece(&[(100, FORWARD_PARCEL_BATCHES - 1), (100, 2), (100, 1)])],
                vec![
                    (3, 0..FORWARD_PARCEL_BATCHES - 1),
                    (3, FORWARD_PARCEL_BATCHES - 1..FORWARD_PARCEL_BATCHES + 2),
                ],
            ),
            (vec![piece(&[(100, FORWARD_PARCEL_BATCHES + 5)])], vec![(3, 0..FORWARD_PARCEL_BATCHES + 5)]),
        ] {
            let spans = spans(&pieces);
            let mut spool = Spool::new(1 << 30, Position::default(), &spans);
            assert_eq!(parcels(&mut spool, &spans), want);
        }
    }

    #[test]
    fn what_is_shown_later_is_handed_out_later_and_nothing_twice() {
        let whole = [piece(&[(100, 1), (100, 1)]), piece(&[(100, 1)])];
        let first = [Span { number: 3, batches: &whole[0][..1] }];
        let mut spool = Spool::new(1 << 30, Position::default(), &[]);
        assert_eq!(parcels(&mut spool, &first), [(3, 0..1)]);
        assert_eq!(parcels(&mut spool, &first), []);
        assert_eq!(parcels(&mut spool, &spans(&whole)), [(3, 1..2), (4, 0..1)]);
        // Pieces that were deleted meanwhile are not missed.
        assert_eq!(parcels(&mut spool, &spans(&whole)[1..]), []);
    }

    #[test]
    fn a_restart_goes_on_behind_the_last_acknowledged_frame() {
        let pieces = [piece(&[(100, 1), (100, 2), (100, 1)]), piece(&[(100, 1)])];
        let each = bytes_of(10, 1000);
        for (low, want, waiting) in [
            (Position { piece: 0, offset: 0 }, vec![(3, 0..4), (4, 0..1)], 5),
            (Position { piece: 3, offset: HEAD + 100 }, vec![(3, 1..4), (4, 0..1)], 4),
            (Position { piece: 3, offset: HEAD + 300 }, vec![(4, 0..1)], 1),
            (Position { piece: 4, offset: HEAD + 100 }, vec![], 0),
            (Position { piece: 9, offset: 0 }, vec![], 0),
        ] {
            let spans = spans(&pieces);
            let mut spool = Spool::new(1 << 30, low, &spans);
            assert_eq!(spool.waiting_bytes(), waiting * each);
            assert_eq!(parcels(&mut spool, &spans), want, "{low:?}");
        }
    }

    #[test]
    fn room_is_given_back_by_what_is_finished_whatever_its_order() {
        let pieces = [piece(&[(FORWARD_PARCEL_BYTES, 1), (FORWARD_PARCEL_BYTES, 1)])];
        let each = bytes_of(10, 1000);
        let mut spool = Spool::new(2 * each + 5, Position::default(), &[]);
        assert!(spool.admit(each) && spool.admit(each) && !spool.admit(each));
        let spans = spans(&pieces);
        let (one, two) = (spool.take(&spans).unwrap(), spool.take(&spans).unwrap());
        spool.finish(&two);
        assert_eq!((spool.waiting_bytes(), spool.low()), (each, Position::default()));
        assert!(spool.admit(each));
        spool.finish(&one);
        assert_eq!(spool.low(), Position { piece: 3, offset: HEAD + 2 * FORWARD_PARCEL_BYTES });
        spool.give_back(each);
        assert_eq!(spool.waiting_bytes(), 0);
        assert!(spool.admit(u64::MAX), "an empty spool takes what is larger than it");
    }

    #[test]
    fn the_oldest_goes_by_whole_pieces_and_never_what_is_under_way_or_newest() {
        let big = FORWARD_PARCEL_BYTES;
        let pieces = [piece(&[(big, 1), (big, 1)]), piece(&[(100, 2)]), piece(&[(100, 1)])];
        let spans = spans(&pieces);
        let mut spool = Spool::new(1 << 30, Position::default(), &spans);
        let under_way = spool.take(&spans).unwrap();
        let first = spool.drop_oldest(&spans).unwrap();
        assert_eq!((first.records, first.bytes), (10, 1000), "the rest of the first piece");
        assert_eq!(spool.low(), Position::default(), "the first piece is still needed");
        assert_eq!(spool.drop_oldest(&spans).unwrap().records, 20);
        assert_eq!(spool.drop_oldest(&spans), None, "the newest stays");
        spool.finish(&under_way);
        assert_eq!(spool.low(), Position { piece: 4, offset: HEAD + 100 });
        assert_eq!(parcels(&mut spool, &spans), [(5, 0..1)]);
        assert_eq!(spool.drop_oldest(&[]), None);
    }
}
