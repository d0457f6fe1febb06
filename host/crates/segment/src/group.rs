//! Lines of one shape side by side compress better than lines in the order of their ids.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a line that its shape is taken from.
const SHAPE_BYTES: usize = 48;

/// The shape of a line: a hash of the bytes that follow the words among its first bytes. The format stores the
/// group, not how it was found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape(u32);

impl Shape {
    /// Takes the next word of the line, which ends before byte `end`.
    #[inline]
    pub(crate) fn word(&mut self, payload: &[u8], end: usize) {
        if end < SHAPE_BYTES.min(payload.len()) {
            self.0 = (self.0 ^ u32::from(payload[end])).wrapping_mul(0x0100_0193);
        }
    }

    /// The group of lines of this shape.
    pub(crate) fn group(self) -> u8 {
        let hash = self.0;
        (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) as u8
    }
}

/// Where each line begins when lines lie group by group, within a group in the order of their ids. `lengths`
/// are those of the payloads; each line has one more byte, its newline. Without groups: one after the other.
pub(crate) fn starts(lengths: &[u32], groups: &[u8]) -> Vec<u32> {
    let mut next = vec![0_u32; 256];
    let group = |index: usize| groups.get(index).copied().unwrap_or(0);
    for (index, length) in lengths.iter().enumerate() {
        next[usize::from(group(index))] += length + 1;
    }
    let mut from = 0;
    for bytes in &mut next {
        (*bytes, from) = (from, from + *bytes);
    }
    let place = |(index, length): (usize, &u32)| {
        let at = &mut next[usize::from(group(index))];
        let start = *at;
        *at += length + 1;
        start
    };
    lengths.iter().enumerate().map(place).collect()
}

/// The same where the lines themselves tell their lengths, each being one line of `arena`: starts and payload
/// bytes in the order of the ids. `None` when there are not as many lines as records.
pub(crate) fn starts_of_lines(
    arena: &[u8],
    records: usize,
    groups: &[u8],
    starts: &mut Vec<u32>,
    lengths: &mut Vec<u32>,
) -> Option<()> {
    starts.clear();
    lengths.clear();
    let mut start = 0;
    let lines = memchr::memchr_iter(b'\n', arena).map(|end| {
        let line = (start, end as u32 - start);
        start = end as u32 + 1;
        line
    });
    if groups.is_empty() {
        lines.for_each(|(start, length)| {
            starts.push(start);
            lengths.push(length);
        });
    } else {
        let lines: Vec<(u32, u32)> = lines.collect();
        let mut next = [0_u32; 256];
        for &group in groups {
            next[usize::from(group)] += 1;
        }
        let mut from = 0;
        for place in &mut next {
            (*place, from) = (from, from + *place);
        }
        for &group in groups {
            let place = &mut next[usize::from(group)];
            let (start, length) = *lines.get(*place as usize)?;
            *place += 1;
            starts.push(start);
            lengths.push(length);
        }
        if lines.len() != records {
            return None;
        }
    }
    (starts.len() == records && start as usize == arena.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_group_by_group() {
        assert_eq!(starts(&[1, 2, 3], &[]), [0, 2, 5]);
        assert_eq!(starts(&[1, 2, 3], &[9, 0, 9]), [3, 0, 5]);
        assert_eq!(starts(&[], &[]), []);
    }

    #[test]
    fn lines_tell_where_they_lie() {
        let (mut at, mut lengths) = (vec![], vec![]);
        let mut told = |arena: &[u8], records, groups: &[u8]| {
            starts_of_lines(arena, records, groups, &mut at, &mut lengths)
                .map(|()| (at.clone(), lengths.clone()))
        };
        assert_eq!(told(b"a\nbb\nccc\n", 3, &[]), Some((vec![0, 2, 5], vec![1, 2, 3])));
        assert_eq!(told(b"bb\na\nccc\n", 3, &[9, 0, 9]), Some((vec![3, 0, 5], vec![1, 2, 3])));
        assert_eq!(told(b"\n", 1, &[]), Some((vec![0], vec![0])));
        for (arena, records) in [(&b"a\nb"[..], 1), (b"a\nb\n", 1), (b"a\n", 2), (b"", 1)] {
            assert_eq!(told(arena, records, &[]), None, "{arena:?}");
            assert_eq!(told(arena, records, &vec![0; records]), None, "{arena:?}");
        }
    }

    #[test]
    fn a_shape_is_what_stands_behind_the_words() {
        let group = |payload: &[u8]| {
            let mut shape = Shape::default();
            crate::token::words(payload).for_each(|(_, end)| shape.word(payload, end));
            shape.group()
        };
        assert_eq!(group(b"a=1 b=[2]"), group(b"xyz=77 q=[3]"));
        assert_ne!(group(b"a=1"), group(b"a:1"));
        assert_eq!(group(b""), group(b"word"));
    }
}
