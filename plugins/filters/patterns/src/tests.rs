use super::*;
use weir_plugin_sdk::testing::aggregate;

fn shown(lines: &[String]) -> Vec<String> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    aggregate::<Patterns>("{}", &lines).unwrap()
}

#[test]
fn kinds_come_with_their_count_and_the_first_of_them() {
    let lines = ["took 28ms", r#"{"a":1}"#, "took 3ms", "", "took long", r#"{"a":"x"}"#, "took 3ms"];
    let lines = lines.map(str::to_owned);
    assert_eq!(
        shown(&lines)[0],
        r#"{"pattern":"took <*>","count":3,"share_percent":42.86,"example":"took 28ms"}"#
    );
    assert_eq!(shown(&lines).len(), 5);
    let two: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(aggregate::<Patterns>(r#"{"n":2}"#, &two).unwrap().len(), 2);
}

#[test]
fn words_that_vary_are_found_when_there_are_many() {
    let name = |n: u8| char::from(b'a' + n);
    let names = |count: u8| -> Vec<String> {
        (0..count).map(|n| format!("user {} logged in from 10.0.0.{n}", name(n))).collect()
    };
    assert_eq!(shown(&names(9)).len(), 9);
    let mut many = names(12);
    many.push("level error".into());
    let rows = shown(&many);
    assert!(rows[0].starts_with(r#"{"pattern":"user <*> logged in from <*>","count":12,"#), "{rows:?}");
    assert!(rows[1].starts_with(r#"{"pattern":"level error","count":1,"#), "{rows:?}");
}

#[test]
fn too_many_kinds_are_told_apart_by_their_beginnings() {
    let word = |n: usize| -> String { n.to_string().bytes().map(|digit| char::from(digit + 49)).collect() };
    let mut lines: Vec<String> =
        (0..6_000).map(|n| format!("a {0} {0} c d e f g h i j {0}", word(n))).collect();
    lines.extend((0..100).map(|n| format!("b {}", word(n % 3))));
    // `aggregate` compares cuts, of which some have few enough kinds and others have not.
    let rows = shown(&lines);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].starts_with(r#"{"pattern":"a <*>","count":6000,"#), "{rows:?}");
}

#[test]
fn long_lines_are_cut_and_broken_states_refused() {
    let rows = shown(&["x".repeat(100_000), "1 ".repeat(5_000)]);
    assert!(rows.iter().all(|row| row.len() < 3_000));
    let mut patterns = Patterns::open(Params { n: 1 }).unwrap();
    for broken in [&b""[..], b"\x0b\x01\x00", b"\x00", b"\x00\x01\x01"] {
        assert!(patterns.merge(broken).is_err(), "{broken:?}");
    }
}
