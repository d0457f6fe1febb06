//! Which records a query finds: by table, and against a naive search of each payload on its own.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;
use regex::bytes::RegexBuilder;
use weir_record::limits::QUERY_REGEXES_MAX;

use super::*;
use crate::language::parse;

mod model;

fn stream() -> Stream {
    Stream::new("orders", [("host", "web1"), ("env", ""), ("n", "7")]).unwrap()
}

fn flat(payloads: &[Vec<u8>]) -> (Vec<u32>, Vec<u8>) {
    let mut end = 0;
    let ends = payloads.iter().map(|payload| {
        end += payload.len() as u32;
        end
    });
    (ends.collect(), payloads.concat())
}

fn found(expr: &Expr, payloads: &[Vec<u8>]) -> Vec<usize> {
    let (ends, arena) = flat(payloads);
    let mut hits = Vec::new();
    if let Some(matcher) = Matcher::compile(expr).unwrap().for_stream(&stream()) {
        matcher.scan(&ends, &arena, &mut |row| hits.push(row));
        // Any cut into ranges of rows finds the same.
        for cut in 0..=payloads.len() {
            let mut parts = Vec::new();
            matcher.scan_rows(&ends, &arena, 0..cut, &mut |row| parts.push(row));
            matcher.scan_rows(&ends, &arena, cut..payloads.len(), &mut |row| parts.push(row));
            assert_eq!(parts, hits, "cut at {cut}");
        }
        // So does a search of lines, whose newlines are nobody's.
        let mut lines = Vec::new();
        let ends: Vec<u32> = ends.iter().zip(1..).map(|(end, line)| end + line).collect();
        let arena: Vec<u8> =
            payloads.iter().flat_map(|payload| payload.iter().chain(b"\n")).copied().collect();
        matcher.scan_lines(&ends, &arena, 0..payloads.len(), &mut |row| lines.push(row));
        assert_eq!(lines, hits, "as lines");
    }
    hits
}

#[test]
fn queries_find_what_they_say() {
    let payloads: Vec<Vec<u8>> = [
        &b"payment declined: lily ordered"[..], // 0
        b"payments DECLINED",                   // 1
        b"",                                    // 2
        b"from 10.0.0.1 port 80",               // 3
        b"from 110.0.0.1 to 10.0.0.12",         // 4
        b"timeout after 120ms",                 // 5
        b"Timeout after many ms\nfoo-bar",      // 6
        b"pay\xffment caf\xc3\xa9 \xf0\x9f",    // 7
        b"pay",                                 // 8
        b"ment foo-bars",                       // 9
        b"a_b a-b",                             // 10
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let all: Vec<usize> = (0..payloads.len()).collect();
    let table: [(&str, &[usize]); 52] = [
        ("", &all),
        ("payment", &[0]),
        ("pay", &[8]),
        ("\"pay\"", &[0, 1, 7, 8]),
        ("\"payment\"", &[0, 1]),
        ("ment", &[9]),
        ("payment declined", &[0]),
        ("~declined", &[0, 1]),
        ("~\"TIMEOUT A\"", &[5, 6]),
        ("~CAFÉ", &[7]),
        ("~\"AFÉ \"", &[7]),
        ("~PAYMENT\u{17f}", &[1]),
        ("timeout OR payment", &[0, 5]),
        ("~timeout -\"120\"", &[6]),
        ("\"lily ord\"", &[0]),
        ("\"foo-bar\"", &[6, 9]),
        ("foo-bar", &[6]),
        ("10.0.0.1", &[3]),
        ("\"10.0.0.1\"", &[3, 4]),
        ("caf", &[]),
        ("café", &[7]),
        ("\"\\xff\"", &[7]),
        ("\"\\n\"", &[6]),
        ("a_b", &[10]),
        ("a", &[10]),
        ("b", &[10]),
        ("a-b", &[10]),
        (r"/after \d+ms/", &[5]),
        (r"/(?i)timeout .*ms/", &[5, 6]),
        (r"/^pay/", &[0, 1, 7, 8]),
        (r"/pay$/", &[8]),
        (r"/^$/", &[2]),
        (r"/ordered$|bars$/", &[0, 9]),
        (r"/\d{3}/", &[4, 5]),
        (r"/pay.ment/", &[]),
        (r"/(?s-u)pay.ment/", &[7]),
        (r"/caf\w /", &[7]),
        (r"/\bpay\b/", &[7, 8]),
        (r"/ms.foo/", &[]),
        (r"/(?s)ms.foo/", &[6]),
        (r"/lily/", &[0]),
        ("-payment", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("--payment", &[0]),
        ("-\"o\" -\"e\"", &[2, 8, 10]),
        ("-(\"o\" OR \"e\")", &[2, 8, 10]),
        ("payment OR -\"a\"", &[0, 2, 3, 4]),
        ("topic:orders payment", &[0]),
        ("topic:other payment", &[]),
        ("topic:other OR payment", &[0]),
        ("-topic:other label.host:web1 pay", &[8]),
        ("label.env:\"\" label.none:\"\" pay", &[8]),
        ("label.host:web2 OR -topic:orders", &[]),
    ];
    for (text, expected) in table {
        assert_eq!(found(&parse(text).unwrap(), &payloads), expected, "{text}");
    }
}

#[test]
fn streams_that_cannot_match_are_known_before_any_payload() {
    let verdict = |text: &str| {
        let matcher = Matcher::compile(&parse(text).unwrap()).unwrap();
        matcher.for_stream(&stream()).map(|matcher| matcher.matches_all())
    };
    assert_eq!(verdict(""), Some(true));
    assert_eq!(verdict("a"), Some(false));
    assert_eq!(verdict("topic:orders"), Some(true));
    assert_eq!(verdict("topic:orders OR a"), Some(true));
    assert_eq!(verdict("topic:orders a"), Some(false));
    assert_eq!(verdict("topic:x a"), None);
    assert_eq!(verdict("-topic:orders OR (a label.host:web2)"), None);
}

#[test]
fn a_hit_across_the_border_of_two_records_is_none() {
    let payloads: Vec<Vec<u8>> =
        [&b"ab"[..], b"cab", b"c", b"abc", b"abcab", b"c"].map(<[u8]>::to_vec).to_vec();
    for (text, expected) in [
        ("\"abc\"", &[3, 4][..]),
        ("abc", &[3]),
        ("~\"ABC\"", &[3, 4]),
        ("/ab+c/", &[3, 4]),
        ("/a.*c/", &[3, 4]),
        ("/a.*c|zzz/", &[3, 4]),
    ] {
        assert_eq!(found(&parse(text).unwrap(), &payloads), expected, "{text}");
    }
}

#[test]
fn regexes_that_explode_are_named_and_refused() {
    for pattern in [r"(\w{1,200}){200}", r"\w{1000}"] {
        let error = Matcher::compile(&Expr::Regex(pattern.into())).unwrap_err();
        assert_eq!(error, CompileError::RegexTooLarge { pattern: pattern.into() });
        assert!(format!("{error}").contains(pattern));
    }
    let error = Matcher::compile(&Expr::Regex("(".into())).unwrap_err();
    assert!(matches!(error, CompileError::Regex { .. }), "{error}");
    let many = Expr::any_of((0..=QUERY_REGEXES_MAX).map(|_| Expr::Regex("a+".into())));
    assert_eq!(Matcher::compile(&many).unwrap_err(), CompileError::Regexes(QUERY_REGEXES_MAX + 1));
}

/// The meaning of an expression, written as plainly as can be. `asks` tells of terms on fields and levels.
fn naive(expr: &Expr, payload: &[u8], asks: &dyn Fn(&Expr) -> bool) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    match expr {
        Expr::All => true,
        Expr::And(parts) => parts.iter().all(|part| naive(part, payload, asks)),
        Expr::Or(parts) => parts.iter().any(|part| naive(part, payload, asks)),
        Expr::Not(inner) => !naive(inner, payload, asks),
        Expr::Word { text, any_case } => places(text.as_bytes(), *any_case, payload).any(|(start, end)| {
            let text = text.as_bytes();
            let joined_before = word(&text[0]) && payload[..start].last().is_some_and(word);
            let joined_after = word(&text[text.len() - 1]) && payload[end..].first().is_some_and(word);
            !joined_before && !joined_after
        }),
        Expr::Bytes { bytes, any_case } => places(bytes, *any_case, payload).next().is_some(),
        Expr::Regex(pattern) => RegexBuilder::new(pattern).build().unwrap().is_match(payload),
        Expr::Topic(value) => stream().topic() == value,
        Expr::Topics(start) => stream().topic().starts_with(start.as_str()),
        Expr::Label { name, value } => stream().label(name).unwrap_or("") == value,
        Expr::Field { .. } | Expr::Level { .. } => asks(expr),
    }
}

/// Where a text stands: start and end of each occurrence, letter by letter.
fn places<'a>(
    text: &'a [u8],
    any_case: bool,
    payload: &'a [u8],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let forms: Vec<Vec<Vec<u8>>> = text
        .utf8_chunks()
        .flat_map(|chunk| {
            let letters =
                chunk.valid().chars().map(|c| if any_case { cases(c) } else { vec![c.to_string().into()] });
            let others = chunk.invalid().iter().map(|byte| vec![vec![*byte]]);
            letters.chain(others).collect::<Vec<_>>()
        })
        .collect();
    (0..payload.len()).filter_map(move |start| {
        let mut end = start;
        for letter in &forms {
            end += letter.iter().find(|form| payload[end..].starts_with(form))?.len();
        }
        Some((start, end))
    })
}

/// The letters of the tests in all their cases.
fn cases(c: char) -> Vec<Vec<u8>> {
    let known = ["kK\u{212a}", "sS\u{17f}", "éÉ"].into_iter().find(|same| same.contains(c));
    let same: Vec<char> = match known {
        Some(same) => same.chars().collect(),
        None => vec![c.to_ascii_lowercase(), c.to_ascii_uppercase()],
    };
    same.into_iter().map(|c| c.to_string().into()).collect()
}

fn texts() -> impl Strategy<Value = String> {
    "[abA_ .-]{1,3}|[kKsSéÉ\u{17f}\u{212a}ab ]{1,3}"
}

fn exprs() -> impl Strategy<Value = Expr> {
    let patterns = [
        "a+b",
        "^a",
        "b$",
        "a.*b",
        r"\ba",
        r"\w",
        "(?i)ab",
        "a|b.",
        "(ab|ba)+",
        "[^a]",
        "(?s-u)a.b",
        "é",
        "(?:)",
        r"\B",
        "(?i)A_|bb",
        "a{2}b?",
        r"\W-",
    ];
    let leaf = prop_oneof![
        4 => (texts(), any::<bool>()).prop_map(|(text, any_case)| Expr::Word { text, any_case }),
        4 => (texts(), any::<bool>()).prop_map(|(text, any_case)| Expr::Bytes { bytes: text.into(), any_case }),
        1 => Just(Expr::Bytes { bytes: b"\xa9a".to_vec(), any_case: true }),
        4 => prop::sample::select(patterns.to_vec()).prop_map(|pattern| Expr::Regex(pattern.into())),
        1 => prop::sample::select(vec!["orders", "x"]).prop_map(|topic| Expr::Topic(topic.into())),
        1 => prop::sample::select(vec!["", "ord", "orders", "x"]).prop_map(|start| Expr::Topics(start.into())),
        1 => prop::sample::select(vec!["web1", "x", ""])
            .prop_map(|value| Expr::Label { name: "host".into(), value: value.into() }),
        1 => Just(Expr::All),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::all_of),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::any_of),
            inner.prop_map(Expr::negated),
        ]
    })
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop::sample::select(b"abABbkS_ .-\n\xc3\xa9\x89\xe2\x84\xc5\xff".to_vec())
        .prop_map(|byte| vec![byte]);
    let letter = prop::sample::select(vec!["k", "s", "\u{212a}", "\u{17f}", "é", "É"]).prop_map(Into::into);
    let payload =
        prop::collection::vec(prop_oneof![3 => byte, 1 => letter], 0..7).prop_map(|parts| parts.concat());
    prop::collection::vec(payload, 0..9)
}

/// A hash of a word in whatever ASCII case, as filters use one.
fn word_hash(word: &[u8]) -> u64 {
    word.iter().fold(7, |hash: u64, byte| hash.wrapping_mul(1_000_003) ^ u64::from(byte.to_ascii_lowercase()))
}

/// Checks that filters exclude no record that matches, asked as the engine asks them.
fn check_words<'a>(expr: &Expr, hits: impl Iterator<Item = &'a [u8]>) {
    let Some(matcher) = Matcher::compile(expr).unwrap().for_stream(&stream()) else { return };
    let prune = matcher.required_words().hashed(&|word| Some(word_hash(word)));
    for payload in hits {
        let known: Vec<u64> =
            weir_record::word::words(payload).map(|(start, end)| word_hash(&payload[start..end])).collect();
        assert!(prune.may_match(&|hash| known.contains(&hash)), "{expr} in {}", payload.escape_ascii());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_scan_finds_what_a_naive_search_finds(expr in exprs(), payloads in payloads()) {
        let nothing = |_: &Expr| unreachable!("no term asks for fields");
        let is_hit = |row: &usize| naive(&expr, &payloads[*row], &nothing);
        let expected: Vec<usize> = (0..payloads.len()).filter(is_hit).collect();
        check_words(&expr, expected.iter().map(|&row| &*payloads[row]));
        prop_assert_eq!(found(&expr, &payloads), expected, "{}", expr);
    }
}
