//! Words: what the filters know.
//!
//! A word is a maximal run of `[A-Za-z0-9_]` and of bytes from 0x80 on, without regard to ASCII case.

pub use weir_record::word::{is_word, words};

/// Odd constants of the hash: the fractional digits of the square roots of 2 and 3.
const START: u64 = 0x6a09_e667_f3bc_c909;
const STEP: u64 = 0xbb67_ae85_84ca_a73b;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Whether filters know a word. Left out is what nearly every block has, so that it would exclude next to nothing: words
/// of one and two bytes, numbers of three digits, and of the words of four bytes numbers, the short groups of a UUID
/// (hexadecimal digits of which one at least is decimal) and milliseconds as they end an ISO time (`123Z`). They would
/// take three tenths of a filter. Part of the format: what filters once knew they may forget, but not the other way.
pub fn is_filtered(word: &[u8]) -> bool {
    match word {
        [] | [_] | [_, _] => false,
        [start @ .., last] if word.len() <= 4 && start.iter().all(u8::is_ascii_digit) => {
            // A digit more, or the end of a time, or the end of a short group.
            !(last.is_ascii_digit()
                || word.len() == 4 && matches!(last, b'a'..=b'f' | b'A'..=b'F' | b'z' | b'Z'))
        }
        [_, _, _, _] => !(word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_digit)),
        _ => true,
    }
}

/// The 64-bit hash of a word, in whatever ASCII case. Part of the format: it never changes.
///
/// `state = START ^ length`; then for each 8 bytes (little-endian, the last ones filled up with zeros),
/// lowercased: `state = fold((state ^ bytes) * STEP)`, where `fold` is the exclusive or of both halves of the
/// 128-bit product; at the end once more with bytes of zero. All of it is wrapping unsigned arithmetic.
pub fn hash(word: &[u8]) -> u64 {
    hash_at(word, 0, word.len())
}

/// The [`hash`] of `bytes[start..end]`. Quicker than to cut the word out, for its last bytes can be loaded
/// together with those that follow.
pub(crate) fn hash_at(bytes: &[u8], start: usize, end: usize) -> u64 {
    let mut state = START ^ (end - start) as u64;
    let mut at = start;
    while end - at >= 8 {
        state = fold(state ^ lower(load(bytes, at, 8)));
        at += 8;
    }
    if at < end {
        state = fold(state ^ lower(load(bytes, at, end - at)));
    }
    fold(state)
}

/// The next `count` bytes, 1 to 8, filled up with zeros.
fn load(bytes: &[u8], at: usize, count: usize) -> u64 {
    match bytes[at..].first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * count)),
        None => bytes[at..at + count].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)),
    }
}

fn fold(state: u64) -> u64 {
    let product = u128::from(state) * u128::from(STEP);
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes with A to Z in lower case, all others as they are.
fn lower(bytes: u64) -> u64 {
    let low = bytes & (0x7f * ONES);
    // The top bit of each byte tells whether it is at least `A`, and whether it is above `Z`.
    let from_a = low + u64::from(0x80 - b'A') * ONES;
    let above_z = low + u64::from(0x7f - b'Z') * ONES;
    let upper = (from_a & !above_z) & !bytes & (0x80 * ONES);
    bytes | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn words_are_maximal_runs() {
        let text = "GET /api/v1_x?q=\u{e9}t\u{e9} 200\n-".as_bytes();
        let found: Vec<&[u8]> = words(text).map(|(start, end)| &text[start..end]).collect();
        let expected = ["GET", "api", "v1_x", "q", "\u{e9}t\u{e9}", "200"];
        assert_eq!(found, expected.map(str::as_bytes));
        assert_eq!(words(b"").count() + words(b"- -").count(), 0);
        assert_eq!(words(b"a").collect::<Vec<_>>(), [(0, 1)]);
    }

    #[test]
    fn what_every_block_has_is_left_out_of_filters() {
        let out = ["", "a", "42", "503", "8443", "4bb9", "4BB9", "b00f", "114Z", "114z"];
        let kept =
            ["GET", "a42", "50x", "114T", "beef", "x404", "http", "12345", "4bb9e", "1144Z", "_404", "404_"];
        for (words, expected) in [(&out[..], false), (&kept[..], true)] {
            for word in words {
                assert_eq!(is_filtered(word.as_bytes()), expected, "{word}");
            }
        }
    }

    #[test]
    fn only_the_case_of_ascii_letters_is_overlooked() {
        for byte in 0..=255_u8 {
            let bytes = u64::from_le_bytes([byte; 8]);
            assert_eq!(lower(bytes), u64::from_le_bytes([byte.to_ascii_lowercase(); 8]), "{byte}");
        }
        assert_eq!(hash(b"Connection_Refused9"), hash(b"connection_refused9"));
        assert_ne!(hash("\u{c9}".as_bytes()), hash("\u{e9}".as_bytes()));
    }

    #[test]
    fn the_hash_is_the_one_in_every_segment() {
        // Files outlive the code: these values must never change.
        for (word, expected) in [
            ("", HASHES[0]),
            ("error", HASHES[1]),
            ("12345678", HASHES[2]),
            ("connection_refused", HASHES[3]),
        ] {
            assert_eq!(hash(word.as_bytes()), expected, "{word}: {:#x}", hash(word.as_bytes()));
        }
    }

    const HASHES: [u64; 4] =
        [0xf901_09d2_335f_6b4f, 0x3704_8098_d5c7_0334, 0x62d3_c656_f21b_481e, 0xa7f9_fb64_a99d_0783];
}
