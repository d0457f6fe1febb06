//! How often something may be done: so many at once, and then one after each interval.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use weir_record::limits::{TOKEN_ADDRESSES_MAX, TOKEN_FAILURE_MS, TOKEN_FAILURES_MAX};

use crate::server::counted_as;

/// What was done of late, as the time when all of it is forgotten. In microseconds, for an interval may be short.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    done_us: u64,
}

impl Pace {
    /// Takes note of one more; else after how many seconds to come again.
    pub(super) fn admit(&mut self, now_ms: u64, interval_us: u64, at_once: u64) -> Result<(), u32> {
        let now_us = now_ms.saturating_mul(1000);
        let ahead_us_max = interval_us.saturating_mul(at_once);
        // A clock that was set back makes nobody wait longer than if all had been done just now.
        let done_us = self.done_us.clamp(now_us, now_us.saturating_add(ahead_us_max));
        self.done_us = done_us;
        let next_us = done_us.saturating_add(interval_us);
        let late_us = next_us.saturating_sub(now_us.saturating_add(ahead_us_max));
        if late_us > 0 {
            return Err(u32::try_from(late_us.div_ceil(1_000_000)).unwrap_or(u32::MAX));
        }
        self.done_us = next_us;
        Ok(())
    }

    fn is_forgotten(self, now_ms: u64) -> bool {
        self.done_us <= now_ms.saturating_mul(1000)
    }
}

/// Wrong tokens by address.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_address: Mutex<HashMap<IpAddr, Pace>>,
}

/// Stands for all addresses that are too many to be counted one by one.
const OTHERS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

impl Failures {
    /// Takes note of a wrong token; else after how many seconds the address may show another one.
    pub(super) fn count(&self, address: IpAddr, now_ms: u64) -> Result<(), u32> {
        let mut by_address = self.by_address.lock();
        let mut address = counted_as(address);
        if by_address.len() >= TOKEN_ADDRESSES_MAX && !by_address.contains_key(&address) {
            by_address.retain(|_, pace| !pace.is_forgotten(now_ms));
            if by_address.len() >= TOKEN_ADDRESSES_MAX {
                address = OTHERS;
            }
        }
        by_address.entry(address).or_default().admit(now_ms, TOKEN_FAILURE_MS * 1000, TOKEN_FAILURES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_after_each_interval() {
        let mut pace = Pace::default();
        let mut admit = |now_ms| pace.admit(now_ms, 250_000, 3);
        assert_eq!([0; 4].map(|_| admit(10_000)), [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!([admit(10_249), admit(10_250), admit(10_251)], [Err(1), Ok(()), Err(1)]);
        // The clock is set back: as if all had been done now.
        assert_eq!([admit(5), admit(255), admit(256)], [Err(1), Ok(()), Err(1)]);
        assert_eq!([0; 4].map(|_| admit(99_000)), [Ok(()), Ok(()), Ok(()), Err(1)]);
    }

    #[test]
    fn memory_for_addresses_is_bounded_and_comes_back() {
        let failures = Failures::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let many = TOKEN_ADDRESSES_MAX as u32 + 100;
        for n in 1..many {
            let _ = failures.count(address(n), 1000);
        }
        assert!(failures.by_address.lock().len() <= TOKEN_ADDRESSES_MAX + 1);
        assert!(failures.count(address(many), 1000).is_err(), "those that are too many share one count");
        assert_eq!(failures.count(address(1), 1000), Ok(()), "others have their own");
        assert_eq!(failures.count(address(many), 60_000), Ok(()));
        assert!(failures.by_address.lock().len() <= 2);
    }
}
