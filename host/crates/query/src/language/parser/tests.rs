//! Texts and their trees, texts and their errors, and trees printed and read again.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;
use weir_record::Level;
use weir_record::limits::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_REGEXES_MAX, QUERY_TERMS_MAX};

use super::*;
use crate::language::Operand;
use crate::language::Operator::{self, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
use crate::language::Scope::{self, Any, Payload};

fn word(text: &str) -> Expr {
    Expr::Word { text: text.into(), any_case: false }
}

fn any_case(text: &str) -> Expr {
    Expr::Word { text: text.into(), any_case: true }
}

fn bytes(bytes: &[u8]) -> Expr {
    Expr::bytes(bytes)
}

fn not(inner: Expr) -> Expr {
    inner.negated()
}

fn topic(value: &str) -> Expr {
    Expr::Topic(value.into())
}

fn label(name: &str, value: &str) -> Expr {
    Expr::Label { name: name.into(), value: value.into() }
}

fn regex(pattern: &str) -> Expr {
    Expr::Regex(pattern.into())
}

fn field(name: &str, operator: Operator, number: &str) -> Expr {
    Expr::Field { scope: Any, name: name.into(), operator, value: Operand::Number(number.into()) }
}

fn field_text(scope: Scope, name: &str, operator: Operator, text: &str) -> Expr {
    Expr::Field { scope, name: name.into(), operator, value: Operand::Text(text.into()) }
}

#[test]
fn texts_become_the_trees_they_mean() {
    let table: Vec<(&str, Expr)> = vec![
        ("", Expr::All),
        (" \t\n ", Expr::All),
        ("payment", word("payment")),
        ("payment declined", Expr::And(vec![word("payment"), word("declined")])),
        ("a AND b", Expr::And(vec![word("a"), word("b")])),
        ("a b OR c", Expr::Or(vec![Expr::And(vec![word("a"), word("b")]), word("c")])),
        ("a (b OR c)", Expr::And(vec![word("a"), Expr::Or(vec![word("b"), word("c")])])),
        ("((a))", word("a")),
        ("(a b) c", Expr::And(vec![word("a"), word("b"), word("c")])),
        ("-a", not(word("a"))),
        ("NOT a b", Expr::And(vec![not(word("a")), word("b")])),
        ("NOT (a OR b)", not(Expr::Or(vec![word("a"), word("b")]))),
        ("--a", not(not(word("a")))),
        ("a -\"b\"", Expr::And(vec![word("a"), not(bytes(b"b"))])),
        ("and or not", Expr::And(vec![word("and"), word("or"), word("not")])),
        ("\"OR\"", bytes(b"OR")),
        ("\"lily ord\"", bytes(b"lily ord")),
        (r#""a\"\\\n\t\x00\xfF""#, bytes(b"a\"\\\n\t\0\xff")),
        ("\"é|()\"", bytes("é|()".as_bytes())),
        ("~Word", any_case("Word")),
        ("~\"a b\"", Expr::Bytes { bytes: b"a b".to_vec(), any_case: true }),
        ("~OR", any_case("OR")),
        ("foo-bar", word("foo-bar")),
        ("10.0.0.1", word("10.0.0.1")),
        ("10.0.0.1:8080", word("10.0.0.1:8080")),
        ("12:30:45", word("12:30:45")),
        ("user=42", word("user=42")),
        ("std::vec", word("std::vec")),
        ("https://x.org/y?z=1", word("https://x.org/y?z=1")),
        ("can't", word("can't")),
        ("größe", word("größe")),
        ("/a\\/b\\d+/", regex("a/b\\d+")),
        ("topic:orders", topic("orders")),
        ("topic:\"a b\"", topic("a b")),
        ("topic:a:b", topic("a:b")),
        ("topic:a*", Expr::Topics("a".into())),
        ("topic:*", Expr::Topics(String::new())),
        ("-topic:\"a b\"*", not(Expr::Topics("a b".into()))),
        ("topic:\"a*\"", topic("a*")),
        ("label.host:web1", label("host", "web1")),
        ("label.path:/var/log/x", label("path", "/var/log/x")),
        ("label.k8s.io-x:\"\"", label("k8s.io-x", "")),
        ("-topic:a", not(topic("a"))),
        ("(topic:a)", topic("a")),
        ("label.", word("label.")),
        ("status>=500", field("status", GreaterOrEqual, "500")),
        ("status:500", field("status", Equal, "500")),
        ("a.b-c_@d!=-1.5e3", field("a.b-c_@d", NotEqual, "-1.5e3")),
        (
            "a<1 b<=2 c>3",
            Expr::And(vec![field("a", Less, "1"), field("b", LessOrEqual, "2"), field("c", Greater, "3")]),
        ),
        ("status:\"500\"", field_text(Any, "status", Equal, "500")),
        ("path:/x", field_text(Any, "path", Equal, "/x")),
        ("field.path:/x", field_text(Payload, "path", Equal, "/x")),
        (
            "field.field.x:1",
            Expr::Field {
                scope: Payload,
                name: "field.x".into(),
                operator: Equal,
                value: Operand::Number("1".into()),
            },
        ),
        ("field.topic:a", field_text(Payload, "topic", Equal, "a")),
        ("field.level:a", field_text(Payload, "level", Equal, "a")),
        ("a:b:c", field_text(Any, "a", Equal, "b:c")),
        ("u:http://x", field_text(Any, "u", Equal, "http://x")),
        ("a.b:\"text with spaces\"", field_text(Any, "a.b", Equal, "text with spaces")),
        ("a!=\"\"", field_text(Any, "a", NotEqual, "")),
        (
            "a:\">=x\" b:\":x\" c:\"//x\"",
            Expr::And(vec![
                field_text(Any, "a", Equal, ">=x"),
                field_text(Any, "b", Equal, ":x"),
                field_text(Any, "c", Equal, "//x"),
            ]),
        ),
        ("größe:5", field("größe", Equal, "5")),
        ("@timestamp:x", field_text(Any, "@timestamp", Equal, "x")),
        ("-a:b", not(field_text(Any, "a", Equal, "b"))),
        ("level:error", Expr::Level { operator: Equal, level: Level::Error }),
        ("level>=WARNING", Expr::Level { operator: GreaterOrEqual, level: Level::Warn }),
        ("level!=\"none\"", Expr::Level { operator: NotEqual, level: Level::None }),
        ("a://b", word("a://b")),
        ("x=>y", word("x=>y")),
        ("1:2", word("1:2")),
    ];
    for (text, expected) in table {
        let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr, expected, "{text}");
        assert_eq!(parse(&format!("{expr}")), Ok(expr), "{text} printed and read again");
    }
}

#[test]
fn errors_point_at_the_column_and_say_what_to_write() {
    // Text, column, part of the message, part of the hint.
    let table = [
        ("(a", 1, "never closed", "close it"),
        ("a)", 2, "never opened", "remove it"),
        ("()", 2, "a term should stand", "quotes"),
        ("a OR", 5, "ends where a term", "quotes"),
        ("OR a", 1, "OR stands", "quotes"),
        ("a AND OR b", 7, "OR stands", "quotes"),
        ("é OR ) b", 6, "closes where", "quotes"),
        ("a NOT", 6, "ends where a term", "quotes"),
        ("a - b", 3, "nothing follows the -", "\"-\""),
        ("a -", 3, "nothing follows the -", "\"-\""),
        ("a ~ b", 3, "nothing follows the ~", "\"~\""),
        ("~/x/", 1, "does not go with a regex", "(?i)"),
        ("~topic:a", 2, "compared exactly", "without"),
        ("a \"b", 3, "never closed", "\\\""),
        ("\"a\"b", 4, "no space", "\\\""),
        ("a\"b\"", 2, "quote inside", "\"a\\\""),
        ("f(x)", 2, "parenthesis inside", "\"f(…\""),
        ("\"\"", 1, "every record", "leave it out"),
        (r#""a\q""#, 3, "unknown escape \\q", "\\xHH"),
        (r#""\x1""#, 2, "two hex digits", "\\xHH"),
        (r#""\xé""#, 2, "two hex digits", "\\xHH"),
        ("\"\\", 2, "ends in a backslash", "\\\\"),
        ("//", 1, "matches every record", "leave it out"),
        ("/var/log", 6, "no space", "\"/var/log\""),
        ("/var", 1, "never closed", "\"/var/log\""),
        ("/x/i", 4, "no space", "(?i)"),
        // A slash ends the regex wherever it stands.
        ("/[/]/", 4, "no space", "quotes"),
        ("é /a\\/(b/", 7, "in the regex", "quotes"),
        ("/a{2,1}/", 3, "in the regex", "quotes"),
        ("/\\p{Nope}/", 2, "in the regex", "quotes"),
        ("topic:", 7, "no value", "topic:orders"),
        ("label.a: b", 9, "no value", "topic:orders"),
        (r#"topic:"\xff""#, 1, "not UTF-8", "text"),
        ("x status>", 10, "has no value", "\"status>\""),
        ("status>=", 9, "has no value", "\"status>=\""),
        ("error: x", 7, "has no value", "\"error:\""),
        ("x status>=abc", 11, "compares numbers", "status>=500"),
        ("x status>=abc", 11, "compares numbers", "\"status>=abc\""),
        ("duration>1.5s", 10, "compares numbers", "without a unit"),
        ("status>\"500\"", 8, "compares numbers", "write status>500"),
        ("List<String>", 6, "compares numbers", "\"List<String>\""),
        ("status:>=500", 8, "like an operator", "status>=500"),
        ("é a!==b", 6, "like an operator", "a:\"=b\""),
        ("topic:a*b*", 1, "no wildcard", "regex"),
        ("topic:\"a\"*b", 11, "no space", "quote"),
        ("label.a:b*", 1, "no wildcard", "regex"),
        ("path:/x*", 1, "no wildcard", "regex"),
        ("a:(b OR c)", 3, "parenthesis inside", "space"),
        ("a:b\"c\"", 4, "quote inside", "space"),
        (r#"a:"\xff""#, 1, "not UTF-8", "text"),
        ("field.:x", 7, "no name", "field.NAME"),
        ("label.>x", 7, "no name", "label.NAME"),
        ("topic!=a", 6, "with : alone", "-topic:VALUE"),
        ("label.host>=a", 11, "with : alone", "-label.host:VALUE"),
        ("level:loud", 7, "levels are error", "field.level:loud"),
        ("level>=30", 8, "levels are error", "field.level>=30"),
        ("level:fatal", 7, "levels are error", "counts as error"),
        ("level<none", 6, "no place", "level:none"),
        ("~level:error", 2, "compared exactly", "without"),
        ("a:b | count", 5, "pipes", "OR"),
        ("a | count", 3, "pipes", "OR"),
        ("a || b", 3, "pipes", "OR"),
        ("\"a\"|b", 4, "pipes", "OR"),
        ("a && b", 3, "not an operator", "a b"),
        ("foo*", 1, "no wildcard", "\"foo\""),
        ("a *x", 3, "no wildcard", "\"x\""),
    ];
    for (text, column, message, hint) in table {
        let error = parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.hint.contains(hint), "{text}: {error}");
    }
}

#[test]
fn a_query_that_is_all_regex_counts_columns_from_its_first_character() {
    assert_eq!(parse_regex(r"/a\d"), Ok(regex(r"/a\d")));
    assert_eq!(parse_regex(""), Ok(Expr::All));
    assert_eq!(parse_regex("/a(").unwrap_err().column, 3);
    assert!(parse_regex(&"x".repeat(QUERY_BYTES_MAX + 1)).is_err());
}

#[test]
fn what_is_too_much_is_refused_where_it_becomes_too_much() {
    let deep = |count: usize| format!("{}a{}", "(".repeat(count), ")".repeat(count));
    assert!(parse(&deep(QUERY_DEPTH_MAX)).is_ok());
    assert_eq!(parse(&deep(QUERY_DEPTH_MAX + 1)).unwrap_err().column, QUERY_DEPTH_MAX + 1);
    assert_eq!(parse(&format!("{}a", "-".repeat(10_000))).unwrap_err().column, QUERY_DEPTH_MAX + 1);
    assert!(parse(&"a ".repeat(QUERY_TERMS_MAX)).is_ok());
    assert_eq!(parse(&"a ".repeat(QUERY_TERMS_MAX + 1)).unwrap_err().column, 2 * QUERY_TERMS_MAX + 1);
    assert_eq!(parse(&"a".repeat(QUERY_BYTES_MAX + 1)).unwrap_err().column, 1);
    assert!(parse(&"/a+/ ".repeat(QUERY_REGEXES_MAX)).is_ok());
    let error = parse(&"/a+/ ".repeat(QUERY_REGEXES_MAX + 1)).unwrap_err();
    assert_eq!(error.column, 5 * QUERY_REGEXES_MAX + 1);
}

#[test]
fn regexes_that_explode_are_refused_where_they_begin() {
    let error = parse(r"é OR -/\w{1000}/").unwrap_err();
    let expected = r"column 7: the regex needs more than 1048576 bytes when compiled; make its repetitions {n,m} smaller, or write (?-u) before \w and \d to leave Unicode out";
    assert_eq!(error.to_string(), expected);
    for pattern in [r"(\w{1,200}){200}", r"((a{99}){99}){99}", r"(?i)(é{1,500}x?){1,500}"] {
        assert_eq!(parse_regex(pattern).unwrap_err().column, 1, "{pattern}");
        assert!(parse(&format!("a /{pattern}/")).unwrap_err().message.contains("1048576"), "{pattern}");
    }
    // What is advised helps.
    assert!(parse(r"/(?-u)\w{1000}/").is_ok());
}

fn operators() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual])
}

fn exprs() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        ("[a-zé_][a-z0-9_.=-]{0,6}", any::<bool>())
            .prop_map(|(text, any_case)| Expr::Word { text, any_case }),
        (prop::collection::vec(any::<u8>(), 1..9), any::<bool>())
            .prop_map(|(bytes, any_case)| Expr::Bytes { bytes, any_case }),
        prop::sample::select(vec!["a/b", r"\d+(x|y)*", "[a-z]{2,3}$", r"\\", r"(?i)é\."]).prop_map(regex),
        "[ -~é]{1,6}".prop_map(|value| topic(&value)),
        "[ -~é]{0,6}".prop_map(Expr::Topics),
        ("[a-z][a-z0-9_.-]{0,4}", "[ -~é\n]{0,6}").prop_map(|(name, value)| label(&name, &value)),
        (any::<bool>(), "[a-z@_é][a-z0-9é_.-]{0,4}", any::<bool>(), "[ -~é\n]{0,6}").prop_map(
            |(payload, name, equal, text)| {
                let operator = if equal { Equal } else { NotEqual };
                field_text(if payload { Payload } else { Any }, &name, operator, &text)
            }
        ),
        ("[a-z@_é][a-z0-9é_.-]{0,4}", operators(), "[+-]?([0-9]{1,4}[.]?|[0-9]?[.][0-9])(e-?[0-9]{1,2})?")
            .prop_map(|(name, operator, number)| field(&name, operator, &number)),
        (operators(), prop::sample::select(vec![Level::Error, Level::Warn, Level::Info, Level::Debug]))
            .prop_map(|(operator, level)| Expr::Level { operator, level }),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::all_of),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::any_of),
            inner.prop_map(Expr::negated),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_printed_expression_reads_as_itself(expr in exprs()) {
        let text = format!("{expr}");
        prop_assert_eq!(parse(&text), Ok(expr), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_columns_lie_in_the_text(
        text in prop_oneof![any::<String>(), "[ a-c()\"/~|*:\\\\.<>=é-]{0,30}(OR|NOT|AND)?[ a-c()\"-]{0,9}",
            "((topic|label|field|level|a|é)?[.]?[ab]?(:|!=|[<>]=?|=)(\"?[a1>/:*. -]{0,3}\"?|warn|none|5) ?){1,3}"],
    ) {
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&format!("{expr}")), Ok(expr)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
        }
    }

    #[test]
    fn a_changed_query_is_read_or_refused_and_what_is_read_prints_as_itself(
        expr in exprs(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<prop::sample::Index>())), 1..5),
    ) {
        let mut text: Vec<char> = format!("{expr}").chars().collect();
        for (place, sign) in changes {
            let signs = ['"', ':', '!', '=', '<', '>', '(', ')', '/', '\\', '~', '-', '.', '*', ' ', '1', 'é'];
            let at = place.index(text.len() + 1);
            match sign {
                Some(sign) => text.insert(at, signs[sign.index(signs.len())]),
                None if at < text.len() => drop(text.remove(at)),
                None => {}
            }
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&format!("{expr}")), Ok(expr), "{}", text),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
        }
    }
}
