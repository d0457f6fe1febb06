//! Files of tokens, right and wrong.

use super::*;
use crate::tokens::entry_of;

const HASH: &str = "0101010101010101010101010101010101010101010101010101010101010101";

fn problems(text: &str) -> Vec<String> {
    parse("t.toml", text.as_bytes()).problems
}

#[test]
fn what_is_written_is_read_again() {
    let text = format!(
        "# by hand\n[[token]]\nname = \"grafana\"\nsha256 = \"sha256:{HASH}\"\nscopes = [\"query\", \"tail\"]\n\
         topics = [\"shop\", \"a b*\"]\nexpires = 2030-01-02T03:04:05+01:00\n\n[[token]]\nname = \"ops@site.1\"\n\
         sha256 = \"{}\"\nscopes = [\"admin\", \"metrics\"]\nexpires = \"2030-01-02 00:00:00Z\"\n",
        HASH.replace("01", "02")
    );
    let FileOfTokens { tokens, problems } = parse("t.toml", text.as_bytes());
    assert_eq!(problems, [""; 0]);
    let [first, second] = tokens.as_slice() else { panic!("{tokens:?}") };
    assert_eq!(
        (first.name.as_str(), first.sha256, first.expires_ms),
        ("grafana", [1; 32], Some(1_893_549_845_000))
    );
    assert_eq!(first.topics.expr().to_string(), "topic:shop OR topic:\"a b\"*");
    assert_eq!(second.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(), ["metrics", "admin"]);
    let again: String = tokens.iter().map(entry_of).collect();
    let again = parse("t.toml", again.as_bytes());
    assert_eq!((again.tokens, again.problems), (tokens, Vec::new()));
    assert!(parse("t.toml", b"").tokens.is_empty());
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let text = format!(
        "[[token]]\nname = \"a b\"\nsha256 = \"12\"\nscopes = [\"quary\"]\ntopic = [\"x\"]\n\
         [[token]]\nname = \"c\"\nsha256 = \"{HASH}\"\nscopes = []\ntopics = []\nexpires = \"soon\"\n\
         [[token]]\nname = \"c\"\nsha256 = \"{HASH}\"\nscopes = [\"node\", \"query\"]\ntopics = [\"x*y\"]\n\
         [tokens]\n"
    );
    assert_eq!(
        problems(&text),
        [
            "t.toml:2:8: token[0].name: expected a name of 1 to 64 letters, digits, `.`, `_`, `-` and `@`, got \"a b\"",
            "t.toml:3:10: token[0].sha256: expected a SHA-256 of 64 hex digits, got \"12\"",
            "t.toml:4:11: token[0].scopes[0]: expected one of \"ingest\", \"query\", \"tail\", \"filter\", \"metrics\", \
             \"node\", \"admin\", got \"quary\"; did you mean `query`?",
            "t.toml:5:1: token[0].topic: expected one of name, sha256, scopes, topics, expires, got an unknown key; did you mean `topics`?",
            "t.toml:9:10: token[1].scopes: expected at least one scope, got an empty list",
            "t.toml:10:10: token[1].topics: expected at least one topic, got none; leave topics out to allow all of them",
            "t.toml:11:11: token[1].expires: expected a time such as 2030-01-31T00:00:00Z, got \"soon\"",
            "t.toml:13:8: token[2].name: expected a name for each token, got that of the one at t.toml:7:8",
            "t.toml:14:10: token[2].sha256: expected a secret for each token, got that of the one at t.toml:8:10",
            "t.toml:16:10: token[2].topics: expected no topics with the scope node, which they do not limit; make two tokens",
            "t.toml:16:10: token[2].topics: expected a topic of 1 to 255 bytes, or its beginning and a * such as shop-*, got \"x*y\"",
            "t.toml:17:2: tokens: expected one of token, got an unknown key; did you mean `token`?",
        ]
    );
    assert_eq!(problems("[[token]]\n"), ["name", "scopes", "sha256"].map(|key| {
        let wants = match key {
            "name" => "a name of 1 to 64 letters, digits, `.`, `_`, `-` and `@`",
            "scopes" => "a list, each of it one of \"ingest\", \"query\", \"tail\", \"filter\", \"metrics\", \"node\", \"admin\"",
            _ => "a SHA-256 of 64 hex digits",
        };
        format!("t.toml:1:1: token[0].{key}: expected {wants}, got nothing")
    }));
    let secret = weir_api::access::Secret::of_random([7; 32]);
    let told =
        problems(&format!("[[token]]\nname = \"x\"\nsha256 = {:?}\nscopes = [\"query\"]", secret.reveal()));
    assert!(told.len() == 1 && !told[0].contains(secret.reveal()), "a secret is not repeated: {told:?}");
}
