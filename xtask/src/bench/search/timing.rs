//! The same thing done several times.

use std::time::{Duration, Instant};

use crate::bench::latency::Latencies;

/// How often it is done, after once for the caches.
const RUNS: u32 = 5;
/// How often what is quick is done: processor time comes in ticks of 10 ms.
const RUNS_QUICK: u32 = 25;
const QUICK: Duration = Duration::from_millis(40);

/// What one time costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timed {
    /// Half of the times took at most this long.
    pub(super) wall: Duration,
    /// The same in the server's own words, if it has any.
    pub(super) server: Duration,
    /// On average.
    pub(super) cpu: Duration,
}

/// Does it again and again. It returns how long the server says that it took; `cpu` is the processor time of
/// whoever works.
pub(super) fn timed(
    cpu: impl Fn() -> anyhow::Result<Duration>,
    mut once: impl FnMut() -> anyhow::Result<Option<Duration>>,
) -> anyhow::Result<Timed> {
    once()?;
    let (mut walls, mut servers) = (Latencies::default(), Latencies::default());
    let used = cpu()?;
    let (mut runs, mut wanted) = (0, RUNS);
    while runs < wanted {
        let started = Instant::now();
        let server = once()?;
        let wall = started.elapsed();
        walls.add(wall);
        servers.add(server.unwrap_or(wall));
        runs += 1;
        if wall < QUICK {
            wanted = RUNS_QUICK;
        }
    }
    let used = cpu()?.saturating_sub(used);
    Ok(Timed { wall: walls.percentile(50), server: servers.percentile(50), cpu: used / runs })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_quick_is_done_often_and_once_more_for_the_caches() {
        let done = Cell::new(0);
        let cpu = || Ok(Duration::from_millis(done.get() * 2));
        let once = || {
            done.set(done.get() + 1);
            Ok(Some(Duration::from_millis(3)))
        };
        let timed = timed(cpu, once).unwrap();
        assert_eq!(done.get(), u64::from(RUNS_QUICK) + 1);
        assert_eq!((timed.server, timed.cpu), (Duration::from_millis(3), Duration::from_millis(2)));
    }
}
