//! Reading a configuration, and telling what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;
use weir_node::config::{self, ConfigFile, Gravity, Input, Loaded, Overlay, Problem};
use weir_node::tls::remarks;

use crate::cli::exit::{Failure, warn};
use crate::cli::terminal::Color;
use crate::embedded;

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
    /// Configuration file; without it the defaults count
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
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Failure::config(format!(
                "read {}: {}; name a readable file with -c",
                path.display(),
                told(&error)
            ))
        })
    };
    let bytes = file.map(read).transpose()?;
    let name = file.map(|path| path.display().to_string()).unwrap_or_default();
    let path = file.map_or_else(|| working_dir.clone(), |path| working_dir.join(path));
    let dir = path.parent().unwrap_or(&working_dir);
    Ok(config::load(&Input {
        file: bytes.as_deref().map(|bytes| ConfigFile { name: &name, dir, bytes }),
        overlays,
        env: &|name| std::env::var(name).ok(),
        working_dir: &working_dir,
        embedded: &embedded::names(),
    }))
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
