//! `Idempotency-Key`s through `kill -9`.

use std::sync::Barrier;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::post_with;

use super::world::Ingest;

fn send(ingest: &Ingest, key: &str, body: &str) -> Result<(u16, String)> {
    let url = ingest.node()?.url("/api/v1/ingest?topic=keyed");
    let (status, answer) =
        post_with(&url, &[("content-type", "text/plain"), ("idempotency-key", key)], body.as_bytes())?;
    Ok((status, String::from_utf8(answer)?))
}

#[test]
fn a_repeat_after_a_kill_gets_the_same_answer_and_stores_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::running(dir.path())?;
    let mut answers = Vec::new();
    for round in 0..6 {
        let (key, body) = (format!("order-{round}"), format!("{round} a\n{round} b\n"));
        let answer = send(&ingest, &key, &body)?;
        ensure!(answer.0 == 200, "{answer:?}");
        answers.push((key, body, answer));
        ingest.kill()?;
        ingest.start()?;
        for (key, body, answer) in &answers {
            ensure!(send(&ingest, key, body)? == *answer, "{key} was answered otherwise after a kill");
        }
        ensure!(ingest.lines("keyed")?.len() == 2 * answers.len());
    }
    Ok(())
}

#[test]
fn a_request_that_was_cut_off_by_a_kill_is_found_once_when_it_is_repeated() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut ingest = Ingest::running(dir.path())?;
    for round in 0..20 {
        let (key, body) = (format!("cut-{round}"), format!("{round}\n").repeat(2_000));
        let begun = Barrier::new(2);
        std::thread::scope(|scope| -> Result<()> {
            let url = ingest.node()?.url("/api/v1/ingest?topic=keyed");
            let (begun, key, body) = (&begun, &key, &body);
            scope.spawn(move || {
                begun.wait();
                // Whether it gets an answer is up to the kill.
                let _ = post_with(&url, &[("idempotency-key", key)], body.as_bytes());
            });
            begun.wait();
            // Before it is read, while it is promised, stored, answered: wherever it happens to be.
            (0..round * 40).for_each(|_| std::thread::yield_now());
            ingest.kill()
        })?;
        ingest.start()?;
        let (status, answer) = send(&ingest, &key, &body)?;
        ensure!(status == 200, "round {round}: {answer}");
        let found = ingest.lines("keyed")?.iter().filter(|line| **line == round.to_string()).count();
        ensure!(found == 2_000, "round {round}: {found} lines of 2000");
    }
    let (status, answer) = send(&ingest, "cut-1", "other\n").context("a key with other records")?;
    ensure!(status == 200 && answer.contains("\"records\":2000"), "{answer}");
    Ok(())
}
