//! What the engine of queries does itself, for a plugin that does the same: the yardstick of its figures.

use std::hint::black_box;

use serde_json::Value;
use weir_query::{Matcher, StreamMatcher, parse_regex};
use weir_record::Stream;

use crate::records::Records;

/// A search of the engine that finds what a plugin keeps.
pub(crate) struct Native {
    matcher: StreamMatcher,
    /// As a regex.
    pub(crate) told: String,
}

impl Native {
    /// The equivalent of a standard filter with its parameters; `None` where the engine has none.
    pub(crate) fn of(plugin: &str, params: &str) -> Option<Native> {
        let params: Value = serde_json::from_str(params).ok()?;
        let told = match plugin {
            "grep" => of_grep(&params)?,
            _ => return None,
        };
        let none: [(&str, &str); 0] = [];
        let stream = Stream::new("bench", none).ok()?;
        let matcher = Matcher::compile(&parse_regex(&told).ok()?).ok()?.for_stream(&stream)?;
        Some(Native { matcher, told })
    }

    /// Asks the engine about each record by itself; how many match.
    pub(crate) fn count(&self, records: &Records) -> usize {
        let mut found = 0;
        for index in 0..records.count() {
            let payload = records.payload(index);
            self.matcher.scan(&[payload.len() as u32], payload, &mut |_| found += 1);
        }
        black_box(found)
    }
}

/// The patterns of `grep` as one regex, unless they are asked for in another way.
fn of_grep(params: &Value) -> Option<String> {
    if ["words", "invert"].iter().any(|name| params.get(*name) == Some(&Value::Bool(true))) {
        return None;
    }
    let patterns = params.get("patterns")?.as_array()?;
    let regexes = patterns.iter().map(|pattern| {
        let pattern = pattern.as_str()?;
        let regex = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        Some(regex.map_or_else(|| escaped(pattern), |regex| format!("(?:{regex})")))
    });
    let regex = regexes.collect::<Option<Vec<_>>>()?.join("|");
    Some(if params.get("case") == Some(&"ignore".into()) { format!("(?i){regex}") } else { regex })
}

/// A text as a regex that finds just it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut regex, c| {
        if c.is_ascii_punctuation() {
            regex.push('\\');
        }
        regex.push(c);
        regex
    })
}
