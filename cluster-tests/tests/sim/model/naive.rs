//! The same questions, answered by looking at one record after the other: no filter, no block, no shortcut.

use std::cmp::Ordering;

use regex::bytes::{Regex, RegexBuilder};
use weir_query::{Expr, Operand, Operator, Scope};
use weir_record::{Level, Stream};

use super::lines::Line;

/// A question that can be asked of one record.
pub(crate) enum Naive {
    All,
    And(Vec<Naive>),
    Or(Vec<Naive>),
    Not(Box<Naive>),
    Word { regex: Regex, is_bound: [bool; 2] },
    Regex(Regex),
    Topic(String),
    Topics(String),
    Label { name: String, value: String },
    Field { scope: Scope, name: String, operator: Operator, value: Operand },
    Level { operator: Operator, level: Level },
}

impl Naive {
    pub(crate) fn new(expr: &Expr) -> Naive {
        let all = |parts: &[Expr]| parts.iter().map(Naive::new).collect();
        match expr {
            Expr::All => Naive::All,
            Expr::And(parts) => Naive::And(all(parts)),
            Expr::Or(parts) => Naive::Or(all(parts)),
            Expr::Not(inner) => Naive::Not(Box::new(Naive::new(inner))),
            Expr::Word { text, any_case } => {
                let ends = [text.bytes().next(), text.bytes().last()];
                let is_bound = ends.map(|byte| byte.is_some_and(is_word));
                Naive::Word { regex: literal(text.as_bytes(), *any_case), is_bound }
            }
            Expr::Bytes { bytes, any_case } => Naive::Regex(literal(bytes, *any_case)),
            Expr::Regex(pattern) => Naive::Regex(compiled(pattern)),
            Expr::Topic(topic) => Naive::Topic(topic.clone()),
            Expr::Topics(start) => Naive::Topics(start.clone()),
            Expr::Label { name, value } => Naive::Label { name: name.clone(), value: value.clone() },
            Expr::Field { scope, name, operator, value } => {
                Naive::Field { scope: *scope, name: name.clone(), operator: *operator, value: value.clone() }
            }
            Expr::Level { operator, level } => Naive::Level { operator: *operator, level: *level },
        }
    }

    /// Whether a record is meant.
    pub(crate) fn means(&self, stream: &Stream, line: &Line) -> bool {
        match self {
            Naive::All => true,
            Naive::And(parts) => parts.iter().all(|part| part.means(stream, line)),
            Naive::Or(parts) => parts.iter().any(|part| part.means(stream, line)),
            Naive::Not(inner) => !inner.means(stream, line),
            Naive::Word { regex, is_bound } => has_word(regex, *is_bound, &line.bytes),
            Naive::Regex(regex) => regex.is_match(&line.bytes),
            Naive::Topic(topic) => stream.topic() == topic,
            Naive::Topics(start) => stream.topic().starts_with(start.as_str()),
            Naive::Label { name, value } => stream.label(name).unwrap_or_default() == value,
            Naive::Field { scope, name, operator, value } => {
                let own = line.fields.iter().filter(|(known, _)| known == name);
                let mut values: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
                if values.is_empty() && *scope == Scope::Any {
                    values.extend(stream.label(name).filter(|label| !label.is_empty()));
                }
                match operator {
                    // There is a value, and none is equal.
                    Operator::NotEqual => {
                        !values.is_empty() && values.iter().all(|found| holds(*operator, value, found))
                    }
                    _ => values.iter().any(|found| holds(*operator, value, found)),
                }
            }
            Naive::Level { operator, level } => {
                let gravity = |level: Level| 4 - level as u8;
                match operator {
                    Operator::Equal | Operator::NotEqual => {
                        operator.holds(gravity(line.level).cmp(&gravity(*level)))
                    }
                    _ => {
                        line.level != Level::None && operator.holds(gravity(line.level).cmp(&gravity(*level)))
                    }
                }
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn compiled(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).build().unwrap_or_else(|error| panic!("{error}"))
}

/// These bytes and no others, or in any case; only text has a case.
fn literal(bytes: &[u8], any_case: bool) -> Regex {
    match std::str::from_utf8(bytes) {
        Ok(text) if any_case => compiled(&format!("(?i){}", regex::escape(text))),
        _ => compiled(
            &bytes.iter().fold("(?-u)".to_owned(), |pattern, byte| format!("{pattern}\\x{byte:02x}")),
        ),
    }
}

fn has_word(regex: &Regex, [before, after]: [bool; 2], payload: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = regex.find_at(payload, at) {
        let stands_alone =
            |bound: bool, byte: Option<&u8>| !bound || !byte.is_some_and(|byte| is_word(*byte));
        let left = found.start().checked_sub(1).and_then(|place| payload.get(place));
        if stands_alone(before, left) && stands_alone(after, payload.get(found.end())) {
            return true;
        }
        at = found.start() + 1;
    }
    false
}

fn number(text: &str) -> Option<f64> {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-').then(|| text.parse().ok()).flatten()
}

fn holds(operator: Operator, wanted: &Operand, value: &str) -> bool {
    let order = match wanted {
        Operand::Text(text) => (text == value).then_some(Ordering::Equal),
        Operand::Number(wanted) => match (number(value), number(wanted)) {
            (Some(value), Some(wanted)) => value.partial_cmp(&wanted),
            _ => None,
        },
    };
    order.map_or(operator == Operator::NotEqual, |order| operator.holds(order))
}
