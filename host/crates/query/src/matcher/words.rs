//! Words that every record that matches must hold: what filters over words can be asked before anything is
//! read.
//!
//! A filter knows whole words (see [`is_word_byte`]) without regard to ASCII case. So a term counts only for
//! the words that are complete inside it: of a word term all of them, of quoted bytes those with other bytes
//! on both sides, of a regular expression likewise, and of a condition for its name and its text. Levels and what
//! is excluded say nothing.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use crate::matcher::literal::{Case, Literal, is_word_byte};
use crate::matcher::node::{Absent, Node};

/// Forms of one word in any case that filters are asked for.
pub(crate) const WORD_FORMS_MAX: usize = 16;

/// What every match holds, as words `W`: texts, or hashes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need<W> {
    Word(W),
    All(Vec<Need<W>>),
    Any(Vec<Need<W>>),
}

/// The words that every record that matches must hold, in whatever ASCII case. Pure; made once per
/// [`StreamMatcher`](crate::StreamMatcher).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredWords {
    need: Option<Need<Vec<u8>>>,
}

/// [`RequiredWords`] hashed as the filters want them: what a filter is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    need: Option<Need<u64>>,
}

impl RequiredWords {
    pub(crate) fn none() -> RequiredWords {
        RequiredWords { need: None }
    }

    pub(crate) fn of(node: &Node) -> RequiredWords {
        RequiredWords { need: need_of(node) }
    }

    /// Whether nothing is known: no filter can exclude anything.
    pub fn is_empty(&self) -> bool {
        self.need.is_none()
    }

    /// Hashes each word once. Words without a hash are not known to filters: they exclude nothing.
    pub fn hashed(&self, hash: &dyn Fn(&[u8]) -> Option<u64>) -> Prune {
        Prune { need: self.need.as_ref().and_then(|need| need.map(&|word: &Vec<u8>| hash(word))) }
    }
}

impl Prune {
    /// What holds for several searches at once: a filter excludes them only when it excludes each.
    pub fn any_of(parts: impl IntoIterator<Item = Prune>) -> Prune {
        let needs: Option<Vec<_>> = parts.into_iter().map(|part| part.need).collect();
        Prune { need: needs.and_then(|needs| joined(needs, Need::Any)) }
    }

    /// Whether no filter can exclude anything, so that none needs to be read.
    pub fn is_empty(&self) -> bool {
        self.need.is_none()
    }

    /// Whether records may match where `may_contain` says which words may occur. `false` is certain as far as
    /// the filter is.
    pub fn may_match(&self, may_contain: &dyn Fn(u64) -> bool) -> bool {
        self.need.as_ref().is_none_or(|need| need.holds(may_contain))
    }
}

impl<W> Need<W> {
    /// The same of other words; `None` when those that are left say nothing.
    pub(crate) fn map<V>(&self, change: &dyn Fn(&W) -> Option<V>) -> Option<Need<V>> {
        match self {
            Need::Word(word) => change(word).map(Need::Word),
            Need::All(parts) => joined(parts.iter().filter_map(|part| part.map(change)).collect(), Need::All),
            // An alternative of which nothing is known makes all of them unknown.
            Need::Any(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(|part| part.map(change)).collect();
                parts.and_then(|parts| joined(parts, Need::Any))
            }
        }
    }
}

/// The words as text: `(a b)` all, `(a|b)` any.
impl fmt::Display for Need<Vec<u8>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, between) = match self {
            Need::Word(word) => return f.write_str(&String::from_utf8_lossy(word)),
            Need::All(parts) => (parts, " "),
            Need::Any(parts) => (parts, "|"),
        };
        for (index, part) in parts.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { "(" } else { between })?;
        }
        f.write_str(")")
    }
}

impl Need<u64> {
    pub(crate) fn holds(&self, may_contain: &dyn Fn(u64) -> bool) -> bool {
        match self {
            Need::Word(hash) => may_contain(*hash),
            Need::All(parts) => parts.iter().all(|part| part.holds(may_contain)),
            Need::Any(parts) => parts.iter().any(|part| part.holds(may_contain)),
        }
    }
}

pub(crate) fn joined<W>(mut needs: Vec<Need<W>>, join: fn(Vec<Need<W>>) -> Need<W>) -> Option<Need<W>> {
    match needs.len() {
        0 => None,
        1 => needs.pop(),
        _ => Some(join(needs)),
    }
}

pub(crate) fn need_of(node: &Node) -> Option<Need<Vec<u8>>> {
    match node {
        Node::Literal(literal) => joined(complete_words(literal), Need::All),
        Node::And(parts) => joined(parts.iter().filter_map(need_of).collect(), Need::All),
        // One alternative of which nothing is known, and nothing is known of all.
        Node::Or(parts) => {
            parts.iter().map(need_of).collect::<Option<Vec<_>>>().and_then(|needs| joined(needs, Need::Any))
        }
        Node::Field { field, absent: Absent::Fails } => {
            joined(field.words().into_iter().map(Need::Word).collect(), Need::All)
        }
        Node::Pattern(pattern) => pattern.words.clone(),
        Node::All
        | Node::Not(_)
        | Node::Topic(_)
        | Node::Topics(_)
        | Node::Label { .. }
        | Node::Source(_)
        | Node::Field { .. }
        | Node::Level { .. } => None,
    }
}

/// The words of a text that no byte around it could make longer.
fn complete_words(literal: &Literal) -> Vec<Need<Vec<u8>>> {
    let bytes = &literal.needle.bytes;
    let (bound_before, bound_after) = literal.bounds();
    let mut words = Vec::new();
    let mut at = 0;
    for word in bytes.chunk_by(|a, b| is_word_byte(*a) == is_word_byte(*b)) {
        let (start, end) = (at, at + word.len());
        at = end;
        let complete = (start > 0 || bound_before) && (end < bytes.len() || bound_after);
        if is_word_byte(word[0]) && complete {
            words.extend(match literal.needle.case {
                Case::Exact | Case::Ascii => Some(Need::Word(word.to_vec())),
                Case::Unicode => folded(word),
            });
        }
    }
    words
}

/// The forms of a word in any case, which filters do not know but for ASCII; `None` when they are too many.
fn folded(word: &[u8]) -> Option<Need<Vec<u8>>> {
    let mut forms = vec![Vec::new()];
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
            class.try_case_fold_simple().ok()?;
            // Of the cases of ASCII one is enough.
            let same = class.iter().flat_map(|range| range.start()..=range.end());
            let same: Vec<char> = same.filter(|c| !c.is_ascii_uppercase()).collect();
            if forms.len() * same.len() > WORD_FORMS_MAX {
                return None;
            }
            let longer = |form: &Vec<u8>, c: char| {
                let mut utf8 = [0; 4];
                [form, c.encode_utf8(&mut utf8).as_bytes()].concat()
            };
            forms = forms.iter().flat_map(|form| same.iter().map(move |&c| longer(form, c))).collect();
        }
        for form in &mut forms {
            form.extend_from_slice(chunk.invalid());
        }
    }
    joined(forms.into_iter().map(Need::Word).collect(), Need::Any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matcher;
    use crate::language::parse;
    use alloc::string::ToString;
    use weir_record::Stream;

    /// The words as text: `a b` all, `a|b` any, `.` nothing known.
    fn shown(query: &str) -> String {
        let stream = Stream::new("orders", [("host", "web1")]).unwrap();
        let matcher = Matcher::compile(&parse(query).unwrap()).unwrap();
        let Some(matcher) = matcher.for_stream(&stream) else { return "never".into() };
        matcher.required_words().need.as_ref().map_or(".".into(), ToString::to_string)
    }

    #[test]
    fn only_words_that_are_complete_are_required() {
        for (query, expected) in [
            ("", "."),
            ("payment", "payment"),
            ("~Payment", "Payment"),
            ("10.0.0.1", "(10 0 0 1)"),
            ("foo-bar", "(foo bar)"),
            ("\"lily ord\"", "."),
            ("\"a lily b\"", "lily"),
            ("\" lily \"", "lily"),
            ("~\"[Lily]x\"", "Lily"),
            ("\"-\"", "."),
            ("\"caf\u{e9}: \u{e9}t\u{e9} x\"", "\u{e9}t\u{e9}"),
            ("/plain text/", "."),
            ("/ plain /", "plain"),
            ("/a.*b/", "."),
            ("/timeout after \\d+ms/", "after"),
            ("/ a\\d* b / c", "(c b)"),
            ("/a.*b/ OR c", "."),
            ("-/ a /", "."),
            ("a -b", "a"),
            ("-a", "."),
            ("--a", "."),
            ("a OR b", "(a|b)"),
            ("a OR -b", "."),
            ("(a OR b) c", "(c (a|b))"),
            ("a OR \"b\"", "."),
            ("topic:orders a", "a"),
            ("topic:other OR a", "a"),
            ("topic:orders OR a", "."),
            ("topic:other a", "never"),
            ("~task", "(task|tas\u{212a}|ta\u{17f}k|ta\u{17f}\u{212a})"),
            ("~Été", "(\u{c9}t\u{c9}|\u{c9}t\u{e9}|\u{e9}t\u{c9}|\u{e9}t\u{e9})"),
            ("~ssskkk", "."),
            ("status>=500", "status"),
            ("status:500", "status"),
            ("user.id:\"500\"", "(user id 500)"),
            ("@t-x:payment", "(t x payment)"),
            ("a:\"b c/d <e f é g.h éi i\"", "(a b c f g h i)"),
            ("a!=b", "a"),
            ("host:web1 x", "x"),
            ("host:web2 x", "(x (host web2))"),
            ("field.host:web1", "(host web1)"),
            ("é:x", "x"),
            ("level:error", "."),
            ("a:b OR c", "(c|(a b))"),
        ] {
            let got = shown(query);
            // Cheap terms come first, and terms of the same cost in the order of the query.
            assert_eq!(got, expected, "{query}");
        }
    }

    #[test]
    fn a_filter_excludes_when_a_word_of_each_alternative_is_absent() {
        let stream = Stream::new("orders", [("host", "web1")]).unwrap();
        let prune = |query: &str| {
            let matcher = Matcher::compile(&parse(query).unwrap()).unwrap().for_stream(&stream).unwrap();
            matcher.required_words().hashed(&|word| Some(u64::from(word[0])))
        };
        let has = |known: &'static str| move |hash: u64| known.bytes().any(|byte| u64::from(byte) == hash);
        for (query, known, expected) in [
            ("a b", "a", false),
            ("a b", "ab", true),
            ("a OR b", "b", true),
            ("a OR b", "c", false),
            ("(a OR b) c", "ab", false),
            ("-a", "", true),
        ] {
            assert_eq!(prune(query).may_match(&has(known)), expected, "{query} in {known}");
        }
        let both = Prune::any_of([prune("a"), prune("b")]);
        assert!(both.may_match(&has("b")) && !both.may_match(&has("c")));
        assert!(Prune::any_of([prune("a"), prune("")]).is_empty());
        assert!(Prune::any_of([]).is_empty());
    }
}
