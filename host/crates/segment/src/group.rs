//! Lines of one shape side by side compress better than lines in the order of their ids.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a line that its shape is taken from.
const SHAPE_BYTES: usize = 48;

/// The group of a line: a hash of the punctuation among its first bytes. The format stores the group, not how
/// it was found.
pub(crate) fn shape_of(payload: &[u8]) -> u8 {
    let head = &payload[..payload.len().min(SHAPE_BYTES)];
    let marks = head.iter().filter(|byte| byte.is_ascii_punctuation());
    let hash = marks.fold(0_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) as u8
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
    fn a_shape_is_the_punctuation() {
        assert_eq!(shape_of(b"a=1 b=[2]"), shape_of(b"xyz=77 q=[]"));
        assert_ne!(shape_of(b"a=1"), shape_of(b"a:1"));
    }
}
