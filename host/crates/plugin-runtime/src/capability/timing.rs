//! Clocks and waiting. Always given to sources. Every wait of every capability goes through here: it
//! ends when the call must return, and early when the source is to stop.

use std::time::{Duration, Instant, SystemTime};

use wasmtime::component::{HasSelf, Linker};

use crate::capability::{Capability, Context};
use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::stop::Stop;
use crate::wit::v1::weir::plugin::timing;

pub(crate) struct Timing {
    stop: Stop,
    started: Instant,
    /// When waits of the call end.
    due: Instant,
    /// When the call is interrupted.
    deadline: Instant,
    waited: bool,
}

impl Capability for Timing {
    const NAME: &'static str = "timing";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        timing::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(_need: &Need, _grants: &Grants) -> Option<String> {
        None
    }

    fn prepare(_grants: &Grants, context: &Context) -> Result<Timing, String> {
        let now = Instant::now();
        Ok(Timing { stop: context.stop.clone(), started: now, due: now, deadline: now, waited: false })
    }
}

impl Timing {
    /// A call begins that may wait so long, and is interrupted after so long.
    pub(crate) fn begin(&mut self, wait: Duration, limit: Duration) {
        let now = Instant::now();
        self.due = now + wait;
        self.deadline = now + limit;
        self.waited = false;
    }

    /// Whether the call has taken longer than it may.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether the call has waited for anything.
    pub(crate) fn has_waited(&self) -> bool {
        self.waited
    }

    /// Waits for an event at most so long; `None` when it did not come.
    pub(crate) async fn wait<T>(&mut self, ms: u32, event: impl Future<Output = T>) -> Option<T> {
        let longest = self.due.saturating_duration_since(Instant::now());
        let wait = longest.min(Duration::from_millis(u64::from(ms)));
        self.waited |= !wait.is_zero();
        tokio::select! {
            biased;
            value = event => Some(value),
            () = self.stop.stopped() => None,
            () = tokio::time::sleep(wait) => None,
        }
    }
}

impl timing::Host for State {
    fn now_unix_ns(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64)
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.timing.started.elapsed().as_nanos() as u64
    }

    async fn sleep_ms(&mut self, ms: u32) {
        self.timing.wait(ms, std::future::pending::<()>()).await;
    }

    fn stopping(&mut self) -> bool {
        self.timing.stop.is_stopping()
    }
}
