//! A plugin that passed every check: who it is, what it asks for, and its code.

use std::sync::Arc;

use crate::cache::Origin;
use crate::capability::stdin::StdinHub;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::info::Info;
use crate::instance::stage::StagePre;
use crate::instance::state::State;
use crate::kind::Kind;
use crate::wit::v1::SourcePluginPre;

/// A loaded plugin. Cheap to share; instances are made of it.
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) info: Info,
    pub(crate) imports: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) origin: Origin,
    pub(crate) source: Option<SourcePluginPre<State>>,
    pub(crate) stage: Option<StagePre>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) stdin: Arc<StdinHub>,
}

impl Plugin {
    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says of itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Interfaces of weir's package that it imports, without version, sorted: all that it can ask for.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it had to be compiled.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn source(&self) -> Option<&SourcePluginPre<State>> {
        self.source.as_ref()
    }

    pub(crate) fn stage(&self) -> Option<&StagePre> {
        self.stage.as_ref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn stdin(&self) -> &Arc<StdinHub> {
        &self.stdin
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plugin { name, digest, kind, .. } = self;
        write!(f, "Plugin({kind} {name} {digest:.12})")
    }
}
