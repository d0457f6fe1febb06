//! Searches that nobody waits for any more end where they run.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::post;

use super::asked::ready;

const RUNNING: &str = "weir_peer_searches_running";

/// More than all buffers between a store and a client that does not read.
const MEBIBYTES: usize = 64;

fn filled(settings: &str) -> Result<Cluster> {
    let members = [("i", "ingest"), ("s", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, settings)?;
    cluster.start_all()?;
    ready(&cluster)?;
    let line = format!("{}\n", "x".repeat(1023));
    let body = line.repeat(1024);
    let path = format!("{}/api/v1/ingest?topic=t&durability=stored", cluster.url("i"));
    for _ in 0..MEBIBYTES {
        let (status, answer) = post(&path, "text/plain", body.as_bytes())?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    }
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    cluster.until_metric("i", "weir_ingest_log_records", |records| records == 0.0)?;
    Ok(cluster)
}

/// Asks for everything, and reads only the beginning.
fn stall(cluster: &Cluster) -> Result<TcpStream> {
    let url = cluster.url("q");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.write_all(b"GET /api/v1/query?q=topic:t&format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n")?;
    stream.read_exact(&mut [0; 1024])?;
    cluster.until_metric("s", RUNNING, |running| running > 0.0)?;
    Ok(stream)
}

#[test]
fn a_search_ends_where_it_runs_when_the_client_of_the_query_leaves() -> Result<()> {
    let cluster = filled("")?;
    let client = stall(&cluster)?;
    let left = Instant::now();
    drop(client);
    cluster.until_metric("s", RUNNING, |running| running == 0.0)?;
    eprintln!("ended after {:?}", left.elapsed());
    Ok(())
}

#[test]
fn a_search_ends_where_it_runs_when_its_time_is_over_whatever_the_node_that_asked_does() -> Result<()> {
    let mut cluster = filled("[query]\ntimeout = \"2s\"")?;
    let _client = stall(&cluster)?;
    cluster.node("q")?.pause(true)?;
    cluster.until_metric("s", RUNNING, |running| running == 0.0)?;
    cluster.node("q")?.pause(false)
}
