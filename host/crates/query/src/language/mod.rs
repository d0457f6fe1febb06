//! The query language: text to expression and back.
//!
//! | written | means |
//! |---|---|
//! | `payment declined` | both, each as a whole word; `AND` between them is allowed |
//! | `10.0.0.1`, `foo-bar` | these bytes, with no letter, digit, `_` or byte >= 0x80 directly before or after |
//! | `"lily ord"` | these bytes anywhere; escapes `\"` `\\` `\n` `\t` `\xHH` |
//! | `/timeout after \d+ms/` | a regular expression (Rust's `regex`); `\/` is a slash |
//! | `~word`, `~"text"` | the same in any ASCII case |
//! | `-x`, `NOT x` | not |
//! | `a OR b` | either; binds weaker than standing side by side |
//! | `( … )` | grouping |
//! | `topic:orders`, `topic:"a b"` | the topic, exactly |
//! | `label.host:web1` | a label, exactly; an absent label is as good as an empty one |
//!
//! The empty query is everything. A word is a maximal run of `[A-Za-z0-9_]` and bytes >= 0x80.
//!
//! Conditions on fields of the payload (`status>=500`, `level:error`) and pipes are known to the parser, so
//! that their text is refused with an explanation rather than searched for.

mod error;
mod expr;
mod lexer;
mod parser;

pub use error::ParseError;
pub use expr::Expr;
pub use parser::{parse, parse_regex};
