//! Segments of ingesters of OK Log: taken away by nodes of weir, and deleted there when they are stored here.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::oklog_ingester::OklogIngester;
use weir_cluster_tests::process::{Node, get, quoted, until};
use weir_record::RecordId;
use weir_record::limits::HTTP_BODY_BYTES_MAX;

use crate::oklog::{EVER, payloads};

/// A claim lapses after this time; the original leaves a minute.
const LAPSES: Duration = Duration::from_mins(1);

/// A text segment of lines that no other has.
fn segment(number: u64, lines: u64) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let at_ms = UNIX_EPOCH.elapsed()?.as_millis() as u64 - 60_000 + number;
    let payloads: Vec<Vec<u8>> =
        (0..lines).map(|line| format!("segment {number} line {line} \u{fc}\0%").into_bytes()).collect();
    let mut text = Vec::new();
    for (line, payload) in payloads.iter().enumerate() {
        let id = RecordId::from_parts(at_ms, u128::from(number) << 32 | line as u128);
        text.extend_from_slice(format!("{id} ").as_bytes());
        text.extend_from_slice(payload);
        text.push(b'\n');
    }
    Ok((text, payloads))
}

/// Has segments flushed, and gives all of their payloads, sorted.
fn flush(ingesters: &[&OklogIngester], segments: std::ops::Range<u64>, lines: u64) -> Result<Vec<Vec<u8>>> {
    let mut expected = Vec::new();
    for (number, ingester) in segments.zip(ingesters.iter().cycle()) {
        let (text, payloads) = segment(number, lines)?;
        ingester.flush(&text);
        expected.extend(payloads);
    }
    expected.sort_unstable();
    Ok(expected)
}

/// A node of all roles that consumes from ingesters.
fn node(dir: &Path, ingesters: &[&OklogIngester]) -> Result<Node> {
    let config = dir.join("weir.toml");
    let urls: Vec<String> = ingesters.iter().map(|ingester| ingester.url()).collect();
    let text = format!(
        "[node]\ndata_dir = {}\n[listen]\napi = \"127.0.0.1:0\"\nfast = \"off\"\ndurable = \"off\"\n\
         [oklog]\ningesters = {urls:?}\n[storage]\nseal = {{ age = \"100ms\" }}\n",
        quoted(&dir.join("data"))
    );
    std::fs::write(&config, text)?;
    Node::start(&config)
}

/// Everything that a node finds, sorted.
fn found(url: &str) -> Result<(u16, Vec<Vec<u8>>)> {
    let (status, body) = get(&format!("{url}/store/query?{EVER}&q="))?;
    let mut found = payloads(&body)?;
    found.sort_unstable();
    Ok((status, found))
}

/// Waits until an ingester has no more than `left` segments.
fn until_left(ingester: &OklogIngester, left: usize) -> Result<()> {
    until("the segments are committed", || Ok(ingester.segments()), |segments| *segments <= left).map(drop)
}

#[test]
fn segments_of_several_ingesters_are_taken_away_and_are_here_after_a_kill() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (a, b) = (OklogIngester::start(LAPSES)?, OklogIngester::start(LAPSES)?);
    let mut expected = flush(&[&a, &b], 0..40, 50)?;
    // One that holds nothing, as a connection without lines leaves behind.
    a.flush(b"");
    let large = segment(40, 60_000)?;
    b.flush(&large.0);
    expected.extend(large.1);
    expected.sort_unstable();
    let consuming = node(dir.path(), &[&a, &b])?;
    until_left(&a, 0)?;
    until_left(&b, 0)?;
    // What is committed is on the disk.
    consuming.kill()?;
    let consuming = node(dir.path(), &[&a, &b])?;
    let (status, all) = found(&consuming.url(""))?;
    ensure!(status == 200 && all == expected, "status {status}, {} of {}", all.len(), expected.len());
    ensure!(a.committed_and_lapsed() == (21, 0) && b.committed_and_lapsed() == (21, 0));
    // It goes on with what comes later.
    let later = flush(&[&a], 100..101, 5)?;
    until_left(&a, 0)?;
    let (_, all) = found(&consuming.url(""))?;
    ensure!(later.iter().all(|payload| all.binary_search(payload).is_ok()), "what came later is there");
    ensure!(consuming.terminate()? == 0);
    Ok(())
}

#[test]
fn broken_reads_lost_answers_and_segments_that_are_none_lose_and_double_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ingester = OklogIngester::start(LAPSES)?;
    // In front of all others: too large, torn, no segment at all, and ids of a hundred years ahead.
    ingester.flush(&vec![b'x'; HTTP_BODY_BYTES_MAX + 1]);
    ingester.flush(b"01ARZ3NDEKTSV4RRFFQ69G5FAA torn");
    ingester.flush(b"this is no segment\n");
    ingester.flush(b"3ZARZ3NDEKTSV4RRFFQ69G5FAA from the future\n");
    let expected = flush(&[&ingester], 0..30, 20)?;
    ingester.cut_reads(3);
    ingester.lose_commit_answers(5);
    let mut consuming = node(dir.path(), &[&ingester])?;
    until_left(&ingester, 4)?;
    let (status, all) = found(&consuming.url(""))?;
    ensure!(status == 200 && all == expected, "status {status}, {} of {}", all.len(), expected.len());
    consuming.wait_line("a segment of OK Log cannot be taken and stays where it is")?;
    // Those that are none come again and again, and stay.
    for _ in 0..2 {
        until("they are claimed", || Ok(ingester.claimed()), |claimed| *claimed == 4)?;
        ensure!(ingester.let_claims_lapse() == 4);
    }
    let later = flush(&[&ingester], 100..101, 5)?;
    until_left(&ingester, 4)?;
    ensure!(found(&consuming.url(""))?.1.len() == all.len() + later.len(), "those behind them are taken");
    ensure!(ingester.segments() == 4);
    let metrics = String::from_utf8(get(&consuming.url("/metrics"))?.1)?;
    for reason in ["unreadable", "no_segment", "log"] {
        let line = format!(
            "weir_oklog_refused_segments_total{{ingester=\"{}\",reason=\"{reason}\"}}",
            ingester.url()
        );
        ensure!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    ensure!(consuming.terminate()? == 0);
    Ok(())
}

#[test]
fn nothing_is_committed_before_enough_stores_have_it_and_each_record_is_one() -> Result<()> {
    let ingester = OklogIngester::start(Duration::from_secs(3))?;
    let settings =
        format!("[storage]\nseal = {{ age = \"100ms\" }}\n[oklog]\ningesters = [{:?}]", ingester.url());
    let all_roles = "ingest, store, query";
    let mut cluster = Cluster::new(&[("a", all_roles), ("b", all_roles)], 2, &settings)?;
    let expected = flush(&[&ingester], 0..50, 20)?;
    cluster.start("a")?;
    // They are in its log, found, and offered again: a second copy is not there.
    let count = || found(&cluster.url("a")).map(|(_, all)| all.len());
    until("all of it", count, |count| *count == expected.len())?;
    ensure!(found(&cluster.url("a"))?.1 == expected);
    until("claims lapse", || Ok(ingester.committed_and_lapsed().1), |lapsed| *lapsed >= 52)?;
    ensure!(ingester.committed_and_lapsed().0 == 0 && ingester.segments() == 50);
    let taken =
        cluster.until_metric("a", "weir_records_in_total{source=\"http\",topic=\"default\"}", |_| true)?;
    ensure!((taken - 1000.0).abs() < 0.5, "{taken} records: what is offered again is not stored again");
    cluster.start("b")?;
    until_left(&ingester, 0)?;
    for name in ["a", "b"] {
        let (status, all) = until("all of it", || found(&cluster.url(name)), |(status, _)| *status == 200)?;
        ensure!(all == expected, "{name}: status {status}, {} of {}", all.len(), expected.len());
    }
    // Either has everything.
    cluster.until_metric("a", "weir_backlog_origins", |origins| origins == 0.0)?;
    cluster.kill("b")?;
    let (_, all) = found(&cluster.url("a"))?;
    ensure!(all == expected, "{} of {}", all.len(), expected.len());
    Ok(())
}
