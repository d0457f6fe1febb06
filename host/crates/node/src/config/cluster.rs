//! What a node is among others: its roles, its peers, the ages that topics have.

use weir_record::limits::{HOLDINGS_QUIET_MS_DEFAULT, REPAIR_AFTER_MS_DEFAULT};

use crate::config::check::{Checked, Table};
use crate::config::gossip::gossip;
use crate::config::kind::Simple;
use crate::config::place::Problems;
use crate::config::resolved::{Cluster, Retention, RetentionRule, Roles};

/// Copies of every record where there are other nodes and nothing else is written.
const REPLICATION_DEFAULT: usize = 2;

pub(crate) fn roles(settings: &Table, problems: &mut Problems) -> Option<Roles> {
    let node = settings.table("node")?;
    let has = |role| node.list("roles").any(|(_, simple)| *simple == Simple::Choice(role));
    let ships = settings.table("forward").is_some_and(|forward| forward.get("to").is_some());
    let roles = Roles {
        ingest: has("ingest"),
        store: has("store"),
        query: has("query"),
        forward: has("forward") || ships,
    };
    let item = node.get("roles")?;
    let Checked::List(items) = &item.value else { return None };
    if items.iter().any(|item| matches!(item.value, Checked::Invalid)) {
        return None;
    }
    if roles.names().next().is_none() {
        problems.error(&item.place, "node.roles", "expected at least one role, got an empty list");
        return None;
    }
    let feeds = settings.names("sources").first().filter(|_| !roles.ingest && !roles.forward);
    if let Some(source) = feeds {
        let text = "expected somewhere to send records to, got neither the role ingest nor forward.to";
        problems.error(&source.name_place, &format!("sources.{}", source.name), text);
    }
    Some(roles)
}

pub(crate) fn cluster(settings: &Table, roles: Option<Roles>, problems: &mut Problems) -> Option<Cluster> {
    let table = settings.table("cluster");
    let mut peers = Vec::new();
    for (_, simple) in table.into_iter().flat_map(|table| table.list("peers")) {
        let Simple::Url(url) = simple else { continue };
        if !peers.contains(url) {
            peers.push(url.clone());
        }
    }
    let lacks_others = roles.is_some_and(|roles| {
        // A store without an ingest node has nothing to pull from, a query node nobody to ask.
        match (roles.ingest, roles.store) {
            (true, true) => false,
            (true, false) => roles.query,
            (false, _) => roles.store || roles.query,
        }
    });
    let gossip = table.and_then(|table| gossip(table, roles, problems));
    let is_alone = peers.is_empty() && gossip.is_none();
    if lacks_others && is_alone {
        let item = settings.table("node")?.get("roles")?;
        let text = "expected cluster.gossip or cluster.peers to find the other nodes, got neither; this node has not \
                    all of the roles ingest, store and query and needs them";
        problems.error(&item.place, "node.roles", text);
    }
    let replication = match table.and_then(|table| table.simple("replication")) {
        Some(Simple::Integer(copies)) => usize::try_from(*copies).ok()?,
        _ if is_alone => 1,
        _ => REPLICATION_DEFAULT,
    };
    let repair_after_ms = match table.and_then(|table| table.simple("repair_after")) {
        Some(Simple::DurationMs(ms)) => *ms,
        _ => REPAIR_AFTER_MS_DEFAULT,
    };
    let quiet_after_ms = match table.and_then(|table| table.simple("quiet_after")) {
        Some(Simple::DurationMs(ms)) => *ms,
        _ => HOLDINGS_QUIET_MS_DEFAULT,
    };
    let repair_bytes_per_s = match table.and_then(|table| table.simple("repair_bytes_per_s")) {
        Some(Simple::Bytes(bytes)) => Some(*bytes),
        _ => None,
    };
    let zone = match table.and_then(|table| table.simple("zone")) {
        Some(Simple::Text(zone)) => Some(zone.clone()),
        _ => None,
    };
    let key_file = match table.and_then(|table| table.simple("key_file")) {
        Some(Simple::Path(path)) => Some(path.clone()),
        _ => None,
    };
    Some(Cluster {
        peers,
        gossip,
        replication,
        repair_after_ms,
        quiet_after_ms,
        repair_bytes_per_s,
        zone,
        key_file,
    })
}

/// Whether stores of OK Log may take records away. What one of them has committed is here no more, so the node must not
/// owe it to stores of weir.
pub(crate) fn oklog_consumers(
    settings: &Table,
    roles: Option<Roles>,
    cluster: Option<&Cluster>,
    problems: &mut Problems,
) -> Option<bool> {
    let table = settings.table("oklog")?;
    let Simple::Bool(consumers) = *table.simple("consumers")? else { return None };
    let (roles, cluster) = (roles?, cluster?);
    let why = if !consumers {
        None
    } else if !roles.ingest {
        Some("expected false, got true: a node without the role ingest has nothing to hand out")
    } else if roles.store {
        Some("expected false, got true: a node with the role store takes the records itself")
    } else if cluster.has_others() {
        Some(
            "expected false, got true: with cluster.peers or cluster.gossip the records go to stores of weir",
        )
    } else {
        None
    };
    if let Some(why) = why {
        problems.error(&table.get("consumers")?.place, "oklog.consumers", why);
    }
    Some(consumers)
}

/// Ingesters of OK Log to consume from.
pub(crate) fn oklog_ingesters(
    settings: &Table,
    roles: Option<Roles>,
    problems: &mut Problems,
) -> Vec<String> {
    let mut urls = Vec::new();
    for (place, simple) in settings.table("oklog").into_iter().flat_map(|table| table.list("ingesters")) {
        let Simple::Url(url) = simple else { continue };
        if roles.is_some_and(|roles| !roles.ingest) {
            let text = "expected nothing, got an ingester: a node without the role ingest has no log to put its segments into";
            problems.error(place, "oklog.ingesters", text);
            break;
        } else if !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    urls
}

pub(crate) fn retention(table: &Table, problems: &mut Problems) -> Option<Retention> {
    let age_ms = match *table.simple("age")? {
        Simple::DurationMs(ms) => Some(ms),
        _ => None,
    };
    let bytes = match *table.simple("bytes")? {
        Simple::Bytes(bytes) => Some(bytes),
        _ => None,
    };
    let mut rules: Vec<RetentionRule> = Vec::new();
    let items = match table.get("rules").map(|item| &item.value) {
        Some(Checked::List(items)) => items.as_slice(),
        Some(Checked::Invalid) => return None,
        _ => &[],
    };
    for item in items {
        let Checked::Table(rule) = &item.value else { return None };
        let (Some(Simple::Text(topic)), Some(Simple::DurationMs(age_ms))) =
            (rule.simple("topic"), rule.simple("age"))
        else {
            return None;
        };
        if rules.iter().any(|rule| rule.topic == *topic) {
            let text = format!("expected one rule for each topic, got a second for {topic:?}");
            problems.error(&item.place, "retention.rules", text);
            continue;
        }
        rules.push(RetentionRule { topic: topic.clone(), class: class_of(topic), age_ms: *age_ms });
    }
    Some(Retention { age_ms, bytes, rules })
}

/// The retention class of a topic that has a rule. It depends on the topic alone, so that a rule may come, go and
/// change its age while units keep their names.
fn class_of(topic: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    if topic.len() <= 60 && topic.bytes().all(plain) {
        return format!("t-{topic}");
    }
    // FNV-1a.
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("h-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_class_that_a_unit_can_carry() {
        for (topic, class) in [("debug", "t-debug"), ("default", "t-default"), ("a.b", "h-e61d99190466522c")]
        {
            assert_eq!(class_of(topic), class);
        }
        let long = "x".repeat(255);
        assert!(weir_segment::Unit::new(0, 1, &class_of(&long), 0, 1).is_ok());
    }
}
