//! Why a text is no query.

use alloc::string::String;

/// Text that is no query. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}; {hint}")]
pub struct ParseError {
    /// Where, in characters of the text, the first being 1. One past the end when something is missing there.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl ParseError {
    pub(crate) fn new(column: usize, message: impl Into<String>, hint: impl Into<String>) -> ParseError {
        ParseError { column, message: message.into(), hint: hint.into() }
    }
}
