//! Reading a configuration, and telling what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;
use weir_node::config::{self, CONFIG_PARTS_MAX, ConfigFile, Gravity, Input, Loaded, Overlay, Problem};
use weir_node::tls::remarks;

use crate::cli::exit::{Failure, warn};
use crate::cli::terminal::Color;
use crate::embedded;

/// The file in a directory of configuration, and the folder of further ones beside it.
const CONFIG_NAME: &str = "weir.toml";
const PARTS_NAME: &str = "conf.d";

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Roles of the process
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',')]
    roles: Vec<String>,
}

/// The same for a command that says the roles itself.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Configuration file, or a directory with weir.toml and conf.d/*.toml; without it the defaults count
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the node keeps its files
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// One setting, over the file's: dotted key, value in TOML or plain text. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArgs {
    /// The file as it was named; none for the defaults.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.settings.file()
    }

    /// What the flags say.
    pub(crate) fn overlays(&self) -> Result<Vec<Overlay>, Failure> {
        let mut overlays = self.settings.overlays()?;
        if !self.roles.is_empty() {
            overlays.push(Overlay::exact("--roles", &["node", "roles"], json!(self.roles)));
        }
        Ok(overlays)
    }
}

impl SettingArgs {
    /// The file as it was named; none for the defaults.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// What the flags say.
    pub(crate) fn overlays(&self) -> Result<Vec<Overlay>, Failure> {
        let mut overlays = sets(&self.set)?;
        if let Some(dir) = &self.data_dir {
            overlays.push(Overlay::exact("--data-dir", &["node", "data_dir"], json!(dir)));
        }
        Ok(overlays)
    }
}

/// The settings of `--set`.
pub(crate) fn sets(arguments: &[String]) -> Result<Vec<Overlay>, Failure> {
    arguments
        .iter()
        .map(|argument| {
            Overlay::parse("--set", argument).map_err(|why| Failure::usage(format!("--set: {why}")))
        })
        .collect()
}

/// Reads file and flags. Fails only when that is impossible: what is wrong inside is in the result.
pub(crate) fn load(file: Option<&Path>, overlays: &[Overlay]) -> Result<Loaded, Failure> {
    let working_dir = std::env::current_dir().map_err(|error| {
        Failure::failed(format!("find the working directory: {error}; start from one that exists"))
    })?;
    let Found { file, parts } = file.map(found).transpose()?.unwrap_or_default();
    let path = file.as_ref().or(parts.first()).map(|path| working_dir.join(path));
    let dir = path.as_deref().and_then(Path::parent).unwrap_or(&working_dir);
    // Parts lie in a folder of their own; paths in them are taken from where the file is, or would be.
    let dir = if file.is_none() { dir.parent().unwrap_or(dir) } else { dir };
    let file = file.as_deref().map(read).transpose()?;
    let parts = parts.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<ConfigFile<'_>> =
        parts.iter().map(|(name, bytes)| ConfigFile { name, dir, bytes }).collect();
    Ok(config::load(&Input {
        file: file.as_ref().map(|(name, bytes)| ConfigFile { name, dir, bytes }),
        parts: &parts,
        overlays,
        env: &|name| std::env::var(name).ok(),
        working_dir: &working_dir,
        embedded: &embedded::names(),
    }))
}

/// The files of a configuration.
#[derive(Debug, Default)]
struct Found {
    file: Option<PathBuf>,
    /// In the order of their names.
    parts: Vec<PathBuf>,
}

/// A directory stands for its `weir.toml` and `conf.d/*.toml`; so does that file itself.
fn found(path: &Path) -> Result<Found, Failure> {
    let is_dir = path.is_dir();
    let dir = if is_dir { path } else { path.parent().unwrap_or(Path::new("")) };
    let file = if is_dir { dir.join(CONFIG_NAME) } else { path.to_owned() };
    let has_parts = file.file_name().is_some_and(|name| name == CONFIG_NAME);
    let parts = if has_parts { parts(&dir.join(PARTS_NAME))? } else { Vec::new() };
    let is_there = !is_dir || file.exists();
    if !is_there && parts.is_empty() {
        return Err(Failure::config(format!(
            "{}: no configuration in it, expected {CONFIG_NAME} or {PARTS_NAME}/*.toml; name a file or another directory with -c",
            path.display()
        )));
    }
    Ok(Found { file: is_there.then_some(file), parts })
}

/// The files in a folder of them; none where there is no folder.
fn parts(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: &std::io::Error| {
        Failure::config(format!("read {}: {}; make it readable, or move it away", dir.display(), told(error)))
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_hidden {
            paths.push(path);
        }
    }
    if paths.len() > CONFIG_PARTS_MAX {
        let count = paths.len();
        return Err(Failure::config(format!(
            "{}: {count} files are more than {CONFIG_PARTS_MAX}; join some",
            dir.display()
        )));
    }
    paths.sort_unstable();
    Ok(paths)
}

/// A file, under the name by which problems call it.
fn read(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::config(format!("read {}: {}; name a readable file with -c", path.display(), told(&error)))
    })?;
    Ok((path.display().to_string(), bytes))
}

/// Tells every problem, those of certificates, too; what does not hinder as warnings. A configuration comes back when
/// nothing hinders. What is remarkable about certificates a process tells itself when it runs.
pub(crate) fn judge(loaded: Loaded, tells_remarks: bool, color: Color) -> Result<config::Config, Failure> {
    let (hindering, rest): (Vec<Problem>, Vec<Problem>) =
        loaded.problems.into_iter().partition(|problem| problem.gravity != Gravity::NotYet);
    for problem in &rest {
        warn(color, &problem.to_string());
    }
    let mut hindering: Vec<String> = hindering.iter().map(ToString::to_string).collect();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match loaded.config.as_ref().map(|config| remarks(&config.tls, now_s)) {
        Some(Ok(remarks)) if tells_remarks => {
            for remark in remarks {
                warn(color, &remark.to_string());
            }
        }
        Some(Err(problems)) => hindering.extend(problems),
        _ => {}
    }
    for problem in &hindering {
        eprintln!("{problem}");
    }
    loaded.config.filter(|_| hindering.is_empty()).ok_or_else(|| {
        let count = match hindering.len() {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        Failure::config(format!("bad configuration: {count}, listed above; nothing was started"))
    })
}

/// A system error without its number.
pub(crate) fn told(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
