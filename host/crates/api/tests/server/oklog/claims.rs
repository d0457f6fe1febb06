//! `/ingest/…`: consumers of OK Log, step by step.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_api::ServerOptions;
use weir_record::RecordId;

use crate::backend::NOW_MS;
use crate::raw::{Running, run};

fn with_pieces(count: u32) -> Running {
    let server = run(ServerOptions::default());
    for piece in 1..=count {
        let records = (0..3).map(|n| {
            (RecordId::from_parts(NOW_MS, u128::from(piece * 10 + n)), format!("{piece}.{n}\n%").into_bytes())
        });
        server.node.oklog.desk.backlog().pieces.lock().insert(piece, records.collect());
    }
    server
}

fn text_of(piece: u32) -> String {
    let line = |n| format!("{} {piece}.{n}\\n%\n", RecordId::from_parts(NOW_MS, u128::from(piece * 10 + n)));
    (0..3).map(line).collect()
}

async fn get(server: &Running, path: &str) -> (u16, String) {
    let answer = server.get(path).await;
    (answer.status, answer.text())
}

async fn post(server: &Running, path: &str) -> (u16, String) {
    let answer = server.send("POST", path, "", b"").await;
    (answer.status, answer.text())
}

const NOT_FOUND: (u16, &str) = (404, "404 page not found\n");

fn is(answer: &(u16, String), expected: (u16, &str)) {
    assert_eq!((answer.0, answer.1.as_str()), expected);
}

#[tokio::test]
async fn a_piece_is_claimed_read_and_committed_in_the_words_of_the_original() {
    let server = with_pieces(2);
    let (status, claim) = get(&server, "/ingest/next").await;
    assert_eq!((status, claim.len()), (200, 36), "a UUID without a newline: {claim:?}");
    is(
        &post(&server, &format!("/ingest/commit?id={claim}")).await,
        (428, "the segment was not read to its end, so it cannot be committed\n"),
    );
    let answer = server.get(&format!("/ingest/read?id={claim}")).await;
    assert_eq!((answer.status, answer.whole, answer.text()), (200, true, text_of(1)));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    is(
        &get(&server, &format!("/ingest/read?id={claim}")).await,
        (500, "another client is already reading this segment\n"),
    );
    is(&post(&server, &format!("/ingest/commit?id={claim}")).await, (200, "Commit OK"));
    is(&post(&server, &format!("/ingest/commit?id={claim}")).await, NOT_FOUND);
    assert_eq!(server.node.oklog.desk.backlog().pieces.lock().len(), 1);

    let (_, second) = get(&server, "/ingest/next").await;
    is(&get(&server, "/ingest/next").await, NOT_FOUND);
    let (_, state) = get(&server, "/ingest/_segmentstate").await;
    assert_eq!(state, format!("1 pending\n {second}: reading=false deadline=2023-11-14T22:14:20.000Z\n"));
    is(&post(&server, &format!("/ingest/failed?id={second}")).await, (200, "Failed OK"));
    let (_, state) = get(&server, "/ingest/_segmentstate").await;
    assert_eq!(state, "0 pending\n 2: failures=1 again=2023-11-14T22:13:21.000Z\n");
    is(&get(&server, "/ingest/next").await, NOT_FOUND);
    server.node.oklog.desk.backlog().now_ms.store(1_000, Ordering::Relaxed);
    assert_eq!(get(&server, "/ingest/next").await.0, 200);
}

#[tokio::test]
async fn what_is_no_claim_is_not_found_and_head_claims_nothing() {
    let server = with_pieces(1);
    for id in ["", "?id=", "?id=x", "?id=00000000-0000-4000-8000-000000000000", "?id=%ff"] {
        is(&get(&server, &format!("/ingest/read{id}")).await, NOT_FOUND);
        is(&post(&server, &format!("/ingest/commit{id}")).await, NOT_FOUND);
        is(&post(&server, &format!("/ingest/failed{id}")).await, NOT_FOUND);
    }
    for _ in 0..3 {
        assert_eq!(server.send("HEAD", "/ingest/next", "", b"").await.status, 404);
    }
    let (status, claim) = get(&server, "/ingest/next").await;
    assert_eq!(status, 200);
    assert_eq!(server.send("HEAD", &format!("/ingest/read?id={claim}"), "", b"").await.status, 404);
    assert_eq!(get(&server, &format!("/ingest/read?id={claim}")).await, (200, text_of(1)));
}

/// The original ends the answer as if it were whole, and the store commits what it has not.
#[tokio::test]
async fn a_read_that_breaks_off_is_cut_and_cannot_be_committed() {
    let server = with_pieces(1);
    *server.node.oklog.desk.backlog().broken.lock() = Some(1);
    let (_, claim) = get(&server, "/ingest/next").await;
    let answer = server.get(&format!("/ingest/read?id={claim}")).await;
    assert_eq!((answer.status, answer.whole), (200, false));
    assert_eq!(post(&server, &format!("/ingest/commit?id={claim}")).await.0, 428);
    is(&post(&server, &format!("/ingest/failed?id={claim}")).await, (200, "Failed OK"));
    assert_eq!(server.node.oklog.desk.backlog().pieces.lock().len(), 1, "the piece is still here");
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_a_claim_that_times_out() {
    let server = with_pieces(0);
    // More than a connection holds.
    let records = (0..64).map(|n| (RecordId::from_parts(NOW_MS, n), vec![b'x'; 500_000]));
    server.node.oklog.desk.backlog().pieces.lock().insert(1, records.collect());
    let (_, claim) = get(&server, "/ingest/next").await;
    let mut stream = server.connect().await;
    let request = format!("GET /ingest/read?id={claim} HTTP/1.1\r\nhost: weir\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1_000]).await.unwrap();
    drop(stream);
    assert_eq!(post(&server, &format!("/ingest/commit?id={claim}")).await.0, 428);
    server.node.oklog.desk.backlog().now_ms.store(60_001, Ordering::Relaxed);
    is(&post(&server, &format!("/ingest/commit?id={claim}")).await, NOT_FOUND);
    server.node.oklog.desk.backlog().now_ms.store(62_000, Ordering::Relaxed);
    let (status, again) = get(&server, "/ingest/next").await;
    assert!(status == 200 && again != claim);
}

/// One line above 64 KiB stops all consumption of the original, for ever.
#[tokio::test]
async fn long_records_come_in_lines_that_a_store_can_take() {
    let server = with_pieces(0);
    let long = (RecordId::from_parts(NOW_MS, 1), vec![b'x'; 1 << 20]);
    let next = (RecordId::from_parts(NOW_MS, 2), b"next".to_vec());
    server.node.oklog.desk.backlog().pieces.lock().insert(1, vec![long, next]);
    let (_, claim) = get(&server, "/ingest/next").await;
    let answer = server.get(&format!("/ingest/read?id={claim}")).await;
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 18 && lines.iter().all(|line| line.len() < 65_535), "{}", lines.len());
    assert!(lines.is_sorted() && lines[1].ends_with(" next"));
    assert!(lines[0].contains(" [part 1/17 of 01HF7YAT000000000000000001] xxx"));
    is(&post(&server, &format!("/ingest/commit?id={claim}")).await, (200, "Commit OK"));
}
