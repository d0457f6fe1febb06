//! Which values a name has, by table; that a glance agrees with a walk; and what costs time.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

/// The values of a name that are one of some texts, in the order of the payload, `?` for each other.
fn values(payload: &str, name: &str) -> String {
    let texts = ["", "1", "2", "3", "x", "a b", "a\"b", "é/", "null", "true", "x,", "[1,2]", "b=1", "-1.50"];
    let mut found = Vec::new();
    visit(payload.as_bytes(), name.as_bytes(), &mut |value| {
        let mut matching = texts.iter().filter(|text| value.is_text(text.as_bytes()));
        found.push(matching.next_back().map_or("?", |text| text).to_string());
        true
    });
    found.join("|")
}

#[test]
fn names_have_the_values_that_stand_in_the_payload() {
    for (payload, name, expected) in [
        // JSON.
        (r#"{"a":1,"b":"x"}"#, "a", "1"),
        (r#"{"a":1,"b":"x"}"#, "b", "x"),
        (r#"{"a":1,"b":"x"}"#, "c", ""),
        (" { \"a\" :\t\"a\\\"b\" ,\n\"b\": \"\\u00e9\\/\" } ", "a", "a\"b"),
        (" { \"a\" :\t\"a\\\"b\" ,\n\"b\": \"\\u00e9\\/\" } ", "b", "é/"),
        (r#"{"u":{"i":1,"j":{"i":2}},"i":3}"#, "u.i", "1"),
        (r#"{"u":{"i":1,"j":{"i":2}},"i":3}"#, "u.j.i", "2"),
        (r#"{"u":{"i":1,"j":{"i":2}},"i":3}"#, "i", "3"),
        (r#"{"u.i":1,"u":{"i":2},"u.j":{"k.l":3}}"#, "u.i", "1|2"),
        (r#"{"u.i":1,"u":{"i":2},"u.j":{"k.l":3}}"#, "u.j.k.l", "3"),
        (r#"{"a":null,"b":true,"a":-1.50}"#, "a", "null|-1.50"),
        (r#"{"a":[1,"x",[2],{"a":3}]}"#, "a", "1|x|2"),
        (r#"{"a":[{"b":1},{"c":0},{"b":[2,3]}]}"#, "a.b", "1|2|3"),
        (r#"{"a":{"b":1}}"#, "a", ""),
        (r#"{"a":[],"b":{}}"#, "a", ""),
        (r#"{"é":1,"\u00e9":2}"#, "é", "1|2"),
        // Plain characters stand for themselves.
        (r#"{"\u0061":1}"#, "a", ""),
        (r#"{"m":"a=1 \"a\":2 {\"a\":3}","a":"x"}"#, "a", "x"),
        (r#"{"m":{"x":["}",{"a":3}]},"a":1}"#, "a", "1"),
        // Around and behind JSON, and JSON that is none.
        (r#"2026-01-01 INFO {x} {"a":1} took=2 a=3 {"a":"x"}"#, "a", "1|3|x"),
        (r#"{"b":1 oops "a":2} a=3"#, "a", "3"),
        (r#"{"b":1,"a":2 oops"#, "a", "2"),
        (r#"{"a":"x","a":"cut"#, "a", "x"),
        (r#"{"a":"x","a":1"#, "a", "x"),
        (r#"{"a":"x","a":[1,"x",2"#, "a", "x|1|x"),
        (r#"{"b":None,"a":1,}"#, "a", "1"),
        (r#"{{{"a":1}"#, "a", "1"),
        ("{} {\n\"a\"\n:\n1\n}", "a", "1"),
        // logfmt.
        ("a=1 b=2", "a", "1"),
        ("a=1 b=2", "b", "2"),
        ("a=\"a b\" m=\"x a=2 c\" a=3", "a", "a b|3"),
        (r#"a="a\"b" u.i=1"#, "a", "a\"b"),
        (r#"a="a\"b" u.i=1"#, "u.i", "1"),
        (r#"a="a\"b" u.i=1"#, "i", ""),
        ("GET /x?a=1&a=2 ba=3 -a=1", "a", ""),
        ("ctx={a=1, b=2} [a=3] (a=x)", "a", "1|3|x"),
        ("a= a=\"\" a=", "a", "||"),
        ("a=x, a=[1,2] a=b=1", "a", "x,|[1,2]|b=1"),
        ("p={\"a\":1} a=2", "a", "1|2"),
        ("p={\"a\":1} p={1}", "p", "?"),
        ("m=\"cut off a=1", "a", ""),
        ("m=\"cut off a=1", "m", ""),
        ("a == b a=1", "a", "1"),
    ] {
        assert_eq!(values(payload, name), expected, "{name} in {payload}");
    }
}

#[test]
fn numbers_are_read_in_all_forms() {
    for (payload, expected) in [
        ("{\"a\":500}", true),
        ("{\"a\":\"5e2\"}", true),
        ("{\"a\":5.00E+2}", true),
        ("a=500", true),
        ("a=500, b", true),
        ("a=\"500\"", true),
        ("a=500ms", false),
        ("{\"a\":\"500 \"}", false),
        ("{\"a\":\"50\\u0030\"}", false),
        ("a=500;x", false),
    ] {
        let mut found = Vec::new();
        visit(payload.as_bytes(), b"a", &mut |value| {
            found.push(value.number().is_some());
            true
        });
        assert_eq!(found, [expected], "{payload}");
    }
}

#[test]
fn depth_is_bounded_and_what_is_deeper_is_passed_over() {
    let nested = |depth: usize| format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(values(&nested(32), "a"), "1");
    assert_eq!(values(&nested(33), "a"), "");
    assert_eq!(values(&nested(100_000), "b"), "2");
    let path = vec!["a"; 100].join(".");
    assert_eq!(values(&"{\"a\":".repeat(100), &path), "");
}

/// Payloads of 1 MB on which a careless reader takes minutes. There is no clock here: a test that does not end
/// is the failure.
#[test]
fn hostile_payloads_take_linear_time() {
    for unit in [
        "{\"a\":",
        "{",
        "{\"",
        "\"",
        "=\"",
        "a=\"",
        "a=",
        "[",
        "{ ",
        "{\"a",
        "{\"a\\",
        "a=\"\\\"",
        "{\"a\":[",
        "a,a=1,",
        "{\"a\":{\"b\":",
        "{\"a\" ",
        "a\":\"",
        "a\":1",
        "a=,",
        "{\"a\":1}x",
        "{\"a\":x y",
        "a={\"a",
        "{\"b\":{\"a\":[",
    ] {
        let payload = unit.repeat((1 << 20) / unit.len());
        for name in ["a", "a.a.a", "b", "é"] {
            let mut seen = 0;
            visit(payload.as_bytes(), name.as_bytes(), &mut |value| {
                seen += usize::from(value.is_text(b"a=a=") || value.number().is_some());
                true
            });
            if let Some(key) = Key::new(name) {
                key.glance(payload.as_bytes(), &|value| value.is_text(b"no") && value.number().is_some());
            }
        }
    }
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "=",
        " ",
        "a",
        "b",
        ".",
        "1",
        "\"a\":",
        "{\"a\":1}",
        "a=1",
        "a.b",
        "\\\"",
        "\\u0061",
        "\\u00e9",
        "é",
        "\n",
        "-",
        "e",
        "\"b\"",
        "{\"a\":{\"b\":2}}",
        "x",
        "true",
        "\"a.b\" :",
    ];
    let piece = prop_oneof![
        20 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn a_glance_is_never_wrong(payload in payloads(), name in prop::sample::select(vec!["a", "b", "a.b", "a.a"])) {
        let wanted = |value: Value<'_>| value.is_text(b"1") || value.is_text(b"b");
        let (mut seen, mut hits) = (0, 0);
        visit(&payload, name.as_bytes(), &mut |value| {
            seen += 1;
            hits += usize::from(wanted(value));
            true
        });
        match Key::new(name).unwrap().glance(&payload, &wanted) {
            Glance::Absent => prop_assert_eq!(seen, 0),
            Glance::Unwanted => prop_assert_eq!(hits, 0),
            Glance::Unknown => {}
        }
    }
}
