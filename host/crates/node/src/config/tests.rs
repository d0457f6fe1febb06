//! Tables of configurations and of everything that is said about them.

mod amqp;
mod bad;
mod document;
mod flags;
mod good;
mod parts;
mod shown;

use std::path::Path;

use super::*;

fn env(name: &str) -> Option<String> {
    match name {
        "RMQ_PASSWORD" => Some("s3cret".to_owned()),
        "PREFETCH" => Some("300".to_owned()),
        "TOPIC" => Some("from-env".to_owned()),
        _ => None,
    }
}

fn load_with(text: &[u8], overlays: &[Overlay]) -> Loaded {
    load(&Input {
        file: Some(ConfigFile { name: "weir.toml", dir: Path::new("/etc/weir"), bytes: text }),
        parts: &[],
        overlays,
        env: &env,
        working_dir: Path::new("/home/op"),
        embedded: &["amqp-source", "file-source", "stdin-source"],
    })
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

/// Checks that `text` gives exactly these lines.
fn check(text: &str, want: &[&str]) {
    let loaded = load_with(text.as_bytes(), &[]);
    assert_eq!(lines(&loaded), want, "in:\n{text}");
    let hindered = loaded.problems.iter().any(|problem| problem.gravity != Gravity::NotYet);
    assert_eq!(loaded.config.is_none(), hindered, "in:\n{text}");
}

fn config(text: &str) -> Config {
    let loaded = load_with(text.as_bytes(), &[]);
    assert_eq!(lines(&loaded), Vec::<String>::new(), "in:\n{text}");
    loaded.config.unwrap()
}

/// The configuration of the outside contract: every section there is.
const EVERYTHING: &str = r#"
[node]
roles    = ["ingest", "store", "query"]
data_dir = "/var/lib/weir"

[listen]
api     = "0.0.0.0:7650"
fast    = "0.0.0.0:7651"        # OK Log line protocol, acknowledged by nothing
durable = "0.0.0.0:7652"        # the same, fsynced in groups

[forward]                        # ship to remote ingest nodes; without it sources feed the local ingest role
to = ["https://ingest-1:7650", "https://ingest-2:7650"]

[tls]
cert = "/etc/weir/tls.crt"
key  = "/etc/weir/tls.key"
client_ca = "/etc/weir/ca.crt"

[auth]
tokens_file = "/etc/weir/tokens.toml"   # hashed, with scopes: ingest, query, tail, admin, and topics

[cluster]
name        = "prod"
gossip      = "0.0.0.0:7659"
advertise   = "10.0.0.5"
join        = ["10.0.0.6:7659", "10.0.0.7:7659"]
replication = 2
zone        = "rack-1"
key_file    = "/etc/weir/cluster.key"
# static peers instead of gossip: peers = ["http://10.0.0.6:7650"]

[retention]
age   = "7d"
bytes = "100GiB"
rules = [{ topic = "debug", age = "1d" }]

[storage]
full_at = "95%"                 # refuse with 507 above, resume below 93%
seal    = { age = "3s", bytes = "16MiB" }

[policy]
filters = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]           # what this node runs for queries of other nodes, beside the embedded ones

[sources.orders]
plugin     = "amqp-source"
topic      = "orders"
labels     = { env = "prod" }
durability = "replicated"
grants.amqp.main = { uri = "amqp://log:${RMQ_PASSWORD}@mq1/prod", queue = "q.orders_log", prefetch = 300 }
config     = { prefix = "FREEGO_WORK" }

[sources.nginx]
plugin = "file-source"
topic  = "web"
grants.files.logs = { include = ["/var/log/nginx/*.log"], exclude = ["*.gz"] }
config = { start_at = "beginning", multiline = { start = '^\d{4}-' } }   # start_at: beginning (default) or end, for files found at first start

[plugins.orders-only]           # a filter (or source) that is not embedded
path   = "/etc/weir/plugins/orders_only.wasm"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
limits = { memory = "64MiB", call = "50ms" }
on_trap = "restart"
"#;

/// Whatever the text, loading ends with a configuration or with a reason, and never with a panic.
#[test]
fn damaged_files_are_told_and_never_end_in_a_panic() {
    const SPLICES: [&str; 16] = [
        "",
        "=",
        "[",
        "]]",
        "{}",
        "\"",
        "'''",
        "\n",
        ".",
        "${",
        "${X:?}",
        "7",
        "\0",
        "ü",
        "true",
        "[sources.a]\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..5_000 {
        let mut bytes = EVERYTHING.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let from = random(bytes.len());
            let to = (from + random(24)).min(bytes.len());
            bytes.splice(from..to, SPLICES[random(SPLICES.len())].bytes());
        }
        let loaded = load_with(&bytes, &[]);
        assert!(loaded.config.is_some() || !loaded.problems.is_empty(), "round {round}");
        let lines = lines(&loaded);
        assert!(lines.iter().all(|line| !line.contains(['\n', '\0'])), "round {round}: {lines:?}");
    }
}
