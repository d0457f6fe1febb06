//! Texts of which one must occur wherever a regex matches: for the host to look for before it asks the filter.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// More are not worth a search of their own.
const LITERALS_MAX: usize = 32;
/// A shorter one is in every other record.
const LITERAL_BYTES_MIN: usize = 3;

/// The texts; `None` where there are none, or too many.
pub(crate) fn of(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
    let literals = best(&hir)?;
    let literals: Option<Vec<Vec<u8>>> =
        literals.literals().map(|list| list.iter().map(|literal| literal.as_bytes().to_vec()).collect());
    literals.filter(|list| !list.is_empty())
}

/// Those at the beginning, those at the end, or those of a part that is in every match: the longest.
fn best(hir: &Hir) -> Option<Seq> {
    let mut found = vec![prefixes(hir), suffixes(hir)];
    match hir.kind() {
        HirKind::Concat(parts) => found.extend(parts.iter().map(best)),
        HirKind::Capture(capture) => found.push(best(&capture.sub)),
        HirKind::Repetition(repetition) if repetition.min > 0 => found.push(best(&repetition.sub)),
        HirKind::Alternation(parts) => found.push(parts.iter().map(best).reduce(union).flatten()),
        _ => {}
    }
    found.into_iter().flatten().max_by_key(Seq::min_literal_len)
}

fn union(a: Option<Seq>, b: Option<Seq>) -> Option<Seq> {
    let (mut a, mut b) = (a?, b?);
    a.union(&mut b);
    Some(a).filter(fits)
}

fn prefixes(hir: &Hir) -> Option<Seq> {
    let mut literals = Extractor::new().kind(ExtractKind::Prefix).extract(hir);
    literals.optimize_for_prefix_by_preference();
    Some(literals).filter(fits)
}

fn suffixes(hir: &Hir) -> Option<Seq> {
    let mut literals = Extractor::new().kind(ExtractKind::Suffix).extract(hir);
    literals.optimize_for_suffix_by_preference();
    Some(literals).filter(fits)
}

fn fits(literals: &Seq) -> bool {
    literals.len().is_some_and(|count| count <= LITERALS_MAX)
        && literals.min_literal_len().is_some_and(|bytes| bytes >= LITERAL_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_match_has_one_of_the_texts() {
        for (pattern, texts) in [
            ("timeout", &["timeout"][..]),
            ("(?:timeout)|(?:reset)", &["timeout", "reset"]),
            (r"timeout after \d+ms", &["timeout after "]),
            (r"\d+ connections", &[" connections"]),
            (r"\d+ of (?:many)+ \d+", &["many"]),
            (r"(?:\d connect \d)|(?:reset)", &[" connect ", "reset"]),
            (r"\d+", &[]),
            (r"(?:reset)|\d+", &[]),
            ("ab", &[]),
            ("x*", &[]),
        ] {
            let found = of(pattern).unwrap_or_default();
            let mut found: Vec<String> =
                found.iter().map(|text| String::from_utf8_lossy(text).into()).collect();
            let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            found.sort();
            texts.sort();
            assert_eq!(found, texts, "{pattern}");
        }
        for text in of("(?i)timeout").unwrap() {
            assert!("timeout".contains(&String::from_utf8(text).unwrap().to_lowercase()));
        }
    }
}
