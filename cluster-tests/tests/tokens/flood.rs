//! Clients that waste a node's time do not take it from others.

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use super::world::{World, address, ask_all, bearer, connect_from};

/// Connections from one other address; as many as one may have are 2,048.
const HALF_OPEN: usize = 2000;
const DRIPPING: usize = 40;
const HONEST: usize = 300;

#[test]
fn two_thousand_half_open_connections_and_dripping_bodies_leave_honest_requests_answered() -> Result<()> {
    let mut world = World::new()?;
    world.add("honest", &["--scope", "ingest,query"])?;
    let node = world.start()?;
    let (to, honest) = (address(&node)?, world.secret("honest").to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _within = runtime.enter();
    let mut held = Vec::with_capacity(HALF_OPEN);
    for number in 0..HALF_OPEN {
        let mut stream = connect_from(&runtime, Ipv4Addr::new(127, 0, 0, 2), to)?;
        let part: &[u8] =
            if number.is_multiple_of(2) { b"GET /api/v1/query?q=x HTTP/1.1\r\nhost: w" } else { b"" };
        stream.write_all(part)?;
        held.push(stream);
    }
    // Bodies of which a byte comes with each honest request, with a token and without.
    let mut dripping = Vec::with_capacity(DRIPPING);
    for number in 0..DRIPPING {
        let mut stream = connect_from(&runtime, Ipv4Addr::new(127, 0, 0, 3), to)?;
        let shown = if number.is_multiple_of(2) { bearer(&honest) } else { String::new() };
        let head = format!(
            "POST /api/v1/ingest?topic=drip HTTP/1.1\r\nhost: w\r\ncontent-length: 1000000\r\n{shown}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        dripping.push(stream);
    }
    let mut answered = 0;
    for number in 0..HONEST {
        for stream in &mut dripping {
            // Those that were given up are closed.
            let _ = stream.write_all(b"x");
        }
        let sent = ask_all(
            &node,
            "POST",
            "/api/v1/ingest?topic=t",
            &honest,
            format!("honest {number}\n").as_bytes(),
        )?;
        answered += usize::from(sent.status == 200);
    }
    ensure!(answered == HONEST, "{answered} of {HONEST}");
    let found = ask_all(&node, "GET", "/api/v1/query?q=honest", &honest, b"")?;
    ensure!(found.body.matches("honest ").count() == HONEST, "{}", found.body.len());
    // Nobody is waited for for ever: each is closed, and told so where that can be told.
    for stream in &mut held {
        stream.set_read_timeout(Some(weir_cluster_tests::process::PATIENCE))?;
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        ensure!(
            ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
            "open for ever"
        );
    }
    let drip = ask_all(&node, "GET", "/api/v1/query?q=topic:drip", &honest, b"")?;
    ensure!(drip.body.contains("\"records_matched\":0"), "{}", drip.body);
    Ok(())
}
