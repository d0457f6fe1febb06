//! The client against the server.

use std::time::Duration;

use bytes::Bytes;
use weir_api::ServerOptions;
use weir_api::backend::Durability;
use weir_api::client::{Client, ClientError, ClientOptions, IngestParams, Lines, QueryParams};
use weir_api::format::Format;
use weir_query::Order;
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};

use crate::backend::Script;
use crate::raw::{Running, run};

fn client_of(server: &Running) -> Client {
    Client::new(&format!("http://{}/", server.address), ClientOptions::default()).unwrap()
}

fn to(stream: &Stream) -> IngestParams<'_> {
    IngestParams { stream, durability: Durability::Stored, lines: Lines::Text, key: Some("key-1") }
}

#[tokio::test]
async fn what_is_sent_is_found_again() {
    let server = run(ServerOptions::default());
    let client = client_of(&server);
    let stream = Stream::new("a & b", [("path", "/var/log/x y?#%"), ("env", "é")]).unwrap();
    let answer = client.ingest_text(&to(&stream), Bytes::from_static(b"one\ntwo\n")).await.unwrap();
    assert_eq!((answer.records, answer.durability.as_str()), (2, "stored"));
    let json = IngestParams { lines: Lines::Ndjson, key: None, ..to(&stream) };
    client.ingest_text(&json, "{\"a\":1}\n").await.unwrap();
    assert!(server.node.records().iter().all(|(stored, _)| *stored == stream));

    let runs = vec![IdRun { first: RecordId::from_parts(1, 1), count: 1 }];
    let batch = Batch::new(stream.clone(), BatchFlags::NONE, runs, vec![3], b"old".to_vec()).unwrap();
    let answer = client.ingest_batches(1, &[batch], Durability::Stored).await.unwrap();
    assert_eq!(answer.first, answer.last);

    for format in [Format::Text, Format::Ndjson, Format::Oklog] {
        let params = QueryParams { limit: Some(3), order: Order::Desc, format, ..QueryParams::default() };
        let mut body = client.query(&params).await.unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await.unwrap() {
            all.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(all).unwrap();
        assert!(text.contains("two") && !text.contains("old"), "{text}");
        let end = body.end().unwrap();
        assert!(end.complete && end.error.is_none());
        assert_eq!(end.stats.unwrap().records_matched, 3);
    }
    assert_eq!(client.streams().await.unwrap().streams[0].topic, "a & b");
    assert_eq!(client.plugins().await.unwrap()[0].name, "file-source");
    client.ready().await.unwrap();
}

#[tokio::test]
async fn what_the_clock_of_the_node_says_is_known_from_any_answer() {
    let server = run(ServerOptions::default());
    let client = client_of(&server);
    assert_eq!(client.node_time(), None);
    let now_ms = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let refused = client.ingest_batches(1, &[], Durability::Stored).await.unwrap_err();
    assert_eq!(refused.code(), Some("bad_batch"));
    let time = client.node_time().unwrap();
    assert!(time.ms.abs_diff(now_ms()) <= 10_000 && time.ms.is_multiple_of(1_000), "{time:?}");
}

#[tokio::test]
async fn an_answer_that_lacks_something_is_known_in_every_format() {
    let server = run(ServerOptions::default());
    server.ingest(b"one\n").await;
    for (script, format) in [Script::Incomplete, Script::FailAfterRows]
        .into_iter()
        .flat_map(|script| [Format::Text, Format::Ndjson].map(|format| (script, format)))
    {
        *server.node.script.lock() = script;
        let params = QueryParams { format, ..QueryParams::default() };
        let mut body = client_of(&server).query(&params).await.unwrap();
        assert!(body.end().is_err(), "not known before the end");
        while body.next().await.unwrap().is_some() {}
        let end = body.end().unwrap();
        assert!(!end.complete);
        if script == Script::Incomplete {
            assert_eq!(end.stats.unwrap().missing[0].node, "node-2");
        } else {
            assert_eq!(end.error.unwrap().message, "the log is gone — ganz weg");
        }
    }
}

#[tokio::test]
async fn a_dropped_answer_cancels_the_query() {
    let server = run(ServerOptions::default());
    server.ingest(b"one\n").await;
    *server.node.script.lock() = Script::Endless;
    let mut body = client_of(&server).query(&QueryParams::default()).await.unwrap();
    body.next().await.unwrap();
    drop(body);
    server.node.cancelled.notified().await;
}

#[tokio::test]
async fn errors_say_what_happened_and_whether_to_come_again() {
    let server = run(ServerOptions::default());
    let client = client_of(&server);
    let error = client.query(&QueryParams { q: "a (b".into(), ..QueryParams::default() }).await.unwrap_err();
    let ClientError::Refused { status: 400, error: body, .. } = &error else { panic!("{error:?}") };
    assert_eq!((body.code.as_str(), body.column), ("bad_query", Some(3)));
    assert!(!error.is_retryable() && !error.maybe_done());

    *server.node.ready.lock() = Err("starting".into());
    let error = client.ready().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().ends_with("answered 503: starting"), "{error}");

    server.shutdown.cancel();
    server.task.await.unwrap();
    let error = client.streams().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert!(error.is_retryable() && !error.maybe_done());
    assert_eq!(
        error.to_string(),
        format!("cannot reach http://{}: connection refused; is the node running there?", server.address)
    );
}

#[tokio::test]
async fn a_node_that_says_nothing_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = ClientOptions { idle_timeout: Duration::from_millis(50), ..ClientOptions::default() };
    let error = Client::new(&url, options).unwrap().streams().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    assert!(error.is_retryable() && error.maybe_done());
}
