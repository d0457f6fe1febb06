//! Pipes behind a query: what its records go through.
//!
//! `| name args | name args`. What an argument means is for the filter of that name to say; here a text becomes words,
//! quoted texts, regexes between slashes, and any of these with a name, `n=10`. A comma separates as a space does. The
//! text of the arguments is kept as it was written, too, for filters that have a language of their own.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use weir_record::limits::{QUERY_STAGE_ARGS_MAX, QUERY_STAGES_MAX};

use crate::language::error::ParseError;
use crate::language::expr::Expr;
use crate::language::lexer::Lexer;
use crate::language::parser;

/// A query with its pipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piped {
    /// What is searched for.
    pub expr: Expr,
    /// What matching records go through, in this order. At most [`QUERY_STAGES_MAX`].
    pub stages: Vec<Stage>,
}

/// One pipe as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name of a filter: letters, digits, `-` and `_`; or `sha256:` and the digest of a component.
    pub name: String,
    /// Where the name begins, in characters of the query, the first being 1.
    pub column: usize,
    /// What stands behind it, at most [`QUERY_STAGE_ARGS_MAX`].
    pub args: Vec<Arg>,
    /// The same as one text.
    pub text: String,
    /// Where that text begins.
    pub text_column: usize,
}

/// An argument of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Where it begins.
    pub column: usize,
    /// The name before a `=`.
    pub name: Option<String>,
    /// What it is.
    pub value: ArgValue,
}

/// How an argument was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgValue {
    /// Without quotes.
    Bare(String),
    /// In quotes, whose escapes are resolved.
    Quoted(String),
    /// Between slashes, which are not part of it.
    Regex(String),
}

/// Reads a query with pipes. See [`crate::language`] for what stands before the first.
pub fn parse_piped(text: &str) -> Result<Piped, ParseError> {
    let (expr, mut rest) = parser::leading(text)?;
    let mut stages = Vec::new();
    while rest.peek() == Some('|') {
        let column = rest.column();
        rest.take(1);
        if stages.len() == QUERY_STAGES_MAX {
            let message = format!("the query has more than {QUERY_STAGES_MAX} pipes");
            return Err(ParseError::new(column, message, "ask for less at once"));
        }
        stages.push(stage(&mut rest)?);
    }
    Ok(Piped { expr, stages })
}

/// What a component that has no name is called by: the hex digits of its SHA-256 follow.
const BY_DIGEST: &str = "sha256:";

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn stage(rest: &mut Lexer<'_>) -> Result<Stage, ParseError> {
    rest.skip_blank();
    let column = rest.column();
    let digest = if rest.text().starts_with(BY_DIGEST) { BY_DIGEST.len() } else { 0 };
    let end = rest.text()[digest..].find(|c| !is_name(c)).map_or(rest.text().len(), |end| digest + end);
    let name = rest.take(end).to_owned();
    if name.is_empty() {
        return Err(ParseError::new(
            column,
            "the name of a filter should follow the |",
            r#"write | count by path; for one or the other write a OR b; to find the character write "|""#,
        ));
    }
    if let Some(c) = rest.peek().filter(|c| !c.is_whitespace() && *c != '|') {
        let message = format!("{c} cannot be part of the name of a filter");
        return Err(ParseError::new(rest.column(), message, "put a space behind the name"));
    }
    rest.skip_blank();
    let (text_column, whole) = (rest.column(), rest.text());
    let mut args = Vec::new();
    while let Some(c) = rest.peek().filter(|c| *c != '|') {
        if c.is_whitespace() || c == ',' {
            rest.take(c.len_utf8());
            continue;
        }
        if args.len() == QUERY_STAGE_ARGS_MAX {
            let message = format!("more than {QUERY_STAGE_ARGS_MAX} arguments");
            return Err(ParseError::new(rest.column(), message, "write several as one regex /a|b|c/"));
        }
        args.push(arg(rest)?);
    }
    let text = whole[..whole.len() - rest.text().len()].trim_end().to_owned();
    Ok(Stage { name, column, args, text, text_column })
}

fn arg(rest: &mut Lexer<'_>) -> Result<Arg, ParseError> {
    let column = rest.column();
    let named = rest.text().split_once('=').map(|(name, _)| name);
    let named = named.filter(|name| !name.is_empty() && name.chars().all(is_name)).map(ToOwned::to_owned);
    if let Some(name) = &named {
        rest.take(name.len() + 1);
    }
    let value = match rest.peek() {
        Some('"') => ArgValue::Quoted(String::from_utf8(rest.string()?).map_err(|_| {
            ParseError::new(column, "the text is not UTF-8", "arguments of filters are text")
        })?),
        Some('/') if named.is_none() => ArgValue::Regex(rest.pattern()?),
        _ => {
            let is_end = |c: char| c.is_whitespace() || matches!(c, '|' | ',' | '"');
            let text = rest.text();
            let end = text.find(is_end).unwrap_or(text.len());
            match text[..end].find("~/") {
                // `path~/a|b/`: what ends a word doesn't end a regex.
                Some(tilde) if tilde > 0 => {
                    rest.take(tilde + 1);
                    rest.pattern()?;
                    ArgValue::Bare(text[..text.len() - rest.text().len()].to_owned())
                }
                _ => ArgValue::Bare(rest.take(end).to_owned()),
            }
        }
    };
    Ok(Arg { column, name: named, value })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let Piped { expr, stages } = parse_piped(text).unwrap();
        let mut shown = alloc::vec![expr.to_string()];
        for Stage { name, column, args, text, text_column } in stages {
            let args: Vec<String> = args
                .iter()
                .map(|arg| {
                    let name = arg.name.as_ref().map_or(String::new(), |name| format!("{name}="));
                    match &arg.value {
                        ArgValue::Bare(text) => format!("{}:{name}{text}", arg.column),
                        ArgValue::Quoted(text) => format!("{}:{name}<{text}>", arg.column),
                        ArgValue::Regex(text) => format!("{}:/{text}/", arg.column),
                    }
                })
                .collect();
            shown.push(format!("{column} {name} [{}] {text_column} {text}", args.join(" ")));
        }
        shown
    }

    #[test]
    fn stages_are_read_with_their_places() {
        for (text, expected) in [
            ("a b", &["a b"][..]),
            ("a|count", &["a", "3 count [] 8 "]),
            ("| count by path, host", &["", "3 count [9:by 12:path 18:host] 9 by path, host"]),
            (
                "é | sample 0.1 | top n=3 x",
                &["é", "5 sample [12:0.1] 12 0.1", "18 top [22:n=3 26:x] 22 n=3 x"],
            ),
            (
                r#""a|b" | grep "x|\"y" /c|d\/e/ "#,
                &[r#""a|b""#, r#"9 grep [14:<x|"y> 22:/c|d/e/] 14 "x|\"y" /c|d\/e/"#],
            ),
            (
                r#"a | where path="/x y" ok=yes"#,
                &["a", r#"5 where [11:path=</x y> 23:ok=yes] 11 path="/x y" ok=yes"#],
            ),
            (
                "a | where status>=500 and x!=2",
                &["a", "5 where [11:status>=500 23:and 27:x!=2] 11 status>=500 and x!=2"],
            ),
            (
                r"a | where path~/b|c d\// x | f ~/g",
                &["a", r"5 where [11:path~/b|c d\// 26:x] 11 path~/b|c d\// x", "30 f [32:~/g] 32 ~/g"],
            ),
            ("a | f path=/b/c", &["a", "5 f [7:path=/b/c] 7 path=/b/c"]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_pipe_is_told_with_its_column() {
        let many = format!("a{}", " | x".repeat(QUERY_STAGES_MAX + 1));
        let args = format!("a | x{}", " y".repeat(QUERY_STAGE_ARGS_MAX + 1));
        for (text, column, words) in [
            ("a |", 4, "the name of a filter"),
            ("a || b", 4, "the name of a filter"),
            ("a | \"x\"", 5, "the name of a filter"),
            ("a | x(1)", 6, "cannot be part"),
            ("a | grep \"x", 10, "never closed"),
            ("a | grep /x", 10, "never closed"),
            ("a | grep \"\\xff\"", 10, "not UTF-8"),
            ("(a | x", 1, "never closed"),
            (many.as_str(), 3 + 4 * QUERY_STAGES_MAX, "more than"),
            (args.as_str(), 7 + 2 * QUERY_STAGE_ARGS_MAX, "more than"),
        ] {
            let error = parse_piped(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
    }
}
