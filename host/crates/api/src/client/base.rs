//! The URL of a node.

use http::Uri;

use super::ClientError;

/// `http://host:port` or `https://host:port`, and perhaps a path under which a proxy has put the node.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// Without a slash at the end.
    url: String,
}

impl Base {
    pub(super) fn parse(url: &str) -> Result<Base, ClientError> {
        let refuse = |reason: &'static str| ClientError::Url { url: url.chars().take(200).collect(), reason };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(refuse("it names no scheme; write http://HOST:7650"));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err(refuse("only http:// and https:// are spoken here; write http://HOST:7650")),
        };
        if rest.contains(['?', '#', '@']) {
            return Err(refuse("it holds more than host, port and path; write http://HOST:7650"));
        }
        let base = Base { url: format!("{scheme}://{}", rest.trim_end_matches('/')) };
        match base.url.parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(base),
            _ => Err(refuse("it is no URL; write http://HOST:7650")),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn join(&self, path: &str) -> Result<Uri, ClientError> {
        let joined = format!("{}{path}", self.url);
        joined.parse().map_err(|_| ClientError::Url {
            url: self.url.clone(),
            reason: "topic and labels make it longer than a URL may be",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_http_url_without_a_query() {
        for (url, expected) in [
            ("http://a:7650", Ok("http://a:7650/x")),
            ("HTTP://a:7650/", Ok("http://a:7650/x")),
            ("http://[::1]:7650/logs/", Ok("http://[::1]:7650/logs/x")),
            ("HTTPS://a", Ok("https://a/x")),
            ("a:7650", Err("it names no scheme; write http://HOST:7650")),
            ("tcp://a:7651", Err("only http:// and https:// are spoken here; write http://HOST:7650")),
            ("http://", Err("it is no URL; write http://HOST:7650")),
            ("http://a b", Err("it is no URL; write http://HOST:7650")),
            ("http://a/?q=x", Err("it holds more than host, port and path; write http://HOST:7650")),
        ] {
            let got = Base::parse(url).map(|base| base.join("/x").unwrap().to_string());
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected),
                (Err(ClientError::Url { reason, .. }), Err(expected)) => assert_eq!(reason, expected),
                (got, _) => panic!("{url}: {got:?}"),
            }
        }
    }
}
