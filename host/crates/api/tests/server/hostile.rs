//! Clients that are slow, many, half there or too large.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_api::ServerOptions;

use crate::backend::Script;
use crate::raw::{Running, hasty, run, tight};

/// Reads until the server closes; what came is returned.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    // A reset is a close as well.
    let _ = stream.read_to_end(&mut got).await;
    String::from_utf8_lossy(&got).into_owned()
}

async fn opened(server: &Running, bytes: &[u8]) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn heads_that_do_not_come_to_their_end_are_not_waited_for() {
    let server = run(hasty());
    for part in ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: weir\r\nx-slow: "] {
        let mut stream = opened(&server, part.as_bytes()).await;
        let got = until_closed(&mut stream).await;
        assert!(!got.starts_with("HTTP/1.1 2"), "{part:?}: {got}");
    }
    let mut kept = opened(&server, b"GET /-/healthy HTTP/1.1\r\nhost: weir\r\n\r\n").await;
    assert!(until_closed(&mut kept).await.ends_with("healthy\n"), "an idle connection is closed as well");
}

#[tokio::test]
async fn bodies_that_pause_or_drip_are_not_waited_for() {
    let server = run(hasty());
    let head = b"POST /api/v1/ingest HTTP/1.1\r\nhost: weir\r\ncontent-length: 100000\r\n\r\nabc";
    let mut pausing = opened(&server, head).await;
    let got = until_closed(&mut pausing).await;
    assert!(got.starts_with("HTTP/1.1 408") && got.contains("body_too_slow"), "{got}");

    let (mut read, mut write) = opened(&server, head).await.into_split();
    let dripping = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while write.write_all(b"x").await.is_ok() {
            pause.tick().await;
        }
    });
    let mut got = Vec::new();
    let _ = read.read_to_end(&mut got).await;
    assert!(got.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&got));
    dripping.await.unwrap();
    assert!(server.node.payloads().is_empty());
}

#[tokio::test]
async fn a_body_that_is_cut_stores_nothing() {
    let server = run(tight());
    let head = b"POST /api/v1/ingest HTTP/1.1\r\nhost: weir\r\ncontent-length: 100\r\n\r\none\ntwo\n";
    let mut stream = opened(&server, head).await;
    stream.shutdown().await.unwrap();
    until_closed(&mut stream).await;
    assert!(server.node.payloads().is_empty());
    assert!(server.node.ingests.lock().is_empty());
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused() {
    let server = run(tight());
    let one = format!("GET / HTTP/1.1\r\nhost: weir\r\nx: {}\r\n\r\n", "y".repeat(40 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: weir\r\n{}\r\n", "a: b\r\n".repeat(2_000));
    let target = format!("GET /{} HTTP/1.1\r\nhost: weir\r\n\r\n", "y".repeat(100_000));
    for (request, status) in [
        (one.as_bytes(), "HTTP/1.1 431"),
        (many.as_bytes(), "HTTP/1.1 431"),
        (target.as_bytes(), "HTTP/1.1 4"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "HTTP/1.1 400"),
        (b"hello\r\n\r\n", "HTTP/1.1 400"),
        (
            b"POST /api/v1/ingest HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            "HTTP/1.1 400",
        ),
        (b"POST /api/v1/ingest HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let mut stream = opened(&server, &[]).await;
        let _ = stream.write_all(request).await;
        let got = until_closed(&mut stream).await;
        assert!(
            got.starts_with(status),
            "{:?}: {got}",
            String::from_utf8_lossy(&request[..request.len().min(60)])
        );
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn three_hundred_half_open_connections_do_not_stop_an_honest_one() {
    let server = run(ServerOptions { head_timeout: Duration::from_mins(1), ..tight() });
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(opened(&server, b"POST /api/v1/ingest HTTP/1.1\r\n").await);
    }
    for _ in 0..20 {
        server.ingest(b"honest\n").await;
    }
    assert_eq!(server.node.payloads().len(), 20);
    drop(open);
}

#[tokio::test]
async fn connections_above_the_limits_are_told_so() {
    for options in [
        ServerOptions { connections_max: 4, ..ServerOptions::default() },
        ServerOptions { connections_per_ip_max: 4, ..ServerOptions::default() },
    ] {
        let server = run(options);
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut stream = opened(&server, b"GET /-/healthy HTTP/1.1\r\nhost: weir\r\n\r\n").await;
            let mut first = [0; 1];
            stream.read_exact(&mut first).await.unwrap();
            held.push(stream);
        }
        let mut refused = server.connect().await;
        let got = until_closed(&mut refused).await;
        assert!(got.starts_with("HTTP/1.1 503") && got.contains("too_many_connections"), "{got}");
        assert!(got.contains("retry-after: 1"), "{got}");
        drop(held);
    }
}

#[tokio::test]
async fn bodies_in_memory_are_bounded_in_all() {
    let server = run(ServerOptions { body_bytes_max: 1 << 20, inflight_bytes_max: 2 << 20, ..tight() });
    // Requests that reach the node hold their share until it has stored them.
    let gate = server.node.gate.acquire_many(1_000_000).await.unwrap();
    let request = |body: Vec<u8>| {
        let head =
            format!("POST /api/v1/ingest HTTP/1.1\r\nhost: weir\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    };
    let body = vec![b'x'; 1 << 20];
    let mut first = opened(&server, &request(body.clone())).await;
    server.node.arrived.notified().await;
    let _second = opened(&server, &request(body.clone())).await;
    server.node.arrived.notified().await;
    let refused = server.send("POST", "/api/v1/ingest", "", &body).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "busy"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(gate);
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    server.ingest(&body).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_query() {
    let server = run(ServerOptions { write_stall_max: Duration::from_millis(100), ..tight() });
    server.ingest(&vec![b'x'; 1 << 20]).await;
    *server.node.script.lock() = Script::Endless;
    let stream = opened(&server, b"GET /api/v1/query HTTP/1.1\r\nhost: weir\r\n\r\n").await;
    server.node.cancelled.notified().await;
    drop(stream);
}
