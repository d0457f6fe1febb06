//! Answers that do not come to their end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_api::client::{ClientError, ClientOptions, PeerClient};
use weir_api::tls::ClientTls;
use weir_api::wire::peer::SearchMode;
use weir_api::wire::peer::frame;

use super::answers::{claim, search, tail};
use super::node::Script;
use super::{client_of, run_peer};

/// All frames of an answer, as the server sends them.
async fn whole_answer() -> Vec<u8> {
    let (server, _peer, _client) = super::run_without_key();
    let body = search(SearchMode::Rows).encode();
    let answer = server.send("POST", "/api/v1/node/search", "", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(frame::CONTENT_TYPE));
    answer.body
}

/// What a client makes of an answer to a search with these bytes as its body.
async fn searched(body: &[u8]) -> Result<usize, ClientError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer =
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1 << 20];
        let _ = stream.read(&mut request).await.unwrap();
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut request).await;
    });
    let client = PeerClient::new(&url, None, ClientOptions::of_peers(ClientTls::default())).unwrap();
    let mut answer = client.search(&search(SearchMode::Rows)).await?;
    let mut parts = 0;
    while answer.next().await?.is_some() {
        parts += 1;
    }
    answer.end()?;
    drop((answer, client));
    serving.await.unwrap();
    Ok(parts)
}

#[tokio::test]
async fn an_answer_without_its_end_is_an_error() {
    let whole = whole_answer().await;
    assert_eq!(searched(&whole).await, Ok(2));
    let end = whole.len();
    for cut in [0, 1, 8, 9, 10, end / 2, end - 30, end - 1] {
        let error = searched(&whole[..cut]).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("cut off"), "{cut}: {error}");
    }
    for at in [0, 4, 6, 9, 500, end - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        assert!(searched(&flipped).await.is_err(), "{at}");
    }
    for bytes in [b"<html>".to_vec(), vec![0xff; 100], [whole.clone(), vec![0]].concat()] {
        let error = searched(&bytes).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. } | ClientError::Broken { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_error_in_mid_answer_arrives_as_itself() {
    let (_server, peer, client) = run_peer();
    for (script, status, code) in [(Script::Fail, 507, "full"), (Script::Vanish, 500, "internal")] {
        *peer.script.lock() = script;
        let mut body = client.search(&search(SearchMode::Rows)).await.unwrap();
        assert!(body.next().await.unwrap().is_some() && body.next().await.unwrap().is_some());
        let error = body.next().await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: got, .. } if got == status), "{error:?}");
        assert_eq!(error.code(), Some(code));
        assert!(body.end().is_err());

        let mut body = client.tail(&tail()).await.unwrap();
        let error = loop {
            if let Err(error) = body.next().await {
                break error;
            }
        };
        assert_eq!(error.code(), Some(code), "{error}");
    }
}

#[tokio::test]
async fn an_origin_of_another_length_is_an_error() {
    let (_server, peer, client) = run_peer();
    for script in [Script::Short, Script::Long, Script::Fail] {
        *peer.script.lock() = script;
        let mut body = client.origin(&claim()).await.unwrap();
        let mut got = 0;
        let ended = loop {
            match body.next().await {
                Ok(Some(chunk)) => got += chunk.len() as u64,
                other => break other,
            }
        };
        // What follows a whole file on the wire belongs to nobody; the file itself is whole.
        match ended {
            Err(error) => assert!(error.is_retryable(), "{script:?}: {error}"),
            Ok(_) => assert!(script != Script::Short && got == body.bytes(), "{script:?}"),
        }
    }
}

#[tokio::test]
async fn a_quiet_answer_has_heartbeats() {
    let (server, peer, _client) = super::run_without_key();
    *peer.script.lock() = Script::Silent;
    let mut stream = server.connect().await;
    let body = search(SearchMode::Rows).encode();
    let head =
        format!("POST /api/v1/node/search HTTP/1.1\r\nhost: weir\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut got = Vec::new();
    // The length of the chunk, and in it a frame of kind 2 without a body.
    while !got.windows(8).any(|window| window == b"9\r\n\0\0\0\0\x02") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "{}", String::from_utf8_lossy(&got));
    }
    // A client sees nothing of them.
    *peer.script.lock() = Script::Whole;
    let mut body = client_of(&server, None).search(&search(SearchMode::Suspects)).await.unwrap();
    assert!(body.next().await.unwrap().is_some());
}
