//! A compiled expression as a tree, and what is left of it for one stream.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::limits::QUERY_REGEXES_MAX;
use weir_record::{Level, Stream};

use crate::context::is_same_source;
use crate::language::{Expr, Operator, Scope};
use crate::matcher::CompileError;
use crate::matcher::field::{self, Field};
use crate::matcher::literal::{Case, Literal};
use crate::matcher::pattern::{self, Pattern};
use crate::matcher::required::Needles;

#[derive(Debug, Clone)]
pub(crate) enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Literal(Arc<Literal>),
    Pattern(Arc<Pattern>),
    Topic(String),
    /// The beginning of a topic.
    Topics(String),
    Label {
        name: String,
        value: String,
    },
    /// The topic and the labels but for the marks that weir sets.
    Source(Arc<Stream>),
    Field {
        field: Arc<Field>,
        absent: Absent,
    },
    Level {
        operator: Operator,
        level: Level,
    },
}

/// What a condition on a field says of records without the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// What the label of that name says: to be asked.
    AskLabel,
    Holds,
    Fails,
}

/// A tree once the stream is known.
pub(crate) enum Resolved {
    Never,
    Always,
    /// It depends on the payload. No term that asks for the stream is left.
    Depends(Node),
}

impl Node {
    pub(crate) fn compile(expr: &Expr) -> Result<Node, CompileError> {
        let regexes = count_regexes(expr);
        if regexes > QUERY_REGEXES_MAX {
            return Err(CompileError::Regexes(regexes));
        }
        Node::of(expr)
    }

    fn of(expr: &Expr) -> Result<Node, CompileError> {
        let all = |parts: &[Expr]| {
            let mut nodes: Vec<Node> = parts.iter().map(Node::of).collect::<Result<_, _>>()?;
            // The cheapest test first; the answer is the same.
            nodes.sort_by_key(Node::cost);
            Ok::<_, CompileError>(nodes)
        };
        Ok(match expr {
            Expr::All => Node::All,
            Expr::And(parts) => Node::And(all(parts)?),
            Expr::Or(parts) => Node::Or(all(parts)?),
            Expr::Not(inner) => Node::Not(Box::new(Node::of(inner)?)),
            Expr::Word { text, any_case } => literal(text.as_bytes(), *any_case, true)?,
            Expr::Bytes { bytes, any_case } => literal(bytes, *any_case, false)?,
            Expr::Regex(pattern) => {
                let hir = pattern::hir(pattern)?;
                match pattern::plain_text(&hir) {
                    Some(text) => literal(text, false, false)?,
                    None => Node::Pattern(Arc::new(Pattern::compile(pattern, &hir)?)),
                }
            }
            Expr::Topic(value) => Node::Topic(value.clone()),
            Expr::Topics(start) => Node::Topics(start.clone()),
            Expr::Label { name, value } => Node::Label { name: name.clone(), value: value.clone() },
            Expr::Field { scope, name, operator, value } => Node::Field {
                field: Arc::new(Field::new(name, *operator, value)),
                absent: if *scope == Scope::Any { Absent::AskLabel } else { Absent::Fails },
            },
            Expr::Level { operator, level } => Node::Level { operator: *operator, level: *level },
        })
    }

    fn cost(&self) -> usize {
        match self {
            Node::All | Node::Topic(_) | Node::Topics(_) | Node::Label { .. } | Node::Source(_) => 0,
            Node::Literal(literal) => 1 + usize::from(literal.needle.case != Case::Exact),
            Node::Pattern(pattern) => {
                if pattern.needles.is_some() {
                    4
                } else {
                    16
                }
            }
            Node::Level { .. } => 3,
            Node::Field { .. } => 6,
            Node::Not(inner) => inner.cost(),
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::cost).sum(),
        }
    }

    pub(crate) fn asks_for_stream(&self) -> bool {
        match self {
            Node::Topic(_) | Node::Topics(_) | Node::Label { .. } | Node::Source(_) => true,
            Node::Field { absent, .. } => *absent == Absent::AskLabel,
            Node::And(parts) | Node::Or(parts) => parts.iter().any(Node::asks_for_stream),
            Node::Not(inner) => inner.asks_for_stream(),
            Node::All | Node::Literal(_) | Node::Pattern(_) | Node::Level { .. } => false,
        }
    }

    /// Tells for each term that asks for the stream, in the order of the tree, whether it holds.
    pub(crate) fn ask_stream(&self, stream: &Stream, tell: &mut dyn FnMut(bool)) {
        match self {
            Node::Topic(_)
            | Node::Topics(_)
            | Node::Label { .. }
            | Node::Source(_)
            | Node::Field { absent: Absent::AskLabel, .. } => {
                tell(self.holds_for(stream));
            }
            Node::And(parts) | Node::Or(parts) => {
                for part in parts {
                    part.ask_stream(stream, tell);
                }
            }
            Node::Not(inner) => inner.ask_stream(stream, tell),
            Node::All | Node::Literal(_) | Node::Pattern(_) | Node::Field { .. } | Node::Level { .. } => {}
        }
    }

    /// Whether a term that asks for the stream holds; others hold for none.
    fn holds_for(&self, stream: &Stream) -> bool {
        match self {
            Node::Topic(value) => stream.topic() == value,
            Node::Topics(start) => stream.topic().starts_with(start.as_str()),
            Node::Label { name, value } => stream.label(name).unwrap_or_default() == value,
            Node::Source(source) => is_same_source(source, stream),
            Node::Field { field, .. } => field.holds_for_label(stream),
            _ => false,
        }
    }

    /// What is left once the stream is known. Without a stream, terms that ask for it hold for none.
    pub(crate) fn resolve(&self, stream: Option<&Stream>) -> Resolved {
        let constant = |holds| if holds { Resolved::Always } else { Resolved::Never };
        match self {
            Node::All => Resolved::Always,
            Node::Topic(_) | Node::Topics(_) | Node::Label { .. } | Node::Source(_) => {
                constant(stream.is_some_and(|stream| self.holds_for(stream)))
            }
            Node::Field { field, absent: Absent::AskLabel } => {
                let holds = stream.is_some_and(|stream| self.holds_for(stream));
                let absent = if holds { Absent::Holds } else { Absent::Fails };
                Resolved::Depends(Node::Field { field: Arc::clone(field), absent })
            }
            Node::Literal(_) | Node::Pattern(_) | Node::Field { .. } | Node::Level { .. } => {
                Resolved::Depends(self.clone())
            }
            Node::Not(inner) => match inner.resolve(stream) {
                Resolved::Never => Resolved::Always,
                Resolved::Always => Resolved::Never,
                Resolved::Depends(inner) => Resolved::Depends(Node::Not(Box::new(inner))),
            },
            Node::And(parts) => {
                let mut left = Vec::new();
                for part in parts {
                    match part.resolve(stream) {
                        Resolved::Never => return Resolved::Never,
                        Resolved::Always => {}
                        Resolved::Depends(node) => left.push(node),
                    }
                }
                joined(left, Resolved::Always, Node::And)
            }
            Node::Or(parts) => {
                let mut left = Vec::new();
                for part in parts {
                    match part.resolve(stream) {
                        Resolved::Always => return Resolved::Always,
                        Resolved::Never => {}
                        Resolved::Depends(node) => left.push(node),
                    }
                }
                joined(left, Resolved::Never, Node::Or)
            }
        }
    }

    /// Whether a payload matches. Only for what [`Node::resolve`] left: terms that ask for the stream hold
    /// for none here.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.matches(payload)),
            Node::Or(parts) => parts.iter().any(|part| part.matches(payload)),
            Node::Not(inner) => !inner.matches(payload),
            Node::Literal(literal) => literal.is_in(payload),
            Node::Pattern(pattern) => pattern.regex.is_match(payload),
            Node::Field { field, absent } => field.matches(payload, *absent == Absent::Holds),
            Node::Level { operator, level } => field::level_matches(payload, *operator, *level),
            Node::Topic(_) | Node::Topics(_) | Node::Label { .. } | Node::Source(_) => false,
        }
    }

    /// Texts of which one is in every payload that matches.
    pub(crate) fn needles(&self) -> Option<Needles> {
        match self {
            Node::Literal(literal) => Some(Needles::one(literal.needle.clone())),
            Node::Pattern(pattern) => pattern.needles.clone(),
            Node::And(parts) => parts.iter().map(Node::needles).fold(None, Needles::better),
            Node::Or(parts) => Needles::any_of(parts.iter().map(Node::needles)),
            Node::Field { field, absent: Absent::Fails } => field.needles(),
            Node::Field { .. }
            | Node::Level { .. }
            | Node::All
            | Node::Not(_)
            | Node::Topic(_)
            | Node::Topics(_)
            | Node::Label { .. }
            | Node::Source(_) => None,
        }
    }
}

fn joined(mut left: Vec<Node>, when_empty: Resolved, join: fn(Vec<Node>) -> Node) -> Resolved {
    match left.len() {
        0 => when_empty,
        1 => Resolved::Depends(left.swap_remove(0)),
        _ => Resolved::Depends(join(left)),
    }
}

fn literal(bytes: &[u8], any_case: bool, whole_word: bool) -> Result<Node, CompileError> {
    match Literal::new(bytes, any_case, whole_word) {
        Some(literal) => Ok(Node::Literal(Arc::new(literal))),
        None => Err(CompileError::RegexTooLarge { pattern: String::from_utf8_lossy(bytes).into_owned() }),
    }
}

fn count_regexes(expr: &Expr) -> usize {
    match expr {
        Expr::Regex(_) => 1,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(count_regexes).sum(),
        Expr::Not(inner) => count_regexes(inner),
        Expr::All
        | Expr::Word { .. }
        | Expr::Bytes { .. }
        | Expr::Topic(_)
        | Expr::Topics(_)
        | Expr::Label { .. }
        | Expr::Field { .. }
        | Expr::Level { .. } => 0,
    }
}
