//! A scan as a job of the pool: one step after the other until it is done, stopped, or fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use weir_query::Stats;

use crate::cancel::Cancel;
use crate::collector::Collected;
use crate::findings::{Findings, Halt, Note, Spent, Tally};
use crate::pool::Job;
use crate::query::Event;
use crate::stages::StageFailure;
use crate::workspace::Workspace;

/// A search of one item, a part of it per step.
pub(crate) trait Scan: Send {
    /// Reads and searches the next part. `false` when there is none left.
    fn advance(
        &mut self,
        found: &mut Findings,
        stop: &AtomicBool,
        work: &mut Workspace,
    ) -> Result<bool, Halt>;
}

/// The outcome of a scan.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Tells the scans of a query apart.
    pub(crate) ticket: u64,
    pub(crate) outcome: Result<(Collected, Option<Tally>), Failure>,
    pub(crate) stats: Stats,
    pub(crate) notes: Vec<Note>,
    pub(crate) touched: bool,
}

impl Scanned {
    /// Of what a filter has spared, without a scan.
    pub(crate) fn spared(found: Findings) -> Scanned {
        let busy = found.spent.filtering;
        Scanned::of(0, found, busy, Ok(()))
    }

    fn of(ticket: u64, mut found: Findings, busy: Duration, outcome: Result<(), Failure>) -> Scanned {
        let mut stats = std::mem::take(&mut found.stats);
        let Spent { filtering, decoding } = found.spent;
        // The filter of a part is asked before the scan begins.
        let busy = busy.max(filtering + decoding);
        stats.stages.scan_us = micros(busy);
        stats.stages.filter_us = micros(filtering);
        stats.stages.decode_us = micros(decoding);
        stats.stages.match_us = micros(busy.saturating_sub(filtering + decoding));
        let (notes, touched) = (std::mem::take(&mut found.notes), found.touched);
        let outcome = outcome.and_then(|()| found.finish().map_err(|_| Failure::TooLarge));
        Scanned { ticket, outcome, stats, notes, touched }
    }
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// The rows of one id do not fit the memory.
    TooLarge,
    /// A stage failed.
    Stage(StageFailure),
    /// A bug: a worker panicked, with this message.
    Panicked(String),
}

pub(crate) struct ScanJob<S> {
    ticket: u64,
    scan: S,
    found: Findings,
    busy: Duration,
    stop: Arc<AtomicBool>,
    cancel: Cancel,
    done: Sender<Event>,
}

impl<S: Scan> ScanJob<S> {
    /// `stop` and `cancel` end it early, and then nothing is sent to `done`.
    pub(crate) fn new(
        ticket: u64,
        scan: S,
        found: Findings,
        stop: Arc<AtomicBool>,
        cancel: Cancel,
        done: Sender<Event>,
    ) -> ScanJob<S> {
        ScanJob { ticket, scan, found, busy: Duration::ZERO, stop, cancel, done }
    }

    fn finish(self, outcome: Result<(), Failure>) {
        let ScanJob { ticket, found, busy, done, .. } = self;
        let scanned = Scanned::of(ticket, found, busy, outcome);
        // A query that ended in the meantime does not listen any more, which is fine.
        let _ = done.send(Event::Scanned(Box::new(scanned)));
    }
}

impl<S: Scan + 'static> Job for ScanJob<S> {
    fn step(mut self: Box<Self>, work: &mut Workspace) -> Option<Box<dyn Job>> {
        // The query may take a while to wake and to set the other one.
        if self.stop.load(Ordering::Relaxed) || self.cancel.is_cancelled() {
            return None;
        }
        let started = Instant::now();
        // A bug must cost the query, not the worker, and the query must hear of it.
        let ScanJob { scan, found, stop, .. } = &mut *self;
        let more = catch_unwind(AssertUnwindSafe(|| scan.advance(found, stop, work)));
        self.busy += started.elapsed();
        match more {
            Ok(Ok(true)) => return Some(self),
            Ok(Ok(false)) => self.finish(Ok(())),
            Ok(Err(Halt::TooLarge)) => self.finish(Err(Failure::TooLarge)),
            Ok(Err(Halt::Stage(failure))) => self.finish(Err(Failure::Stage(failure))),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                self.finish(Err(Failure::Panicked(text.unwrap_or_default())));
            }
        }
        None
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
