//! What others are told to reach this node by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use super::GossipError;
use crate::config;

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where nobody is: the way there tells which address of this machine faces the world. Nothing is sent.
const NOWHERE_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7659);
const NOWHERE_V6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 7659);

/// The addresses.
pub(super) struct Advertised {
    /// For datagrams.
    pub(super) gossip: SocketAddr,
    /// For the API.
    pub(super) url: String,
}

/// What is written; else the bound address, if it is one; else the address of this machine on the way to the first of
/// those that it joins; else on the way to the world.
pub(super) async fn advertised(
    config: &config::Gossip,
    bound: SocketAddr,
    api: SocketAddr,
    scheme: &str,
) -> Result<Advertised, GossipError> {
    let written = match &config.advertise {
        Some(host) => Some(resolve(host, bound).await?),
        None => None,
    };
    let ip = match written {
        Some(ip) => ip,
        None if !bound.ip().is_unspecified() => bound.ip(),
        None => towards(config, bound).await,
    };
    // A name stays a name in a URL: its address may change while this node runs.
    let host = match &config.advertise {
        Some(host) => host.clone(),
        None if api.ip().is_unspecified() => ip.to_string(),
        None => api.ip().to_string(),
    };
    Ok(Advertised {
        gossip: SocketAddr::new(ip.to_canonical(), bound.port()),
        url: url(scheme, &host, api.port()),
    })
}

fn url(scheme: &str, host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => format!("{scheme}://{}", SocketAddr::new(ip.to_canonical(), port)),
        Err(_) => format!("{scheme}://{host}:{port}"),
    }
}

/// The address of a name, of the family that the socket speaks if there is one.
async fn resolve(host: &str, bound: SocketAddr) -> Result<IpAddr, GossipError> {
    let unknown = |why: String| GossipError::Advertise { host: host.to_owned(), why };
    let found = match timeout(PATIENCE, lookup_host((host, bound.port()))).await {
        Ok(found) => found.map_err(|error| unknown(error.to_string()))?,
        Err(_) => return Err(unknown("the name server does not answer".to_owned())),
    };
    let all: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
    let fits = all.iter().find(|ip| ip.is_ipv4() == bound.is_ipv4()).or(all.first());
    fits.copied().ok_or_else(|| unknown("the name has none".to_owned()))
}

/// The address of this machine on the way to others.
async fn towards(config: &config::Gossip, bound: SocketAddr) -> IpAddr {
    let mut others = Vec::new();
    for join in &config.join {
        if let Ok(Ok(found)) = timeout(PATIENCE, lookup_host(join.as_str())).await {
            others.extend(found.filter(|address| !address.ip().is_unspecified()));
        }
    }
    others.extend([NOWHERE_V4, NOWHERE_V6]);
    for other in others {
        if let Some(ip) = on_the_way(other).await.filter(|ip| ip.is_ipv4() || bound.is_ipv6()) {
            return ip;
        }
    }
    tracing::warn!("this machine has no address that others could reach; set cluster.advertise when it has");
    if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

async fn on_the_way(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    let ip = socket.local_addr().ok()?.ip().to_canonical();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(advertise: Option<&str>, bound: &str, api: &str, join: &[&str]) -> (String, String) {
        let config = config::Gossip {
            bind: bound.parse().unwrap(),
            name: String::new(),
            advertise: advertise.map(str::to_owned),
            join: join.iter().map(|&join| join.to_owned()).collect(),
        };
        let found = advertised(&config, config.bind, api.parse().unwrap(), "http").await.unwrap();
        (found.gossip.to_string(), found.url)
    }

    #[tokio::test]
    async fn what_is_written_counts_then_what_is_bound_then_the_way_to_others() {
        for (advertise, bound, api, join, gossip, url) in [
            (
                Some("10.0.0.5"),
                "0.0.0.0:7659",
                "0.0.0.0:7650",
                &[][..],
                "10.0.0.5:7659",
                "http://10.0.0.5:7650",
            ),
            (Some("::1"), "[::]:1", "[::]:2", &[], "[::1]:1", "http://[::1]:2"),
            (None, "127.0.0.1:9", "127.0.0.1:7650", &[], "127.0.0.1:9", "http://127.0.0.1:7650"),
            (None, "10.1.1.1:9", "10.1.1.2:8", &[], "10.1.1.1:9", "http://10.1.1.2:8"),
            (None, "0.0.0.0:9", "0.0.0.0:8", &["127.0.0.1:5"], "127.0.0.1:9", "http://127.0.0.1:8"),
            (Some("localhost"), "0.0.0.0:9", "0.0.0.0:8", &[], "127.0.0.1:9", "http://localhost:8"),
        ] {
            assert_eq!(check(advertise, bound, api, join).await, (gossip.to_owned(), url.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_an_error_that_says_so() {
        let config = config::Gossip {
            bind: "127.0.0.1:0".parse().unwrap(),
            name: String::new(),
            advertise: Some("no.such.host.invalid".to_owned()),
            join: Vec::new(),
        };
        let error =
            advertised(&config, config.bind, config.bind, "https").await.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("cluster.advertise: no address for \"no.such.host.invalid\": "), "{error}");
    }
}
