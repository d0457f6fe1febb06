//! A client with one connection, as plain as the measurement allows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// One kept connection to a node.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// Sends `body` and waits for the whole answer, which must be a 200. Returns its body.
    pub(super) fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;

        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("{path}: the connection ended within the head of the answer");
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse().context("content-length is no number")?);
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length.context("an answer without content-length")?];
        self.stream.read_exact(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if status != "200" {
            bail!("{path}: {status}: {answer}");
        }
        Ok(answer)
    }
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
    use super::*;

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
