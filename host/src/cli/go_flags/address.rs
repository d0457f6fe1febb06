//! Addresses as OK Log's command lines have them: `host`, `host:port`, `scheme://host:port`, and what it refuses,
//! `10.0.0.1:7650` and `[::1]:7650`.

/// Where ingest nodes take lines.
const FAST_PORT: u16 = 7651;
/// Where nodes answer HTTP.
const API_PORT: u16 = 7650;

const FORMS: &str = "expected host, host:port or tcp://host:port";

/// Scheme, host and port, as far as they are named.
type Address<'a> = (Option<&'a str>, &'a str, Option<u16>);

fn parse(text: &str) -> Result<Address<'_>, String> {
    let refuse = || format!("{FORMS}, got {text:?}");
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let colon = match rest.strip_prefix('[') {
        Some(_) => rest.find(']').map(|end| end + 1).filter(|at| *at < rest.len()),
        None => rest.find(':'),
    };
    let (host, port) = colon.map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
    let port = match port {
        None => None,
        Some(port) => Some(port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(refuse)?),
    };
    let plain = |host: &str| host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_".contains(&c));
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    if host.is_empty() || !(bracketed || plain(host)) {
        return Err(refuse());
    }
    Ok((scheme, host, port))
}

/// An address to listen on.
pub(super) fn socket(text: &str, default_port: u16) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match parse(&lower)? {
        (None | Some("tcp" | "tcp4" | "tcp6"), host, port) => {
            Ok(format!("{host}:{}", port.unwrap_or(default_port)))
        }
        _ => Err(format!("{FORMS}, got {text:?}")),
    }
}

/// The URL of a node's API.
pub(super) fn api(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match parse(&lower)? {
        (Some(scheme @ ("http" | "https")), host, port) => {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            Ok(format!("{scheme}://{host}{port}"))
        }
        (None | Some("tcp" | "tcp4" | "tcp6"), host, port) => {
            Ok(format!("http://{host}:{}", port.unwrap_or(API_PORT)))
        }
        _ => Err(format!("{FORMS}, got {text:?}")),
    }
}

/// What `weir forward` is to ship to: an API stays as it is, everything else is a port for lines. Names are looked
/// up at every connection, whatever the scheme says about it.
pub(crate) fn line_port(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(text.to_owned());
    }
    match parse(&lower)? {
        (None, host, Some(API_PORT)) => Err(format!(
            "{API_PORT} is the port of the API: write http://{host}:{API_PORT}, or tcp://{host}:{API_PORT} if it takes lines there"
        )),
        (None | Some("tcp" | "tcp4" | "tcp6" | "tcp+dns" | "tcp+dnsip"), host, port) => {
            Ok(format!("tcp://{host}:{}", port.unwrap_or(FAST_PORT)))
        }
        (Some(scheme @ ("tcp+dnssrv" | "tcp+dnsaddr")), ..) => {
            Err(format!("{scheme} is not looked up here: name the hosts, or one name with an address each"))
        }
        _ => Err(format!("{FORMS}, or http://host:{API_PORT}, got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_oklog_is_understood_and_those_with_bare_addresses_too() {
        for (text, expected) in [
            ("foo", "tcp://foo:7651"),
            ("foo:80", "tcp://foo:80"),
            ("FOO:80", "tcp://foo:80"),
            ("tcp://foo", "tcp://foo:7651"),
            ("tcp://foo:8080", "tcp://foo:8080"),
            ("tcp+dns://foo:8080", "tcp://foo:8080"),
            ("10.6.1.101:10011", "tcp://10.6.1.101:10011"),
            ("10.6.1.101", "tcp://10.6.1.101:7651"),
            ("[::1]:10011", "tcp://[::1]:10011"),
            ("[::1]", "tcp://[::1]:7651"),
            ("tcp://foo:7650", "tcp://foo:7650"),
            ("http://Foo:7650", "http://Foo:7650"),
        ] {
            assert_eq!(line_port(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "foo:",
            "foo:x",
            "foo:99999",
            "a b",
            "udp://foo",
            "tcp+dnssrv://testing:7650",
            "foo:7650",
            "tcp://",
            "a/b",
            "[]:1",
            "::1",
        ] {
            assert!(line_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_to_listen_on_and_to_ask_have_their_own_ports() {
        assert_eq!(socket("tcp://0.0.0.0:7650", 1).as_deref(), Ok("0.0.0.0:7650"));
        assert_eq!(socket("localhost", 7652).as_deref(), Ok("localhost:7652"));
        assert!(socket("udp://foo", 1).is_err());
        assert_eq!(api("localhost:7650").as_deref(), Ok("http://localhost:7650"));
        assert_eq!(api("tcp://h").as_deref(), Ok("http://h:7650"));
        assert_eq!(api("https://h/").as_deref(), Ok("https://h"));
        assert!(api("ftp://h").is_err());
    }
}
