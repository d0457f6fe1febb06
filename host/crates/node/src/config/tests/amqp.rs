//! Grants of queues.

use weir_amqp::{Argument, Binding, DeadLetter, Declare, QueueType, StreamOffset};

use super::*;
use crate::config::resolved::{AmqpGrant, Durability, Secret};

const HEAD: &str = "[sources.a]\nplugin = \"amqp-source\"\n";

fn grant(text: &str) -> AmqpGrant {
    let text = format!("{HEAD}[sources.a.grants.amqp.main]\nuri = \"amqp://u:p@h/v\"\nqueue = \"q\"\n{text}");
    config(&text).sources[0].grants.amqp["main"].clone()
}

#[test]
fn a_grant_has_defaults_for_all_but_uri_and_queue() {
    let grant = grant("");
    assert_eq!(grant.uri, Secret::Inline("amqp://u:p@h/v".into()));
    assert_eq!(
        (grant.settings.declare, grant.settings.queue_type, grant.settings.durable),
        (Declare::Passive, None, true)
    );
    assert_eq!(
        (grant.settings.consumers, grant.settings.prefetch, grant.settings.prefetch_bytes),
        (1, 1000, 32 << 20)
    );
    assert_eq!(
        (grant.settings.heartbeat_s, grant.settings.connect_timeout_ms, grant.settings.hold_timeout_ms),
        (60, 10_000, 300_000)
    );
    assert_eq!((grant.settings.dead_letter, grant.settings.message_bytes_max), (None, 16 << 20));
    assert!(!format!("{:?}", config_of_everything().sources).contains("s3cret"));
}

fn config_of_everything() -> crate::config::Config {
    let grant = "uri = \"amqp://log:${RMQ_PASSWORD}@mq1/prod\", queue = \"q\"";
    config(&format!("{HEAD}grants.amqp.main = {{ {grant} }}"))
}

#[test]
fn everything_about_a_queue_can_be_said() {
    let grant = grant(
        r#"
        hosts = ["mq2", "mq3:5673"]
        declare = "active"
        queue_type = "quorum"
        arguments = { x-max-length = 1000, x-overflow = "reject-publish", x-flag = true }
        bindings = [{ exchange = "logs", routing_key = "a.#" }, { exchange = "all" }]
        single_active_consumer = true
        priority = -3
        consumers = 2
        dead_letter = { routing_key = "dead" }
        tls = { ca = "ca.pem", cert = "c.pem", key = "/k.pem", server_name = "mq.test" }
        "#,
    );
    assert_eq!(
        (grant.settings.declare, grant.settings.queue_type),
        (Declare::Active, Some(QueueType::Quorum))
    );
    let arguments: Vec<_> =
        grant.settings.arguments.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert!(arguments.contains(&("x-max-length", Argument::Number(1000))), "{arguments:?}");
    assert!(arguments.contains(&("x-flag", Argument::Bool(true))), "{arguments:?}");
    let binding = |exchange: &str, key: &str| Binding { exchange: exchange.into(), routing_key: key.into() };
    assert_eq!(grant.settings.bindings, [binding("logs", "a.#"), binding("all", "")]);
    let dead = DeadLetter { exchange: String::new(), routing_key: Some("dead".into()) };
    assert_eq!(
        (grant.settings.dead_letter, grant.settings.priority, grant.hosts.len()),
        (Some(dead), Some(-3), 2)
    );
    assert_eq!(grant.tls.client.unwrap().1, Path::new("/k.pem"));
}

#[test]
fn streams_begin_where_they_are_told() {
    assert_eq!(
        grant("queue_type = \"stream\"\nstream_offset = \"next\"").settings.stream_offset,
        Some(StreamOffset::Next)
    );
}

#[test]
fn in_a_cluster_a_queue_is_acknowledged_when_there_are_copies() {
    let cluster = "[cluster]\nreplication = 2\npeers = [\"http://10.0.0.6:7650\"]\nkey_file = \"k\"\n";
    let source = format!("{HEAD}grants.amqp.main = {{ uri = \"amqp://h\", queue = \"q\" }}\n");
    for (text, durability) in [
        (source.clone(), Durability::Stored),
        (format!("{cluster}{source}"), Durability::Replicated),
        (format!("{cluster}{source}durability = \"stored\"\n"), Durability::Stored),
        (format!("{source}durability = \"replicated\"\n"), Durability::Replicated),
    ] {
        assert_eq!(config(&text).sources[0].durability, durability, "{text}");
    }
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    let at = "weir.toml:3:";
    for (grant, expected) in [
        (
            "{ queue = \"q\" }",
            "sources.a.grants.amqp.main.uri: expected a URI such as amqp://user:password@host/vhost, got nothing",
        ),
        (
            "{ uri = \"http://u:s3cret@h\", queue = \"q\" }",
            "main.uri: expected amqp://user:password@host/vhost or amqps://",
        ),
        ("{ uri = \"amqp://h\", queue = \"q\", hosts = [\"a:x\"] }", "expected a host such as mq2"),
        (
            "{ uri = \"amqp://h\", queue = \"q\", queue_type = \"stream\", consumers = 2 }",
            "main.consumers: expected 1 with queue_type",
        ),
        (
            "{ uri = \"amqp://h\", queue = \"q\", stream_offset = \"next\" }",
            "main.stream_offset: expected queue_type",
        ),
        (
            "{ uri = \"amqp://h\", queue = \"q\", prefetch = 2001 }",
            "main.prefetch: expected an integer from 1 to 2000",
        ),
        (
            "{ uri = \"amqp://h\", queue = \"q\", tls = { cert = \"c\" } }",
            "main.tls: expected cert and key together",
        ),
        (
            "{ uri = \"amqp://h\", queue = \"q\", arguments = { a = [1] } }",
            "main.arguments: expected a text, a whole number",
        ),
        ("{ uri = \"amqp://h\", queue = \"q\", prefetc = 1 }", "did you mean `prefetch`?"),
    ] {
        let loaded = load_with(format!("{HEAD}grants.amqp.main = {grant}").as_bytes(), &[]);
        let lines = lines(&loaded);
        assert!(
            lines.len() == 1 && lines[0].contains(expected) && lines[0].starts_with(at),
            "{grant}: {lines:?}"
        );
        assert!(!lines[0].contains("s3cret"), "{lines:?}");
    }
}
