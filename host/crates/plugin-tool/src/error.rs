//! What can go wrong around a plugin, told to its author.

use std::path::{Path, PathBuf};

use weir_plugin_runtime::{LoadError, LoadFault, RuntimeError, SourceError};

/// Why the tool could not do what it was asked. Nothing but files below the named folder was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The plugin engine cannot start.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The file is no plugin that this version runs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call of the plugin failed.
    #[error("{0}")]
    Stage(#[from] SourceError),
    /// A source where something is wanted that runs in queries.
    #[error(
        "{0} is a source, and records go through filters, rewrites and aggregates; a source runs in a node: name it in a weir.toml and say `weir run`"
    )]
    Source(String),
    /// Parameters that the plugin does not take.
    #[error("the parameters of {plugin}: {why}")]
    Params {
        /// Name of the plugin.
        plugin: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A record that is longer than one may be.
    #[error("line {line} has {bytes} bytes, and a record at most {max}")]
    Record {
        /// Its number, from 1.
        line: usize,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A file or folder that cannot be read or written.
    #[error("{what} {}: {error}", .path.display())]
    File {
        /// `read`, `write`.
        what: &'static str,
        /// Which one.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// Input that broke off.
    #[error("read the lines: {0}")]
    Input(std::io::Error),
    /// A case whose files say nothing that can be tried.
    #[error("the case {name}: {why}")]
    Case {
        /// Its folder.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name or a place that a project cannot have.
    #[error("{0}")]
    Project(String),
    /// No compiler for WebAssembly.
    #[error("{0}")]
    Toolchain(String),
    /// The compiler has said no; it has also said why.
    #[error("{0}")]
    Build(String),
    /// What the compiler made is no component.
    #[error("{}: {fault}", .module.display())]
    Module {
        /// What the compiler made.
        module: PathBuf,
        /// Why it cannot be one.
        fault: Box<LoadFault>,
    },
}

impl ToolError {
    /// For `map_err`: what was done to which file.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ToolError {
        let path = path.to_path_buf();
        move |error| ToolError::File { what, path, error }
    }

    /// Whether the command was called in a way that cannot work.
    pub fn is_usage(&self) -> bool {
        matches!(self, ToolError::Params { .. } | ToolError::Source(_) | ToolError::Project(_))
    }
}
