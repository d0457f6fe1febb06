//! `weir completions` and `weir man`: made from the one definition of the command line.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::told;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  weir completions bash > ~/.local/share/bash-completion/completions/weir
  weir completions zsh > ~/.zfunc/_weir
  weir completions fish > ~/.config/fish/completions/weir.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  weir man | man -l -
  weir man /usr/local/share/man/man1";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page, or write those of all commands
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct Man {
    /// Where the pages go: weir.1, weir-run.1 and so on. Without it the first one is printed
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &Completions, mut command: Command) -> Result<Exit, Failure> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "weir", &mut script);
    wrote(std::io::stdout().write_all(&script))?;
    Ok(Exit::Ok)
}

pub(crate) fn man(args: &Man, command: Command) -> Result<Exit, Failure> {
    let failed =
        |what: String| move |error: std::io::Error| Failure::failed(format!("{what}: {}", told(&error)));
    if let Some(dir) = &args.dir {
        let what = format!("write man pages to {}", dir.display());
        clap_mangen::generate_to(command, dir).map_err(failed(what))?;
        return Ok(Exit::Ok);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(failed("make the man page".to_owned()))?;
    wrote(std::io::stdout().write_all(&page))?;
    Ok(Exit::Ok)
}
