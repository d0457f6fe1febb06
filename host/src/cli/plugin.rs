//! `weir plugin`: what a node has loaded, what is in a component file, and what its author needs.

mod bench;
mod build;
mod check;
mod component;
mod inspect;
mod list;
mod new;
mod run;
mod sign;
mod test;

use clap::Subcommand;

use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::Color;

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    New(new::New),
    Build(build::Build),
    Check(check::Check),
    Test(test::Test),
    Run(run::Run),
    Bench(bench::Bench),
    Inspect(inspect::Inspect),
    Keygen(sign::Keygen),
    Sign(sign::Sign),
    List(list::List),
}

pub(crate) fn run(args: &Plugin, color: Color) -> Result<Exit, Failure> {
    match args {
        Plugin::New(new) => new::run(new),
        Plugin::Build(build) => build::run(build),
        Plugin::Check(check) => check::run(check, color),
        Plugin::Test(test) => test::run(test, color),
        Plugin::Run(run) => run::run(run),
        Plugin::Bench(bench) => bench::run(bench),
        Plugin::Inspect(inspect) => inspect::run(inspect),
        Plugin::Keygen(keygen) => sign::keygen(keygen),
        Plugin::Sign(sign) => sign::run(sign),
        Plugin::List(list) => list::run(list, color),
    }
}
