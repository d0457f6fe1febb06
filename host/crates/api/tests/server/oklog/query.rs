//! `/store/query`, `/store/_query`, and the states of a cluster.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_api::ServerOptions;
use weir_api::oklog::{Scope, Survey};
use weir_record::RecordId;

use crate::backend::{NOW_MS, Script};
use crate::raw::{Running, run};

const RANGE: &str = "from=2023-11-14T00:00:00Z&to=2023-11-15T00:00:00Z";

async fn with_lines(script: Script) -> Running {
    let server = run(ServerOptions::default());
    server.ingest(b"100% l\ntwo \xff\0 \r\nthree\n").await;
    *server.node.script.lock() = script;
    server
}

#[tokio::test]
async fn the_body_is_records_ascending_and_the_head_tells_statistics() {
    let server = with_lines(Script::Whole).await;
    for (path, scope, here) in [("/store/query", Scope::Cluster, 0), ("/store/_query", Scope::Node, 1)] {
        let answer = server.get(&format!("{path}?{RANGE}&q=100%25%0A%22%c3%a9&ignored=1&regex")).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
        let lines: Vec<&[u8]> = answer.body.split(|byte| *byte == b'\n').collect();
        let payloads: Vec<&[u8]> = lines.iter().filter_map(|line| line.get(27..)).collect();
        assert_eq!(payloads, [&b"100% l"[..], b"two \xff\0 \r", b"three"]);
        let ids: Vec<RecordId> = lines[..3]
            .iter()
            .map(|line| std::str::from_utf8(&line[..26]).unwrap().parse().unwrap())
            .collect();
        assert!(ids.is_sorted());
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("x-oklog-from", "2023-11-14T00:00:00Z"),
            ("x-oklog-to", "2023-11-15T00:00:00Z"),
            ("x-oklog-q", "100% \"\u{e9}"),
            ("x-oklog-regex", "true"),
            ("x-oklog-nodes-queried", "3"),
            ("x-oklog-segments-queried", "17"),
            ("x-oklog-max-data-set-size", "4096"),
            ("x-oklog-error-count", "0"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(
            answer.head.contains("\r\nX-Oklog-Nodes-Queried: "),
            "scripts look for it so: {}",
            answer.head
        );
        let duration = answer.header("x-oklog-duration").unwrap();
        assert!(duration.ends_with('s') && duration.as_bytes()[0].is_ascii_digit(), "{duration}");
        let (from, to, asked) = *server.node.oklog.surveyed.lock().last().unwrap();
        assert_eq!((from.time_ms(), to.time_ms(), asked), (1_699_920_000_000, 1_700_006_400_001, scope));
        assert_eq!(server.node.oklog.here.load(Ordering::Relaxed), here);
    }
}

/// The original's test of ids as bounds: what lies in the milliseconds of both belongs to the answer.
#[tokio::test]
async fn ids_as_bounds_take_the_records_of_both_their_milliseconds() {
    let server = run(ServerOptions::default());
    let id = |ms: u64, entropy| RecordId::from_parts(NOW_MS + ms, entropy).to_string();
    for names in ["ABC", "DEF", "GHI"] {
        let lines =
            names.chars().map(|name| format!("{} {name}\n", id(u64::from(name as u32 - 'A' as u32), 7)));
        let body = lines.collect::<Vec<_>>().concat();
        assert_eq!(server.send("POST", "/store/replicate", "", body.as_bytes()).await.status, 200);
    }
    for (from, to, expected) in [
        (id(2, 7), id(6, 7), "CDEFG"),
        (id(2, 8), id(6, 0), "CDEFG"),
        (id(8, 0), id(99, 0), "I"),
        (id(4, 0), id(4, 0), "E"),
        (id(5, 0), id(4, 0), ""),
    ] {
        for path in ["/store/query", "/store/_query"] {
            let answer = server.get(&format!("{path}?from={from}&to={to}")).await;
            let text = answer.text();
            let got: String = text.lines().map(|line| &line[27..]).collect();
            assert_eq!((answer.status, got.as_str()), (200, expected), "{from} {to}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_in_text() {
    let server = with_lines(Script::Whole).await;
    for (params, said) in [
        ("", "parsing 'from': : can't parse as ULID or RFC3339 time\n"),
        ("from=x&to=now", "parsing 'from': x: can't parse as ULID or RFC3339 time\n"),
        ("from=now", "parsing 'to': : can't parse as ULID or RFC3339 time\n"),
        ("from=now&to=now&q=(&regex", "compiling regex: "),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.send(method, &format!("/store/query?{params}"), "", b"").await;
            assert_eq!(answer.status, 400, "{params}");
            assert!(method == "HEAD" || answer.text().starts_with(said), "{params}: {}", answer.text());
        }
    }
    *server.node.oklog.survey.lock() = Survey::default();
    let answer = server.get(&format!("/store/query?{RANGE}")).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "no store nodes available\n"));
}

/// The original holds its head back for the first records, and its peers give up after five seconds.
#[tokio::test]
async fn the_head_does_not_wait_for_records() {
    let server = with_lines(Script::Silent).await;
    let mut stream = server.connect().await;
    let request = format!("GET /store/query?{RANGE} HTTP/1.1\r\nhost: weir\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(String::from_utf8(head).unwrap().contains("X-Oklog-Error-Count: 0\r\n"));
    drop(stream);
    server.node.cancelled.notified().await;
}

/// The original leaks threads, files and memory at each.
#[tokio::test]
async fn head_tells_statistics_and_runs_no_query() {
    let server = with_lines(Script::Endless).await;
    for _ in 0..50 {
        let answer = server.send("HEAD", &format!("/store/query?{RANGE}&q=x"), "", b"").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("x-oklog-segments-queried"), Some("17"));
        assert_eq!(answer.header("x-oklog-q"), Some("x"));
    }
    assert_eq!(server.node.oklog.surveyed.lock().len(), 50);
    server.node.oklog.lacks.store(true, Ordering::Relaxed);
    let answer = server.send("HEAD", &format!("/store/query?{RANGE}"), "", b"").await;
    assert_eq!((answer.status, answer.header("x-oklog-error-count")), (206, Some("1")));
    let asked = tokio::time::timeout(std::time::Duration::ZERO, server.node.cancelled.notified());
    assert!(asked.await.is_err(), "no query was started, so none was cancelled");
}

#[tokio::test]
async fn what_is_missing_is_told_by_the_status_the_trailer_or_a_cut_connection() {
    for (script, errors, te, status, counted, whole, trailer) in [
        (Script::Whole, 1, "", 206, "1", true, None),
        (Script::Whole, 2, "te: trailers\r\n", 206, "2", true, Some("false")),
        (Script::KnownIncomplete, 0, "", 206, "1", true, None),
        (Script::Incomplete, 0, "te: trailers\r\n", 200, "0", true, Some("false")),
        (Script::Incomplete, 0, "", 200, "0", false, None),
        (Script::FailAfterRows, 0, "", 200, "0", false, None),
        (Script::Vanish, 0, "", 200, "0", false, None),
    ] {
        let server = with_lines(script).await;
        server.node.oklog.survey.lock().errors = errors;
        let answer = server.send("GET", &format!("/store/query?{RANGE}"), te, b"").await;
        assert_eq!((answer.status, answer.whole), (status, whole), "{script:?} {te}");
        assert_eq!(answer.header("x-oklog-error-count"), Some(counted), "{script:?}");
        assert_eq!(answer.trailer("x-weir-complete"), trailer, "{script:?}");
        assert!(answer.text().contains("100% l"), "{script:?}: what there is comes");
    }
    for (script, status) in [(Script::RefuseAtOnce, 429), (Script::FailBeforeRows, 503)] {
        let answer = with_lines(script).await.get(&format!("/store/query?{RANGE}")).await;
        assert_eq!(answer.status, status, "{script:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn health_and_cluster_states_have_the_shape_that_tools_know() {
    let server = run(ServerOptions::default());
    let health = server.get("/health").await;
    assert_eq!((health.status, health.text().as_str()), (200, "OK\n"));
    for path in ["/store/_clusterstate", "/ingest/_clusterstate"] {
        let state = server.get(path).await.json();
        assert_eq!((&state["self"], &state["n"]), (&"a".into(), &2.into()));
        assert_eq!(state["members"][1]["Name"], "b");
        let expected = serde_json::json!({ "type": "store", "api_addr": "127.0.0.1", "api_port": 7650 });
        assert_eq!(state["delegate"]["b"], expected);
    }
}
