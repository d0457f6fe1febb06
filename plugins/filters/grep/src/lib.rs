//! `| grep timeout "connection reset" /took \d{4,}ms/` keeps records with at least one of the patterns.
//!
//! All of them become one regex: its engine searches many texts at once as Aho-Corasick does, a single one as fast as
//! memory is read, and everything else as a deterministic automaton that is built while it runs.

mod needed;

use regex::bytes::{Regex, RegexBuilder};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Filter, Hints, Info, Record, export_filter};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["patterns"],
    "properties": {
        "patterns": {
            "type": "array", "items": { "type": "string", "minLength": 1 },
            "description": "texts, or regexes between slashes; one of them is enough"
        },
        "words": {
            "type": "boolean", "default": false,
            "description": "only where no letter, digit or _ stands directly before or after"
        },
        "case": {
            "type": "string", "enum": ["exact", "ignore"], "default": "exact",
            "description": "whether upper and lower case are the same"
        },
        "invert": {
            "type": "boolean", "default": false,
            "description": "keep the records with none of them instead"
        }
    },
    "x-args": { "positional": ["patterns"] }
}"#;

/// What a compiled regex may take, its lazily built tables apart.
const REGEX_BYTES_MAX: usize = 8 << 20;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    patterns: Vec<String>,
    #[serde(default)]
    words: bool,
    #[serde(default)]
    case: Case,
    #[serde(default)]
    invert: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
enum Case {
    #[default]
    Exact,
    Ignore,
}

/// The filter.
#[derive(Debug)]
pub struct Grep {
    regex: Regex,
    invert: bool,
    literals: Option<Vec<Vec<u8>>>,
}

impl Filter for Grep {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { patterns, words, case, invert }: Params) -> Result<Grep, Failure> {
        if patterns.is_empty() {
            return Err(Failure::bad_config(
                "grep.patterns",
                "there is no pattern: write grep TEXT or grep /REGEX/",
            ));
        }
        let flags = if case == Case::Ignore { "(?i)" } else { "" };
        let mut either = Vec::new();
        for pattern in &patterns {
            let pattern = regex_of(pattern);
            // By itself, so that no pattern closes the group of another, and an error shows what was written.
            compiled(&pattern)?;
            either.push(format!("(?:{flags}{pattern})"));
        }
        let either = either.join("|");
        let literals = if invert { None } else { needed::of(&either) };
        // Words are those of a query: bytes from 0x80 up are letters.
        let whole = r"(?-u:^|[^0-9A-Za-z_\x80-\xff])(?:…)(?-u:$|[^0-9A-Za-z_\x80-\xff])";
        let regex = compiled(&if words { whole.replace('…', &either) } else { either })?;
        Ok(Grep { regex, invert, literals })
    }

    fn hints(&self) -> Hints {
        Hints { literals: self.literals.clone().into_iter().collect(), ..Hints::default() }
    }

    fn keep(&mut self, record: Record<'_>) -> bool {
        self.regex.is_match(record.payload) != self.invert
    }
}

/// A regex between slashes, or one that matches a text.
fn regex_of(pattern: &str) -> String {
    let between = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    between.filter(|inner| !inner.is_empty()).map_or_else(|| regex::escape(pattern), str::to_owned)
}

fn compiled(pattern: &str) -> Result<Regex, Failure> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| Failure::bad_config("grep.regex", format_args!("/{pattern}/ is no regex: {error}")))
}

export_filter!(Grep);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::filter;

    const LINES: [&str; 6] = ["a timeout", "Timeouts", "took 1234ms", "a/b", "x.y", "étimeouté (1"];

    #[test]
    fn records_with_one_of_the_patterns_are_kept() {
        for (params, kept) in [
            (r#""patterns":["timeout"]"#, &[0, 5][..]),
            (r#""patterns":["timeout","x.y"]"#, &[0, 4, 5]),
            (r#""patterns":["timeout"],"case":"ignore""#, &[0, 1, 5]),
            (r#""patterns":["timeout"],"words":true"#, &[0]),
            (r#""patterns":["TIMEOUT"],"words":true,"case":"ignore""#, &[0]),
            (r#""patterns":["timeout"],"invert":true"#, &[1, 2, 3, 4]),
            (r#""patterns":["/\\d{4}ms$/","/^x.y$/"]"#, &[2, 4]),
            (r#""patterns":["/^a\\W/"]"#, &[0, 3]),
            (r#""patterns":["/"]"#, &[3]),
            (r#""patterns":["(1"]"#, &[5]),
            (r#""patterns":["/a timeout|took/","a/b"]"#, &[0, 2, 3]),
        ] {
            let expected: Vec<&str> = kept.iter().map(|&at| LINES[at]).collect();
            assert_eq!(filter::<Grep>(&format!("{{{params}}}"), &LINES).unwrap(), expected, "{params}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_was_written() {
        for (patterns, words) in
            [("[]", "no pattern"), (r#"["/a)|(b/"]"#, "/a)|(b/"), (r#"["x","/(/"]"#, "/(/ is no regex")]
        {
            let error = filter::<Grep>(&format!(r#"{{"patterns":{patterns}}}"#), &LINES).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
        }
    }
}
