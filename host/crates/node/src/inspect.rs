//! What a component file is, without a node: for `weir plugin inspect`.

use serde::Serialize;
use weir_plugin_runtime::{LoadError, Plugin, PluginFile, Runtime, RuntimeError, RuntimeOptions};

/// What a plugin is, imports, needs and takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginSummary {
    /// As it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line on what it does.
    pub summary: String,
    /// Its world: `source`, `filter`, `rewrite` or `aggregate`.
    pub kind: &'static str,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// The host interfaces it imports: all that it can ask for.
    pub imports: Vec<String>,
    /// The grants it wants.
    pub needs: Vec<PluginNeed>,
    /// JSON Schema of its settings; `None` when it takes none.
    pub schema: Option<serde_json::Value>,
}

/// One grant that a plugin wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginNeed {
    /// Which capability.
    pub capability: String,
    /// The plugin's own name for it; empty where there is only one.
    pub name: String,
    /// What for.
    pub reason: String,
    /// Whether it does not start without.
    pub required: bool,
}

/// A file that cannot be inspected. Affects nothing.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The plugin engine cannot start.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The file is no plugin that this version can run.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Checks, compiles and describes a component.
pub fn inspect(name: &str, bytes: Vec<u8>) -> Result<PluginSummary, InspectError> {
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let plugin = runtime.load(PluginFile { name: name.to_owned(), bytes, sha256: None })?;
    Ok(summary(&plugin))
}

fn summary(plugin: &Plugin) -> PluginSummary {
    let info = plugin.info();
    let needs = info.needs.iter().map(|need| PluginNeed {
        capability: need.capability.clone(),
        name: need.name.clone(),
        reason: need.reason.clone(),
        required: need.required,
    });
    PluginSummary {
        name: info.name.clone(),
        version: info.version.clone(),
        summary: info.summary.clone(),
        kind: plugin.kind().name(),
        sha256: plugin.digest().to_string(),
        imports: plugin.imports().to_vec(),
        needs: needs.collect(),
        schema: info.schema.as_json().cloned(),
    }
}
