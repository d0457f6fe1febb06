//! What holds for every route.

use weir_api::ServerOptions;

use crate::raw::{Answer, run, tight};

/// Whether OK Log's clients ask for a path: errors are text there.
fn of_oklog(path: &str) -> bool {
    ["/store/", "/ingest/", "/health"].iter().any(|start| path.starts_with(start))
}

/// An error as the clients of a path read it.
fn check_error(answer: &Answer, path: &str, code: &str) {
    if of_oklog(path) {
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
        assert!(answer.body.len() > 10 && answer.body.ends_with(b"\n"), "{path}: {}", answer.text());
    } else {
        assert_eq!(answer.code(), code, "{path}");
    }
}

#[tokio::test]
async fn every_route_says_which_methods_it_takes() {
    let server = run(tight());
    for (path, allowed) in weir_api::routes() {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let answer = server.send(method, path, "", b"").await;
            if allowed.iter().any(|m| m.as_str() == method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path}");
            let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            assert_eq!(answer.header("allow"), Some(names.join(", ").as_str()), "{method} {path}");
            if method != "HEAD" {
                check_error(&answer, path, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn every_route_refuses_a_body_that_is_too_large() {
    let server = run(tight());
    for (path, allowed) in weir_api::routes() {
        for method in allowed {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: 99999999999\r\n\r\n"
            );
            let answer = server.exchange(head.as_bytes()).await;
            assert_eq!(answer.status, 413, "{method} {path}");
            if method != "HEAD" {
                check_error(&answer, path, "body_too_large");
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = run(ServerOptions::default());
    server.ingest(b"a line\n").await;
    for (path, allowed) in weir_api::routes().filter(|(_, allowed)| allowed.contains(&http::Method::GET)) {
        assert!(allowed.contains(&http::Method::HEAD));
        let (get, head) = (server.get(path).await, server.send("HEAD", path, "", b"").await);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn no_answer_opens_the_node_to_other_sites() {
    let server = run(tight());
    let foreign = "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n";
    for (path, allowed) in weir_api::routes() {
        for method in allowed {
            let answer = server.send(method.as_str(), path, foreign, b"").await;
            assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{path}: {}", answer.head);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            let api = path.starts_with("/api/") || path.starts_with("/-/") || of_oklog(path);
            assert_eq!(answer.status == 403, api, "{method} {path}");
        }
    }
    let own = server.send("GET", "/api/v1/query", "sec-fetch-site: same-origin\r\n", b"").await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn what_is_nowhere_is_not_found() {
    let server = run(tight());
    for path in ["/store/", "/store/nothing", "/store/query/", "/ingest/x"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    for path in [
        "/api/v1/nothing",
        "/../../etc/passwd",
        "/ui/../../etc/passwd",
        "/ui/%2e%2e/x",
        "/api/v1/ingest/",
        "/ap%69/v1/streams",
        "//ui/",
        "*",
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_are_plain_text() {
    let server = run(ServerOptions::default());
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert_eq!(server.get("/-/ready").await.status, 200);
    *server.node.ready.lock() = Err("the log is being read, 40 % done".into());
    let answer = server.get("/-/ready").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_ready"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(server.get("/-/healthy").await.status, 200);

    let answer = server.send("POST", "/-/reload", "", b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "reloaded\nsources restarted: orders\n"));

    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    for line in [
        "weir_up 1",
        "weir_http_requests_total{route=\"/-/healthy\",code=\"200\"} 2",
        "weir_http_requests_total{route=\"/-/ready\",code=\"503\"} 1",
        "weir_http_connections 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} not in {text}");
    }
}

#[tokio::test]
async fn the_page_is_sent_once_and_runs_nothing_foreign() {
    let server = run(ServerOptions::default());
    for path in ["/", "/ui"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some("ui/")), "{path}");
    }
    let page = server.get("/ui/?q=error&from=1h").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let tag = page.header("etag").unwrap();
    for sent in [tag.to_owned(), format!("\"x\", W/{tag}")] {
        let again = server.send("GET", "/ui/", &format!("if-none-match: {sent}\r\n"), b"").await;
        assert_eq!((again.status, again.body.len(), again.header("content-length")), (304, 0, None));
    }
    // The policy forbids what the page itself must then not use.
    let html = page.text();
    for forbidden in ["style=", "onclick", "<style", "http://", "https://"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for (path, _) in weir_api::routes().filter(|(path, _)| path.contains(".js")) {
        let script = server.get(path).await;
        assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert!(!script.text().contains("innerHTML"), "{path}: records are text, never markup");
        let absolute = ["\"/api", "\"/ui", "\"/-"].iter().any(|start| script.text().contains(start));
        assert!(!absolute, "{path}: absolute paths break behind a proxy");
    }
}
