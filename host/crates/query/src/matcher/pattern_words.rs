//! Words that stand whole in everything that a regular expression matches.
//!
//! A word of a regex counts when whatever the regex allows directly before and after it is no word byte, or the
//! end of the payload: `user \d+ failed` has no such word at its ends, for "failed" may go on, `user \d+ failed in`
//! has one. What a class or a repetition allows beside a word is looked at; word boundaries (`\b`) are no help,
//! for in Unicode some bytes that filters count as parts of words are none.

use alloc::vec;
use alloc::vec::Vec;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::matcher::literal::is_word_byte;
use crate::matcher::words::{Need, WORD_FORMS_MAX, joined};

/// Alternatives that are followed at the same time.
const PATHS_MAX: usize = 32;
/// Items of all of them.
const ITEMS_MAX: usize = 4096;

/// What a regex asks for at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// Nothing that belongs to a word.
    Edge,
    /// One of few texts of word bytes, in whatever ASCII case.
    OneOf(Vec<Vec<u8>>),
    /// Anything, also nothing.
    Unknown,
}

/// Items that follow each other directly.
type Path = Vec<Item>;

/// Words of which those asked for must stand whole in everything that matches; `None` when none need to.
pub(crate) fn required_words(hir: &Hir) -> Option<Need<Vec<u8>>> {
    // Whatever may stand before and after a match.
    let paths = concat([vec![vec![Item::Unknown]], paths(hir), vec![vec![Item::Unknown]]]);
    let mut ways: Vec<Vec<Need<_>>> = paths.iter().map(|path| words(path)).collect();
    // What all of them ask for is asked for once.
    let mut common = ways.first()?.clone();
    common.retain(|word| ways.iter().all(|words| words.contains(word)));
    for words in &mut ways {
        words.retain(|word| !common.contains(word));
    }
    ways.dedup();
    let others: Option<Vec<Need<_>>> = ways.into_iter().map(|words| joined(words, Need::All)).collect();
    common.extend(others.and_then(|others| joined(others, Need::Any)));
    joined(common, Need::All)
}

/// The whole words of one path.
fn words(path: &[Item]) -> Vec<Need<Vec<u8>>> {
    let mut words = Vec::new();
    // The forms of the word so far; `None` when it is none, for it has no beginning or too many forms.
    let mut forms: Option<Vec<Vec<u8>>> = None;
    for item in path {
        match item {
            Item::Edge => {
                let whole = forms.take().unwrap_or_default().into_iter().filter(|word| !word.is_empty());
                words.extend(joined(whole.map(Need::Word).collect(), Need::Any));
                forms = Some(vec![Vec::new()]);
            }
            Item::OneOf(texts) => {
                forms = forms.filter(|forms| forms.len() * texts.len() <= WORD_FORMS_MAX).map(|forms| {
                    let longer = |form: &Vec<u8>, text: &Vec<u8>| [form.as_slice(), text].concat();
                    forms.iter().flat_map(|form| texts.iter().map(move |text| longer(form, text))).collect()
                });
            }
            Item::Unknown => forms = None,
        }
    }
    words
}

/// The ways through an expression. One that is left out would be a lie, so where there are too many they become
/// one that knows nothing.
fn paths(hir: &Hir) -> Vec<Path> {
    match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => vec![literal.0.iter().map(|byte| byte_item(*byte)).collect()],
        HirKind::Class(class) => vec![vec![class_item(class)]],
        HirKind::Look(look) => match look {
            Look::Start | Look::End | Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF => {
                vec![vec![Item::Edge]]
            }
            // They take no bytes: what stands around them is adjacent.
            _ => vec![Vec::new()],
        },
        HirKind::Capture(capture) => paths(&capture.sub),
        HirKind::Concat(parts) => concat(parts.iter().map(paths)),
        HirKind::Alternation(parts) => bounded(parts.iter().flat_map(paths).collect()),
        HirKind::Repetition(repetition) if repetition.min == 0 => vec![vec![Item::Unknown]],
        HirKind::Repetition(repetition) => {
            let mut once = paths(&repetition.sub);
            if once.iter().flatten().all(|item| *item == Item::Edge)
                && once.iter().all(|path| !path.is_empty())
            {
                return vec![vec![Item::Edge]];
            }
            // The first time follows what comes before, the last time may be another one.
            let ends_whole = once.iter().all(|path| path.last() == Some(&Item::Edge));
            for path in &mut once {
                path.push(Item::Unknown);
                path.extend(ends_whole.then_some(Item::Edge));
            }
            once
        }
    }
}

fn concat(parts: impl IntoIterator<Item = Vec<Path>>) -> Vec<Path> {
    let mut all = vec![Vec::new()];
    for part in parts {
        let joined = |all: &[Path], part: &[Path]| -> Vec<Path> {
            all.iter()
                .flat_map(|before| part.iter().map(move |path| [before.as_slice(), path].concat()))
                .collect()
        };
        let part = if all.len() * part.len() > PATHS_MAX { vec![vec![Item::Unknown]] } else { part };
        all = bounded(joined(&all, &part));
    }
    all
}

fn bounded(paths: Vec<Path>) -> Vec<Path> {
    let items: usize = paths.iter().map(Vec::len).sum();
    let fits = (1..=PATHS_MAX).contains(&paths.len()) && items <= ITEMS_MAX;
    if fits { paths } else { vec![vec![Item::Unknown]] }
}

fn byte_item(byte: u8) -> Item {
    // Both cases of ASCII are one to a filter.
    if is_word_byte(byte) { Item::OneOf(vec![vec![byte.to_ascii_lowercase()]]) } else { Item::Edge }
}

fn class_item(class: &Class) -> Item {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut add = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        if !texts.contains(&text) {
            texts.push(text);
        }
    };
    match class {
        Class::Unicode(class) => {
            let ranges =
                || class.ranges().iter().map(|range| (u32::from(range.start()), u32::from(range.end())));
            if is_edge(ranges()) {
                return Item::Edge;
            }
            let chars: u32 = ranges().map(|(start, end)| end - start + 1).fold(0, u32::saturating_add);
            if chars == 0 || chars as usize > 2 * WORD_FORMS_MAX {
                return Item::Unknown;
            }
            for c in class.ranges().iter().flat_map(|range| range.start()..=range.end()) {
                add(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Class::Bytes(class) => {
            let ranges =
                || class.ranges().iter().map(|range| (u32::from(range.start()), u32::from(range.end())));
            if is_edge(ranges()) {
                return Item::Edge;
            }
            for byte in class.ranges().iter().flat_map(|range| range.start()..=range.end()) {
                add(&[byte]);
            }
        }
    }
    let is_word = texts.iter().flatten().all(|byte| is_word_byte(*byte));
    if is_word && (1..=WORD_FORMS_MAX).contains(&texts.len()) { Item::OneOf(texts) } else { Item::Unknown }
}

/// Whether a class of these ranges holds something, and nothing that belongs to a word.
fn is_edge(mut ranges: impl Iterator<Item = (u32, u32)>) -> bool {
    let mut some = false;
    let all = ranges.all(|(start, end)| {
        some = true;
        end < 0x80 && (start..=end).all(|code| !is_word_byte(code as u8))
    });
    some && all
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use proptest::prelude::*;
    use regex::bytes::Regex;

    fn need(pattern: &str) -> Option<Need<Vec<u8>>> {
        required_words(&regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).unwrap())
    }

    #[test]
    fn words_bounded_on_both_sides_are_required() {
        for (pattern, expected) in [
            ("timeout", "."),
            (" timeout ", "timeout"),
            (r"timeout after \d+ms", "after"),
            (r"user \d+ failed", "."),
            (r"user \d+ failed in", "failed"),
            (r"\[error\] .* in", "error"),
            ("^GET /health", "get"),
            ("status ok$", "ok"),
            ("(?m)^a$", "a"),
            (r"\berror\b", "."),
            (r"x\b y\b z", "y"),
            (r"(?i) Timeout ", "timeout"),
            (r"(?i) task ", "(task|tas\u{212a}|ta\u{17f}k|ta\u{17f}\u{212a})"),
            (" gr[ae]y ", "(gray|grey)"),
            (" (error|err) ", "(error|err)"),
            (" (get|post) /v1/", "(v1 (get|post))"),
            (" (get|.*) ", "."),
            (" (get|.*) /v1/", "v1"),
            (" a +b ", "(a b)"),
            (" a *b ", "."),
            (r" a\s+b ", "."),
            (r" a(?-u:\s+)b ", "(a b)"),
            ("( foo )+bar-", "(foo bar)"),
            ("( foo|x )+bar-", "."),
            (" foo{2} ", "."),
            (" a[^a]b ", "."),
            (" a[^[:^ascii:]a-zA-Z0-9_]b ", "(a b)"),
            (r" \d\d ", "."),
            (" café ", "caf\u{e9}"),
            ("", "."),
            (" (ab?c) ", "."),
            (" [[:^any:]] a ", "a"),
        ] {
            let got = need(pattern).map_or(String::from("."), |need| need.to_string());
            assert_eq!(got, expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_too_large_to_follow_is_not_followed() {
        let wide = alloc::format!(" {} x ", "(a |b )".repeat(40));
        // The first few are followed, and what comes after them all.
        let shown = need(&wide).unwrap().to_string();
        assert!(shown.starts_with("(x (") && shown.matches('|').count() == PATHS_MAX - 1, "{shown}");
        let deep = alloc::format!("{} x {}", "(".repeat(80), "y )+".repeat(80));
        let _ = need(&deep);
        let long = alloc::format!("( a| b){}", " word".repeat(3000));
        assert_eq!(need(&long), None);
    }

    proptest! {
        /// A filter that holds exactly the words of a payload excludes no payload that matches.
        #[test]
        fn no_match_is_excluded(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "B", "-", " ", "ab", "[ab]", "[a-]", "[ -]", ".", r"\b", "^", "$", "(?i:k)", "é", r"\w",
                    r"\s", "(", "|", ")", "+", "*", "?", "{2}", "a b", " a ", "(a | b)+", "(?m:^)", "\n",
                ]),
                0..12,
            ),
            texts in prop::collection::vec("[abABkK\u{212a}é\u{2014}\n -]{0,12}", 20),
        ) {
            let pattern = parts.concat();
            let Ok(regex) = Regex::new(&pattern) else { return Ok(()) };
            let Some(need) = need(&pattern) else { return Ok(()) };
            for text in texts.iter().filter(|text| regex.is_match(text.as_bytes())) {
                let bytes = text.to_ascii_lowercase().into_bytes();
                let words: Vec<&[u8]> =
                    weir_record::word::words(&bytes).map(|(start, end)| &bytes[start..end]).collect();
                let known = need.map(&|word| Some(u64::from(words.contains(&word.as_slice()))));
                let holds = known.is_some_and(|need| need.holds(&|has| has == 1));
                prop_assert!(holds, "/{pattern}/ matches {text:?}, of which {} is said", need.to_string());
            }
        }
    }
}
