//! A term of a query that is a regular expression.

use alloc::string::ToString;
use alloc::vec::Vec;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};
use weir_record::limits::REGEX_BYTES_MAX;

use crate::matcher::CompileError;
use crate::matcher::pattern_words::required_words;
use crate::matcher::required::{Needles, required};
use crate::matcher::words::Need;

/// A compiled regular expression. It sees one payload at a time; bytes that are no UTF-8 are matched by
/// nothing that stands for characters, and do no harm.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    pub(crate) needles: Option<Needles>,
    /// Words that stand whole in everything it matches.
    pub(crate) words: Option<Need<Vec<u8>>>,
}

impl Pattern {
    pub(crate) fn compile(pattern: &str, hir: &Hir) -> Result<Pattern, CompileError> {
        let regex = compiled(pattern)?;
        Ok(Pattern { regex, needles: required(hir), words: required_words(hir) })
    }
}

/// Compiles a regular expression, if that takes no more than [`REGEX_BYTES_MAX`].
pub(crate) fn compiled(pattern: &str) -> Result<Regex, CompileError> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => CompileError::RegexTooLarge { pattern: pattern.into() },
        other => CompileError::Regex { pattern: pattern.into(), message: other.to_string() },
    })
}

/// The syntax of a regular expression, as the `regex` crate reads it.
pub(crate) fn hir(pattern: &str) -> Result<Hir, CompileError> {
    regex_syntax::ParserBuilder::new()
        .utf8(false)
        .build()
        .parse(pattern)
        .map_err(|error| CompileError::Regex { pattern: pattern.into(), message: error.to_string() })
}

/// The bytes of a regular expression that is nothing but plain text.
pub(crate) fn plain_text(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        _ => None,
    }
}
