//! Strings in quotes, as JSON and logfmt write them.
//!
//! Escapes are `\n` and its like, `\uXXXX` (in pairs where needed), `\xHH`, and a backslash before any other
//! sign. A letter or another [plain](is_plain) character that is written as an escape is left as it stands:
//! no encoder does that, and so a plain text in a value is the same text in the payload, where filters and
//! prefilters find it.

use alloc::vec::Vec;

/// Characters that stand for themselves in every encoding: letters, digits, and signs that no encoder escapes.
pub const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b',' | b':' | b'@' | b' ')
}

/// Where a string ends: the place of its closing quote. `from` is behind the opening one.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// How a string, whose first byte behind the quote is `raw[0]`, begins like a text: how much of the text it
/// is, and where its closing quote stands. `None` when it is not the beginning of the text, or is cut off.
pub(crate) fn as_prefix_of(raw: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut used) = (0, 0);
    loop {
        let byte = *raw.get(at)?;
        if byte == b'"' {
            return Some((used, at));
        }
        if byte != b'\\' {
            if text.get(used) != Some(&byte) {
                return None;
            }
            at += 1;
            used += 1;
            continue;
        }
        let escape = Escape::read(&raw[at..]);
        if !text[used..].starts_with(escape.bytes()) {
            return None;
        }
        at += escape.length;
        used += escape.count;
    }
}

/// Whether a string is a text.
pub(crate) fn is(raw: &[u8], text: &[u8]) -> bool {
    as_prefix_of(raw, text).is_some_and(|(used, _)| used == text.len())
}

/// Appends what a string says, without its escapes; nothing of one that is cut off.
pub(crate) fn decode(raw: &[u8], out: &mut Vec<u8>) {
    let Some(end) = end(raw, 0) else { return };
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &raw[at..end]) {
        out.extend_from_slice(&raw[at..at + length]);
        let escape = Escape::read(&raw[at + length..]);
        out.extend_from_slice(escape.bytes());
        at += length + escape.length;
    }
    out.extend_from_slice(&raw[at.min(end)..end]);
}

/// What one escape stands for.
struct Escape {
    bytes: [u8; 4],
    count: usize,
    // Bytes of the escape itself.
    length: usize,
}

impl Escape {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    fn byte(byte: u8, length: usize) -> Escape {
        Escape { bytes: [byte, 0, 0, 0], count: 1, length }
    }

    /// The escape that `raw` begins with. One that is none is a backslash.
    fn read(raw: &[u8]) -> Escape {
        let none = Escape::byte(b'\\', 1);
        match raw.get(1) {
            Some(b'n') => Escape::byte(b'\n', 2),
            Some(b't') => Escape::byte(b'\t', 2),
            Some(b'r') => Escape::byte(b'\r', 2),
            Some(b'b') => Escape::byte(0x08, 2),
            Some(b'f') => Escape::byte(0x0c, 2),
            Some(b'a') => Escape::byte(0x07, 2),
            Some(b'v') => Escape::byte(0x0b, 2),
            Some(b'x') => match hex(raw.get(2..4)) {
                Some(byte) if !is_plain(byte as u8) => Escape::byte(byte as u8, 4),
                _ => none,
            },
            Some(b'u') => Escape::unicode(raw).unwrap_or(none),
            Some(&sign) if sign.is_ascii_punctuation() && !is_plain(sign) => Escape::byte(sign, 2),
            _ => none,
        }
    }

    fn unicode(raw: &[u8]) -> Option<Escape> {
        let unit = hex(raw.get(2..6))?;
        if u8::try_from(unit).is_ok_and(is_plain) {
            return None;
        }
        let (code, length) = match unit {
            0xd800..0xdc00 => match raw.get(6..8).filter(|start| *start == b"\\u").and(hex(raw.get(8..12))) {
                Some(low @ 0xdc00..0xe000) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
                _ => (unit, 6),
            },
            _ => (unit, 6),
        };
        // Half of a pair is no character.
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut bytes = [0; 4];
        let count = c.encode_utf8(&mut bytes).len();
        Some(Escape { bytes, count, length })
    }
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned as _;

    #[test]
    fn strings_are_compared_without_their_escapes() {
        for (raw, text) in [
            (r#"a b""#, "a b"),
            (r#"""#, ""),
            (r#"\"\\\/\n\t\r\b\f""#, "\"\\/\n\t\r\u{8}\u{c}"),
            (r#"\u003ca\u00e9\u20AC\ud83d\ude00""#, "<aé€😀"),
            (r#"\ud83dx""#, "\u{fffd}x"),
            (r#"\x01\x3c\v\a""#, "\u{1}<\u{b}\u{7}"),
            // Plain characters stand for themselves only, and what is no escape is a backslash.
            (r#"\u0061""#, r"\u0061"),
            (r#"\x61\q\u12""#, r"\x61\q\u12"),
        ] {
            assert!(is(raw.as_bytes(), text.as_bytes()), "{raw}");
            assert!(!is(raw.as_bytes(), (text.to_owned() + "x").as_bytes()), "{raw}");
            assert!(!is(&raw.as_bytes()[..raw.len() - 1], text.as_bytes()), "{raw} cut off");
            assert_eq!(end(raw.as_bytes(), 0), Some(raw.len() - 1), "{raw}");
            let mut decoded = Vec::new();
            decode(raw.as_bytes(), &mut decoded);
            assert_eq!(decoded, text.as_bytes(), "{raw}");
        }
        assert_eq!(as_prefix_of(b"user\" : 1", b"user.id"), Some((4, 4)));
        assert_eq!(end(b"abc\\", 0), None);
        assert_eq!(end(b"abc\\\"", 0), None);
        assert!(!is(b"\\", b"\\"));
    }
}
