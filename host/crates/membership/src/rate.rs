//! How much anybody may send, decided before anything is opened: opening costs more than sending rubbish.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use weir_record::limits::{GOSSIP_SOURCE_BURST, GOSSIP_SOURCE_PER_SECOND, GOSSIP_SOURCES_MAX};

/// Time between two looks for sources that have fallen quiet: each takes as long as many datagrams.
const SWEEP_MS: u64 = 1_000;

/// What addresses have sent of late.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    sources: BTreeMap<IpAddr, Bucket>,
    /// When those that had fallen quiet were last removed.
    swept_ms: u64,
    /// Of all that find no place above.
    others: Bucket,
}

/// Fills up with what was sent, and runs empty by itself.
#[derive(Debug, Default)]
struct Bucket {
    /// Thousandths of a datagram.
    level: u64,
    ms: u64,
}

impl Rate {
    /// Whether one more datagram of this address may be looked at.
    pub(crate) fn admit(&mut self, from: IpAddr, ms: u64) -> bool {
        if self.sources.len() >= GOSSIP_SOURCES_MAX && !self.sources.contains_key(&from) {
            if ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
                self.swept_ms = ms;
                self.sources.retain(|_, bucket| bucket.level_at(ms) > 0);
            }
            if self.sources.len() >= GOSSIP_SOURCES_MAX {
                return self.others.admit(ms);
            }
        }
        self.sources.entry(from).or_default().admit(ms)
    }
}

impl Bucket {
    fn level_at(&self, ms: u64) -> u64 {
        let run_out = ms.saturating_sub(self.ms).saturating_mul(u64::from(GOSSIP_SOURCE_PER_SECOND));
        self.level.saturating_sub(run_out)
    }

    fn admit(&mut self, ms: u64) -> bool {
        self.level = self.level_at(ms);
        self.ms = ms;
        let admits = self.level < u64::from(GOSSIP_SOURCE_BURST) * 1000;
        if admits {
            self.level += 1000;
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_so_many_a_second_for_each_address() {
        let mut rate = Rate::default();
        let (a, b) = (Ipv4Addr::from(1).into(), Ipv4Addr::from(2).into());
        let mut admitted = |from, ms| (0..10_000).filter(|_| rate.admit(from, ms)).count();
        assert_eq!(admitted(a, 0), GOSSIP_SOURCE_BURST as usize);
        assert_eq!(admitted(a, 100), GOSSIP_SOURCE_PER_SECOND as usize / 10);
        assert_eq!(admitted(b, 100), GOSSIP_SOURCE_BURST as usize);
    }

    #[test]
    fn forged_addresses_take_no_memory_beyond_the_bound_and_share_what_is_left() {
        let mut rate = Rate::default();
        let admitted = (0..100_000).filter(|from| rate.admit(Ipv4Addr::from(*from).into(), 0)).count();
        assert_eq!(admitted, GOSSIP_SOURCES_MAX + GOSSIP_SOURCE_BURST as usize);
        assert_eq!(rate.sources.len(), GOSSIP_SOURCES_MAX);
        assert!(rate.admit(Ipv4Addr::from(100_000).into(), 1_000), "the quiet ones are forgotten");
    }
}
