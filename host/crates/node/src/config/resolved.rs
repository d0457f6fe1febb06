//! The resolved configuration: valid, complete, every default filled in.
//!
//! An `Option` here never means "the default": it means that the thing is absent. There is no `Default`:
//! defaults live in the [schema](crate::config::schema) alone, so that documentation and behaviour agree.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use weir_plugin_runtime::PublicKey;
use weir_record::Stream;

/// What one node does. Made by [`load`](crate::config::load) alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What this process is.
    pub roles: Roles,
    /// Where the node keeps its files. Relative paths of the file were taken from the file's directory.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Base URLs of remote ingest nodes (`http://host:port`, no path, no trailing slash). Empty: sources feed
    /// the ingest role of this process.
    pub forward_to: Vec<String>,
    /// What is shown there.
    pub forward_token: Option<Secret>,
    /// Who may do what. `None`: whoever reaches it everything.
    pub auth: Option<AuthConfig>,
    /// The other nodes, and what this one owes them.
    pub cluster: Cluster,
    /// What a forwarder keeps on disk until it is acknowledged. `None`: nothing.
    pub forward_spool: Option<Spool>,
    /// Whether stores of OK Log may take records away.
    pub oklog_consumers: bool,
    /// APIs of ingesters of OK Log whose segments this node takes away.
    pub oklog_ingesters: Vec<String>,
    /// Disk space and pieces.
    pub storage: StorageConfig,
    /// What is deleted, and when.
    pub retention: Retention,
    /// What one query may take.
    pub query: QueryConfig,
    /// What others may have it run.
    pub policy: PolicyConfig,
    /// Sources by name, sorted.
    pub sources: Vec<SourceConfig>,
    /// Plugins that are not embedded (or stand in for an embedded one), by name, sorted.
    pub plugins: Vec<PluginConfig>,
}

/// What one query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryConfig {
    /// How long, in milliseconds. `None`: as long as it will.
    pub timeout_ms: Option<u64>,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The file of tokens.
    pub tokens_file: PathBuf,
    /// Requests of one token per second.
    pub requests_per_s: u64,
    /// Queries of one token at once.
    pub queries_max: usize,
}

/// The roles of a process: any set but the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four")]
pub struct Roles {
    /// Takes records in and writes them to the ingest log.
    pub ingest: bool,
    /// Keeps records.
    pub store: bool,
    /// Answers queries.
    pub query: bool,
    /// Ships what the sources bring to other nodes.
    pub forward: bool,
}

impl Roles {
    /// Whether the process is a node: it keeps a data directory and has an API. One that only forwards is none.
    pub const fn is_node(self) -> bool {
        self.ingest || self.store || self.query
    }

    /// The names, as they are configured.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.ingest, "ingest"),
            (self.store, "store"),
            (self.query, "query"),
            (self.forward, "forward"),
        ];
        all.into_iter().filter_map(|(has, name)| has.then_some(name))
    }
}

/// The other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Base URLs of nodes, this one perhaps among them.
    pub peers: Vec<String>,
    /// How others are found. `None`: only those that are named.
    pub gossip: Option<Gossip>,
    /// On how many stores every record is to lie; at least 1.
    pub replication: usize,
    /// How long copies may be away before they are made again.
    pub repair_after_ms: u64,
    /// How long nothing may have changed in a unit before its digest alone is told.
    pub quiet_after_ms: u64,
    /// How much of repair is fetched per second, in bytes. `None`: as fast as it goes.
    pub repair_bytes_per_s: Option<u64>,
    /// Where this node stands.
    pub zone: Option<String>,
    /// The file with the key of the cluster.
    pub key_file: Option<PathBuf>,
}

impl Cluster {
    /// Whether there may be other nodes.
    pub fn has_others(&self) -> bool {
        !self.peers.is_empty() || self.gossip.is_some()
    }
}

/// How a node finds the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gossip {
    /// Where it takes datagrams.
    pub bind: SocketAddr,
    /// The name of the cluster; empty when none is written.
    pub name: String,
    /// IP address or host name at which others reach this node. `None`: it finds out.
    pub advertise: Option<String>,
    /// Hosts and ports of some others.
    pub join: Vec<String>,
}

/// What others may have this node run in queries, beside what it has embedded or configured itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyConfig {
    /// Components by their SHA-256.
    pub filters: Vec<[u8; 32]>,
    /// Keys whose signature will do.
    pub keys: Vec<PublicKey>,
    /// Whatever anybody who may ask queries brings along.
    pub ad_hoc_filters: bool,
}

/// Addresses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The HTTP API. `None`: none is opened (a pure forwarder without `listen.api`).
    pub api: Option<SocketAddr>,
    /// Lines over TCP, acknowledged by nothing. `None`: turned off, or no ingest role.
    pub fast: Option<SocketAddr>,
    /// Lines over TCP, read on when what came before is fsynced. `None`: turned off, or no ingest role.
    pub durable: Option<SocketAddr>,
    /// The API has an address of its own and this port was not mentioned: several nodes may share the machine, so its
    /// default is taken only if it is free.
    pub fast_if_free: bool,
    /// The same of the other port for lines.
    pub durable_if_free: bool,
    /// The operator wrote that a public address without TLS and tokens is meant.
    pub insecure: bool,
}

/// The data directory's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageConfig {
    /// Fullness of the disk, in percent (1 to 100), above which new records are refused with 507.
    pub full_at_percent: u8,
    /// Fullness below which they are taken again. Less than [`StorageConfig::full_at_percent`].
    pub resume_at_percent: u8,
    /// Payload bytes after which a piece of the ingest log is closed and sealed.
    pub piece_bytes: u64,
    /// Age in milliseconds after which it is.
    pub piece_age_ms: u64,
    /// Payload bytes of a segment that merging aims at.
    pub segment_bytes: u64,
}

/// When records are deleted. A unit goes when either limit is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Age in milliseconds. `None`: age deletes nothing.
    pub age_ms: Option<u64>,
    /// Bytes of the whole store. `None`: size deletes nothing.
    pub bytes: Option<u64>,
    /// Other ages for some topics, one per topic.
    pub rules: Vec<RetentionRule>,
}

/// Another age for a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// The topic.
    pub topic: String,
    /// Name of its retention class, which units carry.
    pub class: String,
    /// Age in milliseconds.
    pub age_ms: u64,
}

/// The journal of a forwarder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spool {
    /// Bytes that may wait for an ingest node to acknowledge them.
    pub bytes: u64,
    /// What happens when they do.
    pub on_full: OnFull,
}

/// What a forwarder does when its spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The sources wait: a plugin is not polled, standard input is not read.
    Block,
    /// The oldest records that are not under way are dropped, a piece of the journal at a time.
    DropOldest,
}

/// One configured source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    /// `[a-z0-9_-]{1,64}`; names the instance in cursors, metrics and messages.
    pub name: String,
    /// Name of an embedded plugin or of one in [`Config::plugins`].
    pub plugin: String,
    /// Topic (the source's own name where none is configured) and labels; checked against the bounds of a stream.
    pub stream: Stream,
    /// How far a batch must have come before its cursor advances.
    pub durability: Durability,
    /// What of the outside the plugin may reach.
    pub grants: Grants,
    /// The plugin's own settings, handed to it as JSON; `{}` when there are none.
    pub config: serde_json::Value,
    /// Position of `[sources.<name>]`, for messages (`weir.toml:12:1`, or `--set`).
    pub place: String,
}

/// How far a batch must have come before it is acknowledged; weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the memory of an ingest node. Lost if that process dies.
    Received,
    /// Fsynced in one ingest log. Survives process and OS crash, not the loss of that disk.
    Stored,
    /// Fsynced on as many store nodes as [`Cluster::replication`] says. Survives the loss of all but one of them.
    Replicated,
}

/// Capabilities given to one source. Everything not named here is denied, except `log`, `metrics` and
/// `timing`, which reach nothing outside the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Queues by grant name.
    pub amqp: BTreeMap<String, AmqpGrant>,
    /// Sets of files by grant name.
    pub files: BTreeMap<String, FilesGrant>,
    /// The process's standard input.
    pub stdin: bool,
}

impl Grants {
    /// What is granted, by kind and name, without where it leads.
    pub(crate) fn names(&self) -> Vec<String> {
        let amqp = self.amqp.keys().map(|name| format!("amqp.{name}"));
        let files = self.files.keys().map(|name| format!("files.{name}"));
        amqp.chain(files).chain(self.stdin.then(|| "stdin".to_owned())).collect()
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// As written.
    Inline(String),
    /// What this file holds, without the newline at its end. Read when it is needed.
    File(PathBuf),
}

impl Secret {
    /// The secret of a token. The error says what is wrong with it, and not what it is.
    pub(crate) fn token(&self) -> Result<weir_api::access::Secret, String> {
        match self {
            Secret::Inline(text) => {
                text.parse().map_err(|error: weir_api::access::NotASecret| error.to_string())
            }
            Secret::File(path) => crate::tokens::read_secret(path),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Inline(_) => f.write_str("Secret"),
            Secret::File(path) => f.debug_tuple("SecretFile").field(path).finish(),
        }
    }
}

/// One queue of a broker, and how it is consumed. See the schema for what each setting does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpGrant {
    /// Broker, credentials and virtual host.
    pub uri: Secret,
    /// Further brokers.
    pub hosts: Vec<String>,
    /// Shown by the broker; of the source's name when `None`.
    pub consumer_tag: Option<String>,
    /// Likewise.
    pub connection_name: Option<String>,
    /// For `amqps`.
    pub tls: AmqpTls,
    /// All else.
    pub settings: weir_amqp::Settings,
}

/// Files with PEM texts for `amqps`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AmqpTls {
    /// Certificates to trust.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Of the broker's certificate.
    pub server_name: Option<String>,
}

/// Files a source may read, as absolute or working-directory-independent glob patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesGrant {
    /// At least one pattern. Relative patterns were taken from the configuration file's directory.
    pub include: Vec<String>,
    /// Patterns that take files out again. One without a slash is matched against the file name.
    pub exclude: Vec<String>,
}

/// A plugin from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// Name by which sources call it.
    pub name: String,
    /// The component file.
    pub path: PathBuf,
    /// What the file's SHA-256 must be. `None`: not pinned.
    pub sha256: Option<[u8; 32]>,
    /// Memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// What one call may take beyond the wait it was given, in milliseconds.
    pub call_ms: u64,
    /// What happens after a trap.
    pub on_trap: OnTrap,
    /// Position of `[plugins.<name>]`, for messages.
    pub place: String,
}

/// What happens to a plugin that trapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTrap {
    /// A fresh instance after a back-off; quarantine when it keeps trapping. For sources and filters.
    Restart,
    /// Filters: the batch goes on as it came.
    Pass,
    /// Filters: the batch is left out.
    Drop,
    /// The instance stays stopped until the configuration changes.
    Stop,
}
