//! How a node finds the others by gossip.

use std::net::{IpAddr, SocketAddr};

use weir_record::limits::GOSSIP_ZONE_BYTES_MAX;

use crate::config::check::{Item, Table};
use crate::config::kind::Simple;
use crate::config::place::{Gravity, Place, Problems};
use crate::config::resolved::{Gossip, Listen, Roles};

/// The settings of gossip; `None` without `cluster.gossip`.
pub(crate) fn gossip(table: &Table, roles: Option<Roles>, problems: &mut Problems) -> Option<Gossip> {
    let text = |name| match table.simple(name) {
        Some(Simple::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let join: Vec<String> = table
        .list("join")
        .filter_map(|(_, simple)| match simple {
            Simple::Text(address) => Some(address.clone()),
            _ => None,
        })
        .collect();
    let Some(Simple::Socket(bind)) = table.simple("gossip") else {
        // One that is wrong has been told.
        if table.get("gossip").is_none() {
            for name in ["join", "advertise"] {
                let Some(item) = table.get(name) else { continue };
                let text = "expected cluster.gossip beside it, got none; add gossip = \"0.0.0.0:7659\"";
                problems.error(&item.place, &format!("cluster.{name}"), text);
            }
        }
        return None;
    };
    if roles.is_some_and(|roles| !roles.is_node()) {
        let place = &table.get("gossip")?.place;
        let text = "a process with the forward role alone takes no part in gossip; it ships to forward.to";
        problems.add(Gravity::NotYet, place, "cluster.gossip", text.to_owned());
        return None;
    }
    let advertise = text("advertise");
    if let Some(host) = advertise.as_deref().filter(|host| !is_host(host)) {
        let text = format!(
            "expected an IP address or host name without scheme and port, at which other nodes reach this one, got {host:?}"
        );
        problems.error(&table.get("advertise")?.place, "cluster.advertise", text);
    }
    if let Some(zone) = text("zone").filter(|zone| zone.len() > GOSSIP_ZONE_BYTES_MAX) {
        let text = format!(
            "expected at most {GOSSIP_ZONE_BYTES_MAX} bytes where nodes tell each other by gossip, got {}",
            zone.len()
        );
        problems.error(&table.get("zone")?.place, "cluster.zone", text);
    }
    if !is_local(*bind) && table.get("key_file").is_none() {
        let text = format!(
            "expected cluster.key_file beside an address that other machines may reach, got {bind} and no key: nodes \
             answer each other beyond loopback only by a key; make one with: openssl rand -base64 32"
        );
        problems.error(&table.get("gossip")?.place, "cluster.gossip", text);
    }
    Some(Gossip { bind: *bind, name: text("name").unwrap_or_default(), advertise, join })
}

/// Others are told to ask the API: it must be where they can.
pub(crate) fn fits_api(item: Option<&Item>, gossip: &Gossip, listen: Listen, problems: &mut Problems) {
    let (Some(item), Some(api)) = (item, listen.api) else { return };
    if !is_local(gossip.bind) && is_local(api) && item.place != Place::Default {
        let text = format!(
            "expected listen.api to be where the other nodes can reach it, too, got {api}; set listen.api = \"0.0.0.0:{}\"",
            api.port()
        );
        problems.error(&item.place, "cluster.gossip", text);
    }
}

fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// An IP address that means one machine, or a name.
fn is_host(text: &str) -> bool {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return !ip.is_unspecified() && !ip.is_multicast();
    }
    let name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    (1..=100).contains(&text.len()) && text.bytes().all(name)
}
