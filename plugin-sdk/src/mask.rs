//! What lines of one kind have in common: their text without what varies.
//!
//! ```
//! use weir_plugin_sdk::mask;
//!
//! let mut kind = Vec::new();
//! mask::append(br#"10:00:01 user=u-17 "GET /items/42" took 3.5ms"#, &mut kind);
//! assert_eq!(kind, br#"<*> user=<*> "GET /<*>" took <*>"#);
//! ```

/// Stands for what varies.
pub const MARK: &[u8] = b"<*>";

/// What a byte may be a part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Of nothing: it separates.
    Sign,
    /// Of words: letters, `_`, and bytes from 0x80 up.
    Letter,
    Digit,
    /// Of words, between letters or digits: `. - @ % + /`.
    Joint,
    /// Of words, between digits: `:`.
    Colon,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'.' | b'-' | b'@' | b'%' | b'+' | b'/' => Class::Joint,
            b':' => Class::Colon,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

/// Appends a line with every word that has a digit replaced by [`MARK`]: numbers, times, addresses, ids. Words without
/// one stay, and so do the signs between them.
pub fn append(line: &[u8], out: &mut Vec<u8>) {
    let (mut at, mut plain) = (0, 0);
    while at < line.len() {
        if !begins_word(line[at]) {
            at += 1;
            continue;
        }
        let (end, has_digit) = word(line, at);
        if has_digit {
            out.extend_from_slice(&line[plain..at]);
            out.extend_from_slice(MARK);
            plain = end;
        }
        at = end;
    }
    out.extend_from_slice(&line[plain..]);
}

/// The pieces of a line or of what [`append`] made of one: words and marks by themselves, and what stands between them.
pub fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = |at: usize| begins_word(rest[at]);
        let begins = |at: usize| rest[at..].starts_with(MARK) || is_word(at);
        let end = match rest.first()? {
            _ if rest.starts_with(MARK) => MARK.len(),
            _ if is_word(0) => word(rest, 0).0,
            _ => (1..rest.len()).find(|at| begins(*at)).unwrap_or(rest.len()),
        };
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    })
}

/// Whether a word can begin with a byte.
#[inline]
pub fn begins_word(byte: u8) -> bool {
    matches!(CLASSES[usize::from(byte)], Class::Letter | Class::Digit)
}

/// Where the word ends that begins at `at`, and whether it has a digit.
#[inline]
pub fn word(line: &[u8], mut at: usize) -> (usize, bool) {
    let class = |at: usize| line.get(at).map_or(Class::Sign, |byte| CLASSES[usize::from(*byte)]);
    let mut has_digit = false;
    loop {
        match class(at) {
            Class::Letter => {}
            Class::Digit => has_digit = true,
            Class::Joint if matches!(class(at + 1), Class::Letter | Class::Digit) => {}
            Class::Colon if has_digit && class(at + 1) == Class::Digit => {}
            Class::Joint | Class::Colon | Class::Sign => return (at, has_digit),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked_and_the_rest_stays() {
        for (line, expected) in [
            ("", ""),
            ("no digits - at all.", "no digits - at all."),
            ("2026-11-01T10:00:00.000Z x", "<*> x"),
            ("kubelet.go:1051] from 10.2.10.14:8080.", "kubelet.go:<*>] from <*>."),
            (r#"{"user":46634,"id":"36d00bd5-fef6"}"#, r#"{"user":<*>,"id":"<*>"}"#),
            ("32.7.192.31 - [01/Nov/2026:10:00:00 +0000] i/o", "<*> - [<*> +<*>] i/o"),
            ("item:14991 pod checkout-7b8d5-xkf97", "item:<*> pod <*>"),
            ("é5 ..5 -5- 5", "<*> ..<*> -<*>- <*>"),
        ] {
            let mut kind = Vec::new();
            append(line.as_bytes(), &mut kind);
            assert_eq!(String::from_utf8_lossy(&kind), expected, "{line}");
            let mut again = Vec::new();
            append(&kind, &mut again);
            assert_eq!(again, kind, "{line}");
            assert_eq!(pieces(&kind).collect::<Vec<_>>().concat(), kind, "{line}");
        }
        let all: Vec<_> = pieces(b"a b-c=<*>, <x>").collect();
        assert_eq!(all, [&b"a"[..], b" ", b"b-c", b"=", b"<*>", b", <", b"x", b">"]);
    }
}
