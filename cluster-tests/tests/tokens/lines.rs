//! The ports for lines, where tokens are asked for.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::process::{Node, PATIENCE, run_with_input, until};

use super::world::{World, ask_all};

fn port(node: &mut Node, kind: &str) -> Result<String> {
    let line = node.wait_line(&format!("for lines ({kind})"))?;
    let at = line.find("tcp://").context("an address")?;
    Ok(line[at + 6..].split_whitespace().next().unwrap_or_default().to_owned())
}

/// What a port says to bytes, until it ends the connection.
fn said(address: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_connection_begins_with_a_token_or_is_told_why_it_ends() -> Result<()> {
    let mut world = World::new()?;
    world.add("writer", &["--scope", "ingest"])?;
    world.add("shop", &["--scope", "ingest", "--topic", "shop"])?;
    world.add("reader", &["--scope", "query"])?;
    world.add("admin", &["--scope", "admin"])?;
    let mut node = world.start()?;
    let (fast, durable) = (port(&mut node, "fast")?, port(&mut node, "durable")?);
    let writer = world.secret("writer").to_owned();
    for address in [&fast, &durable] {
        for (bytes, why) in [
            ("a record\nanother\n".to_owned(), "the first line must be `token SECRET`"),
            (String::new(), "begin the connection with the line"),
            (format!("token {writer}"), "begin the connection with the line"),
            ("x".repeat(5000), "begin the connection with the line"),
            (format!("token {}\nlost\n", &writer[..76]), "the token is not one of this node's"),
            (format!("token {}\nlost\n", world.secret("reader")), "scope ingest"),
            (format!("token {}\nlost\n", world.secret("shop")), "may not write to the topic \"default\""),
        ] {
            let told = said(address, bytes.as_bytes())?;
            ensure!(
                told.starts_with("weir: ") && told.contains(why) && told.ends_with('\n'),
                "{bytes:?}: {told:?}"
            );
            ensure!(!told.contains(&writer[5..30]), "{told}");
        }
        for end in ["\n", "\r\n"] {
            ensure!(said(address, format!("token {writer}{end}kept one\nkept two\n").as_bytes())?.is_empty());
        }
    }
    let kept = |node: &Node, count: usize| {
        until(
            "lines",
            || Ok(ask_all(node, "GET", "/api/v1/query?q=&format=text", world.secret("reader"), b"")?.body),
            |text| text.lines().filter(|line| line.contains("kept")).count() == count,
        )
    };
    let text = kept(&node, 8)?;
    ensure!(!text.contains("lost") && !text.contains("a record") && !text.contains("token"), "{text}");

    // weir's own forwarder shows it as well, to either kind of port.
    let file = world.secret_file("writer")?;
    for to in [format!("tcp://{fast}"), node.url("")] {
        let output = run_with_input(&["forward", "--token-file", &file, &to], b"kept by forward\n")?;
        ensure!(output.status.success(), "{to}: {}", String::from_utf8_lossy(&output.stderr));
    }
    kept(&node, 10)?;

    // One that is open ends with its token.
    let mut open = TcpStream::connect(&durable)?;
    open.set_read_timeout(Some(PATIENCE))?;
    open.write_all(format!("token {writer}\nkept before\n").as_bytes())?;
    kept(&node, 11)?;
    let file = std::fs::read_to_string(&world.tokens)?;
    std::fs::write(&world.tokens, file.replacen("\"writer\"", "\"written\"", 1))?;
    let reloaded = ask_all(&node, "POST", "/-/reload", world.secret("admin"), b"")?;
    ensure!(reloaded.status == 200, "{reloaded:?}");
    // Reset or ended: it is closed.
    ensure!(!matches!(open.read(&mut [0; 8]), Ok(1..)), "the node has nothing to say");
    Ok(())
}
