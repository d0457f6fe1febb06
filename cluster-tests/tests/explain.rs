//! `weir query --explain`: how a query is understood, and what it cost on all nodes.

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{get, post, run, until};

const SETTINGS: &str = "[storage]\nseal = { age = \"200ms\" }";

#[test]
fn a_query_is_explained_with_what_it_cost_on_all_nodes() -> Result<()> {
    let members = [("i", "ingest"), ("s", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, SETTINGS)?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    let body = (0..5000).map(|n| format!("order {n} failed")).collect::<Vec<_>>().join("\n");
    let path = format!("{ingest}/api/v1/ingest?topic=t&durability=replicated");
    let (status, answer) = post(&path, "text/plain", body.as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    let all = format!("{query}/api/v1/query?limit=1");
    until("the nodes know each other", || get(&all), |(status, _)| *status == 200)?;

    let explain = |text: &str| -> Result<String> {
        let output = run(&["query", "--node", &query, "--from", "0", "--explain", text])?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    };
    let row = |said: &str, name: &str| -> Vec<String> {
        let row = said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        row.split_whitespace().map(ToOwned::to_owned).collect()
    };
    // What is there is read; no record is printed.
    let said = explain("\"rder 77\"")?;
    ensure!(said.contains("write the whole ones, without quotes, as in: rder 77"), "{said}");
    ensure!(said.contains("11 records in") && !said.contains("order 77 failed"), "{said}");
    ensure!(row(&said, "records ") == ["records", "5000"], "{said}");
    ensure!(row(&said, "segments")[1] != "0", "the segments of the store are counted: {said}");
    // What the filters exclude is not.
    let said = explain("order nowhere")?;
    ensure!(
        said.contains("filters: (order nowhere)") && row(&said, "records ") == ["records", "0"],
        "{said}"
    );
    let segments = row(&said, "segments");
    ensure!(segments[1] == "0" && segments[2] == segments[5] && segments[5] != "0", "{said}");
    let output = run(&["query", "--node", &query, "--explain", "--format", "oklog", "a"])?;
    ensure!(output.status.code() == Some(2), "the format has no room for an explanation");
    Ok(())
}
