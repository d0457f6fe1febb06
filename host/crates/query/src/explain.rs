//! How a query is understood: what each term does, and what of it spares reading.
//!
//! A query is fast when filters exclude most blocks, and they know whole words only. So of each term it is said
//! which words it is pruned by, and of one that no filter helps, what to write instead.

use alloc::borrow::{Cow, ToOwned as _};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use weir_record::word::words;

use crate::language::{Expr, Operand, Scope};
use crate::matcher::CompileError;
use crate::matcher::words_of::{self, Need};

/// Bytes of a text of an explanation: what is longer ends in `…`.
const TEXT_BYTES_MAX: usize = 1000;

/// How a query is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The query as it was understood: it reads as the same query.
    pub query: String,
    /// The whole words without which a block is not read: `(a b)` both, `(a|b)` one of them. `None`: no filter
    /// can exclude anything.
    pub filters: Option<String>,
    /// The terms, in their order.
    pub terms: Vec<Term>,
}

/// A term of a query, or a group of the terms that follow it and are nested deeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// In how many groups it stands.
    pub depth: usize,
    /// The term as it was understood; of a group what joins it.
    pub term: String,
    /// What it finds, and what spares reading.
    pub does: String,
    /// What to write for a faster query that may mean the same.
    pub hint: Option<String>,
}

impl Explanation {
    /// Explains an expression; one that cannot be searched for is an error.
    pub fn of(expr: &Expr) -> Result<Explanation, CompileError> {
        let mut terms = Vec::new();
        let parts = match expr {
            Expr::And(parts) => parts.as_slice(),
            other => core::slice::from_ref(other),
        };
        for part in parts {
            explain(part, 0, &mut terms)?;
        }
        let filters = need(expr)?.map(|need| shown(&need));
        Ok(Explanation { query: expr.to_string(), filters, terms })
    }
}

/// The words that records of a stream hold whose topic and labels are those that are asked for.
fn need(expr: &Expr) -> Result<Option<Need<Vec<u8>>>, CompileError> {
    let each = |parts: &[Expr]| parts.iter().map(need).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::And(parts) => words_of::all(each(parts)?.into_iter().flatten().collect()),
        Expr::Or(parts) => each(parts)?.into_iter().collect::<Option<Vec<_>>>().and_then(words_of::any),
        Expr::Not(_) => None,
        term => words_of::term(term)?,
    })
}

fn explain(expr: &Expr, depth: usize, terms: &mut Vec<Term>) -> Result<(), CompileError> {
    let (joint, does, parts) = match expr {
        Expr::And(parts) => ("AND", "all of these:".to_owned(), parts.as_slice()),
        Expr::Or(parts) => {
            let free = parts.iter().map(|part| Ok((need(part)?.is_none(), part)));
            let free: Vec<_> = free.collect::<Result<_, CompileError>>()?;
            let free = free.iter().find(|(free, _)| *free).filter(|_| free.iter().any(|(free, _)| !free));
            let does = match free {
                Some((_, part)) => {
                    let part = shortened(&part.to_string());
                    format!("at least one of these; as no filter helps {part}, none helps the others:")
                }
                None => "at least one of these:".to_owned(),
            };
            ("OR", does, parts.as_slice())
        }
        Expr::Not(inner) => {
            let does = "none of what this finds; what is excluded spares no reading:".to_owned();
            ("NOT", does, core::slice::from_ref(&**inner))
        }
        term => {
            let (does, hint) = explain_term(term)?;
            terms.push(Term { depth, term: shortened(&term.to_string()), does, hint });
            return Ok(());
        }
    };
    terms.push(Term { depth, term: joint.to_owned(), does, hint: None });
    parts.iter().try_for_each(|part| explain(part, depth + 1, terms))
}

/// What a term does, and a hint.
fn explain_term(term: &Expr) -> Result<(String, Option<String>), CompileError> {
    let need = words_of::term(term)?;
    let by_filters = match &need {
        Some(need) => format!("blocks without {} are not read", shown(need)),
        None => "no filter helps".to_owned(),
    };
    let in_any_case = |any_case| if any_case { " in any case" } else { "" };
    Ok(match term {
        Expr::Word { text, any_case } => {
            let count = words(text.as_bytes()).count();
            let what = if count > 1 { "these words" } else { "this word" };
            let hint = (need.is_none() && count > 0).then(|| {
                format!("letters like k and s have more than two forms; in one case a filter helps: {text}")
            });
            let what = if count == 0 { "these characters" } else { what };
            let whole = if count == 0 { "" } else { ", whole" };
            (format!("{what}{whole}{}: {by_filters}", in_any_case(*any_case)), hint)
        }
        Expr::Bytes { bytes, any_case } => {
            let hint = need.is_none().then(|| hint_for_bytes(bytes, *any_case)).flatten();
            (format!("these bytes anywhere{}: {by_filters}", in_any_case(*any_case)), hint)
        }
        Expr::Regex(pattern) => explain_regex(pattern, need.as_ref(), &by_filters)?,
        Expr::Topics(_) => ("streams whose topic begins so; others are passed over".to_owned(), None),
        Expr::Topic(_) => ("streams of this topic; others are passed over".to_owned(), None),
        Expr::Label { .. } => ("streams with this label; others are passed over".to_owned(), None),
        Expr::Field { scope, name, operator, value } => {
            let compared = match value {
                Operand::Number(_) => "by value",
                Operand::Text(_) if operator.is_order() => "as text",
                Operand::Text(_) => "as a whole text",
            };
            let else_label = match scope {
                Scope::Any => format!(", or the label {name} of streams that have one"),
                Scope::Payload => String::new(),
            };
            let streams = if *scope == Scope::Any && need.is_some() { " in other streams" } else { "" };
            (
                format!(
                    "the field {name} in JSON or logfmt{else_label}, compared {compared}: {by_filters}{streams}"
                ),
                None,
            )
        }
        Expr::Level { .. } => (format!("the level that the record names: {by_filters}"), None),
        Expr::All => (format!("every record: {by_filters}"), None),
        Expr::And(_) | Expr::Or(_) | Expr::Not(_) => (by_filters, None),
    })
}

fn explain_regex(
    pattern: &str,
    need: Option<&Need<Vec<u8>>>,
    by_filters: &str,
) -> Result<(String, Option<String>), CompileError> {
    let texts = words_of::texts_of_regex(pattern)?;
    let looked_for = match texts.as_slice() {
        [] => "no text that every match holds, every record is tried".to_owned(),
        [one] => format!("records with {} are tried", quoted(one)),
        several => {
            let several: Vec<String> = several.iter().map(|text| quoted(text)).collect();
            format!("records with one of {} are tried", shortened(&several.join(", ")))
        }
    };
    let hint = need.is_none().then(|| {
        let word = match texts.as_slice() {
            [one] => longest_word(one),
            _ => None,
        };
        match word {
            Some(word) => format!(
                "{word} may be a part of a word; if it is a whole one, write it beside the regex, too: {word} {}",
                Expr::Regex(pattern.to_owned())
            ),
            None => "a whole word beside the regex, that every match has, lets filters help".to_owned(),
        }
    });
    Ok((format!("{looked_for}; {by_filters}"), hint))
}

/// What to write for bytes that have words, but none that is complete.
fn hint_for_bytes(bytes: &[u8], any_case: bool) -> Option<String> {
    let cut: Vec<Cow<'_, str>> =
        words(bytes).map(|(start, end)| String::from_utf8_lossy(&bytes[start..end])).collect();
    let tilde = if any_case { "~" } else { "" };
    match cut.as_slice() {
        [] => None,
        [one] => Some(format!(
            "{one} may be a part of a word; if it is a whole one, leave the quotes out: {tilde}{one}"
        )),
        [first, .., last] => {
            let bare: Vec<String> = cut.iter().map(|word| format!("{tilde}{word}")).collect();
            Some(format!(
                "{first} and {last} at its ends may be cut words; write the whole ones, without quotes, as in: {}",
                shortened(&bare.join(" "))
            ))
        }
    }
}

fn longest_word(text: &[u8]) -> Option<Cow<'_, str>> {
    let longest = words(text).max_by_key(|(start, end)| end - start)?;
    Some(String::from_utf8_lossy(&text[longest.0..longest.1]))
}

fn shown(need: &Need<Vec<u8>>) -> String {
    shortened(&need.to_string())
}

fn quoted(bytes: &[u8]) -> String {
    shortened(&Expr::bytes(bytes).to_string())
}

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut short = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::parse;

    fn explained(query: &str) -> Explanation {
        Explanation::of(&parse(query).unwrap()).unwrap()
    }

    #[test]
    fn terms_say_which_words_filters_are_asked_for() {
        for (query, filters, does) in [
            ("order", Some("order"), "this word, whole: blocks without order are not read"),
            ("10.0.0.1", Some("(10 0 0 1)"), "these words, whole: blocks without (10 0 0 1) are not read"),
            ("~Order", Some("Order"), "this word, whole in any case: blocks without Order are not read"),
            ("~ssskkk", None, "this word, whole in any case: no filter helps"),
            ("\"a lily b\"", Some("lily"), "these bytes anywhere: blocks without lily are not read"),
            ("\"rder faile\"", None, "these bytes anywhere: no filter helps"),
            (
                "/timeout after \\d+ms/",
                Some("after"),
                "records with \"timeout after \" are tried; blocks without after are not read",
            ),
            ("/\\d+/", None, "no text that every match holds, every record is tried; no filter helps"),
            ("/(err|warn)or/", None, "records with one of \"err\", \"warn\" are tried; no filter helps"),
            ("topic:a", None, "streams of this topic; others are passed over"),
            ("topic:a*", None, "streams whose topic begins so; others are passed over"),
            (
                "status>=500",
                Some("status"),
                "the field status in JSON or logfmt, or the label status of streams that have one, compared by value: \
                 blocks without status are not read in other streams",
            ),
            (
                "field.user:\"a b\"",
                Some("(user a b)"),
                "the field user in JSON or logfmt, compared as a whole text: blocks without (user a b) are not read",
            ),
            ("level:warn", None, "the level that the record names: no filter helps"),
            ("", None, "every record: no filter helps"),
        ] {
            let explained = explained(query);
            assert_eq!(explained.filters.as_deref(), filters, "{query}");
            assert_eq!(explained.terms.len(), 1);
            assert_eq!(explained.terms[0].does, does, "{query}");
        }
    }

    #[test]
    fn groups_are_said_before_what_is_in_them() {
        let explained = explained("topic:a b (c OR \"d\" OR -e)");
        assert_eq!(explained.query, "topic:a b (c OR \"d\" OR -e)");
        assert_eq!(explained.filters.as_deref(), Some("b"));
        let shown: Vec<(usize, &str)> =
            explained.terms.iter().map(|term| (term.depth, term.term.as_str())).collect();
        assert_eq!(
            shown,
            [(0, "topic:a"), (0, "b"), (0, "OR"), (1, "c"), (1, "\"d\""), (1, "NOT"), (2, "e")]
        );
        assert!(explained.terms[2].does.contains("no filter helps \"d\""), "{}", explained.terms[2].does);
    }

    #[test]
    fn hints_say_what_to_write() {
        for (query, hint) in [
            (
                "\"rder faile\"",
                Some(
                    "rder and faile at its ends may be cut words; write the whole ones, without quotes, as in: rder \
                     faile",
                ),
            ),
            (
                "~\"fail\"",
                Some("fail may be a part of a word; if it is a whole one, leave the quotes out: ~fail"),
            ),
            ("\" fail \"", None),
            ("\"--\"", None),
            (
                "/timeout \\d+/",
                Some(
                    "timeout may be a part of a word; if it is a whole one, write it beside the regex, too: timeout \
                     /timeout \\d+/",
                ),
            ),
            ("/\\d+/", Some("a whole word beside the regex, that every match has, lets filters help")),
            ("~task", None),
            (
                "~ssskkk",
                Some("letters like k and s have more than two forms; in one case a filter helps: ssskkk"),
            ),
        ] {
            assert_eq!(explained(query).terms[0].hint.as_deref(), hint, "{query}");
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = "x".repeat(3 * TEXT_BYTES_MAX);
        let explained = explained(&format!("{long} \"{long}\""));
        assert!(explained.terms.iter().all(|term| term.term.len() < 2 * TEXT_BYTES_MAX));
        assert_eq!(explained.query.len(), 2 * long.len() + 3);
    }
}
