//! Query text as tokens. Whatever is no token is refused here, with the form that is.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{QUERY_BYTES_MAX, QUERY_TERMS_MAX};

use crate::language::condition::{Given, Written};
use crate::language::error::ParseError;
use crate::language::expr::Expr;

/// One token and where it begins, in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) column: usize,
    pub(crate) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Open,
    Close,
    And,
    Or,
    Not,
    Term(Expr),
}

/// All tokens of a query up to its first pipe, and what is left.
pub(crate) fn tokens(text: &str) -> Result<(Vec<Token>, Lexer<'_>), ParseError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(ParseError::new(
            1,
            format!("the query has {} bytes, more than {QUERY_BYTES_MAX}", text.len()),
            "ask for less at once",
        ));
    }
    let mut lexer = Lexer { rest: text, column: 1 };
    let mut tokens = Vec::new();
    let mut terms = 0;
    while let Some(token) = lexer.token()? {
        terms += usize::from(matches!(token.kind, TokenKind::Term(_)));
        if terms > QUERY_TERMS_MAX {
            return Err(ParseError::new(
                token.column,
                format!("the query has more than {QUERY_TERMS_MAX} terms"),
                "ask for less at once, or write alternatives as one /a|b|c/",
            ));
        }
        tokens.push(token);
    }
    Ok((tokens, lexer))
}

/// Whether a topic or label value can stand without quotes.
pub(crate) fn is_bare_value(value: &str) -> bool {
    !value.is_empty() && !value.contains('*') && value.chars().all(is_bare)
}

/// Whether a character can be part of a term without quotes.
fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | '|')
}

/// Text that is being read.
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Option<Token>, ParseError> {
        self.skip_blank();
        let column = self.column;
        let Some(first) = self.peek().filter(|first| *first != '|') else { return Ok(None) };
        let kind = match first {
            '(' => self.sign(TokenKind::Open),
            ')' => self.sign(TokenKind::Close),
            '"' => TokenKind::Term(Expr::Bytes { bytes: self.quoted()?, any_case: false }),
            '/' => TokenKind::Term(Expr::Regex(self.regex()?)),
            '~' => TokenKind::Term(self.any_case()?),
            '-' => self.minus()?,
            _ => self.bare()?,
        };
        Ok(Some(Token { column, kind }))
    }

    /// Where the rest begins, in characters from 1.
    pub(crate) fn column(&self) -> usize {
        self.column
    }

    /// What was not read yet.
    pub(crate) fn text(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn skip_blank(&mut self) {
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.take(blank);
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(crate) fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.column += taken.chars().count();
        taken
    }

    fn take_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.take(c.len_utf8());
        Some(c)
    }

    fn sign(&mut self, kind: TokenKind) -> TokenKind {
        self.take_char();
        kind
    }

    fn minus(&mut self) -> Result<TokenKind, ParseError> {
        let column = self.column;
        self.take_char();
        match self.peek() {
            Some(c) if !c.is_whitespace() && c != ')' => Ok(TokenKind::Not),
            _ => Err(ParseError::new(
                column,
                "nothing follows the -",
                r#"-word leaves out records with the word; to find the character write "-""#,
            )),
        }
    }

    fn any_case(&mut self) -> Result<Expr, ParseError> {
        let column = self.column;
        self.take_char();
        match self.peek() {
            Some('"') => Ok(Expr::Bytes { bytes: self.quoted()?, any_case: true }),
            Some('/') => Err(ParseError::new(
                column,
                "~ does not go with a regex",
                "for any case begin the regex with (?i), as in /(?i)timeout/",
            )),
            Some(c) if is_bare(c) => {
                let (column, text) = (self.column, self.bare_text()?);
                match Written::split(text) {
                    None => Ok(Expr::Word { text: text.into(), any_case: true }),
                    Some(_) => Err(ParseError::new(
                        column,
                        "conditions are compared exactly, not in any case",
                        format!(r#"write it without the ~; to find the text write ~"{text}""#),
                    )),
                }
            }
            _ => Err(ParseError::new(
                column,
                "nothing follows the ~",
                r#"~word finds the word in any case; to find the character write "~""#,
            )),
        }
    }

    fn bare(&mut self) -> Result<TokenKind, ParseError> {
        let column = self.column;
        let text = self.bare_text()?;
        Ok(match text {
            "AND" => TokenKind::And,
            "OR" => TokenKind::Or,
            "NOT" => TokenKind::Not,
            "&&" => {
                return Err(ParseError::new(
                    column,
                    "&& is not an operator",
                    r#"terms side by side must all be found: write a b; to find the text write "&&""#,
                ));
            }
            _ => TokenKind::Term(match Written::split(text) {
                None => Expr::Word { text: text.into(), any_case: false },
                Some(written) => self.condition(column, &written)?,
            }),
        })
    }

    /// A run of bare characters. What stands directly behind it must not look like a part of it, except
    /// the quotes of a value.
    fn bare_text(&mut self) -> Result<&'a str, ParseError> {
        let column = self.column;
        let end = self.rest.find(|c| !is_bare(c)).unwrap_or(self.rest.len());
        let text = self.take(end);
        let condition = Written::split(text);
        let quotes_value = condition.is_some_and(|condition| condition.value.is_empty());
        match self.peek() {
            Some('"') if !quotes_value => Err(ParseError::new(
                self.column,
                "a quote inside a term",
                format!(r#"put a space before it, or quote the whole: "{text}\"…\"""#),
            )),
            Some('(') => Err(ParseError::new(
                self.column,
                "a parenthesis inside a term",
                format!(r#"put a space before it to group, or quote the whole: "{text}(…""#),
            )),
            _ if condition.as_ref().is_some_and(|condition| condition.topics().is_some()) => Ok(text),
            _ if text.ends_with('*') && condition.is_some() => Err(ParseError::new(
                column,
                "* is no wildcard here",
                r"a range is written status>=500 status<600, a pattern as a regex, such as /status\W+5\d\d/",
            )),
            _ if text.starts_with('*') || text.ends_with('*') => Err(ParseError::new(
                column,
                "* is no wildcard here",
                format!(
                    r#"a part of a word is found by "{}", a pattern by a regex such as /\bfoo\w*/"#,
                    text.trim_matches('*')
                ),
            )),
            _ => Ok(text),
        }
    }

    /// A condition, whose value may follow in quotes.
    fn condition(&mut self, column: usize, written: &Written<'_>) -> Result<Expr, ParseError> {
        let value_column = self.column - written.value.chars().count();
        if let Some(start) = written.topics() {
            return Ok(Expr::Topics(start.into()));
        }
        if !written.value.is_empty() {
            return written.term(column, value_column, Given::Bare(written.value));
        }
        let noun = written.noun();
        if self.peek() != Some('"') {
            let text = written.text;
            return Err(ParseError::new(
                self.column,
                format!("the {noun} has no value"),
                format!(
                    r#"write it directly behind, as in topic:orders or topic:"my orders"; to find the text write "{text}""#
                ),
            ));
        }
        let value = self.string()?;
        let is_start = written.is_topic() && self.peek() == Some('*');
        if is_start {
            self.take_char();
        }
        self.separated("quote", r#"to find a quote write \" inside the quotes"#)?;
        let value = String::from_utf8(value).map_err(|_| {
            ParseError::new(
                column,
                format!("the value of the {noun} is not UTF-8"),
                "topics, labels and fields are text",
            )
        })?;
        if is_start {
            Ok(Expr::Topics(value))
        } else {
            written.term(column, value_column, Given::Quoted(value))
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, ParseError> {
        let column = self.column;
        let bytes = self.quoted_or_empty()?;
        if bytes.is_empty() {
            return Err(ParseError::new(
                column,
                "an empty text is in every record",
                "leave it out to see all records",
            ));
        }
        Ok(bytes)
    }

    fn quoted_or_empty(&mut self) -> Result<Vec<u8>, ParseError> {
        let bytes = self.string()?;
        self.separated("quote", r#"to find a quote write \" inside the quotes"#)?;
        Ok(bytes)
    }

    /// A text in quotes, whatever follows.
    pub(crate) fn string(&mut self) -> Result<Vec<u8>, ParseError> {
        let start = self.column;
        self.take_char();
        let mut bytes = Vec::new();
        loop {
            let column = self.column;
            match self.take_char() {
                None => {
                    return Err(ParseError::new(
                        start,
                        "this quote is never closed",
                        r#"end the text with ", and write \" for a quote inside it"#,
                    ));
                }
                Some('"') => break,
                Some('\\') => bytes.push(self.escape(column)?),
                Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(bytes)
    }

    fn escape(&mut self, column: usize) -> Result<u8, ParseError> {
        let known = r#"escapes are \" \\ \n \t and \xHH; for a backslash write \\"#;
        match self.take_char() {
            Some('"') => Ok(b'"'),
            Some('\\') => Ok(b'\\'),
            Some('n') => Ok(b'\n'),
            Some('t') => Ok(b'\t'),
            Some('x') => {
                let digits =
                    self.rest.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let value =
                    value.ok_or_else(|| ParseError::new(column, r"\x without two hex digits", known))?;
                self.take(2);
                Ok(value)
            }
            Some(c) => Err(ParseError::new(column, format!("unknown escape \\{c}"), known)),
            None => Err(ParseError::new(column, "the text ends in a backslash", known)),
        }
    }

    fn regex(&mut self) -> Result<String, ParseError> {
        let pattern = self.pattern()?;
        self.separated(
            "regex",
            r#"a path goes in quotes: "/var/log"; for any case begin the regex with (?i)"#,
        )?;
        Ok(pattern)
    }

    /// A pattern between slashes, whatever follows.
    pub(crate) fn pattern(&mut self) -> Result<String, ParseError> {
        let start = self.column;
        self.take_char();
        let mut pattern = String::new();
        loop {
            match self.take_char() {
                None => {
                    return Err(ParseError::new(
                        start,
                        "this regex is never closed",
                        r#"end it with /, and write \/ for a slash inside it; a path goes in quotes: "/var/log""#,
                    ));
                }
                Some('/') => break,
                Some('\\') => match self.take_char() {
                    Some('/') => pattern.push('/'),
                    escaped => {
                        pattern.push('\\');
                        pattern.extend(escaped);
                    }
                },
                Some(c) => pattern.push(c),
            }
        }
        if pattern.is_empty() {
            return Err(ParseError::new(
                start,
                "an empty regex matches every record",
                "leave it out to see all records",
            ));
        }
        Ok(pattern)
    }

    /// A term must not touch the next one: `/var/log` and `"a"b` are not what they seem.
    fn separated(&self, what: &str, hint: &str) -> Result<(), ParseError> {
        match self.peek() {
            Some(c) if !c.is_whitespace() && c != ')' && c != '|' => Err(ParseError::new(
                self.column,
                format!("there is no space after the end of the {what}"),
                hint,
            )),
            _ => Ok(()),
        }
    }
}
