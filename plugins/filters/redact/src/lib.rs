//! `| redact email card token /order \d+/` replaces what must not be seen by a mark, and leaves every other byte.

mod card;

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Info, Record, Rewrite, export_rewrite};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["what"],
    "properties": {
        "what": {
            "type": "array", "items": { "type": "string", "minLength": 1 },
            "description": "email, card, token, or regexes between slashes"
        }
    },
    "x-args": { "positional": ["what"] }
}"#;

/// What a compiled regex may take.
const REGEX_BYTES_MAX: usize = 8 << 20;

const EMAIL: &str = r"(?-u)[A-Za-z0-9._%+-]{1,64}(?:@|%40)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}";

/// Secrets by their form, and values of names that say that they are secret: then the first group is the secret. In
/// quotes it goes up to the closing one, in quotes within quotes too.
const TOKEN: &str = r#"(?x-u)
      \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \b(?:gh[pousr]_|glpat-|sk-|xox[abprs]-)[A-Za-z0-9_-]{16,}
    | (?i:://[^\s:/@"']+:(?<url>[^\s@/"']+)@)
    | (?i:\b(?:set-)?cookie(?:\\?["'])?\s*[=:]\s*\[?(?:\\?["'])?(?<cookie>[^"'\\\r\n]+))
    | (?i:\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)
        (?:\\?["'])?\s*[=:]\s*\[?(?:(?:bearer|basic|token)\s+)?
        (?: \\"(?:bearer\s+|basic\s+)?(?<a>[^"\\]+)
          | "(?:bearer\s+|basic\s+)?(?<b>(?:[^"\\]|\\.)+)
          | '(?<e>[^']+)
          | (?<c>[^\s"'\\,;&(){}\[\]]+)))
    | (?i:\b(?:bearer|basic)\s+(?<d>[A-Za-z0-9._~+/=-]{8,}))
"#;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    what: Vec<String>,
}

/// The rewrite.
#[derive(Debug)]
pub struct Redact {
    rules: Vec<Rule>,
    /// Where something is replaced, and by what.
    found: Vec<(Range<usize>, &'static str)>,
}

#[derive(Debug)]
enum Rule {
    Card,
    /// Replaced is the group that matched, or all of a match without one.
    Regex(Regex, &'static str),
}

impl Rewrite for Redact {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { what }: Params) -> Result<Redact, Failure> {
        if what.is_empty() {
            return Err(Failure::bad_config("redact.what", "say what: redact email card token /REGEX/"));
        }
        let rules = what.iter().map(|what| Rule::parse(what)).collect::<Result<_, _>>()?;
        Ok(Redact { rules, found: Vec::new() })
    }

    fn rewrite(&mut self, record: Record<'_>, out: &mut Vec<u8>) -> bool {
        let Redact { rules, found } = self;
        found.clear();
        for rule in rules {
            rule.find(record.payload, found);
        }
        found.sort_by_key(|(range, _)| range.start);
        let (before, mut at) = (out.len(), 0);
        for (range, mark) in found.iter() {
            if range.start >= at {
                out.extend_from_slice(&record.payload[at..range.start]);
                out.extend_from_slice(mark.as_bytes());
            }
            at = at.max(range.end);
        }
        out.extend_from_slice(&record.payload[at..]);
        // Marks may be longer than what they stand for.
        out.truncate(before + RECORD_BYTES_MAX);
        true
    }
}

impl Rule {
    fn parse(what: &str) -> Result<Rule, Failure> {
        let own = what.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let (pattern, mark) = match (what, own) {
            ("card", _) => return Ok(Rule::Card),
            ("email", _) => (EMAIL, "[email]"),
            ("token", _) => (TOKEN, "[token]"),
            (_, Some(own)) if !own.is_empty() => (own, "[redacted]"),
            _ => {
                let message =
                    format_args!("{what} is not known: it takes email, card, token, or a regex /{what}/");
                return Err(Failure::bad_config("redact.what", message));
            }
        };
        let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
        let regex = built.map_err(|error| {
            Failure::bad_config("redact.regex", format_args!("/{pattern}/ is no regex: {error}"))
        })?;
        if regex.is_match(b"") {
            return Err(Failure::bad_config(
                "redact.regex",
                format_args!("/{pattern}/ matches nothing at all, too"),
            ));
        }
        Ok(Rule::Regex(regex, mark))
    }

    fn find(&self, text: &[u8], found: &mut Vec<(Range<usize>, &'static str)>) {
        match self {
            Rule::Card => card::find(text, |range| found.push((range, "[card]"))),
            Rule::Regex(regex, mark) if regex.captures_len() == 1 => {
                found.extend(regex.find_iter(text).map(|found| (found.range(), *mark)));
            }
            Rule::Regex(regex, mark) => {
                for captures in regex.captures_iter(text) {
                    let group = captures.iter().skip(1).flatten().next();
                    found.extend(group.or_else(|| captures.get(0)).map(|group| (group.range(), *mark)));
                }
            }
        }
    }
}

export_rewrite!(Redact);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::rewrite;

    #[test]
    fn what_must_not_be_seen_is_replaced_and_the_rest_stays() {
        for (what, line, expected) in [
            (r#"["email"]"#, "to=<a.b+c@mail.example.org>, x@y", "to=<[email]>, x@y"),
            (r#"["email"]"#, "q=me%40example.com&r", "q=[email]&r"),
            (r#"["card"]"#, "paid with 4111 1111 1111 1111.", "paid with [card]."),
            (r#"["token"]"#, r#"{"password":"a b\"c","user":"u"}"#, r#"{"password":"[token]","user":"u"}"#),
            (
                r#"["token"]"#,
                r#"msg="{\"token\": \"abc\", \"n\": 1}""#,
                r#"msg="{\"token\": \"[token]\", \"n\": 1}""#,
            ),
            (r#"["token"]"#, "Authorization: Bearer abc.def", "Authorization: Bearer [token]"),
            (r#"["token"]"#, "{'secret': 'a b', 'n': 1}", "{'secret': '[token]', 'n': 1}"),
            (r#"["token"]"#, r#""Authorization":["Bearer x y"]"#, r#""Authorization":["Bearer [token]"]"#),
            (r#"["token"]"#, "Cookie: a=b; c=d", "Cookie: [token]"),
            (r#"["token"]"#, "amqp://user:pa55@host/x?y=1", "amqp://user:[token]@host/x?y=1"),
            (r#"["token"]"#, "got bearer 0123456789", "got bearer [token]"),
            (r#"["token"]"#, "?api_key=k1&x=2 total_tokens=5", "?api_key=[token]&x=2 total_tokens=5"),
            (r#"["token"]"#, "eyJhbGciOiJI.eyJzdWI.c2ln AKIAABCDEFGHIJKLMNOP", "[token] [token]"),
            (r#"["/order (\\d+)/","/x+/"]"#, "order 17 xxx order y", "order [redacted] [redacted] order y"),
            (r#"["email","/\\w+@\\w+/"]"#, "a b@c.de f", "a [email] f"),
            (r#"["email","card","token"]"#, "", ""),
        ] {
            assert_eq!(
                rewrite::<Redact>(&format!(r#"{{"what":{what}}}"#), &[line]).unwrap(),
                [expected],
                "{line}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let mut redact =
            Redact::open(Params { what: vec!["email".into(), "card".into(), "token".into()] }).unwrap();
        let mut out = b"before".to_vec();
        assert!(redact.rewrite(Record { payload: b"\xff\0a@b.cd\xfe", ..Record::default() }, &mut out));
        assert_eq!(out, b"before\xff\0[email]\xfe");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (what, words) in [
            ("[]", "say what"),
            (r#"["emial"]"#, "emial is not known"),
            (r#"["/(/"]"#, "no regex"),
            (r#"["/x*/"]"#, "nothing at all"),
        ] {
            let error = rewrite::<Redact>(&format!(r#"{{"what":{what}}}"#), &[]).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
        }
    }
}
