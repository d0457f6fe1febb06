//! Every setting there is, as data. Checking, defaults, suggestions, `weir config show` and the documentation
//! are made from this one list.

mod amqp;
mod tokens;

use weir_record::limits::{
    FORWARD_SPOOL_BYTES_MIN, HOLDINGS_QUIET_MS_MAX, HOLDINGS_QUIET_MS_MIN, PIECE_BYTES_MAX, PIECE_BYTES_MIN,
    PLUGIN_CALL_MS_MAX, PLUGIN_MEMORY_BYTES_MAX, REPAIR_AFTER_MS_MAX, REPAIR_AFTER_MS_MIN,
    REPAIR_BYTES_PER_S_MIN, STORE_SEGMENT_BYTES_MAX, STORE_SEGMENT_BYTES_MIN, TOKEN_RATE_MAX,
};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted; `*` stands for a name the operator chooses, `[]` for the elements of a list.
    pub path: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What counts when it is not written.
    pub unset: Unset,
    /// Whether this version acts on it.
    pub support: Support,
    /// One or two sentences: what it does, and when to change it.
    pub doc: &'static str,
}

/// What a setting may hold.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Settings with the fixed names that the list has below this path.
    Table,
    /// A table whose keys the operator chooses; the text says of what they are the names.
    Names(&'static str),
    /// A table of labels: names and values as a stream may carry them.
    Labels,
    /// Several of one kind.
    List(&'static Kind),
    /// A list of tables, whose settings the list has below `<path>.[]`.
    Tables,
    /// Any text; the words say which is meant.
    Text(&'static str),
    /// A text that is never shown. May also come from a file, by the same key with `_file` added.
    Secret(&'static str),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number in these bounds, both allowed.
    Integer(i64, i64),
    /// `7d`, `3s`, `2h30m`: milliseconds in these bounds.
    Duration(u64, u64),
    /// `16MiB`, `100GiB`: bytes in these bounds.
    Bytes(u64, u64),
    /// The duration or byte count inside, or `unlimited`.
    OrUnlimited(&'static Kind),
    /// `95%`.
    Percent,
    /// IP address and port to listen on.
    Socket,
    /// The address inside, or `off`.
    OrOff(&'static Kind),
    /// Name or IP address, and port.
    HostPort,
    /// `scheme://host[:port]` with one of these schemes.
    Url(&'static [&'static str]),
    /// A path. Relative ones are taken from the configuration file's directory.
    Path,
    /// A pattern over paths. Relative ones are taken from the configuration file's directory.
    Glob,
    /// The same with a slash in it; without one a pattern over file names.
    GlobOrName,
    /// A point in time: a date of TOML, or the same as text.
    Time,
    /// SHA-256 in hex, with or without `sha256:` in front.
    Digest,
    /// A key that signs components: `ed25519:` and 64 hex digits.
    PublicKey,
    /// Anything: the plugin's own settings, checked by the plugin.
    Free,
}

/// What counts when a setting is not written.
#[derive(Debug, Clone, Copy)]
pub enum Unset {
    /// This, as it would be written: a TOML value.
    Default(&'static str),
    /// The setting has to be written.
    Required,
    /// Nothing: the thing is absent.
    Absent,
}

/// Whether this version acts on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Now,
    /// Ignoring it would be unsafe: the node does not start with it; the text says what is missing.
    Refused(&'static str),
}

/// The words that allow a public address without TLS and tokens.
pub const INSECURE_PHRASE: &str = "yes, I mean it";

const NO_TLS: Support = Support::Refused("this version has no TLS yet");
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const CENTURY_MS: u64 = 36_525 * DAY_MS;
const AGE: Kind = Kind::Duration(MINUTE_MS, CENTURY_MS);
const SOCKET_OR_OFF: Kind = Kind::OrOff(&Kind::Socket);
const SIZE: Kind = Kind::Bytes(1 << 20, 1 << 60);
const SPOOL: Kind = Kind::OrOff(&Kind::Bytes(FORWARD_SPOOL_BYTES_MIN, 1 << 60));

const fn table(path: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::Table, unset: Unset::Absent, support: Support::Now, doc }
}

const fn is(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, unset: Unset::Default(default), support: Support::Now, doc }
}

const fn required(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, unset: Unset::Required, support: Support::Now, doc }
}

const fn optional(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, unset: Unset::Absent, support: Support::Now, doc }
}

const fn but(support: Support, key: Key) -> Key {
    Key { support, ..key }
}

/// All of them but those of queues.
const MOST: &[Key] = &[
    table("node", "What this process is."),
    is(
        "node.roles",
        Kind::List(&Kind::Choice(&["ingest", "store", "query", "forward"])),
        r#"["ingest", "store", "query", "forward"]"#,
        "Roles of this process: any set. ingest takes records in, store keeps them, query answers, forward ships to other nodes.",
    ),
    is(
        "node.data_dir",
        Kind::Path,
        r#""./weir-data""#,
        "Where the node keeps its files. One process at a time may use it.",
    ),
    table("listen", "Addresses to listen on. A public one needs [tls] and [auth], or `insecure`."),
    is(
        "listen.api",
        Kind::Socket,
        r#""127.0.0.1:7650""#,
        "HTTP: ingest, queries, the page, metrics. A node with the forward role alone opens none unless it is written.",
    ),
    is(
        "listen.fast",
        SOCKET_OR_OFF,
        r#""127.0.0.1:7651""#,
        "Lines over TCP as OK Log takes them, into the topic `default`; nothing is answered. A forwarder alone opens none.",
    ),
    is(
        "listen.durable",
        SOCKET_OR_OFF,
        r#""127.0.0.1:7652""#,
        "The same, but a sender waits (its socket is not read) until what it sent before is fsynced.",
    ),
    optional(
        "listen.insecure",
        Kind::Choice(&[INSECURE_PHRASE]),
        "With these very words the node binds a public address without TLS and tokens: anybody who reaches it reads and writes.",
    ),
    table("forward", "Ship to remote ingest nodes. Without it sources feed the ingest role of this process."),
    optional(
        "forward.to",
        Kind::List(&Kind::Url(&["http", "https", "tcp"])),
        "Ingest nodes to ship to; the next one is tried when one fails.",
    ),
    optional(
        "forward.token",
        Kind::Secret("a token such as `weir token new` prints"),
        "What is shown to the nodes in `to`, where they ask for tokens: one with the scope ingest. Read at the start.",
    ),
    is(
        "forward.spool",
        SPOOL,
        r#""1GiB""#,
        "What may wait on disk, in `<data_dir>/forward`, while no ingest node takes it; the files are up to an eighth larger. With \"off\" records wait in memory, little of them, and sources that keep a position are refused.",
    ),
    is(
        "forward.on_full",
        Kind::Choice(&["block", "drop-oldest"]),
        r#""block""#,
        "When the spool is full: the sources wait, or the oldest records are dropped, counted and told.",
    ),
    but(NO_TLS, table("tls", "Certificates of every listener.")),
    optional("tls.cert", Kind::Path, "Certificate chain, PEM."),
    optional("tls.key", Kind::Path, "Private key, PEM."),
    optional("tls.client_ca", Kind::Path, "Clients must show a certificate of this authority."),
    table("auth", "Who may do what. Without it whoever reaches the node may do everything."),
    optional(
        "auth.tokens_file",
        Kind::Path,
        "Bearer tokens, hashed, with scopes (ingest, query, tail, filter, metrics, node, admin) and topics; `weir token new` adds one. With it every request must show a token, on loopback, too. Read again on reload.",
    ),
    optional(
        "auth.requests_per_s",
        Kind::Integer(1, TOKEN_RATE_MAX as i64),
        "Requests that one token may make per second, and those of two seconds at once; more are answered with 429. 2000.",
    ),
    optional(
        "auth.queries",
        Kind::Integer(1, TOKEN_RATE_MAX as i64),
        "Queries and live tails that one token may have under way; more are answered with 429. 64.",
    ),
    table("cluster", "The other nodes."),
    optional(
        "cluster.name",
        Kind::Text("the name of the cluster"),
        "Nodes of other clusters are not listened to.",
    ),
    optional(
        "cluster.gossip",
        Kind::Socket,
        "UDP address for membership, 7659 by custom: nodes find each other through it. A public one needs `key_file`.",
    ),
    optional(
        "cluster.advertise",
        Kind::Text("an IP address or host name"),
        "How other nodes reach this one, when neither the bound address nor the way to the first of `join` tells.",
    ),
    optional(
        "cluster.join",
        Kind::List(&Kind::HostPort),
        "Gossip addresses of some other nodes, tried for ever; names are resolved anew each time. A list for all nodes is fine.",
    ),
    optional(
        "cluster.peers",
        Kind::List(&Kind::Url(&["http", "https"])),
        "APIs of other nodes, instead of gossip or beside it. A list for all nodes is fine: a node knows itself.",
    ),
    optional(
        "cluster.replication",
        Kind::Integer(1, 16),
        "On how many store nodes every record lies. 2 with gossip or peers, else 1.",
    ),
    optional(
        "cluster.repair_after",
        Kind::Duration(REPAIR_AFTER_MS_MIN, REPAIR_AFTER_MS_MAX),
        "How long a store may be away before others make copies of what it holds: longer than a restart. 5m.",
    ),
    optional(
        "cluster.quiet_after",
        Kind::Duration(HOLDINGS_QUIET_MS_MIN, HOLDINGS_QUIET_MS_MAX),
        "How long nothing may have changed in a unit before a store tells others its digest alone. 1h.",
    ),
    optional(
        "cluster.repair_bytes_per_s",
        Kind::Bytes(REPAIR_BYTES_PER_S_MIN, 1 << 60),
        "How much a store fetches from other stores per second, when it repairs, when others are drained, and when it is rebalanced. As fast as it goes.",
    ),
    optional("cluster.zone", Kind::Text("the name of a zone"), "Copies are spread over zones."),
    optional(
        "cluster.key_file",
        Kind::Path,
        "The key by which nodes know each other: one line of 64 hex digits, the same on all nodes. While it is changed two lines: the first is used, both are taken.",
    ),
    table("oklog", "Nodes of OK Log that this one works with. Its clients need no setting."),
    is(
        "oklog.consumers",
        Kind::Bool,
        "false",
        "Lets stores of OK Log take sealed records away through /ingest/: what they commit is deleted here. For a node with the role ingest, without store, cluster.peers and cluster.gossip.",
    ),
    optional(
        "oklog.ingesters",
        Kind::List(&Kind::Url(&["http", "https"])),
        "APIs of ingesters of OK Log whose segments this node takes away, as one of its stores would. For a node with the role ingest.",
    ),
    table("retention", "What is deleted, and when. Either limit is enough."),
    is(
        "retention.age",
        Kind::OrUnlimited(&AGE),
        r#""7d""#,
        "Pieces whose records are all older than this are deleted. Event times further back give way to the time of arrival.",
    ),
    is(
        "retention.bytes",
        Kind::OrUnlimited(&SIZE),
        r#""unlimited""#,
        "The oldest pieces are deleted when the store is larger than this.",
    ),
    optional("retention.rules", Kind::Tables, "Other ages for some topics."),
    required("retention.rules.[].topic", Kind::Text("a topic"), "The topic of the rule."),
    required("retention.rules.[].age", AGE, "Records of the topic older than this are deleted."),
    table("storage", "The data directory."),
    is(
        "storage.full_at",
        Kind::Percent,
        r#""95%""#,
        "Above this fullness of the disk new records are refused with 507, until it is 2 % less full.",
    ),
    table("storage.seal", "When a piece of the ingest log is closed, sealed and offered to the stores."),
    is("storage.seal.age", Kind::Duration(100, 60 * MINUTE_MS), r#""3s""#, "After this time."),
    is(
        "storage.seal.bytes",
        Kind::Bytes(PIECE_BYTES_MIN, PIECE_BYTES_MAX),
        r#""16MiB""#,
        "After this much payload.",
    ),
    table("storage.segments", "How the store merges small segments into large ones."),
    is(
        "storage.segments.bytes",
        Kind::Bytes(STORE_SEGMENT_BYTES_MIN, STORE_SEGMENT_BYTES_MAX),
        r#""512MiB""#,
        "Payload of a segment that merging aims at; about a quarter of it on disk. From half of it on a segment is left alone.",
    ),
    table("query", "What one query may take."),
    is(
        "query.timeout",
        Kind::OrUnlimited(&Kind::Duration(1, CENTURY_MS)),
        r#""1h""#,
        "A query that takes longer ends, and says that its answer is not complete. Its reader's slowness counts, so an export needs room.",
    ),
    table("policy", "What other nodes may ask of this one."),
    optional(
        "policy.filters",
        Kind::List(&Kind::Digest),
        "What this node runs for queries of other nodes, beside what it has embedded or configured itself.",
    ),
    optional(
        "policy.keys",
        Kind::List(&Kind::PublicKey),
        "It runs as well what is signed by one of these keys: `weir plugin keygen` and `weir plugin sign`.",
    ),
    is(
        "policy.ad_hoc_filters",
        Kind::Bool,
        "false",
        "It runs whatever filter anybody who may ask queries brings along: `weir query --filter ./mine.wasm`. Filters reach nothing but the records of their query, and are bounded in time and memory.",
    ),
    optional(
        "sources",
        Kind::Names("source"),
        "Where records come from. Sources run on the node that configures them.",
    ),
    table("sources.*", "One source: an instance of a plugin."),
    required(
        "sources.*.plugin",
        Kind::Text("the name of a source plugin"),
        "An embedded plugin, or one of [plugins].",
    ),
    optional(
        "sources.*.topic",
        Kind::Text("a topic"),
        "Topic of the records. The source's own name when not written.",
    ),
    optional("sources.*.labels", Kind::Labels, "Labels of the records, beside those the plugin gives."),
    optional(
        "sources.*.durability",
        Kind::Choice(&["received", "stored", "replicated"]),
        "How far records must have come before the source forgets them: memory of an ingest node, its disk, or as many store nodes as cluster.replication says. `stored` when not written; `replicated` for a source with a queue on a node that has others beside it and a cluster.replication of at least 2.",
    ),
    table("sources.*.grants", "What the plugin may reach. Everything not granted is denied."),
    optional(
        "sources.*.grants.files",
        Kind::Names("grant"),
        "Sets of files, by the name the plugin asks for.",
    ),
    table("sources.*.grants.files.*", "One set of files."),
    required("sources.*.grants.files.*.include", Kind::List(&Kind::Glob), "Files the plugin may read."),
    optional(
        "sources.*.grants.files.*.exclude",
        Kind::List(&Kind::GlobOrName),
        "Files it may not read all the same. A pattern without a slash is about the file name.",
    ),
    is("sources.*.grants.stdin", Kind::Bool, "false", "The standard input of the process; for one source."),
    optional("sources.*.config", Kind::Free, "The plugin's own settings; `weir plugin inspect` shows them."),
    optional(
        "plugins",
        Kind::Names("plugin"),
        "Plugins that are not embedded, or that stand in for an embedded one of the same name.",
    ),
    table("plugins.*", "One plugin."),
    required("plugins.*.path", Kind::Path, "The component file."),
    optional("plugins.*.sha256", Kind::Digest, "What its SHA-256 must be; any other file is refused."),
    table("plugins.*.limits", "Bounds of one instance."),
    is(
        "plugins.*.limits.memory",
        Kind::Bytes(1 << 20, PLUGIN_MEMORY_BYTES_MAX as u64),
        r#""64MiB""#,
        "Memory of one instance, summed over its memories.",
    ),
    is(
        "plugins.*.limits.call",
        Kind::Duration(1, PLUGIN_CALL_MS_MAX),
        r#""2s""#,
        "What one call may take beyond the wait it was given.",
    ),
    is(
        "plugins.*.on_trap",
        Kind::Choice(&["restart", "pass", "drop", "stop"]),
        r#""restart""#,
        "After a trap of a source: a fresh instance, or stop. `pass` and `drop` are meant for filters and do nothing more yet: a filter that traps ends its query.",
    ),
];

/// All settings, parents before children.
pub static KEYS: &[Key] = &joined::<{ MOST.len() + amqp::KEYS.len() }>(MOST, amqp::KEYS);

const fn joined<const N: usize>(first: &[Key], then: &[Key]) -> [Key; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { then[at - first.len()] };
        at += 1;
    }
    all
}

pub(crate) use tokens::KEYS as TOKEN_KEYS;

/// The keys directly below a path pattern, with their last segments.
pub(crate) fn children(parent: &str) -> impl Iterator<Item = (&'static str, &'static Key)> {
    children_of(KEYS, parent)
}

/// The same of another list.
pub(crate) fn children_of<'a>(
    keys: &'static [Key],
    parent: &'a str,
) -> impl Iterator<Item = (&'static str, &'static Key)> + use<'a> {
    keys.iter().filter_map(move |key| {
        let (above, last) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (above == parent).then_some((last, key))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_stands_once_and_below_its_parent() {
        check(KEYS);
        check(TOKEN_KEYS);
    }

    fn check(keys: &[Key]) {
        let mut seen = BTreeSet::from([""]);
        for key in keys {
            let (above, last) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            let above = above.strip_suffix(".[]").unwrap_or(above);
            assert!(seen.contains(above), "{} has no parent before it", key.path);
            assert!(seen.insert(key.path), "{} is listed twice", key.path);
            assert!(!last.is_empty() && key.doc.ends_with('.'), "{} lacks a name or a sentence", key.path);
        }
    }
}
