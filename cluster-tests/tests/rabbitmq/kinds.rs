//! Quorum queues, streams, several consumers, and messages that can never be stored.

use anyhow::{Context as _, Result, ensure};
use lapin::types::AMQPValue;
use weir_cluster_tests::process::until;
use weir_cluster_tests::rabbitmq::Letter;

use super::world::{World, count_of, letters, metric, now_s};

/// A second source of the same file.
fn another(name: &str, uri: &str, queue: &str, grant: &str, config: &str) -> String {
    format!(
        "[sources.{name}]\nplugin = \"amqp-source\"\ntopic = \"{name}\"\nconfig = {{ {config} }}\n\
         [sources.{name}.grants.amqp.main]\nuri = {uri:?}\nqueue = \"{queue}\"\n{grant}\n"
    )
}

#[test]
fn queues_of_every_kind_are_consumed_and_what_cannot_be_stored_is_put_aside() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let broker = weir_cluster_tests::rabbitmq::Broker::start(&dir.path().join("broker"))?;
    let uri = broker.uri();
    let quorum = "declare = \"active\"\nqueue_type = \"quorum\"\nmessage_bytes = \"4KiB\"\n\
                  dead_letter = { routing_key = \"dead\" }";
    let mut rest = another("strict", &uri, "strict", quorum, "format = \"json\", strict = true");
    rest +=
        &another("log", &uri, "log", "declare = \"active\"\nqueue_type = \"stream\"", "split = \"lines\"");
    rest += &another("bare", &uri, "bare", "declare = \"active\"\nqueue_type = \"quorum\"", "");
    let grant = format!("declare = \"active\"\nconsumers = 3\n{rest}");
    let world = World::with(dir, broker, &uri, &grant, "")?;
    let publisher = world.broker.publisher()?;
    publisher.declare("dead", &[])?;
    let mut node = world.node()?;
    let connected = || metric(&node, "weir_amqp_connected{source=\"mq\"}");
    until("three consumers", connected, |connected| *connected >= 3.0)?;
    for source in ["strict", "log", "bare"] {
        let line = format!("weir_amqp_connected{{source=\"{source}\"}}");
        until("a consumer", || metric(&node, &line), |connected| *connected >= 1.0)?;
    }
    node.wait_line("dead-letter exchange")?;

    publisher.publish("q", &letters(0..2000, now_s()))?;
    // With a name and a time of its own each is found once, whatever is not acknowledged yet when the node is killed.
    let time_s = now_s();
    let body = |text: &str| {
        let id = text.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        Letter { body: text.as_bytes().to_vec(), id, time_s, ..Letter::default() }
    };
    publisher
        .publish("strict", &[body("{\"a\":1}"), body("{broken"), body(&"x".repeat(5000)), body("[2]")])?;
    publisher.publish("log", &[body("one\ntwo"), body("three")])?;
    until("records of three consumers", || count_of(&node, "mq"), |found| *found >= 2000)?;
    until("what is JSON", || count_of(&node, "strict"), |found| *found == 2)?;
    until("lines of a stream", || count_of(&node, "log"), |found| *found == 3)?;

    let mut dead = Vec::new();
    for _ in 0..2 {
        let taken = until("dead letters", || publisher.take("dead", "x-weir-reason"), Option::is_some)?;
        let (body, reason) = taken.context("a dead letter")?;
        dead.push((body.len(), reason));
    }
    dead.sort_unstable();
    let reasons = ["its body is not JSON", "a message of 5000 bytes is longer than 4096"].map(str::to_owned);
    ensure!(dead == [7, 5000].into_iter().zip(reasons).collect::<Vec<_>>(), "{dead:?}");

    // A stream keeps what was consumed: only what is new comes after a restart, which a kill does not change.
    node.kill()?;
    publisher.publish("log", &[body("four\nfive")])?;
    node = world.node()?;
    until("lines of a stream", || count_of(&node, "log"), |found| *found >= 5)?;
    ensure!(count_of(&node, "log")? == 5, "{} lines", count_of(&node, "log")?);
    world.until_empty(&node)?;
    for (source, records) in [("mq", 2000), ("strict", 2)] {
        let found = count_of(&node, source)?;
        ensure!(found == records, "{source}: {found} of {records} records");
    }
    ensure!(node.terminate()? == 0, "a clean stop");
    publisher.declare("bare", &[("x-queue-type", AMQPValue::LongString("quorum".into()))])
}
