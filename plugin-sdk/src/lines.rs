//! Lines out of bytes that come in pieces.
//!
//! A line ends at `\n`, which does not belong to it; a `\r` before it does. Bytes are not looked at
//! otherwise. A line longer than the maximum becomes several records that carry the label `_part`; every
//! part but the last has the full length.

use crate::batch::{BuildError, Builder, Part, StreamId};
use crate::limits::RECORD_BYTES_MAX;

/// Moves lines from bytes that the caller keeps into a batch: for sources that can read a place again.
///
/// All it remembers is whether it stands inside a line that was too long, so it can be stored with a
/// position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutter {
    line_bytes_max: usize,
    inside: bool,
}

/// How far a [`Cutter`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that are records of the batch now, newlines included.
    pub used: usize,
    /// The batch took no more; there may be further lines behind `used`.
    pub full: bool,
}

impl Cutter {
    /// A cutter at the start of a line. `line_bytes_max` is kept within 1 and [`RECORD_BYTES_MAX`].
    pub fn new(line_bytes_max: usize) -> Cutter {
        Cutter { line_bytes_max: line_bytes_max.clamp(1, RECORD_BYTES_MAX), inside: false }
    }

    /// A cutter that goes on where one stood that was [`inside`](Cutter::inside) a long line, or was not.
    pub fn resumed(line_bytes_max: usize, inside: bool) -> Cutter {
        Cutter { inside, ..Cutter::new(line_bytes_max) }
    }

    /// Whether parts of the line at hand are records already.
    pub fn inside(&self) -> bool {
        self.inside
    }

    /// Moves what can be moved from the front of `bytes` into the batch: every line that ends, the parts of
    /// one that is already too long, and with `ended` (nothing will ever follow `bytes`) also what stands
    /// behind the last newline. What is left is at most as long as a line may be, or the batch is full.
    ///
    /// # Errors
    /// None that `labels` are not to blame for; [`BuildError::Full`] is told by [`Cut::full`].
    pub fn cut(
        &mut self,
        bytes: &[u8],
        ended: bool,
        batch: &mut Builder,
        labels: &[(&str, &str)],
    ) -> Result<Cut, BuildError> {
        let mut used = 0;
        match self.cut_counting(bytes, ended, batch, labels, &mut used) {
            Ok(()) => Ok(Cut { used, full: false }),
            Err(BuildError::Full) => Ok(Cut { used, full: true }),
            Err(other) => Err(other),
        }
    }

    fn cut_counting(
        &mut self,
        bytes: &[u8],
        ended: bool,
        batch: &mut Builder,
        labels: &[(&str, &str)],
        used: &mut usize,
    ) -> Result<(), BuildError> {
        // Asked for with the first line only: bytes without one must not use up a stream of the batch.
        let mut whole = None;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            if self.inside || newline - *used > self.line_bytes_max {
                self.push_parts(&bytes[..newline], batch, labels, used)?;
                self.push_rest(&bytes[*used..newline], batch, labels)?;
            } else {
                let stream = match whole {
                    Some(stream) => stream,
                    None => *whole.insert(batch.stream(labels)?),
                };
                batch.push(stream, &bytes[*used..newline])?;
            }
            *used = newline + 1;
        }
        self.push_parts(bytes, batch, labels, used)?;
        if ended && *used < bytes.len() {
            self.push_rest(&bytes[*used..], batch, labels)?;
            *used = bytes.len();
        }
        Ok(())
    }

    /// Full parts from the front of `bytes[used..]`, as long as more than one remains.
    fn push_parts(
        &mut self,
        bytes: &[u8],
        batch: &mut Builder,
        labels: &[(&str, &str)],
        used: &mut usize,
    ) -> Result<(), BuildError> {
        while bytes.len() - *used > self.line_bytes_max {
            let part = if self.inside { Part::Middle } else { Part::First };
            let stream = batch.stream_of(labels, part)?;
            batch.push(stream, &bytes[*used..*used + self.line_bytes_max])?;
            *used += self.line_bytes_max;
            self.inside = true;
        }
        Ok(())
    }

    /// The end of a line: the last part of a long one, or a whole one.
    fn push_rest(
        &mut self,
        rest: &[u8],
        batch: &mut Builder,
        labels: &[(&str, &str)],
    ) -> Result<(), BuildError> {
        let part = if self.inside { Part::Last } else { Part::Whole };
        let stream: StreamId = batch.stream_of(labels, part)?;
        batch.push(stream, rest)?;
        self.inside = false;
        Ok(())
    }
}

/// Cuts a stream of chunks that cannot be read again: keeps what is not a record yet.
///
/// Give a chunk when it [`is_hungry`](Splitter::is_hungry), [`take`](Splitter::take) until it is again. It
/// holds one chunk and at most one line.
#[derive(Debug)]
pub struct Splitter {
    cutter: Cutter,
    /// The start of a line, from former chunks.
    partial: Vec<u8>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Splitter {
    /// At the start of the first line.
    pub fn new(line_bytes_max: usize) -> Splitter {
        let cutter = Cutter::new(line_bytes_max);
        Splitter { cutter, partial: Vec::new(), chunk: Vec::new(), at: 0, ended: false }
    }

    /// Whether it wants the next chunk: the one before is used up.
    pub fn is_hungry(&self) -> bool {
        self.at == self.chunk.len() && !self.ended
    }

    /// Whether all that came has become records and nothing will follow.
    pub fn is_done(&self) -> bool {
        self.ended && self.at == self.chunk.len() && self.partial.is_empty()
    }

    /// The next bytes.
    ///
    /// # Panics
    /// When it is not [hungry](Splitter::is_hungry): bytes would be lost.
    pub fn feed(&mut self, chunk: Vec<u8>) {
        assert!(self.is_hungry(), "the last chunk is not used up");
        self.chunk = chunk;
        self.at = 0;
    }

    /// No more bytes will come: what stands behind the last newline is a line.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Moves lines into the batch. True: the batch is full, go on with the next one.
    ///
    /// # Errors
    /// None that `labels` are not to blame for.
    pub fn take(&mut self, batch: &mut Builder, labels: &[(&str, &str)]) -> Result<bool, BuildError> {
        while !self.partial.is_empty() && self.at < self.chunk.len() {
            // Only so much that what is held stays one line and a byte.
            let window = self.chunk.len().min(self.at + self.cutter.line_bytes_max + 1);
            let rest = &self.chunk[self.at..window];
            let piece = memchr::memchr(b'\n', rest).map_or(rest, |newline| &rest[..=newline]);
            self.partial.extend_from_slice(piece);
            self.at += piece.len();
            if self.cut_partial(false, batch, labels)? {
                return Ok(true);
            }
        }
        if self.at < self.chunk.len() {
            let cut = self.cutter.cut(&self.chunk[self.at..], false, batch, labels)?;
            self.at += cut.used;
            if cut.full {
                return Ok(true);
            }
            self.partial.extend_from_slice(&self.chunk[self.at..]);
            self.chunk = Vec::new();
            self.at = 0;
        }
        self.cut_partial(self.ended, batch, labels)
    }

    fn cut_partial(
        &mut self,
        ended: bool,
        batch: &mut Builder,
        labels: &[(&str, &str)],
    ) -> Result<bool, BuildError> {
        let cut = self.cutter.cut(&self.partial, ended, batch, labels)?;
        self.partial.drain(..cut.used);
        Ok(cut.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::PART_LABEL;
    use crate::source::Budget;

    /// Every record as (mark, payload), through a splitter fed with pieces of the given length, into
    /// batches of the given number of records.
    fn split(input: &[u8], line_max: usize, piece: usize, records: usize) -> Vec<(String, Vec<u8>)> {
        let mut splitter = Splitter::new(line_max);
        let mut pieces = input.chunks(piece);
        let mut out = Vec::new();
        while !splitter.is_done() {
            let mut builder = Builder::new(Budget { records, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
            while !splitter.take(&mut builder, &[]).unwrap() && splitter.is_hungry() {
                match pieces.next() {
                    Some(piece) => splitter.feed(piece.into()),
                    None => splitter.end(),
                }
            }
            let batch = builder.finish();
            for (i, end) in batch.ends.iter().enumerate() {
                let start = if i == 0 { 0 } else { batch.ends[i - 1] as usize };
                let labels = batch.streams.get(batch.stream_of.get(i).map_or(0, |s| usize::from(*s)));
                let mark = labels.and_then(|l| l.iter().find(|(n, _)| n == PART_LABEL));
                let mark = mark.map_or("", |(_, value)| value);
                out.push((mark.into(), batch.arena[start..*end as usize].to_vec()));
            }
        }
        out
    }

    fn check(input: &[u8], line_max: usize, expected: &[(&str, &[u8])]) {
        for piece in 1..=input.len().max(1) {
            for records in [1, 2, 100] {
                let got = split(input, line_max, piece, records);
                let got: Vec<(&str, &[u8])> = got.iter().map(|(m, p)| (&**m, &**p)).collect();
                assert_eq!(got, expected, "pieces of {piece}, batches of {records}");
            }
        }
    }

    #[test]
    fn lines_are_what_stands_between_newlines_however_they_arrive() {
        check(b"", 9, &[]);
        check(b"\n", 9, &[("", b"")]);
        check(b"a\n\nb\r\n\0\xff%", 9, &[("", b"a"), ("", b""), ("", b"b\r"), ("", b"\0\xff%")]);
    }

    #[test]
    fn long_lines_become_parts_and_nothing_of_them_is_lost() {
        check(b"abc\nabcd\n", 3, &[("", b"abc"), ("first", b"abc"), ("last", b"d")]);
        check(b"abcdef\n", 3, &[("first", b"abc"), ("last", b"def")]);
        check(b"abcdefg", 3, &[("first", b"abc"), ("middle", b"def"), ("last", b"g")]);
        check(
            b"x\nabcdefghi\ny",
            3,
            &[("", b"x"), ("first", b"abc"), ("middle", b"def"), ("last", b"ghi"), ("", b"y")],
        );
    }

    #[test]
    fn random_bytes_come_through_any_cutting_unchanged() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let input: Vec<u8> =
                (0..random.usize(..200)).map(|_| random.choice(*b"ab\r\n\0\xff").unwrap()).collect();
            let max = random.usize(1..20);
            let got = split(&input, max, random.usize(1..50), random.usize(1..8));
            let mut joined = Vec::new();
            for (mark, payload) in &got {
                joined.extend_from_slice(payload);
                if mark.is_empty() || mark == "last" {
                    joined.push(b'\n');
                }
            }
            let terminated = input.is_empty() || input.ends_with(b"\n");
            let expected = if terminated { input.clone() } else { [&input[..], b"\n"].concat() };
            assert_eq!(joined, expected);
            assert!(got.iter().all(|(_, payload)| payload.len() <= max));
        }
    }

    #[test]
    fn a_cutter_leaves_the_last_line_until_it_ends() {
        let mut builder = Builder::new(Budget { records: 9, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
        let mut cutter = Cutter::new(5);
        let cut = cutter.cut(b"one\ntwo", false, &mut builder, &[]).unwrap();
        assert_eq!(cut, Cut { used: 4, full: false });
        let cut = cutter.cut(b"two", true, &mut builder, &[]).unwrap();
        assert_eq!(cut, Cut { used: 3, full: false });
        assert_eq!(builder.finish().ends, [3, 6]);
    }
}
