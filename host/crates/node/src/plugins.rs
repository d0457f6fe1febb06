//! The plugins that this process knows: embedded ones, and those of its configuration. Loaded when they are needed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use weir_api::backend::{OfferedFilter, PluginInfo};
use weir_plugin_runtime::{Digest, Limits, Plugin, PluginFile, Runtime, outline};
use weir_record::limits::{PLUGIN_FILE_BYTES_MAX, SIGNATURE_BYTES_MAX};

use crate::EmbeddedPlugin;
use crate::config::{Config, OnTrap, PluginConfig};

/// All plugins of a process.
pub(crate) struct Plugins {
    runtime: Arc<Runtime>,
    catalog: BTreeMap<String, Origin>,
    loaded: Mutex<BTreeMap<String, Arc<Plugin>>>,
    loading: Mutex<()>,
    /// What embedded ones are that are not loaded.
    outlines: Mutex<BTreeMap<String, Outline>>,
}

/// What is known of a plugin that is not loaded: kind, SHA-256, imports.
type Outline = (String, String, Vec<String>);

/// Where a plugin's bytes come from.
#[derive(Clone)]
enum Origin {
    Embedded(&'static [u8]),
    File(PluginConfig),
}

impl Plugins {
    /// The plugins of a configuration; nothing is loaded yet.
    pub(crate) fn new(config: &Config, embedded: &[EmbeddedPlugin], runtime: Arc<Runtime>) -> Arc<Plugins> {
        let mut catalog: BTreeMap<String, Origin> =
            embedded.iter().map(|plugin| (plugin.name.to_owned(), Origin::Embedded(plugin.bytes))).collect();
        // A configured path stands in for the embedded plugin of the same name.
        catalog
            .extend(config.plugins.iter().map(|plugin| (plugin.name.clone(), Origin::File(plugin.clone()))));
        Arc::new(Plugins {
            runtime,
            catalog,
            loaded: Mutex::default(),
            loading: Mutex::default(),
            outlines: Mutex::default(),
        })
    }

    /// The names of all, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.catalog.keys().map(String::as_str)
    }

    /// Whether there is a plugin of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.catalog.contains_key(name)
    }

    /// Loads a plugin, once. Blocks, for seconds when it has to be compiled. The error is for whoever named it.
    pub(crate) fn load(&self, name: &str) -> Result<Arc<Plugin>, String> {
        // One at a time: two that want one plugin compile it once. A lock of its own, so that whoever asks
        // for the list of plugins never waits for the compiler.
        if let Some(plugin) = self.loaded(name) {
            return Ok(plugin);
        }
        let _one = self.loading.lock();
        if let Some(plugin) = self.loaded(name) {
            return Ok(plugin);
        }
        let (bytes, sha256) = match self.catalog.get(name) {
            Some(Origin::Embedded(bytes)) => (bytes.to_vec(), None),
            Some(Origin::File(config)) => (read_bounded(&config.path)?, config.sha256),
            None => return Err(format!("there is no plugin {name}")),
        };
        let file = PluginFile { name: name.to_owned(), bytes, sha256 };
        let plugin = self.runtime.load(file).map_err(|error| error.to_string())?;
        self.loaded.lock().insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }

    /// Makes a plugin of a file that is none of these. Blocks as [`Plugins::load`] does.
    pub(crate) fn compile(&self, file: PluginFile) -> Result<Arc<Plugin>, String> {
        self.runtime.load(file).map_err(|error| error.to_string())
    }

    /// One that is loaded, as other nodes are sent it: the file, and the signature that lies beside it.
    pub(crate) fn offer(&self, plugin: &Plugin) -> Result<OfferedFilter, String> {
        let name = plugin.name().to_owned();
        let (component, signature) = match self.catalog.get(&name) {
            Some(Origin::Embedded(bytes)) => (Bytes::from_static(bytes), None),
            Some(Origin::File(config)) => {
                (read_bounded(&config.path)?.into(), read_signature(&signature_path(&config.path))?)
            }
            None => return Err(format!("there is no plugin {name}")),
        };
        if Digest::of(&component) != plugin.digest() {
            return Err(format!("the file of the filter {name} has changed since this node was started"));
        }
        Ok(OfferedFilter { name, component, signature })
    }

    /// A plugin that is loaded.
    fn loaded(&self, name: &str) -> Option<Arc<Plugin>> {
        self.loaded.lock().get(name).cloned()
    }

    /// What the configuration says of the limits of a plugin, if it says anything.
    pub(crate) fn limits_of(&self, name: &str) -> Option<Limits> {
        match self.catalog.get(name) {
            Some(Origin::File(plugin)) => {
                Some(Limits { memory_bytes: plugin.memory_bytes, call_ms: plugin.call_ms })
            }
            _ => None,
        }
    }

    /// What is done when a plugin traps.
    pub(crate) fn on_trap(&self, name: &str) -> OnTrap {
        match self.catalog.get(name) {
            Some(Origin::File(config)) => config.on_trap,
            _ => OnTrap::Restart,
        }
    }

    /// What is known of a plugin, without instances.
    pub(crate) fn info(&self, name: &str) -> PluginInfo {
        let mut info = PluginInfo { name: name.to_owned(), ..PluginInfo::default() };
        let origin = self.catalog.get(name);
        if let Some(Origin::File(config)) = origin {
            info.path = Some(config.path.display().to_string());
        }
        if let Some(plugin) = self.loaded(name) {
            info.kind = plugin.kind().to_string();
            info.version = Some(plugin.info().version.clone());
            info.summary = Some(plugin.info().summary.clone());
            info.sha256 = plugin.digest().to_string();
            info.imports = plugin.imports().to_vec();
        } else if let Some(Origin::Embedded(bytes)) = origin {
            // Nothing uses it: it is not compiled, and what it says of itself is not known.
            let mut outlines = self.outlines.lock();
            let outline = outlines.entry(name.to_owned()).or_insert_with(|| {
                let (kind, imports) = outline(bytes)
                    .map_or_else(Default::default, |(kind, imports)| (kind.to_string(), imports));
                (kind, Digest::of(bytes).to_string(), imports)
            });
            (info.kind, info.sha256, info.imports) = outline.clone();
        }
        info
    }
}

/// Where the signature of a component lies: beside it.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// A signature that lies beside a component, if there is one.
fn read_signature(path: &Path) -> Result<Option<String>, String> {
    let told = |error: std::io::Error| format!("cannot read the signature {}: {error}", path.display());
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(SIGNATURE_BYTES_MAX).read_to_string(&mut text).map_err(told)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    Ok(Some(text.trim().to_owned()))
}

/// A plugin's file, no more of it than a plugin may have.
fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("cannot read the plugin {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(PLUGIN_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}
