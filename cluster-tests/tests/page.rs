//! The page in the real Chromium, against real nodes with real data.
//!
//! A browser costs seconds, so each test looks at several things with one. Screenshots are written to `target/page/`.

mod browser;
mod live;
mod nodes;
mod people;
mod proxy;
mod results;
mod search;
mod sums;
mod token;

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;
use weir_cluster_tests::process::{Node, config_head, encode, post, quoted};

/// The time that a search has ended.
const DONE: &str = "document.querySelector('.stats').dataset.state === 'done'";
const COUNTED: &str = "document.querySelector('.histogram').dataset.exact === 'true'";

/// A node with a source that follows files below `dir/logs`.
fn node(dir: &Path) -> Result<Node> {
    std::fs::create_dir_all(dir.join("logs"))?;
    let config = dir.join("weir.toml");
    let logs = quoted(&dir.join("logs/*.log"));
    let source = format!(
        "[sources.followed]\nplugin = \"file-source\"\ntopic = \"followed\"\ngrants.files.logs = {{ include = [{logs}] }}\n"
    );
    std::fs::write(&config, format!("{}{source}", config_head(dir)))?;
    Node::start(&config)
}

fn send(node: &Node, topic: &str, host: &str, lines: &[String]) -> Result<()> {
    let url = node.url(&format!("/api/v1/ingest?topic={topic}&label.host={host}"));
    let (status, answer) = post(&url, "text/plain", lines.join("\n").as_bytes())?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// A line of a shop: of ten one is an error and two are warnings.
fn line(number: usize) -> String {
    let level = match number % 10 {
        0 => "error",
        1 | 2 => "warn",
        3..=7 => "info",
        _ => "debug",
    };
    let status = if level == "error" { 500 } else { 200 };
    json!({
        "level": level, "number": number, "msg": if number.is_multiple_of(3) { "payment declined" } else { "order placed" },
        "path": format!("/p{}", number % 4), "status": status, "latency_ms": number % 50, "user": {"id": number % 7},
    })
    .to_string()
}

/// 600 lines over two hosts, and some of another topic.
fn fill(node: &Node) -> Result<()> {
    for (host, from) in [("web1", 0), ("web2", 300)] {
        send(node, "orders", host, &(from..from + 300).map(line).collect::<Vec<_>>())?;
    }
    send(
        node,
        "auth",
        "gate",
        &(0..40).map(|n| format!("level=info msg=\"login ok\" user=u{n}")).collect::<Vec<_>>(),
    )
}

/// The URL of the page for a query.
fn page(node: &Node, query: &str, more: &str) -> String {
    node.url(&format!("/ui/?q={}&from=1h{more}", encode(query)))
}
