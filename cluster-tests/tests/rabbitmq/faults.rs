//! Numbered messages through everything that may happen to a consumer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use lapin::types::AMQPValue;
use weir_cluster_tests::process::{Node, until};
use weir_cluster_tests::rabbitmq::Letter;

use super::world::{World, metric, now_s, rows, until_consuming};

const PREFETCH: usize = 500;
/// Messages that share a timestamp.
const TICK: u64 = 500;

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillNode,
    CloseConnections,
    KillBroker,
    StopBroker,
    PauseNode,
    DeleteQueue,
    OtherQueue,
    MemoryAlarm,
}

const FAULTS: [Fault; 8] = [
    Fault::KillNode,
    Fault::CloseConnections,
    Fault::KillBroker,
    Fault::PauseNode,
    Fault::DeleteQueue,
    Fault::StopBroker,
    Fault::OtherQueue,
    Fault::MemoryAlarm,
];

/// Every second message says who it is; the others do not.
fn is_named(number: u64) -> bool {
    number.is_multiple_of(2)
}

fn letters(from: u64, to: u64, begun_s: u64) -> Vec<Letter> {
    let letter = |number: u64| Letter {
        body: format!("message {number}").into_bytes(),
        id: if is_named(number) { format!("id-{number}") } else { String::new() },
        time_s: if is_named(number) { begun_s - 600 + number / TICK } else { 0 },
        time_ms: 0,
    };
    (from..to).map(letter).collect()
}

#[test]
fn nothing_is_lost_through_faults_and_what_is_stored_twice_says_so() -> Result<()> {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let (messages, faults) = if long { (100_000, 30) } else { (20_000, 8) };
    let grant = format!("declare = \"active\"\nprefetch = {PREFETCH}\nheartbeat = \"1s\"");
    let world = World::start(&grant, "")?;
    let mut play = Play { node: Some(world.node()?), world, taken: 0.0 };
    until_consuming(play.node()?)?;
    let begun_s = now_s();
    let share = messages / faults;
    for round in 0..faults {
        play.publish(&letters(round * share, (round + 1) * share, begun_s))?;
        play.suffer(FAULTS[round as usize % FAULTS.len()])?;
    }
    play.publish(&letters(faults * share, messages, begun_s))?;
    let node = play.node.take().context("a node runs")?;
    play.world.until_empty(&node)?;
    check(&rows(&node)?, messages, faults)?;
    ensure!(node.terminate()? == 0, "a clean stop");
    Ok(())
}

struct Play {
    world: World,
    node: Option<Node>,
    /// Messages that the node of now had taken before this round.
    taken: f64,
}

impl Play {
    fn node(&self) -> Result<&Node> {
        self.node.as_ref().context("a node runs")
    }

    fn delivered(&self) -> Result<f64> {
        metric(self.node()?, "weir_amqp_messages_total{source=\"mq\",what=\"delivered\"}")
    }

    /// Publishes while the node is held, lets it go on, and returns when it has begun to take them.
    fn publish(&mut self, letters: &[Letter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        self.taken = self.delivered()?;
        self.world.broker.publisher()?.publish("q", letters)?;
        let taken = self.taken;
        until("messages that come", || self.delivered(), |delivered| *delivered > taken).map(drop)
    }

    fn suffer(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::KillNode => {
                if let Some(node) = self.node.take() {
                    node.kill()?;
                }
                self.node = Some(self.world.node()?);
            }
            Fault::CloseConnections => {
                self.world.broker.control(&["close_all_connections", "the test says so"])?;
                // lapin's own recovery has been known to forget this one.
                until_consuming(self.node()?)?;
                let consumers = || self.world.broker.control(&["list_consumers", "prefetch_count"]);
                until("a consumer with a prefetch", consumers, |said| {
                    let all: Vec<usize> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
                    !all.is_empty() && all.iter().all(|prefetch| (1..=PREFETCH).contains(prefetch))
                })?;
            }
            Fault::KillBroker => {
                self.world.broker.kill()?;
                self.world.broker.run()?;
            }
            Fault::StopBroker => {
                self.world.broker.control(&["stop_app"])?;
                self.world.broker.control(&["start_app"])?;
            }
            Fault::PauseNode => {
                self.node()?.pause(true)?;
                let connections = || self.world.broker.control(&["list_connections", "client_properties"]);
                until("a consumer that is given up", connections, |said| !said.contains("weir mq"))?;
                self.node()?.pause(false)?;
            }
            Fault::DeleteQueue => {
                self.world.until_empty(self.node()?)?;
                self.world.broker.publisher()?.delete("q")?;
                let depth = || Ok(self.world.broker.publisher()?.depth("q").ok());
                until("a queue that is made again", depth, Option::is_some)?;
            }
            Fault::OtherQueue => {
                self.world.until_empty(self.node()?)?;
                self.node()?.pause(true)?;
                let publisher = self.world.broker.publisher()?;
                publisher.delete("q")?;
                publisher.declare("q", &[("x-max-length", AMQPValue::LongLongInt(1_000_000))])?;
                self.node()?.pause(false)?;
                if let Some(node) = &mut self.node {
                    node.wait_line("the queue differs")?;
                }
            }
            Fault::MemoryAlarm => {
                self.world.broker.control(&["set_vm_memory_high_watermark", "0.00000001"])?;
                self.world.until_empty(self.node()?)?;
                self.world.broker.control(&["set_vm_memory_high_watermark", "0.4"])?;
            }
        }
        until_consuming(self.node()?)
    }
}

fn check(rows: &[serde_json::Value], messages: u64, faults: u64) -> Result<()> {
    let mut marks: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
    let mut last_tick = 0;
    for row in rows {
        let payload = row["payload"].as_str().unwrap_or_default();
        let number: u64 = payload.strip_prefix("message ").unwrap_or_default().parse()?;
        let marked = row["labels"]["_repeat"] == "maybe";
        marks.entry(number).or_default().push(marked);
        if is_named(number) {
            ensure!(!marked && number / TICK >= last_tick, "{row} after tick {last_tick}");
            last_tick = number / TICK;
        }
    }
    let missing: Vec<u64> = (0..messages).filter(|number| !marks.contains_key(number)).collect();
    ensure!(missing.is_empty(), "{} are missing: {:?}…", missing.len(), &missing[..missing.len().min(20)]);
    let mut repeated = 0;
    for (number, marks) in &marks {
        ensure!(
            number % 2 == 1 || marks.len() == 1,
            "{number} says who it is, and is there {} times",
            marks.len()
        );
        let unmarked = marks.iter().filter(|marked| !**marked).count();
        ensure!(unmarked <= 1, "{number} is there {unmarked} times without a mark");
        repeated += marks.len() - 1;
    }
    eprintln!("{} rows of {messages} messages, {repeated} twice", rows.len());
    ensure!(repeated <= PREFETCH * faults as usize, "{repeated} are there twice");
    Ok(())
}
