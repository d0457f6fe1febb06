//! `/store/stream`.

use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use weir_api::ServerOptions;
use weir_api::backend::{TailAnswer, TailEvent};
use weir_query::{Expr, Rows};
use weir_record::{RecordId, Stream};

use crate::backend::NOW_MS;
use crate::raw::{Running, run};

/// A server whose next tail gives what is sent.
fn tailing() -> (Running, UnboundedSender<TailEvent>) {
    let server = run(ServerOptions::default());
    let (send, receive) = unbounded_channel();
    let events = unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) }).boxed();
    *server.node.tail.lock() = Some(TailAnswer { events });
    (server, send)
}

fn rows(records: &[(u128, &str)]) -> TailEvent {
    let mut rows = Rows::new();
    let stream = rows.add_stream(Stream::new("t", [("", ""); 0]).unwrap().into());
    for (entropy, payload) in records {
        rows.push(RecordId::from_parts(NOW_MS, *entropy), stream, payload.as_bytes());
    }
    TailEvent::Rows { rows, resume: Vec::new() }
}

async fn ask(server: &Running, target: &str) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: weir\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Reads until the text has `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        text.push(stream.read_u8().await.unwrap().into());
    }
    text
}

/// The original sends no head before its first record.
#[tokio::test]
async fn the_head_comes_at_once_and_records_in_order_each_once() {
    for path in ["/store/stream", "/store/_stream"] {
        let (server, events) = tailing();
        let mut stream = ask(&server, &format!("{path}?q=100%25&window=1s")).await;
        let head = until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain"), "{head}");
        assert_eq!(server.node.tails.lock()[0].expr, Expr::bytes("100%"));
        events.send(rows(&[(2, "b"), (1, "a\nnewline"), (2, "b"), (3, "c")])).unwrap();
        events.send(TailEvent::Idle { resume: Vec::new() }).unwrap();
        let text = until(&mut stream, " c\n").await;
        let line = |entropy, payload| format!("{} {payload}\n", RecordId::from_parts(NOW_MS, entropy));
        let expected = [line(1, "a\\nnewline"), line(2, "b"), line(3, "c")].concat();
        assert!(text.contains(&expected), "{text}");
        drop(stream);
        let cancel = server.node.tails.lock()[0].cancel.clone();
        cancel.cancelled().await;
    }
}

#[tokio::test]
async fn a_client_that_missed_records_finds_its_connection_cut() {
    let (server, events) = tailing();
    let mut stream = ask(&server, "/store/stream?window=1h").await;
    until(&mut stream, "\r\n\r\n").await;
    events.send(rows(&[(1, "held")])).unwrap();
    events.send(TailEvent::Gap { records: Some(7), why: "too slow".into(), resume: Vec::new() }).unwrap();
    let mut rest = Vec::new();
    // What was held comes first; a reset in place of an end is as good a cut.
    let _ = stream.read_to_end(&mut rest).await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains(" held\n") && !rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn the_end_of_the_node_is_the_end_of_the_stream() {
    let (server, events) = tailing();
    events.send(rows(&[(1, "last")])).unwrap();
    drop(events);
    let answer = server.get("/store/stream").await;
    assert!(answer.whole && answer.text().ends_with(" last\n"), "{}", answer.text());
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused_in_text() {
    let (server, _events) = tailing();
    let answer = server.get("/store/stream?q=(&regex").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("compiling regex: "), "{}", answer.text());
    server.node.tail.lock().take();
    let answer = server.get("/store/stream").await;
    assert_eq!((answer.status, answer.text().as_str()), (429, "256 clients tail already\n"));
}
