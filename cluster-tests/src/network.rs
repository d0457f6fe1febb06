//! A network of real nodes in which packets get lost: a network namespace per node, and a bridge between them.
//!
//! The namespaces have no names and belong to processes that end with the test, also if that is killed: nothing is
//! left behind, and two tests cannot meet.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Set in the process of a test that has its network. Names the file that says so.
const ENTERED: &str = "WEIR_NETWORK_ENTERED";

const NEEDS: &str = "it needs unshare, nsenter and setpriv of util-linux, iproute2 and nftables (on Debian: apt-get \
                     install util-linux iproute2 nftables), and either root or user namespaces for everybody (sysctl \
                     kernel.unprivileged_userns_clone=1; in a container the right to unshare)";

/// The hosts of a network, by name.
pub struct Network {
    hosts: BTreeMap<String, Host>,
}

struct Host {
    /// Has the namespace until its standard input ends.
    holder: Child,
    address: String,
}

/// Packets that do not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// All of them.
    All,
    /// So many of a hundred.
    Percent(u8),
    /// So many of a hundred datagrams; connections have no loss.
    UdpPercent(u8),
}

impl Network {
    /// Runs the calling test again in a namespace of its own, and gives its network there; outside, `None` when it
    /// has succeeded. `test` is its name, as `--exact` takes it.
    pub fn enter(test: &str) -> Result<Option<Network>> {
        let Some(entered) = std::env::var_os(ENTERED) else {
            run_inside(test)?;
            return Ok(None);
        };
        std::fs::write(entered, "")?;
        let network = Network { hosts: BTreeMap::new() };
        let bridge = "link set lo up\nlink add switch type bridge\naddr add 192.0.2.1/24 dev switch\n\
                      link set switch up\n";
        feed(&["ip", "-batch", "-"], bridge)?;
        Ok(Some(network))
    }

    /// Adds a host, and gives its address. The test itself reaches it whatever is lost between hosts.
    pub fn add(&mut self, name: &str) -> Result<String> {
        let address = format!("192.0.2.{}", 10 + self.hosts.len());
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo there && exec cat"]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(NEEDS)?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        ensure!(line == "there\n", "no network namespace for {name}: {NEEDS}");
        let pid = holder.id();
        self.hosts.insert(name.to_owned(), Host { holder, address: address.clone() });
        let plug = format!(
            "link add {name} type veth peer name eth0 netns {pid}\nlink set {name} master switch\nlink set {name} up\n"
        );
        feed(&["ip", "-batch", "-"], &plug)?;
        let up = format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n");
        feed(&self.host(name)?.command(&["ip", "-batch", "-"]), &up)?;
        Ok(address)
    }

    /// What a command line has to begin with to run on a host. The process ends with the thread that starts it.
    pub fn prefix(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.host(name)?.command(&["setpriv", "--pdeathsig", "KILL"]))
    }

    /// From now on packets are lost on the ways given as (from, to); nothing is lost on any other.
    pub fn lose(&self, ways: &[(&str, &str)], lost: Lost) -> Result<()> {
        let verdict = match lost {
            Lost::All => "counter drop".to_owned(),
            Lost::Percent(percent) => format!("numgen random mod 100 < {percent} counter drop"),
            Lost::UdpPercent(percent) => {
                format!("meta l4proto udp numgen random mod 100 < {percent} counter drop")
            }
        };
        for (name, host) in &self.hosts {
            let mut rules = String::new();
            for (from, _) in ways.iter().filter(|(_, to)| to == name) {
                let _ = writeln!(rules, "ip saddr {} {verdict}", self.host(from)?.address);
            }
            let table = format!(
                "table ip weir {{}}\ndelete table ip weir\ntable ip weir {{\nchain arriving {{\n\
                 type filter hook input priority 0;\n{rules}}}\n}}\n"
            );
            feed(&host.command(&["nft", "-f", "-"]), &table)?;
        }
        Ok(())
    }

    /// Nothing is lost any more. Gives how many packets were, since `lose`.
    pub fn heal(&self) -> Result<u64> {
        let mut lost = 0;
        for host in self.hosts.values() {
            let listed = feed(&host.command(&["nft", "list", "table", "ip", "weir"]), "")?;
            let counters = listed.split("counter packets ").skip(1);
            lost += counters.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum::<u64>();
        }
        self.lose(&[], Lost::All)?;
        Ok(lost)
    }

    fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.get(name).with_context(|| format!("no host is called {name}"))
    }
}

impl Host {
    /// A command line that runs on it.
    fn command(&self, line: &[&str]) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--net", "--target", &pid].iter().chain(line).map(|word| (*word).to_owned()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that has ended refuses both.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs one test of this binary as root of a user namespace with a network of its own, and waits for its end.
fn run_inside(test: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let entered = dir.path().join("entered");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "setpriv", "--pdeathsig", "KILL"]);
    command.arg(std::env::current_exe()?).args([test, "--exact", "--nocapture"]);
    let status = command.env(ENTERED, &entered).stdin(Stdio::null()).status().context(NEEDS)?;
    // A name that is not that of a test would run none, successfully.
    ensure!(entered.exists(), "{test} was not run in a network namespace ({status}): {NEEDS}");
    ensure!(status.success(), "it failed in its network namespace and said why ({status})");
    Ok(())
}

/// Runs a command to its end with a text on its standard input, and gives what it prints.
fn feed(line: &[impl AsRef<std::ffi::OsStr>], input: &str) -> Result<String> {
    let (program, arguments) = line.split_first().context("a command has a name")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context(NEEDS)?;
    child.stdin.take().context("stdin is piped")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} on {input:?}: {}; {NEEDS}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
