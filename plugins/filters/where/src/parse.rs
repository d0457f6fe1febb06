//! The text of a condition as an expression.

use regex::bytes::RegexBuilder;
use weir_plugin_sdk::fields::{Decimal, Key, Number};
use weir_plugin_sdk::{Failure, time};

use crate::Expr;
use crate::test::{Check, Network, Order, Place, Test};

/// Parentheses within each other.
const DEPTH_MAX: usize = 64;
/// What a compiled regex may take.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// Operators, the longer ones first; whether they hold where the check doesn't, and which order they ask for.
const OPERATORS: [(&str, bool, Option<Order>); 10] = [
    ("!=", true, Some(Order::Equal)),
    ("!~", true, None),
    (">=", false, Some(Order::GreaterOrEqual)),
    ("<=", false, Some(Order::LessOrEqual)),
    ("==", false, Some(Order::Equal)),
    (">", false, Some(Order::Greater)),
    ("<", false, Some(Order::Less)),
    ("=", false, Some(Order::Equal)),
    (":", false, Some(Order::Equal)),
    ("~", false, None),
];

/// Reads a condition.
///
/// # Errors
/// With the column, in characters from 1, where it is none.
pub(crate) fn condition(text: &str) -> Result<Expr, Failure> {
    let mut reader = Reader { text, rest: text, depth: 0 };
    let expr = reader.either()?;
    if reader.peek() == Some(')') {
        return Err(reader.wrong("there is nothing to close with this )"));
    }
    Ok(expr)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Result<Expr, Failure> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self) -> Result<Expr, Failure> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") || !(self.is_at("or") || matches!(self.peek(), None | Some(')'))) {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self) -> Result<Expr, Failure> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(&format!("more than {DEPTH_MAX} conditions are nested")));
        }
        let expr = if self.keyword("not") {
            Expr::Not(Box::new(self.one()?))
        } else if self.sign("(") {
            let inner = self.either()?;
            self.close()?;
            inner
        } else {
            Expr::Test(Box::new(self.test()?))
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Test, Failure> {
        if self.keyword("exists") {
            return self.name().map(|name| test_of(name, Check::Exists, false));
        }
        let before = self.rest;
        let name = self.name()?;
        if name == "level" {
            self.rest = before;
            return Err(self.wrong(
                "level is what weir tells of a record, and is asked before the pipe; a field of that name is field.level",
            ));
        }
        let negated = self.keyword("not");
        if self.keyword("in") {
            return Ok(test_of(name, self.list()?, negated));
        }
        let found = OPERATORS.into_iter().find(|(sign, ..)| self.sign(sign)).filter(|_| !negated);
        let Some((_, negated, order)) = found else {
            return Err(self.wrong("an operator should follow the name: one of = != > >= < <= ~ !~, or in"));
        };
        let check = match order {
            Some(order) => self.compared(order)?,
            None => self.matched()?,
        };
        Ok(test_of(name, check, negated))
    }

    fn name(&mut self) -> Result<&'a str, Failure> {
        self.peek();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-');
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        if end == 0 || self.rest.starts_with(['.', '-']) {
            return Err(self.wrong("a condition should stand here, such as status>=500 or exists user.id"));
        }
        Ok(self.take(end))
    }

    /// A value to compare with: a number, a time, a duration, or a text.
    fn compared(&mut self, order: Order) -> Result<Check, Failure> {
        let at = self.rest;
        let (text, is_quoted) = self.value()?;
        if !is_quoted && let Some(number) = Number::parse(text.as_bytes()) {
            return Ok(Check::Number(order, Decimal::new(number)));
        }
        if order == Order::Equal {
            return Ok(Check::Text(text.into_bytes()));
        }
        if let Some(ns) = time::parse(text.as_bytes()) {
            return Ok(Check::Time(order, ns));
        }
        time::seconds(text.as_bytes()).map(|seconds| Check::Duration(order, seconds)).ok_or_else(|| {
            self.rest = at;
            self.wrong("texts have no order: here goes a number, a time such as 2026-01-01T00:00:00Z, or a duration such as 20ms")
        })
    }

    /// A regex, between slashes or in quotes.
    fn matched(&mut self) -> Result<Check, Failure> {
        self.peek();
        let at = self.rest;
        let pattern = if self.sign("/") { self.until('/', at)?.replace(r"\/", "/") } else { self.value()?.0 };
        let regex = RegexBuilder::new(&pattern).size_limit(REGEX_BYTES_MAX).build();
        regex.map(Check::Matches).map_err(|error| {
            self.rest = at;
            self.wrong(&format!("this is no regex: {error}"))
        })
    }

    fn list(&mut self) -> Result<Check, Failure> {
        if !self.sign("(") {
            return self.member();
        }
        let mut members = vec![self.member()?];
        while self.sign(",") {
            members.push(self.member()?);
        }
        self.close()?;
        Ok(Check::OneOf(members))
    }

    fn member(&mut self) -> Result<Check, Failure> {
        self.peek();
        let at = self.rest;
        let is_address = |text: &str| {
            text.split('/').next().is_some_and(|first| first.parse::<std::net::IpAddr>().is_ok())
        };
        let (text, is_quoted) = self.value()?;
        if !is_quoted && is_address(&text) {
            return Network::parse(&text).map(Check::Network).ok_or_else(|| {
                self.rest = at;
                self.wrong("this is no network: write 10.0.0.0/8 or fe80::/10")
            });
        }
        self.rest = at;
        self.compared(Order::Equal)
    }

    /// A text, in quotes or not, and whether it was.
    fn value(&mut self) -> Result<(String, bool), Failure> {
        self.peek();
        let at = self.rest;
        if self.sign("\"") {
            let text = self.until('"', at)?;
            return Ok((text.replace("\\\"", "\"").replace(r"\\", r"\"), true));
        }
        let is_end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"');
        let text = self.take(at.find(is_end).unwrap_or(at.len()));
        if text.is_empty() {
            return Err(self.wrong("a value should stand here; texts with blanks go in quotes"));
        }
        Ok((text.to_owned(), false))
    }

    /// What stands before an end that has no backslash before it; `at` is where it began.
    fn until(&mut self, end: char, at: &'a str) -> Result<&'a str, Failure> {
        let mut is_escaped = false;
        let found = self.rest.find(|c| {
            let is_end = c == end && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let Some(found) = found else {
            self.rest = at;
            return Err(self.wrong(&format!("what begins here is never closed: end it with {end}")));
        };
        let inner = self.take(found);
        self.take(end.len_utf8());
        Ok(inner)
    }

    fn close(&mut self) -> Result<(), Failure> {
        if self.sign(")") { Ok(()) } else { Err(self.wrong("a parenthesis before this is never closed")) }
    }

    /// The next character that is no blank; blanks are behind then.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.peek();
        let found = self.rest.strip_prefix(sign);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.is_at(word);
        if found {
            self.take(word.len());
        }
        found
    }

    /// Whether a keyword stands here, in any case, and not a field of that name.
    fn is_at(&mut self, word: &str) -> bool {
        self.peek();
        let (found, rest) = self.rest.split_at_checked(word.len()).unwrap_or_default();
        found.eq_ignore_ascii_case(word) && rest.chars().next().is_none_or(|c| c.is_whitespace() || c == '(')
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn wrong(&self, message: &str) -> Failure {
        let column = self.text[..self.text.len() - self.rest.len()].chars().count() + 1;
        Failure::bad_config("where.condition", format_args!("column {column} of the condition: {message}"))
    }
}

fn test_of(name: &str, check: Check, negated: bool) -> Test {
    let (place, name) = match name.split_once('.') {
        Some(("label", name)) => (Place::Label, name),
        Some(("field", name)) => (Place::Field, name),
        _ if name == "topic" => (Place::Label, "_topic"),
        _ => (Place::Any, name),
    };
    Test { place, name: name.to_owned(), key: Key::new(name), check, negated }
}
