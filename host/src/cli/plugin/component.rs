//! Which component a command is about, and its parameters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use weir_plugin_tool::{Records, ToolError, Trial};

use crate::cli::exit::Failure;
use crate::cli::load::told;
use crate::embedded;

/// Where `weir plugin build` leaves what it built.
const BUILT: &str = "target/weir";

#[derive(Debug, Args)]
pub(crate) struct Component {
    /// A component file, or the name of an embedded plugin; what `weir plugin build` built here by default
    #[arg(value_name = "FILE|NAME")]
    plugin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Params {
    /// Parameters as a JSON object
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
}

impl Component {
    /// The plugin, loaded as a node loads it. One that was built here is compiled once.
    pub(crate) fn load(&self) -> Result<Trial, Failure> {
        let compiled = if self.plugin.is_none() { compiled_beside(&built()?) } else { None };
        self.load_with(compiled)
    }

    /// The same, compiled anew.
    pub(crate) fn load_anew(&self) -> Result<Trial, Failure> {
        self.load_with(None)
    }

    fn load_with(&self, compiled: Option<PathBuf>) -> Result<Trial, Failure> {
        let (name, bytes) = match &self.plugin {
            Some(plugin) => match embedded::PLUGINS.iter().find(|known| known.name == *plugin) {
                Some(known) => (known.name.to_owned(), known.bytes.to_vec()),
                None => read(Path::new(plugin))?,
            },
            None => read(&built()?)?,
        };
        Trial::load(&name, bytes, compiled).map_err(|error| failure(&error))
    }
}

impl Params {
    /// As the plugin gets them.
    pub(crate) fn of(&self, trial: &Trial) -> Result<Arc<str>, Failure> {
        trial.params(self.params.as_deref()).map_err(|error| failure(&error))
    }

    /// The same; `None` where none are given and the plugin does not go without.
    pub(crate) fn if_given(&self, trial: &Trial) -> Result<Option<Arc<str>>, Failure> {
        match &self.params {
            Some(_) => self.of(trial).map(Some),
            None => Ok(trial.params(None).ok()),
        }
    }
}

/// The lines of a file, or records of many kinds.
pub(crate) fn records(input: Option<&Path>) -> Result<Records, Failure> {
    let Some(path) = input else { return Ok(Records::sample()) };
    let text = std::fs::read(path)
        .map_err(|error| Failure::failed(format!("read {}: {}", path.display(), told(&error))))?;
    Records::of_lines(&text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// The exit code and the words of an error of the tool.
pub(crate) fn failure(error: &ToolError) -> Failure {
    if error.is_usage() { Failure::usage(error.to_string()) } else { Failure::failed(error.to_string()) }
}

fn read(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        let (why, names) = (told(&error), embedded::names().join(", "));
        Failure::failed(format!("read {}: {why}; name a component file, or one of {names}", path.display()))
    })?;
    let name = path.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy());
    Ok((name.into_owned(), bytes))
}

/// Where what was compiled of a component is kept, that `weir plugin build` has left there.
pub(crate) fn compiled_beside(component: &Path) -> Option<PathBuf> {
    component.parent().map(|dir| dir.join("compiled"))
}

/// The one component that was built here.
fn built() -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(BUILT).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage(format!(
            "there is no component in {BUILT}; say `weir plugin build` first, or name a file"
        ))),
        many => {
            let names: Vec<String> = many.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::usage(format!("there are several components: name one of {}", names.join(", "))))
        }
    }
}
