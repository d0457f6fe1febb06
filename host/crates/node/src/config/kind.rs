//! What each [kind](crate::config::schema::Kind) of setting accepts, and how that is said.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use weir_plugin_runtime::PublicKey;
use weir_query::time;

use crate::config::place::Place;
use crate::config::schema::Kind;
use crate::config::tree::{Node, Spelling, Value};
use crate::config::units::{format_bytes, format_duration_ms, parse_bytes, parse_duration_ms, parse_percent};

/// A setting of a simple kind, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Simple {
    Text(String),
    /// Never shown.
    Secret(String),
    Choice(&'static str),
    Bool(bool),
    Integer(i64),
    DurationMs(u64),
    Bytes(u64),
    Unlimited,
    Off,
    Percent(u8),
    Socket(SocketAddr),
    Url(String),
    Path(PathBuf),
    Glob(String),
    TimeMs(u64),
    Digest([u8; 32]),
    PublicKey(PublicKey),
}

/// Directories that relative paths are taken from; both absolute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases<'a> {
    /// Of the configuration file.
    pub(crate) file_dir: &'a Path,
    /// Of the process, for flags and defaults.
    pub(crate) working_dir: &'a Path,
}

impl Bases<'_> {
    fn of(&self, place: &Place) -> &Path {
        match place {
            Place::File { .. } => self.file_dir,
            Place::Flag(_) | Place::Default => self.working_dir,
        }
    }
}

/// Understands a value of a simple kind. `None` when it does not fit; kinds made of others never fit.
pub(crate) fn understand(kind: &Kind, node: &Node, bases: Bases<'_>) -> Option<Simple> {
    if let Kind::Bool | Kind::Integer(..) = kind {
        return understand_number(kind, node);
    }
    let date = match (kind, &node.value) {
        (Kind::Time, Value::Date(date)) => Some(date.as_str()),
        _ => None,
    };
    let text = date.or_else(|| text_of(node))?;
    Some(match kind {
        Kind::Text(_) if !text.is_empty() => Simple::Text(text.to_owned()),
        Kind::Secret(_) if !text.is_empty() => Simple::Secret(text.to_owned()),
        Kind::Choice(words) => Simple::Choice(words.iter().find(|word| **word == text)?),
        Kind::Duration(min, max) => {
            Simple::DurationMs(parse_duration_ms(text).filter(|ms| (min..=max).contains(&ms))?)
        }
        Kind::Bytes(min, max) => Simple::Bytes(parse_bytes(text).filter(|n| (min..=max).contains(&n))?),
        Kind::OrUnlimited(_) if text == "unlimited" => Simple::Unlimited,
        Kind::OrOff(_) if text == "off" => Simple::Off,
        Kind::OrUnlimited(inner) | Kind::OrOff(inner) => understand(inner, node, bases)?,
        Kind::Percent => Simple::Percent(parse_percent(text)?),
        Kind::Socket => Simple::Socket(parse_socket(text)?),
        Kind::HostPort => Simple::Text(is_host_port(text).then(|| text.to_owned())?),
        Kind::Url(schemes) => Simple::Url(parse_base_url(text, schemes)?),
        Kind::Path if is_path(text) => Simple::Path(absolute(bases.of(&node.place), text)),
        Kind::GlobOrName if is_path(text) && !text.contains('/') => Simple::Glob(text.to_owned()),
        Kind::Glob | Kind::GlobOrName if is_path(text) => {
            Simple::Glob(absolute_glob(bases.of(&node.place), text))
        }
        // Of the forms of a time only dates: the others count from now, whenever that is.
        Kind::Time if text.as_bytes().get(4) == Some(&b'-') => {
            Simple::TimeMs(time::parse_time(text, 0).ok()?)
        }
        Kind::Digest => Simple::Digest(parse_digest(text)?),
        Kind::PublicKey => Simple::PublicKey(text.parse().ok()?),
        _ => return None,
    })
}

/// Numbers may also be written as `"${N}"`: then the schema decides, not the quotes.
fn understand_number(kind: &Kind, node: &Node) -> Option<Simple> {
    let substituted = matches!(node.spelling, Spelling::Substituted(_));
    match (kind, &node.value) {
        (Kind::Bool, Value::Bool(yes)) => Some(Simple::Bool(*yes)),
        (Kind::Bool, Value::Text(text)) if substituted => Some(Simple::Bool(text.trim().parse().ok()?)),
        (Kind::Integer(min, max), value) => {
            let number = match value {
                Value::Integer(number) => *number,
                Value::Text(text) if substituted => text.trim().parse().ok()?,
                _ => return None,
            };
            (*min..=*max).contains(&number).then_some(Simple::Integer(number))
        }
        _ => None,
    }
}

/// The text of a value, also where `--set` made a number of what the schema wants as text.
pub(crate) fn text_of(node: &Node) -> Option<&str> {
    match (&node.value, &node.spelling) {
        (Value::Text(text), _) | (_, Spelling::Flag(text)) => Some(text),
        _ => None,
    }
}

/// What a kind accepts, after "expected".
pub(crate) fn expectation(kind: &Kind) -> String {
    match kind {
        Kind::Table | Kind::Free => "a table".to_owned(),
        Kind::Names(of) => format!("a table with a name for each {of}"),
        Kind::Labels => "a table of labels such as { env = \"prod\" }".to_owned(),
        Kind::List(inner) => format!("a list, each of it {}", expectation(inner)),
        Kind::Tables => "a list of tables".to_owned(),
        Kind::Text(words) | Kind::Secret(words) => (*words).to_owned(),
        Kind::Choice([only]) => format!("{only:?}"),
        Kind::Choice(words) => {
            format!("one of {}", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
        }
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer(min, max) => format!("an integer from {min} to {max}"),
        Kind::Duration(min, max) => {
            let (min, max) = (format_duration_ms(*min), format_duration_ms(*max));
            format!("a duration from \"{min}\" to \"{max}\", such as \"2h30m\"")
        }
        Kind::Bytes(min, max) => {
            format!("a size from \"{}\" to \"{}\"", format_bytes(*min), format_bytes(*max))
        }
        Kind::OrUnlimited(inner) => format!("{}, or \"unlimited\"", expectation(inner)),
        Kind::OrOff(inner) => format!("{}, or \"off\"", expectation(inner)),
        Kind::Percent => "a whole percentage from \"1%\" to \"100%\"".to_owned(),
        Kind::Socket => "an IP address and port such as \"127.0.0.1:7650\"".to_owned(),
        Kind::HostPort => "a host and port such as \"10.0.0.6:7659\"".to_owned(),
        Kind::Url(schemes) => {
            let scheme = schemes.first().unwrap_or(&"http");
            format!(
                "a URL of {} without path or password, such as \"{scheme}://host:7650\"",
                schemes.join(", ")
            )
        }
        Kind::Path => "a path".to_owned(),
        Kind::Glob => "a path pattern such as \"/var/log/**/*.log\"".to_owned(),
        Kind::GlobOrName => "a path or name pattern such as \"*.gz\"".to_owned(),
        Kind::Time => "a time such as 2030-01-31T00:00:00Z".to_owned(),
        Kind::Digest => "a SHA-256 of 64 hex digits".to_owned(),
        Kind::PublicKey => {
            "a public key, ed25519: and 64 hex digits, as `weir plugin keygen` prints".to_owned()
        }
    }
}

fn parse_socket(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    }
    text.parse().ok()
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    port.parse::<u16>().is_ok_and(|port| port > 0) && is_host(host)
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

/// `http://host:7650` with or without a slash at the end; returned without.
pub(crate) fn parse_base_url(text: &str, schemes: &[&str]) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let fits = is_host(authority) || is_host_port(authority);
    (schemes.contains(&scheme) && fits).then(|| format!("{scheme}://{authority}"))
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

fn absolute(base: &Path, text: &str) -> PathBuf {
    let joined = base.join(text);
    // Takes out `.`; with an absolute base it asks the system nothing.
    std::path::absolute(&joined).unwrap_or(joined)
}

/// A relative pattern, taken from `base`, whose own special characters are escaped.
fn absolute_glob(base: &Path, text: &str) -> String {
    if text.starts_with('/') {
        return text.to_owned();
    }
    let (mut base, mut relative) = (base, text);
    loop {
        if let Some(rest) = relative.strip_prefix("./") {
            relative = rest;
        } else if let Some(rest) = relative.strip_prefix("../") {
            (base, relative) = (base.parent().unwrap_or(base), rest);
        } else {
            break;
        }
    }
    let mut out = String::new();
    for c in base.to_string_lossy().chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}') {
            out.extend(['[', c, ']']);
        } else {
            out.push(c);
        }
    }
    format!("{}/{relative}", out.trim_end_matches('/'))
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.len() != 64 || !hex.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (i, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_have_a_host_and_nothing_behind_it() {
        for (text, want) in [
            ("http://host:7650", Some("http://host:7650")),
            ("http://10.0.0.1:7650/", Some("http://10.0.0.1:7650")),
            ("http://[::1]:7650", Some("http://[::1]:7650")),
            ("https://ingest-1", Some("https://ingest-1")),
            ("http://host:0", None),
            ("http://host:99999", None),
            ("http://", None),
            ("http://user:pw@host", None),
            ("http://host/api", None),
            ("http://host?x", None),
            ("ftp://host", None),
            ("host:7650", None),
        ] {
            assert_eq!(parse_base_url(text, &["http", "https"]).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn relative_patterns_are_taken_from_the_base_directory() {
        for (text, want) in [
            ("/var/log/*.log", "/var/log/*.log"),
            ("logs/*.log", "/etc/we[[]i[]]r/logs/*.log"),
            ("./*.log", "/etc/we[[]i[]]r/*.log"),
            ("*.log", "/etc/we[[]i[]]r/*.log"),
            (".././../*.log", "/*.log"),
            ("../../../x", "/x"),
        ] {
            assert_eq!(absolute_glob(Path::new("/etc/we[i]r"), text), want);
        }
    }
}
