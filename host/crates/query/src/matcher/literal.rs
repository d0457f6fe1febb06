//! A text to look for, as a whole word or anywhere, in one case or any.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

pub(crate) use weir_record::word::is_word as is_word_byte;

/// What counts as the same letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Itself alone.
    Exact,
    /// Both cases of ASCII.
    Ascii,
    /// What simple case folding of Unicode makes equal.
    Unicode,
}

impl Case {
    /// The cheapest case that finds `bytes` in any case. `k` and `s` have forms beyond ASCII (the Kelvin sign,
    /// the long s).
    fn any_of(bytes: &[u8]) -> Case {
        if bytes.iter().any(|byte| !byte.is_ascii() || matches!(byte, b'k' | b'K' | b's' | b'S')) {
            Case::Unicode
        } else if bytes.iter().any(u8::is_ascii_alphabetic) {
            Case::Ascii
        } else {
            Case::Exact
        }
    }
}

/// Bytes that must occur.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    pub(crate) bytes: Vec<u8>,
    pub(crate) case: Case,
}

impl Needle {
    /// As a regex without Unicode.
    fn pattern(&self) -> String {
        let mut pattern = String::from(match self.case {
            Case::Exact => "(?:",
            Case::Ascii => "(?i:",
            Case::Unicode => "(?iu:",
        });
        for chunk in self.bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    c if c.is_ascii_alphanumeric() || (self.case == Case::Unicode && !c.is_ascii()) => {
                        pattern.push(c);
                    }
                    c => {
                        let mut utf8 = [0; 4];
                        c.encode_utf8(&mut utf8).bytes().for_each(|byte| push_byte(&mut pattern, byte));
                    }
                }
            }
            if !chunk.invalid().is_empty() {
                pattern.push_str("(?-u:");
                chunk.invalid().iter().for_each(|byte| push_byte(&mut pattern, *byte));
                pattern.push(')');
            }
        }
        pattern.push(')');
        pattern
    }

    /// How rare the bytes are in logs, roughly: the sum of a rank per byte.
    pub(crate) fn rarity(&self) -> u32 {
        let rank = |byte: &u8| match byte {
            b' ' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'0' | b'1' | b'2' => 2,
            b'a'..=b'z' | b'3'..=b'9' | b'.' | b':' | b'-' | b'/' | b'"' | b'=' | b',' => 3,
            _ => 5,
        };
        let sum: u32 = self.bytes.iter().take(12).map(rank).sum();
        if self.case == Case::Exact { sum } else { sum * 3 / 4 }
    }
}

fn push_byte(pattern: &mut String, byte: u8) {
    pattern.extend(format!("\\x{byte:02x}").chars());
}

/// Finds any of several needles in a large buffer.
#[derive(Debug, Clone)]
pub(crate) enum Finder {
    /// One needle in one case.
    Exact(Box<memmem::Finder<'static>>),
    /// Several needles, or any case.
    Set(Regex),
}

impl Finder {
    /// `None` when the needles are too many to be compiled.
    pub(crate) fn new(needles: &[Needle]) -> Option<Finder> {
        if let [Needle { bytes, case: Case::Exact }] = needles {
            return Some(Finder::Exact(Box::new(memmem::Finder::new(bytes).into_owned())));
        }
        let patterns: Vec<String> = needles.iter().map(Needle::pattern).collect();
        RegexBuilder::new(&patterns.join("|")).unicode(false).build().ok().map(Finder::Set)
    }

    /// Where the first one begins and ends.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        match self {
            Finder::Exact(finder) => finder.find(bytes).map(|start| start..start + finder.needle().len()),
            Finder::Set(regex) => regex.find(bytes).map(|found| found.range()),
        }
    }
}

/// A term of a query that is a text.
#[derive(Debug)]
pub(crate) struct Literal {
    pub(crate) needle: Needle,
    pub(crate) finder: Finder,
    // Whether a word byte directly before, or after, makes it another word.
    bound_before: bool,
    bound_after: bool,
}

impl Literal {
    /// `None` when it is too long to be compiled.
    pub(crate) fn new(bytes: &[u8], any_case: bool, whole_word: bool) -> Option<Literal> {
        let case = if any_case { Case::any_of(bytes) } else { Case::Exact };
        let needle = Needle { bytes: bytes.to_vec(), case };
        let finder = Finder::new(core::slice::from_ref(&needle))?;
        let bound = |byte: Option<&u8>| whole_word && byte.is_some_and(|&byte| is_word_byte(byte));
        Some(Literal { needle, finder, bound_before: bound(bytes.first()), bound_after: bound(bytes.last()) })
    }

    /// Whether a word byte directly before, or after, makes an occurrence another word.
    pub(crate) fn bounds(&self) -> (bool, bool) {
        (self.bound_before, self.bound_after)
    }

    /// Whether an occurrence counts: it ends inside the payload and is a word of its own where that is asked
    /// for.
    pub(crate) fn counts_at(&self, payload: &[u8], place: Range<usize>) -> bool {
        place.end <= payload.len()
            && !(self.bound_before && place.start > 0 && is_word_byte(payload[place.start - 1]))
            && !(self.bound_after && place.end < payload.len() && is_word_byte(payload[place.end]))
    }

    /// Whether the payload has an occurrence that counts.
    pub(crate) fn is_in(&self, payload: &[u8]) -> bool {
        let mut from = 0;
        while let Some(found) = payload.get(from..).and_then(|rest| self.finder.find(rest)) {
            let start = from + found.start;
            if self.counts_at(payload, start..from + found.end) {
                return true;
            }
            from = start + 1;
        }
        false
    }
}
