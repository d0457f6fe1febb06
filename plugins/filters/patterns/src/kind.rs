//! The kind of a line: its text with marks where it may vary.
//!
//! Masked are words with digits, paths and addresses, names with a dot, a `_` or capitals inside, and values of a single
//! word in JSON and logfmt, but for levels. Left are keys, plain words, and the signs between them.

use weir_plugin_sdk::mask::{MARK, begins_word, word};

/// Values that tell kinds apart.
const LEVELS: [&str; 12] = [
    "trace", "debug", "info", "notice", "warn", "warning", "error", "err", "critical", "fatal", "panic",
    "severe",
];

/// What stands somewhere in a line.
enum Token {
    Sign,
    /// Up to where.
    Plain(usize),
    Varying(usize),
}

/// Writes the kind of a line.
pub(crate) fn write(line: &[u8], kind: &mut Vec<u8>) {
    kind.clear();
    let (mut at, mut plain) = (0, 0);
    while at < line.len() {
        match token(line, at) {
            Token::Sign => at += 1,
            Token::Plain(end) => at = end,
            Token::Varying(end) => {
                kind.extend_from_slice(&line[plain..at]);
                kind.extend_from_slice(MARK);
                (at, plain) = (end, end);
            }
        }
    }
    kind.extend_from_slice(&line[plain..]);
}

#[inline]
fn token(line: &[u8], at: usize) -> Token {
    if !begins_word(line[at]) {
        let begins_path = line[at] == b'/' && (at == 0 || ends_path(line[at - 1]) || line[at - 1] == b'=');
        return if begins_path { Token::Varying(path(line, at)) } else { Token::Sign };
    }
    let (end, has_digit) = word(line, at);
    if line[end..].starts_with(b"://") {
        return Token::Varying(path(line, end));
    }
    let varies = has_digit || !is_key(line, end) && (!is_plain(&line[at..end]) || is_value(line, at, end));
    if varies { Token::Varying(end) } else { Token::Plain(end) }
}

/// The end of a path, with what it asks for: `/a/b?c=d`.
fn path(line: &[u8], at: usize) -> usize {
    line[at..].iter().position(|byte| ends_path(*byte)).map_or(line.len(), |length| at + length)
}

fn ends_path(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b'"' | b'\'' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b',' | b';')
}

/// Whether a word is the name of a value: `name=` or `"name":`.
fn is_key(line: &[u8], end: usize) -> bool {
    match line.get(end) {
        Some(b'=') => true,
        Some(b'"') => line.get(end + 1) == Some(&b':'),
        _ => false,
    }
}

/// Whether a word is all of a value, and no level: `=word`, `="word"`, `:"word"`.
fn is_value(line: &[u8], at: usize, end: usize) -> bool {
    let is_all = match line[..at] {
        [.., b'='] => true,
        [.., b'=' | b':', b'"'] | [.., b':', b' ', b'"'] => line.get(end) == Some(&b'"'),
        _ => false,
    };
    is_all && !LEVELS.iter().any(|level| level.as_bytes().eq_ignore_ascii_case(&line[at..end]))
}

/// Whether a word is one of a language: all small, all capital, or with a first capital; hyphens join such words.
fn is_plain(word: &[u8]) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'-' | b'/');
    let [first, rest @ ..] = word else { return true };
    let has_capitals = rest.iter().any(u8::is_ascii_uppercase);
    let has_small = first.is_ascii_lowercase() || rest.iter().any(u8::is_ascii_lowercase);
    is_letter(*first) && rest.iter().all(|byte| is_letter(*byte)) && !(has_capitals && has_small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_vary_is_masked() {
        for (line, expected) in [
            (
                r#"{"level":"info","logger":"a.http","trace_id":"x1","msg":"GET /p/a?b=c done","ok":true,"n":-5}"#,
                r#"{"level":"info","logger":"<*>","trace_id":"<*>","msg":"GET <*> done","ok":true,"n":-<*>}"#,
            ),
            (
                "time=2026-11-01T10:00:00Z level=WARN svc=cart path=/x/y?z=1 msg=\"lock taken\" by=\"Ann\"",
                "time=<*> level=WARN svc=<*> path=<*> msg=\"lock taken\" by=\"<*>\"",
            ),
            (
                "10.0.0.1 - - [01/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 \"https://a.b/c?d\"",
                "<*> - - [<*> +<*>] \"GET <*> <*>\" <*> \"<*>\"",
            ),
            (
                "2026-11-01 INFO com.example.OrderListener - i/o error for user_a in non-blocking read: EOF",
                "<*> INFO <*> - i/o error for <*> in non-blocking read: EOF",
            ),
            ("\tat <init>(A.java:12)", "\tat <init>(<*>:<*>)"),
            ("", ""),
        ] {
            let mut kind = Vec::new();
            write(line.as_bytes(), &mut kind);
            assert_eq!(String::from_utf8_lossy(&kind), expected, "{line}");
        }
    }
}
