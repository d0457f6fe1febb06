//! The command line: one file per command, and what they share.

mod ask;
mod cluster;
mod complete;
mod config;
mod exit;
mod forward;
mod go_flags;
mod histogram;
mod load;
mod plugin;
mod query;
mod run;
mod segment;
mod streams;
mod tail;
mod terminal;
mod testsvc;
mod token;
mod wanted;

use clap::{CommandFactory as _, Parser, Subcommand};

pub(crate) use crate::cli::exit::{Exit, Failure};
pub(crate) use crate::cli::go_flags::normalised;
pub(crate) use crate::cli::terminal::Color;

const EXAMPLES: &str = "\
Examples:
  weir run                                     a node with all roles and its data in ./weir-data
  ./service | weir forward --topic shop http://127.0.0.1:7650
  weir query 'error timeout' --from 1h         records with both words, of the last hour
  weir tail topic:shop                         records as they arrive

Exit codes: 0 ok, 1 failed at run time, 2 wrong usage, 3 answer incomplete, 78 bad configuration.";

/// Gathers log records and answers questions about them
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Colour in the output; NO_COLOR is heeded
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Ingest(run::Ingest),
    Store(run::Store),
    Ingeststore(run::Ingeststore),
    Forward(forward::Forward),
    Query(query::Query),
    Tail(tail::Tail),
    Histogram(histogram::Histogram),
    Streams(streams::Streams),
    /// Plugins of a node, and component files
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(plugin::Plugin),
    /// The members of a cluster
    #[command(subcommand, arg_required_else_help = true)]
    Cluster(cluster::Cluster),
    /// Check a configuration, show what it amounts to
    #[command(subcommand, arg_required_else_help = true)]
    Config(config::Config),
    /// Look into files of records
    #[command(subcommand, arg_required_else_help = true)]
    Segment(segment::Segment),
    /// Tokens: what requests must show where a node asks for it
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::Token),
    Testsvc(testsvc::Testsvc),
    Completions(complete::Completions),
    Man(complete::Man),
}

/// Does what was asked for.
pub(crate) fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Run(args) => run::run(args, cli.color),
        Command::Ingest(args) => run::ingest(args, cli.color),
        Command::Store(args) => run::store(args, cli.color),
        Command::Ingeststore(args) => run::ingeststore(args, cli.color),
        Command::Forward(args) => forward::run(args, cli.color),
        Command::Query(args) => query::run(args, cli.color),
        Command::Tail(args) => tail::run(args, cli.color),
        Command::Histogram(args) => histogram::run(args, cli.color),
        Command::Streams(args) => streams::run(args, cli.color),
        Command::Plugin(args) => plugin::run(args, cli.color),
        Command::Cluster(args) => cluster::run(args, cli.color),
        Command::Config(args) => config::run(args, cli.color),
        Command::Segment(args) => segment::run(args, cli.color),
        Command::Token(args) => token::run(args, cli.color),
        Command::Testsvc(args) => testsvc::run(args),
        Command::Completions(args) => complete::completions(args, Cli::command()),
        Command::Man(args) => complete::man(args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        fn check(command: &clap::Command) {
            if command.get_name() == "help" {
                return;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let branches = command.get_subcommands().count() > 0;
            assert!(branches || help.contains("Examples:"), "{} has no examples", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn examples_in_the_help_parse() {
        fn examples(command: &clap::Command, found: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
            // Behind a pipe, before an explanation.
            let parts =
                lines.flat_map(|line| line.split(" | ")).map(|part| part.split("    ").next().unwrap_or(""));
            // Before a file that is written or read.
            let bare = |part: &str| {
                let part = part.split(" > ").next().unwrap_or("");
                part.split(" < ").next().unwrap_or("").trim().to_owned()
            };
            found.extend(parts.map(bare));
            command.get_subcommands().for_each(|inner| examples(inner, found));
        }
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        let ours: Vec<&String> = found.iter().filter(|line| line.starts_with("weir ")).collect();
        assert!(ours.len() >= 15, "{found:#?}");
        for line in ours {
            let words = normalised(shell_words(line).into_iter().map(Into::into)).unwrap();
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// Splits at spaces outside single quotes: all that the examples use.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn wrong_usage_is_found_before_anything_is_done() {
        for line in [
            "weir",
            "weir quary",
            "weir query --frm 1h",
            "weir query --format xml",
            "weir query --limit many",
            "weir query --label env",
            "weir tail --limit 3",
            "weir histogram --buckets 0",
            "weir ingest --roles store",
            "weir completions tcsh",
            "weir testsvc --rate fast",
            "weir testsvc --size 3",
            "weir plugin",
            "weir plugin new",
            "weir plugin new filter",
            "weir plugin new filter x --lang cobol",
            "weir plugin bench --seconds many",
            "weir plugin run --label env",
            "weir config check --color blue",
            "weir forward",
            "weir segment export",
            "weir token",
            "weir token new --name x",
            "weir token new --name x --scope everything",
            "weir token list",
            "weir segment export --format xml x.zst",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
