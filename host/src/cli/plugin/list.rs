//! `weir plugin list`: the plugins of a node and their instances.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use weir_api::wire::{InstanceInfo, PluginInfo};

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::terminal::{Color, plain, table};

const EXAMPLES: &str = "\
Examples:
  weir plugin list
  weir plugin list --json --node http://10.0.0.5:7650";

const HEADING: [&str; 9] =
    ["PLUGIN", "KIND", "VERSION", "SHA256", "FROM", "INSTANCE", "STATE", "RECORDS", "RESTARTS"];

/// List the sources and filters of a node, and their instances
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &List, color: Color) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let plugins = block_on(async { client.plugins().await.map_err(|error| failure(&error)) })?;
    let text = if args.json {
        format!("{}\n", serde_json::json!({ "plugins": plugins }))
    } else {
        let rows: Vec<Vec<String>> = plugins.iter().flat_map(rows).collect();
        let colored = color.applies_to(std::io::stdout().is_terminal());
        table(&HEADING, &rows, colored) + &reasons(&plugins)
    };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}

/// A row for every instance; one with dashes for a plugin without any.
fn rows(plugin: &PluginInfo) -> Vec<Vec<String>> {
    let about = [
        plain(&plugin.name),
        plain(&plugin.kind),
        plugin.version.as_deref().map_or("-".to_owned(), plain),
        plain(&plugin.sha256.chars().take(12).collect::<String>()),
        plugin
            .path
            .as_deref()
            .map_or_else(|| if plugin.sent { "sent" } else { "embedded" }.to_owned(), plain),
    ];
    let row = |instance: [String; 4]| about.iter().cloned().chain(instance).collect();
    if plugin.instances.is_empty() {
        return vec![row(["-"; 4].map(str::to_owned))];
    }
    let cells = |instance: &InstanceInfo| {
        [
            plain(&instance.name),
            plain(&instance.state),
            instance.records.to_string(),
            instance.restarts.to_string(),
        ]
    };
    plugin.instances.iter().map(|instance| row(cells(instance))).collect()
}

/// Why instances do not run, below the table: reasons are too long for a column.
fn reasons(plugins: &[PluginInfo]) -> String {
    let instances = plugins.iter().flat_map(|plugin| &plugin.instances);
    let line = |instance: &InstanceInfo| {
        let reason = instance.reason.as_deref()?;
        Some(format!("\n{}: {}", plain(&instance.name), plain(reason)))
    };
    let mut text: String = instances.filter_map(line).collect();
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_has_a_row_and_its_reason_a_line() {
        let instance = |name: &str, reason: Option<&str>| InstanceInfo {
            name: name.into(),
            state: "running".into(),
            reason: reason.map(Into::into),
            records: 5,
            ..InstanceInfo::default()
        };
        let used = PluginInfo {
            name: "file-source".into(),
            kind: "source".into(),
            sha256: "0123456789abcdef".into(),
            instances: vec![instance("a", None), instance("b", Some("no\ngrant"))],
            ..PluginInfo::default()
        };
        let unused = PluginInfo { path: Some("/x.wasm".into()), instances: vec![], ..used.clone() };
        assert_eq!(
            rows(&used)[1],
            ["file-source", "source", "-", "0123456789ab", "embedded", "b", "running", "5", "0"]
        );
        assert_eq!(
            rows(&unused),
            [["file-source", "source", "-", "0123456789ab", "/x.wasm", "-", "-", "-", "-"]]
        );
        assert_eq!(reasons(&[used]), "\nb: no\u{fffd}grant\n");
        assert_eq!(reasons(&[unused]), "");
    }
}
