//! A text to look for, as a whole word or anywhere, in one case or any.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// A byte of a word: `[A-Za-z0-9_]` and everything that is not ASCII.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Bytes that must occur.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    pub(crate) bytes: Vec<u8>,
    pub(crate) any_case: bool,
}

impl Needle {
    /// As a regex without Unicode.
    fn pattern(&self) -> String {
        let mut pattern = String::from(if self.any_case { "(?i:" } else { "(?:" });
        for &byte in &self.bytes {
            match byte {
                byte if byte.is_ascii_alphanumeric() => pattern.push(byte as char),
                byte => pattern.extend(format!("\\x{byte:02x}").chars()),
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
        if self.any_case { sum * 3 / 4 } else { sum }
    }
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
        if let [Needle { bytes, any_case: false }] = needles {
            return Some(Finder::Exact(Box::new(memmem::Finder::new(bytes).into_owned())));
        }
        let patterns: Vec<String> = needles.iter().map(Needle::pattern).collect();
        RegexBuilder::new(&patterns.join("|")).unicode(false).build().ok().map(Finder::Set)
    }

    /// Where the first one begins.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Finder::Exact(finder) => finder.find(bytes),
            Finder::Set(regex) => regex.find(bytes).map(|found| found.start()),
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
        let any_case = any_case && bytes.iter().any(u8::is_ascii_alphabetic);
        let needle = Needle { bytes: bytes.to_vec(), any_case };
        let finder = Finder::new(core::slice::from_ref(&needle))?;
        let bound = |byte: Option<&u8>| whole_word && byte.is_some_and(|&byte| is_word_byte(byte));
        Some(Literal { needle, finder, bound_before: bound(bytes.first()), bound_after: bound(bytes.last()) })
    }

    /// Whether a word byte directly before, or after, makes an occurrence another word.
    pub(crate) fn bounds(&self) -> (bool, bool) {
        (self.bound_before, self.bound_after)
    }

    /// Whether an occurrence at `start` counts: it ends inside the payload and is a word of its own where
    /// that is asked for.
    pub(crate) fn counts_at(&self, payload: &[u8], start: usize) -> bool {
        let end = start + self.needle.bytes.len();
        end <= payload.len()
            && !(self.bound_before && start > 0 && is_word_byte(payload[start - 1]))
            && !(self.bound_after && end < payload.len() && is_word_byte(payload[end]))
    }

    /// Whether the payload has an occurrence that counts.
    pub(crate) fn is_in(&self, payload: &[u8]) -> bool {
        let mut from = 0;
        while let Some(found) = payload.get(from..).and_then(|rest| self.finder.find(rest)) {
            if self.counts_at(payload, from + found) {
                return true;
            }
            from += found + 1;
        }
        false
    }
}
