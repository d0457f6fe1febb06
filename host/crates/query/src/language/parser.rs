//! Tokens as an expression.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::iter::Peekable;

use weir_record::limits::{QUERY_DEPTH_MAX, QUERY_REGEXES_MAX, REGEX_BYTES_MAX};

use crate::language::error::ParseError;
use crate::language::expr::Expr;
use crate::language::lexer::{self, Lexer, Token, TokenKind};
use crate::matcher::CompileError;
use crate::matcher::pattern::compiled;

/// Reads a query without pipes. See [`crate::language`] for what may be written.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let (expr, rest) = leading(text)?;
    match rest.peek() {
        None => Ok(expr),
        Some(_) => Err(ParseError::new(
            rest.column(),
            "there are no pipes here",
            r#"for one or the other write a OR b; to find the character write "|""#,
        )),
    }
}

/// What stands before the first pipe, and what is left from there.
pub(crate) fn leading(text: &str) -> Result<(Expr, Lexer<'_>), ParseError> {
    let (tokens, rest) = lexer::tokens(text)?;
    if tokens.is_empty() {
        return Ok((Expr::All, rest));
    }
    let mut parser =
        Parser { tokens: tokens.into_iter().peekable(), end: rest.column(), depth: 0, regexes: 0 };
    let expr = parser.either()?;
    match parser.tokens.next() {
        None => Ok((expr, rest)),
        Some(token) => Err(ParseError::new(
            token.column,
            "this parenthesis was never opened",
            r#"remove it, or write ")" to find the character"#,
        )),
    }
}

/// A query that is one regular expression, written without slashes.
pub fn parse_regex(pattern: &str) -> Result<Expr, ParseError> {
    if pattern.is_empty() {
        return Ok(Expr::All);
    }
    if pattern.len() > weir_record::limits::QUERY_BYTES_MAX {
        let max = weir_record::limits::QUERY_BYTES_MAX;
        let message = format!("the regex has {} bytes, more than {max}", pattern.len());
        return Err(ParseError::new(1, message, "ask for less at once"));
    }
    // Columns count from the first character of the pattern, which has no slash before it.
    check_regex(pattern, 0, false)?;
    Ok(Expr::Regex(pattern.to_string()))
}

struct Parser<I: Iterator<Item = Token>> {
    tokens: Peekable<I>,
    end: usize,
    depth: usize,
    regexes: usize,
}

impl<I: Iterator<Item = Token>> Parser<I> {
    /// `a b OR c d`
    fn either(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.all()?];
        while self.tokens.next_if(|token| token.kind == TokenKind::Or).is_some() {
            parts.push(self.all()?);
        }
        Ok(Expr::any_of(parts))
    }

    /// `a b AND c`
    fn all(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.unary()?];
        while let Some(token) = self.tokens.peek() {
            match token.kind {
                TokenKind::Or | TokenKind::Close => break,
                TokenKind::And => {
                    self.tokens.next();
                }
                TokenKind::Open | TokenKind::Not | TokenKind::Term(_) => {}
            }
            parts.push(self.unary()?);
        }
        Ok(Expr::all_of(parts))
    }

    /// `-a`, `NOT a`, `(…)`, `a`
    fn unary(&mut self) -> Result<Expr, ParseError> {
        let missing = |column, message: &str| {
            ParseError::new(column, message, r#"to find one of these words or signs put it in quotes: "OR""#)
        };
        let Some(Token { column, kind }) = self.tokens.next() else {
            return Err(missing(self.end, "the query ends where a term should follow"));
        };
        match kind {
            TokenKind::Term(Expr::Regex(pattern)) => {
                self.regexes += 1;
                if self.regexes > QUERY_REGEXES_MAX {
                    return Err(ParseError::new(
                        column,
                        format!("the query has more than {QUERY_REGEXES_MAX} regexes"),
                        "write alternatives as one /a|b|c/",
                    ));
                }
                check_regex(&pattern, column, true)?;
                Ok(Expr::Regex(pattern))
            }
            TokenKind::Term(term) => Ok(term),
            TokenKind::Not => {
                self.enter(column)?;
                let inner = self.unary()?;
                self.depth -= 1;
                Ok(inner.negated())
            }
            TokenKind::Open => {
                self.enter(column)?;
                let inner = self.either()?;
                self.depth -= 1;
                match self.tokens.next_if(|token| token.kind == TokenKind::Close) {
                    Some(_) => Ok(inner),
                    None => Err(ParseError::new(
                        column,
                        "this parenthesis is never closed",
                        r#"close it with ), or write "(" to find the character"#,
                    )),
                }
            }
            TokenKind::Or => Err(missing(column, "OR stands where a term should")),
            TokenKind::And => Err(missing(column, "AND stands where a term should")),
            TokenKind::Close => Err(missing(column, "the parenthesis closes where a term should stand")),
        }
    }

    fn enter(&mut self, column: usize) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > QUERY_DEPTH_MAX {
            return Err(ParseError::new(
                column,
                format!("the query is nested deeper than {QUERY_DEPTH_MAX}"),
                "remove parentheses that are not needed",
            ));
        }
        Ok(())
    }
}

/// Checks the syntax and the compiled size of a regex, so that its errors point into the query. `column` is that of
/// the opening slash, if there is one.
fn check_regex(pattern: &str, column: usize, slashed: bool) -> Result<(), ParseError> {
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern);
    let (span, kind) = match parsed {
        Ok(_) => return check_regex_size(pattern, column.max(1)),
        Err(regex_syntax::Error::Parse(error)) => (*error.span(), error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (*error.span(), error.kind().to_string()),
        Err(other) => {
            return Err(ParseError::new(column.max(1), "the regex cannot be read", other.to_string()));
        }
    };
    let before = pattern.get(..span.start.offset).unwrap_or_default();
    // Every slash of the pattern was written with a backslash.
    let written = before.chars().count() + if slashed { before.matches('/').count() } else { 0 };
    let at_meta = pattern[before.len()..].chars().next().is_some_and(regex_syntax::is_meta_character);
    let hint = if at_meta {
        r#"write \ before a character to find it as it is, or use "quotes" for plain text"#
    } else {
        r#"the syntax is that of Rust's regex crate; "quotes" find plain text"#
    };
    Err(ParseError::new(column + 1 + written, format!("in the regex: {kind}"), hint))
}

fn check_regex_size(pattern: &str, column: usize) -> Result<(), ParseError> {
    match compiled(pattern) {
        Ok(_) => Ok(()),
        Err(CompileError::RegexTooLarge { .. }) => Err(ParseError::new(
            column,
            format!("the regex needs more than {REGEX_BYTES_MAX} bytes when compiled"),
            r"make its repetitions {n,m} smaller, or write (?-u) before \w and \d to leave Unicode out",
        )),
        Err(other) => Err(ParseError::new(column, other.to_string(), "write it in another way")),
    }
}

#[cfg(test)]
mod tests;
