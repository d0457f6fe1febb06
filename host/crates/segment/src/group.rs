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
    fn a_shape_is_the_punctuation() {
        assert_eq!(shape_of(b"a=1 b=[2]"), shape_of(b"xyz=77 q=[]"));
        assert_ne!(shape_of(b"a=1"), shape_of(b"a:1"));
    }
}
