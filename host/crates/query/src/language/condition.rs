//! A condition as it is written: `status>=500`, `level:error`, `label.host:"web 1"`.

use alloc::format;
use alloc::string::String;

use weir_fields::Number;
use weir_record::Level;
use weir_record::limits::QUERY_FIELD_NAME_BYTES_MAX;

use crate::language::error::ParseError;
use crate::language::expr::Expr;
use crate::language::field::{Operand, Operator, Scope};

/// The parts of a term that is a condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// All of it, without the quotes of a value.
    pub(crate) text: &'a str,
    name: &'a str,
    operator: Operator,
    /// Empty when it is missing, or in quotes behind the text.
    pub(crate) value: &'a str,
}

/// A condition's value.
pub(crate) enum Given<'a> {
    Bare(&'a str),
    Quoted(String),
}

impl<'a> Written<'a> {
    /// The parts of a term; `None` when it is no condition but a text.
    pub(crate) fn split(text: &'a str) -> Option<Written<'a>> {
        let name_bytes = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_bytes);
        if !name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@')) {
            return None;
        }
        let signs = [
            Operator::NotEqual,
            Operator::GreaterOrEqual,
            Operator::Greater,
            Operator::LessOrEqual,
            Operator::Less,
            Operator::Equal,
        ];
        let operator = signs.into_iter().find(|operator| rest.starts_with(operator.sign()))?;
        let value = &rest[operator.sign().len()..];
        // `foo::bar` and `http://…` are texts of their own.
        let says_place = name == "topic" || name.starts_with("label.") || name.starts_with("field.");
        let is_text =
            operator == Operator::Equal && (value.starts_with(':') || value.starts_with("//")) && !says_place;
        (!is_text).then_some(Written { text, name, operator, value })
    }

    /// Whether it is about the topic, and asks for it as one may.
    pub(crate) fn is_topic(&self) -> bool {
        self.name == "topic" && self.operator == Operator::Equal
    }

    /// How the topics begin that it asks for, when it ends in a `*`.
    pub(crate) fn topics(&self) -> Option<&'a str> {
        let start = self.is_topic().then(|| self.value.strip_suffix('*')).flatten();
        start.filter(|start| !start.contains('*'))
    }

    /// What it compares: for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self.name {
            "topic" => "topic",
            name if name.starts_with("label.") => "label",
            _ => "condition",
        }
    }

    /// The condition. `column` is where it begins, `value_column` where its value does.
    pub(crate) fn term(
        &self,
        column: usize,
        value_column: usize,
        given: Given<'_>,
    ) -> Result<Expr, ParseError> {
        let operator_column = column + self.name.chars().count();
        let exactly = |what: &str| {
            ParseError::new(
                operator_column,
                format!("{what} is compared with : alone"),
                format!("write {0}:VALUE for it, -{0}:VALUE for all others", self.name),
            )
        };
        if self.name.len() > QUERY_FIELD_NAME_BYTES_MAX {
            return Err(ParseError::new(
                column,
                format!("the name is longer than {QUERY_FIELD_NAME_BYTES_MAX} bytes"),
                "to find a long text put it in quotes",
            ));
        }
        match self.name.split_once('.') {
            None if self.name == "topic" => match self.operator {
                Operator::Equal => Ok(Expr::Topic(given.text())),
                _ => Err(exactly("a topic")),
            },
            Some(("label", name)) if !name.is_empty() => match self.operator {
                Operator::Equal => Ok(Expr::Label { name: name.into(), value: given.text() }),
                _ => Err(exactly("a label")),
            },
            Some((place @ ("label" | "field"), "")) => Err(ParseError::new(
                operator_column,
                format!("{place}. has no name behind it"),
                format!("write {place}.NAME:VALUE"),
            )),
            Some(("field", name)) => self.field(Scope::Payload, name, value_column, given),
            None if self.name == "level" => self.level(operator_column, value_column, &given.text()),
            _ => self.field(Scope::Any, self.name, value_column, given),
        }
    }

    fn field(&self, scope: Scope, name: &str, column: usize, given: Given<'_>) -> Result<Expr, ParseError> {
        let Written { operator, text, .. } = *self;
        let value = match given {
            Given::Bare(value) if value.starts_with(['<', '>', '=', '!']) => {
                return Err(ParseError::new(
                    column,
                    format!("the value begins like an operator behind {operator}"),
                    format!(
                        r#"operators are : != > >= < <=, as in {name}>=500; a text goes in quotes: {name}:"{value}""#
                    ),
                ));
            }
            Given::Bare(value) if Number::parse(value.as_bytes()).is_some() => Operand::Number(value.into()),
            Given::Bare(value) => Operand::Text(value.into()),
            Given::Quoted(value) => Operand::Text(value),
        };
        match &value {
            Operand::Text(value) if operator.is_order() => Err(ParseError::new(
                column,
                format!("{operator} compares numbers, and this is none"),
                if Number::parse(value.as_bytes()).is_some() {
                    format!("in quotes it is a text: write {name}{operator}{value}")
                } else {
                    format!(
                        r#"write a number, as in {name}{operator}500, without a unit; to find the text write "{text}""#
                    )
                },
            )),
            _ => Ok(Expr::Field { scope, name: name.into(), operator, value }),
        }
    }

    fn level(&self, operator_column: usize, column: usize, value: &str) -> Result<Expr, ParseError> {
        let operator = self.operator;
        let named = [
            ("error", Level::Error),
            ("err", Level::Error),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
            ("none", Level::None),
        ];
        let Some((_, level)) = named.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name)) else {
            let hint = match value.to_ascii_lowercase().as_str() {
                "fatal" | "critical" | "crit" | "panic" | "alert" | "emerg" | "severe" => "error",
                "notice" => "info",
                "trace" => "debug",
                _ => "",
            };
            let hint = if hint.is_empty() {
                format!("for a field of that name write field.level{operator}{value}")
            } else {
                format!(
                    "{value} counts as {hint}; for a field of that name write field.level{operator}{value}"
                )
            };
            return Err(ParseError::new(column, "levels are error, warn, info, debug and none", hint));
        };
        if level == Level::None && operator.is_order() {
            return Err(ParseError::new(
                operator_column,
                "none has no place in the order of levels",
                "records without a level are found by level:none, all others by -level:none",
            ));
        }
        Ok(Expr::Level { operator, level })
    }
}

impl Given<'_> {
    fn text(self) -> String {
        match self {
            Given::Bare(value) => value.into(),
            Given::Quoted(value) => value,
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-')
}
