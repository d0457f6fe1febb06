//! A filter that traps in a query: what its `on_trap` makes of the records that it could not judge.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{encode, get, post, quoted, until, weir};
use wit_component::StringEncoding;

/// More calls than a query opens instances for, and a log that is read in several parts.
const RECORDS: usize = 80_000;

/// A filter that keeps nothing and traps on a batch with an exclamation mark.
fn component(dir: &Path) -> Result<PathBuf> {
    let text = r#"(module
        (memory (export "memory") 64)
        (global $free (mut i32) (i32.const 131072))
        (data (i32.const 512) "\00\01\00\00\05\00\00\00\10\01\00\00\05\00\00\00\20\01\00\00\05\00\00\00")
        (data (i32.const 256) "trips")
        (data (i32.const 272) "1.0.0")
        (data (i32.const 288) "traps")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
            (global.set $free (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "weir:plugin/about@0.1.0#describe") (result i32) (i32.const 512))
        (func (export "weir:plugin/filter@0.1.0#open") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "weir:plugin/filter@0.1.0#matches")
            (param $at i32) (param $len i32) (param $ends i32) (param $count i32)
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
            (local $end i32)
            (local.set $end (i32.add (local.get $at) (local.get $len)))
            (block $out (loop $next
                (br_if $out (i32.ge_u (local.get $at) (local.get $end)))
                (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)) (then unreachable))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $next)))
            (global.set $free (i32.const 131072))
            (i32.store (i32.const 2048) (i32.const 0))
            (i32.store (i32.const 2052) (i32.const 8192))
            (i32.store (i32.const 2056)
                (i32.shr_u (i32.add (local.get $count) (i32.const 7)) (i32.const 3)))
            (i32.const 2048)))"#;
    let (resolve, package) = weir_plugin_runtime::wit_package().map_err(anyhow::Error::msg)?;
    let world = resolve.packages[package].worlds["filter-plugin"];
    let mut module = wat::parse_str(text)?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    let path = dir.join("trips.wasm");
    std::fs::write(&path, module)?;
    Ok(path)
}

fn ask(url: &str, q: &str) -> Result<(u16, String)> {
    let (status, body) = get(&format!("{url}/api/v1/query?q={}", encode(q)))?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The records of an answer, and its statistics.
fn answer(url: &str, q: &str) -> Result<(Vec<String>, Value)> {
    let (status, body) = get(&format!("{url}/api/v1/query?limit=100000&q={}", encode(q)))?;
    let body = String::from_utf8(body)?;
    ensure!(status == 200 || status == 206, "{q}: status {status}: {body}");
    let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
    let last: Value = serde_json::from_str(&lines.pop().context("no line")?)?;
    Ok((lines, last["stats"].clone()))
}

#[test]
fn a_filter_that_traps_ends_the_query_or_lets_records_pass_or_leaves_them_out_and_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = quoted(&component(dir.path())?);
    let plugin =
        |name: &str, on_trap: &str| format!("[plugins.{name}]\npath = {path}\non_trap = \"{on_trap}\"\n");
    let plugins = [("trips", "restart"), ("passes", "pass"), ("drops", "drop"), ("stops", "stop")];
    let plugins: String = plugins.map(|(name, on_trap)| plugin(name, on_trap)).concat();
    let members = [("i", "ingest"), ("s", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, "[storage]\nseal = { age = \"100ms\" }")?;
    for (name, _) in members {
        cluster.configure(name, &plugins)?;
    }
    cluster.start_all()?;
    let query = cluster.url("q");
    let whole = |(status, body): &(u16, String)| *status == 200 && body.contains("\"complete\":true");
    until("the nodes know each other", || ask(&query, "x"), whole)?;
    for (topic, mark, count) in [("calm", "", 100), ("loud", "!", RECORDS)] {
        let lines: Vec<String> = (0..count).map(|n| format!("record {n}{mark}\n")).collect();
        let url = format!("{}/api/v1/ingest?topic={topic}", cluster.url("i"));
        let (status, _) = post(&url, "text/plain", lines.concat().as_bytes())?;
        ensure!(status == 200, "status {status}");
    }
    // Nothing is left in the log, then nothing on its way: all is on the store.
    cluster.until_metric("i", "weir_ingest_log_records", |records| records == 0.0)?;
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;

    // What it can judge, it judges, however it is configured.
    for name in ["trips", "passes", "drops", "stops"] {
        let (records, stats) = answer(&query, &format!("topic:calm | {name}"))?;
        ensure!(records.is_empty() && stats["complete"] == true && stats["unjudged"] == 0, "{name}: {stats}");
    }

    let (records, stats) = answer(&query, "topic:loud | passes")?;
    ensure!(records.len() == RECORDS && stats["complete"] == true, "{} of {stats}", records.len());
    ensure!(stats["unjudged"] == RECORDS, "{stats}");
    // Instances are not opened for ever: a worker or two may be on the way when it is enough.
    let traps = cluster.until_metric("s", "weir_filter_traps_total{filter=\"passes\"}", |_| true)?;
    ensure!((1.0..=32.0).contains(&traps), "{traps} traps");
    let (sums, stats) = answer(&query, "topic:loud | passes | count")?;
    ensure!(sums.len() == 1 && sums[0].contains(&RECORDS.to_string()), "{sums:?} {stats}");

    let (records, stats) = answer(&query, "topic:loud | drops")?;
    ensure!(records.is_empty() && stats["complete"] == false && stats["unjudged"] == RECORDS, "{stats}");
    let missing = stats["missing"].to_string();
    ensure!(missing.contains("filter drops") && missing.contains("trapped"), "{missing}");
    let node = ["query", "--node", &query, "--from", "0"];
    let told = weir(&[&node[..], &["topic:loud | drops"]].concat()).output()?;
    let error = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.code() == Some(3) && error.contains("filter drops"), "{error}");

    for _ in 0..2 {
        let (status, body) = ask(&query, "topic:loud | trips")?;
        ensure!(status >= 400 && body.contains("trapped"), "status {status}: {body}");
    }

    let (status, body) = ask(&query, "topic:loud | stops")?;
    ensure!(status >= 400 && body.contains("trapped"), "status {status}: {body}");
    // The store uses it no more, whatever is asked of it, until its configuration is read anew.
    let (_, body) = ask(&query, "topic:calm | stops")?;
    ensure!(body.contains("stops is used no more on this node") && body.contains("reload"), "{body}");
    let (_, plugins) = get(&format!("{}/api/v1/plugins", cluster.url("s")))?;
    ensure!(
        String::from_utf8_lossy(&plugins).contains("\"stopped\""),
        "{}",
        String::from_utf8_lossy(&plugins)
    );
    let (status, _) = post(&format!("{}/-/reload", cluster.url("s")), "text/plain", b"")?;
    ensure!(status == 200, "status {status}");
    let (records, stats) = answer(&query, "topic:calm | stops")?;
    ensure!(records.is_empty() && stats["complete"] == true, "{stats}");
    Ok(())
}
