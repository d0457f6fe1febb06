//! `weir plugin`: what a node has loaded, and what is in a component file.

mod inspect;
mod list;
mod sign;

use clap::Subcommand;

use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::Color;

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    List(list::List),
    Inspect(inspect::Inspect),
    Keygen(sign::Keygen),
    Sign(sign::Sign),
}

pub(crate) fn run(args: &Plugin, color: Color) -> Result<Exit, Failure> {
    match args {
        Plugin::List(list) => list::run(list, color),
        Plugin::Inspect(inspect) => inspect::run(inspect),
        Plugin::Keygen(keygen) => sign::keygen(keygen),
        Plugin::Sign(sign) => sign::run(sign),
    }
}
