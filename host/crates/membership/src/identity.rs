//! Which process of which node answers at which address.

use core::net::SocketAddr;

/// A process of a node, as others address it.
///
/// Members are told apart by their gossip address. Where two processes claim one address, the newer one is right: that
/// is a node after a restart, or another node at an address that was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Where it takes datagrams, as it advertises it.
    pub addr: SocketAddr,
    /// The id of the node: stays the same over restarts.
    pub node: u64,
    /// Higher for every later process of the node, and whenever it comes back after others took it for dead.
    pub bump: u64,
}

impl Identity {
    /// The identity of a process that starts: `persisted` is the last bump that its node remembers. Seconds since 1970
    /// outgrow any count of restarts, so a node whose memory was lost is newer all the same.
    pub fn new(addr: SocketAddr, node: u64, persisted: u64, unix_ms: u64) -> Identity {
        Identity { addr, node, bump: persisted.saturating_add(1).max(unix_ms / 1000) }
    }

    /// Whoever takes datagrams at an address.
    pub(crate) fn anybody(addr: SocketAddr) -> Identity {
        Identity { addr, node: 0, bump: 0 }
    }

    /// Whether this stands for whoever takes datagrams at its address.
    pub(crate) fn is_anybody(&self) -> bool {
        self.node == 0 && self.bump == 0
    }
}

impl foca::Identity for Identity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Identity> {
        Some(Identity { bump: self.bump.saturating_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn win_addr_conflict(&self, other: &Identity) -> bool {
        (self.bump, self.node) > (other.bump, other.node)
    }
}

#[cfg(test)]
mod tests {
    use foca::Identity as _;

    use super::*;

    #[test]
    fn a_later_process_wins_whatever_its_clock_says() {
        let addr = "127.0.0.1:7659".parse().unwrap();
        let first = Identity::new(addr, 1, 0, 1_700_000_000_000);
        assert_eq!(first.bump, 1_700_000_000);
        for (persisted, unix_ms) in [(first.bump, 1_700_000_000_000), (first.bump, 0), (0, 1_700_000_001_000)]
        {
            let later = Identity::new(addr, 1, persisted, unix_ms);
            assert!(later.win_addr_conflict(&first) && !first.win_addr_conflict(&later), "{later:?}");
        }
        let renewed = first.renew().unwrap();
        assert!(renewed.win_addr_conflict(&first));
        let other_node = Identity { node: 2, ..first };
        assert_ne!(other_node.win_addr_conflict(&first), first.win_addr_conflict(&other_node));
    }
}
