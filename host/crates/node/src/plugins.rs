//! The plugins that this process knows: embedded ones, and those of its configuration. Loaded when they are needed, and
//! looked at again when the configuration is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use weir_api::backend::{OfferedFilter, PluginInfo};
use weir_plugin_runtime::{Digest, Kind, Limits, Plugin, PluginFile, Runtime, outline};
use weir_record::limits::{
    FILTER_CALL_MS_DEFAULT, PLUGIN_FILE_BYTES_MAX, PLUGIN_MEMORY_BYTES_DEFAULT, SIGNATURE_BYTES_MAX,
};

use crate::EmbeddedPlugin;
use crate::config::{Config, OnTrap, PluginConfig};

/// What a filter may take of which the configuration says nothing: a query waits for it.
pub(crate) const FILTER_LIMITS: Limits =
    Limits { call_ms: FILTER_CALL_MS_DEFAULT, memory_bytes: PLUGIN_MEMORY_BYTES_DEFAULT };

/// All plugins of a process.
pub(crate) struct Plugins {
    runtime: Arc<Runtime>,
    embedded: Vec<EmbeddedPlugin>,
    known: RwLock<Known>,
    loading: Mutex<()>,
    /// What embedded ones are that are not loaded.
    outlines: Mutex<BTreeMap<String, Outline>>,
}

/// The plugins of one configuration.
struct Known {
    catalog: BTreeMap<String, Origin>,
    loaded: BTreeMap<String, Arc<Plugin>>,
}

/// The plugins of the next configuration, looked at and not in force yet.
pub(crate) struct Next {
    known: Known,
    /// Those whose files are others than those that are loaded.
    pub(crate) changed: BTreeSet<String>,
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
        let known = Known { catalog: catalog(config, embedded), loaded: BTreeMap::new() };
        Arc::new(Plugins {
            runtime,
            embedded: embedded.to_vec(),
            known: RwLock::new(known),
            loading: Mutex::default(),
            outlines: Mutex::default(),
        })
    }

    /// The names of all, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.known.read().catalog.keys().cloned().collect()
    }

    /// Whether there is a plugin of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.read().catalog.contains_key(name)
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
        let (bytes, sha256) = match self.origin(name) {
            Some(Origin::Embedded(bytes)) => (bytes.to_vec(), None),
            Some(Origin::File(config)) => (read_bounded(&config.path)?, config.sha256),
            None => return Err(format!("there is no plugin {name}")),
        };
        let plugin = self.load_bytes(name, bytes, sha256)?;
        self.known.write().loaded.insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }

    /// One that is loaded, as other nodes are sent it: the file, and the signature that lies beside it.
    pub(crate) fn offer(&self, plugin: &Plugin) -> Result<OfferedFilter, String> {
        let name = plugin.name().to_owned();
        let (component, signature) = match self.origin(&name) {
            Some(Origin::Embedded(bytes)) => (Bytes::from_static(bytes), None),
            Some(Origin::File(config)) => {
                (read_bounded(&config.path)?.into(), read_signature(&signature_path(&config.path))?)
            }
            None => return Err(format!("there is no plugin {name}")),
        };
        if Digest::of(&component) != plugin.digest() {
            return Err(format!(
                "the file of the filter {name} has changed since it was loaded; POST /-/reload"
            ));
        }
        Ok(OfferedFilter { name, component, signature })
    }

    /// Looks at the plugins of another configuration: those that are loaded, and those that it `wants`. Blocks as
    /// [`Plugins::load`] does. The error has a line for each that cannot be used; nothing has changed then.
    pub(crate) fn next(&self, config: &Config, wants: &BTreeSet<&str>) -> Result<Next, Vec<String>> {
        let catalog = catalog(config, &self.embedded);
        let (mut loaded, mut changed, mut problems): (BTreeMap<_, _>, _, _) =
            (BTreeMap::new(), BTreeSet::new(), Vec::new());
        for (name, origin) in &catalog {
            let before = self.loaded(name);
            let wanted = wants.contains(name.as_str());
            let mut told = |why: String, place: &str| problems.push(format!("{place}plugins.{name}: {why}"));
            let found = match origin {
                Origin::Embedded(bytes) => {
                    let stays = matches!(self.origin(name), Some(Origin::Embedded(_)));
                    let before = before.filter(|_| stays).map(Ok);
                    before
                        .or_else(|| wanted.then(|| self.load_bytes(name, bytes.to_vec(), None)))
                        .transpose()
                        .map_err(|why| told(why, ""))
                }
                Origin::File(_) if before.is_none() && !wanted => Ok(None),
                Origin::File(of) => self
                    .file_again(of, before, &mut changed)
                    .map(Some)
                    .map_err(|why| told(why, &format!("{}: ", of.place))),
            };
            loaded.extend(found.ok().flatten().map(|plugin| (name.clone(), plugin)));
        }
        let known = Known { catalog, loaded };
        if problems.is_empty() { Ok(Next { known, changed }) } else { Err(problems) }
    }

    /// A plugin as its file is now: the one before, if that has not changed.
    fn file_again(
        &self,
        of: &PluginConfig,
        before: Option<Arc<Plugin>>,
        changed: &mut BTreeSet<String>,
    ) -> Result<Arc<Plugin>, String> {
        let bytes = read_bounded(&of.path)?;
        let digest = Digest::of(&bytes);
        let pinned = of.sha256.is_none_or(|sha256| *digest.as_bytes() == sha256);
        if let Some(before) = before.filter(|before| pinned && before.digest() == digest) {
            return Ok(before);
        }
        let plugin = self.load_bytes(&of.name, bytes, of.sha256)?;
        changed.insert(of.name.clone());
        Ok(plugin)
    }

    /// Makes a plugin of a file, whether it is one of these or not. Blocks as [`Plugins::load`] does.
    pub(crate) fn load_bytes(
        &self,
        name: &str,
        bytes: Vec<u8>,
        sha256: Option<[u8; 32]>,
    ) -> Result<Arc<Plugin>, String> {
        let file = PluginFile { name: name.to_owned(), bytes, sha256 };
        self.runtime.load(file).map_err(|error| error.to_string())
    }

    /// From now on the plugins are those of the next configuration. What runs keeps what it has. Blocks while a plugin
    /// is being loaded.
    pub(crate) fn switch(&self, next: Next) {
        let _one = self.loading.lock();
        *self.known.write() = next.known;
    }

    /// A plugin that is loaded.
    fn loaded(&self, name: &str) -> Option<Arc<Plugin>> {
        self.known.read().loaded.get(name).cloned()
    }

    fn origin(&self, name: &str) -> Option<Origin> {
        self.known.read().catalog.get(name).cloned()
    }

    /// What the configuration says of the limits of a plugin, if it says anything.
    pub(crate) fn limits_of(&self, name: &str) -> Option<Limits> {
        match self.origin(name) {
            Some(Origin::File(plugin)) => {
                Some(Limits { memory_bytes: plugin.memory_bytes, call_ms: plugin.call_ms })
            }
            _ => None,
        }
    }

    /// What is done when a plugin traps.
    pub(crate) fn on_trap(&self, name: &str) -> OnTrap {
        match self.origin(name) {
            Some(Origin::File(config)) => config.on_trap,
            _ => OnTrap::Restart,
        }
    }

    /// What is known of a plugin, without instances.
    pub(crate) fn info(&self, name: &str) -> PluginInfo {
        let mut info = PluginInfo { name: name.to_owned(), ..PluginInfo::default() };
        let origin = self.origin(name);
        if let Some(Origin::File(config)) = &origin {
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
        let limits = self.limits_of(name).unwrap_or(if info.kind == Kind::Source.name() {
            Limits::default()
        } else {
            FILTER_LIMITS
        });
        info.memory_bytes_max = Some(limits.memory_bytes as u64);
        info.call_ms_max = Some(limits.call_ms);
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

impl Next {
    /// A plugin that is loaded.
    pub(crate) fn plugin(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.known.loaded.get(name)
    }
}

/// Where the plugins of a configuration come from.
fn catalog(config: &Config, embedded: &[EmbeddedPlugin]) -> BTreeMap<String, Origin> {
    let embedded = embedded.iter().map(|plugin| (plugin.name.to_owned(), Origin::Embedded(plugin.bytes)));
    // A configured path stands in for the embedded plugin of the same name.
    let files = config.plugins.iter().map(|plugin| (plugin.name.clone(), Origin::File(plugin.clone())));
    embedded.chain(files).collect()
}

/// A plugin's file, no more of it than a plugin may have.
fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("cannot read the plugin {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(PLUGIN_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}
