//! What happens after a failure: a pure state machine, time and jitter passed in.
//!
//! One rule for everything: pauses double from 1 s to 5 min and start over once the plugin has run a
//! minute without a failure. So a plugin that works for one poll and then traps is not restarted every
//! second for ever. Beside the pause there is a count: more than five *restarts* within a minute put the
//! plugin in quarantine. Quarantine is the same doubling pause under another name, shown to the
//! operator and counted; at its end one instance is tried, and the plugin leaves it after a healthy
//! minute. What the plugin calls `retry` (a broker that is away) pauses but is no restart and never
//! leads to quarantine.

use std::collections::VecDeque;

use weir_record::limits::{
    PLUGIN_BACKOFF_MS_MAX, PLUGIN_BACKOFF_MS_MIN, PLUGIN_HEALTHY_AFTER_MS, PLUGIN_RESTARTS_PER_MIN_MAX,
};

const MINUTE_MS: u64 = 60_000;

/// What a trap of a plugin does, as the operator sets it (`on_trap`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTrap {
    /// A new instance after a pause; in a query, the query fails. The default.
    #[default]
    Restart,
    /// Filters and rewriters: the records go on as if the plugin had not been there. Sources: as
    /// `restart`, since there are no records yet.
    Pass,
    /// Filters and rewriters: the records of that call are left out, and counted. Sources: as `restart`.
    Drop,
    /// The plugin is used no more until the configuration changes.
    Stop,
}

/// What went wrong, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin asks to be called again, at the earliest after so long.
    Retry {
        /// Milliseconds, `None` = the back-off decides.
        after_ms: Option<u32>,
    },
    /// The configuration cannot work.
    BadConfig,
    /// The plugin asks for a new instance.
    Restart,
    /// A trap, a deadline, a limit, or records that break the rules.
    Trap,
    /// The plugin gives up.
    Fatal,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Call the same instance again after the pause; if `open` failed, open a new one.
    Retry {
        /// The pause in milliseconds.
        after_ms: u64,
    },
    /// Open a new instance after the pause.
    Restart {
        /// The pause in milliseconds.
        after_ms: u64,
        /// Whether the plugin is in quarantine.
        quarantined: bool,
    },
    /// Leave it until the configuration changes.
    Stop(Stopped),
}

/// Why a plugin is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its configuration cannot work.
    BadConfig,
    /// It said so.
    Fatal,
    /// It trapped, and `on_trap = "stop"`.
    Trap,
}

/// How a plugin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No failure within the last healthy minute.
    Healthy,
    /// Failing now and then.
    Unsteady,
    /// Restarted too often.
    Quarantined,
    /// Not tried again.
    Stopped(Stopped),
}

/// The policy of one configured plugin. Lives as long as the configuration, over all its instances.
#[derive(Debug, Clone)]
pub struct RestartPolicy {
    on_trap: OnTrap,
    /// Pauses taken since the last healthy minute.
    pauses: u32,
    /// When the instance that runs now began to run without a failure.
    steady_since_ms: Option<u64>,
    /// Times of the restarts within the last minute.
    restarts_ms: VecDeque<u64>,
    quarantined: bool,
    stopped: Option<Stopped>,
}

impl RestartPolicy {
    /// A policy with no history.
    pub fn new(on_trap: OnTrap) -> RestartPolicy {
        RestartPolicy {
            on_trap,
            pauses: 0,
            steady_since_ms: None,
            restarts_ms: VecDeque::new(),
            quarantined: false,
            stopped: None,
        }
    }

    /// A call succeeded. `now_ms` is of any monotonic clock, the same in all calls.
    pub fn succeeded(&mut self, now_ms: u64) {
        let since = *self.steady_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) >= PLUGIN_HEALTHY_AFTER_MS {
            self.pauses = 0;
            self.quarantined = false;
            self.restarts_ms.clear();
        }
    }

    /// A call failed. `jitter` is drawn anew each time, over the whole range: it takes up to half off
    /// the pause, so that plugins which failed together do not come back together.
    pub fn failed(&mut self, now_ms: u64, outcome: Outcome, jitter: u32) -> Action {
        if let Some(stopped) = self.stopped {
            return Action::Stop(stopped);
        }
        self.steady_since_ms = None;
        match outcome {
            Outcome::Retry { after_ms } => {
                let pause = self.pause_ms(jitter);
                let asked = after_ms.map(|ms| u64::from(ms).min(PLUGIN_BACKOFF_MS_MAX));
                Action::Retry { after_ms: asked.unwrap_or(pause) }
            }
            Outcome::BadConfig => self.stop(Stopped::BadConfig),
            Outcome::Fatal => self.stop(Stopped::Fatal),
            Outcome::Trap if self.on_trap == OnTrap::Stop => self.stop(Stopped::Trap),
            Outcome::Trap | Outcome::Restart => {
                self.count_restart(now_ms);
                Action::Restart { after_ms: self.pause_ms(jitter), quarantined: self.quarantined }
            }
        }
    }

    /// How the plugin stands.
    pub fn standing(&self) -> Standing {
        match (self.stopped, self.quarantined, self.pauses) {
            (Some(stopped), ..) => Standing::Stopped(stopped),
            (None, true, _) => Standing::Quarantined,
            (None, false, 0) => Standing::Healthy,
            (None, false, _) => Standing::Unsteady,
        }
    }

    fn stop(&mut self, why: Stopped) -> Action {
        self.stopped = Some(why);
        Action::Stop(why)
    }

    fn count_restart(&mut self, now_ms: u64) {
        while self.restarts_ms.front().is_some_and(|&then| now_ms.saturating_sub(then) >= MINUTE_MS) {
            self.restarts_ms.pop_front();
        }
        self.restarts_ms.push_back(now_ms);
        if self.restarts_ms.len() > PLUGIN_RESTARTS_PER_MIN_MAX as usize {
            self.quarantined = true;
            self.restarts_ms.pop_front();
        }
        assert!(self.restarts_ms.len() <= PLUGIN_RESTARTS_PER_MIN_MAX as usize, "old restarts are forgotten");
    }

    fn pause_ms(&mut self, jitter: u32) -> u64 {
        let doubled = PLUGIN_BACKOFF_MS_MIN.saturating_mul(1 << self.pauses.min(32));
        let full = doubled.min(PLUGIN_BACKOFF_MS_MAX);
        self.pauses = self.pauses.saturating_add(1);
        full - (full / 2) * u64::from(jitter) / u64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{BadConfig, Fatal, Restart, Retry, Trap};

    enum Step {
        Ok(u64),
        Fails(u64, Outcome, Action),
    }
    use Step::{Fails, Ok};

    const fn again(after_ms: u64) -> Action {
        Action::Restart { after_ms, quarantined: false }
    }

    const fn locked(after_ms: u64) -> Action {
        Action::Restart { after_ms, quarantined: true }
    }

    const fn retry(after_ms: u64) -> Action {
        Action::Retry { after_ms }
    }

    const AWAY: Outcome = Retry { after_ms: None };

    #[test]
    fn each_history_leads_where_the_table_says() {
        let table: Vec<(&str, OnTrap, Vec<Step>, Standing)> = vec![
            ("nothing happened", OnTrap::Restart, vec![Ok(0)], Standing::Healthy),
            (
                "pauses double up to five minutes and traps that slow never count as six in a minute",
                OnTrap::Restart,
                (0..10)
                    .map(|n| {
                        let pause = (1_000 << n).min(300_000);
                        Fails(n * 100_000, Trap, again(pause))
                    })
                    .collect(),
                Standing::Unsteady,
            ),
            (
                "the sixth restart within a minute is quarantine, and the pause goes on doubling",
                OnTrap::Restart,
                vec![
                    Fails(0, Trap, again(1_000)),
                    Fails(1_000, Restart, again(2_000)),
                    Fails(3_000, Trap, again(4_000)),
                    Fails(7_000, Trap, again(8_000)),
                    Fails(15_000, Trap, again(16_000)),
                    Fails(31_000, Trap, locked(32_000)),
                    Fails(63_000, Trap, locked(64_000)),
                    Fails(127_000, Trap, locked(128_000)),
                    Fails(255_000, Trap, locked(256_000)),
                    Fails(511_000, Trap, locked(300_000)),
                ],
                Standing::Quarantined,
            ),
            (
                "a healthy minute ends it all",
                OnTrap::Restart,
                vec![
                    Fails(0, Trap, again(1_000)),
                    Fails(1, Trap, again(2_000)),
                    Fails(2, Trap, again(4_000)),
                    Fails(3, Trap, again(8_000)),
                    Fails(4, Trap, again(16_000)),
                    Fails(5, Trap, locked(32_000)),
                    Ok(32_005),
                    Ok(92_004),
                    Fails(92_004, Trap, locked(64_000)),
                    Ok(200_000),
                    Ok(260_000),
                    Fails(260_001, Trap, again(1_000)),
                ],
                Standing::Unsteady,
            ),
            (
                "one good poll between traps does not reset the pause",
                OnTrap::Restart,
                vec![
                    Fails(0, Trap, again(1_000)),
                    Ok(1_000),
                    Fails(1_100, Trap, again(2_000)),
                    Ok(3_100),
                    Fails(3_200, Trap, again(4_000)),
                ],
                Standing::Unsteady,
            ),
            (
                "retries pause but are no restarts",
                OnTrap::Restart,
                (0..12).map(|n| Fails(n, AWAY, retry((1_000 << n).min(300_000)))).collect(),
                Standing::Unsteady,
            ),
            (
                "the plugin may say how long to wait, within bounds",
                OnTrap::Restart,
                vec![
                    Fails(0, Retry { after_ms: Some(7) }, retry(7)),
                    Fails(1, Retry { after_ms: Some(u32::MAX) }, retry(300_000)),
                    Fails(2, AWAY, retry(4_000)),
                ],
                Standing::Unsteady,
            ),
            (
                "a bad config is for the operator",
                OnTrap::Restart,
                vec![
                    Fails(0, BadConfig, Action::Stop(Stopped::BadConfig)),
                    Fails(1, Trap, Action::Stop(Stopped::BadConfig)),
                ],
                Standing::Stopped(Stopped::BadConfig),
            ),
            (
                "so is giving up",
                OnTrap::Restart,
                vec![Fails(0, Fatal, Action::Stop(Stopped::Fatal))],
                Standing::Stopped(Stopped::Fatal),
            ),
            (
                "stop on trap stops at the first trap, not at a restart that the plugin asks for",
                OnTrap::Stop,
                vec![
                    Fails(0, Restart, again(1_000)),
                    Fails(1, AWAY, retry(2_000)),
                    Fails(2, Trap, Action::Stop(Stopped::Trap)),
                ],
                Standing::Stopped(Stopped::Trap),
            ),
            (
                "a source has no records to pass or drop",
                OnTrap::Pass,
                vec![Fails(0, Trap, again(1_000))],
                Standing::Unsteady,
            ),
        ];
        for (name, on_trap, steps, standing) in table {
            let mut policy = RestartPolicy::new(on_trap);
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Ok(now) => policy.succeeded(now),
                    Fails(now, outcome, action) => {
                        assert_eq!(policy.failed(now, outcome, 0), action, "{name}: step {index}");
                    }
                }
            }
            assert_eq!(policy.standing(), standing, "{name}");
        }
    }

    #[test]
    fn jitter_takes_up_to_half_off() {
        for (jitter, pause) in [(0, 1_000), (u32::MAX / 2, 751), (u32::MAX, 500)] {
            let mut policy = RestartPolicy::new(OnTrap::Restart);
            assert_eq!(policy.failed(0, Trap, jitter), again(pause), "{jitter}");
        }
    }

    #[test]
    fn a_clock_that_stands_or_steps_back_does_no_harm() {
        let mut policy = RestartPolicy::new(OnTrap::Restart);
        for now in [u64::MAX, 0, 5, 5, 5, 5, 5, 4, 3] {
            policy.failed(now, Trap, 0);
            policy.succeeded(now);
        }
        assert_eq!(policy.standing(), Standing::Quarantined);
    }
}
