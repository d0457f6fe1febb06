//! How fast a queue is consumed: by a bare lapin consumer, and by a node that stores what it acknowledges.
//!
//! `cargo xtask bench amqp` runs it: the number of messages and a folder are its arguments, `WEIR_BIN` the binary.
//! Prints both rates, in messages a second, the bare one first.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use weir_cluster_tests::process::{Node, config_head, get, until};
use weir_cluster_tests::rabbitmq::{Broker, Letter, Publisher};

/// Of both, and so many are acknowledged together by the bare one.
const PREFETCH: u16 = 1000;
const ACKNOWLEDGED_AT_ONCE: u64 = 100;
/// A bench may take longer than a test.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().context("how many messages?")?.parse()?;
    let dir = args.next().context("in which folder?")?;
    let dir = Path::new(&dir);
    let broker = Broker::start(&dir.join("broker"))?;
    let publisher = broker.publisher()?;
    publisher.declare("q", &[])?;

    fill(&publisher, count)?;
    let bare = bare(&broker.uri(), count)?;
    fill(&publisher, count)?;
    let weir = weir(dir, &broker, count)?;
    println!("{bare:.0} {weir:.0}");
    Ok(())
}

fn fill(publisher: &Publisher, count: u64) -> Result<()> {
    let body = |number: u64| {
        format!(
            "level=info service=shop request={number:08} path=/cart/items status=200 duration_ms={} msg=\"served\"",
            number % 997
        )
    };
    let letter = |number| Letter { body: body(number).into_bytes(), ..Letter::default() };
    publisher.publish("q", &(0..count).map(letter).collect::<Vec<_>>())
}

/// What lapin alone gives, with manual acknowledgements in batches.
fn bare(uri: &str, count: u64) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let how = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume("q".into(), "bare".into(), how, FieldTable::default()).await?;
        let (mut started, mut bytes) = (None, 0);
        for number in 1..=count {
            let delivery = consumer.next().await.context("the consumer ended")??;
            started.get_or_insert_with(Instant::now);
            bytes += delivery.data.len();
            if number % ACKNOWLEDGED_AT_ONCE == 0 || number == count {
                channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
            }
        }
        let seconds = started.context("nothing came")?.elapsed().as_secs_f64();
        ensure!(bytes > 0, "empty messages");
        connection.close(200, "done".into()).await?;
        Ok(count as f64 / seconds)
    })
}

/// From the first acknowledged message to the last.
fn weir(dir: &Path, broker: &Broker, count: u64) -> Result<f64> {
    let config = dir.join("weir.toml");
    let source = |queue: &str| {
        format!(
            "{}[sources.mq]\nplugin = \"amqp-source\"\ndurability = \"stored\"\n\
             grants.amqp.main = {{ uri = {:?}, queue = {queue:?}, prefetch = {PREFETCH} }}\n",
            config_head(dir),
            broker.uri()
        )
    };
    // The first start compiles the plugin; the figure is about what comes after.
    broker.publisher()?.declare("nothing", &[])?;
    std::fs::write(&config, source("nothing"))?;
    Node::start(&config)?.terminate()?;
    std::fs::write(&config, source("q"))?;
    let node = Node::start(&config)?;
    let mut arrivals = arrivals_of(&node, count - 1)?;
    let before = until("the first acknowledged message", || acked(&node), |acked| *acked > 0)?;
    let started = Instant::now();
    // Nobody asks the node anything meanwhile: it says when the last message is there.
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        ensure!(arrivals.read_line(&mut line)? > 0, "the node has ended");
    }
    let acked = until("the last acknowledged message", || acked(&node), |acked| *acked >= count)?;
    let rate = (acked - before) as f64 / started.elapsed().as_secs_f64();
    ensure!(node.terminate()? == 0, "a clean stop");
    Ok(rate)
}

/// Live records with the number of one message, from now on.
fn arrivals_of(node: &Node, number: u64) -> Result<BufReader<TcpStream>> {
    let address = node.url("");
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /api/v1/tail?q={number:08} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    Ok(BufReader::new(stream))
}

fn acked(node: &Node) -> Result<u64> {
    let (_, body) = get(&node.url("/metrics"))?;
    let text = String::from_utf8(body)?;
    let line = "weir_amqp_messages_total{source=\"mq\",what=\"acked\"} ";
    Ok(text.lines().find_map(|it| it.strip_prefix(line)?.parse().ok()).unwrap_or(0))
}
