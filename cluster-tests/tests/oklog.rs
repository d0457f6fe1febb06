//! OK Log's behaviour and its defects, on real processes.
//!
//! Its own tests, and where each is mirrored. Tests of its inner parts that have no counterpart (its file log, its
//! virtual file system, its compactor's choice of files) are mirrored by what they are there for.
//!
//! | OK Log | weir |
//! |---|---|
//! | cmd StringSlice, ParseAddr | `weir`: `a_flag_may_be_given_often_and_keeps_its_order`, `every_form_of_oklog_is_understood_and_those_with_bare_addresses_too` |
//! | cmd HasNonlocal, IsUnroutable; cluster CalculateAdvertiseAddr | `weir-node` `gossip`: `what_is_written_counts_then_what_is_bound_then_the_way_to_others` |
//! | flock Locking; fs Lock; ingest, store LockBehavior | `weir-storage` `data_dir`, and F8: `crash.rs` |
//! | ingest HandleConnectionsCleanup | `tcp_lines.rs`: `a_clean_stop_keeps_all_that_was_received_before_it` |
//! | ingest StreamClock | `weir-record` `mint`: `minted_ids_increase_whatever_the_clock_does` |
//! | ingest, store RecoverSegments | `weir-storage` `ingest_log` recovery, `sim.rs` |
//! | ioext OffsetReader | none: nothing reads from the middle of a text |
//! | record DynamicReader, StaticReader | `tcp_lines.rs`: `lines_of_any_bytes_come_as_they_are_and_the_last_needs_no_newline` |
//! | store TeeRecords | `weir-api` `read`: `every_byte_behind_the_space_is_payload` |
//! | store APIInternalQueryFromULID | `weir-api`: `ids_as_bounds_take_the_records_of_both_their_milliseconds` |
//! | store ChooseFirstSequential, BatchSegments, Overlap | with compaction: `weir-storage` |
//! | store BadSegment, Issue41 | foreign files are kept and named: `weir-storage` `quarantine` |
//! | store ULIDOrTimeParse | `weir-api`: `times_are_ulids_or_rfc3339_and_nothing_is_taken_for_a_ulid_by_its_length` |
//! | store MergeRecords, MergeRecordsToLog, MergeReadCloser | `weir-record` `merge` |
//! | store ConcurrentFilteringReadCloser | here: `times_are_inclusive_patterns_match_and_ids_are_not_searched` |
//! | store Issue23 | here: `any_line_is_found_byte_for_byte` |
//! | store QueryRegistry, Close, Races; stream ReadOnce, ReadUntilCanceled, Issue59 | here: `clients_of_streams_come_and_go_under_load`; `weir-api` `oklog/stream` |
//! | stream Deduplicate, Combined | `weir-api` `window`: `a_record_is_sent_once_in_a_window_and_equal_ids_with_other_bytes_are_two`, `copies_from_several_peers_become_one_ordered_stream` |
//!
//! Its defects (D and F are the numbers of the list in `docs/OKLOG.md`) are tested here and in `weir-api`.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{
    Node, PATIENCE, config_head, encode, get, post, query, run, run_with_input, until, weir,
};

/// A range with every record in it.
pub(crate) const EVER: &str = "from=1970-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";

fn config(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("weir.toml");
    std::fs::write(&path, config_head(dir))?;
    Ok(path)
}

/// Where a node takes lines, `host:port`.
fn line_port(node: &mut Node, port: &str) -> Result<String> {
    let line = node.wait_line(&format!("for lines ({port})"))?;
    let address = line.split_once("tcp://").and_then(|(_, rest)| rest.split(' ').next());
    Ok(address.context("the line names an address")?.to_owned())
}

/// Payloads of all records that an OK Log query finds, oldest first.
fn found(node: &Node, params: &str) -> Result<Vec<Vec<u8>>> {
    let (status, body) = get(&node.url(&format!("/store/query?{params}")))?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
    payloads(&body)
}

/// The payloads of a text segment.
pub(crate) fn payloads(text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let Some(text) = text.strip_suffix(b"\n") else { return Ok(Vec::new()) };
    text.split(|byte| *byte == b'\n')
        .map(|line| Ok(line.get(27..).context("an id and a space")?.to_vec()))
        .collect()
}

/// The status line and headers of an answer to `method`, without its body.
pub(crate) fn head(url: &str, method: &str, path: &str) -> Result<String> {
    let address = url.strip_prefix("http://").context("a URL")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").context("an answer has a head")?;
    ensure!(method != "HEAD" || body.is_empty(), "HEAD has no body: {body}");
    Ok(head.to_owned())
}

/// D1 (`%`), D2, D3 and D4 (64 KiB), Issue23 (8 KiB), a last line without a newline.
#[test]
fn any_line_is_found_byte_for_byte() -> Result<()> {
    let lines: Vec<Vec<u8>> = vec![
        b"100% l %d %s".to_vec(),
        b"".to_vec(),
        b"a\0b\xff\r".to_vec(),
        vec![b'8'; 8 << 10],
        vec![b'7'; 70_000],
        b"the line after the long one".to_vec(),
        vec![b'm'; 3 << 20],
        b"no newline".to_vec(),
    ];
    for port in ["fast", "durable"] {
        let dir = tempfile::tempdir()?;
        let mut node = Node::start(&config(dir.path())?)?;
        let target = format!("tcp://{}", line_port(&mut node, port)?);
        let output = run_with_input(&["forward", &target], &lines.join(&b'\n'))?;
        ensure!(output.status.code() == Some(0), "{output:?}");
        // The line of 3 MiB is three records whose marks say what they are.
        let whole = lines.len() + 2;
        let got = until("all lines", || found(&node, EVER), |got| got.len() >= whole)?;
        let mut expected: Vec<Vec<u8>> = lines.clone();
        expected.splice(6..7, vec![vec![b'm'; 1 << 20]; 3]);
        ensure!(got == expected, "{port}: {:?}", got.iter().map(Vec::len).collect::<Vec<_>>());
        ensure!(found(&node, &format!("{EVER}&q=100%25+l+%25d"))?.len() == 1);
        ensure!(found(&node, &format!("{EVER}&q=%00b%ff"))?.len() == 1);
    }
    Ok(())
}

/// The seed's own line, its prefix in both styles, F6 (no argument), F5 (nothing is echoed).
#[test]
fn the_seeds_command_line_works() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&config(dir.path())?)?;
    let target = format!("tcp://{}", line_port(&mut node, "durable")?);
    // Nobody listens on port 1: the other peer is taken, in whatever order.
    for args in [
        vec!["Forward", "-prefix=FREEGO_WORK", "tcp://127.0.0.1:1", &target],
        vec!["forward", "-debug", "-prefix", "A", "-prefix", "B", target.trim_start_matches("tcp://")],
        vec!["forward", "-prefix=FREEGO_WORK", "--prefix-style", "bracketed", &target],
        vec!["forward", &target],
    ] {
        let output = run_with_input(&args, b"one\n\n")?;
        ensure!(output.status.code() == Some(0) && output.stdout.is_empty(), "{args:?}: {output:?}");
    }
    let expected: [&[u8]; 8] = [
        b"FREEGO_WORK one",
        b"FREEGO_WORK ",
        b"A B one",
        b"A B ",
        b"[FREEGO_WORK ] one",
        b"[FREEGO_WORK ] ",
        b"one",
        b"",
    ];
    ensure!(found(&node, EVER)? == expected, "{:?}", found(&node, EVER)?);

    for (args, code, said) in [
        (&["forward", "-mq=amqp//u:secret@h", "tcp://h:10011"][..], 78, "amqp://user:password@host/vhost"),
        (&["forward"], 2, "URL"),
        (&["forward", "h:7650"], 2, "write http://h:7650"),
        (&["forward", "udp://h"], 2, "expected host, host:port or tcp://host:port"),
    ] {
        let output = run(args)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code) && stderr.contains(said), "{args:?}: {output:?}");
        ensure!(!stderr.contains("secret"), "{stderr}");
    }
    Ok(())
}

/// A forwarder outlives its ingest node, and takes the next one.
#[test]
fn lines_go_on_to_the_next_node_when_one_dies() -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut nodes = vec![Node::start(&config(one.path())?)?, Node::start(&config(two.path())?)?];
    let mut targets = Vec::new();
    for node in &mut nodes {
        targets.push(format!("tcp://{}", line_port(node, "fast")?));
    }
    let mut command = weir(&["forward", &targets[0], &targets[1]]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(b"before\n")?;
    let has_it = || nodes.iter().map(|node| Ok(found(node, EVER)?.len())).collect::<Result<Vec<_>>>();
    let counts = until("the first line", has_it, |counts| counts.iter().sum::<usize>() == 1)?;
    let at = counts.iter().position(|count| *count == 1).context("one has it")?;
    nodes.remove(at).kill()?;
    let rest = nodes.remove(0);
    // The end of the connection reaches the forwarder by itself; lines that come then go to the other node.
    let mut sent = 0;
    until(
        "lines at the other node",
        || {
            writeln!(stdin, "after {sent}")?;
            sent += 1;
            found(&rest, EVER)
        },
        |got| !got.is_empty(),
    )?;
    drop(stdin);
    ensure!(child.wait()?.code() == Some(0), "the end of the input is a good end");
    let got = until(
        "the last line",
        || found(&rest, EVER),
        |got| got.last().is_some_and(|last| *last == format!("after {}", sent - 1).into_bytes()),
    )?;
    let expected: Vec<Vec<u8>> =
        (sent - got.len()..sent).map(|n| format!("after {n}").into_bytes()).collect();
    ensure!(got == expected, "gapless to the end: {got:?}");
    Ok(())
}

/// D5 (a torn record), D21 (a repeat is refused), D6 (stored when answered), F9 (order).
#[test]
fn a_replicated_segment_is_stored_once_however_often_it_comes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path())?;
    let mut node = Node::start(&path)?;
    let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    let id =
        |n: u64| weir_record::RecordId::from_parts(now_ms - 60_000 + n / 10, 7 + u128::from(n)).to_string();
    // Not in order, as the fork leaves them.
    let lines: Vec<String> = (0..1_000).rev().map(|n| format!("{} record {n} 100%\n", id(n))).collect();
    let body = lines.concat();
    let send =
        |node: &Node, body: &str| post(&node.url("/store/replicate"), "application/binary", body.as_bytes());
    ensure!(send(&node, &body)? == (200, b"OK\n".to_vec()));
    ensure!(send(&node, &body)? == (200, b"OK\n".to_vec()));
    node.kill()?;
    node = Node::start(&path)?;
    ensure!(send(&node, &body)? == (200, b"OK\n".to_vec()));
    ensure!(send(&node, "")? == (200, b"No records\n".to_vec()));
    for torn in [
        &body[..body.len() - 1],
        &format!("{body}{}\n", id(1)),
        &format!("{body}nonsense that is long enough\n"),
    ] {
        let (status, said) = send(&node, torn)?;
        ensure!(status == 400, "{status}: {}", String::from_utf8_lossy(&said));
    }
    let expected: Vec<Vec<u8>> = (0..1_000).map(|n| format!("record {n} 100%").into_bytes()).collect();
    ensure!(found(&node, EVER)? == expected);
    let answer = query(&node, "")?;
    ensure!(answer.stats["records_matched"] == 1_000 && answer.stats["complete"] == true, "{}", answer.stats);
    drop(node);
    Ok(())
}

#[test]
fn times_are_inclusive_patterns_match_and_ids_are_not_searched() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path())?)?;
    let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64 - 60_000;
    let ids: Vec<String> =
        (0..5).map(|n| weir_record::RecordId::from_parts(now_ms + n, 3).to_string()).collect();
    let names = ["alpha {\"status\":500}", "beta", "gamma {\"status\":404}", "delta", "alphabet"];
    let lines: Vec<String> = ids.iter().zip(names).map(|(id, name)| format!("{id} {name}\n")).collect();
    let body = lines.concat();
    ensure!(post(&node.url("/store/replicate"), "application/binary", body.as_bytes())?.0 == 200);
    for (params, expected) in [
        (format!("from={}&to={}", ids[1], ids[3]), &names[1..4]),
        (format!("from={}&to={}", ids[2], ids[2]), &names[2..3]),
        (format!("{EVER}&q=alpha"), &[names[0], names[4]]),
        (format!("{EVER}&q=ALPHA"), &[]),
        (format!("{EVER}&q={}", &ids[0][..10]), &[]),
        (format!("{EVER}&regex&q={}", encode("^alpha$|bet")), &[names[1], names[4]]),
        (format!("{EVER}&regex=true&q={}", encode(r#"{"status":5\d\d}"#)), &names[..1]),
        (format!("{EVER}&q={}", encode(r#"{"status":5\d\d}"#)), &[]),
    ] {
        let got = found(&node, &params)?;
        ensure!(
            got.iter().map(Vec::as_slice).eq(expected.iter().map(|name| name.as_bytes())),
            "{params}: {got:?}"
        );
    }
    let text = head(&node.url(""), "HEAD", &format!("/store/query?from={}&to={}&q=x", ids[0], ids[4]))?;
    for header in ["X-Oklog-Nodes-Queried: 1", "X-Oklog-Error-Count: 0", "X-Oklog-Q: x"] {
        ensure!(text.contains(header), "no {header} in {text}");
    }
    ensure!(!text.contains("X-Oklog-Segments-Queried: 0"), "{text}");
    Ok(())
}

/// D14: each left threads, files and up to 1 MiB per segment behind.
#[test]
fn fifty_heads_leave_nothing_behind() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path())?)?;
    ensure!(post(&node.url("/api/v1/ingest"), "text/plain", &b"a line\n".repeat(100_000))?.0 == 200);
    let count = |what: &str| -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/{what}", node.pid()))?.count())
    };
    head(&node.url(""), "HEAD", &format!("/store/query?{EVER}&q=a"))?;
    let threads = count("task")?;
    let files = until("connections are closed", || count("fd"), |_| true)?;
    for _ in 0..50 {
        let text = head(&node.url(""), "HEAD", &format!("/store/query?{EVER}&q=a"))?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
    until("no descriptor is left", || count("fd"), |now| *now <= files)?;
    ensure!(count("task")? <= threads + 2, "threads: {} before, {} now", threads, count("task")?);
    Ok(())
}

/// Lines that are streamed, without their ids, as they come.
fn follow(node: &Node, params: &str) -> Result<BufReader<TcpStream>> {
    let url = node.url("");
    let mut stream = TcpStream::connect(url.strip_prefix("http://").context("a URL")?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0 has no chunks: the body is nothing but lines.
    write!(stream, "GET /store/stream?{params} HTTP/1.0\r\nhost: weir\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the head has an end");
    }
    Ok(reader)
}

/// D17, D34, F11, F12.
#[test]
fn clients_of_streams_come_and_go_under_load() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = Node::start(&config(dir.path())?)?;
    let mut lines = TcpStream::connect(line_port(&mut node, "fast")?)?;
    let mut all = follow(&node, "window=100ms")?;
    let mut some = follow(&node, "window=100ms&regex&q=number%3D%5Cd%2A7%24")?;
    // One that never reads, and many that leave at once.
    let _idle = follow(&node, "q=number")?;
    for round in 0..20 {
        drop(follow(&node, "")?);
        for n in 0..50 {
            writeln!(lines, "100% number={}", round * 50 + n)?;
        }
    }
    let read = |stream: &mut BufReader<TcpStream>, count: usize| -> Result<Vec<String>> {
        let lines = stream.lines().take(count).map(|line| Ok(line?[27..].to_owned()));
        lines.collect()
    };
    let expected = |n: usize| format!("100% number={n}");
    ensure!(read(&mut all, 1_000)? == (0..1_000).map(expected).collect::<Vec<_>>(), "each once, in order");
    let sevens: Vec<String> = (0..1_000).filter(|n| n % 10 == 7).map(expected).collect();
    ensure!(read(&mut some, 100)? == sevens);
    ensure!(node.terminate()? == 0, "streams do not keep the node from stopping");
    Ok(())
}

#[test]
fn what_is_asked_wrongly_is_told_as_the_original_tells_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path())?)?;
    for (path, status, said) in [
        ("/health", 200, "OK\n"),
        ("/ingest/nothing", 404, "404 page not found\n"),
        ("/store/query?from=x&to=now", 400, "parsing 'from': x: can't parse as ULID or RFC3339 time\n"),
        ("/store/query?from=now", 400, "parsing 'to': : can't parse as ULID or RFC3339 time\n"),
    ] {
        let (got, body) = get(&node.url(path))?;
        ensure!(
            (got, body.as_slice()) == (status, said.as_bytes()),
            "{path}: {got} {:?}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(())
}
