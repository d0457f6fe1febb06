//! A weir node as a child process, for the demo and the figures.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to become ready; plugins are compiled at the first start.
const READY_PATIENCE: Duration = Duration::from_mins(1);
/// A node drains within 10 s of SIGTERM by its own promise.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at something that tells nobody when it changes.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// A process that ends with this value, by its own pid: asked first, killed if it does not listen.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let line = crate::proc::line_of(command);
        command.stdin(Stdio::null()).spawn().map(Self).with_context(|| format!("cannot start `{line}`"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.0.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Sends SIGKILL and waits.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill().context("send SIGKILL")?;
        self.0.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("pid out of range")?;
        kill_process(pid, Signal::TERM).context("send SIGTERM")?;
        let started = Instant::now();
        while self.0.try_wait()?.is_none() {
            if started.elapsed() > STOP_PATIENCE {
                self.0.kill().context("send SIGKILL")?;
                self.0.wait()?;
                bail!("process {pid:?} did not end within {} s of SIGTERM", STOP_PATIENCE.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("xtask: {error:#}");
        }
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From the start of the process to ready.
    pub(crate) ready_after: Duration,
    log: PathBuf,
}

impl Node {
    /// Starts `weir run` in `dir` with all roles and `config`, to which `[node]` and `[listen]` are
    /// added, and waits until it is ready.
    pub(crate) fn start(weir: &Path, dir: &Path, port: u16, config: &str) -> anyhow::Result<Self> {
        Self::start_as(&["ingest", "store", "query"], weir, dir, port, config)
    }

    /// The same with these roles.
    pub(crate) fn start_as(
        roles: &[&str],
        weir: &Path,
        dir: &Path,
        port: u16,
        config: &str,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config_file = dir.join("weir.toml");
        let head = format!(
            "[node]\nroles = {roles:?}\ndata_dir = {}\n\n\
             [listen]\napi = \"{address}\"\nfast = \"127.0.0.1:0\"\ndurable = \"127.0.0.1:0\"\n\n",
            quoted(&dir.join("data"))
        );
        std::fs::write(&config_file, head + config).context("write weir.toml")?;
        let log = dir.join("node.log");
        let output = File::create(&log).context("create the node's log")?;
        let mut command = Command::new(weir);
        command.arg("run").arg("-c").arg(&config_file).current_dir(dir);
        command.stdout(output.try_clone()?).stderr(output);

        let started = Instant::now();
        let process = Process::start(&mut command)?;
        let mut node = Self { process, address, ready_after: Duration::ZERO, log };
        while !node.ready() {
            if let Some(status) = node.process.ended() {
                bail!("the node ended before it was ready ({status}):\n{}", node.last_words());
            }
            if started.elapsed() > READY_PATIENCE {
                bail!("the node is not ready after {READY_PATIENCE:?}:\n{}", node.last_words());
            }
            std::thread::sleep(POLL);
        }
        node.ready_after = started.elapsed();
        Ok(node)
    }

    /// `http://host:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it takes lines over TCP; `port` is `fast` or `durable`.
    pub(crate) fn lines_address(&self, port: &str) -> anyhow::Result<SocketAddr> {
        let log = std::fs::read_to_string(&self.log).context("read the node's log")?;
        let told = log.lines().find(|line| line.contains("tcp://") && line.contains(&format!("({port})")));
        let address = told.and_then(|line| line.split_once("tcp://")?.1.split(' ').next());
        Ok(address.with_context(|| format!("the node's log names no port {port}"))?.parse()?)
    }

    fn ready(&self) -> bool {
        get(self.address, "/-/ready").is_ok_and(|(status, _)| status == 200)
    }

    /// The end of what the node wrote, for a message about its failure.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The config of a file source `name` on the files that `pattern` matches.
pub(crate) fn file_source(name: &str, pattern: &Path) -> String {
    format!(
        "[sources.{name}]\nplugin = \"file-source\"\ntopic = \"{name}\"\n\
         grants.files.logs = {{ include = [{}] }}\n",
        quoted(pattern)
    )
}

/// A path as a basic string of TOML.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// One GET on a connection of its own: status and body. Only for answers of known small size.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // 1.0: the answer ends with the connection and comes in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("answer without a head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}

/// The first port from `wanted` on that nobody listens on.
pub(crate) fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let last = wanted.saturating_add(99);
    (wanted..=last)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| format!("ports {wanted} to {last} are all taken"))
}

/// A folder that goes away with this value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new folder below `parent`.
    pub(crate) fn below(parent: &Path, name: &str) -> anyhow::Result<Self> {
        let path = parent.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free_port(port).unwrap(), port);
    }

    #[test]
    fn paths_survive_as_toml_strings() {
        for (path, expected) in [("/a/b c", r#""/a/b c""#), (r#"/a"b\c"#, r#""/a\"b\\c""#)] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }

    #[test]
    fn a_process_ends_with_its_handle() {
        let process = Process::start(Command::new("sleep").arg("600")).unwrap();
        let folder = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(folder.exists());
        drop(process);
        assert!(!folder.exists());
    }
}
