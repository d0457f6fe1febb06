//! `/store/replicate`.

use weir_api::backend::Durability;

use crate::raw::{run, tight};

const A: &str = "01HF7YAT00AAAAAAAAAAAAAAAA";
const B: &str = "01HF7YAT00BBBBBBBBBBBBBBBB";

#[tokio::test]
async fn a_segment_is_stored_before_it_is_answered_and_a_repeat_is_answered_alike() {
    let server = run(tight());
    let body = format!("{B} 100% l\n{A} \n");
    for _ in 0..2 {
        let answer = server
            .send("POST", "/store/replicate", "content-type: application/binary\r\n", body.as_bytes())
            .await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK\n"));
    }
    assert_eq!(*server.node.ingests.lock(), [(Durability::Stored, None), (Durability::Stored, None)]);
    assert_eq!(server.node.payloads()[..2], [b"100% l".to_vec(), b"".to_vec()]);
    assert_eq!(server.node.records()[0].0.topic(), "default");

    let empty = server.send("POST", "/store/replicate", "", b"").await;
    assert_eq!((empty.status, empty.text().as_str()), (200, "No records\n"));
    assert_eq!(server.node.ingests.lock().len(), 2);
}

/// A torn or short line makes the original's stores crash; one above 64 KiB stops them for ever.
#[tokio::test]
async fn a_body_that_is_no_segment_stores_nothing_and_names_the_line() {
    let server = run(tight());
    let long = format!("{A} {}\n", "x".repeat((1 << 20) + 1));
    for (body, status, said) in [
        (
            format!("{A} x\n{B} torn"),
            400,
            "line 2 has no newline at its end: the segment is torn; nothing was stored\n",
        ),
        (
            format!("{A} x\n{B}\n"),
            400,
            "line 2 has 26 bytes, fewer than a ULID and a space; nothing was stored\n",
        ),
        ("GET / HTTP/1.1 and nothing that is a record\n".into(), 400, "line 1 does not begin with a ULID"),
        (long, 413, "line 1 has a payload of 1048577 bytes"),
        ("x".repeat((12 << 20) + 1), 413, "the body is larger than"),
    ] {
        let answer = server.send("POST", "/store/replicate", "", body.as_bytes()).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().starts_with(said), "{}", answer.text());
    }
    assert_eq!(server.node.ingests.lock().len(), 0);

    let jammed = format!("{A} {}\n", "x".repeat(1 << 20));
    assert_eq!(server.send("POST", "/store/replicate", "", jammed.as_bytes()).await.status, 200);
}
