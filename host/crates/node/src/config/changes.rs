//! What is different in another configuration, and what a running process can do about it.

use std::collections::BTreeMap;

use crate::config::resolved::{Config, Durability, PluginConfig, SourceConfig};

/// Differences between the configuration in force and another one. Names are sorted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources that only the new one has.
    pub(crate) added: Vec<String>,
    /// Sources with other settings, or whose plugin has others.
    pub(crate) changed: Vec<String>,
    /// Sources that only the old one has.
    pub(crate) removed: Vec<String>,
    /// Settings, as the operator calls them, that count from the next start of the process.
    pub(crate) waiting: Vec<&'static str>,
}

/// Compares them. Where something was written does not count. The files that settings name are not looked into.
pub(crate) fn changes(old: &Config, new: &Config) -> Changes {
    let (before, after) = (by_name(&old.sources), by_name(&new.sources));
    let is_same = |name: &str, other: &SourceConfig| {
        before.get(name).is_some_and(|source| {
            same_source(source, other) && same_plugin(plugin(old, &source.plugin), plugin(new, &other.plugin))
        })
    };
    let named = |names: &mut dyn Iterator<Item = &&str>| names.map(|name| (*name).to_owned()).collect();
    Changes {
        added: named(&mut after.keys().filter(|name| !before.contains_key(**name))),
        changed: named(
            &mut after
                .iter()
                .filter(|(name, source)| before.contains_key(**name) && !is_same(name, source))
                .map(|(name, _)| name),
        ),
        removed: named(&mut before.keys().filter(|name| !after.contains_key(**name))),
        waiting: waiting(old, new),
    }
}

/// What a process that began with `started`, and does what `old` says, does when it is given `new`: sources, plugins
/// and policy are the new ones, all else is as it began. How far records go by default follows from the cluster, which is as it
/// began, too.
pub(crate) fn in_force(started: &Config, old: &Config, mut new: Config) -> Config {
    let waiting = waiting(started, &new);
    if waiting.iter().any(|setting| matches!(*setting, "cluster" | "forward.to")) {
        let before = by_name(&old.sources);
        for source in &mut new.sources {
            if let Some(old) = before.get(source.name.as_str()) {
                source.durability = old.durability;
            }
        }
    }
    Config { sources: new.sources, plugins: new.plugins, policy: new.policy, ..started.clone() }
}

fn by_name(sources: &[SourceConfig]) -> BTreeMap<&str, &SourceConfig> {
    sources.iter().map(|source| (source.name.as_str(), source)).collect()
}

fn plugin<'a>(config: &'a Config, name: &str) -> Option<&'a PluginConfig> {
    config.plugins.iter().find(|plugin| plugin.name == name)
}

fn same_source(a: &SourceConfig, b: &SourceConfig) -> bool {
    let SourceConfig { name, plugin, stream, durability, grants, config, place: _ } = a;
    (name, plugin, stream, durability, grants, config)
        == (&b.name, &b.plugin, &b.stream, &b.durability, &b.grants, &b.config)
}

/// Whether two tables of a plugin say the same; none of both is the embedded one.
fn same_plugin(a: Option<&PluginConfig>, b: Option<&PluginConfig>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() && b.is_none() };
    let PluginConfig { name, path, sha256, memory_bytes, call_ms, on_trap, place: _ } = a;
    (name, path, sha256, memory_bytes, call_ms, on_trap)
        == (&b.name, &b.path, &b.sha256, &b.memory_bytes, &b.call_ms, &b.on_trap)
}

fn waiting(old: &Config, new: &Config) -> Vec<&'static str> {
    // All of them are named here, so that the next setting is not forgotten.
    let Config {
        roles,
        data_dir,
        listen,
        forward_to,
        forward_token,
        auth,
        cluster,
        forward_spool,
        oklog_consumers,
        oklog_ingesters,
        storage,
        retention,
        query,
        policy: _,
        sources: _,
        plugins: _,
    } = old;
    // A journal does not tell whose a batch is: all are sent as the most demanding source wants.
    let strongest = |config: &Config| config.sources.iter().map(|source| source.durability).max();
    let journaled = forward_spool.is_some() && strongest(old).max(Some(Durability::Stored)) < strongest(new);
    let differs = [
        ("node.roles", *roles != new.roles),
        ("node.data_dir", *data_dir != new.data_dir),
        ("listen", *listen != new.listen),
        ("forward.to", *forward_to != new.forward_to),
        ("forward.token", *forward_token != new.forward_token),
        ("auth", *auth != new.auth),
        ("forward.spool", *forward_spool != new.forward_spool),
        ("durability above all others, for what is in forward.spool", journaled),
        ("cluster", *cluster != new.cluster),
        ("oklog", (oklog_consumers, oklog_ingesters) != (&new.oklog_consumers, &new.oklog_ingesters)),
        ("storage", *storage != new.storage),
        ("retention", *retention != new.retention),
        ("query", *query != new.query),
    ];
    differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFile, Input, load};

    const PLAIN: &str = r#"
        [sources.a]
        plugin = "file-source"
        grants.files.logs = { include = ["/a"] }
        [sources.b]
        plugin = "mine"
        labels = { env = "prod" }
        config = { n = 1 }
        [plugins.mine]
        path = "/mine.wasm"
        [plugins.other]
        path = "/other.wasm"
    "#;

    fn config(text: &str) -> Config {
        let file = ConfigFile { name: "weir.toml", dir: "/w".as_ref(), bytes: text.as_bytes() };
        let input = Input {
            file: Some(file),
            overlays: &[],
            env: &|_| None,
            working_dir: "/w".as_ref(),
            embedded: &["file-source"],
        };
        let loaded = load(&input);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    fn told(old: &str, new: &str) -> String {
        let Changes { added, changed, removed, waiting } = changes(&config(old), &config(new));
        let lists = [("+", added), ("~", changed), ("-", removed)];
        let waiting = waiting.into_iter().map(|setting| format!("!{setting}"));
        let names = lists
            .into_iter()
            .flat_map(|(mark, names)| names.into_iter().map(move |name| format!("{mark}{name}")));
        names.chain(waiting).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let more = |more: &str| format!("{more}\n{PLAIN}");
        let other = |from: &str, to: &str| {
            assert!(PLAIN.contains(from), "{from}");
            PLAIN.replace(from, to)
        };
        let c = "\n[sources.c]\nplugin = \"file-source\"\n";
        for (new, want) in [
            (PLAIN.to_owned(), ""),
            (more("# a comment that moves all lines"), ""),
            (format!("{PLAIN}{c}"), "+c"),
            (other("[sources.a]", "[sources.c]"), "+c -a"),
            (other("/a", "/aa"), "~a"),
            (other("n = 1", "n = 2"), "~b"),
            (other("env = \"prod\"", "env = \"test\""), "~b"),
            (other("labels", "durability = \"received\"\nlabels"), "~b"),
            (other("plugin = \"mine\"", "plugin = \"other\""), "~b"),
            (other("/mine.wasm\"", "/mine.wasm\"\nlimits = { call = \"70ms\" }"), "~b"),
            (other("/mine.wasm", "/new.wasm"), "~b"),
            (other("/other.wasm", "/new.wasm"), ""),
            (format!("{PLAIN}\n[plugins.file-source]\npath = \"/f.wasm\"\n"), "~a"),
            (more("query.timeout = \"3s\"\nlisten.api = \"127.0.0.1:1\""), "!listen !query"),
            (more("retention.age = \"2d\"\nstorage.full_at = \"90%\""), "!storage !retention"),
            (more("node.data_dir = \"/d\"\ncluster.zone = \"z\""), "!node.data_dir !cluster"),
        ] {
            assert_eq!(told(PLAIN, &new), want, "{new}");
        }
        assert_eq!(told(&format!("{PLAIN}{c}"), PLAIN), "-c");
    }

    #[test]
    fn sources_come_into_force_and_what_needs_a_start_does_not() {
        let (old, new) = (config(PLAIN), config(&PLAIN.replace("n = 1", "n = 2")));
        let mut other = new.clone();
        other.data_dir = "/elsewhere".into();
        assert_eq!(in_force(&old, &old, other), new);
        // It follows from how many stores there are.
        let mut clustered = new.clone();
        clustered.cluster.replication = 2;
        clustered.sources[0].durability = Durability::Replicated;
        assert_eq!(in_force(&old, &old, clustered), new);
    }
}
