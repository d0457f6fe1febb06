//! Words: what queries find whole, and what filters know.
//!
//! A word is a maximal run of `[A-Za-z0-9_]` and of bytes from 0x80 on.

/// Whether a byte belongs to a word.
pub const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// [`is_word`] as a table: one load per byte.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_word(byte as u8);
        byte += 1;
    }
    table
};

/// Start and end of each word, in order.
#[inline]
pub fn words(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|&byte| WORD[usize::from(byte)])?;
        let rest = &bytes[start..];
        let length = rest.iter().position(|&byte| !WORD[usize::from(byte)]).unwrap_or(rest.len());
        at = start + length;
        Some((start, at))
    })
}
