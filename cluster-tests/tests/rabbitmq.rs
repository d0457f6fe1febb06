//! A real RabbitMQ in front of real nodes: what is published is found, and acknowledged only then.

mod faults;
mod kinds;
mod seed;
mod world;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use weir_cluster_tests::rabbitmq::Letter;

use world::{World, count_of, letters, metric, now_s, rows, until_consuming};

/// The same message-id and timestamp is the same record, however often it comes; without both, equal messages are
/// different records.
#[test]
fn messages_are_found_once_and_acknowledged_and_a_clean_stop_leaves_nothing() -> Result<()> {
    let world = World::start("declare = \"active\"", "")?;
    let mut node = world.node()?;
    until_consuming(&node)?;
    let publisher = world.broker.publisher()?;
    let now_s = now_s();
    for _ in 0..3 {
        publisher.publish("q", &letters(0..1000, now_s))?;
    }
    let far = Letter { id: "far".into(), time_s: now_s + 86_400, body: b"far".to_vec(), time_ms: 0 };
    let anonymous = Letter { body: b"same".to_vec(), ..Letter::default() };
    publisher.publish("q", &[far.clone(), far, anonymous.clone(), anonymous])?;
    world.until_empty(&node)?;

    let rows = rows(&node)?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *seen.entry(row["payload"].to_string()).or_default() += 1;
        let labels = &row["labels"];
        ensure!((row["payload"] == "far") == (labels["_time"] == "arrival"), "{row}");
        ensure!(labels["routing_key"] == "q" && labels.get("exchange").is_none(), "{row}");
        ensure!(labels.get("_repeat").is_none(), "{row}");
    }
    ensure!(seen["\"far\""] == 2 && seen["\"same\""] == 2, "genuine equals stay: {seen:?}");
    ensure!(seen.len() == 1002 && rows.len() == 1004, "{} payloads in {} rows", seen.len(), rows.len());
    ensure!(count_of(&node, "mq")? == 1004, "{} counted", count_of(&node, "mq")?);
    for (what, least) in [("delivered", 3004.0), ("acked", 3004.0)] {
        let line = format!("weir_amqp_messages_total{{source=\"mq\",what=\"{what}\"}}");
        ensure!(metric(&node, &line)? >= least, "{what}: {}", metric(&node, &line)?);
    }
    let log = node.log();
    ensure!(log.contains("consuming") && !log.contains("guest:guest"), "{log}");
    ensure!(node.terminate()? == 0, "a clean stop");
    ensure!(publisher.depth("q")? == 0, "everything was acknowledged");
    publisher.close()
}
