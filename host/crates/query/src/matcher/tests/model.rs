//! Conditions on fields against a model: records are made as values, evaluated as values, and searched as
//! the text that an encoder makes of them.

use core::cmp::Ordering;
use core::fmt::Write as _;

use weir_record::Level;

use super::*;
use crate::language::{Operand, Operator, Scope};
use crate::matcher::field::Field;

#[derive(Debug, Clone)]
enum Json {
    /// A number, `true`, `false`, `null`: as it is written.
    Token(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

#[derive(Debug, Clone)]
enum Part {
    Prose(String),
    Pair(String, String),
    Object(Vec<(String, Json)>),
}

/// A record, and the seed of its encoder.
#[derive(Debug, Clone)]
struct Record {
    parts: Vec<Part>,
    seed: u64,
}

/// Makes choices of an encoder.
struct Dice(u64);

impl Dice {
    fn one_in(&mut self, count: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(count)
    }
}

fn write_string(out: &mut String, text: &str, is_json: bool, dice: &mut Dice) {
    out.push('"');
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "_-.,:@ ".contains(c) => out.push(c),
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '/' if dice.one_in(2) => out.push_str("\\/"),
            c if !is_json && c.is_ascii() && dice.one_in(3) => write!(out, "\\x{:02x}", c as u32).unwrap(),
            c if c.is_control() || dice.one_in(2) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap());
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_blank(out: &mut String, dice: &mut Dice) {
    while dice.one_in(4) {
        out.push(if dice.one_in(3) { '\n' } else { ' ' });
    }
}

fn write_members(out: &mut String, members: &[(String, Json)], dice: &mut Dice) {
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        write_blank(out, dice);
        write_string(out, key, true, dice);
        write_blank(out, dice);
        out.push(':');
        write_json(out, value, dice);
    }
    out.push('}');
}

fn write_json(out: &mut String, json: &Json, dice: &mut Dice) {
    write_blank(out, dice);
    match json {
        Json::Token(token) => out.push_str(token),
        Json::Text(text) => write_string(out, text, true, dice),
        Json::Object(members) => write_members(out, members, dice),
        Json::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_json(out, element, dice);
            }
            out.push(']');
        }
    }
    write_blank(out, dice);
}

impl Record {
    fn payload(&self) -> Vec<u8> {
        let dice = &mut Dice(self.seed);
        let mut out = String::new();
        for (index, part) in self.parts.iter().enumerate() {
            out.push_str(if index > 0 { " " } else { "" });
            match part {
                Part::Prose(text) => out.push_str(text),
                Part::Pair(name, value) => {
                    out.extend([name, "="]);
                    let bare = value.chars().all(|c| !c.is_whitespace() && !",;)]}\"{".contains(c));
                    if bare && dice.one_in(2) {
                        out.push_str(value);
                        out.push_str(if dice.one_in(4) { "," } else { "" });
                    } else {
                        write_string(&mut out, value, false, dice);
                    }
                }
                Part::Object(members) => {
                    let from = out.len();
                    write_members(&mut out, members, dice);
                    serde_json::from_str::<serde_json::Value>(&out[from..]).expect("the encoder writes JSON");
                }
            }
        }
        out.into_bytes()
    }

    /// The values of a name.
    fn values(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        for part in &self.parts {
            match part {
                Part::Prose(_) => {}
                Part::Pair(key, value) => values.extend((key == name).then(|| value.clone())),
                Part::Object(members) => collect("", members, name, &mut values),
            }
        }
        values
    }
}

/// The values of all paths, of which those with the name are kept.
fn collect(path: &str, members: &[(String, Json)], name: &str, values: &mut Vec<String>) {
    fn add(path: &str, json: &Json, name: &str, values: &mut Vec<String>) {
        match json {
            Json::Token(text) | Json::Text(text) => values.extend((path == name).then(|| text.clone())),
            Json::Array(elements) => elements.iter().for_each(|element| add(path, element, name, values)),
            Json::Object(members) => collect(&format!("{path}."), members, name, values),
        }
    }
    for (key, value) in members {
        add(&format!("{path}{key}"), value, name, values);
    }
}

fn number(text: &str) -> Option<f64> {
    let form = regex::Regex::new(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$").unwrap();
    form.is_match(text).then(|| text.parse().unwrap())
}

fn holds(operator: Operator, operand: &Operand, value: &str) -> bool {
    let order = match operand {
        Operand::Text(text) => (text == value).then_some(Ordering::Equal),
        Operand::Number(wanted) => {
            number(value).and_then(|value| value.partial_cmp(&number(wanted).expect("a number")))
        }
    };
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

/// What a term on a field or level says of a record.
fn asks(expr: &Expr, record: &Record, payload: &[u8]) -> bool {
    match expr {
        Expr::Field { scope, name, operator, value } => {
            let mut values = record.values(name);
            if values.is_empty() && *scope == Scope::Any {
                values.extend(stream().label(name).filter(|label| !label.is_empty()).map(String::from));
            }
            if *operator == Operator::NotEqual {
                !values.is_empty() && values.iter().all(|found| holds(*operator, value, found))
            } else {
                values.iter().any(|found| holds(*operator, value, found))
            }
        }
        Expr::Level { operator, level } => {
            let rank = |level| {
                [Level::None, Level::Debug, Level::Info, Level::Warn, Level::Error]
                    .iter()
                    .position(|l| *l == level)
            };
            let (found, wanted) = (rank(Level::of(payload)), rank(*level));
            match operator {
                Operator::Equal => found == wanted,
                Operator::NotEqual => found != wanted,
                _ if found == Some(0) => false,
                Operator::Greater => found > wanted,
                Operator::GreaterOrEqual => found >= wanted,
                Operator::Less => found < wanted,
                Operator::LessOrEqual => found <= wanted,
            }
        }
        _ => unreachable!("asked of other terms"),
    }
}

const TEXTS: [&str; 22] = [
    "",
    "a",
    "error",
    "500",
    "5e2",
    "7",
    "-1.5",
    "web1",
    "pay ment",
    "pay\nment",
    "a/b",
    "x<pay>",
    "é",
    "naïve pay",
    "😀",
    "say \"hi\"",
    "\\",
    "b.c:d",
    "1.2.3",
    "warn",
    "x a=1 y",
    "{\"a\":500}",
];
const KEYS: [&str; 11] = ["a", "b", "a.b", "status", "user.id", "x-y", "@t", "é", "host", "n", "level"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(String::from),
        1 => "[abé/<\"\\\\ .=1]{0,5}",
    ]
}

fn number_text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["500", "500.0", "5e2", "499.9", "-3", "0", "7", "0.7e1", "1e3"])
        .prop_map(String::from)
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(KEYS.to_vec()).prop_map(String::from)
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        3 => text().prop_map(Json::Text),
        2 => number_text().prop_map(Json::Token),
        1 => prop::sample::select(vec!["true", "false", "null"]).prop_map(|token| Json::Token(token.into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
            prop::collection::vec((key(), inner), 0..4).prop_map(Json::Object),
        ]
    })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let part = prop_oneof![
        2 => prop::sample::select(vec!["2026-01-02", "INFO", "ERROR", "error", "pay", "a", "status 500", "[warn]"])
            .prop_map(|text| Part::Prose(text.into())),
        2 => (key(), prop_oneof![text(), number_text()]).prop_map(|(key, value)| Part::Pair(key, value)),
        3 => prop::collection::vec((key(), json()), 0..5).prop_map(Part::Object),
    ];
    let record = (prop::collection::vec(part, 0..4), any::<u64>());
    prop::collection::vec(record.prop_map(|(parts, seed)| Record { parts, seed }), 1..5)
}

fn operators() -> impl Strategy<Value = Operator> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    prop::sample::select(vec![Equal, Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual])
}

fn conditions() -> impl Strategy<Value = Expr> {
    let scope = prop::sample::select(vec![Scope::Any, Scope::Payload]);
    prop_oneof![
        (scope.clone(), key(), any::<bool>(), text()).prop_map(|(scope, name, equal, text)| Expr::Field {
            scope,
            name,
            operator: if equal { Operator::Equal } else { Operator::NotEqual },
            value: Operand::Text(text),
        }),
        (scope, key(), operators(), number_text()).prop_map(|(scope, name, operator, number)| Expr::Field {
            scope,
            name,
            operator,
            value: Operand::Number(number),
        }),
    ]
}

fn queries() -> impl Strategy<Value = Expr> {
    let levels = vec![Level::Error, Level::Warn, Level::Info, Level::Debug];
    let leaf = prop_oneof![
        6 => conditions(),
        1 => (operators(), prop::sample::select(levels)).prop_map(|(operator, level)| Expr::Level { operator, level }),
        1 => Just(Expr::Level { operator: Operator::NotEqual, level: Level::None }),
        2 => exprs(),
        1 => prop::sample::select(vec!["pay", "error", "status"])
            .prop_map(|text| Expr::Word { text: text.into(), any_case: false }),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::all_of),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::any_of),
            inner.prop_map(Expr::negated),
        ]
    })
}

/// Bytes put in, taken out, or doubled.
fn mutated(mut payload: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for &(place, byte) in changes {
        let at = place % (payload.len() + 1);
        match byte {
            0..40 => drop(payload.drain(at..(at + usize::from(byte)).min(payload.len()))),
            40..60 => payload.truncate(at),
            60..90 => payload.insert(at, b"{}[]\",:\\= "[usize::from(byte) % 10]),
            _ => payload.insert(at, byte),
        }
    }
    payload
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]
    #[test]
    fn conditions_find_what_the_model_says(expr in queries(), records in records()) {
        let payloads: Vec<Vec<u8>> = records.iter().map(Record::payload).collect();
        let is_hit = |row: &usize| {
            let payload = &payloads[*row];
            naive(&expr, payload, &|term| asks(term, &records[*row], payload))
        };
        let expected: Vec<usize> = (0..payloads.len()).filter(is_hit).collect();
        check_words(&expr, expected.iter().map(|&row| &*payloads[row]));
        prop_assert_eq!(found(&expr, &payloads), expected, "{}", expr);
    }

    #[test]
    fn shortcuts_change_nothing_on_broken_payloads(
        condition in conditions(),
        records in records(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
    ) {
        if !matches!(&condition, Expr::Field { scope: Scope::Any, name, .. } if name == "level") {
            prop_assert_eq!(parse(&format!("{condition}")), Ok(condition.clone()));
        }
        let Expr::Field { name, operator, value, .. } = &condition else { unreachable!("a condition") };
        let field = Field::new(name, *operator, value);
        let payload = mutated(records[0].payload(), &changes);
        for absent in [false, true] {
            prop_assert_eq!(field.matches(&payload, absent), field.matches_walked(&payload, absent));
        }
        if field.matches_walked(&payload, false) {
            let condition = Expr::Field { scope: Scope::Payload, name: name.clone(), operator: *operator, value: value.clone() };
            check_words(&condition, core::iter::once(&*payload));
            prop_assert_eq!(found(&condition, &[payload]), [0]);
        }
    }
}
