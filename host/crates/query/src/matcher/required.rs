//! Texts of which one must occur in everything that a regular expression matches.

use alloc::vec;
use alloc::vec::Vec;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::matcher::literal::{Case, Needle};

/// Alternatives beyond which a set is no longer worth looking for.
const NEEDLES_MAX: usize = 64;
/// Bytes of a needle: more do not make it rarer.
const NEEDLE_BYTES_MAX: usize = 64;

/// At least one of them occurs in every match. Never empty, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needles {
    needles: Vec<Needle>,
    // Names of fields: in many records, however long they are.
    are_keys: bool,
}

impl Needles {
    pub(crate) fn one(needle: Needle) -> Needles {
        Needles { needles: vec![needle], are_keys: false }
    }

    /// The name of a field.
    pub(crate) fn key(name: &str) -> Needles {
        Needles { needles: vec![Needle { bytes: name.into(), case: Case::Exact }], are_keys: true }
    }

    pub(crate) fn as_slice(&self) -> &[Needle] {
        &self.needles
    }

    /// One of all those of the parts; `None` when a part has none, or together they are too many.
    pub(crate) fn any_of(parts: impl IntoIterator<Item = Option<Needles>>) -> Option<Needles> {
        let mut all: Vec<Needle> = Vec::new();
        let mut are_keys = false;
        for part in parts {
            let part = part?;
            are_keys |= part.are_keys;
            for needle in part.needles {
                if !all.contains(&needle) {
                    all.push(needle);
                }
            }
            if all.len() > NEEDLES_MAX {
                return None;
            }
        }
        if all.is_empty() { None } else { Some(Needles { needles: all, are_keys }) }
    }

    /// The rarer of two.
    pub(crate) fn better(a: Option<Needles>, b: Option<Needles>) -> Option<Needles> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if a.rarity() >= b.rarity() { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// A set is as common as its most common member, and slower to look for than one.
    fn rarity(&self) -> u32 {
        let least = self.needles.iter().map(Needle::rarity).min().unwrap_or(0);
        match self.needles.len() {
            _ if self.are_keys => least / 4,
            1 => least,
            _ => least * 2 / 3,
        }
    }
}

/// The rarest needles of an expression.
pub(crate) fn required(hir: &Hir) -> Option<Needles> {
    let mut walk = Walk { run: Needle { bytes: Vec::new(), case: Case::Exact }, best: None };
    walk.visit(hir);
    walk.flush();
    walk.best
}

struct Walk {
    // Bytes that follow each other directly, so far.
    run: Needle,
    best: Option<Needles>,
}

impl Walk {
    fn visit(&mut self, hir: &Hir) {
        match hir.kind() {
            // Look-around takes no bytes: what stands around it is still adjacent.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.run.bytes.extend_from_slice(&literal.0),
            HirKind::Class(class) => match letter_in_both_cases(class) {
                Some(letter) => {
                    self.run.bytes.push(letter);
                    self.run.case = Case::Ascii;
                }
                None => self.flush(),
            },
            HirKind::Capture(capture) => self.visit(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.visit(part)),
            HirKind::Repetition(repetition) => {
                if repetition.min > 0 {
                    self.visit(&repetition.sub);
                }
                self.flush();
            }
            HirKind::Alternation(parts) => {
                self.flush();
                self.offer(Needles::any_of(parts.iter().map(required)));
            }
        }
    }

    fn flush(&mut self) {
        let mut needle = core::mem::replace(&mut self.run, Needle { bytes: Vec::new(), case: Case::Exact });
        needle.bytes.truncate(NEEDLE_BYTES_MAX);
        if !needle.bytes.iter().any(u8::is_ascii_alphabetic) {
            needle.case = Case::Exact;
        }
        if !needle.bytes.is_empty() {
            self.offer(Some(Needles::one(needle)));
        }
    }

    fn offer(&mut self, needles: Option<Needles>) {
        self.best = Needles::better(self.best.take(), needles);
    }
}

/// `[xX]`, which is what `(?i)x` becomes. Letters with more forms (`k` and the Kelvin sign) are `None`.
fn letter_in_both_cases(class: &Class) -> Option<u8> {
    let mut bytes = [0; 2];
    let mut count = 0;
    let mut add = |start: u32, end: u32| {
        if start != end || count == 2 || start > 0x7f {
            return None;
        }
        bytes[count] = start as u8;
        count += 1;
        Some(())
    };
    match class {
        Class::Unicode(class) => {
            class.ranges().iter().try_for_each(|range| add(range.start().into(), range.end().into()))?;
        }
        Class::Bytes(class) => {
            class.ranges().iter().try_for_each(|range| add(range.start().into(), range.end().into()))?;
        }
    }
    let [upper, lower] = bytes;
    (count == 2 && lower.is_ascii_lowercase() && lower.to_ascii_uppercase() == upper).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn needles(pattern: &str) -> Vec<(String, bool)> {
        let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).unwrap();
        let set = required(&hir).map(|needles| needles.needles).unwrap_or_default();
        set.into_iter().map(|n| (String::from_utf8(n.bytes).unwrap(), n.case == Case::Ascii)).collect()
    }

    #[test]
    fn the_rarest_required_text_of_a_regex_is_found() {
        let table: [(&str, &[&str]); 14] = [
            ("timeout", &["timeout"]),
            (r"timeout after \d+ms", &["timeout after "]),
            (r"\d+ms", &["ms"]),
            (r"(err|warn)or", &["err", "warn"]),
            (r"x(abc|d.*)?yz", &["yz"]),
            (r"foo+bar", &["foo"]),
            (r"\bfoo\b-bar$", &["foo-bar"]),
            (r"(?P<a>ab)cd", &["abcd"]),
            (r"[a-z]+@[a-z]+\.com", &[".com"]),
            (r"a|.", &[]),
            (r"\w+\s\d+", &[]),
            (r"(abc){2,3}", &["abc"]),
            (r"(abc)*", &[]),
            (r"", &[]),
        ];
        for (pattern, expected) in table {
            let found: Vec<_> = needles(pattern).into_iter().map(|(text, _)| text).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn any_case_is_known_where_both_cases_are_all() {
        assert_eq!(needles("(?i)timeout"), [("timeout".into(), true)]);
        assert_eq!(needles("(?i)error 42"), [("error 42".into(), true)]);
        // s has a third form in Unicode, so the text is cut there.
        assert_eq!(needles("(?i)passed"), [("pa".into(), true)]);
        assert_eq!(needles("(?i-u)passed"), [("passed".into(), true)]);
    }
}
