//! How many connections are open, in all and per address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections and refuses those above a bound.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
    max: usize,
    per_ip_max: usize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
    refused: [u64; 2],
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many as the node takes are open.
    Total,
    /// As many as one address may have are open.
    PerIp,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Total => "the node has as many connections as it takes",
            Refusal::PerIp => "the address has as many connections as one may have",
        })
    }
}

/// What metrics tell of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Connections open now.
    pub open: usize,
    /// Refused since the start because too many were open.
    pub refused_total: u64,
    /// Refused since the start because their address had too many open.
    pub refused_per_ip: u64,
}

/// A counted connection; dropping it frees its place.
#[derive(Debug)]
pub struct Held {
    open: Arc<Mutex<Open>>,
    ip: IpAddr,
}

impl Connections {
    /// Nothing is open yet. Bounds in all and per address (IPv6: per /64).
    pub fn new(max: usize, per_ip_max: usize) -> Connections {
        Connections { open: Arc::default(), max, per_ip_max }
    }

    /// Counts a connection from an address, or says why not.
    pub fn admit(&self, ip: IpAddr) -> Result<Held, Refusal> {
        let ip = counted_as(ip);
        let mut open = self.open.lock();
        if open.total >= self.max {
            open.refused[0] += 1;
            return Err(Refusal::Total);
        }
        let of_ip = open.by_ip.entry(ip).or_default();
        if *of_ip >= self.per_ip_max {
            open.refused[1] += 1;
            return Err(Refusal::PerIp);
        }
        *of_ip += 1;
        open.total += 1;
        Ok(Held { open: self.open.clone(), ip })
    }

    /// How many are open and were refused.
    pub fn tally(&self) -> Tally {
        let open = self.open.lock();
        Tally { open: open.total, refused_total: open.refused[0], refused_per_ip: open.refused[1] }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.total -= 1;
        if let Entry::Occupied(mut of_ip) = open.by_ip.entry(self.ip) {
            *of_ip.get_mut() -= 1;
            if *of_ip.get() == 0 {
                of_ip.remove();
            }
        }
    }
}

/// One client may own all of an IPv6 /64, so it is counted as one address.
pub(crate) fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_per_address() {
        let connections = Connections::new(3, 2);
        let admit = |ip: &str| connections.admit(ip.parse().unwrap());
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.1").unwrap_err(), Refusal::PerIp);
        let _third = admit("2001:db8::1").unwrap();
        assert_eq!(admit("2001:db8::2").unwrap_err(), Refusal::Total);
        drop(first);
        let _again = admit("2001:db8::2").unwrap();
        assert_eq!(connections.tally(), Tally { open: 3, refused_total: 1, refused_per_ip: 1 });
        assert_eq!(connections.open.lock().by_ip.len(), 2);
    }
}
