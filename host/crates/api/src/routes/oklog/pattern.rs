//! Regular expressions as OK Log's clients write them (RE2, as Go has it), in the syntax that ours are in.
//!
//! The two agree on nearly everything. What differs is rewritten: a `{` that begins no repetition is itself
//! (patterns over JSON have them), classes know no nesting and no set operations, `\d \w \s \b` mean ASCII,
//! `\Q…\E` quotes, and octal escapes are characters. Bytes that are no UTF-8 are no characters here: `.` does not
//! match them, where RE2 takes each for U+FFFD. Classes of Unicode (`\p{Greek}`) are not known and refused.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use weir_query::{Expr, parse_regex};

/// The expression that a pattern means, or what is wrong with it.
pub(super) fn expr(pattern: &[u8]) -> Result<Expr, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "the pattern is no UTF-8".to_owned())?;
    parse_regex(&translated(pattern)).map_err(|error| error.message)
}

/// A pattern in our syntax.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next_if_eq(&'Q').is_some() => quoted(&mut chars, &mut out),
            '\\' => escape(&mut chars, &mut out, false),
            '[' => class(&mut chars, &mut out),
            '{' if !is_repetition(chars.clone()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// What stands between `\Q` and `\E`, or the end, as it is.
fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        literal(c, out);
    }
}

/// One character that stands for itself, inside and outside of classes.
fn literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

/// Whether `{` is followed by `n}`, `n,}` or `n,m}`.
fn is_repetition(rest: Peekable<Chars<'_>>) -> bool {
    let text: String = rest.take_while(|c| matches!(c, '0'..='9' | ',' | '}')).collect();
    let Some((inside, _)) = text.split_once('}') else { return false };
    let (from, to) = inside.split_once(',').unwrap_or((inside, ""));
    !from.is_empty() && !to.contains(',')
}

/// What follows a backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    let Some(c) = chars.next() else { return out.push('\\') };
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\f\\r ]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'b' | 'B' if !in_class => {
            // Writing to a string cannot fail.
            let _ = write!(out, "(?-u:\\{c})");
        }
        '0'..='7' => octal(c, chars, out),
        c => {
            out.push('\\');
            out.push(c);
        }
    }
}

/// `\0` and what has two or three octal digits. A lone digit would refer to a group, which neither syntax has.
fn octal(first: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut digits = String::from(first);
    while digits.len() < 3
        && let Some(digit) = chars.next_if(|c| matches!(c, '0'..='7'))
    {
        digits.push(digit);
    }
    let _ = match u32::from_str_radix(&digits, 8) {
        Ok(code) if first == '0' || digits.len() > 1 => write!(out, "\\x{{{code:x}}}"),
        _ => write!(out, "\\{digits}"),
    };
}

/// A class, behind its `[`. Inside, `[`, `&`, `~` and a `-` that is no range stand for themselves.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    // A range needs a single character before its `-`.
    let mut after_single = false;
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
        after_single = true;
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => return out.push(']'),
            '-' if after_single && chars.peek().is_some_and(|next| *next != ']') => {
                out.push('-');
                range_end(chars, out);
                after_single = false;
                continue;
            }
            '\\' => {
                after_single = !chars.peek().is_some_and(|next| "dDwWsSpP".contains(*next));
                escape(chars, out, true);
                continue;
            }
            '[' if named(chars, out) => {
                after_single = false;
                continue;
            }
            c => literal(c, out),
        }
        after_single = true;
    }
}

/// The second end of a range.
fn range_end(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    match chars.next() {
        Some('\\') => escape(chars, out, true),
        Some(c) => literal(c, out),
        None => {}
    }
}

/// `[:alpha:]`, behind its `[`. Nothing is taken when it is none.
fn named(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> bool {
    let rest: String = chars.clone().take("[:^xdigit:]".len()).collect();
    let Some((name, _)) = rest.strip_prefix(':').and_then(|rest| rest.split_once(":]")) else { return false };
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'^') {
        return false;
    }
    let _ = write!(out, "[:{name}:]");
    chars.nth(name.len() + 2);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_query::Matcher;
    use weir_record::Stream;

    fn matches(pattern: &str, payload: &[u8]) -> bool {
        let expr = expr(pattern.as_bytes()).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let stream = Stream::new("t", [("", ""); 0]).unwrap();
        let matcher = Matcher::compile(&expr).unwrap().for_stream(&stream).unwrap();
        let mut hit = false;
        matcher.scan(&[payload.len() as u32], payload, &mut |_| hit = true);
        hit
    }

    #[test]
    fn patterns_mean_what_they_mean_to_re2() {
        for (pattern, yes, no) in [
            ("a.c", "xabcx", "ac"),
            ("^GET .* 50[0-9]$", "GET /x 503", "POST /x 503"),
            ("(?i)error|warn", "WARNING", "info"),
            // A brace that begins no repetition.
            (r#"{"status":5\d+}"#, r#"{"status":503}"#, r#"{"status":403}"#),
            ("a{,2}", "a{,2}", "aa"),
            ("a{x", "a{x", "a"),
            ("ba{2,}c", "baac", "bac"),
            ("ba{2}c", "baac", "ba{2}c"),
            // Classes are ASCII.
            (r"^\d+$", "12", "\u{0661}"),
            (r"^\w+$", "a_1", "\u{e9}"),
            (r"^\S+$", "\u{e9}\u{2003}", "a b"),
            (r"\bfoo\b", "a foo b", "afoob"),
            // And know no nesting.
            ("[[]x[]]", "[x]", "x"),
            ("^[a[b]+$", "a[b", "c"),
            ("^[a&&b]+$", "a&b", "c"),
            ("^[a~~b]+$", "a~b", "c"),
            ("^[+--]+$", "+,-", "."),
            ("^[a-]+$", "a-a", "b"),
            ("^[-a]+$", "a-a", "b"),
            (r"^[\d-]+$", "1-2", "a"),
            ("^[]a]+$", "]a", "b"),
            ("^[^]a]+$", "b", "]"),
            ("^[[:alpha:]_]+$", "ab_", "1"),
            ("^[[:^alpha:]]+$", "1", "a"),
            (r"^[\]\\a-c]+$", r"]\b", "d"),
            // Quotes and codes.
            (r"\Qa.b\E.c", "a.bxc", "axbxc"),
            (r"\Q1+1=<2>", "1+1=<2>", "11=<2>"),
            (r"^\101\x42\x{43}\012$", "ABC\n", "ABC"),
            (r"(?P<name>x)+?y", "xxy", "y."),
            ("100%", "100% l", "100"),
        ] {
            assert!(matches(pattern, yes.as_bytes()), "{pattern} matches {yes}");
            assert!(!matches(pattern, no.as_bytes()), "{pattern} does not match {no}");
        }
        assert!(matches("a", b"\xff\0a\xfe"));
        assert!(matches("\0", b"x\0y"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", ")", "[a", "*", r"\1", r"\", "a{3,2}", "[b-a]", r"\pX", "(?z)"] {
            assert!(expr(pattern.as_bytes()).is_err(), "{pattern}");
        }
        assert!(expr(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(
            odd in r"[\[\]\\{}()^$&~\-,:0-9QEabdw|*+?.]{0,30}",
            any in any::<String>(),
        ) {
            let _ = (expr(odd.as_bytes()), expr(any.as_bytes()));
        }

        #[test]
        fn quoted_text_is_found_as_it_is(text in "[ -~é]{1,20}") {
            prop_assume!(!text.contains("\\E") && !text.ends_with('\\'));
            let (quoted, payload) = (format!("\\Q{text}\\E"), format!("x{text}y"));
            prop_assert!(matches(&quoted, payload.as_bytes()));
        }
    }
}
