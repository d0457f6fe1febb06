//! `weir token`: makes tokens, and looks at files of them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use weir_api::access::{Scope, Token as Entry, Topics};
use weir_api::format::rfc3339_ms;
use weir_node::tokens::{FileOfTokens, draw_secret, entry_of, is_name, read_tokens};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::told;
use crate::cli::terminal::{Color, plain, table};

const NEW_EXAMPLES: &str = "\
The secret is printed once and kept nowhere: the file has its SHA-256. Scopes: ingest sends
records; query asks; tail follows; filter sends components for queries; metrics reads
/metrics; admin reloads, drains, repairs and sees plugins; node is for stores of OK Log.
--topic limits ingest, query and tail; shop-* means all that begin so.

With --file the entry is added to that file and the secret is all of the output; reload the
node then. Without it secret and entry are printed.

Examples:
  weir token new --name grafana --scope query,tail --scope metrics --file tokens.toml
  weir token new --name shop --scope ingest --topic shop --topic 'shop-*' --expires 90d
  weir token new --name ci --scope ingest --expires 2030-01-31T00:00:00Z --file tokens.toml > ci.token";

const LIST_EXAMPLES: &str = "\
Examples:
  weir token list tokens.toml";

const CHECK_EXAMPLES: &str = "\
Every problem is one line, `file:line:col: path: expected …, got …`. Exit code 78 when there
is one: a node would not take the file.

Examples:
  weir token check tokens.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    New(New),
    List(List),
    Check(Check),
}

/// Make a token: print its secret once, and what goes into the file
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
pub(crate) struct New {
    /// What people call it: in lists, logs and errors
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it allows. May be repeated
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', required = true, value_parser = Scope::NAMES)]
    scope: Vec<String>,
    /// A topic it is limited to, or its beginning and a *. May be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// When it ends: in so long (90d), or at a time; without it, never
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// The file of tokens to add it to; it is made if it is not there
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// List the tokens of a file
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// The file of tokens
    file: PathBuf,
}

/// List everything that is wrong with a file of tokens
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct Check {
    /// The file of tokens
    file: PathBuf,
}

pub(crate) fn run(args: &Token, color: Color) -> Result<Exit, Failure> {
    let text = match args {
        Token::New(args) => new(args)?,
        Token::List(args) => list(&tokens_of(&args.file)?, color),
        Token::Check(args) => {
            let count = tokens_of(&args.file)?.len();
            let tokens = if count == 1 { "token" } else { "tokens" };
            format!("{}: ok, {count} {tokens}\n", args.file.display())
        }
    };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}

/// The tokens of a file that a node would take.
fn tokens_of(path: &Path) -> Result<Vec<Entry>, Failure> {
    let FileOfTokens { tokens, problems } = read_tokens(path).map_err(Failure::failed)?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(tokens),
        1 => Err(Failure::config("bad file of tokens: 1 problem, told above")),
        count => Err(Failure::config(format!("bad file of tokens: {count} problems, listed above"))),
    }
}

/// Makes a token. What is printed has the secret in its first line.
fn new(args: &New) -> Result<String, Failure> {
    let usage = |flag: &str, why: String| Failure::usage(format!("--{flag}: {why}"));
    if !is_name(&args.name) {
        let why = format!("expected 1 to 64 letters, digits, `.`, `_`, `-` and `@`, got {:?}", args.name);
        return Err(usage("name", why));
    }
    let scopes: Result<BTreeSet<Scope>, _> = args.scope.iter().map(|scope| scope.parse::<Scope>()).collect();
    let scopes = scopes.map_err(|error| usage("scope", error.to_string()))?;
    let topics = match args.topic.as_slice() {
        [] => Topics::default(),
        patterns => Topics::parse(patterns.iter().map(String::as_str))
            .map_err(|error| usage("topic", error.to_string()))?,
    };
    if let Some(scope) = scopes.iter().find(|scope| topics.is_restricted() && !scope.goes_with_topics()) {
        return Err(usage("topic", format!("topics do not limit the scope {scope}; make two tokens")));
    }
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let expires_ms = args.expires.as_deref().map(|text| expires(text, now_ms)).transpose()?;
    let secret = draw_secret().map_err(Failure::failed)?;
    let token = Entry { name: args.name.clone(), sha256: secret.sha256(), scopes, topics, expires_ms };
    let entry = entry_of(&token);
    let Some(path) = &args.file else { return Ok(format!("{}\n\n{entry}", secret.reveal())) };
    if path.exists() && tokens_of(path)?.iter().any(|known| known.name == token.name) {
        return Err(usage("name", format!("{} has a token {:?} already", path.display(), token.name)));
    }
    add(path, &entry)
        .map_err(|error| Failure::failed(format!("write {}: {}", path.display(), told(&error))))?;
    Ok(format!("{}\n", secret.reveal()))
}

/// Adds an entry in one write: a reload in between sees all of it, or nothing. A new file is its owner's alone.
fn add(path: &Path, entry: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let gap = if file.metadata()?.len() == 0 { "" } else { "\n" };
    file.write_all(format!("{gap}{entry}").as_bytes())
}

/// A time ahead, or how far ahead.
fn expires(text: &str, now_ms: u64) -> Result<u64, Failure> {
    use weir_api::time::{parse_duration, parse_time};
    let wrong = || {
        Failure::usage(format!(
            "--expires: expected how long from now, such as 90d, or a time ahead such as 2030-01-31T00:00:00Z, got {text:?}"
        ))
    };
    let at_ms = match parse_duration(text) {
        Ok(length_ms) => now_ms.checked_add(length_ms).ok_or_else(wrong)?,
        Err(_) => parse_time(text, now_ms).map_err(|_| wrong())?,
    };
    // Whole seconds read better, and nobody counts on less.
    if at_ms > now_ms { Ok(at_ms.div_ceil(1000) * 1000) } else { Err(wrong()) }
}

fn list(tokens: &[Entry], color: Color) -> String {
    use std::io::IsTerminal as _;
    let row = |token: &Entry| {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
        let topics: Vec<&str> = token.topics.patterns().collect();
        let topics = if topics.is_empty() { "all".to_owned() } else { plain(&topics.join(" ")) };
        let expires = token
            .expires_ms
            .map_or_else(|| "never".to_owned(), |at_ms| rfc3339_ms(at_ms).replace(".000Z", "Z"));
        vec![plain(&token.name), scopes.join(","), topics, expires]
    };
    let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
    table(&["NAME", "SCOPES", "TOPICS", "EXPIRES"], &rows, color.applies_to(std::io::stdout().is_terminal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_ahead_or_is_refused() {
        let now_ms = 1_700_000_000_000;
        for (text, at_ms) in [
            ("90d", Some(now_ms + 90 * 86_400_000)),
            ("2030-01-31T00:00:00Z", Some(1_896_048_000_000)),
            ("now", None),
            ("0s", None),
            ("2020-01-31T00:00:00Z", None),
            ("soon", None),
        ] {
            assert_eq!(expires(text, now_ms).ok(), at_ms, "{text}");
        }
    }

    #[test]
    fn a_file_is_made_added_to_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let args = |name: &str| New {
            name: name.to_owned(),
            scope: vec!["query".into(), "ingest".into()],
            topic: vec!["shop-*".into()],
            expires: Some("90d".into()),
            file: Some(file.clone()),
        };
        let secrets = ["a", "b"].map(|name| new(&args(name)).unwrap());
        let tokens = tokens_of(&file).unwrap();
        let names: Vec<&str> = tokens.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        for (secret, token) in secrets.iter().zip(&tokens) {
            assert_eq!(secret.parse::<weir_api::access::Secret>().unwrap().sha256(), token.sha256);
            assert!(!std::fs::read_to_string(&file).unwrap().contains(secret.trim()));
        }
        assert!(new(&args("a")).unwrap_err().message.contains("already"));
        std::fs::write(&file, "[[token]]\nnam = 1\n").unwrap();
        assert_eq!(new(&args("c")).unwrap_err().exit, Exit::Config);
        let topical = New { scope: vec!["admin".into()], file: None, ..args("d") };
        assert_eq!(new(&topical).unwrap_err().exit, Exit::Usage);
    }
}
