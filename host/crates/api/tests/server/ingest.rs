//! Records in.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use weir_api::ServerOptions;
use weir_api::backend::Durability;
use weir_api::wire::batch;
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};

use crate::raw::{run, tight};

/// Query, headers, body; status, code, and a part of the answer.
type Case<'a> = (&'a str, &'a str, &'a [u8], u16, &'a str, &'a str);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn batch_body() -> Vec<u8> {
    let stream = Stream::new("app", [("host", "web1")]).unwrap();
    let runs = vec![IdRun { first: RecordId::from_parts(5, 1), count: 2 }];
    let batch = Batch::new(stream, BatchFlags::NONE, runs, vec![1, 4], b"x\0\xffy".to_vec()).unwrap();
    batch::encode(6, &[batch])
}

#[tokio::test]
async fn every_byte_of_a_line_comes_back() {
    let server = run(ServerOptions::default());
    let lines: [&[u8]; 7] =
        [b"plain", b"", b"nul \0 inside", b"\xff\xfe\x80", b"crlf\r", b"100%s %n", "é\u{2028}".as_bytes()];
    server.ingest(&lines.join(&b'\n')).await;
    assert_eq!(server.node.payloads(), lines);

    let text = server.get("/api/v1/query?format=text").await;
    assert_eq!(text.body, [lines.join(&b'\n'), b"\n".to_vec()].concat());
    let ndjson = server.get("/api/v1/query").await;
    let back: Vec<Vec<u8>> = ndjson.lines()[..lines.len()]
        .iter()
        .map(|line| match line["payload"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                line["payload_base64"].as_str().unwrap(),
            )
            .unwrap(),
        })
        .collect();
    assert_eq!(back, lines);
}

#[tokio::test]
async fn good_requests_are_answered_with_what_was_stored() {
    let types = ["", "text/plain", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded"];
    for content_type in types {
        let server = run(ServerOptions::default());
        let header = format!("content-type: {content_type}\r\nidempotency-key: abc\r\n");
        let header = if content_type.is_empty() { "idempotency-key: abc\r\n" } else { &header };
        let target = "/api/v1/ingest?topic=sh%C3%B6p&label.env=prod&label.path=/a%20b&durability=received";
        let answer = server.send("POST", target, header, b"one\ntwo").await.json();
        assert_eq!(answer["records"], 2);
        assert_eq!(answer["durability"], "received");
        assert!(answer["first"].as_str().unwrap() < answer["last"].as_str().unwrap());
        let stream = Stream::new("shöp", [("env", "prod"), ("path", "/a b")]).unwrap();
        assert_eq!(server.node.records(), [(stream.clone(), b"one".to_vec()), (stream, b"two".to_vec())]);
        assert_eq!(*server.node.ingests.lock(), [(Durability::Received, Some("abc".to_owned()))]);
    }
}

#[tokio::test]
async fn an_empty_body_is_no_record_and_no_error() {
    let server = run(ServerOptions::default());
    let answer = server.send("POST", "/api/v1/ingest", "", b"").await;
    assert_eq!(
        answer.json(),
        serde_json::json!({"records":0,"first":null,"last":null,"durability":"stored"})
    );
}

#[tokio::test]
async fn json_lines_are_kept_as_they_are() {
    let server = run(ServerOptions::default());
    let body = b"{\"a\": 1}\n\n  \n[1, 2 ]\r\n\"text\"\nnull";
    let answer = server.send("POST", "/api/v1/ingest", "content-type: application/x-ndjson\r\n", body).await;
    assert_eq!(answer.json()["records"], 4, "{}", answer.text());
    assert_eq!(server.node.payloads(), [&b"{\"a\": 1}"[..], b"[1, 2 ]\r", b"\"text\"", b"null"]);
}

#[tokio::test]
async fn compressed_bodies_and_batches_are_taken_apart() {
    let server = run(ServerOptions::default());
    let lines = "the same line again and again\n".repeat(40_000).into_bytes();
    let zstd = zstd::stream::encode_all(lines.as_slice(), 3).unwrap();
    for (headers, body, records) in [
        ("content-encoding: gzip\r\n", gzip(&lines), 40_000),
        ("content-encoding: zstd\r\n", zstd, 40_000),
        ("content-encoding: identity\r\n", lines, 40_000),
        ("content-type: application/vnd.weir.batch\r\n", batch_body(), 2),
        ("content-type: application/vnd.weir.batch\r\ncontent-encoding: gzip\r\n", gzip(&batch_body()), 2),
    ] {
        let answer = server.send("POST", "/api/v1/ingest", headers, &body).await;
        assert_eq!(answer.json()["records"], records, "{headers}: {}", answer.text());
    }
}

#[tokio::test]
async fn long_lines_are_split_and_nothing_is_lost() {
    let server = run(ServerOptions::default());
    let long = vec![b'x'; 5 << 20];
    server.ingest(&long).await;
    let records = server.node.records();
    assert_eq!(
        records.iter().map(|(s, _)| s.label("_part").unwrap()).collect::<Vec<_>>(),
        ["first", "middle", "middle", "middle", "last"]
    );
    assert_eq!(server.node.payloads().concat(), long);
}

#[tokio::test]
async fn bad_requests_are_refused_by_name_and_store_nothing() {
    let server = run(tight());
    let ndjson = "content-type: application/x-ndjson\r\n";
    let vnd = "content-type: application/vnd.weir.batch\r\n";
    let gz = "content-encoding: gzip\r\n";
    let long_key = format!("idempotency-key: {}\r\n", "k".repeat(257));
    let zeros = vec![0; 16 << 20];
    let flipped = {
        let mut body = batch_body();
        body[20] ^= 1;
        body
    };
    let zstd_bomb = zstd::stream::encode_all(zeros.as_slice(), 19).unwrap();
    let gzip_bomb = gzip(&zeros);
    let cases: &[Case<'_>] = &[
        ("?topci=a", "", b"x", 400, "unknown_parameter", "did you mean topic?"),
        ("?topic=a&topic=b", "", b"x", 400, "bad_parameter", "given twice"),
        ("?topic=", "", b"x", 400, "bad_stream", "1 to 255 bytes"),
        ("?topic=a%0ab", "", b"x", 400, "bad_stream", "control"),
        ("?topic=%ff", "", b"x", 400, "bad_parameter", "UTF-8"),
        ("?label.1a=x", "", b"x", 400, "bad_stream", "label name"),
        ("?label._part=first", "", b"x", 400, "bad_stream", "weir's own"),
        ("?label.a=1&label.a=2", "", b"x", 400, "bad_stream", "twice"),
        ("?durability=sure", "", b"x", 400, "bad_parameter", "received, stored or replicated"),
        ("?durability=replicated", "", b"x", 400, "needs_cluster", "durability=stored"),
        ("", "content-type: text/html\r\n", b"x", 415, "bad_content_type", "text/plain"),
        ("", "content-type: application/json\r\n", b"x", 415, "bad_content_type", "ndjson"),
        ("", "content-encoding: br\r\n", b"x", 415, "bad_encoding", "gzip or zstd"),
        ("", "content-encoding: gzip, gzip\r\n", b"x", 415, "bad_encoding", "once"),
        ("", "idempotency-key: a b\r\n", b"x", 400, "bad_idempotency_key", "ULID"),
        ("", &long_key, b"x", 400, "bad_idempotency_key", "256"),
        ("", ndjson, b"{}\nnot json\n{}", 400, "bad_json", "line 2"),
        ("", ndjson, b"{}{}", 400, "bad_json", "line 1"),
        ("", ndjson, &[b'['; 1000], 400, "bad_json", "EOF"),
        ("", vnd, b"hello", 400, "bad_batch", "WBAT"),
        ("", vnd, &flipped, 400, "bad_batch", "checksum"),
        ("?topic=a", vnd, b"", 400, "unknown_parameter", "durability"),
        ("", gz, b"no gzip at all", 400, "bad_encoding", "not gzip"),
        ("", gz, &gzip_bomb, 413, "bomb", "256 times"),
        ("", "content-encoding: zstd\r\n", &zstd_bomb, 413, "bomb", "256 times"),
        ("", "", &zeros[..12 << 20], 200, "", ""),
    ];
    for (query, headers, body, status, code, part) in cases {
        let before = server.node.payloads().len();
        let answer = server.send("POST", &format!("/api/v1/ingest{query}"), headers, body).await;
        assert_eq!(answer.status, *status, "{query} {headers}: {}", answer.text());
        if *status != 200 {
            assert_eq!(answer.code(), *code, "{query} {headers}");
            assert!(answer.text().contains(part), "{query} {headers}: {}", answer.text());
            assert_eq!(server.node.payloads().len(), before, "{query} {headers}");
        }
    }
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_in_words_while_it_is_sent() {
    let server = run(tight());
    // Neither length tells in advance: one comes in chunks, the other unpacks to more than is taken.
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let mut request =
        b"POST /api/v1/ingest HTTP/1.1\r\nhost: weir\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    (0..16).for_each(|_| request.extend_from_slice(&chunk));
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = server.exchange(&request).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));

    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"0123456789abcdef"[(state >> 60) as usize]
    })
    .take(14 << 20)
    .collect();
    let packed = gzip(&noise);
    assert!(packed.len() < 12 << 20);
    let answer = server.send("POST", "/api/v1/ingest", "content-encoding: gzip\r\n", &packed).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert!(server.node.payloads().is_empty());
}
