//! One line port.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use weir_record::limits::HTTP_CLIENT_CONNECT_TIMEOUT_MS;

/// Where OK Log's ingest nodes take lines.
const FAST_PORT: &str = "7651";

/// A host and its port. The name is looked up at every connection: addresses move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    /// The target of a checked URL, `tcp://host` or `tcp://host:port`.
    pub(crate) fn of(url: &str) -> Target {
        let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
        // Colons inside brackets belong to an address.
        let behind_host = authority.rsplit_once(']').map_or(authority, |(_, behind)| behind);
        if behind_host.contains(':') {
            Target(authority.to_owned())
        } else {
            Target(format!("{authority}:{FAST_PORT}"))
        }
    }

    /// Connects to any address of the host, the first that answers in a drawn order.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let connecting = async {
            let mut addresses: Vec<SocketAddr> = lookup_host(&self.0).await?.collect();
            fastrand::shuffle(&mut addresses);
            let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(open) => return Ok(open),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        };
        let wait_max = Duration::from_millis(HTTP_CLIENT_CONNECT_TIMEOUT_MS);
        timeout(wait_max, connecting).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_port_also_where_none_is_named() {
        for (url, told) in [
            ("tcp://host", "tcp://host:7651"),
            ("tcp://host:10011", "tcp://host:10011"),
            ("tcp://10.6.1.101:10011", "tcp://10.6.1.101:10011"),
            ("tcp://[::1]", "tcp://[::1]:7651"),
            ("tcp://[::1]:9", "tcp://[::1]:9"),
        ] {
            assert_eq!(Target::of(url).to_string(), told);
        }
    }
}
