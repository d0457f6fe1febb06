//! From checked settings to a [`Config`]: what several settings mean together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use weir_record::Stream;
use weir_record::limits::SOURCES_MAX;

use crate::config::amqp;
use crate::config::auth::{self, asks_for_tokens};
use crate::config::check::{Checked, Named, Table};
use crate::config::cluster;
use crate::config::gossip;
use crate::config::kind::Simple;
use crate::config::place::{Gravity, Place, Problems, did_you_mean, join_path};
use crate::config::resolved::{
    Config, Durability, FilesGrant, Grants, Listen, OnFull, OnTrap, PluginConfig, PolicyConfig, QueryConfig,
    Roles, SourceConfig, Spool, StorageConfig,
};
use crate::config::schema::INSECURE_PHRASE;

/// How much emptier than `full_at` the disk must be before records are taken again, in percent.
const RESUME_BELOW_PERCENT: u8 = 2;

/// Makes the configuration. `None` when a setting it needs is invalid: then that has been told.
pub(crate) fn resolve(settings: &Table, embedded: &[&str], problems: &mut Problems) -> Option<Config> {
    let roles = cluster::roles(settings, problems);
    let peers = cluster::cluster(settings, roles, problems);
    let oklog_ingesters = cluster::oklog_ingesters(settings, roles, problems);
    let oklog_consumers = cluster::oklog_consumers(settings, roles, peers.as_ref(), problems);
    let listen = listen(settings, roles, problems);
    if let (Some(gossip), Some(listen)) = (peers.as_ref().and_then(|peers| peers.gossip.as_ref()), listen) {
        let item = settings.table("cluster").and_then(|table| table.get("gossip"));
        gossip::fits_api(item, gossip, listen, problems);
    }
    let forward_to = forward_to(settings, roles, problems);
    let auth = auth::auth(settings, peers.as_ref(), problems);
    let plugins: Vec<Option<PluginConfig>> = sorted(settings.names("plugins")).map(plugin).collect();
    let known: Vec<&str> = settings
        .names("plugins")
        .iter()
        .map(|named| named.name.as_str())
        .chain(embedded.iter().copied())
        .collect();
    let copies = peers.as_ref().is_some_and(|peers| {
        forward_to.is_empty() && peers.replication >= 2 && (!peers.peers.is_empty() || peers.gossip.is_some())
    });
    let sources: Vec<Option<SourceConfig>> =
        sorted(settings.names("sources")).map(|named| source(named, &known, copies, problems)).collect();
    sources_together(settings, problems);
    let retention = settings.table("retention").and_then(|table| cluster::retention(table, problems));
    Some(Config {
        roles: roles?,
        data_dir: path(settings.table("node")?.simple("data_dir")?)?,
        listen: listen?,
        forward_spool: forward_spool(settings.table("forward")?, &forward_to, problems).ok()?,
        forward_to,
        forward_token: auth::forward_token(settings).ok()?,
        auth: auth.ok()?,
        cluster: peers?,
        oklog_consumers: oklog_consumers?,
        oklog_ingesters,
        storage: storage(settings.table("storage")?)?,
        retention: retention?,
        query: query(settings.table("query")?)?,
        policy: policy(settings.table("policy")?)?,
        sources: sources.into_iter().collect::<Option<_>>()?,
        plugins: plugins.into_iter().collect::<Option<_>>()?,
    })
}

fn sorted(named: &[Named]) -> impl Iterator<Item = &Named> {
    let mut sorted: Vec<&Named> = named.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted.into_iter()
}

fn listen(settings: &Table, roles: Option<Roles>, problems: &mut Problems) -> Option<Listen> {
    let table = settings.table("listen")?;
    let insecure = table.get("insecure").is_some_and(|item| matches!(item.value, Checked::Simple(_)));
    // A wrong `insecure`, or TLS that this version refuses, has been told: no second complaint.
    let guarded =
        table.get("insecure").is_some() || settings.get("tls").is_some() && asks_for_tokens(settings);
    let forward_alone = roles.is_some_and(|roles| !roles.is_node());
    let takes_lines = roles.is_none_or(|roles| roles.ingest);
    let mut port = |name: &str| {
        let item = table.get(name)?;
        let Checked::Simple(simple) = &item.value else { return None };
        let Simple::Socket(address) = *simple else { return Some(None) };
        let path = join_path("listen", name);
        let wanted = if name == "api" { !forward_alone } else { takes_lines };
        if !wanted && item.place == Place::Default {
            return Some(None);
        }
        if !takes_lines && name != "api" {
            let text = "a node without the ingest role takes no lines; send them to an ingest node";
            problems.add(Gravity::NotYet, &item.place, &path, text.to_owned());
            return Some(None);
        }
        if !address.ip().to_canonical().is_loopback() && !guarded {
            public(&path, address, &item.place, problems);
        }
        Some(Some(address))
    };
    let (api, fast, durable) = (port("api"), port("fast"), port("durable"));
    let written = |name: &str| table.get(name).is_some_and(|item| item.place != Place::Default);
    let if_free = |name: &str| written("api") && !written(name);
    let (fast_if_free, durable_if_free) = (if_free("fast"), if_free("durable"));
    Some(Listen { api: api?, fast: fast?, durable: durable?, fast_if_free, durable_if_free, insecure })
}

fn public(path: &str, address: SocketAddr, place: &Place, problems: &mut Problems) {
    let text = format!(
        "expected a loopback address such as 127.0.0.1:{}, got {address}, which other machines may reach: that needs \
         [tls] and [auth], or this line in [listen]: insecure = \"{INSECURE_PHRASE}\"",
        address.port()
    );
    problems.error(place, path, text);
}

fn forward_to(settings: &Table, roles: Option<Roles>, problems: &mut Problems) -> Vec<String> {
    let Some(table) = settings.table("forward") else { return Vec::new() };
    let alone = roles.is_some_and(|roles| !roles.is_node());
    let mut urls: Vec<String> = Vec::new();
    for (place, simple) in table.list("to") {
        let Simple::Url(url) = simple else { continue };
        let why = match url.split_once("://") {
            Some(("https", _)) => {
                Some("this version has no TLS yet; ship to an http:// address on a network you trust")
            }
            Some(("tcp", _)) if !alone => Some(
                "lines go out of a process with the forward role alone; name the peer's API, such as http://host:7650",
            ),
            Some((scheme, _)) if urls.first().is_some_and(|first| !first.starts_with(scheme)) => {
                Some("records go to APIs (http://) or to line ports (tcp://), not to both; name one kind")
            }
            _ => None,
        };
        match why {
            Some(why) => problems.add(Gravity::Refused, place, "forward.to", format!("{url}: {why}")),
            None => urls.push(url.clone()),
        }
    }
    let written = table.get("to");
    if let Some(item) = written.filter(|item| matches!(&item.value, Checked::List(items) if items.is_empty()))
    {
        problems.error(&item.place, "forward.to", "expected at least one URL, got an empty list");
    }
    let roles_item = settings.table("node").and_then(|node| node.get("roles"));
    let ships = roles.is_some_and(|roles| roles.forward && !roles.ingest);
    if let (None, true, Some(item)) = (written, ships, roles_item) {
        let text =
            "expected forward.to to name the nodes to ship to, got nothing; add it, or the role ingest";
        problems.error(&item.place, "node.roles", text);
    }
    urls
}

/// A setting that was wrong; that has been told.
pub(crate) struct Told;

fn forward_spool(table: &Table, to: &[String], problems: &mut Problems) -> Result<Option<Spool>, Told> {
    let on_full = match table.simple("on_full").ok_or(Told)? {
        Simple::Choice("drop-oldest") => OnFull::DropOldest,
        _ => OnFull::Block,
    };
    let spool = table.get("spool").ok_or(Told)?;
    if to.first().is_some_and(|url| url.starts_with("tcp://")) {
        if matches!(spool.value, Checked::Simple(Simple::Bytes(_))) && spool.place != Place::Default {
            let text = "expected \"off\", got a size, with line ports in forward.to; nothing acknowledges lines, so nothing can be kept until it is";
            problems.error(&spool.place, "forward.spool", text);
            return Err(Told);
        }
        return Ok(None);
    }
    if to.is_empty() {
        return Ok(None);
    }
    match (table.simple("spool").ok_or(Told)?, on_full) {
        (Simple::Bytes(bytes), on_full) => Ok(Some(Spool { bytes: *bytes, on_full })),
        (_, OnFull::Block) => Ok(None),
        (_, OnFull::DropOldest) => {
            let text = "expected \"block\", got \"drop-oldest\" with forward.spool = \"off\"; give it a spool to drop from";
            let place = &table.get("on_full").ok_or(Told)?.place;
            problems.error(place, "forward.on_full", text);
            Err(Told)
        }
    }
}

fn storage(table: &Table) -> Option<StorageConfig> {
    let Simple::Percent(full_at_percent) = *table.simple("full_at")? else { return None };
    let seal = table.table("seal")?;
    let Simple::Bytes(piece_bytes) = *seal.simple("bytes")? else { return None };
    let Simple::DurationMs(piece_age_ms) = *seal.simple("age")? else { return None };
    let Simple::Bytes(segment_bytes) = *table.table("segments")?.simple("bytes")? else { return None };
    let resume_at_percent = full_at_percent.saturating_sub(RESUME_BELOW_PERCENT);
    Some(StorageConfig { full_at_percent, resume_at_percent, piece_bytes, piece_age_ms, segment_bytes })
}

fn query(table: &Table) -> Option<QueryConfig> {
    let timeout_ms = match *table.simple("timeout")? {
        Simple::DurationMs(timeout_ms) => Some(timeout_ms),
        Simple::Unlimited => None,
        _ => return None,
    };
    Some(QueryConfig { timeout_ms })
}

fn source(named: &Named, known: &[&str], copies: bool, problems: &mut Problems) -> Option<SourceConfig> {
    let Checked::Table(table) = &named.item.value else { return None };
    let path = join_path("sources", &named.name);
    let plugin = source_plugin(table, &path, known, problems);
    let stream = source_stream(named, table, &path, problems);
    // Every node that is valid is a store or knows some, so none of these is too much to ask.
    let grants = grants(table.table("grants")?, &path, problems);
    let durability = match table.simple("durability") {
        Some(Simple::Choice("received")) => Durability::Received,
        Some(Simple::Choice("replicated")) => Durability::Replicated,
        // A broker keeps its messages until they are safe, so nothing speaks against waiting for that.
        None if copies && table.get("durability").is_none() && holds(grants.as_ref()) => {
            Durability::Replicated
        }
        None if table.get("durability").is_some() => return None,
        _ => Durability::Stored,
    };
    let config = match table.get("config").map(|item| &item.value) {
        Some(Checked::Free(node)) => node.to_json()?,
        Some(_) => return None,
        None => serde_json::Value::Object(serde_json::Map::new()),
    };
    Some(SourceConfig {
        name: named.name.clone(),
        plugin: plugin?,
        stream: stream?,
        durability,
        grants: grants?,
        config,
        place: named.name_place.to_string(),
    })
}

fn source_plugin(table: &Table, path: &str, known: &[&str], problems: &mut Problems) -> Option<String> {
    let Simple::Text(plugin) = table.simple("plugin")? else { return None };
    if known.contains(&plugin.as_str()) {
        return Some(plugin.clone());
    }
    let place = &table.get("plugin")?.place;
    let path = join_path(path, "plugin");
    let mut text = format!("expected one of {}, got {plugin:?}", known.join(", "));
    let _ = match did_you_mean(plugin, known.iter().copied()) {
        Some(near) => write!(text, "; did you mean `{near}`?"),
        None => write!(text, "; a plugin of your own needs a table [plugins.{plugin}] with its path"),
    };
    problems.error(place, &path, text);
    None
}

fn source_stream(named: &Named, table: &Table, path: &str, problems: &mut Problems) -> Option<Stream> {
    let (topic, place) = match table.get("topic") {
        None => (named.name.as_str(), &named.name_place),
        Some(item) => match &item.value {
            Checked::Simple(Simple::Text(topic)) => (topic.as_str(), &item.place),
            _ => return None,
        },
    };
    let labels = table.names("labels");
    let mut valid = Vec::with_capacity(labels.len());
    for label in labels {
        let Checked::Simple(Simple::Text(value)) = &label.item.value else { return None };
        valid.push((label.name.as_str(), value.as_str()));
    }
    match Stream::new(topic, valid) {
        Ok(stream) => Some(stream),
        Err(error) => {
            problems.error(place, &join_path(path, "topic"), error.to_string());
            None
        }
    }
}

/// Whether somebody outside keeps what a source has not acknowledged.
fn holds(grants: Option<&Grants>) -> bool {
    grants.is_some_and(|grants| !grants.amqp.is_empty())
}

fn grants(table: &Table, path: &str, problems: &mut Problems) -> Option<Grants> {
    let amqp = amqp::grants(table, path, problems);
    let mut files = BTreeMap::new();
    for named in table.names("files") {
        let Checked::Table(grant) = &named.item.value else { return None };
        let globs = |name: &str| {
            grant
                .list(name)
                .filter_map(|(_, simple)| match simple {
                    Simple::Glob(glob) => Some(glob.clone()),
                    _ => None,
                })
                .collect()
        };
        files.insert(named.name.clone(), FilesGrant { include: globs("include"), exclude: globs("exclude") });
    }
    let stdin = matches!(table.simple("stdin")?, Simple::Bool(true));
    Some(Grants { amqp: amqp?, files, stdin })
}

/// What one process has once can be granted once.
fn sources_together(settings: &Table, problems: &mut Problems) {
    let sources = settings.names("sources");
    if let Some(one_too_many) = sources.get(SOURCES_MAX) {
        let text = format!("expected at most {SOURCES_MAX} sources, got {}", sources.len());
        problems.error(&one_too_many.name_place, "sources", text);
    }
    let mut holder: Option<&str> = None;
    for named in sorted(sources) {
        let Checked::Table(table) = &named.item.value else { continue };
        let Some(grants) = table.table("grants") else { continue };
        if grants.simple("stdin") != Some(&Simple::Bool(true)) {
            continue;
        }
        if let (Some(first), Some(item)) = (holder, grants.get("stdin")) {
            let path = format!("{}.grants.stdin", join_path("sources", &named.name));
            let text =
                format!("expected one source with the standard input, got a second beside sources.{first}");
            problems.error(&item.place, &path, text);
        }
        holder = holder.or(Some(&named.name));
    }
}

fn policy(table: &Table) -> Option<PolicyConfig> {
    let Simple::Bool(ad_hoc_filters) = *table.simple("ad_hoc_filters")? else { return None };
    let digest = |(_, simple): (&Place, &Simple)| match simple {
        Simple::Digest(digest) => Some(*digest),
        _ => None,
    };
    let key = |(_, simple): (&Place, &Simple)| match simple {
        Simple::PublicKey(key) => Some(*key),
        _ => None,
    };
    Some(PolicyConfig {
        filters: table.list("filters").filter_map(digest).collect(),
        keys: table.list("keys").filter_map(key).collect(),
        ad_hoc_filters,
    })
}

fn plugin(named: &Named) -> Option<PluginConfig> {
    let Checked::Table(table) = &named.item.value else { return None };
    let limits = table.table("limits")?;
    let Simple::Bytes(memory) = *limits.simple("memory")? else { return None };
    let Simple::DurationMs(call_ms) = *limits.simple("call")? else { return None };
    let sha256 = match table.get("sha256").map(|item| &item.value) {
        None => None,
        Some(Checked::Simple(Simple::Digest(digest))) => Some(*digest),
        Some(_) => return None,
    };
    let on_trap = match table.simple("on_trap")? {
        Simple::Choice("pass") => OnTrap::Pass,
        Simple::Choice("drop") => OnTrap::Drop,
        Simple::Choice("stop") => OnTrap::Stop,
        _ => OnTrap::Restart,
    };
    Some(PluginConfig {
        name: named.name.clone(),
        path: path(table.simple("path")?)?,
        sha256,
        memory_bytes: usize::try_from(memory).ok()?,
        call_ms,
        on_trap,
        place: named.name_place.to_string(),
    })
}

fn path(simple: &Simple) -> Option<PathBuf> {
    match simple {
        Simple::Path(path) => Some(path.clone()),
        _ => None,
    }
}
