//! TLS with certificates on both sides, and the command line of OK Log's fork.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use weir_cluster_tests::process::{Node, config_head, query, quoted, until, weir};
use weir_cluster_tests::rabbitmq::{Broker, Letter};

use super::world::{World, count_of, letters, now_s, until_consuming};

/// The queue that the fork consumes.
const QUEUE: &str = "q.freego_work_log.qa";

/// An authority, and a certificate of it for the broker and one for clients.
fn certificates(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let openssl = |args: &[&str]| -> Result<()> {
        let output = Command::new("openssl").args(args).current_dir(dir).output()?;
        ensure!(output.status.success(), "openssl {args:?}: {output:?}");
        Ok(())
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"];
    openssl(&[&["req"], &key[..], &authority[..]].concat())?;
    std::fs::write(dir.join("names"), "subjectAltName=DNS:mq.test,DNS:client.test\n")?;
    for (name, subject) in [("server", "/CN=mq.test"), ("client", "/CN=client.test")] {
        let (key_file, request, out) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        openssl(
            &[&["req"], &key[..5], &["-keyout", &key_file, "-out", &request, "-subj", subject]].concat(),
        )?;
        let sign = ["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(&[&sign[..], &["-days", "2", "-extfile", "names", "-out", &out]].concat())?;
    }
    Ok(())
}

#[test]
fn messages_come_over_tls_and_the_seeds_own_line_ships_a_queue() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let files = dir.path().join("broker");
    certificates(&files)?;
    let broker = Broker::start_with(&files, true)?;
    let tls = format!(
        "declare = \"active\"\n[sources.mq.grants.amqp.main.tls]\nca = {}\ncert = {}\nkey = {}\nserver_name = \"mq.test\"",
        quoted(&files.join("ca.pem")),
        quoted(&files.join("client.pem")),
        quoted(&files.join("client.key")),
    );
    let uri = broker.tls_uri()?;
    let world = World::with(dir, broker, &uri, &tls, "")?;
    let mut node = world.node()?;
    let publisher = world.broker.publisher()?;
    until_consuming(&node)?;
    publisher.publish("q", &letters(0..100, now_s()))?;
    until("records over TLS", || count_of(&node, "mq"), |found| *found >= 100)?;

    publisher.declare(QUEUE, &[])?;
    publisher.publish(QUEUE, &[Letter { body: b"body".to_vec(), ..Letter::default() }])?;
    let line = node.wait_line("for lines (durable)")?;
    let to = line.split_whitespace().find(|word| word.starts_with("tcp://")).unwrap_or_default().to_owned();
    let mq = format!("-mq={}?heartbeat=15", world.broker.uri());
    let mut command = weir(&["forward", "-prefix=FREEGO_WORK", &mq, &to]);
    command.stdin(std::process::Stdio::piped());
    let mut forwarder = Node::launch(command)?;
    let rows = || Ok(query(&node, "q=topic:default&from=0")?.rows);
    let found = until("the seed's line", rows, |rows| !rows.is_empty())?;
    ensure!(found[0]["payload"] == "[FREEGO_WORK ] body", "{found:?}");
    until("an acknowledgement", || publisher.depth(QUEUE), |depth| *depth == 0)?;
    ensure!(!forwarder.log().contains("guest:guest"), "{}", forwarder.log());
    ensure!(forwarder.terminate()? == 0, "a clean stop");

    wrong_name_is_refused(&world)
}

/// A certificate of another name ends the attempt, and says so.
fn wrong_name_is_refused(world: &World) -> Result<()> {
    let dir = world.dir.path().join("wrong");
    std::fs::create_dir(&dir)?;
    let files = world.dir.path().join("broker");
    let config = dir.join("weir.toml");
    let text = format!(
        "{}[sources.mq]\nplugin = \"amqp-source\"\n[sources.mq.grants.amqp.main]\nuri = {:?}\nqueue = \"q\"\n\
         tls = {{ ca = {} }}\n",
        config_head(&dir),
        world.broker.tls_uri()?,
        quoted(&files.join("ca.pem"))
    );
    std::fs::write(&config, text)?;
    let mut node = Node::start(&config)?;
    let line = node.wait_line("no messages from the broker")?;
    ensure!(line.contains("certificate") && !line.contains("guest:guest"), "{line}");
    ensure!(node.terminate()? == 0, "a clean stop");
    Ok(())
}
