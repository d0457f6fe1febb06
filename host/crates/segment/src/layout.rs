//! Where the lines of a block lie that was decoded, all of its leaves or some: which record each is, and where it ends.

use alloc::vec::Vec;

use crate::columns::Columns;

/// The line of a record whose leaf was not decoded.
const ABSENT: u32 = u32::MAX;

/// A leaf as lines are laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// Whether it was decoded.
    pub(crate) is_there: bool,
    /// Bytes of its lines.
    pub(crate) raw_bytes: u32,
    /// Number of its lines.
    pub(crate) records: u32,
}

/// The lines of the leaves that were decoded, one behind the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    // Which record each line is, and the line of each record. Empty when all records are there, in order.
    order: Vec<u32>,
    line_of: Vec<u32>,
    // Where each line ends, behind its newline.
    ends: Vec<u32>,
    is_whole: bool,
}

impl Layout {
    /// Lays out `lines`, those of the pieces that are there. `None` when they do not end where they should.
    pub(crate) fn find(&mut self, columns: &Columns, lines: &[u8], pieces: &[Piece]) -> Option<()> {
        self.order_by(columns, pieces)?;
        if columns.lengths.is_empty() {
            self.end_at_newlines(lines, pieces)?;
        } else {
            self.end_by_lengths(&columns.lengths, lines, pieces)?;
        }
        self.leave_out(pieces);
        self.index(columns);
        Some(())
    }

    /// The same for lines whose [ends were found](Layout::end_at_newlines) before, but that records cannot be looked up:
    /// only which record each line is.
    pub(crate) fn find_records(&mut self, columns: &Columns, pieces: &[Piece]) -> Option<()> {
        self.order_by(columns, pieces)?;
        self.leave_out(pieces);
        // Whether payloads of other leaves hold newlines, so that columns have lengths, does not matter here.
        Some(())
    }

    /// Finds which record the line at each place is, whether it is there or not.
    fn order_by(&mut self, columns: &Columns, pieces: &[Piece]) -> Option<()> {
        self.is_whole = pieces.iter().all(|piece| piece.is_there);
        self.order.clear();
        self.line_of.clear();
        if !self.is_whole || !columns.groups.is_empty() {
            columns.order_into(&mut self.order);
        }
        let records: usize = pieces.iter().map(|piece| piece.records as usize).sum();
        (records == columns.ids.len()).then_some(())
    }

    /// Finds the line of each record.
    fn index(&mut self, columns: &Columns) {
        if self.is_whole && self.order.is_empty() {
            return;
        }
        self.line_of.resize(columns.ids.len(), ABSENT);
        for (line, &record) in (0..).zip(&self.order) {
            self.line_of[record as usize] = line;
        }
    }

    /// Finds where lines end when each record is one. `None` when it is not so.
    pub(crate) fn end_at_newlines(&mut self, lines: &[u8], pieces: &[Piece]) -> Option<()> {
        self.ends.clear();
        let mut ends = memchr::memchr_iter(b'\n', lines).map(|at| at as u32 + 1);
        let (mut records, mut piece_end) = (0, 0);
        for piece in pieces.iter().filter(|piece| piece.is_there) {
            self.ends.extend(ends.by_ref().take(piece.records as usize));
            records += piece.records as usize;
            piece_end += piece.raw_bytes;
            if self.ends.len() != records || self.ends.last() != Some(&piece_end) {
                return None;
            }
        }
        (piece_end as usize == lines.len()).then_some(())
    }

    /// Lines end where the lengths of the records say, and with newlines.
    fn end_by_lengths(&mut self, lengths: &[u32], lines: &[u8], pieces: &[Piece]) -> Option<()> {
        self.ends.clear();
        let (mut place, mut start) = (0, 0_u32);
        for piece in pieces {
            let places = place..place + piece.records as usize;
            place = places.end;
            let mut end = start;
            for place in places {
                let record = self.order.get(place).map_or(place, |&record| record as usize);
                end = end.checked_add(*lengths.get(record)?)?.checked_add(1)?;
                self.ends.extend(piece.is_there.then_some(end));
            }
            if end - start != piece.raw_bytes {
                return None;
            }
            start = if piece.is_there { end } else { start };
        }
        let mut ends = self.ends.iter().map(|&end| lines.get(end as usize - 1));
        (start as usize == lines.len() && ends.all(|last| last == Some(&b'\n'))).then_some(())
    }

    /// Takes the records of leaves that are not there out of the order.
    fn leave_out(&mut self, pieces: &[Piece]) {
        if self.is_whole {
            return;
        }
        let (mut place, mut kept) = (0, 0);
        for piece in pieces {
            let places = place..place + piece.records as usize;
            place = places.end;
            if piece.is_there {
                self.order.copy_within(places.clone(), kept);
                kept += places.len();
            }
        }
        self.order.truncate(kept);
    }

    /// See [`Block::order`](crate::Block::order).
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    /// See [`Block::ends`](crate::Block::ends).
    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Whether no leaf is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The line of a record, if it is there.
    pub(crate) fn line_of(&self, record: usize) -> Option<usize> {
        match self.line_of.get(record) {
            None => Some(record),
            Some(&line) => (line != ABSENT).then_some(line as usize),
        }
    }

    /// Where a line begins and ends, its newline included.
    pub(crate) fn range(&self, line: usize) -> core::ops::Range<usize> {
        let start = line.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[line] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use weir_record::RecordId;

    fn there(raw_bytes: usize, records: usize) -> Piece {
        Piece { is_there: true, raw_bytes: raw_bytes as u32, records: records as u32 }
    }

    /// The line of each record, and where lines end.
    fn found(
        lines: &[u8],
        groups: &[u8],
        lengths: &[u32],
        pieces: &[Piece],
    ) -> Option<(Vec<Option<usize>>, Vec<u32>)> {
        let records = pieces.iter().map(|piece| piece.records as usize).sum();
        let columns = Columns {
            ids: vec![RecordId::MIN; records],
            groups: groups.to_vec(),
            lengths: lengths.to_vec(),
            ..Columns::default()
        };
        let mut layout = Layout::default();
        layout.find(&columns, lines, pieces)?;
        Some(((0..records).map(|record| layout.line_of(record)).collect(), layout.ends))
    }

    #[test]
    fn lines_tell_where_they_lie() {
        let places = |places: &[usize]| places.iter().map(|&place| Some(place)).collect::<Vec<_>>();
        for lengths in [&[][..], &[1, 2, 3]] {
            let lines = b"a\nbb\nccc\n";
            assert_eq!(found(lines, &[], lengths, &[there(9, 3)]), Some((places(&[0, 1, 2]), vec![2, 5, 9])));
            let grouped = found(b"bb\na\nccc\n", &[9, 0, 9], lengths, &[there(9, 3)]);
            assert_eq!(grouped, Some((places(&[1, 0, 2]), vec![3, 5, 9])));
            assert_eq!(
                found(lines, &[], lengths, &[there(4, 2), there(5, 1)]),
                None,
                "a leaf ends within a line"
            );
        }
        let grouped = found(b"bb\na\nccc\n", &[9, 0, 9], &[1, 2, 3], &[there(3, 1), there(6, 2)]);
        assert_eq!(grouped, Some((places(&[1, 0, 2]), vec![3, 5, 9])));
        for (lines, records) in [(&b"a\nb"[..], 1), (b"a\nb\n", 1), (b"a\n", 2), (b"", 1)] {
            let piece = [there(lines.len(), records)];
            assert_eq!(found(lines, &[], &[], &piece), None, "{lines:?}");
            assert_eq!(found(lines, &vec![0; records], &[], &piece), None, "{lines:?}");
        }
    }

    #[test]
    fn lines_of_missing_leaves_are_absent_and_the_others_lie_close() {
        let pieces = [there(4, 2), Piece { is_there: false, raw_bytes: 6, records: 2 }, there(3, 1)];
        // The records in the order of their ids lie at the places 4, 0, 2, 1, 3.
        let groups = [9, 0, 3, 0, 3];
        let expected = (vec![Some(2), Some(0), None, Some(1), None], vec![2, 4, 7]);
        for lengths in [&[][..], &[2, 1, 2, 1, 2]] {
            assert_eq!(found(b"a\nb\nff\n", &groups, lengths, &pieces), Some(expected.clone()));
        }
        assert_eq!(found(b"a\nb\nff\n", &groups, &[2, 1, 2, 1, 3], &pieces), None);
    }
}
