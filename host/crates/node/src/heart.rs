//! Whether the event loop turns: a task beats, a thread of its own looks.
//!
//! The beat is what tells the supervisor that the process is alive, so a process whose loop stands is restarted by it.
//! The thread counts looks, not time: while the whole process is held (SIGSTOP, a suspended machine) neither goes on,
//! and nothing is called a stall that is none. It also ends a process that does not end by itself.

mod threads;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use weir_record::limits::{HEART_BEAT_MS, HEART_LOOK_MS, HEART_LOOKS_MAX, STOP_MS_MAX};

use crate::metrics::Metrics;
use crate::notify::Notify;

/// The only runtime there is, in metrics and messages.
const RUNTIME: &str = "main";
/// What a process that is ended by this file ends with.
const EXIT_STUCK: i32 = 1;

/// How often is beaten and looked.
#[derive(Debug, Clone, Copy)]
struct Pace {
    beat: Duration,
    look: Duration,
}

impl Pace {
    const USUAL: Pace =
        Pace { beat: Duration::from_millis(HEART_BEAT_MS), look: Duration::from_millis(HEART_LOOK_MS) };
}

/// Beats and is looked at until it is dropped.
pub(crate) struct Heart {
    beating: AbortHandle,
    /// When the process has to have ended.
    end: Arc<Mutex<Option<Instant>>>,
    /// Dropped with the heart: that ends the thread.
    _alive: SyncSender<()>,
}

impl Heart {
    /// Watches the runtime that this is called in.
    pub(crate) fn start(metrics: Arc<Metrics>, notify: Notify) -> io::Result<Heart> {
        let runtime = Handle::current();
        let tell = move |seen: &Seen| match seen {
            Seen::Stalled => {
                metrics.process.stalls.with_label_values(&[RUNTIME]).inc();
                let of = runtime.metrics();
                tracing::error!(
                    runtime = RUNTIME,
                    looks = HEART_LOOKS_MAX,
                    tasks = of.num_alive_tasks(),
                    queued = of.global_queue_depth(),
                    workers = of.num_workers(),
                    threads = threads::told(),
                    "the event loop stands: nothing is answered until it goes on"
                );
            }
            Seen::GoesOn { looks } => {
                let stood_ms = u64::from(*looks) * HEART_LOOK_MS;
                tracing::warn!(runtime = RUNTIME, stood_ms, "the event loop goes on");
            }
            Seen::Turns | Seen::Stands => {}
        };
        Heart::paced(Pace::USUAL, notify, tell)
    }

    fn paced(pace: Pace, notify: Notify, mut tell: impl FnMut(&Seen) + Send + 'static) -> io::Result<Heart> {
        let beats = Arc::new(AtomicU64::new(0));
        let beating = tokio::spawn(beat(beats.clone(), pace, notify)).abort_handle();
        let end: Arc<Mutex<Option<Instant>>> = Arc::default();
        let (alive, ended) = sync_channel::<()>(0);
        let end_by = end.clone();
        let look = move || {
            let mut watch = Watch::default();
            while ended.recv_timeout(pace.look) == Err(RecvTimeoutError::Timeout) {
                tell(&watch.look(beats.load(Ordering::Relaxed), HEART_LOOKS_MAX));
                if end_by.lock().is_some_and(|end| end < Instant::now()) {
                    let threads = threads::told();
                    tracing::error!(threads, "not ended in time: leaving; what was acknowledged is on disk");
                    std::process::exit(EXIT_STUCK);
                }
            }
        };
        std::thread::Builder::new().name("weir-heart".into()).spawn(look)?;
        Ok(Heart { beating, end, _alive: alive })
    }

    /// From here on the process has [`STOP_MS_MAX`] left, and a moment for what is on its way out anyway.
    pub(crate) fn end_soon(&self) {
        *self.end.lock() = Some(Instant::now() + Duration::from_millis(STOP_MS_MAX + 2 * HEART_LOOK_MS));
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Beats, and tells the supervisor as often as it wants to hear it.
async fn beat(beats: Arc<AtomicU64>, pace: Pace, notify: Notify) {
    let every = notify.alive_every();
    let mut ticks = tokio::time::interval(every.unwrap_or(pace.beat).min(pace.beat));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Option<Instant> = None;
    loop {
        ticks.tick().await;
        beats.fetch_add(1, Ordering::Relaxed);
        // A tick early rather than a tick late.
        let is_due = |every: Duration| told.is_none_or(|told| told.elapsed() + pace.beat > every);
        if every.is_some_and(is_due) {
            notify.alive();
            told = Some(Instant::now());
        }
    }
}

/// What one look has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It has beaten since the last look.
    Turns,
    /// It has not.
    Stands,
    /// It has not for too long: told once for each stall.
    Stalled,
    /// It has beaten again after a stall of so many looks.
    GoesOn {
        /// Looks without a beat.
        looks: u32,
    },
}

/// Counts looks without a beat.
#[derive(Debug, Default)]
struct Watch {
    beats: u64,
    looks: u32,
}

impl Watch {
    fn look(&mut self, beats: u64, looks_max: u32) -> Seen {
        if beats != self.beats {
            self.beats = beats;
            let looks = std::mem::take(&mut self.looks);
            return if looks >= looks_max { Seen::GoesOn { looks } } else { Seen::Turns };
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks == looks_max { Seen::Stalled } else { Seen::Stands }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const FAST: Pace = Pace { beat: Duration::from_millis(1), look: Duration::from_millis(2) };

    #[test]
    fn a_stall_is_told_once_and_its_end_once() {
        let mut watch = Watch::default();
        let seen: Vec<Seen> = [1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4, 5].map(|beats| watch.look(beats, 3)).to_vec();
        let (turns, stands) = (Seen::Turns, Seen::Stands);
        assert_eq!(
            seen,
            [
                turns,
                turns,
                stands,
                stands,
                turns,
                stands,
                stands,
                Seen::Stalled,
                stands,
                stands,
                Seen::GoesOn { looks: 5 },
                turns
            ]
        );
    }

    fn wait_for(seen: &Receiver<Seen>, wanted: impl Fn(&Seen) -> bool) {
        let patience = Duration::from_mins(1);
        while !wanted(&seen.recv_timeout(patience).unwrap()) {}
    }

    #[test]
    fn a_loop_that_is_blocked_is_seen_and_the_supervisor_hears_nothing_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        supervisor.set_nonblocking(true).unwrap();
        let notify = Notify::to(path.as_os_str(), Some(Duration::from_millis(4))).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tell, seen) = channel();
        let told = move |it: &Seen| {
            let _ = tell.send(*it);
        };
        let heart = runtime.block_on(async { Heart::paced(FAST, notify, told) }).unwrap();
        wait_for(&seen, |seen| *seen == Seen::Turns);

        let (blocked, is_blocked) = channel();
        let (go_on, may_go_on) = channel::<()>();
        runtime.spawn(async move {
            blocked.send(()).unwrap();
            // What no task may do.
            let _ = may_go_on.recv();
        });
        is_blocked.recv().unwrap();
        // All that was sent before; whoever could send more stands.
        let mut buffer = [0; 64];
        let mut heard = 0;
        while supervisor.recv(&mut buffer).is_ok() {
            heard += 1;
        }
        assert!(heard > 0, "it was told of a loop that turns");
        wait_for(&seen, |seen| *seen == Seen::Stalled);
        assert_eq!(supervisor.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);

        go_on.send(()).unwrap();
        wait_for(&seen, |seen| matches!(seen, Seen::GoesOn { .. }));
        drop(heart);
        // The thread ends with the heart: nobody is left who could tell anything.
        while seen.recv().is_ok() {}
    }

    #[test]
    fn a_stall_is_counted_and_names_the_threads() {
        let told = threads::told();
        assert!(told.contains('/'), "{told}");
        let metrics = Metrics::new("1");
        metrics.process.stalls.with_label_values(&[RUNTIME]).inc();
        assert!(metrics.text().contains("weir_stalls_total{runtime=\"main\"} 1"));
    }
}
