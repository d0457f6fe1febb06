//! `cargo xtask`: the one tool of this repository.
//!
//! Sets the machine up, builds the plugins and the host, shows, tests and measures them.
//! Progress goes to stderr; what a caller wants to read or pipe goes to stdout.

mod args;
mod bench;
mod build;
mod count;
mod demo;
mod dist;
mod duckdb;
mod fuzz;
mod node;
mod plugins;
mod proc;
mod setup;
mod signals;
mod steps;
mod test;
mod ui;
mod workspace;

use std::process::ExitCode;

use crate::args::Command;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find();
    match command {
        Command::Help => println!("{}", args::USAGE),
        Command::Plugins(options) => plugins::run(&workspace, &options)?,
        Command::Build => println!("{}", build::release(&workspace)?.display()),
        Command::Dist(options) => dist::run(&workspace, &options)?,
        Command::Ui => ui::build(&workspace)?,
        Command::Demo(options) => demo::run(&workspace, &options)?,
        Command::Test { long } => return Ok(test::run(&workspace, long)),
        Command::Bench(options) => bench::run(&workspace, &options)?,
        Command::Corpus(options) => bench::corpus::run(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}
