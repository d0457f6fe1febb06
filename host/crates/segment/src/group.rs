//! Lines of one shape side by side compress better than lines in the order of their ids.

/// Bytes of a line that its shape is taken from.
pub(crate) const SHAPE_BYTES: usize = 48;

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

/// The place of the first line of each group, when lines lie group by group.
pub(crate) fn places(groups: &[u8]) -> [u32; 256] {
    let mut next = [0_u32; 256];
    for &group in groups {
        next[usize::from(group)] += 1;
    }
    let mut from = 0;
    for place in &mut next {
        (*place, from) = (from, from + *place);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_group_by_group() {
        let next = places(&[9, 0, 9]);
        assert_eq!((next[0], next[1], next[9], next[10]), (0, 1, 1, 3));
    }

    #[test]
    fn lines_that_differ_in_their_words_alone_are_of_one_shape() {
        let shape = |line: &str| {
            let mut shape = Shape::default();
            weir_record::word::words(line.as_bytes()).for_each(|(_, end)| shape.word(line.as_bytes(), end));
            shape.group()
        };
        assert_eq!(shape("12:30:01 INFO [main] started"), shape("23:59:59 WARN [pool] stopping"));
        assert_ne!(shape("12:30:01 INFO [main] started"), shape("{\"a\":1}"));
    }
}
