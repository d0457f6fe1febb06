//! Reading a file of tokens, with everything that is wrong told at once and by its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use weir_api::access::{NotASecret, Scope, Secret, Token, Topics};
use weir_record::limits::{SECRET_FILE_BYTES_MAX, TOKEN_NAME_BYTES_MAX, TOKENS_FILE_BYTES_MAX, TOKENS_MAX};

use crate::config::schema::TOKEN_KEYS;
use crate::config::{Bases, Checked, Item, Place, Problem, Problems, Simple, Table, check_with, read_file};

/// What is in a file of tokens.
#[derive(Debug, Default)]
pub struct FileOfTokens {
    /// The tokens, in the order of the file; those that are wrong are left out.
    pub tokens: Vec<Token>,
    /// What is wrong, a line each: `file:line:col: path: expected …, got …`.
    pub problems: Vec<String>,
}

/// Reads a file. The error says why it cannot be read.
pub fn read_tokens(path: &Path) -> Result<FileOfTokens, String> {
    let told = |error: std::io::Error| {
        let why = error.to_string();
        format!(
            "cannot read {}: {}",
            path.display(),
            why.split(" (os error").next().unwrap_or_default().to_lowercase()
        )
    };
    let mut bytes = Vec::new();
    let limit = TOKENS_FILE_BYTES_MAX as u64 + 1;
    File::open(path).map_err(told)?.take(limit).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() > TOKENS_FILE_BYTES_MAX {
        return Err(format!(
            "{}: a file of tokens has at most {TOKENS_FILE_BYTES_MAX} bytes",
            path.display()
        ));
    }
    Ok(parse(&path.display().to_string(), &bytes))
}

/// The secret that a file holds alone. The error says why there is none, and does not repeat the file.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        let why = error.to_string();
        format!(
            "cannot read {}: {}",
            path.display(),
            why.split(" (os error").next().unwrap_or_default().to_lowercase()
        )
    })?;
    text.parse().map_err(|error: NotASecret| format!("{}: {error}", path.display()))
}

/// What the text of a file says.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> FileOfTokens {
    let mut problems = Problems::default();
    let root = read_file(name, bytes, &|_| None, &mut problems);
    let nowhere = Bases { file_dir: Path::new("/"), working_dir: Path::new("/") };
    let table = root.map(|root| check_with(TOKEN_KEYS, root, nowhere, &mut problems)).unwrap_or_default();
    let items = match table.get("token").map(|item| &item.value) {
        Some(Checked::List(items)) => items.as_slice(),
        _ => &[],
    };
    if let Some(one_too_many) = items.get(TOKENS_MAX) {
        let text = format!("expected at most {TOKENS_MAX} tokens, got {}", items.len());
        problems.error(&one_too_many.place, "token", text);
    }
    let mut seen = Seen::default();
    let tokens = items.iter().enumerate().filter_map(|(index, item)| {
        let Checked::Table(table) = &item.value else { return None };
        token(table, &format!("token[{index}]"), &mut seen, &mut problems)
    });
    let tokens = tokens.collect();
    FileOfTokens { tokens, problems: problems.into_sorted().iter().map(Problem::to_string).collect() }
}

/// What may stand in a file once, and where it stands.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, Place>,
    hashes: BTreeMap<[u8; 32], Place>,
}

fn token(table: &Table, path: &str, seen: &mut Seen, problems: &mut Problems) -> Option<Token> {
    let name = name(table, path, seen, problems);
    let sha256 = match table.simple("sha256") {
        Some(Simple::Digest(digest)) => Some(*digest),
        _ => None,
    };
    if let (Some(digest), Some(item)) = (sha256, table.get("sha256"))
        && let Some(first) = seen.hashes.insert(digest, item.place.clone())
    {
        let text = format!("expected a secret for each token, got that of the one at {first}");
        problems.error(&item.place, &format!("{path}.sha256"), text);
    }
    let scopes = table.list("scopes").filter_map(|(_, simple)| match simple {
        Simple::Choice(word) => word.parse::<Scope>().ok(),
        _ => None,
    });
    let scopes: std::collections::BTreeSet<Scope> = scopes.collect();
    if let Some(Item { value: Checked::List(items), place }) = table.get("scopes")
        && items.is_empty()
    {
        problems.error(place, &format!("{path}.scopes"), "expected at least one scope, got an empty list");
    }
    let topics = topics(table, path, &scopes, problems)?;
    let expires_ms = match table.simple("expires") {
        Some(Simple::TimeMs(time_ms)) => Some(*time_ms),
        // Wrong, which has been told; a token that was meant to end must not last.
        None if table.get("expires").is_some() => return None,
        _ => None,
    };
    Some(Token { name: name?, sha256: sha256?, scopes, topics, expires_ms })
}

fn name(table: &Table, path: &str, seen: &mut Seen, problems: &mut Problems) -> Option<String> {
    let Some(Simple::Text(name)) = table.simple("name") else { return None };
    let place = &table.get("name")?.place;
    let path = format!("{path}.name");
    if !is_name(name) {
        let text = format!(
            "expected a name of 1 to {TOKEN_NAME_BYTES_MAX} letters, digits, `.`, `_`, `-` and `@`, got {name:?}"
        );
        problems.error(place, &path, text);
        return None;
    }
    if let Some(first) = seen.names.insert(name.clone(), place.clone()) {
        problems.error(
            place,
            &path,
            format!("expected a name for each token, got that of the one at {first}"),
        );
    }
    Some(name.clone())
}

/// Whether a text may be the name of a token.
pub fn is_name(text: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-' | b'@');
    (1..=TOKEN_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

fn topics(
    table: &Table,
    path: &str,
    scopes: &std::collections::BTreeSet<Scope>,
    problems: &mut Problems,
) -> Option<Topics> {
    let Some(Item { value, place }) = table.get("topics") else { return Some(Topics::default()) };
    let path = format!("{path}.topics");
    if let Some(scope) = scopes.iter().find(|scope| !scope.goes_with_topics()) {
        let text =
            format!("expected no topics with the scope {scope}, which they do not limit; make two tokens");
        problems.error(place, &path, text);
    }
    let Checked::List(items) = value else { return None };
    let patterns = table.list("topics").filter_map(|(_, simple)| match simple {
        Simple::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let patterns: Vec<&str> = patterns.collect();
    if patterns.len() < items.len() {
        return None;
    }
    Topics::parse(patterns).map_err(|error| problems.error(place, &path, error.to_string())).ok()
}

#[cfg(test)]
mod tests;
