//! Real nodes: started, asked, killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Free ports for everything a node listens on, as lines of its configuration.
const LISTEN: &str = "[listen]\napi = \"127.0.0.1:0\"\nfast = \"127.0.0.1:0\"\ndurable = \"127.0.0.1:0\"\n";

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The binary under test: `WEIR_BIN`, or the one cargo built last.
pub fn weir_bin() -> PathBuf {
    if let Some(path) = std::env::var_os("WEIR_BIN") {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = ["debug/weir", "release/weir"].map(|path| root.join(path));
    built.into_iter().find(|path| path.exists()).unwrap_or_else(|| root.join("debug/weir"))
}

/// A `weir` command with nothing inherited that would change what it does.
pub fn weir(args: &[&str]) -> Command {
    weir_with(&[], args)
}

/// The same with a command line that begins with another program and its arguments.
fn weir_with(prefix: &[String], args: &[&str]) -> Command {
    let mut command = match prefix.split_first() {
        Some((program, before)) => {
            let mut command = Command::new(program);
            command.args(before).arg(weir_bin());
            command
        }
        None => Command::new(weir_bin()),
    };
    command.args(args).env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a `weir` command to its end.
pub fn run(args: &[&str]) -> Result<Output> {
    weir(args).output().with_context(|| format!("start weir {args:?}"))
}

/// Runs a `weir` command to its end with bytes on its standard input.
pub fn run_with_input(args: &[&str], input: &[u8]) -> Result<Output> {
    let mut child = weir(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    let bytes = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    // A command that refuses its input early closes the pipe: the write may fail then.
    let _ = writer.join();
    Ok(output)
}

/// A running node.
pub struct Node {
    child: Child,
    address: String,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Node {
    /// Starts `weir run` with a configuration file and waits until it is ready.
    pub fn start(config: &Path) -> Result<Node> {
        Node::start_with(&[], config)
    }

    /// The same with a command line that begins with another program and its arguments.
    pub fn start_with(prefix: &[String], config: &Path) -> Result<Node> {
        let config = config.display().to_string();
        let mut node = Node::spawn(weir_with(prefix, &["run", "-c", &config]))?;
        node.wait_ready()?;
        Ok(node)
    }

    /// Starts a prepared command that runs a node, and waits until it listens.
    pub fn spawn(command: Command) -> Result<Node> {
        let mut node = Node::launch(command)?;
        node.wait_listening()?;
        Ok(node)
    }

    /// Starts a prepared command that runs a node, or ends before it does. It has no URL yet.
    pub fn launch(mut command: Command) -> Result<Node> {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("start the node")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        Ok(Node { child, address: String::new(), lines: follow(stderr), seen: Vec::new() })
    }

    /// Waits until it listens.
    pub fn wait_listening(&mut self) -> Result<()> {
        let line = self.wait_line("listening on http")?;
        let at = line.find("http").unwrap_or_default();
        line[at..].split_whitespace().next().unwrap_or_default().clone_into(&mut self.address);
        Ok(())
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Its standard input, if the command piped it.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that holds `text`.
    pub fn wait_line(&mut self, text: &str) -> Result<String> {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return Ok(line.clone());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no line with {text:?} in {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the node ended without {text:?}: {:#?}", self.seen)
                }
            }
        }
    }

    /// Waits until it says that it is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.wait_line("ready")?;
        if self.address.starts_with("https") {
            // Who asks it needs the authority of its certificate.
            return Ok(());
        }
        ensure!(get(&self.url("/-/ready"))?.0 == 200, "said to be ready, and is not");
        Ok(())
    }

    /// Kills it as a power failure of the process would: `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Holds it, so that it answers nothing and keeps its connections, or lets it go on.
    pub fn pause(&self, is_paused: bool) -> Result<()> {
        use rustix::process::Signal;
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }

    /// Ends it with SIGTERM and gives its exit code.
    pub fn terminate(self) -> Result<i32> {
        Ok(self.terminate_told()?.0)
    }

    /// Ends it with SIGTERM, and gives its exit code and all that it has said.
    pub fn terminate_told(mut self) -> Result<(i32, String)> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        Ok((self.wait_exit()?, self.log()))
    }

    /// Waits for it to end by itself and gives its exit code.
    pub fn wait_exit(&mut self) -> Result<i32> {
        // The pipe closes when the process ends: that is the event waited for.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("still running: {:#?}", self.seen),
            }
        }
        Ok(self.child.wait()?.code().unwrap_or(-1))
    }

    /// What it has written to standard error so far, as far as it was read.
    pub fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already ended processes refuse both; nothing else can be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stderr: ChildStderr) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receive
}

/// The beginning of a configuration: data below `dir`, free ports.
pub fn config_head(dir: &Path) -> String {
    format!("[node]\ndata_dir = {}\n{LISTEN}", quoted(&dir.join("data")))
}

/// A path as a string of TOML.
pub fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// GET: status and body.
pub fn get(url: &str) -> Result<(u16, Vec<u8>)> {
    let response = agent().get(url).call().with_context(|| format!("GET {url}"))?;
    answer(response)
}

/// POST: status and body.
pub fn post(url: &str, content_type: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    post_with(url, &[("content-type", content_type)], body)
}

/// POST with headers: status and body.
pub fn post_with(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let request =
        headers.iter().fold(agent().post(url), |request, (name, value)| request.header(*name, *value));
    answer(request.send(body).with_context(|| format!("POST {url}"))?)
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<(u16, Vec<u8>)> {
    let mut body = Vec::new();
    response.body_mut().as_reader().read_to_end(&mut body)?;
    Ok((response.status().as_u16(), body))
}

/// Asks until `enough` is content with the answer: for what happens on its own time, such as a followed file.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T>, enough: impl Fn(&T) -> bool) -> Result<T>
where
    T: std::fmt::Debug,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask()?;
        if enough(&answer) {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            let mut shown = format!("{answer:?}");
            shown.truncate(2000);
            bail!("{what}: still {shown}");
        }
        std::thread::yield_now();
    }
}

/// A query's answer.
#[derive(Debug)]
pub struct Answer {
    /// The rows, as JSON.
    pub rows: Vec<serde_json::Value>,
    /// The statistics of the last line.
    pub stats: serde_json::Value,
}

/// Runs a query over HTTP; `params` are already encoded (`q=…&limit=…`).
pub fn query(node: &Node, params: &str) -> Result<Answer> {
    let (status, body) = get(&node.url(&format!("/api/v1/query?format=ndjson&{params}")))?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    let mut rows = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        rows.push(serde_json::from_slice(line)?);
    }
    let last: serde_json::Value = rows.pop().context("an answer has a last line")?;
    let stats = last.get("stats").context("the last line has the statistics")?.clone();
    Ok(Answer { rows, stats })
}

/// Percent-encodes one parameter of a URL.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
