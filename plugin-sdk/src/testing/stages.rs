//! Runs filters, rewrites and aggregates over lines, as a query does.

use crate::failure::Failure;
use crate::source::parse_config;
use crate::stage::{Aggregate, Filter, Hints, Record, Rewrite};

/// The lines that a filter keeps. `params` is a JSON object, with defaults filled in by the type.
///
/// # Errors
/// The filter's own, and parameters that do not fit its type.
///
/// # Panics
/// When a line is kept that its hints rule out.
pub fn filter<F: Filter>(params: &str, lines: &[&str]) -> Result<Vec<String>, Failure> {
    let mut filter = F::open(parse_config(params)?)?;
    let hints = filter.hints();
    let mut kept = Vec::new();
    for line in lines {
        if filter.keep(record(line)) {
            assert_hinted(&hints, line);
            kept.push((*line).to_owned());
        }
    }
    Ok(kept)
}

/// What a rewrite makes of lines.
///
/// # Errors
/// The rewrite's own, and parameters that do not fit its type.
pub fn rewrite<R: Rewrite>(params: &str, lines: &[&str]) -> Result<Vec<String>, Failure> {
    let mut rewrite = R::open(parse_config(params)?)?;
    let mut out = Vec::new();
    for line in lines {
        let mut bytes = Vec::new();
        if rewrite.rewrite(record(line), &mut bytes) {
            out.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(out)
}

/// What an aggregate says of lines. It is asked in one instance and in several that are merged in both orders.
///
/// # Errors
/// The aggregate's own, and parameters that do not fit its type.
///
/// # Panics
/// When the answer depends on which instance was given which line.
pub fn aggregate<A: Aggregate>(params: &str, lines: &[&str]) -> Result<Vec<String>, Failure> {
    let open = || A::open(parse_config(params)?);
    let mut alone = open()?;
    for line in lines {
        alone.update(record(line))?;
    }
    let rows = shown(&alone.finish()?);
    for cuts in 1..4 {
        let mut partials = vec![open()?.partial()?];
        for part in 0..cuts {
            let mut instance = open()?;
            for line in lines.iter().skip(part).step_by(cuts) {
                instance.update(record(line))?;
            }
            partials.push(instance.partial()?);
        }
        for is_reversed in [false, true] {
            if is_reversed {
                partials.reverse();
            }
            let mut merged = open()?;
            for partial in &partials {
                merged.merge(partial)?;
            }
            assert_eq!(shown(&merged.finish()?), rows, "the answer depends on the cut into {cuts} parts");
        }
    }
    Ok(rows)
}

fn shown(answer: &crate::stage::Answer) -> Vec<String> {
    answer.rows().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

fn record(line: &str) -> Record<'_> {
    Record { payload: line.as_bytes(), ..Record::default() }
}

fn assert_hinted(hints: &Hints, line: &str) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let words: Vec<&[u8]> = line.as_bytes().split(|byte| !is_word(*byte)).collect();
    for list in &hints.words {
        let is_there = list.iter().any(|word| words.contains(&word.as_bytes()));
        assert!(is_there, "{line:?} is kept, and the hints say that it has one of the words {list:?}");
    }
    for list in &hints.literals {
        let is_there = list.iter().any(|literal| memchr::memmem::find(line.as_bytes(), literal).is_some());
        assert!(is_there, "{line:?} is kept, and the hints say that it has one of the texts {list:?}");
    }
}
