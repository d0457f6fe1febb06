//! How far a journal is done with: its parts are handed out in order and finished in any order.

use std::collections::VecDeque;

/// A place between two frames of a journal. Pieces are numbered in the order in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    /// Number of the piece.
    pub(crate) piece: u64,
    /// Bytes from the start of its file.
    pub(crate) offset: u64,
}

impl Position {
    /// As the cursor of a checkpoint: both numbers, big-endian.
    pub(crate) fn to_cursor(self) -> Vec<u8> {
        [self.piece.to_be_bytes(), self.offset.to_be_bytes()].concat()
    }

    /// From the cursor of a checkpoint; `None` when it is none of ours.
    pub(crate) fn from_cursor(cursor: &[u8]) -> Option<Position> {
        let (piece, offset) = cursor.split_first_chunk::<8>()?;
        let offset = offset.try_into().ok()?;
        Some(Position { piece: u64::from_be_bytes(*piece), offset: u64::from_be_bytes(offset) })
    }
}

/// A part that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Everything before [`Progress::low`] is finished; everything before [`Progress::next`] was handed out.
#[derive(Debug)]
pub(crate) struct Progress {
    low: Position,
    next: Position,
    /// Ticket of the first of `open`.
    first: u64,
    /// What was handed out from `low` on: where each part ends, and whether it is finished.
    open: VecDeque<(Position, bool)>,
}

impl Progress {
    /// Everything before `low` is finished, nothing else was handed out.
    pub(crate) fn new(low: Position) -> Progress {
        Progress { low, next: low, first: 0, open: VecDeque::new() }
    }

    /// Below it nothing is needed any more.
    pub(crate) fn low(&self) -> Position {
        self.low
    }

    /// From here on nothing was handed out.
    pub(crate) fn next(&self) -> Position {
        self.next
    }

    /// Hands out what lies between [`Progress::next`] and `end`.
    ///
    /// # Panics
    /// When `end` lies before.
    pub(crate) fn hand_out(&mut self, end: Position) -> Ticket {
        assert!(end >= self.next, "handed out twice: {end:?} lies before {:?}", self.next);
        self.next = end;
        self.open.push_back((end, false));
        Ticket(self.first + self.open.len() as u64 - 1)
    }

    /// A part is finished.
    ///
    /// # Panics
    /// When it was finished before.
    pub(crate) fn finish(&mut self, ticket: Ticket) {
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.open.get_mut(place)) {
            Some((_, finished @ false)) => *finished = true,
            _ => panic!("{ticket:?} was finished twice"),
        }
        while let Some((end, true)) = self.open.front() {
            self.low = *end;
            self.open.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { piece: 1, offset }
    }

    #[test]
    fn the_low_end_follows_the_first_part_that_is_not_finished() {
        for (order, lows) in [
            ([0, 1, 2, 3], [10, 20, 30, 40]),
            ([3, 2, 1, 0], [0, 0, 0, 40]),
            ([1, 0, 3, 2], [0, 20, 20, 40]),
            ([2, 0, 1, 3], [0, 10, 30, 40]),
        ] {
            let mut progress = Progress::new(at(0));
            let tickets: Vec<Ticket> = (1..=4).map(|part| progress.hand_out(at(part * 10))).collect();
            assert_eq!(progress.next(), at(40));
            for (part, low) in order.into_iter().zip(lows) {
                progress.finish(tickets[part]);
                assert_eq!(progress.low(), at(low), "{order:?} after {part}");
            }
            let again = progress.hand_out(Position { piece: 2, offset: 7 });
            progress.finish(again);
            assert_eq!(progress.low(), Position { piece: 2, offset: 7 });
        }
    }

    #[test]
    fn a_position_survives_the_way_into_a_checkpoint() {
        for position in [Position::default(), Position { piece: u64::MAX, offset: 77 }] {
            assert_eq!(Position::from_cursor(&position.to_cursor()), Some(position));
        }
        for strange in [&b""[..], b"1234567", b"123456789012345", b"12345678901234567"] {
            assert_eq!(Position::from_cursor(strange), None);
        }
    }
}
