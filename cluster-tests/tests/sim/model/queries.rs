//! Questions of the whole language.

use weir_query::{Buckets, Expr, Operand, Operator, Order, Scope};
use weir_record::{Level, RecordId};
use weir_storage::disk::sim::prng::Prng;

use super::lines::{NAMES, NUMBERS, TEXTS, WORDS, one_of};
use super::oracle::Sent;
use super::{BUCKET_MS, START_MS, UNITS};

/// What is asked at one time, in all the ways in which it can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) expr: Expr,
    pub(crate) from: RecordId,
    pub(crate) to: RecordId,
    pub(crate) limit: Option<u64>,
    pub(crate) order: Order,
    pub(crate) buckets: Buckets,
    /// Records before and after, and how far away.
    pub(crate) context: (usize, usize, u64),
}

const REGEXES: [&str; 22] = [
    "alph[a-z]",
    "(?i)timeout|kelvin",
    r"status\W+5\d\d",
    "^ERROR",
    r"\d+$",
    "[^a-z]{3}",
    "(alpha|beta) gamma",
    r"\bgamma_9\b",
    "(?s)a.b",
    "^$",
    r"(?-u)\xff",
    r"user \d+",
    "a/b",
    r"\bx\b.*é",
    "(?m)^beta",
    "alpha.beta|delta.{0,9}42",
    "0x[0-9a-f]{2}",
    r"level.{1,3}(warn|error)\b",
    "n[aï]+ve",
    r"\s$",
    "timeout (x|error) ",
    "(?i-u)straSSe|ALPHA",
];
const OPERATORS: [Operator; 8] = [
    Operator::Equal,
    Operator::Equal,
    Operator::Equal,
    Operator::NotEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
    Operator::Less,
    Operator::LessOrEqual,
];

/// A time at which something may be.
fn time_ms(prng: &mut Prng) -> u64 {
    START_MS - 5 + prng.below(UNITS * BUCKET_MS + 10)
}

impl Ask {
    /// A question; `sent` are records that may be found, to take ids and bytes of.
    pub(crate) fn draw(prng: &mut Prng, sent: &[Sent]) -> Ask {
        let expr = if prng.once_in(8) { Expr::All } else { tree(prng, sent, 3) };
        let id = |prng: &mut Prng| match some(prng, sent) {
            Some(sent) if prng.once_in(2) => sent.id,
            _ => RecordId::from_parts(time_ms(prng), u128::from(prng.next_u64())),
        };
        let from = if prng.once_in(2) { RecordId::MIN } else { id(prng) };
        let to = if prng.below(3) > 0 { RecordId::MAX } else { id(prng) };
        // From a bucket within a block to one that holds all.
        let width_ms = one_of(prng, &[1, 97, 1_000, BUCKET_MS / 3, BUCKET_MS, 5 * BUCKET_MS]);
        let buckets_from_ms = if prng.once_in(3) { time_ms(prng) } else { START_MS - prng.below(width_ms) };
        let buckets = Buckets::new(buckets_from_ms, width_ms, prng.between(1, 60));
        Ask {
            expr,
            from,
            to,
            limit: prng.once_in(2).then(|| prng.below(12)),
            order: if prng.once_in(2) { Order::Asc } else { Order::Desc },
            buckets: buckets.unwrap_or_else(|error| panic!("{error}")),
            context: (
                prng.below(4) as usize,
                prng.below(4) as usize,
                one_of(prng, &[0, 10, BUCKET_MS, 9 * BUCKET_MS]),
            ),
        }
    }
}

fn some<'a>(prng: &mut Prng, sent: &'a [Sent]) -> Option<&'a Sent> {
    sent.get(prng.below(sent.len() as u64 + 1) as usize)
}

fn tree(prng: &mut Prng, sent: &[Sent], depth: u64) -> Expr {
    if depth == 0 || prng.once_in(2) {
        return leaf(prng, sent);
    }
    let mut parts: Vec<Expr> = (0..prng.between(1, 3)).map(|_| tree(prng, sent, depth - 1)).collect();
    match prng.below(5) {
        0 | 1 => Expr::all_of(parts),
        2 | 3 => Expr::any_of(parts),
        _ => parts.swap_remove(0).negated(),
    }
}

fn leaf(prng: &mut Prng, sent: &[Sent]) -> Expr {
    match prng.below(20) {
        0..6 => word(prng, sent),
        6..9 => bytes(prng, sent),
        9..12 => Expr::Regex(one_of(prng, &REGEXES).to_owned()),
        12 if prng.once_in(2) => Expr::Topics(one_of(prng, &["we", "web", "x", ""]).to_owned()),
        12 => Expr::Topic(one_of(prng, &["web", "debug", "none"]).to_owned()),
        13 => {
            let (name, value) = one_of(
                prng,
                &[("host", "web1"), ("host", "web 2"), ("host", ""), ("zone", "a"), ("zone", "")],
            );
            Expr::Label { name: name.to_owned(), value: value.to_owned() }
        }
        14..18 => condition(prng),
        _ => {
            let level = one_of(prng, &[Level::Error, Level::Warn, Level::Info, Level::Debug, Level::None]);
            let operator = one_of(prng, &OPERATORS);
            let has_no_order = level == Level::None && operator.is_order();
            Expr::Level { operator: if has_no_order { Operator::Equal } else { operator }, level }
        }
    }
}

fn word(prng: &mut Prng, sent: &[Sent]) -> Expr {
    let text = match prng.below(6) {
        0 => one_of(prng, &["omega", "alph", "gamma", "alpha-beta", "x.42", "web1", "7f"]).to_owned(),
        // One that is in few lines.
        1 => match needle(prng, sent) {
            Some(needle) => needle,
            None => return word(prng, &[]),
        },
        _ => one_of(prng, &WORDS).to_owned(),
    };
    Expr::Word { text, any_case: prng.once_in(3) }
}

/// The hex digits of one line.
fn needle(prng: &mut Prng, sent: &[Sent]) -> Option<String> {
    let word = some(prng, sent)?.line.bytes.split(|byte| *byte == b' ').find(|word| word.len() == 16)?;
    let is_hex = word.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| String::from_utf8_lossy(word).into_owned())
}

fn bytes(prng: &mut Prng, sent: &[Sent]) -> Expr {
    let line = some(prng, sent).map_or(&b"lph"[..], |sent| &sent.line.bytes);
    let from = prng.below(line.len() as u64 + 1) as usize;
    let to = line.len().min(from + prng.between(1, 12) as usize);
    let cut = if from == to { b"\n" } else { &line[from..to] };
    let any_case = prng.once_in(3) && std::str::from_utf8(cut).is_ok();
    Expr::Bytes { bytes: cut.to_vec(), any_case }
}

fn condition(prng: &mut Prng) -> Expr {
    let scope = if prng.once_in(2) { Scope::Any } else { Scope::Payload };
    // A bare `level:` is the level, not a field.
    let name = if scope == Scope::Payload && prng.once_in(6) { "level" } else { one_of(prng, &NAMES) };
    let operator = one_of(prng, &OPERATORS);
    let value = if operator.is_order() || prng.once_in(2) {
        Operand::Number(one_of(prng, &NUMBERS).to_owned())
    } else {
        Operand::Text(if name == "level" { "warn".to_owned() } else { one_of(prng, &TEXTS).to_owned() })
    };
    Expr::Field { scope, name: name.to_owned(), operator, value }
}
