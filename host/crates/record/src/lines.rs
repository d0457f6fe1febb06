//! Lines of a text body as flat payloads, cut where a batch or a record would become too large.

mod buffer;

use alloc::vec::Vec;

use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use crate::split::{self, Part};

pub use buffer::LineBuffer;

/// Payloads in one flat buffer. Record `i` is `arena[ends[i - 1]..ends[i]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payloads {
    /// Where each payload ends.
    pub ends: Vec<u32>,
    /// All payloads, one after the other.
    pub arena: Vec<u8>,
}

impl Payloads {
    /// Number of payloads.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether one more payload of `bytes` fits a batch.
    pub fn fits(&self, bytes: usize) -> bool {
        self.ends.len() < BATCH_RECORDS_MAX && self.arena.len() + bytes <= BATCH_BYTES_MAX
    }

    /// Adds one payload.
    ///
    /// # Panics
    /// When it does not [fit](Payloads::fits): the caller asks first.
    pub fn push(&mut self, payload: &[u8]) {
        assert!(self.fits(payload.len()), "a full batch takes no payload");
        self.arena.extend_from_slice(payload);
        self.ends.push(self.arena.len() as u32);
    }

    /// The payloads, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        crate::batch::payloads(&self.ends, &self.arena)
    }
}

/// Payloads that share their mark: whole records, or the same kind of part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which parts these are.
    pub part: Part,
    /// The payloads.
    pub payloads: Payloads,
}

/// Collects payloads into groups that each fit a batch. Order is kept within and across groups.
#[derive(Debug, Default)]
pub struct Grouper {
    groups: Vec<Group>,
    /// Payload bytes that are likely to come: buffers are made of that size, and need not grow.
    expected: usize,
}

impl Grouper {
    /// A grouper of about so many payload bytes in all.
    pub fn expecting(bytes: usize) -> Grouper {
        Grouper { groups: Vec::new(), expected: bytes }
    }

    /// Adds one payload of any length; longer ones than a record may be are split.
    pub fn push(&mut self, payload: &[u8]) {
        if payload.len() <= RECORD_BYTES_MAX {
            self.room(Part::Whole, payload.len()).push(payload);
            return;
        }
        for (part, bytes) in split::parts(payload) {
            self.room(part, bytes.len()).push(bytes);
        }
    }

    /// All groups, in order. None is empty.
    pub fn finish(self) -> Vec<Group> {
        self.groups
    }

    fn room(&mut self, part: Part, bytes: usize) -> &mut Payloads {
        let fits = self.groups.last().is_some_and(|g| g.part == part && g.payloads.fits(bytes));
        if !fits {
            let mut payloads = Payloads::default();
            payloads.arena.reserve_exact(self.expected.clamp(bytes, BATCH_BYTES_MAX.max(bytes)));
            self.groups.push(Group { part, payloads });
        }
        self.expected = self.expected.saturating_sub(bytes);
        let last = self.groups.len() - 1;
        &mut self.groups[last].payloads
    }
}

/// The lines of a text body. A line ends at `\n`, which does not belong to it; a `\r` before it does.
/// Bytes after the last `\n` are a line too; empty lines are records like any other.
pub fn cut_lines(body: &[u8]) -> Vec<Group> {
    let mut grouper = Grouper::expecting(body.len());
    let mut from = 0;
    for newline in memchr::memchr_iter(b'\n', body) {
        grouper.push(&body[from..newline]);
        from = newline + 1;
    }
    if from < body.len() {
        grouper.push(&body[from..]);
    }
    grouper.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn lines(body: &[u8]) -> Vec<Vec<u8>> {
        cut_lines(body)
            .iter()
            .flat_map(|g| g.payloads.iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn lines_are_what_stands_between_newlines() {
        for (body, expected) in [
            (&b""[..], vec![]),
            (b"a", vec![&b"a"[..]]),
            (b"a\n", vec![b"a"]),
            (b"\n\na\r\nb\0\xff%", vec![b"", b"", b"a\r", b"b\0\xff%"]),
        ] {
            assert_eq!(lines(body), expected);
        }
    }

    #[test]
    fn long_lines_are_split_and_marked_in_order() {
        let mut body = vec![b'x'; 2 * RECORD_BYTES_MAX + 5];
        body.splice(0..0, *b"before\n");
        body.extend_from_slice(b"\nafter");
        let groups = cut_lines(&body);
        let parts: Vec<_> = groups.iter().map(|g| g.part).collect();
        assert_eq!(parts, [Part::Whole, Part::First, Part::Middle, Part::Last, Part::Whole]);
        let joined: Vec<u8> = groups[1..4].iter().flat_map(|g| g.payloads.arena.clone()).collect();
        assert_eq!(joined, vec![b'x'; 2 * RECORD_BYTES_MAX + 5]);
    }

    #[test]
    fn groups_never_exceed_a_batch() {
        let many = vec![b'\n'; BATCH_RECORDS_MAX + 1];
        assert_eq!(
            cut_lines(&many).iter().map(|g| g.payloads.count()).collect::<Vec<_>>(),
            [BATCH_RECORDS_MAX, 1]
        );
        let mut large = vec![b'x'; BATCH_BYTES_MAX + 100];
        large.iter_mut().step_by(1000).for_each(|b| *b = b'\n');
        assert!(cut_lines(&large).iter().all(|g| g.payloads.arena.len() <= BATCH_BYTES_MAX));
    }
}
