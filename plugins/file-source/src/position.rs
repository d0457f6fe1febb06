//! How far a file was read, and by what to know it again.
//!
//! An identity of device and inode says which file it is until the inode is used again; a hash of the first
//! bytes says it until two files begin alike. The hash of the bytes right before the position (the frontier)
//! settles both, costs one short read, and tells a file that was truncated and has grown past the old
//! position since.

use crate::frame::{Encoding, Entries};

/// Bytes of the head that are hashed.
pub(crate) const HEAD_BYTES: u64 = 1024;
/// Bytes before the position that are hashed.
pub(crate) const FRONTIER_BYTES: u64 = 64;
/// A file read less far than this is not known again by its contents alone: too many begin alike.
const TELLING_BYTES: u64 = 256;
/// Stands for the end of a file that is not read at all, wherever that is.
const SKIPPED: u64 = (1 << 56) - 1;

/// 32-bit FNV-1a: as good as any where nobody gains by a collision, and it can go on where it stopped.
pub(crate) fn hash(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The hash of nothing.
pub(crate) const HASH_START: u32 = 0x811c_9dc5;

/// What stands in the file around the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// Of the first [`HEAD_BYTES`] before the position.
    pub(crate) head: u32,
    /// Of the last [`FRONTIER_BYTES`] before it.
    pub(crate) frontier: u32,
}

/// A place in a file: always the start of a line, or of a part of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    /// How lines go on here.
    pub(crate) entries: Entries,
    /// The file was truncated: a writer that did not notice leaves a hole at its start.
    pub(crate) after_cut: bool,
    /// `None`: the file was not looked into yet, reading is to begin at its end.
    pub(crate) hashes: Option<Hashes>,
}

impl Position {
    /// The beginning of a file.
    pub(crate) const START: Position = Position {
        offset: 0,
        entries: Entries::CLEAN,
        after_cut: false,
        hashes: Some(Hashes { head: HASH_START, frontier: HASH_START }),
    };

    /// The beginning of a file that was truncated.
    pub(crate) const AFTER_CUT: Position = Position { after_cut: true, ..Position::START };

    /// Of a file that is of no interest.
    pub(crate) const SKIPPED: Position = Position { offset: SKIPPED, hashes: None, ..Position::START };

    /// The end of a file of `size`, to be [anchored](Position::anchored) at its first reading.
    pub(crate) fn end(size: u64, encoding: Encoding) -> Position {
        let offset = if encoding == Encoding::Bytes { size } else { size & !1 };
        if offset == 0 { Position::START } else { Position { offset, hashes: None, ..Position::START } }
    }

    /// Whether a copy can be told by it.
    pub(crate) fn can_be_found(self) -> bool {
        self.offset > 0 && self.hashes.is_some()
    }

    /// Whether the file is of no interest.
    pub(crate) fn is_skipped(self) -> bool {
        self.offset == SKIPPED
    }

    /// Whether there is anything to remember.
    pub(crate) fn is_worth_keeping(self) -> bool {
        self.offset > 0 || self.after_cut
    }

    /// How many bytes before the position belong to the frontier.
    pub(crate) fn frontier_bytes(self) -> usize {
        self.offset.min(FRONTIER_BYTES) as usize
    }

    /// How many bytes of the head are hashed.
    pub(crate) fn head_bytes(self) -> usize {
        self.offset.min(HEAD_BYTES) as usize
    }

    /// Whether `before` is what stood before the position.
    pub(crate) fn frontier_is(self, before: &[u8]) -> bool {
        before.len() == self.frontier_bytes()
            && self.hashes.is_none_or(|hashes| hashes.frontier == hash(HASH_START, before))
    }

    /// Whether a file that begins with `head` may be the one of this position.
    pub(crate) fn head_is(self, head: &[u8]) -> bool {
        let head = head.get(..self.head_bytes());
        head.is_some_and(|head| self.hashes.is_some_and(|hashes| hashes.head == hash(HASH_START, head)))
    }

    /// Whether contents alone are enough to know the file of this position again.
    pub(crate) fn is_telling(self) -> bool {
        self.offset >= TELLING_BYTES && self.hashes.is_some()
    }

    /// The position `used` bytes further. `window[at..]` stands at the position, the frontier before it.
    #[must_use]
    pub(crate) fn advanced(self, window: &[u8], at: usize, used: usize, entries: Entries) -> Position {
        let head_left = HEAD_BYTES.saturating_sub(self.offset) as usize;
        let offset = self.offset + used as u64;
        let frontier = offset.min(FRONTIER_BYTES) as usize;
        let hashes = self.hashes.map(|hashes| Hashes {
            head: hash(hashes.head, &window[at..at + used.min(head_left)]),
            frontier: hash(HASH_START, &window[at + used - frontier..at + used]),
        });
        Position { offset, entries, hashes, after_cut: self.after_cut && used == 0 }
    }

    /// A position at the end of a file, moved back to the start of the line there. `head` is how the file
    /// begins, `tail` what stands before the position, as far as it was read.
    #[must_use]
    pub(crate) fn anchored(self, head: &[u8], tail: &[u8], encoding: Encoding) -> Position {
        let line = encoding.last_line(tail);
        // A line longer than the tail is begun in its middle; one that is the whole file, at its start.
        let line = line.unwrap_or(if tail.len() as u64 == self.offset { 0 } else { tail.len() });
        let offset = self.offset - (tail.len() - line) as u64;
        let (head_bytes, frontier) = (offset.min(HEAD_BYTES) as usize, offset.min(FRONTIER_BYTES) as usize);
        let before = tail.get(line.saturating_sub(frontier)..line);
        let hashes = head.get(..head_bytes).zip(before.filter(|before| before.len() == frontier));
        let hashes = hashes.map(|(head, before)| Hashes {
            head: hash(HASH_START, head),
            frontier: hash(HASH_START, before),
        });
        Position { offset, hashes, ..Position::START }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_the_same_however_it_was_reached() {
        let text: Vec<u8> = (0..3000u32).map(|i| (i * 7) as u8).collect();
        for steps in [vec![3000], vec![1; 3000], vec![10, 50, 4, 960, 1, 1975], vec![1024, 1976]] {
            let mut position = Position::START;
            for used in steps {
                let at = position.frontier_bytes();
                let window = &text[position.offset as usize - at..];
                assert!(position.frontier_is(&window[..at]) && position.head_is(&text));
                position = position.advanced(window, at, used, Entries::CLEAN);
            }
            let hashes =
                Hashes { head: hash(HASH_START, &text[..1024]), frontier: hash(HASH_START, &text[2936..]) };
            assert_eq!(position, Position { offset: 3000, hashes: Some(hashes), ..Position::START });
        }
    }

    #[test]
    fn an_end_is_anchored_at_the_start_of_its_line() {
        let long = [&[b'x'; 100][..], b"\n", &[b'y'; 20]].concat();
        for (text, tail_bytes, expected) in
            [(&b"a\nb\n"[..], 4, 4), (b"a\nbc", 4, 2), (b"abc", 3, 0), (&long, 121, 101), (&long, 15, 121)]
        {
            let tail = &text[text.len() - tail_bytes..];
            let position =
                Position::end(text.len() as u64, Encoding::Bytes).anchored(text, tail, Encoding::Bytes);
            assert_eq!(position.offset, expected, "{text:?}");
        }
    }
}
