//! The query language: text to expression and back.
//!
//! | written | means |
//! |---|---|
//! | `payment declined` | both, each as a whole word; `AND` between them is allowed |
//! | `10.0.0.1`, `foo-bar` | these bytes, with no letter, digit, `_` or byte >= 0x80 directly before or after |
//! | `"lily ord"` | these bytes anywhere; escapes `\"` `\\` `\n` `\t` `\xHH` |
//! | `/timeout after \d+ms/` | a regular expression (Rust's `regex`); `\/` is a slash |
//! | `~word`, `~"text"` | the same in any case: simple case folding of Unicode, as `(?i)` in a regex |
//! | `-x`, `NOT x` | not |
//! | `a OR b` | either; binds weaker than standing side by side |
//! | `( … )` | grouping |
//! | `topic:orders`, `topic:"a b"` | the topic, exactly |
//! | `topic:team-*`, `topic:"my team "*` | topics that begin so |
//! | `label.host:web1` | a label, exactly; an absent label is as good as an empty one |
//! | `status>=500`, `user.id:42`, `a!="b c"` | a field of the payload, JSON or logfmt; operators `:` `!=` `>` `>=` `<` `<=` |
//! | `field.path:/x` | a field of the payload, also where its name means something else |
//! | `level:error`, `level>=warn` | the level that weir tells; error, warn, info, debug, none |
//!
//! The empty query is everything. A word is a maximal run of `[A-Za-z0-9_]` and bytes >= 0x80.
//!
//! **Fields.** A bare name is that of a field, and, in records whose payload has no such field, of a label.
//! Names are letters, digits, `_ @ . -`; dots lead into JSON objects. A value that is written like a number,
//! `500` or `5e2`, is compared by value with all that read as numbers, in quotes or not. Any other value, and
//! one in quotes, is compared as a text, exactly and as a whole; texts have no order. When a name has several
//! values (a key that comes twice, an array), a condition holds when it holds for one of them; `a!=b` holds
//! when there is a value and none is `b`. Records without the field match no condition on it; `-a:b` finds
//! them.
//!
//! **Levels.** They are the guess of [`Level::of`](weir_record::Level::of), which histograms count by, too:
//! from the first bytes of the payload, whatever its form. Error is the greatest. `none` has no place in the
//! order.
//!
//! **Pipes** may follow, `topic:orders | sample 0.1 | count by path`: filters that the records go through, see
//! [`Stage`].

mod condition;
mod error;
mod expr;
mod field;
mod lexer;
mod parser;
mod pipe;

pub use error::ParseError;
pub use expr::Expr;
pub use field::{Operand, Operator, Scope};
pub use parser::{parse, parse_regex};
pub use pipe::{Arg, ArgValue, Piped, Stage, parse_piped};
