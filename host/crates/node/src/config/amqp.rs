//! Grants of queues.

use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_amqp::{Argument, Binding, DeadLetter, Declare, QueueType, Settings, StreamOffset};

use crate::config::check::{Checked, Named, Table};
use crate::config::kind::Simple;
use crate::config::place::{Problems, join_path};
use crate::config::resolved::{AmqpGrant, AmqpTls, Secret};

/// All of one source.
pub(crate) fn grants(
    table: &Table,
    source_path: &str,
    problems: &mut Problems,
) -> Option<BTreeMap<String, AmqpGrant>> {
    let path = join_path(&join_path(source_path, "grants"), "amqp");
    let all = table.names("amqp").iter();
    // Every grant is looked at, so that all mistakes are told.
    let all: Vec<_> = all.map(|named| (named.name.clone(), grant(named, &path, problems))).collect();
    all.into_iter().map(|(name, grant)| Some((name, grant?))).collect()
}

fn grant(named: &Named, above: &str, problems: &mut Problems) -> Option<AmqpGrant> {
    let Checked::Table(table) = &named.item.value else { return None };
    let path = join_path(above, &named.name);
    let hosts: Vec<String> = texts(table, "hosts");
    let uri = match table.simple("uri")? {
        Simple::Secret(uri) => Secret::Inline(uri.clone()),
        Simple::Path(path) => Secret::File(path.clone()),
        _ => return None,
    };
    let mut complain = |key: &str, text: String| {
        let place = table.get(key).map_or(&named.name_place, |item| &item.place);
        problems.error(place, &join_path(&path, key), text);
    };
    if let Secret::Inline(text) = &uri
        && let Err(error) = weir_amqp::check_uri(text, &hosts)
    {
        complain("uri", error.to_string());
        return None;
    }
    let queue_type = match table.simple("queue_type") {
        Some(Simple::Choice("classic")) => Some(QueueType::Classic),
        Some(Simple::Choice("quorum")) => Some(QueueType::Quorum),
        Some(Simple::Choice("stream")) => Some(QueueType::Stream),
        _ => None,
    };
    let consumers = integer(table, "consumers")?;
    if queue_type == Some(QueueType::Stream) && consumers > 1 {
        complain(
            "consumers",
            format!("expected 1 with queue_type = \"stream\", whose place is kept once, got {consumers}"),
        );
    }
    let stream_offset = match table.simple("stream_offset") {
        Some(Simple::Choice("last")) => Some(StreamOffset::Last),
        Some(Simple::Choice("next")) => Some(StreamOffset::Next),
        Some(Simple::Choice(_)) => Some(StreamOffset::First),
        _ => None,
    };
    if stream_offset.is_some() && queue_type != Some(QueueType::Stream) {
        complain("stream_offset", "expected queue_type = \"stream\" beside it, got another queue".to_owned());
    }
    let settings = Settings {
        queue: text(table, "queue")?,
        declare: match table.simple("declare")? {
            Simple::Choice("no") => Declare::No,
            Simple::Choice("active") => Declare::Active,
            _ => Declare::Passive,
        },
        queue_type,
        durable: flag(table, "durable")?,
        arguments: arguments(table, &mut complain)?,
        bindings: bindings(table)?,
        single_active_consumer: flag(table, "single_active_consumer")?,
        exclusive: flag(table, "exclusive")?,
        priority: integer(table, "priority").and_then(|priority| i32::try_from(priority).ok()),
        consumers: usize::try_from(consumers).ok()?,
        prefetch: u16::try_from(integer(table, "prefetch")?).ok()?,
        prefetch_bytes: bytes(table, "prefetch_bytes")?,
        heartbeat_s: u16::try_from(duration_ms(table, "heartbeat")? / 1000).ok()?,
        connect_timeout_ms: duration_ms(table, "connect_timeout")?,
        stream_offset,
        dead_letter: dead_letter(table),
        hold_timeout_ms: duration_ms(table, "hold_timeout")?,
        message_bytes_max: usize::try_from(bytes(table, "message_bytes")?).ok()?,
    };
    let (consumer_tag, connection_name) = (text(table, "consumer_tag"), text(table, "connection_name"));
    let tls = tls(table.table("tls")?, &mut complain)?;
    Some(AmqpGrant { uri, hosts, consumer_tag, connection_name, tls, settings })
}

fn arguments(table: &Table, complain: &mut impl FnMut(&str, String)) -> Option<Vec<(String, Argument)>> {
    let Some(item) = table.get("arguments") else { return Some(Vec::new()) };
    let Checked::Free(node) = &item.value else { return None };
    let json = node.to_json()?;
    let mut out = Vec::new();
    for (name, value) in json.as_object()? {
        let argument = match value {
            serde_json::Value::String(text) => Argument::Text(text.clone()),
            serde_json::Value::Number(number) if number.is_i64() => Argument::Number(number.as_i64()?),
            serde_json::Value::Bool(yes) => Argument::Bool(*yes),
            _ => {
                complain("arguments", format!("expected a text, a whole number, true or false for {name}"));
                return None;
            }
        };
        out.push((name.clone(), argument));
    }
    Some(out)
}

fn bindings(table: &Table) -> Option<Vec<Binding>> {
    let items = match table.get("bindings").map(|item| &item.value) {
        None => return Some(Vec::new()),
        Some(Checked::List(items)) => items,
        Some(_) => return None,
    };
    let binding = |item: &crate::config::check::Item| {
        let Checked::Table(table) = &item.value else { return None };
        let routing_key = text(table, "routing_key").unwrap_or_default();
        Some(Binding { exchange: text(table, "exchange")?, routing_key })
    };
    items.iter().map(binding).collect()
}

fn tls(table: &Table, complain: &mut impl FnMut(&str, String)) -> Option<AmqpTls> {
    let file = |key: &str| match table.simple(key) {
        Some(Simple::Path(path)) => Some(path.clone()),
        _ => None,
    };
    let client: Option<(PathBuf, PathBuf)> = match (file("cert"), file("key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            complain("tls", "expected cert and key together, got one of them".to_owned());
            return None;
        }
    };
    Some(AmqpTls { ca: file("ca"), client, server_name: text(table, "server_name") })
}

fn dead_letter(table: &Table) -> Option<DeadLetter> {
    let table = table.table("dead_letter")?;
    let (exchange, routing_key) = (text(table, "exchange"), text(table, "routing_key"));
    if exchange.is_none() && routing_key.is_none() {
        return None;
    }
    Some(DeadLetter { exchange: exchange.unwrap_or_default(), routing_key })
}

fn text(table: &Table, key: &str) -> Option<String> {
    match table.simple(key)? {
        Simple::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let of = |(_, simple): (_, &Simple)| match simple {
        Simple::Text(text) => Some(text.clone()),
        _ => None,
    };
    table.list(key).filter_map(of).collect()
}

fn integer(table: &Table, key: &str) -> Option<i64> {
    match *table.simple(key)? {
        Simple::Integer(number) => Some(number),
        _ => None,
    }
}

fn flag(table: &Table, key: &str) -> Option<bool> {
    match *table.simple(key)? {
        Simple::Bool(yes) => Some(yes),
        _ => None,
    }
}

fn bytes(table: &Table, key: &str) -> Option<u64> {
    match *table.simple(key)? {
        Simple::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn duration_ms(table: &Table, key: &str) -> Option<u64> {
    match *table.simple(key)? {
        Simple::DurationMs(ms) => Some(ms),
        _ => None,
    }
}
