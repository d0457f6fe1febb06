//! `weir forward`: ships what one source brings to other nodes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use weir_node::config::Overlay;

use crate::cli::ask::TokenArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::go_flags::line_port;
use crate::cli::load::sets;
use crate::cli::run;
use crate::cli::terminal::Color;
use crate::cli::wanted::split_label;

const STDIN_SOURCE: &str = "stdin-source";
const AMQP_SOURCE: &str = "amqp-source";
/// The queue that the fork of OK Log consumes, and no other.
const QUEUE_OF_THE_FORK: &str = "q.freego_work_log.qa";
const FILE_SOURCE: &str = "file-source";
/// The word that makes what follows files, and reads them once.
const FILE_WORD: &str = "file";
/// What file-source calls the files it follows.
const FILE_GRANT: &str = "logs";

const EXAMPLES: &str = "\
A record counts as sent when a node has it on its disk. Without --source it reads its
standard input and ends with it. A source is named as its plugin, without `-source`.

With --data-dir records are kept on this disk until a node has acknowledged them, and sent
by the next start if need be. Standard input without it is kept in memory alone: while no
node takes records it is not read, and what was read is lost when the process is killed.

`weir forward file` reads files to their ends, compressed ones too, and ends with them: names
and patterns come before the URLs. They are sent once more when it is run once more. --once
does the same for any source that can end.

To tcp://host:port it ships plain lines, as OK Log does and takes them. Nothing answers
there: a line counts as sent when this machine's kernel has it. OK Log's own command lines
work, with one dash and addresses without http://.

Examples:
  ./service | weir forward --topic shop http://127.0.0.1:7650
  ./service | weir forward --topic shop --data-dir /var/lib/weir http://a:7650 http://b:7650
  weir testsvc | weir forward --topic load --label env=test http://a:7650 http://b:7650
  ./service | weir forward -prefix=FREEGO_WORK tcp://host:10011 tcp://host:10021
  weir forward -prefix=FREEGO_WORK -mq=amqp://user:password@mq/vhost tcp://host:10011
  weir forward --mq amqp://user:password@mq/vhost --queue logs http://a:7650
  weir forward file /var/log/app.log '/var/log/app.log.*' --topic app http://a:7650
  weir forward -c forwarder.toml

A node that asks for tokens wants one with the scope ingest: --token-file FILE, or WEIR_TOKEN.";

/// Ship records to other nodes, by default the lines of standard input
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Forward {
    /// Ingest nodes, or line ports as tcp://host:port; the next one is tried when one fails. `file` and names of
    /// files before them: ship those
    #[arg(value_name = "URL", required_unless_present = "config")]
    urls: Vec<String>,
    /// Read to the end and stop, instead of waiting for more
    #[arg(long)]
    once: bool,
    /// Topic of the records; the source's name when not given
    #[arg(long)]
    topic: Option<String>,
    /// Label of the records. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = split_label)]
    label: Vec<(String, String)>,
    /// Text in front of every line, and a space behind it. May be repeated
    #[arg(long, value_name = "TEXT")]
    prefix: Vec<String>,
    /// How it stands there: `A B line`, or `[A B ] line` as the fork with RabbitMQ has it; that one with --mq
    #[arg(long, value_enum)]
    prefix_style: Option<PrefixStyle>,
    /// Consume a queue of this RabbitMQ in place of standard input
    #[arg(long, value_name = "URL", conflicts_with_all = ["source", "config"])]
    mq: Option<String>,
    /// The queue, with --mq
    #[arg(long, value_name = "NAME", default_value = QUEUE_OF_THE_FORK, requires = "mq")]
    queue: String,
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
    #[command(flatten)]
    token: TokenArgs,
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

impl PrefixStyle {
    fn name(self) -> &'static str {
        match self {
            PrefixStyle::Plain => "plain",
            PrefixStyle::Bracketed => "bracketed",
        }
    }
}

pub(crate) fn run(args: &Forward, color: Color) -> Result<Exit, Failure> {
    run::start(args.config.as_deref(), overlays(args)?, color)
}

/// Everything the flags say, as settings: they pass the same checks as a file.
fn overlays(args: &Forward) -> Result<Vec<Overlay>, Failure> {
    args.token.check()?;
    let source = if args.mq.is_some() { AMQP_SOURCE } else { args.source.as_str() };
    let mut overlays = vec![Overlay::exact("weir forward", &["node", "roles"], json!(["forward"]))];
    let (files, urls) = files_and_urls(&args.urls)?;
    let source = if files.is_empty() { source } else { FILE_SOURCE };
    let once = args.once || !files.is_empty();
    if !urls.is_empty() {
        let to: Result<Vec<String>, String> = urls.iter().map(|url| line_port(url)).collect();
        let to = to.map_err(|why| Failure::usage(format!("URL: {why}")))?;
        overlays.push(Overlay::exact("URL", &["forward", "to"], json!(to)));
    }
    if let Some(path) = &args.token.token_file {
        overlays.push(Overlay::exact("--token-file", &["forward", "token_file"], json!(path)));
    } else if let (None, Some(secret)) = (&args.config, args.token.of_environment()) {
        overlays.push(Overlay::exact("WEIR_TOKEN", &["forward", "token"], json!(secret)));
    }
    let spool = [
        ("--data-dir", ["node", "data_dir"], &args.data_dir),
        ("--spool-bytes", ["forward", "spool"], &args.spool_bytes),
        ("--on-full", ["forward", "on_full"], &args.on_full),
    ];
    let given = spool.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.as_ref()?)));
    let given: Vec<Overlay> =
        given.map(|(flag, key, value)| Overlay::exact(flag, &key, json!(value))).collect();
    if args.config.is_none() && (matches!(source, STDIN_SOURCE | AMQP_SOURCE) || once) && given.is_empty() {
        // A pipe leaves nothing in the directory where it was started, unless it is told to, and neither does what is
        // read once; and a broker keeps what is not acknowledged.
        overlays.push(Overlay::exact("weir forward", &["forward", "spool"], json!("off")));
    }
    overlays.extend(given);
    if args.config.is_some() {
        overlays.extend(sets(&args.set)?);
        return Ok(overlays);
    }
    let name = source.strip_suffix("-source").unwrap_or(source);
    let mut of_source = |flag: &str, key: &str, value: Value| {
        overlays.push(Overlay::exact(flag, &["sources", name, key], value));
    };
    of_source("--source", "plugin", json!(source));
    if source == STDIN_SOURCE {
        of_source("weir forward", "grants", json!({ "stdin": true }));
    }
    if let Some(uri) = &args.mq {
        of_source("--mq", "grants", json!({ "amqp": { "main": { "uri": uri, "queue": args.queue } } }));
    }
    if !files.is_empty() {
        of_source("file", "grants", json!({ "files": { FILE_GRANT: { "include": files } } }));
    }
    if let Some(topic) = &args.topic {
        of_source("--topic", "topic", json!(topic));
    }
    if !args.label.is_empty() {
        of_source("--label", "labels", Value::Object(labels(&args.label)?));
    }
    if !args.prefix.is_empty() {
        let mut of_config = |key: &str, value: String| {
            overlays.push(Overlay::exact("--prefix", &["sources", name, "config", key], json!(value)));
        };
        match (source, args.prefix_style) {
            // This one puts it there itself.
            (AMQP_SOURCE, style) => {
                of_config("prefix", args.prefix.join(" "));
                of_config("prefix_style", style.unwrap_or(PrefixStyle::Bracketed).name().to_owned());
            }
            (_, style) => of_config("prefix", prefix(&args.prefix, style.unwrap_or(PrefixStyle::Plain))),
        }
    }
    if once && source != STDIN_SOURCE {
        overlays.push(Overlay::exact("--once", &["sources", name, "config", "once"], json!(true)));
    }
    overlays.extend(sets(&args.set)?.into_iter().map(|overlay| overlay.within_source(name)));
    Ok(overlays)
}

/// The names of files behind the word `file`, and the URLs behind those.
fn files_and_urls(words: &[String]) -> Result<(&[String], &[String]), Failure> {
    match words.split_first() {
        Some((word, rest)) if word == FILE_WORD => {
            let count = rest.iter().position(|word| word.contains("://")).unwrap_or(rest.len());
            if count == 0 {
                return Err(Failure::usage(
                    "file: no file is named; write weir forward file app.log http://…",
                ));
            }
            Ok(rest.split_at(count))
        }
        _ => Ok((&[], words)),
    }
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
            embedded: &["amqp-source", "file-source", "stdin-source"],
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
    fn the_seeds_line_consumes_its_queue() {
        let line = "forward --prefix=FREEGO_WORK --mq=amqp://user:secret@host:5672/v?heartbeat=15 tcp://host:10011 tcp://host:10021";
        let loaded = loaded(line);
        assert_eq!(loaded.problems, []);
        assert!(!loaded.shown.contains("secret"), "{}", loaded.shown);
        let config = loaded.config.unwrap();
        assert_eq!(config.forward_to, ["tcp://host:10011", "tcp://host:10021"]);
        let source = &config.sources[0];
        assert_eq!((source.name.as_str(), source.plugin.as_str()), ("amqp", "amqp-source"));
        assert_eq!(source.config, json!({ "prefix": "FREEGO_WORK", "prefix_style": "bracketed" }));
        assert_eq!(source.grants.amqp["main"].settings.queue, "q.freego_work_log.qa");
        let line =
            "forward --mq amqp://h --queue logs --prefix A --prefix B --prefix-style plain http://a:7650";
        let config = super::tests::loaded(line).config.unwrap();
        assert_eq!(config.sources[0].config, json!({ "prefix": "A B", "prefix_style": "plain" }));
        assert_eq!(
            (config.sources[0].grants.amqp["main"].settings.queue.as_str(), config.forward_spool),
            ("logs", None)
        );
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
    fn files_are_read_once_and_leave_nothing_behind() {
        let loaded = loaded("forward --topic app file a.log /l/*.gz http://a:7650 http://b:7650");
        assert_eq!(loaded.problems, []);
        let config = loaded.config.unwrap();
        assert_eq!(config.forward_to, ["http://a:7650", "http://b:7650"]);
        assert!(config.forward_spool.is_none());
        let source = &config.sources[0];
        assert_eq!((source.plugin.as_str(), source.stream.topic()), ("file-source", "app"));
        assert_eq!(source.grants.files["logs"].include, ["/w/a.log", "/l/*.gz"]);
        assert_eq!(source.config, json!({ "once": true }));
        let args = Line::try_parse_from(["forward", "file", "http://a:1"]).unwrap().args;
        assert_eq!(overlays(&args).unwrap_err().exit, Exit::Usage);
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
