//! `weir plugin new`: a project that builds and passes its cases as it stands.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use weir_plugin_tool::{Kind, Language, Project};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::plugin::component::failure;

const EXAMPLES: &str = "\
The SDK of this version is part of the project, so nothing else has to be there but Rust; or Node.js or Python, whose \
compilers for components `weir plugin build` asks npm or PyPI for.

Examples:
  weir plugin new filter error-lines
  weir plugin new filter error-lines --lang python
  weir plugin new source my-source --dir plugins";

/// Begin a plugin: a project with the SDK, a test, a case and a configuration
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct New {
    /// What it is
    #[arg(value_enum)]
    kind: Begun,
    /// Its name: a word in queries, a package, a folder
    name: String,
    /// The language it is written in
    #[arg(long, value_enum, default_value = "rust", value_name = "LANG")]
    lang: Lang,
    /// Where its folder is made
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Begun {
    /// Brings records
    Source,
    /// Keeps or drops records of a query
    Filter,
    /// Changes records of a query
    Rewrite,
    /// Sums up records of a query
    Aggregate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    /// With the SDK
    Rust,
    /// Filters: needs Node.js
    #[value(alias = "javascript")]
    Js,
    /// Filters: needs Python
    Python,
}

pub(crate) fn run(args: &New) -> Result<Exit, Failure> {
    let kind = match args.kind {
        Begun::Source => Kind::Source,
        Begun::Filter => Kind::Filter,
        Begun::Rewrite => Kind::Rewrite,
        Begun::Aggregate => Kind::Aggregate,
    };
    let language = match args.lang {
        Lang::Rust => Language::Rust,
        Lang::Js => Language::JavaScript,
        Lang::Python => Language::Python,
    };
    let project = Project::new(kind, language, &args.name).map_err(|error| failure(&error))?;
    let dir = project.write(&args.dir).map_err(|error| failure(&error))?;
    let next = if kind == Kind::Source { "" } else { " && weir plugin test" };
    let text = format!("{}\nnext: cd {0} && weir plugin build && weir plugin check{next}\n", dir.display());
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}
