//! Configuration: from the operator's text to a [`Config`], or to everything that is wrong with it.
//!
//! The stages are pure functions on strings: [`read`] makes a tree with the place of every key and value,
//! [`check`] holds it against the [`schema`], [`resolve`] makes a valid [`Config`] of it. Each stage goes on as
//! far as it can, so that all problems are told at once. Nothing here opens a file or a socket.
//!
//! Relative paths of a file are taken from the directory of the file; those of flags and defaults from the
//! working directory. A resolved path is absolute.

mod amqp;
mod changes;
mod check;
mod cluster;
mod gossip;
mod json_schema;
mod kind;
mod log;
mod overlay;
mod parts;
mod place;
mod read;
mod resolve;
mod resolved;
pub mod schema;
mod show;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod units;
mod vars;

use std::path::Path;

pub(crate) use changes::{changes, in_force};
pub use json_schema::json_schema;
pub use log::{LogConfig, LogFormat};
pub use overlay::Overlay;
pub use place::{Gravity, Place, Problem};
pub use resolved::{
    AmqpGrant, AmqpTls, Cluster, Config, Durability, FilesGrant, Gossip, Grants, Listen, OnFull,
    PluginConfig, PolicyConfig, QueryConfig, Retention, RetentionRule, Roles, Secret, SourceConfig, Spool,
    StorageConfig,
};
pub use tls::{Tls, TlsFile};
pub use weir_plugin_runtime::OnTrap;
pub use weir_record::limits::CONFIG_PARTS_MAX;

use crate::config::kind::Bases;
use crate::config::place::Problems;
use crate::config::tree::{Node, Value};

/// A configuration file, read.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// As the operator named it; stands in front of every problem.
    pub name: &'a str,
    /// Its directory, absolute.
    pub dir: &'a Path,
    /// What is in it; need not be UTF-8, nor TOML.
    pub bytes: &'a [u8],
}

/// All that a configuration is made from.
pub struct Input<'a> {
    /// The file. `None`: defaults alone.
    pub file: Option<ConfigFile<'a>>,
    /// Further files, laid over the file in this order. Relative paths are taken from the directory of the file, or, where
    /// there is none, from that of the first of them.
    pub parts: &'a [ConfigFile<'a>],
    /// What flags say, in their order; they win over the file.
    pub overlays: &'a [Overlay],
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The working directory, absolute.
    pub working_dir: &'a Path,
    /// Names of the embedded plugins.
    pub embedded: &'a [&'a str],
}

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration. `None` when a problem is an [`Error`](Gravity::Error) or [`Refused`](Gravity::Refused).
    pub config: Option<Config>,
    /// Everything to tell the operator, in reading order.
    pub problems: Vec<Problem>,
    /// The effective settings as TOML, each with where it comes from, secrets hidden. What is invalid is left
    /// out.
    pub shown: String,
}

/// Reads, checks and resolves. Does not affect anything.
pub fn load(input: &Input<'_>) -> Loaded {
    let mut problems = Problems::default();
    let mut read = |file: &ConfigFile<'_>| read::read_file(file.name, file.bytes, input.env, &mut problems);
    let nothing = || Some(Node::new(Place::Default, Value::Table(Vec::new())));
    let root = input.file.as_ref().map_or_else(nothing, &mut read);
    // All are read, so that all mistakes are told.
    let parts: Vec<Option<Node>> = input.parts.iter().map(read).collect();
    let whole = root.zip(parts.into_iter().collect::<Option<Vec<Node>>>());
    let Some(mut root) = whole.map(|(root, parts)| parts.into_iter().fold(root, parts::lay_over)) else {
        return Loaded { config: None, problems: problems.into_sorted(), shown: String::new() };
    };
    for overlay in input.overlays {
        overlay.apply(&mut root, input.env, &mut problems);
    }
    let file_dir = input.file.or(input.parts.first().copied()).map_or(input.working_dir, |file| file.dir);
    let bases = Bases { file_dir, working_dir: input.working_dir };
    let settings = check::check(root, bases, &mut problems);
    let config = resolve::resolve(&settings, input.embedded, &mut problems);
    let config = config.filter(|_| !problems.hinder());
    let problems = problems.into_sorted();
    assert!(
        config.is_some() || problems.iter().any(|problem| problem.gravity != Gravity::NotYet),
        "a configuration that cannot be resolved has a problem that says why"
    );
    Loaded { config, problems, shown: show::show(&settings) }
}
