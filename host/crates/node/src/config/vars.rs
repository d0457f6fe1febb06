//! `${VAR}` inside one string value. It runs after TOML was parsed: a variable can never become structure.

use std::borrow::Cow;

/// Looks up an environment variable.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `${VAR}` (must be set), `${VAR:-default}` and `${VAR:?message}` (set and not empty), and `$$` by
/// `$`. Any other `$` stays, so that regular expressions need no escaping. Borrowed when nothing was replaced.
pub(crate) fn substitute<'t>(text: &'t str, env: Env<'_>) -> Result<Cow<'t, str>, String> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = if let Some(after) = from.strip_prefix("$$") {
            out.push('$');
            after
        } else if let Some(inner) = from.strip_prefix("${") {
            let Some(end) = inner.find('}') else {
                return Err("expected } after ${, got the end of the text; write $$ for a plain $".to_owned());
            };
            out.push_str(&evaluate(&inner[..end], env)?);
            &inner[end + 1..]
        } else {
            out.push('$');
            &from[1..]
        };
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn evaluate(reference: &str, env: Env<'_>) -> Result<String, String> {
    let name_bytes =
        reference.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(reference.len());
    let (name, operator) = reference.split_at(name_bytes);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("expected a variable name after ${{, got {reference:?}; write $$ for a plain $"));
    }
    let value = env(name);
    if operator.is_empty() {
        return value.ok_or_else(|| {
            format!(
                "expected the environment variable {name} to be set; set it or write ${{{name}:-default}}"
            )
        });
    }
    let filled = value.filter(|value| !value.is_empty());
    if let Some(default) = operator.strip_prefix(":-") {
        return Ok(filled.unwrap_or_else(|| default.to_owned()));
    }
    if let Some(message) = operator.strip_prefix(":?") {
        return filled.ok_or_else(|| {
            format!("expected the environment variable {name} to be set and not empty: {message}")
        });
    }
    Err(format!(
        "expected ${{{name}}}, ${{{name}:-default}} or ${{{name}:?message}}, got \"${{{reference}}}\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "USER" => Some("log".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${USER} = [\"x\"]".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_and_everything_else_is_kept() {
        for (text, want) in [
            ("plain", "plain"),
            ("${USER}", "log"),
            ("a-${USER}-b-${USER}", "a-log-b-log"),
            ("${EMPTY}", ""),
            ("${EMPTY:-none}", "none"),
            ("${NO:-none}", "none"),
            ("${NO:-}", ""),
            ("${USER:-none}", "log"),
            ("${USER:?set it}", "log"),
            ("$${USER}", "${USER}"),
            ("cost $$5", "cost $5"),
            (r"^\d{4}-.*$", r"^\d{4}-.*$"),
            ("$USER", "$USER"),
            // A value is never looked at again: it cannot refer, and it cannot become structure.
            ("${TRICK}", "${USER} = [\"x\"]"),
        ] {
            assert_eq!(substitute(text, &env).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_says_what_to_write() {
        for (text, want) in [
            ("${NO}", "the environment variable NO to be set; set it or write ${NO:-default}"),
            ("${NO:?ask the admin}", "NO to be set and not empty: ask the admin"),
            ("${EMPTY:?fill it}", "EMPTY to be set and not empty: fill it"),
            ("${USER", "expected } after ${"),
            ("${}", "expected a variable name after ${"),
            ("${1A}", "expected a variable name after ${"),
            ("${USER+x}", "got \"${USER+x}\""),
        ] {
            let error = substitute(text, &env).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
