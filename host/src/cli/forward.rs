//! `weir forward`: ships what one source brings to other nodes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use weir_node::config::Overlay;

use crate::cli::exit::{Exit, Failure};
use crate::cli::go_flags::line_port;
use crate::cli::load::{judge, load, sets};
use crate::cli::run;
use crate::cli::terminal::Color;
use crate::cli::wanted::split_label;

const STDIN_SOURCE: &str = "stdin-source";

const EXAMPLES: &str = "\
A record counts as sent when a node has it on its disk. Without --source it reads its
standard input and ends with it. A source is named as its plugin, without `-source`.

With --data-dir records are kept on this disk until a node has acknowledged them, and sent
by the next start if need be. Standard input without it is kept in memory alone: while no
node takes records it is not read, and what was read is lost when the process is killed.

To tcp://host:port it ships plain lines, as OK Log does and takes them. Nothing answers
there: a line counts as sent when this machine's kernel has it. OK Log's own command lines
work, with one dash and addresses without http://.

Examples:
  ./service | weir forward --topic shop http://127.0.0.1:7650
  ./service | weir forward --topic shop --data-dir /var/lib/weir http://a:7650 http://b:7650
  weir testsvc | weir forward --topic load --label env=test http://a:7650 http://b:7650
  ./service | weir forward -prefix=FREEGO_WORK tcp://host:10011 tcp://host:10021
  weir forward -c forwarder.toml";

/// Ship records to other nodes, by default the lines of standard input
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Forward {
    /// Ingest nodes, or line ports as tcp://host:port; the next one is tried when one fails
    #[arg(value_name = "URL", required_unless_present = "config")]
    urls: Vec<String>,
    /// Topic of the records; the source's name when not given
    #[arg(long)]
    topic: Option<String>,
    /// Label of the records. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = split_label)]
    label: Vec<(String, String)>,
    /// Text in front of every line, and a space behind it. May be repeated
    #[arg(long, value_name = "TEXT")]
    prefix: Vec<String>,
    /// How it stands there: `A B line`, or `[A B ] line` as the fork with RabbitMQ has it
    #[arg(long, value_enum, default_value = "plain")]
    prefix_style: PrefixStyle,
    /// RabbitMQ's URL in place of standard input, as the fork takes it
    #[arg(long, value_name = "URL", hide = true)]
    mq: Option<String>,
    /// Plugin that brings the records
    #[arg(long, value_name = "PLUGIN", default_value = STDIN_SOURCE)]
    source: String,
    /// Where to keep records until they are acknowledged
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// How much may be kept; 1GiB when not given
    #[arg(long, value_name = "SIZE")]
    spool_bytes: Option<String>,
    /// What happens when it is full: `block` reads no more, `drop-oldest` drops and counts
    #[arg(long, value_name = "block|drop-oldest")]
    on_full: Option<String>,
    /// One setting: of the source (`grants.…`, `config.…`), or of the node. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Sources and nodes from a configuration file instead
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["topic", "label", "prefix", "source"])]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrefixStyle {
    Plain,
    Bracketed,
}

pub(crate) fn run(args: &Forward, color: Color) -> Result<Exit, Failure> {
    let loaded = load(args.config.as_deref(), &overlays(args)?)?;
    run::start(judge(loaded, color)?)
}

/// Everything the flags say, as settings: they pass the same checks as a file.
fn overlays(args: &Forward) -> Result<Vec<Overlay>, Failure> {
    if args.mq.is_some() {
        // The URL has a password in it: it is not repeated.
        return Err(Failure::config(
            "-mq: not yet: RabbitMQ comes as amqp-source with a later version; until then pipe records in, \
             one a line",
        ));
    }
    let mut overlays = vec![Overlay::exact("weir forward", &["node", "roles"], json!(["forward"]))];
    if !args.urls.is_empty() {
        let to: Result<Vec<String>, String> = args.urls.iter().map(|url| line_port(url)).collect();
        let to = to.map_err(|why| Failure::usage(format!("URL: {why}")))?;
        overlays.push(Overlay::exact("URL", &["forward", "to"], json!(to)));
    }
    let spool = [
        ("--data-dir", ["node", "data_dir"], &args.data_dir),
        ("--spool-bytes", ["forward", "spool"], &args.spool_bytes),
        ("--on-full", ["forward", "on_full"], &args.on_full),
    ];
    let given = spool.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.as_ref()?)));
    let given: Vec<Overlay> =
        given.map(|(flag, key, value)| Overlay::exact(flag, &key, json!(value))).collect();
    if args.config.is_none() && args.source == STDIN_SOURCE && given.is_empty() {
        // A pipe leaves nothing in the directory where it was started, unless it is told to.
        overlays.push(Overlay::exact("weir forward", &["forward", "spool"], json!("off")));
    }
    overlays.extend(given);
    if args.config.is_some() {
        overlays.extend(sets(&args.set)?);
        return Ok(overlays);
    }
    let name = args.source.strip_suffix("-source").unwrap_or(&args.source);
    let mut of_source = |flag: &str, key: &str, value: Value| {
        overlays.push(Overlay::exact(flag, &["sources", name, key], value));
    };
    of_source("--source", "plugin", json!(args.source));
    if args.source == STDIN_SOURCE {
        of_source("weir forward", "grants", json!({ "stdin": true }));
    }
    if let Some(topic) = &args.topic {
        of_source("--topic", "topic", json!(topic));
    }
    if !args.label.is_empty() {
        of_source("--label", "labels", Value::Object(labels(&args.label)?));
    }
    if !args.prefix.is_empty() {
        let prefix = prefix(&args.prefix, args.prefix_style);
        overlays.push(Overlay::exact("--prefix", &["sources", name, "config", "prefix"], json!(prefix)));
    }
    overlays.extend(sets(&args.set)?.into_iter().map(|overlay| overlay.within_source(name)));
    Ok(overlays)
}

/// What stands in front of every line.
fn prefix(words: &[String], style: PrefixStyle) -> String {
    let words = words.join(" ");
    match style {
        PrefixStyle::Plain => format!("{words} "),
        PrefixStyle::Bracketed => format!("[{words} ] "),
    }
}

fn labels(pairs: &[(String, String)]) -> Result<Map<String, Value>, Failure> {
    let mut labels = Map::new();
    for (name, value) in pairs {
        if labels.insert(name.clone(), json!(value)).is_some() {
            return Err(Failure::usage(format!("--label: {name} is given twice; give it once")));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use weir_node::config::{Input, Loaded, OnFull};

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Forward,
    }

    fn loaded(line: &str) -> Loaded {
        let args = Line::try_parse_from(line.split(' ')).unwrap().args;
        weir_node::config::load(&Input {
            file: None,
            overlays: &overlays(&args).unwrap(),
            env: &|_| None,
            working_dir: Path::new("/w"),
            embedded: &["file-source", "stdin-source"],
        })
    }

    #[test]
    fn standard_input_is_one_source_of_a_forwarder_without_a_port() {
        let loaded =
            loaded("forward --topic shop --label env=prod --label a=b=c http://a:7650 http://b:7650/");
        assert_eq!(loaded.problems, []);
        let config = loaded.config.unwrap();
        assert!(config.roles.forward && !config.roles.ingest && config.listen.api.is_none());
        assert_eq!(config.forward_to, ["http://a:7650", "http://b:7650"]);
        let [source] = config.sources.as_slice() else { panic!("{:?}", config.sources) };
        assert_eq!((source.name.as_str(), source.plugin.as_str()), ("stdin", "stdin-source"));
        assert_eq!(format!("{:?}", source.stream), "topic=shop a=b=c env=prod");
        assert!(source.grants.stdin);
    }

    #[test]
    fn a_pipe_has_a_spool_when_it_is_told_where_and_other_sources_always() {
        for (line, bytes, on_full) in [
            ("forward http://a:1", None, None),
            ("forward --set forward.spool=32MiB http://a:1", Some(32 << 20), Some(OnFull::Block)),
            ("forward --data-dir d http://a:1", Some(1 << 30), Some(OnFull::Block)),
            ("forward --spool-bytes 64MiB http://a:1", Some(64 << 20), Some(OnFull::Block)),
            ("forward --on-full drop-oldest http://a:1", Some(1 << 30), Some(OnFull::DropOldest)),
            ("forward --source file-source http://a:1", Some(1 << 30), Some(OnFull::Block)),
            ("forward --source file-source --spool-bytes off http://a:1", None, None),
        ] {
            let loaded = loaded(line);
            assert_eq!(loaded.problems, [], "{line}");
            let config = loaded.config.unwrap();
            let spool = config.forward_spool;
            assert_eq!((spool.map(|s| s.bytes), spool.map(|s| s.on_full)), (bytes, on_full), "{line}");
            let dir = if line.contains("--data-dir") { "/w/d" } else { "/w/weir-data" };
            assert_eq!(config.data_dir, Path::new(dir));
        }
    }

    #[test]
    fn the_seeds_line_is_understood_and_told_that_rabbitmq_comes_later() {
        let line = "forward --prefix=FREEGO_WORK --mq=amqp://user:secret@host:5672/v tcp://host:10011 tcp://host:10021";
        let args = Line::try_parse_from(line.split(' ')).unwrap().args;
        let failure = overlays(&args).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.starts_with("-mq: not yet") && !failure.message.contains("secret"));
    }

    #[test]
    fn lines_go_to_line_ports_with_a_prefix_in_either_style() {
        for (flags, prefix) in [
            ("--prefix=A", "A "),
            ("--prefix B --prefix A --prefix B", "B A B "),
            ("--prefix=FREEGO_WORK --prefix-style bracketed", "[FREEGO_WORK ] "),
        ] {
            let loaded = loaded(&format!("forward {flags} host 10.6.1.101:10011"));
            assert_eq!(loaded.problems, []);
            let config = loaded.config.unwrap();
            assert_eq!(config.forward_to, ["tcp://host:7651", "tcp://10.6.1.101:10011"]);
            assert_eq!(config.sources[0].config, json!({ "prefix": prefix }));
        }
        let args = Line::try_parse_from(["forward", "a:7650"]).unwrap().args;
        let failure = overlays(&args).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("write http://a:7650"), "{}", failure.message);
    }

    #[test]
    fn any_source_gets_its_settings_by_set() {
        let line =
            "forward --source file-source --set grants.files.l.include=[\"/l\"] --set config.n=1 http://a:1";
        let loaded = loaded(line);
        assert_eq!(loaded.problems, []);
        let source = &loaded.config.unwrap().sources[0];
        assert_eq!(
            (source.name.as_str(), source.stream.topic(), source.grants.stdin),
            ("file", "file", false)
        );
        assert_eq!(source.grants.files["l"].include, ["/l"]);
        assert_eq!(source.config.to_string(), r#"{"n":1}"#);
    }

    #[test]
    fn what_is_wrong_is_told_by_the_flag_it_came_with() {
        for (line, want) in [
            ("forward http://a:0", "URL: forward.to[0]: expected a URL"),
            ("forward tcp://a http://b:1", "URL: forward.to: http://b:1: records go to APIs"),
            (
                "forward --source file-sorce http://a:1",
                "--source: sources.file-sorce.plugin: expected one of",
            ),
            ("forward --label _x=1 http://a:1", "--label: sources.stdin.labels._x: label name"),
        ] {
            let said: Vec<String> = loaded(line).problems.iter().map(ToString::to_string).collect();
            assert!(said.len() == 1 && said[0].starts_with(want), "{line}: {said:?}");
        }
    }
}
