//! Live records and counts over time, out of a node that does as it is told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use weir_api::ServerOptions;
use weir_api::backend::{TailAnswer, TailEvent};
use weir_api::client::{Client, ClientOptions, TailItem};
use weir_api::wire::{GapBody, RecordLine};
use weir_query::Rows;
use weir_record::{RecordId, Stream};

use crate::backend::Script;
use crate::raw::{Running, run};

/// Lets the next tail get what is sent; each event waits until the one before it is taken.
fn script(server: &Running) -> mpsc::Sender<TailEvent> {
    let (send, receive) = mpsc::channel(1);
    let events = futures_util::stream::unfold(receive, |mut receive| async {
        let event = receive.recv().await?;
        Some((event, receive))
    });
    *server.node.tail.lock() = Some(TailAnswer { events: events.boxed() });
    send
}

fn rows(payloads: &[&[u8]], resume: u8) -> TailEvent {
    let mut rows = Rows::new();
    let stream = rows.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
    for (number, payload) in payloads.iter().enumerate() {
        rows.push(RecordId::from_parts(1_000, number as u128), stream, payload);
    }
    TailEvent::Rows { rows, resume: vec![resume; 3] }
}

async fn read_until(stream: &mut TcpStream, got: &mut String, text: &str) {
    let mut buffer = [0; 4096];
    while !got.contains(text) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended without {text:?}: {got}");
        got.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

async fn ask(server: &Running, target: &str, headers: &str) -> TcpStream {
    let mut stream = server.connect().await;
    let request = format!("GET {target} HTTP/1.1\r\nhost: weir\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn events_go_out_one_by_one_and_the_head_before_them() {
    let server = run(ServerOptions::default());
    let events = script(&server);
    let mut stream = ask(&server, "/api/v1/tail?q=topic:t", "").await;
    let mut got = String::new();
    read_until(&mut stream, &mut got, "retry: 1000\n\n").await;
    assert!(got.contains("Content-Type: text/event-stream\r\n"), "{got}");
    assert!(
        got.contains("Cache-Control: no-store\r\n") && got.contains("X-Accel-Buffering: no\r\n"),
        "{got}"
    );
    events.send(rows(&[b"one", b"two"], 1)).await.unwrap();
    read_until(&mut stream, &mut got, "id: AQEB\ndata: {").await;
    read_until(&mut stream, &mut got, "\"payload\":\"two\"}\n\n").await;
    assert_eq!(got.matches("data: {").count(), 2);
    events.send(TailEvent::Gap { records: Some(7), why: "slow".into(), resume: vec![2; 3] }).await.unwrap();
    let gap = "id: AgIC\nevent: gap\ndata: {\"records\":7,\"why\":\"slow\"}\n\n";
    read_until(&mut stream, &mut got, gap).await;
    events.send(TailEvent::Idle { resume: vec![3; 3] }).await.unwrap();
    read_until(&mut stream, &mut got, "id: AwMD\n\n").await;
    drop(events);
    // The last chunk: the client sees an end, not a break.
    read_until(&mut stream, &mut got, "\r\n0\r\n\r\n").await;
    assert_eq!(server.node.tails.lock()[0].text, "topic:t");
}

#[tokio::test]
async fn a_silent_tail_beats_and_one_whose_client_goes_is_cancelled() {
    let options = ServerOptions { tail_heartbeat: Duration::from_millis(20), ..ServerOptions::default() };
    let server = run(options);
    let events = script(&server);
    let mut stream = ask(&server, "/api/v1/tail", "").await;
    let mut got = String::new();
    for _ in 0..3 {
        read_until(&mut stream, &mut got, "\n:\n\n").await;
        got.clear();
    }
    let cancel = server.node.tails.lock()[0].cancel.clone();
    assert!(!cancel.is_cancelled());
    drop(stream);
    cancel.cancelled().await;
    events.closed().await;
}

#[tokio::test]
async fn a_token_comes_back_by_header_or_parameter_and_what_is_none_is_refused() {
    let server = run(ServerOptions::default());
    for (target, headers, resume) in [
        ("/api/v1/tail", "", None),
        ("/api/v1/tail?resume=AQEB", "", Some(vec![1; 3])),
        ("/api/v1/tail?resume=AQEB", "Last-Event-ID: AgIC\r\n", Some(vec![2; 3])),
    ] {
        drop(script(&server));
        let answer = server.send("GET", target, headers, b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(server.node.tails.lock().pop().unwrap().resume, resume, "{target} {headers}");
    }
    for (target, status, code) in [
        ("/api/v1/tail?resume=%21", 400, "bad_resume_token"),
        ("/api/v1/tail?q=%28", 400, "bad_query"),
        ("/api/v1/tail?from=1h", 400, "unknown_parameter"),
        ("/api/v1/tail", 429, "too_many_tails"),
    ] {
        let answer = server.get(target).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{target}");
    }
}

#[tokio::test]
async fn the_client_hands_over_records_with_the_token_behind_them() {
    let server = run(ServerOptions::default());
    let client = Client::new(&format!("http://{}", server.address), ClientOptions::default()).unwrap();
    let events = script(&server);
    let mut tail = client.tail("a b&c", Some("AQEB")).await.unwrap();
    {
        let asked = server.node.tails.lock();
        assert_eq!((asked[0].text.as_str(), asked[0].resume.as_deref()), ("a b&c", Some(&[1; 3][..])));
    }
    events.send(rows(&[b"one\ntwo", b"\xff"], 2)).await.unwrap();
    let Some(TailItem::Records { lines, resume }) = tail.next().await.unwrap() else { panic!("no records") };
    let payloads: Vec<Vec<u8>> = lines
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| RecordLine::parse(line).unwrap().payload().unwrap())
        .collect();
    assert_eq!((payloads, resume.as_str()), (vec![b"one\ntwo".to_vec(), b"\xff".to_vec()], "AgIC"));
    events.send(TailEvent::Gap { records: None, why: "gone".into(), resume: vec![3; 3] }).await.unwrap();
    let gap = GapBody { records: None, why: "gone".into() };
    assert_eq!(tail.next().await, Ok(Some(TailItem::Gap { gap, resume: "AwMD".into() })));
    events.send(TailEvent::Idle { resume: vec![4; 3] }).await.unwrap();
    assert_eq!(tail.next().await, Ok(Some(TailItem::Idle { resume: "BAQE".into() })));
    drop(events);
    assert_eq!(tail.next().await, Ok(None));
}

#[tokio::test]
async fn counts_have_their_times_levels_and_sums() {
    let server = run(ServerOptions::default());
    let answer = server.get("/api/v1/histogram?from=1700000000000&buckets=3").await;
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(body["from"], "2023-11-14T22:13:20.000Z");
    assert_eq!(body["to"], "2023-11-14T22:13:23.000Z");
    assert_eq!((&body["width_ms"], &body["stats"]["complete"]), (&1000.into(), &true.into()));
    assert_eq!(body["levels"], serde_json::json!(["error", "warn", "info", "debug", "none"]));
    let last = serde_json::json!({
        "time": "2023-11-14T22:13:22.000Z", "count": 3, "counts": [2, 0, 0, 0, 1],
    });
    assert_eq!(body["buckets"][2], last);

    let client = Client::new(&format!("http://{}", server.address), ClientOptions::default()).unwrap();
    *server.node.script.lock() = Script::Incomplete;
    assert_eq!(server.get("/api/v1/histogram").await.status, 206);
    let counts = client.histogram("x", Some("1h"), None, 2).await.unwrap();
    assert_eq!((counts.buckets.len(), counts.stats.complete), (2, false));
    assert_eq!(counts.stats.missing[0].node, "node-2");
}
