//! Lines, or pieces of long ones, out of bytes in some encoding.

use std::borrow::Cow;

use weir_plugin_sdk::serde::Deserialize;

use crate::frame::Ahead;

/// How characters are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(crate = "weir_plugin_sdk::serde")]
pub(crate) enum Encoding {
    /// As they are: any bytes, lines end at `\n`.
    #[default]
    #[serde(rename = "utf-8")]
    Bytes,
    /// UTF-16, the low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, the high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

impl Encoding {
    /// Bytes of which the text is never longer than `text_bytes`: two of UTF-16 become three at most.
    pub(crate) fn raw_bytes_max(self, text_bytes: usize) -> usize {
        match self {
            Encoding::Bytes => text_bytes,
            Encoding::Utf16Le | Encoding::Utf16Be => (text_bytes / 3 * 2).max(4),
        }
    }

    /// Where the first newline of `bytes` begins, and how long it is.
    fn newline(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let unit: [u8; 2] = match self {
            Encoding::Bytes => return memchr::memchr(b'\n', bytes).map(|at| (at, 1)),
            Encoding::Utf16Le => [b'\n', 0],
            Encoding::Utf16Be => [0, b'\n'],
        };
        // Bytes of two neighbours may look like one: only whole units count.
        let halves = memchr::memchr_iter(b'\n', bytes).map(|at| at & !1);
        halves.filter(|at| bytes[*at..].starts_with(&unit)).map(|at| (at, 2)).next()
    }

    /// So many bytes, without half of a unit at their end.
    pub(crate) fn whole_units(self, bytes: usize) -> usize {
        if self == Encoding::Bytes { bytes } else { bytes & !1 }
    }

    /// Where the last line of `bytes` begins, if its start is among them.
    pub(crate) fn last_line(self, bytes: &[u8]) -> Option<usize> {
        let mut newlines = memchr::memrchr_iter(b'\n', bytes);
        match self {
            Encoding::Bytes => newlines.next().map(|at| at + 1),
            _ => newlines
                .map(|at| at & !1)
                .find(|at| self.newline(&bytes[*at..]) == Some((0, 2)))
                .map(|at| at + 2),
        }
    }

    fn unit(self, pair: &[u8]) -> u16 {
        match (self, pair) {
            (Encoding::Utf16Be, [high, low]) => u16::from_be_bytes([*high, *low]),
            (_, [low, high]) => u16::from_le_bytes([*low, *high]),
            // Half a unit at the end of everything.
            _ => 0xfffd,
        }
    }

    /// Bytes as text: UTF-8 of UTF-16, with a mark for what is none and without the mark of byte order.
    fn text(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if self == Encoding::Bytes {
            return Cow::Borrowed(bytes);
        }
        let units = bytes.chunks(2).map(|pair| self.unit(pair)).enumerate();
        let units = units.filter(|(at, unit)| (*at, *unit) != (0, 0xfeff)).map(|(_, unit)| unit);
        let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        Cow::Owned(chars.collect::<String>().into_bytes())
    }

    /// A place at or before `at` where no character is cut.
    fn boundary(self, bytes: &[u8], at: usize) -> usize {
        if self == Encoding::Bytes {
            return at;
        }
        let at = at & !1;
        let high = at >= 2 && (0xd800..0xdc00).contains(&self.unit(&bytes[at - 2..at]));
        if high && at > 2 { at - 2 } else { at }
    }
}

/// A line, or a piece of one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Where it begins in the bytes.
    pub(crate) start: usize,
    /// Where the next one does.
    pub(crate) end: usize,
    /// Without its newline.
    pub(crate) text: Cow<'a, [u8]>,
    /// It is the first of its line, as far as these bytes show.
    pub(crate) begins: bool,
    /// It is the last of its line.
    pub(crate) ends: bool,
}

/// The pieces of some bytes, up to the line that has no end yet.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    piece_bytes_max: usize,
    ahead: Ahead,
    at: usize,
    in_line: bool,
    /// The newline that is known to be next.
    newline: Option<(usize, usize)>,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(bytes: &'a [u8], encoding: Encoding, piece_bytes_max: usize, ahead: Ahead) -> Self {
        Pieces { bytes, encoding, piece_bytes_max, ahead, at: 0, in_line: false, newline: None }
    }

    pub(crate) fn next(&mut self) -> Option<Piece<'a>> {
        let rest = &self.bytes[self.at..];
        if self.newline.is_none_or(|(at, _)| at < self.at) {
            self.newline = self.encoding.newline(rest).map(|(at, width)| (self.at + at, width));
        }
        let line_bytes = self.newline.map_or(rest.len(), |(at, _)| at - self.at);
        if line_bytes > self.piece_bytes_max {
            let bytes = self.encoding.boundary(rest, self.piece_bytes_max);
            return Some(self.piece(bytes, 0, false));
        }
        if let Some((_, width)) = self.newline {
            return Some(self.piece(line_bytes, width, true));
        }
        match self.ahead {
            Ahead::End if !rest.is_empty() => Some(self.piece(rest.len(), 0, true)),
            Ahead::TailQuiet => {
                // Half a unit is left for the other half.
                let bytes = self.encoding.boundary(rest, rest.len());
                (bytes > 0).then(|| self.piece(bytes, 0, false))
            }
            _ => None,
        }
    }

    fn piece(&mut self, bytes: usize, newline_bytes: usize, ends: bool) -> Piece<'a> {
        let start = self.at;
        let text = self.encoding.text(&self.bytes[start..start + bytes]);
        self.at += bytes + newline_bytes;
        let begins = !std::mem::replace(&mut self.in_line, !ends);
        Piece { start, end: self.at, text, begins, ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8], encoding: Encoding, max: usize, ahead: Ahead) -> Vec<(String, bool)> {
        let mut pieces = Pieces::new(bytes, encoding, max, ahead);
        std::iter::from_fn(|| pieces.next())
            .map(|piece| (String::from_utf8_lossy(&piece.text).into_owned(), piece.ends))
            .collect()
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    }

    #[test]
    fn utf_16_is_cut_at_its_newlines_and_never_inside_a_character() {
        for (big, encoding) in [(false, Encoding::Utf16Le), (true, Encoding::Utf16Be)] {
            // U+0A00 and U+000A: their bytes look alike at an odd place.
            let bytes = utf16("\u{feff}aß\r\nĀ\u{a00}\u{0a0a}x\n😀😀\nend", big);
            let got = texts(&bytes, encoding, 100, Ahead::End);
            let lines = ["aß\r", "Ā\u{a00}\u{0a0a}x", "😀😀", "end"].map(|line| (line.to_owned(), true));
            assert_eq!(got, lines);
            assert_eq!(texts(&bytes, encoding, 100, Ahead::Nothing), lines[..3]);
            let cut = texts(&utf16("a😀b\n", big), encoding, 4, Ahead::Nothing);
            let expected = [("a", false), ("😀", false), ("b", true)].map(|(t, e)| (t.to_owned(), e));
            assert_eq!(cut, expected);
            let lone = if big { vec![0xd8, 0, 0, b'x', 0, b'\n'] } else { vec![0, 0xd8, b'x', 0, b'\n', 0] };
            assert_eq!(texts(&lone, encoding, 100, Ahead::End), [("\u{fffd}x".to_owned(), true)]);
        }
    }

    #[test]
    fn a_tail_is_a_piece_when_it_will_not_grow_any_more_or_has_not_for_long() {
        for (ahead, expected) in [
            (Ahead::More, vec![("a", true)]),
            (Ahead::Nothing, vec![("a", true)]),
            (Ahead::Quiet, vec![("a", true)]),
            (Ahead::TailQuiet, vec![("a", true), ("b", false)]),
            (Ahead::End, vec![("a", true), ("b", true)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(t, e)| (t.to_owned(), e)).collect();
            assert_eq!(texts(b"a\nb", Encoding::Bytes, 9, ahead), expected, "{ahead:?}");
        }
    }
}
