//! A server in the test's own runtime, and requests written by hand: no client library mends them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_api::{Drained, Server, ServerOptions};

use crate::backend::{Node, Shell};

/// A running server.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Drained>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body, chunks put together.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    /// Whether the body came to its proper end.
    pub(crate) whole: bool,
}

/// Sizes so small that a test reaches them.
pub(crate) fn tight() -> ServerOptions {
    ServerOptions { body_bytes_max: 12 << 20, inflight_bytes_max: 48 << 20, ..ServerOptions::default() }
}

/// Times so short that a test need not wait for them.
pub(crate) fn hasty() -> ServerOptions {
    let (head_timeout, body_idle_timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    ServerOptions { head_timeout, body_idle_timeout, ..ServerOptions::default() }
}

pub(crate) fn run(options: ServerOptions) -> Running {
    run_node(Node::new(None), ([127, 0, 0, 1], 0).into(), options)
}

pub(crate) fn run_node(node: Arc<Node>, address: SocketAddr, options: ServerOptions) -> Running {
    let shutdown = CancellationToken::new();
    let server = Server::bind(address, options).unwrap();
    let address = server.address();
    let task = tokio::spawn(server.serve(Arc::new(Shell(node.clone())), shutdown.clone()));
    Running { node, address, shutdown, task }
}

impl Running {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are and reads to the end of the connection.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        let (mut read, mut write) = stream.split();
        let mut got = Vec::new();
        // A server may answer before it has everything: read and write go on side by side.
        let (_, read) = tokio::join!(write.write_all(request), read.read_to_end(&mut got));
        assert!(read.is_ok() || !got.is_empty(), "the connection was reset before an answer: {read:?}");
        parse(&got)
    }

    /// A request with a body, on a connection of its own.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", b"").await
    }

    /// Ingests text that is known to be good.
    pub(crate) async fn ingest(&self, body: &[u8]) {
        let answer = self.send("POST", "/api/v1/ingest", "", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The lines of a body of JSON lines.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The code of an error, which must be in its envelope.
    pub(crate) fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
        error["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_of(&self.head, name)
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        header_of(&self.trailers, name)
    }
}

fn header_of<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = block.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn parse(bytes: &[u8]) -> Answer {
    let end =
        find(bytes, b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let rest = &bytes[end + 4..];
    if header_of(&head, "transfer-encoding") != Some("chunked") {
        let length = header_of(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let whole = rest.len() == length;
        return Answer { status, head, body: rest.to_vec(), trailers: String::new(), whole };
    }
    let (body, trailers) = dechunk(rest);
    Answer { status, head, body, whole: trailers.is_some(), trailers: trailers.unwrap_or_default() }
}

/// The data of chunks, and what follows the last one, if it came.
fn dechunk(mut rest: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, Some(String::from_utf8(rest.to_vec()).unwrap()));
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    (body, None)
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
