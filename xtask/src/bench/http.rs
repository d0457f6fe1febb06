//! A client with one connection, as plain as the measurement allows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long a server may be silent within an answer.
const SILENCE_MAX: Duration = Duration::from_mins(2);
/// What is read of an answer at once.
const READ_BYTES: usize = 256 << 10;

/// One kept connection to a server.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    /// With its query.
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    pub(super) body: &'a [u8],
}

/// What comes back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) body: String,
    /// What follows the body, as `name: value` lines.
    pub(super) trailers: String,
}

/// How an answer's head says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
}

impl Client {
    /// `address` is a socket address, or `host:port`.
    pub(super) fn connect(address: impl ToSocketAddrs + ToString) -> anyhow::Result<Self> {
        let host = address.to_string();
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream: BufReader::with_capacity(READ_BYTES, stream), host })
    }

    /// Sends lines of text and waits for the whole answer, which must be a good one. Returns its body.
    pub(super) fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let request = Request { method: "POST", path, content_type: "text/plain", body };
        Ok(self.ask(request)?.body)
    }

    /// Asks for what is known to be small enough to be held.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Request { method: "GET", path, content_type: "text/plain", body: &[] })
    }

    /// Waits for the whole answer, which must be a good one.
    pub(super) fn ask(&mut self, request: Request<'_>) -> anyhow::Result<Answer> {
        let mut body = Vec::new();
        let trailers = self.stream(request, &mut |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(Answer { body: String::from_utf8_lossy(&body).into_owned(), trailers })
    }

    /// Hands on the body of an answer as it comes; returns the trailers. Fails unless the answer is a good one.
    pub(super) fn stream(
        &mut self,
        request: Request<'_>,
        take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let Request { method, path, content_type, body } = request;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nte: trailers\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;

        let (status, length) = self.head().with_context(|| format!("the answer to {method} {path}"))?;
        if (200..300).contains(&status) {
            return self.body(length, take);
        }
        let mut said = Vec::new();
        self.body(length, &mut |bytes| {
            said.extend_from_slice(bytes);
            Ok(())
        })?;
        bail!("{path}: {status}: {}", String::from_utf8_lossy(&said).trim());
    }

    fn head(&mut self) -> anyhow::Result<(u16, Length)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.with_context(|| format!("no status in `{line}`"))?;
        // Without a word on it, which is how 204 comes, there is no body: the connection is kept.
        let mut length = Length::Bytes(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(value.trim().parse().context("content-length is no number")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            }
        }
        Ok((status, length))
    }

    fn body(
        &mut self,
        length: Length,
        take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        if let Length::Bytes(bytes) = length {
            self.bytes(bytes, take)?;
            return Ok(String::new());
        }
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let bytes = usize::from_str_radix(digits.trim(), 16);
            match bytes.with_context(|| format!("`{line}` begins no chunk"))? {
                0 => break,
                bytes => self.bytes(bytes, take)?,
            }
            self.line()?;
        }
        let mut trailers = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push_str(&line);
            trailers.push('\n');
        }
    }

    /// Hands on so many bytes without a copy.
    fn bytes(
        &mut self,
        mut left: usize,
        take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while left > 0 {
            let read = self.stream.fill_buf()?;
            let some = read.len().min(left);
            if some == 0 {
                bail!("the connection ended within an answer");
            }
            take(&read[..some])?;
            self.stream.consume(some);
            left -= some;
        }
        Ok(())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        /// Trailers are the longest.
        const LINE_BYTES_MAX: u64 = 64 << 10;
        let mut line = String::new();
        self.stream.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        if !line.ends_with('\n') {
            bail!("the connection ended within the head of an answer");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// Text as a value in the query of a path.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
    }
    out
}

/// The sum of a metric over all its label sets, in Prometheus' text format; 0 where it is absent.
/// `labels` are parts of the label text that must all occur.
pub(super) fn metric(text: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (set, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest),
        };
        let value = value.strip_prefix(' ')?.split(' ').next()?;
        labels.iter().all(|label| set.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of this answer.
    fn received(answer: &'static str) -> anyhow::Result<Answer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines();
                while !lines.next().unwrap().unwrap().is_empty() {}
                (&stream).write_all(answer.as_bytes()).unwrap();
            });
            Client::connect(address)?.get("/x")
        })
    }

    #[test]
    fn answers_of_every_form_are_read() {
        for (answer, body, trailers) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", "", ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nA: b\r\n\r\n",
                "abc",
                "A: b\n",
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", ""),
        ] {
            let got = received(answer).unwrap();
            assert_eq!((got.body.as_str(), got.trailers.as_str()), (body, trailers), "{answer}");
        }
    }

    #[test]
    fn answers_that_are_not_good_are_errors() {
        for (answer, named) in [
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nwhy", "400: why"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", "within an answer"),
            ("HTTP/1.1 200 OK\r\ncontent-le", "within the head"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", "no chunk"),
            ("hello\r\n\r\n", "no status"),
        ] {
            let error = format!("{:#}", received(answer).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_is_not_plain_is_encoded() {
        assert_eq!(encoded("a-z \"ü\"/&"), "a-z%20%22%C3%BC%22%2F%26");
    }

    #[test]
    fn metrics_are_summed_over_the_label_sets_asked_for() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{s=\"x\",t=\"1\"} 2\n\
                    a_total{s=\"y\"} 3.5\na_total_more 9\nb 7\n";
        for (name, labels, expected) in [
            ("a_total", &[][..], 5.5),
            ("a_total", &["s=\"x\""][..], 2.0),
            ("b", &[][..], 7.0),
            ("c", &[][..], 0.0),
        ] {
            let sum = metric(text, name, labels);
            assert!((sum - expected).abs() < 1e-9, "{name}: {sum}");
        }
    }
}
