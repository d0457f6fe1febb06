//! Where in a payload the texts stand that a query asks for: for the eyes of whoever asked.

use alloc::vec::Vec;
use core::ops::Range;

use regex::bytes::Regex;

use crate::language::Expr;
use crate::matcher::literal::Literal;
use crate::matcher::pattern::compiled;

/// Places of one payload that are told at most.
const SPANS_MAX: usize = 1_000;

/// The texts of a query that a record may have been found by. Conditions on streams, fields and levels have none, and what
/// stands behind a `NOT` is not there.
#[derive(Debug, Default)]
pub struct Highlights {
    literals: Vec<Literal>,
    patterns: Vec<Regex>,
}

impl Highlights {
    /// Those of a query. What cannot be compiled has none.
    pub fn of(expr: &Expr) -> Highlights {
        let mut highlights = Highlights::default();
        highlights.collect(expr);
        highlights
    }

    fn collect(&mut self, expr: &Expr) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| self.collect(part)),
            Expr::Word { text, any_case } => {
                self.literals.extend(Literal::new(text.as_bytes(), *any_case, true));
            }
            Expr::Bytes { bytes, any_case } => self.literals.extend(Literal::new(bytes, *any_case, false)),
            Expr::Regex(pattern) => self.patterns.extend(compiled(pattern)),
            Expr::All
            | Expr::Not(_)
            | Expr::Topic(_)
            | Expr::Label { .. }
            | Expr::Field { .. }
            | Expr::Level { .. } => {}
        }
    }

    /// Where they stand: going up, apart from each other, none of them empty.
    pub fn spans(&self, payload: &[u8]) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for literal in &self.literals {
            let mut from = 0;
            while let Some(found) = payload.get(from..).and_then(|rest| literal.finder.find(rest)) {
                let place = from + found.start..from + found.end;
                from = place.start + 1;
                if literal.counts_at(payload, place.clone()) {
                    from = place.end;
                    spans.push(place);
                }
                if spans.len() >= SPANS_MAX {
                    break;
                }
            }
        }
        let found = self.patterns.iter().flat_map(|regex| regex.find_iter(payload).take(SPANS_MAX));
        spans.extend(found.map(|found| found.range()));
        spans.retain(|span| !span.is_empty());
        spans.sort_by_key(|span| (span.start, span.end));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        apart.truncate(SPANS_MAX);
        apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::parse;

    #[test]
    fn texts_that_were_asked_for_are_found_and_no_others() {
        for (query, payload, expected) in [
            ("", "anything", &[][..]),
            ("timeout", "timeout, timeouts, timeout", &["timeout", "timeout"]),
            ("\"time\"", "timeout", &["time"]),
            ("~ERROR", "error Error", &["error", "Error"]),
            ("a OR b", "b c a", &["b", "a"]),
            ("a -b", "b c a", &["a"]),
            ("/\\d+ms/", "12ms 3s 4ms", &["12ms", "4ms"]),
            ("/x*/", "abc", &[]),
            ("\"ab\" \"bc\" \"c\"", "xabcx", &["abc"]),
            ("topic:t level:error status>=500", "error status=500", &[]),
        ] {
            let expr = parse(query).unwrap();
            let spans = Highlights::of(&expr).spans(payload.as_bytes());
            let found: Vec<&str> = spans.iter().map(|span| &payload[span.clone()]).collect();
            assert_eq!(found, expected, "{query}");
        }
        let many = Highlights::of(&parse("\"a\" /a/").unwrap()).spans(&b"ab".repeat(2 * SPANS_MAX));
        assert_eq!(many.len(), SPANS_MAX);
    }
}
