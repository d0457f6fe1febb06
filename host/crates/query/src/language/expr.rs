//! What a query asks for.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use weir_fields::Number;
use weir_record::Level;
use weir_record::level::LEVEL_NAMES;

use crate::language::field::{Operand, Operator, Scope};
use crate::language::lexer;

/// A query as a tree. Printing it gives text that parses to the same tree, provided it was parsed or built
/// with [`Expr::all_of`], [`Expr::any_of`] and [`Expr::negated`] of words that can be written bare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Every record: the empty query.
    All,
    /// All of at least two, none of which is an `And`.
    And(Vec<Expr>),
    /// At least one of at least two, none of which is an `Or`.
    Or(Vec<Expr>),
    /// All records but these.
    Not(Box<Expr>),
    /// A text with no word byte (`[A-Za-z0-9_]` or >= 0x80) directly before or after it. Ends of the text
    /// that are no word bytes themselves may have anything beside them.
    Word {
        /// The text, not empty.
        text: String,
        /// Whether letters match in any case: simple case folding of Unicode, as `(?i)` in a regex.
        any_case: bool,
    },
    /// Bytes anywhere in the payload.
    Bytes {
        /// The bytes, not empty.
        bytes: Vec<u8>,
        /// Whether letters match in any case: simple case folding of Unicode, as `(?i)` in a regex.
        any_case: bool,
    },
    /// A regular expression, searched within one payload: `^` and `$` are its ends.
    Regex(String),
    /// The topic of the stream, exactly.
    Topic(String),
    /// How the topic of the stream begins.
    Topics(String),
    /// A label of the stream, exactly. Empty stands for absent too.
    Label {
        /// Name of the label.
        name: String,
        /// Its value.
        value: String,
    },
    /// A field of the payload. Absent, it holds for no operator.
    Field {
        /// Where it is looked for.
        scope: Scope,
        /// Its name, a path into JSON: one that can be written.
        name: String,
        /// How it is compared.
        operator: Operator,
        /// What with. A text has no order.
        value: Operand,
    },
    /// The level that the payload names, as weir tells it: [`Level::of`]. Graver is greater; records that name
    /// none are outside of the order.
    Level {
        /// How it is compared.
        operator: Operator,
        /// What with.
        level: Level,
    },
}

impl Expr {
    /// All of several; flattened, and [`Expr::All`] when there is none.
    pub fn all_of(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::All => {}
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::All,
            1 => flat.swap_remove(0),
            _ => Expr::And(flat),
        }
    }

    /// At least one of several; flattened. One that is everything makes it everything.
    ///
    /// # Panics
    /// When there is none: a programming error.
    pub fn any_of(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::All => return Expr::All,
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        assert!(!flat.is_empty(), "either of nothing is not a query");
        if flat.len() == 1 { flat.swap_remove(0) } else { Expr::Or(flat) }
    }

    /// All records but these.
    #[must_use]
    pub fn negated(self) -> Expr {
        Expr::Not(Box::new(self))
    }

    /// These bytes anywhere, case counting.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Expr {
        Expr::Bytes { bytes: bytes.into(), any_case: false }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::All => Ok(()),
            Expr::And(parts) => {
                write_joined(f, parts, " ", |part| matches!(part, Expr::And(_) | Expr::Or(_)))
            }
            Expr::Or(parts) => write_joined(f, parts, " OR ", |part| matches!(part, Expr::Or(_))),
            Expr::Not(inner) => {
                f.write_char('-')?;
                write_grouped(f, inner, matches!(**inner, Expr::And(_) | Expr::Or(_)))
            }
            Expr::Word { text, any_case } => write!(f, "{}{text}", tilde(*any_case)),
            Expr::Bytes { bytes, any_case } => {
                f.write_str(tilde(*any_case))?;
                write_quoted(f, bytes)
            }
            Expr::Regex(pattern) => write_regex(f, pattern),
            Expr::Topic(value) => {
                f.write_str("topic:")?;
                write_value(f, value)
            }
            Expr::Topics(start) if lexer::is_bare_value(start) || start.is_empty() => {
                write!(f, "topic:{start}*")
            }
            Expr::Topics(start) => {
                f.write_str("topic:")?;
                write_quoted(f, start.as_bytes())?;
                f.write_char('*')
            }
            Expr::Label { name, value } => {
                write!(f, "label.{name}:")?;
                write_value(f, value)
            }
            Expr::Field { scope, name, operator, value } => {
                let scope = if *scope == Scope::Payload { "field." } else { "" };
                write!(f, "{scope}{name}{operator}")?;
                match value {
                    Operand::Number(number) => f.write_str(number),
                    Operand::Text(text) => write_text(f, text),
                }
            }
            Expr::Level { operator, level } => write!(f, "level{operator}{}", LEVEL_NAMES[*level as usize]),
        }
    }
}

fn tilde(any_case: bool) -> &'static str {
    if any_case { "~" } else { "" }
}

fn write_joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    between: &str,
    needs_group: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        write_grouped(f, part, needs_group(part))?;
    }
    Ok(())
}

fn write_grouped(f: &mut fmt::Formatter<'_>, expr: &Expr, group: bool) -> fmt::Result {
    if group { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    if lexer::is_bare_value(value) { f.write_str(value) } else { write_quoted(f, value.as_bytes()) }
}

/// A text that is no number, and could not be taken for a part of the operator.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let looks_else = text.starts_with(['<', '>', '=', '!', ':'])
        || text.starts_with("//")
        || Number::parse(text.as_bytes()).is_some();
    if looks_else { write_quoted(f, text.as_bytes()) } else { write_value(f, text) }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    c.encode_utf8(&mut utf8).bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                }
                c => f.write_char(c)?,
            }
        }
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
    }
    f.write_char('"')
}

fn write_regex(f: &mut fmt::Formatter<'_>, pattern: &str) -> fmt::Result {
    f.write_char('/')?;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => f.write_str("\\/")?,
            '\\' => {
                f.write_char(c)?;
                chars.next().map_or(Ok(()), |escaped| f.write_char(escaped))?;
            }
            c => f.write_char(c)?,
        }
    }
    f.write_char('/')
}
