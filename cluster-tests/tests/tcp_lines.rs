//! Lines over TCP through the real binary: bytes as they are, order kept, nothing invented, nothing lost that was
//! received before a clean stop.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, PATIENCE, config_head, get, quoted, until};

const PORTS: [&str; 2] = ["fast", "durable"];
const MIB: usize = 1 << 20;

fn config(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("weir.toml");
    std::fs::write(&path, config_head(dir))?;
    Ok(path)
}

fn connect(node: &mut Node, port: &str) -> Result<TcpStream> {
    let line = node.wait_line(&format!("for lines ({port})"))?;
    let address = line.split_once("tcp://").and_then(|(_, rest)| rest.split(' ').next());
    let stream = TcpStream::connect(address.context("the line names an address")?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Ends the sending side and waits for the node to close the other one: on the durable port all is stored then.
fn finish(mut stream: TcpStream) -> Result<()> {
    stream.shutdown(Shutdown::Write)?;
    ensure!(stream.read(&mut [0])? == 0, "the protocol has no answers");
    Ok(())
}

/// Payload bytes and `_part` of all records, oldest first.
fn records(node: &Node) -> Result<Vec<(Vec<u8>, Option<String>)>> {
    let (status, body) = get(&node.url("/api/v1/query?format=ndjson&q=topic:default"))?;
    ensure!(status == 200, "status {status}");
    let rows = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows: Vec<serde_json::Value> = rows.map(serde_json::from_slice).collect::<Result<_, _>>()?;
    let payload = |row: &serde_json::Value| {
        let part = row["labels"]["_part"].as_str().map(str::to_owned);
        match (row["payload"].as_str(), row["payload_base64"].as_str()) {
            (Some(text), _) => Some((text.as_bytes().to_vec(), part)),
            (None, Some(coded)) => Some((base64(coded)?, part)),
            (None, None) => None,
        }
    };
    let (stats, rows) = rows.split_last().context("an answer has a last line")?;
    ensure!(stats["stats"]["complete"] == true, "{stats}");
    rows.iter().map(|row| payload(row).with_context(|| format!("no payload: {row}"))).collect()
}

fn base64(coded: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in coded.bytes().filter(|digit| *digit != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|known| *known == digit)? as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

fn numbered(number: usize) -> String {
    format!("line {number} {}", "x".repeat(number % 61))
}

/// How many of the records are the lines 0, 1, 2, … in order; a marked part may only be the beginning of the next.
fn prefix(found: &[(Vec<u8>, Option<String>)]) -> Result<usize> {
    for (index, (payload, part)) in found.iter().enumerate() {
        let expected = numbered(index);
        let shown = String::from_utf8_lossy(payload);
        if part.is_some() {
            let torn = part.as_deref() == Some("first") && expected.as_bytes().starts_with(payload);
            ensure!(torn && index + 1 == found.len(), "a part that is none at {index}: {shown}");
            return Ok(index);
        }
        ensure!(
            *payload == expected.as_bytes(),
            "lost, doubled, altered or out of order at {index}: {shown}"
        );
    }
    Ok(found.len())
}

#[test]
fn lines_of_any_bytes_come_as_they_are_and_the_last_needs_no_newline() -> Result<()> {
    let lines: [&[u8]; 8] =
        [b"100% l", b"", b"a\0b", b"crlf\r", b"\xff\xfe", b"topic: payload", b" ", b"no newline"];
    for port in PORTS {
        let dir = tempfile::tempdir()?;
        let mut node = Node::start(&config(dir.path())?)?;
        let mut stream = connect(&mut node, port)?;
        stream.write_all(&lines.join(&b'\n'))?;
        finish(stream)?;
        let found = until("all lines", || records(&node), |found| found.len() >= lines.len())?;
        let expected: Vec<_> = lines.iter().map(|line| (line.to_vec(), None)).collect();
        ensure!(found == expected, "{port}: {found:?}");
        let (_, metrics) = get(&node.url("/metrics"))?;
        let counted = format!("weir_records_in_total{{source=\"{port}\",topic=\"default\"}} {}", lines.len());
        ensure!(String::from_utf8(metrics)?.contains(&counted), "no {counted}");
    }
    Ok(())
}

#[test]
fn a_line_of_many_mebibytes_comes_in_parts_and_the_next_one_whole() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&config(dir.path())?)?;
    let line: Vec<u8> = (0..5 * MIB + 7).map(|i| b'a' + (i % 23) as u8).collect();
    let mut stream = connect(&mut node, "durable")?;
    stream.write_all(&line)?;
    stream.write_all(b"\nnext\n")?;
    finish(stream)?;
    let found = records(&node)?;
    let parts: Vec<_> = found.iter().map(|(_, part)| part.as_deref().unwrap_or("whole")).collect();
    ensure!(parts == ["first", "middle", "middle", "middle", "middle", "last", "whole"], "{parts:?}");
    let joined: Vec<u8> = found[..6].iter().flat_map(|(payload, _)| payload.clone()).collect();
    ensure!(joined == line, "the parts put together are not the line");
    ensure!(found[6].0 == b"next");
    Ok(())
}

#[test]
fn two_hundred_trickling_connections_are_read_without_delay() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&config(dir.path())?)?;
    let mut streams = Vec::new();
    for number in 0..200 {
        streams.push(connect(&mut node, PORTS[number % 2])?);
    }
    for round in 0..5 {
        for (number, stream) in streams.iter_mut().enumerate() {
            // In two writes: half a line must neither be taken for one nor block the others.
            write!(stream, "round={round} ")?;
            writeln!(stream, "number={number}")?;
        }
        let all = (round + 1) * streams.len();
        let found = until("all lines of the round", || records(&node), |found| found.len() >= all)?;
        let mut found: Vec<_> = found[all - streams.len()..].to_vec();
        let mut expected: Vec<_> =
            (0..200).map(|number| (format!("round={round} number={number}").into_bytes(), None)).collect();
        found.sort();
        expected.sort();
        ensure!(found == expected, "{found:?}");
    }
    let (_, metrics) = get(&node.url("/metrics"))?;
    let metrics = String::from_utf8(metrics)?;
    for port in PORTS {
        ensure!(metrics.contains(&format!("weir_tcp_connections{{port=\"{port}\"}} 100")), "{metrics}");
    }
    // All of them are written to one file.
    let files = std::fs::read_dir(dir.path().join("data/log"))?;
    let active = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let active: Vec<String> = active.filter(|name| name.ends_with(".active")).collect();
    ensure!(active.len() == 1, "{active:?}");
    drop(streams);
    Ok(())
}

#[test]
fn senders_faster_than_the_disk_wait_and_lose_nothing() -> Result<()> {
    const SENDERS: usize = 3;
    const LINES: usize = 400_000;
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&config(dir.path())?)?;
    // More than the commit queue holds, from each.
    let text = "x".repeat(99) + "\n";
    let text = text.repeat(LINES / 100);
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let (mut stream, text) = (connect(&mut node, "fast")?, text.clone());
        senders.push(std::thread::spawn(move || -> Result<()> {
            (0..100).try_for_each(|_| stream.write_all(text.as_bytes()))?;
            finish(stream)
        }));
    }
    for sender in senders {
        sender.join().ok().context("the sender does not panic")??;
    }
    until("all lines", || count(&node), |count| *count >= SENDERS * LINES)?;
    ensure!(count(&node)? == SENDERS * LINES, "more lines than were sent");
    let (_, metrics) = get(&node.url("/metrics"))?;
    ensure!(String::from_utf8(metrics)?.contains("weir_received_lost_records_total 0"));
    Ok(())
}

#[test]
fn kills_under_load_leave_a_gapless_beginning_and_keep_what_was_seen() -> Result<()> {
    for (kill, port) in [200, 3_000, 20_000, 60_000].into_iter().flat_map(|n| PORTS.map(|port| (n, port))) {
        let dir = tempfile::tempdir()?;
        let path = config(dir.path())?;
        let mut node = Node::start(&path)?;
        let mut stream = connect(&mut node, port)?;
        let sender = std::thread::spawn(move || -> usize {
            let mut sent = 0;
            while writeln!(stream, "{}", numbered(sent)).is_ok() {
                sent += 1;
            }
            sent
        });
        let seen = until("some lines", || count(&node), |count| *count >= kill)?;
        node.kill()?;
        let sent = sender.join().ok().context("the sender does not panic")?;

        let node = Node::start(&path)?;
        let kept = prefix(&records(&node)?).with_context(|| format!("{port}, killed after {kill}"))?;
        ensure!(seen <= kept && kept <= sent, "{port}: seen {seen}, kept {kept}, sent {sent}");
    }
    Ok(())
}

/// Records that are stored, whichever port they came in by.
fn count(node: &Node) -> Result<usize> {
    let (_, metrics) = get(&node.url("/metrics"))?;
    let text = String::from_utf8(metrics)?;
    let taken = text.lines().filter(|line| line.starts_with("weir_records_in_total{"));
    let values = taken.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    Ok(values.sum())
}

#[test]
fn a_clean_stop_keeps_all_that_was_received_before_it() -> Result<()> {
    // Several times: what the node has read when the signal comes is a matter of chance.
    for port in PORTS.repeat(4) {
        let dir = tempfile::tempdir()?;
        let path = config(dir.path())?;
        let mut node = Node::start(&path)?;
        // One sender goes on sending; one has sent all, down to half a line, when the signal comes.
        let mut busy = connect(&mut node, port)?;
        let mut done = connect(&mut node, port)?;
        let sender = std::thread::spawn(move || while writeln!(busy, "busy").is_ok() {});
        let lines = 150_000;
        let text: String = (0..lines).map(|number| numbered(number) + "\n").collect();
        done.write_all(text.as_bytes())?;
        done.write_all(&numbered(lines).as_bytes()[..9])?;
        until("the kernel has it", || unreceived(&done), |bytes| *bytes == 0)?;
        ensure!(node.terminate()? == 0, "SIGTERM is a clean end");
        sender.join().ok().context("the sender does not panic")?;

        let node = Node::start(&path)?;
        let mut found = records(&node)?;
        found.retain(|(payload, _)| !b"busy".starts_with(payload));
        let whole = prefix(&found).with_context(|| port.to_owned())?;
        ensure!(whole == lines && found.len() == lines + 1, "{port}: {whole} whole of {}", found.len());
    }
    Ok(())
}

/// Bytes written that the peer's kernel has not acknowledged, as Linux lists them.
fn unreceived(stream: &TcpStream) -> Result<u64> {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let (local, peer) = (port(stream.local_addr()?), port(stream.peer_addr()?));
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|fields| {
        fields.get(1).is_some_and(|at| at.ends_with(&local))
            && fields.get(2).is_some_and(|at| at.ends_with(&peer))
    });
    let queues = *row.context("the connection is listed")?.get(4).context("with its queues")?;
    Ok(u64::from_str_radix(queues.split(':').next().unwrap_or_default(), 16)?)
}

#[test]
fn a_second_node_on_a_machine_goes_on_without_the_default_line_ports() -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let start = |dir: &Path| {
        let path = dir.join("weir.toml");
        let data = quoted(&dir.join("data"));
        std::fs::write(&path, format!("[node]\ndata_dir = {data}\n[listen]\napi = \"127.0.0.1:0\"\n"))?;
        Node::start(&path)
    };
    // Whoever holds the default ports by now, the second node does not get them.
    let first = start(one.path())?;
    let mut second = start(two.path())?;
    second.wait_line("goes on without it")?;
    drop(first);
    Ok(())
}
