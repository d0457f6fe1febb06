//! What is asked for: what was typed, and what the flags add to it, as one query.

use clap::Args;

use crate::cli::exit::Failure;

/// The records that a command is about.
#[derive(Debug, Args)]
pub(crate) struct WantedArgs {
    /// What to look for; several arguments are one query. Nothing: all records
    #[arg(value_name = "QUERY")]
    words: Vec<String>,
    /// The query is one regular expression
    #[arg(long)]
    regex: bool,
    /// Only records of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only records with this label. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = split_label)]
    label: Vec<(String, String)>,
}

impl WantedArgs {
    /// As a query of the query language.
    pub(crate) fn query(&self) -> Result<String, Failure> {
        query(&self.words.join(" "), self.regex, self.topic.as_deref(), &self.label)
    }
}

/// `NAME=VALUE`; the name has at least one character.
pub(crate) fn split_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE such as env=prod".to_owned()),
    }
}

fn query(
    typed: &str,
    regex: bool,
    topic: Option<&str>,
    labels: &[(String, String)],
) -> Result<String, Failure> {
    if regex && typed.is_empty() {
        return Err(Failure::usage(
            "--regex: expected a pattern, got nothing; leave --regex out to see all records",
        ));
    }
    let mut parts = Vec::new();
    if let Some(topic) = topic {
        parts.push(format!("topic:{}", quoted(topic)));
    }
    for (name, value) in labels {
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.')) {
            return Err(Failure::usage(format!(
                "--label: expected a name of letters, digits, _, - and ., got {name:?}"
            )));
        }
        parts.push(format!("label.{name}:{}", quoted(value)));
    }
    let (typed, pipes) = if regex { (typed, "") } else { at_first_pipe(typed) };
    let typed = if regex { between_slashes(typed) } else { typed.to_owned() };
    if !typed.trim().is_empty() {
        // Parentheses only where they are needed: they shift the columns of errors.
        let alone = parts.is_empty() || !typed.contains("OR");
        parts.insert(0, if alone { typed } else { format!("({typed})") });
    }
    parts.extend((!pipes.is_empty()).then(|| pipes.to_owned()));
    Ok(parts.join(" "))
}

/// What stands before the first pipe, and the pipes: those within quotes and regexes are none.
fn at_first_pipe(typed: &str) -> (&str, &str) {
    let mut within = None;
    let (mut escaped, mut begins_term) = (false, true);
    for (at, c) in typed.char_indices() {
        match within {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(end) if c == end => within = None,
            None if c == '|' => return (typed[..at].trim_end(), &typed[at..]),
            None if c == '"' || c == '/' && begins_term => within = Some(c),
            Some(_) | None => {}
        }
        begins_term = within.is_none() && (c.is_whitespace() || matches!(c, '(' | '-'));
    }
    (typed, "")
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// A pattern as `/pattern/`; slashes that are not escaped yet become so.
fn between_slashes(pattern: &str) -> String {
    let mut out = String::from("/");
    let mut escaped = false;
    for c in pattern.chars() {
        if c == '/' && !escaped {
            out.push('\\');
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out.push('/');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_terms_beside_the_query() {
        for (typed, regex, topic, labels, want) in [
            ("", false, None, &[][..], ""),
            ("a b", false, None, &[], "a b"),
            ("a OR b", false, None, &[], "a OR b"),
            ("a OR b", false, Some("t"), &[], r#"(a OR b) topic:"t""#),
            ("", false, Some("my \"t\\"), &[], r#"topic:"my \"t\\""#),
            ("a OR b | count by x", false, Some("t"), &[], r#"(a OR b) topic:"t" | count by x"#),
            ("| count", false, None, &[], "| count"),
            (r#""a|\"|" /b|c/ x/|/ | d"#, false, Some("t"), &[], r#""a|\"|" /b|c/ x/ topic:"t" |/ | d"#),
            ("a|b", true, None, &[], "/a|b/"),
            ("x", false, None, &[("env", "a=b"), ("k8s.pod", "")], r#"x label.env:"a=b" label.k8s.pod:"""#),
            (r"a\d+ b", true, None, &[], r"/a\d+ b/"),
            (r"GET /api\/v1\\/", true, Some("t"), &[], r#"/GET \/api\/v1\\\// topic:"t""#),
        ] {
            let labels: Vec<_> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(query(typed, regex, topic, &labels).unwrap(), want);
        }
    }

    #[test]
    fn what_would_not_be_one_term_is_refused() {
        assert!(query("", true, None, &[]).is_err());
        let label = ("a b) OR (x".to_owned(), "v".to_owned());
        assert!(query("", false, None, &[label]).is_err());
    }
}
