//! `weir plugin inspect`: what a component is, wants and takes.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Args;
use weir_node::{PluginNeed, PluginSummary};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::told;
use crate::cli::terminal::plain;
use crate::embedded;

const EXAMPLES: &str = "\
The component is checked, compiled and asked what it is; nothing else of it runs.

Examples:
  weir plugin inspect file-source
  weir plugin inspect ./my_source.wasm --json";

/// Show what a plugin is, imports, needs and takes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// A component file, or the name of an embedded plugin
    #[arg(value_name = "FILE|NAME")]
    plugin: String,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Inspect) -> Result<Exit, Failure> {
    let embedded = embedded::PLUGINS.iter().find(|plugin| plugin.name == args.plugin);
    let bytes = match embedded {
        Some(plugin) => plugin.bytes.to_vec(),
        None => std::fs::read(&args.plugin).map_err(|error| {
            let (why, names) = (told(&error), embedded::names().join(", "));
            Failure::failed(format!("read {}: {why}; name a component file, or one of {names}", args.plugin))
        })?,
    };
    let summary =
        weir_node::inspect(&args.plugin, bytes).map_err(|error| Failure::failed(error.to_string()))?;
    let text = if args.json { format!("{}\n", serde_json::json!(summary)) } else { text(&summary) };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}

fn text(summary: &PluginSummary) -> String {
    let mut out = String::new();
    let PluginSummary { name, version, summary: line, kind, sha256, imports, needs, schema } = summary;
    let _ = writeln!(out, "{} {} ({kind})", plain(name), plain(version));
    let _ = writeln!(out, "{}", plain(line));
    let _ = writeln!(out, "sha256  {sha256}");
    section(
        &mut out,
        "imports",
        "nothing: it can reach nothing",
        imports.iter().map(|import| meaning(import)),
    );
    section(&mut out, "needs", "no grant", needs.iter().map(need));
    match schema.as_ref().map(serde_json::to_string_pretty) {
        Some(Ok(schema)) => section(&mut out, "settings, as JSON Schema", "", schema.lines().map(plain)),
        _ => section(&mut out, "settings", "none", std::iter::empty()),
    }
    out
}

fn section(out: &mut String, heading: &str, nothing: &str, lines: impl Iterator<Item = String>) {
    let _ = write!(out, "\n{heading}:\n");
    let mut empty = true;
    for line in lines {
        let _ = writeln!(out, "  {line}");
        empty = false;
    }
    if empty {
        let _ = writeln!(out, "  {nothing}");
    }
}

/// What an imported interface lets a plugin do.
fn meaning(import: &str) -> String {
    let can = match import {
        "amqp" => "consumes the queues of its grants, over the node's connections",
        "files" => "reads the files of its grants, and no others",
        "stdin" => "reads the standard input, if granted",
        "log" => "writes lines to the node's log",
        "metrics" => "defines metrics of its own",
        "timing" => "reads the clock and waits",
        "receipts" => "holds receipts, which only the node can acknowledge",
        "types" => "shares the shapes of records and errors",
        _ => "is an interface of its own kind",
    };
    format!("{:<9} {can}", plain(import))
}

fn need(need: &PluginNeed) -> String {
    let grant = if need.name.is_empty() {
        format!("grants.{}", need.capability)
    } else {
        format!("grants.{}.{}", need.capability, need.name)
    };
    let weight = if need.required { "required" } else { "optional" };
    plain(&format!("{grant} ({weight}): {}", need.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_in_words() {
        let need = |name: &str, required| PluginNeed {
            capability: "files".into(),
            name: name.into(),
            reason: "to follow logs".into(),
            required,
        };
        let summary = PluginSummary {
            name: "file-source".into(),
            version: "0.1.0".into(),
            summary: "Follows files".into(),
            kind: "source",
            sha256: "ab".into(),
            imports: vec!["files".into(), "log".into()],
            needs: vec![need("logs", true), need("", false)],
            schema: Some(serde_json::json!({ "type": "object" })),
        };
        assert_eq!(
            text(&summary),
            "file-source 0.1.0 (source)\nFollows files\nsha256  ab\n\nimports:\n  \
             files     reads the files of its grants, and no others\n  \
             log       writes lines to the node's log\n\nneeds:\n  \
             grants.files.logs (required): to follow logs\n  grants.files (optional): to follow logs\n\n\
             settings, as JSON Schema:\n  {\n    \"type\": \"object\"\n  }\n"
        );
        let bare = PluginSummary { imports: vec![], needs: vec![], schema: None, ..summary };
        assert!(text(&bare).ends_with(
            "imports:\n  nothing: it can reach nothing\n\nneeds:\n  no grant\n\nsettings:\n  none\n"
        ));
    }
}
