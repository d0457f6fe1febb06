//! Which broker is tried next, and when.

use weir_record::limits::{AMQP_BACKOFF_MS_MAX, AMQP_BACKOFF_MS_MIN};

/// Goes through a list of brokers for ever. The pause doubles until a session worked; it is drawn between half of it
/// and the whole, so that those who lost a broker together do not come back together.
#[derive(Debug)]
pub(crate) struct BackOff {
    hosts: usize,
    host: usize,
    pause_ms: u64,
}

impl BackOff {
    /// The first of so many brokers, at once. There is at least one.
    pub(crate) fn new(hosts: usize) -> BackOff {
        BackOff { hosts: hosts.max(1), host: 0, pause_ms: AMQP_BACKOFF_MS_MIN }
    }

    /// Index of the broker to try.
    pub(crate) fn host(&self) -> usize {
        self.host
    }

    /// Messages came: the next pause is short again.
    pub(crate) fn worked(&mut self) {
        self.pause_ms = AMQP_BACKOFF_MS_MIN;
    }

    /// The session ended. How long to wait before the next broker is tried.
    pub(crate) fn failed(&mut self, random: u32) -> u64 {
        self.host = (self.host + 1) % self.hosts;
        let pause_ms = self.pause_ms;
        self.pause_ms = (pause_ms * 2).min(AMQP_BACKOFF_MS_MAX);
        let half = pause_ms / 2;
        half + u64::from(random) % (pause_ms - half + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_take_turns_and_pauses_double_within_bounds() {
        let mut back_off = BackOff::new(3);
        let (mut hosts, mut pauses) = (Vec::new(), Vec::new());
        for round in 0..9_u32 {
            hosts.push(back_off.host());
            pauses.push(back_off.failed(round.wrapping_mul(0x9e37_79b9)));
        }
        assert_eq!(hosts, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        for (round, pause) in pauses.iter().enumerate() {
            let most = (AMQP_BACKOFF_MS_MIN << round).min(AMQP_BACKOFF_MS_MAX);
            assert!((most / 2..=most).contains(pause), "{pauses:?}");
        }
        back_off.worked();
        assert!(back_off.failed(u32::MAX) <= AMQP_BACKOFF_MS_MIN);
    }
}
