//! Tokens that are limited to topics: what others hold does not show, wherever it is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{Node, encode, quoted, until};
use weir_record::{Batch, BatchFlags, Minter, RecordId, Stream};

use super::world::{World, ask, ask_all, bearer, head_of, send, token};

/// Of each topic a word that is in nothing else.
const TOPICS: [(&str, bool); 4] = [("shop", true), ("pay-eu", true), ("hidden-1", false), ("pay", false)];

fn fill(node: &Node, secret: &str) -> Result<()> {
    for (topic, _) in TOPICS {
        let line = |n| format!("level=error word={topic}-word n={n} status=500");
        let lines = (0..5).map(line).collect::<Vec<String>>().join("\n");
        let target = format!("/api/v1/ingest?topic={topic}&label.owner={topic}-owner");
        let sent = ask_all(node, "POST", &target, secret, lines.as_bytes())?;
        ensure!(sent.status == 200, "{sent:?}");
    }
    Ok(())
}

/// Every way to read, for which an answer of its own has an end.
fn questions() -> Vec<String> {
    let asked = [
        "",
        "error",
        "-topic:shop",
        "topic:hidden-1",
        "topic:hidden-1 OR word",
        "label.owner:hidden-1-owner",
        "NOT (topic:shop OR topic:pay-eu)",
        "topic:*",
        "topic:hidden-*",
    ];
    let mut all: Vec<String> = Vec::new();
    for q in asked {
        let q = encode(q);
        for rest in [
            "",
            "&format=text",
            "&format=oklog",
            "&before=3&after=3",
            "&order=desc&limit=7",
            "&explain=1",
            "&filter=count%20by%20word",
        ] {
            all.push(format!("/api/v1/query?q={q}{rest}"));
        }
        all.push(format!("/api/v1/histogram?q={q}&buckets=4"));
    }
    all.push("/api/v1/streams".into());
    for q in ["q=", "q=hidden-1-word", "q=.%2A&regex", "q=hidden&regex"] {
        all.push(format!("/store/query?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&{q}"));
        all.push(format!("/store/_query?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&{q}"));
    }
    all
}

/// What a reader must not see of other topics: their records, and their names where it has not named them itself.
fn shows_nothing_hidden(target: &str, body: &str) -> Result<()> {
    for (topic, _) in TOPICS.iter().filter(|(_, own)| !own) {
        ensure!(!body.contains(&format!("word={topic}-word")), "{target} shows a record of {topic}: {body}");
        ensure!(!body.contains(&format!("\"topic\":\"{topic}\"")), "{target} shows {topic}: {body}");
        ensure!(
            target.contains(topic) || !body.contains(&format!("{topic}-owner")),
            "{target} shows labels: {body}"
        );
    }
    Ok(())
}

/// A batch for each topic, as a forwarder sends them.
fn batches(topics: &[&str]) -> Result<Vec<u8>> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let mut minter = Minter::new(RecordId::MIN);
    let batches = topics.iter().map(|topic| {
        let (run, payload) = (minter.mint(now_ms, 7, 1), b"in a batch".to_vec());
        Ok(Batch::new(
            Stream::new(topic, [("", ""); 0])?,
            BatchFlags::NONE,
            vec![run],
            vec![payload.len() as u32],
            payload,
        )?)
    });
    Ok(weir_api::wire::batch::encode(now_ms, &batches.collect::<Result<Vec<Batch>>>()?))
}

fn own_records(body: &str) -> usize {
    body.lines().filter(|line| line.contains("word=shop-word") || line.contains("word=pay-eu-word")).count()
}

#[test]
fn reading_and_writing_stay_within_the_topics_of_a_token() -> Result<()> {
    let mut world = World::new()?;
    world.add("all", &["--scope", "ingest,query,tail"])?;
    world.add("own", &["--scope", "ingest,query,tail", "--topic", "shop", "--topic", "pay-*"])?;
    let node = world.start()?;
    let (all, own) = (world.secret("all"), world.secret("own"));
    fill(&node, all)?;
    let tails = ["/api/v1/tail?q=", "/store/stream?q="].map(|target| {
        let mut stream = send(&node, "GET", target, &bearer(own), b"")?;
        head_of(&mut stream).map(|(_, rest)| (target, stream, rest))
    });

    let mut found = 0;
    for target in questions() {
        let answer = ask_all(&node, "GET", &target, own, b"")?;
        if target.contains("explain") && target.contains("filter") || answer.status == 400 {
            ensure!(answer.status == 400, "{target}: {answer:?}");
            continue;
        }
        ensure!(answer.status == 200, "{target}: {answer:?}");
        shows_nothing_hidden(&target, &answer.body)?;
        found += own_records(&answer.body);
    }
    ensure!(found > 100, "{found}");
    let whole = ask_all(&node, "GET", "/api/v1/query?q=error", own, b"")?;
    ensure!(own_records(&whole.body) == 10, "{whole:?}");
    let body = ask_all(&node, "POST", "/api/v1/query", own, b"error")?;
    ensure!(own_records(&body.body) == 10, "{body:?}");
    shows_nothing_hidden("POST", &body.body)?;
    let streams = ask_all(&node, "GET", "/api/v1/streams", own, b"")?;
    ensure!(streams.body.contains("\"shop\"") && streams.body.contains("\"pay-eu\""), "{streams:?}");
    let counted = ask_all(&node, "GET", "/api/v1/histogram?q=error", own, b"")?;
    ensure!(counted.body.contains("\"records_matched\":10"), "{counted:?}");
    // What was asked for before the topics is no way out of them.
    let sly = ask(&node, "GET", "/api/v1/query?q=error&weir.topics=%5B%22%2A%22%5D", &bearer(own), b"")?;
    ensure!(sly.status == 400, "{sly:?}");
    let passed = format!("{}weir-passed-on: 1\r\n", bearer(own));
    let sly = ask(&node, "GET", "/api/v1/query?q=error&weir.topics=%5B%22%2A%22%5D", &passed, b"")?;
    ensure!(sly.status == 400, "{sly:?}");

    // Writing elsewhere is refused, and stores nothing; by name the topic that was meant.
    for (topic, status) in [("shop", 200), ("pay-us", 200), ("hidden-1", 403), ("pay", 403), ("", 400)] {
        let target = format!("/api/v1/ingest?topic={topic}");
        let sent = ask_all(&node, "POST", &target, own, b"level=info new\n")?;
        ensure!(sent.status == status, "{topic}: {sent:?}");
        ensure!(status != 403 || sent.body.contains("wrong_topic"), "{sent:?}");
    }
    ensure!(ask(&node, "POST", "/api/v1/ingest", &bearer(own), b"x\n")?.status == 403, "the topic default");
    // Batches name their topics themselves: one that may not be written to refuses all of them.
    for (topics, status) in [(&["shop", "pay-us"][..], 200), (&["shop", "hidden-1"][..], 403)] {
        let headers = format!("{}content-type: application/vnd.weir.batch\r\n", bearer(own));
        let sent = ask(&node, "POST", "/api/v1/ingest", &headers, &batches(topics)?)?;
        ensure!(sent.status == status, "{topics:?}: {sent:?}");
    }
    let new = ask_all(&node, "GET", "/api/v1/query?q=new", all, b"")?;
    ensure!(new.body.matches("level=info new").count() == 2, "{new:?}");
    let batched = ask_all(&node, "GET", "/api/v1/query?q=batch", all, b"")?;
    ensure!(batched.body.matches("in a batch").count() == 2, "{batched:?}");

    // Live records of other topics do not come; those of its own do.
    fill(&node, all)?;
    for tail in tails {
        let (target, mut stream, rest) = tail?;
        let mut got = String::from_utf8_lossy(&rest).into_owned();
        let mut chunk = [0; 4096];
        while own_records(&got) < 10 {
            let read = std::io::Read::read(&mut stream, &mut chunk)?;
            ensure!(read > 0, "{target}: {got}");
            got += &String::from_utf8_lossy(&chunk[..read]);
        }
        shows_nothing_hidden(target, &got)?;
    }
    Ok(())
}

#[test]
fn a_question_that_a_node_passes_on_is_as_limited_as_whoever_asked() -> Result<()> {
    let mut cluster = Cluster::new(&[("s1", "ingest, store"), ("q1", "query")], 1, "")?;
    let tokens = cluster.data_dir("tokens.toml");
    std::fs::write(&tokens, "")?;
    let all = token(&tokens, "all", &["--scope", "ingest,query,tail,filter"])?;
    let own = token(&tokens, "own", &["--scope", "query", "--topic", "shop", "--topic", "pay-*"])?;
    // The node that answers knows no token of them: what counts is what the first one says, with its signature.
    let others = cluster.data_dir("others.toml");
    std::fs::write(&others, "")?;
    cluster.configure("s1", &format!("[auth]\ntokens_file = {}\n", quoted(&tokens)))?;
    cluster.configure("q1", &format!("[auth]\ntokens_file = {}\n", quoted(&others)))?;
    cluster.start_all()?;
    fill(cluster.node("s1")?, &all)?;
    let node = cluster.node("s1")?;
    let ask_again = |secret: &str, target: &str| {
        until(
            target,
            || ask_all(node, "GET", target, secret, b""),
            // Until each has heard of the other.
            |answer| answer.status != 503 && answer.status != 206,
        )
    };
    let whole = ask_again(&all, "/api/v1/query?q=error")?;
    ensure!(whole.status == 200 && whole.body.contains("hidden-1-word"), "{whole:?}");
    let limited = ask_again(&own, "/api/v1/query?q=error")?;
    ensure!(own_records(&limited.body) == 10, "{limited:?}");
    for target in questions().iter().filter(|target| !target.contains("_query")) {
        let answer = ask_again(&own, target)?;
        ensure!([200, 400].contains(&answer.status), "{target}: {answer:?}");
        shows_nothing_hidden(target, &answer.body)?;
    }
    let body = ask_all(node, "POST", "/api/v1/query", &own, b"error")?;
    ensure!(own_records(&body.body) == 10, "{body:?}");
    // Without the key nobody passes anything on.
    let q1 = cluster.node("q1")?;
    for headers in ["weir-passed-on: 1\r\n".to_owned(), format!("weir-passed-on: 1\r\n{}", bearer(&all))] {
        let answer = ask(q1, "GET", "/api/v1/query?q=error", &headers, b"")?;
        ensure!(answer.status == 401, "{answer:?}");
    }
    ensure!(!cluster.log().contains(&own[5..37]), "a secret in a log");
    Ok(())
}
