//! Questions in, records out.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_api::ServerOptions;

use crate::backend::Script;
use crate::raw::{Running, run, tight};

const TE: &str = "te: trailers\r\n";

async fn with_lines(script: Script) -> Running {
    let server = run(ServerOptions::default());
    server.ingest(b"one\ntwo\nthree\n").await;
    *server.node.script.lock() = script;
    server
}

#[tokio::test]
async fn parameters_may_come_in_the_url_a_form_json_or_as_text() {
    let server = with_lines(Script::Whole).await;
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let json = "content-type: application/json\r\n";
    for (method, query, headers, body) in [
        ("GET", "?q=one&order=desc&limit=2&format=text", "", ""),
        ("POST", "", form, "q=one&order=desc&limit=2&format=text"),
        ("POST", "?order=desc", form, "q=one&limit=2&format=text"),
        ("POST", "", json, r#"{"q":"one","order":"desc","limit":2,"format":"text","from":null}"#),
        ("POST", "?order=desc&limit=2&format=text", "content-type: text/plain\r\n", "one\n"),
        ("POST", "?order=desc&limit=2&format=text", "", "one"),
    ] {
        let answer = server.send(method, &format!("/api/v1/query{query}"), headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "three\ntwo\n"), "{method} {query} {body}");
        assert!(answer.whole);
    }
}

#[tokio::test]
async fn json_lines_end_with_statistics() {
    let server = with_lines(Script::Whole).await;
    let answer = server.get("/api/v1/query?from=1h").await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines = answer.lines();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["payload"], "one");
    assert_eq!(lines[0]["topic"], "default");
    assert_eq!(lines[0]["time"], "2023-11-14T22:13:20.000Z");
    let stats = &lines[3]["stats"];
    assert_eq!((&stats["complete"], &stats["records_matched"]), (&true.into(), &3.into()));
    assert_eq!(
        (&stats["from"], &stats["to"]),
        (&"2023-11-14T21:13:20.000Z".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn an_explanation_comes_in_place_of_the_records() {
    let server = with_lines(Script::Whole).await;
    for flag in ["explain=1", "explain"] {
        let answer = server.get(&format!("/api/v1/query?q=one%20%22wo%22&{flag}")).await;
        let lines = answer.lines();
        assert_eq!(lines.len(), 2, "{}", answer.text());
        let explain = &lines[0]["explain"];
        assert_eq!(
            (explain["query"].as_str(), explain["filters"].as_str()),
            (Some("one \"wo\""), Some("one"))
        );
        assert!(explain["terms"][1]["hint"].as_str().unwrap().contains("leave the quotes out"));
        assert_eq!(lines[1]["stats"]["complete"], true);
    }
    let answer = server.get("/api/v1/query?explain=1&format=text").await;
    assert_eq!(answer.status, 400);
    let answer = server.get("/api/v1/query?explain=maybe").await;
    assert!(answer.status == 400 && answer.text().contains("explain is 1 or 0"));
}

#[tokio::test]
async fn text_tells_its_end_in_trailers_to_those_who_read_them() {
    for format in ["text", "oklog"] {
        let server = with_lines(Script::Whole).await;
        let target = format!("/api/v1/query?format={format}");
        let answer = server.send("GET", &target, TE, b"").await;
        assert!(answer.whole);
        assert_eq!(answer.trailer("x-weir-complete"), Some("true"));
        assert!(answer.trailer("x-weir-stats").unwrap().contains("\"records_matched\":3"));
        let without = server.get(&target).await;
        assert!(without.whole && without.trailers.trim().is_empty());
        assert_eq!(without.body, answer.body);
    }
}

#[tokio::test]
async fn no_answer_is_silently_incomplete() {
    for (script, format, headers, status, whole, said) in [
        (Script::Incomplete, "ndjson", "", 200, true, "\"complete\":false"),
        (Script::Incomplete, "text", TE, 200, true, "X-Weir-Complete: false"),
        (Script::Incomplete, "text", "", 200, false, ""),
        (Script::KnownIncomplete, "text", "", 206, true, ""),
        (Script::KnownIncomplete, "ndjson", "", 206, true, "piece 7"),
        (Script::FailAfterRows, "ndjson", "", 200, true, "log_lost"),
        (Script::FailAfterRows, "text", TE, 200, true, "X-Weir-Error: {\"error\":{\"code\":\"log_lost\""),
        (Script::FailAfterRows, "text", TE, 200, true, "X-Weir-Complete: false"),
        (Script::FailAfterRows, "oklog", "", 200, false, ""),
        (Script::Vanish, "ndjson", "", 200, true, "\"code\":\"internal\""),
        (Script::Vanish, "text", TE, 200, true, "X-Weir-Complete: false"),
        (Script::Vanish, "text", "", 200, false, ""),
        (Script::FailBeforeRows, "text", "", 503, true, "log_lost"),
        (Script::RefuseAtOnce, "ndjson", "", 429, true, "too_many_queries"),
    ] {
        let server = with_lines(script).await;
        let target = format!("/api/v1/query?format={format}");
        let answer = server.send("GET", &target, headers, b"").await;
        let all = format!("{}{}", answer.text(), answer.trailers);
        assert_eq!((answer.status, answer.whole), (status, whole), "{script:?} {format}: {all}");
        assert!(all.contains(said), "{script:?} {format}: {all}");
        let rows = answer.text().contains("one") && answer.text().contains("three");
        assert_eq!(rows, status < 300, "{script:?} {format}: what was found is shown");
    }
}

#[tokio::test]
async fn an_empty_answer_that_lacks_something_says_so_in_its_status() {
    let server = run(ServerOptions::default());
    *server.node.script.lock() = Script::Incomplete;
    let answer = server.get("/api/v1/query?format=text").await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (206, 0, true));
}

#[tokio::test]
async fn an_error_after_the_head_is_told_although_there_was_no_record() {
    for (format, headers, said) in [
        ("ndjson", "", "\r\n{\"error\":{\"code\":\"log_lost\""),
        ("text", TE, "0\r\nX-Weir-Complete: false\r\nX-Weir-Error: {\"error\":{\"code\":\"log_lost\""),
        ("text", "", ""),
    ] {
        let server = with_lines(Script::FailLate).await;
        let mut stream = server.connect().await;
        let head = format!(
            "GET /api/v1/query?format={format} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 15];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        server.node.go_on.notify_one();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains(said), "{format}: {rest}");
        let (_, body) = rest.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.is_empty(), said.is_empty(), "{format}: not even the end of the body: {rest}");
    }
}

#[tokio::test]
async fn an_answer_to_http_1_0_that_is_cut_ends_in_a_reset() {
    for (script, format, whole) in [
        (Script::Whole, "text", true),
        (Script::FailAfterRows, "text", false),
        (Script::Incomplete, "oklog", false),
        (Script::FailAfterRows, "ndjson", true),
    ] {
        let server = with_lines(script).await;
        let mut stream = server.connect().await;
        let head = format!("GET /api/v1/query?format={format} HTTP/1.0\r\n{TE}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        let ended = stream.read_to_end(&mut got).await;
        let text = String::from_utf8(got).unwrap();
        assert!(text.contains("three"), "{script:?} {format}: {text}");
        assert_eq!(ended.map_err(|error| error.kind()).is_ok(), whole, "{script:?} {format}");
        assert_eq!(text.contains("log_lost"), format == "ndjson", "{script:?} {format}: {text}");
    }
}

#[tokio::test]
async fn bad_queries_are_refused_by_name() {
    let server = run(tight());
    for (method, query, headers, body, status, code, part) in [
        ("GET", "?q=a%20(b", "", "", 400, "bad_query", "\"column\":3"),
        ("GET", "?query=b", "", "", 400, "unknown_parameter", "known are q, from"),
        ("GET", "?form=1h", "", "", 400, "unknown_parameter", "did you mean"),
        ("GET", "?filter=a(", "", "", 400, "bad_query", "name of a filter"),
        ("GET", "?q=a+%7C", "", "", 400, "bad_query", "column 4"),
        ("GET", "?q=a+%7C+b&explain=1", "", "", 400, "bad_parameter", "without pipes"),
        ("GET", "?from=tomorrowish", "", "", 400, "bad_time", "from"),
        ("GET", "?limit=many", "", "", 400, "bad_parameter", "limit"),
        ("GET", "?q=%ff", "", "", 400, "bad_parameter", "regex"),
        ("POST", "", "content-type: application/json\r\n", "[1]", 400, "bad_json", "object"),
        ("POST", "", "content-type: text/html\r\n", "x", 415, "bad_content_type", "form"),
        ("POST", "?q=a", "content-type: text/plain\r\n", "b", 400, "bad_parameter", "twice"),
        ("GET", "/../streams", "", "", 404, "not_found", ""),
    ] {
        let answer = server.send(method, &format!("/api/v1/query{query}"), headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query} {body}");
        assert!(answer.text().contains(part), "{query}: {}", answer.text());
    }
    let long = format!("/api/v1/query?q={}", "a".repeat(17 << 10));
    assert_eq!(server.get(&long).await.code(), "bad_query");
    let body = "a".repeat((64 << 10) + 1);
    assert_eq!(server.send("POST", "/api/v1/query", "", body.as_bytes()).await.status, 413);
}

#[tokio::test]
async fn the_head_does_not_wait_for_the_first_record() {
    let server = run(ServerOptions::default());
    *server.node.script.lock() = Script::Silent;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /api/v1/query HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    drop(stream);
    server.node.cancelled.notified().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_query() {
    for script in [Script::Silent, Script::Endless] {
        let server = with_lines(script).await;
        let mut stream = server.connect().await;
        stream.write_all(b"GET /api/v1/query?format=text HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
        if script == Script::Endless {
            let mut some = vec![0; 100_000];
            stream.read_exact(&mut some).await.unwrap();
        }
        drop(stream);
        server.node.cancelled.notified().await;
    }
}

#[tokio::test]
async fn head_requests_leave_no_query_behind() {
    let server = with_lines(Script::Endless).await;
    let answer = server.send("HEAD", "/api/v1/query", "", b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    server.node.cancelled.notified().await;
}
