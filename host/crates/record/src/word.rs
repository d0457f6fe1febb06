//! Words: what queries find whole, and what filters know.
//!
//! A word is a maximal run of `[A-Za-z0-9_]` and of bytes from 0x80 on.

/// Whether a byte belongs to a word.
pub const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Start and end of each word, in order.
#[inline]
pub fn words(bytes: &[u8]) -> Words<'_> {
    Words { bytes, next: 0, chunk: 0, edges: 0, inside: 0, start: None }
}

/// See [`words`].
///
/// Bytes are told apart 64 at a time: a mask of those that belong to words, and of it the places where words
/// begin and end.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    bytes: &'a [u8],
    /// Where the next chunk begins.
    next: usize,
    /// Where the one under way began, and the edges left in it, a bit each.
    chunk: usize,
    edges: u64,
    /// 1 when the last byte of the chunk belongs to a word.
    inside: u64,
    /// Where the word began whose end is due.
    start: Option<usize>,
}

const CHUNK: usize = 64;

impl Iterator for Words<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            while self.edges != 0 {
                let at = self.chunk + self.edges.trailing_zeros() as usize;
                self.edges &= self.edges - 1;
                match self.start.take() {
                    Some(start) => return Some((start, at)),
                    None => self.start = Some(at),
                }
            }
            let rest = self.bytes.get(self.next..).unwrap_or(&[]);
            let mask = match rest.first_chunk::<CHUNK>() {
                Some(chunk) => word_mask(chunk),
                None if rest.is_empty() => return self.start.take().map(|start| (start, self.bytes.len())),
                None => {
                    // Zeros belong to no word.
                    let mut chunk = [0; CHUNK];
                    chunk[..rest.len()].copy_from_slice(rest);
                    word_mask(&chunk)
                }
            };
            self.edges = mask ^ (mask << 1 | self.inside);
            self.inside = mask >> 63;
            self.chunk = self.next;
            self.next += CHUNK;
        }
    }
}

/// Which bytes belong to words, the first in the lowest bit.
#[inline]
fn word_mask(chunk: &[u8; CHUNK]) -> u64 {
    let mut mask = 0;
    for (place, eight) in chunk.as_chunks::<8>().0.iter().enumerate() {
        mask |= mask_of_eight(u64::from_le_bytes(*eight)) << (8 * place);
    }
    mask
}

/// [`is_word`] of eight bytes at once. Within a byte of seven bits, adding `0x80 - n` sets the top bit when it is
/// at least `n`, and no carry reaches the next byte.
#[inline]
fn mask_of_eight(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x80 * ONES;
    let low = bytes & !TOPS;
    let at_least = |bytes: u64, least: u8| bytes + u64::from(0x80 - least) * ONES;
    let letters = low | (0x20 * ONES);
    let is_letter = at_least(letters, b'a') & !at_least(letters, b'z' + 1);
    let is_digit = at_least(low, b'0') & !at_least(low, b'9' + 1);
    let is_underscore = !at_least(low ^ (u64::from(b'_') * ONES), 1);
    let tops = (is_letter | is_digit | is_underscore | bytes) & TOPS;
    // Gathers the top bits, that of the first byte lowest.
    (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn eight_bytes_are_told_apart_as_one_is() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                for other in [0, 0xff, b'a', b'/', b'_', b'`', b'@', b'[', b'{'] {
                    let mut bytes = [other; 8];
                    bytes[place] = byte;
                    let expected = (0..8).fold(0, |mask, n| mask | u64::from(is_word(bytes[n])) << n);
                    assert_eq!(mask_of_eight(u64::from_le_bytes(bytes)), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn words_are_the_maximal_runs_wherever_chunks_end() {
        let mut state = 9_u32;
        for length in (0..200).chain([1000]) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"aZ0_ .-\x80\n\"xyz99"[(state >> 24) as usize % 15]
                })
                .collect();
            let mut expected = Vec::new();
            let mut start = None;
            for at in 0..=bytes.len() {
                match (start, bytes.get(at).copied().is_some_and(is_word)) {
                    (None, true) => start = Some(at),
                    (Some(from), false) => {
                        expected.push((from, at));
                        start = None;
                    }
                    _ => {}
                }
            }
            assert_eq!(words(&bytes).collect::<Vec<_>>(), expected, "{length}");
        }
    }
}
