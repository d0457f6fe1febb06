//! Who is answered.

use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use weir_api::ServerOptions;
use weir_api::backend::peer::{PlanRequest, SearchMode};
use weir_api::client::{ClientError, ClientOptions, PeerClient};
use weir_api::tls::ClientTls;
use weir_record::RecordId;
use weir_record::limits::NODE_REQUEST_BYTES_MAX;

use super::answers::{claim, search};
use weir_replication::Place;

use super::node::{BEGINNING, PeerNode, signer};
use super::{client_of, run_peer, run_without_key};
use crate::backend::Node;
use crate::raw::{run, run_node};

const PLAN: PlanRequest =
    PlanRequest { place: Place::Store, since: BEGINNING, from: RecordId::MIN, to: RecordId::MAX };

/// A signed request for a plan, as it goes over the line.
async fn recorded(key_byte: u8) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client =
        PeerClient::new(&url, Some(signer(key_byte)), ClientOptions::of_peers(ClientTls::default())).unwrap();
    let asking = tokio::spawn(async move { client.plan(&PLAN).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"}") {
        stream.read_buf(&mut got).await.unwrap();
    }
    asking.abort();
    // The server closes after its answer, so that the test sees the end.
    String::from_utf8(got).unwrap().replacen("\r\n", "\r\nconnection: close\r\n", 1).into_bytes()
}

fn refused(error: &ClientError) -> (u16, &str) {
    match error {
        ClientError::Refused { status, error, .. } => (*status, &error.code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_those_with_the_key_are_answered() {
    let (server, peer, _client) = run_peer();
    let stranger = client_of(&server, Some(2));
    for error in [
        stranger.info().await.unwrap_err(),
        stranger.origin(&claim()).await.unwrap_err(),
        stranger.plan(&PLAN).await.unwrap_err(),
        stranger.search(&search(SearchMode::Rows)).await.unwrap_err(),
    ] {
        assert_eq!(refused(&error), (401, "bad_signature"), "{error}");
        assert!(!error.is_retryable() && error.to_string().contains("cluster.key_file"), "{error}");
    }
    let error = client_of(&server, None).info().await.unwrap_err();
    assert_eq!(refused(&error), (401, "unsigned"), "{error}");
    for (path, allowed) in weir_api::routes().filter(|(path, _)| path.starts_with("/api/v1/node/")) {
        for header in ["", "authorization: Bearer x\r\n", "authorization: Weir-HMAC 1 2 3\r\n"] {
            let answer = server.send(allowed[0].as_str(), path, header, b"").await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unsigned"), "{path}");
            assert_eq!(answer.header("www-authenticate"), Some("Weir-HMAC"), "{path}");
        }
    }
    let asked = peer.asked.lock();
    assert!(asked.plans.is_empty() && asked.searches.is_empty() && asked.origins.is_empty());
}

#[tokio::test]
async fn a_request_is_taken_once_and_as_it_was_signed() {
    let (server, peer, _client) = run_peer();
    let request = recorded(1).await;
    let text = String::from_utf8(request.clone()).unwrap();
    for (what, changed) in [
        ("the path", text.replacen("/node/plan", "/node/plan?", 1)),
        ("the body", text.replacen("7ZZ", "6ZZ", 1)),
        ("the route", text.replacen("/node/plan", "/node/changes", 1)),
    ] {
        assert_ne!(changed, text);
        let answer = server.exchange(changed.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "bad_signature"), "{what}");
    }
    assert_eq!(server.exchange(&request).await.status, 200);
    let again = server.exchange(&request).await;
    assert_eq!((again.status, again.code().as_str()), (401, "replayed"));
    assert_eq!(peer.asked.lock().plans.len(), 1);
}

#[tokio::test]
async fn a_request_of_another_time_is_refused_with_this_nodes_time() {
    let (_server, peer, client) = run_peer();
    let minute_ms = 60_000;
    for (skew_min, side) in [(11, "behind"), (-11, "ahead of")] {
        peer.skew_ms.store(skew_min * minute_ms, Ordering::Relaxed);
        let error = client.info().await.unwrap_err();
        assert_eq!(refused(&error), (401, "clock"), "{error}");
        let text = error.to_string();
        let here = (peer.now_ms() / 1_000_000).to_string();
        assert!(text.contains(side) && text.contains(&here) && text.contains("NTP"), "{text}");
    }
    for skew_min in [9, -9] {
        peer.skew_ms.store(skew_min * minute_ms, Ordering::Relaxed);
        client.info().await.unwrap();
    }
}

#[tokio::test]
async fn without_a_key_only_loopback_is_answered() {
    let (server, _peer, client) = run_without_key();
    client.info().await.unwrap();
    // A key that nobody asks for does not harm.
    client_of(&server, Some(1)).info().await.unwrap();

    let node = Node::new(Some(PeerNode::new(None)));
    let open = run_node(node, ([0, 0, 0, 0], 0).into(), ServerOptions::default());
    let url = format!("http://127.0.0.1:{}", open.address.port());
    let client = PeerClient::new(&url, None, ClientOptions::of_peers(ClientTls::default())).unwrap();
    let error = client.info().await.unwrap_err();
    assert_eq!(refused(&error), (403, "no_cluster_key"));
    assert!(error.to_string().contains("set cluster.key_file to the same key on every node"), "{error}");
}

#[tokio::test]
async fn a_node_without_peers_has_nothing_for_them() {
    let server = run(ServerOptions::default());
    let error = client_of(&server, Some(1)).info().await.unwrap_err();
    assert_eq!(refused(&error), (404, "no_cluster"));
    assert!(!error.is_gone(), "nothing was there");
}

#[tokio::test]
async fn bodies_have_bounds() {
    let (server, peer, client) = run_without_key();
    let mut request = search(SearchMode::Rows);
    let unit = request.units[0].clone();
    request.units = vec![unit; 200_000];
    let error = client.search(&request).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "refused before it is sent: {error}");
    let body = vec![b' '; NODE_REQUEST_BYTES_MAX + 1];
    for path in ["/api/v1/node/search", "/api/v1/node/plan"] {
        let answer = server.send("POST", path, "", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{path}");
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        );
        let answer = server.exchange(&[chunked.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{path}");
    }
    let one = r#"{"origin":"0000000000000001-0000000000000002-00000003-0.1.d.p0of1","digest":"00000000000000000000000000000000","kept":"held"}"#;
    let many = format!(r#"{{"store":"00000000000000ff","origins":[{}]}}"#, vec![one; 4097].join(","));
    for (path, body, status, code) in [
        ("confirm", many.as_str(), 413, "too_many_origins"),
        ("confirm", "[]", 400, "bad_json"),
        ("holds", many.as_str(), 413, "too_many_origins"),
        ("job", r#"{"job":"dance"}"#, 400, "bad_json"),
        ("plan", "{}", 400, "bad_json"),
        ("changes?wait=1", "{}", 400, "unknown_parameter"),
        ("search", "{}", 400, "bad_search"),
        ("tail", r#"{"query":"a","resume":""}"#, 400, "bad_position"),
        ("origin", "", 405, "method_not_allowed"),
    ] {
        let answer = server.send("POST", &format!("/api/v1/node/{path}"), "", body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    for (query, part) in
        [("", "name is missing"), ("?name=x&store=1", "not the name"), ("?store=1", "name is")]
    {
        let answer = server.get(&format!("/api/v1/node/origin{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_parameter"), "{query}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    let asked = peer.asked.lock();
    assert!(asked.confirms.is_empty() && asked.searches.is_empty() && asked.tails.is_empty());
}
