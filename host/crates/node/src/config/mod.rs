//! Configuration: from the operator's text to a [`Config`], or to everything that is wrong with it.
//!
//! The stages are pure functions on strings: [`read`] makes a tree with the place of every key and value,
//! [`check`] holds it against the [`schema`], [`resolve`] makes a valid [`Config`] of it. Each stage goes on as
//! far as it can, so that all problems are told at once. Nothing here opens a file or a socket.
//!
//! Relative paths of a file are taken from the directory of the file; those of flags and defaults from the
//! working directory. A resolved path is absolute.

mod amqp;
mod auth;
mod changes;
mod check;
mod cluster;
mod gossip;
mod json_schema;
mod kind;
mod overlay;
mod place;
mod read;
mod resolve;
mod resolved;
pub mod schema;
mod show;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod vars;

use std::path::Path;

pub(crate) use changes::{changes, in_force};
pub use json_schema::json_schema;
pub use overlay::Overlay;
pub use place::{Gravity, Place, Problem};
pub use resolved::{
    AmqpGrant, AmqpTls, AuthConfig, Cluster, Config, Durability, FilesGrant, Gossip, Grants, Listen, OnFull,
    OnTrap, PluginConfig, PolicyConfig, QueryConfig, Retention, RetentionRule, Roles, Secret, SourceConfig,
    Spool, StorageConfig,
};

pub(crate) use crate::config::check::{Checked, Item, Table, check_with};
pub(crate) use crate::config::kind::{Bases, Simple};
pub(crate) use crate::config::place::Problems;
pub(crate) use crate::config::read::read_file;
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
    let root = match &input.file {
        Some(file) => read::read_file(file.name, file.bytes, input.env, &mut problems),
        None => Some(Node::new(Place::Default, Value::Table(Vec::new()))),
    };
    let Some(mut root) = root else {
        return Loaded { config: None, problems: problems.into_sorted(), shown: String::new() };
    };
    for overlay in input.overlays {
        overlay.apply(&mut root, input.env, &mut problems);
    }
    let file_dir = input.file.map_or(input.working_dir, |file| file.dir);
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
