//! A node that asks for tokens, some of them, and requests written by hand.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;
use weir_cluster_tests::process::{Node, PATIENCE, config_head, quoted, run, weir};

/// A node and its tokens.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) tokens: PathBuf,
    /// Secrets by the name of their token.
    pub(crate) secrets: BTreeMap<String, String>,
}

/// An answer, as far as it was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Makes a token by the command that makes them, in a file; gives its secret.
pub(crate) fn token(file: &Path, name: &str, flags: &[&str]) -> Result<String> {
    let file = file.display().to_string();
    let mut args = vec!["token", "new", "--name", name, "--file", &file];
    args.extend(flags);
    let output = run(&args)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl World {
    pub(crate) fn new() -> Result<World> {
        let dir = tempfile::tempdir()?;
        let tokens = dir.path().join("tokens.toml");
        std::fs::write(&tokens, "# the tokens of a test\n")?;
        Ok(World { dir, tokens, secrets: BTreeMap::new() })
    }

    /// Adds a token.
    pub(crate) fn add(&mut self, name: &str, flags: &[&str]) -> Result<String> {
        let secret = token(&self.tokens, name, flags)?;
        self.secrets.insert(name.to_owned(), secret.clone());
        Ok(secret)
    }

    /// The secret of a token.
    pub(crate) fn secret(&self, name: &str) -> &str {
        self.secrets.get(name).map_or("", String::as_str)
    }

    /// A file with the secret of a token.
    pub(crate) fn secret_file(&self, name: &str) -> Result<String> {
        let path = self.dir.path().join(format!("{name}.token"));
        std::fs::write(&path, format!("{}\n", self.secret(name)))?;
        Ok(path.display().to_string())
    }

    pub(crate) fn config(&self) -> Result<PathBuf> {
        let config = self.dir.path().join("weir.toml");
        let auth = format!("[auth]\ntokens_file = {}\n", quoted(&self.tokens));
        std::fs::write(&config, format!("{}{auth}", config_head(self.dir.path())))?;
        Ok(config)
    }

    /// Starts the node, which says all that it can.
    pub(crate) fn start(&self) -> Result<Node> {
        let config = self.config()?.display().to_string();
        let mut command = weir(&["run", "-c", &config]);
        command.env("RUST_LOG", "trace");
        let mut node = Node::spawn(command)?;
        node.wait_ready()?;
        Ok(node)
    }
}

pub(crate) fn address(node: &Node) -> Result<SocketAddr> {
    node.url("").strip_prefix("http://").context("a URL")?.parse().context("an address")
}

/// Sends a request, and reads the head of its answer; and its body where it is an error, for live records have no end.
pub(crate) fn ask(node: &Node, method: &str, target: &str, headers: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = send(node, method, target, headers, body)?;
    let (head, mut rest) = head_of(&mut stream)?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    if status >= 400 && method != "HEAD" {
        stream.read_to_end(&mut rest)?;
    }
    Ok(Answer { status, head, body: String::from_utf8_lossy(&rest).into_owned() })
}

/// The same, whose answer has an end: all of it.
pub(crate) fn ask_all(node: &Node, method: &str, target: &str, secret: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = send(node, method, target, &bearer(secret), body)?;
    let (head, mut rest) = head_of(&mut stream)?;
    stream.read_to_end(&mut rest)?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok(Answer { status, head, body: String::from_utf8_lossy(&rest).into_owned() })
}

/// Sends a request of a secret, and leaves the answer to be read.
pub(crate) fn send(node: &Node, method: &str, target: &str, headers: &str, body: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address(node)?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    Ok(stream)
}

pub(crate) fn bearer(secret: &str) -> String {
    format!("authorization: Bearer {secret}\r\n")
}

/// The head of an answer, and what came behind it.
pub(crate) fn head_of(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut got = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = got.split_off(end + 4);
            return Ok((String::from_utf8(got)?, rest));
        }
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "no head in {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&chunk[..read]);
    }
}

/// A connection to the node from another address of this machine.
pub(crate) fn connect_from(runtime: &Runtime, from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = runtime.block_on(socket.connect(to))?.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}
