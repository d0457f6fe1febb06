//! Lines of a byte stream that arrives in chunks: what a socket gives.

use alloc::vec::Vec;

use super::{Group, Grouper};
use crate::limits::RECORD_BYTES_MAX;
use crate::split::Part;

/// Cuts chunks of a stream into lines and keeps what is no whole line yet.
///
/// A line ends at `\n`, which does not belong to it; every other byte, `\r` and NUL as well, is payload. A line
/// longer than [`RECORD_BYTES_MAX`] comes in marked parts, each handed on as soon as it is certain that the line
/// goes on: the buffer never keeps more than [`RECORD_BYTES_MAX`] of a line, however long the line is.
#[derive(Debug, Default)]
pub struct LineBuffer {
    grouper: Grouper,
    lines_bytes: usize,
    /// The line that has not ended; at most one record.
    rest: Vec<u8>,
    /// Parts of that line have been handed on.
    begun: bool,
}

impl LineBuffer {
    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', chunk) {
            self.end_line(&chunk[from..newline]);
            from = newline + 1;
        }
        self.keep(&chunk[from..]);
    }

    /// The stream has ended: bytes after the last `\n` are a line too.
    pub fn end(&mut self) {
        if self.begun || !self.rest.is_empty() {
            self.end_line(&[]);
        }
    }

    /// Hands on what there is of an unfinished line, marked as a part: the stream broke off, or the bytes cannot
    /// be kept. Feeding may go on; what follows is marked as further parts of the same line.
    pub fn cut(&mut self) {
        if !self.rest.is_empty() {
            self.hand_on_rest();
        }
    }

    /// Takes out all whole lines and parts, in order. None of the groups is empty.
    pub fn take(&mut self) -> Vec<Group> {
        self.lines_bytes = 0;
        core::mem::take(&mut self.grouper).finish()
    }

    /// Payload bytes that [`take`](LineBuffer::take) would take out.
    pub fn lines_bytes(&self) -> usize {
        self.lines_bytes
    }

    /// Bytes of memory that the unfinished line takes.
    pub fn rest_bytes(&self) -> usize {
        self.rest.capacity()
    }

    /// Ends the line that `tail` is the last piece of.
    fn end_line(&mut self, tail: &[u8]) {
        if self.rest.is_empty() && !self.begun && tail.len() <= RECORD_BYTES_MAX {
            self.push(Part::Whole, tail);
            return;
        }
        self.keep(tail);
        let part = if self.begun { Part::Last } else { Part::Whole };
        let rest = core::mem::take(&mut self.rest);
        self.push(part, &rest);
        self.begun = false;
    }

    /// Adds bytes to the line that has not ended.
    fn keep(&mut self, mut bytes: &[u8]) {
        while self.rest.len() + bytes.len() > RECORD_BYTES_MAX {
            let (fits, more) = bytes.split_at(RECORD_BYTES_MAX - self.rest.len());
            self.rest.extend_from_slice(fits);
            self.hand_on_rest();
            bytes = more;
        }
        self.rest.extend_from_slice(bytes);
    }

    fn hand_on_rest(&mut self) {
        let part = if self.begun { Part::Middle } else { Part::First };
        let rest = core::mem::take(&mut self.rest);
        self.push(part, &rest);
        self.begun = true;
    }

    fn push(&mut self, part: Part, payload: &[u8]) {
        self.grouper.room(part, payload.len()).push(payload);
        self.lines_bytes += payload.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use alloc::vec;

    /// Marks and payloads, in order.
    fn records(groups: &[Group]) -> Vec<(Part, Vec<u8>)> {
        groups.iter().flat_map(|g| g.payloads.iter().map(|payload| (g.part, payload.to_vec()))).collect()
    }

    fn fed(chunks: &[&[u8]]) -> LineBuffer {
        let mut buffer = LineBuffer::default();
        for chunk in chunks {
            buffer.feed(chunk);
        }
        buffer
    }

    #[test]
    fn any_cut_into_chunks_gives_the_lines_of_the_whole() {
        let mut stream = b"one\r\n\n\0 100% \xff\nlast word\n".to_vec();
        stream.extend_from_slice(&vec![b'x'; 300]);
        let whole = super::super::cut_lines(&stream);
        for size in 1..stream.len() {
            let mut buffer = LineBuffer::default();
            let mut found = Vec::new();
            for chunk in stream.chunks(size) {
                buffer.feed(chunk);
                found.extend(records(&buffer.take()));
            }
            buffer.end();
            found.extend(records(&buffer.take()));
            assert_eq!(found, records(&whole), "chunks of {size} bytes");
        }
    }

    #[test]
    fn long_lines_come_in_the_parts_that_the_whole_would_have() {
        const MAX: usize = RECORD_BYTES_MAX;
        for bytes in [MAX - 1, MAX, MAX + 1, 2 * MAX, 2 * MAX + 1] {
            for (terminated, chunk_bytes) in [(true, 65_536), (false, 65_536), (true, usize::MAX)] {
                let mut stream: Vec<u8> = b"before\n".to_vec();
                stream.extend((0..bytes).map(|i| if i % 251 == 10 { 0 } else { (i % 251) as u8 }));
                stream.extend_from_slice(if terminated { b"\nafter\n" } else { b"" });
                let whole = super::super::cut_lines(&stream);
                let mut buffer = LineBuffer::default();
                for chunk in stream.chunks(chunk_bytes.min(stream.len())) {
                    buffer.feed(chunk);
                    assert!(buffer.rest.len() <= MAX);
                }
                buffer.end();
                let same = records(&buffer.take()) == records(&whole);
                assert!(same, "{bytes} bytes, terminated: {terminated}, by {chunk_bytes}");
            }
        }
    }

    #[test]
    fn what_breaks_off_is_marked_as_a_part() {
        let check = |mut buffer: LineBuffer, and_then: fn(&mut LineBuffer), expected: &[(Part, &str)]| {
            and_then(&mut buffer);
            let found: Vec<_> = records(&buffer.take())
                .into_iter()
                .map(|(part, payload)| (part, String::from_utf8(payload).unwrap()))
                .collect();
            let expected: Vec<_> = expected.iter().map(|(part, text)| (*part, (*text).to_owned())).collect();
            assert_eq!(found, expected);
            assert_eq!((buffer.lines_bytes(), buffer.rest.len()), (0, 0));
        };
        check(fed(&[]), LineBuffer::cut, &[]);
        check(fed(&[]), LineBuffer::end, &[]);
        check(fed(&[b"a\n"]), LineBuffer::cut, &[(Part::Whole, "a")]);
        check(fed(&[b"a\nb", b"c"]), LineBuffer::cut, &[(Part::Whole, "a"), (Part::First, "bc")]);
        let goes_on = |buffer: &mut LineBuffer| {
            buffer.cut();
            buffer.cut();
            buffer.feed(b"c");
            buffer.cut();
            buffer.feed(b"d\ne\n");
        };
        let parts = [(Part::First, "ab"), (Part::Middle, "c"), (Part::Last, "d"), (Part::Whole, "e")];
        check(fed(&[b"ab"]), goes_on, &parts);
        // Every first part has its last one, if the stream comes to its end.
        let ends = |buffer: &mut LineBuffer| {
            buffer.cut();
            buffer.end();
            buffer.end();
        };
        check(fed(&[b"ab"]), ends, &[(Part::First, "ab"), (Part::Last, "")]);
    }
}
