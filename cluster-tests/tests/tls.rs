//! Nodes with certificates: asked by curl and by the commands, among each other, and while certificates change.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use weir_cluster_tests::certificates::{Authority, curl, curled};
use weir_cluster_tests::process::{Node, config_head, quoted, run, run_with_input, until, weir};

/// A directory with an authority, and nodes.
struct World {
    dir: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Result<World> {
        let dir = tempfile::tempdir()?;
        let authority = Authority::new(dir.path(), "ca")?;
        Ok(World { dir, authority })
    }

    fn ca(&self) -> PathBuf {
        self.authority.file()
    }

    fn ca_text(&self) -> String {
        self.ca().display().to_string()
    }

    /// A node alone, with the pair `node`.
    fn start(&self, more: &str) -> Result<Node> {
        self.authority.issue("node", 2040)?;
        let path = self.dir.path().join("weir.toml");
        let text = format!("{}{}", config_head(self.dir.path()), self.authority.section("node", more));
        std::fs::write(&path, text)?;
        Node::start(&path)
    }

    fn get(&self, node: &Node, path: &str) -> Result<(u16, String)> {
        curled(&self.ca(), &[&node.url(path)])
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn exited(output: &Output, code: i32, words: &str) -> Result<()> {
    let told = told(output);
    ensure!(
        output.status.code() == Some(code) && told.contains(words),
        "{:?}, not {code}: {told}",
        output.status
    );
    Ok(())
}

#[test]
fn a_node_with_a_certificate_is_asked_by_curl_and_by_every_command() -> Result<()> {
    let world = World::new()?;
    let mut node = world.start("")?;
    let url = node.url("");
    ensure!(url.starts_with("https://127.0.0.1:"), "{url}");
    let ingest = format!("{url}/api/v1/ingest?topic=t");
    let (status, body) =
        curled(&world.ca(), &["--data-binary", "by curl", "--header", "content-type: text/plain", &ingest])?;
    ensure!(status == 200, "{status} {body}");
    // Somebody who believes others, and somebody who speaks no TLS.
    let stranger = Authority::new(world.dir.path(), "stranger")?;
    ensure!(curl(&stranger.file(), &[&url])?.status.code() == Some(60), "curl has to refuse the certificate");
    let (status, body) = curled(&world.ca(), &[&url.replace("https", "http")])?;
    ensure!(status == 400 && body.contains("use https://"), "{status} {body}");

    let ca = world.ca_text();
    let forwarded = run_with_input(&["forward", "--topic", "t", "--ca", &ca, &url], b"by forward\n")?;
    exited(&forwarded, 0, "")?;
    exited(
        &run(&["query", "topic:t", "--node", &url])?,
        1,
        "is of an authority that is not trusted here; name that one with --ca FILE",
    )?;
    exited(
        &run(&["query", "--node", &url, "--ca", "/none.crt"])?,
        2,
        "--ca: cannot read /none.crt: no such file or directory",
    )?;
    let plain = url.replace("https", "http");
    exited(
        &run(&["query", "topic:t", "--node", &plain])?,
        2,
        "this port speaks TLS, and the request came without; use https://",
    )?;
    // By the variable as by the flag.
    let asked = weir(&["query", "topic:t", "--node", &url]).env("WEIR_CA", &ca).output()?;
    let lines = String::from_utf8(asked.stdout)?;
    ensure!(lines.contains("by curl") && lines.contains("by forward"), "{lines}");
    let asked = weir(&["streams", "--node", &url]).env("WEIR_CA", "/none.crt").output()?;
    exited(&asked, 2, "WEIR_CA: cannot read /none.crt: no such file or directory")?;
    let fast = node.wait_line("(fast, with TLS)")?;
    let fast = fast.split("tcp://").nth(1).and_then(|rest| rest.split(' ').next()).context("an address")?;
    let asked = run(&["streams", "--ca", &ca, "--node", &format!("https://{fast}")])?;
    exited(&asked, 1, "it speaks TLS there, and not HTTP; name the port of the API")?;
    for command in [&["streams"][..], &["histogram"], &["cluster", "status"], &["plugin", "list"]] {
        exited(&run(&[command, &["--node", &url, "--ca", &ca]].concat())?, 0, "")?;
    }

    lines_with_tls(&world, &mut node)?;
    let (_, metrics) = world.get(&node, "/metrics")?;
    for line in [
        "weir_tls_certificate_expiry_timestamp_seconds 2240",
        "weir_tls_handshakes_failed_total{port=\"api\",reason=\"not_tls\"} 2",
        "weir_tls_handshakes_failed_total{port=\"api\",reason=\"refused_by_client\"} ",
        "weir_tls_handshakes_failed_total{port=\"durable\",reason=\"not_tls\"} 1",
    ] {
        ensure!(metrics.contains(line), "{line}: {metrics}");
    }
    ensure!(node.terminate()? == 0, "a clean stop");
    Ok(())
}

/// Lines over TLS are stored when the connection is closed; without it they are not taken.
fn lines_with_tls(world: &World, node: &mut Node) -> Result<()> {
    const SEND: &str = "
import socket, ssl, sys
address, ca = sys.argv[1], sys.argv[2]
tcp = socket.create_connection(address.rsplit(':', 1))
stream = ssl.create_default_context(cafile=ca).wrap_socket(tcp, server_hostname='localhost') if ca else tcp
stream.sendall(b'line %d\\n' * 3 % (1, 2, 3) + b'line 4')
if ca:
    stream.unwrap()
else:
    stream.shutdown(socket.SHUT_WR)
    sys.exit(0 if stream.recv(1) == b'' else 2)
";
    for (port, ca) in [
        ("(fast, with TLS)", world.ca_text()),
        ("(durable, with TLS)", world.ca_text()),
        ("(durable, with TLS)", String::new()),
    ] {
        let line = node.wait_line(port)?;
        let address =
            line.split("tcp://").nth(1).and_then(|rest| rest.split(' ').next()).context("an address")?;
        let sent = Command::new("python3").args(["-c", SEND, address, &ca]).output()?;
        ensure!(sent.status.success() != ca.is_empty(), "{port} {ca}: {}", told(&sent));
    }
    let found = || world.get(node, "/api/v1/query?q=topic:default&format=text");
    let (_, text) = until("the lines", found, |(_, text)| text.lines().count() >= 8)?;
    ensure!(text.lines().count() == 8 && text.matches("line 4").count() == 2, "{text}");
    Ok(())
}

#[test]
fn what_is_wrong_with_certificates_is_said_before_anything_starts() -> Result<()> {
    let world = World::new()?;
    world.authority.issue("node", 2020)?;
    let path = world.dir.path().join("weir.toml");
    let config = path.display().to_string();
    let write = |more: &str| std::fs::write(&path, world.authority.section("node", more));
    write("")?;
    let checked = run(&["config", "check", "-c", &config])?;
    exited(&checked, 0, "warning: ")?;
    ensure!(
        told(&checked).contains("tls.cert: the certificate expired on Thu, 31 Dec 2020"),
        "{}",
        told(&checked)
    );
    write("ca = \"none.crt\"")?;
    for command in ["config check", "run"] {
        let args: Vec<&str> = command.split(' ').chain(["-c", &config]).collect();
        let output = run(&args)?;
        exited(&output, 78, "weir.toml:4:6: tls.ca: cannot read")?;
        ensure!(told(&output).contains("1 problem, listed above"), "{}", told(&output));
    }
    Ok(())
}

/// Nodes that find each other by gossip and show each other certificates.
fn gossiping(world: &World) -> Result<impl Fn(&str, &str, &str) -> Result<PathBuf>> {
    let dir = world.dir.path().to_owned();
    std::fs::write(dir.join("cluster.key"), "0123456789abcdef".repeat(4))?;
    let seed = free_udp()?;
    Ok(move |name: &str, roles: &str, tls: &str| {
        let gossip = if name == "ingest" { seed } else { free_udp()? };
        let path = dir.join(format!("{name}.toml"));
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let text = format!(
            "[node]\nroles = [{roles}]\ndata_dir = {}\n[listen]\napi = \"{api}\"\nfast = \"off\"\ndurable = \"off\"\n\
             [cluster]\nname = \"test\"\ngossip = \"127.0.0.1:{gossip}\"\njoin = [\"127.0.0.1:{seed}\"]\n\
             key_file = {}\nreplication = 1\n[storage]\nseal = {{ age = \"200ms\" }}\n{tls}",
            quoted(&dir.join(name)),
            quoted(&dir.join("cluster.key")),
        );
        std::fs::write(&path, text)?;
        Ok(path)
    })
}

fn free_udp() -> Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn a_cluster_shows_certificates_and_lets_nobody_in_without_one() -> Result<()> {
    let world = World::new()?;
    let config = gossiping(&world)?;
    let client_ca = format!("client_ca = {}", quoted(&world.ca()));
    let start = |name: &str, roles: &str| {
        world.authority.issue(name, 2040)?;
        Node::start(&config(name, roles, &world.authority.section(name, &client_ca))?)
    };
    let ingest = start("ingest", "\"ingest\"")?;
    let _store = start("store", "\"store\"")?;
    let query = start("query", "\"query\"")?;
    let lines: Vec<String> = (0..100).map(|number| format!("number {number}")).collect();
    let url = ingest.url("/api/v1/ingest?topic=t&durability=replicated");
    let header = "content-type: text/plain";
    let (status, body) =
        curled(&world.ca(), &["--header", header, "--data-binary", &lines.join("\n"), &url])?;
    ensure!(status == 200 && body.contains("replicated"), "{status} {body}");
    let found = || world.get(&query, "/api/v1/query?q=topic:t&format=ndjson");
    let whole = |text: &str| text.lines().count() == 101 && text.contains("\"complete\":true");
    until("all records", found, |(_, text)| whole(text))?;

    // What is for nodes asks for a certificate before it looks at signatures; what is for people does not.
    for path in ["/api/v1/node/info", "/ingest/next"] {
        let (status, body) = world.get(&ingest, path)?;
        ensure!(status == 403 && body.contains("tls.client_ca"), "{path}: {status} {body}");
    }
    let shown = ["--cert", "query.crt", "--key", "query.key"].map(|arg| match arg.strip_prefix("--") {
        Some(_) => arg.to_owned(),
        None => world.dir.path().join(arg).display().to_string(),
    });
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let (status, body) = curled(&world.ca(), &[&shown[..], &[&ingest.url("/api/v1/node/info")]].concat())?;
    ensure!(status == 401 && body.contains("unsigned"), "{status} {body}");

    // It has the key of the cluster and believes the authority, and has no certificate: it hears of all, is asked, and
    // is told why it is not answered.
    let bare = config("bare", "\"query\"", &format!("[tls]\nca = {}", quoted(&world.ca())))?;
    let mut bare = Node::start(&bare)?;
    bare.wait_line("nodes that show a certificate of this node's tls.client_ca, and none was shown")?;
    let (_, body) = curled(&world.ca(), &[&bare.url("/api/v1/query?q=topic:t&format=ndjson")])?;
    ensure!(body.contains("\"complete\":false") && !body.contains("number"), "{body}");
    // One of another authority is not even shaken hands with.
    let stranger = Authority::new(world.dir.path(), "stranger")?;
    stranger.issue("foreign", 2040)?;
    let trusts = format!("ca = {}", quoted(&world.ca()));
    let foreign = config("foreign", "\"query\"", &stranger.section("foreign", &trusts))?;
    let mut foreign = Node::start(&foreign)?;
    foreign.wait_line("it refuses the certificate of this side")?;
    // The others go on.
    ensure!(whole(&found()?.1), "{:?}", found()?);
    Ok(())
}

#[test]
fn certificates_are_exchanged_under_load_and_broken_ones_are_not() -> Result<()> {
    let world = World::new()?;
    let mut node = world.start("")?;
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let (url, ca) = (node.url("/api/v1/ingest?topic=t"), world.ca());
    let ends = |node: &Node| -> Result<u64> {
        let (_, metrics) = world.get(node, "/metrics")?;
        let line = metrics.lines().find(|line| line.starts_with("weir_tls_certificate_expiry"));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64)
    };
    let load = |_| -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            // Each is a connection of its own, with a handshake.
            let (status, body) =
                curled(&ca, &["--header", "content-type: text/plain", "--data-binary", "x", &url])?;
            ensure!(status == 200, "{status} {body}");
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let loaded: Vec<_> = (0..3).map(|number| scope.spawn(move || load(number))).collect();
        let exchanged = || -> Result<()> {
            let more = |count: u64| {
                let begun = done.load(Ordering::Relaxed);
                until(
                    "requests",
                    || Ok(done.load(Ordering::Relaxed)),
                    |now| {
                        *now >= begun + count || loaded.iter().any(std::thread::ScopedJoinHandle::is_finished)
                    },
                )
            };
            more(10)?;
            let first = ends(&node)?;
            world.authority.issue("node", 2041)?;
            let (status, body) = curled(&ca, &["--request", "POST", &node.url("/-/reload")])?;
            ensure!(status == 200 && body.contains("certificates: read again"), "{status} {body}");
            let second = ends(&node)?;
            ensure!(second > first, "{second} {first}");
            more(10)?;
            // By itself, in a while.
            world.authority.issue("node", 2042)?;
            until("the new certificate", || ends(&node), |ends| *ends > second)?;
            more(10)?;
            let path = world.dir.path().join("node.key");
            std::fs::write(&path, "no key")?;
            let (status, body) = curled(&ca, &["--request", "POST", &node.url("/-/reload")])?;
            ensure!(
                status != 200 && body.contains("tls.key: ") && body.contains("there is no private key"),
                "{body}"
            );
            ensure!(ends(&node)? > second, "what was in force is in force");
            more(10)?;
            Ok(())
        };
        let exchanged = exchanged();
        stop.store(true, Ordering::Relaxed);
        loaded.into_iter().try_for_each(|load| load.join().map_err(|_| anyhow::anyhow!("a panic"))?)?;
        exchanged
    })?;
    node.wait_line("the certificates have changed: new connections see the new ones")?;
    Ok(())
}

#[test]
fn a_node_that_shows_none_is_told_by_name_what_its_peer_speaks() -> Result<()> {
    let world = World::new()?;
    world.authority.issue("node", 2040)?;
    let with = config_at(world.dir.path(), "with", &world.authority.section("node", ""))?;
    let with_tls = Node::start(&with)?;
    let peers = format!("[cluster]\npeers = [\"{}\"]\n", with_tls.url("").replace("https", "http"));
    let mut without = Node::start(&config_at(world.dir.path(), "without", &peers)?)?;
    without
        .wait_line("this port speaks TLS, and the request came without; use https:// in place of http://")?;
    Ok(())
}

fn config_at(dir: &Path, name: &str, more: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    std::fs::create_dir(&dir)?;
    let path = dir.join("weir.toml");
    std::fs::write(&path, format!("{}{more}", config_head(&dir)))?;
    Ok(path)
}
