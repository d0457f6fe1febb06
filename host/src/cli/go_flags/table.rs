//! Every flag of OK Log, and what it is with us.

/// The commands that OK Log has.
pub(super) const COMMANDS: [&str; 7] =
    ["forward", "ingest", "store", "ingeststore", "query", "stream", "testsvc"];

/// Names that are ours as well: with two dashes they mean what they mean to us.
pub(super) const OURS: [&str; 9] = ["prefix", "mq", "from", "to", "regex", "stats", "id", "size", "rate"];

/// Whether a flag has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Value,
    /// A switch; `=false` takes it back.
    Nothing,
}

/// What a flag is with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// A flag of the same name.
    Same,
    /// A flag of another name.
    Flag(&'static str),
    /// Flags without a value.
    Switches(&'static [&'static str]),
    /// A setting.
    Set(&'static str),
    /// A setting that is an address of this machine, and its port where none is named.
    Listen(&'static str, u16),
    /// A node to join, and its port where none is named. All of them are one setting.
    Join(u16),
    /// The node to ask.
    Node,
    /// What to look for.
    Q,
    /// That is a pattern.
    Regex,
    /// What we always do, or never need.
    Nothing,
    /// What we do not do, and what to do instead.
    Refused(&'static str),
}

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) takes: Takes,
    pub(super) means: Means,
}

/// The flag of a command.
pub(super) fn flag_of(command: &str, name: &str) -> Option<Flag> {
    let tables: &[&[Entry]] = match command {
        "forward" => &[FORWARD],
        "ingest" => &[NODE, INGEST],
        "store" => &[NODE, STORE],
        "ingeststore" => &[NODE, INGEST, STORE],
        "query" => &[ASK, QUERY],
        "stream" => &[ASK, STREAM],
        "testsvc" => &[TESTSVC],
        _ => &[],
    };
    let mut entries = tables.iter().flat_map(|table| table.iter());
    entries.find(|(other, ..)| *other == name).map(|(_, takes, means)| Flag { takes: *takes, means: *means })
}

type Entry = (&'static str, Takes, Means);

use Means::{Flag as Ours, Join, Listen, Node as NodeUrl, Nothing, Q, Refused, Regex, Same, Set, Switches};
use Takes::{Nothing as Bare, Value};

const FORWARD: &[Entry] = &[
    ("debug", Bare, Nothing),
    ("api", Value, Listen("listen.api", 7650)),
    ("prefix", Value, Same),
    ("mq", Value, Same),
];

const NODE: &[Entry] = &[
    ("debug", Bare, Nothing),
    ("api", Value, Listen("listen.api", 7650)),
    ("cluster", Value, Listen("cluster.gossip", 7659)),
    ("cluster.advertise-addr", Value, Set("cluster.advertise")),
    ("peer", Value, Join(7659)),
    ("filesystem", Value, Refused("a node keeps its records on a real disk; leave it out")),
];

const TOPICS: &str = "lines over TCP have the topic `default`; name topics in the sources, or over HTTP";

const INGEST: &[Entry] = &[
    ("ingest.fast", Value, Listen("listen.fast", 7651)),
    ("ingest.durable", Value, Listen("listen.durable", 7652)),
    ("ingest.bulk", Value, Nothing),
    ("ingest.path", Value, Ours("data-dir")),
    ("ingest.segment-flush-size", Value, Set("storage.seal.bytes")),
    ("ingest.segment-flush-age", Value, Set("storage.seal.age")),
    ("ingest.segment-pending-timeout", Value, Nothing),
    ("topic-mode", Value, Refused(TOPICS)),
    ("topic", Value, Refused(TOPICS)),
    ("ingest.topic-mode", Value, Refused(TOPICS)),
    ("ingest.topic", Value, Refused(TOPICS)),
];

const STORE: &[Entry] = &[
    ("store.path", Value, Ours("data-dir")),
    ("store.segment-consumers", Value, Nothing),
    ("store.segment-target-size", Value, Nothing),
    ("store.segment-target-age", Value, Nothing),
    ("store.segment-delay", Value, Nothing),
    ("store.segment-buffer-size", Value, Nothing),
    ("store.segment-replication-factor", Value, Set("cluster.replication")),
    ("store.segment-retain", Value, Set("retention.age")),
    ("store.segment-purge", Value, Nothing),
    ("ui.local", Bare, Nothing),
];

const ASK: &[Entry] = &[
    ("store", Value, NodeUrl),
    ("q", Value, Q),
    ("regex", Bare, Regex),
    ("ulid", Bare, Switches(&["--format=oklog"])),
];

const QUERY: &[Entry] = &[
    ("from", Value, Same),
    ("to", Value, Same),
    ("stats", Bare, Switches(&["--stats"])),
    ("v", Bare, Switches(&["--stats"])),
    ("time", Bare, Refused("the lines of --format ndjson have the time of each record")),
    (
        "nocopy",
        Bare,
        Refused("it comes with every answer: --stats tells what was read, and > /dev/null drops the rest"),
    ),
];

const STREAM: &[Entry] = &[("window", Value, Nothing)];

const TESTSVC: &[Entry] = &[("id", Value, Same), ("size", Value, Same), ("rate", Value, Same)];
