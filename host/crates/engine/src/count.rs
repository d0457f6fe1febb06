//! Counting each record once, without putting records in order.
//!
//! What may be repeated is collected first, by id and fingerprint; the rest is counted without it. When there
//! are too many suspects to be held, the range of ids is counted in several goes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use weir_query::{Histogram, Order};
use weir_record::RecordId;

use crate::cancel::Cancel;
use crate::engine::{Engine, EngineError, Plan};
use crate::ledger::{Answer, Ledger};
use crate::query::{Mode, Over, Query};
use crate::searchable::Searchable;
use crate::suspects::{Split, Suspects, TooMany};

/// Counts what matches; by bucket and level, too, if there is a histogram, and then only what falls into it.
pub(crate) fn count(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    cancel: &Cancel,
    mut histogram: Option<&mut Histogram>,
) -> Result<Answer, EngineError> {
    let started = Instant::now();
    let mut ledger = Ledger::new(sources.len());
    let mut range = plan.id_range();
    if let (Some((low, high)), Some(histogram)) = (range, &histogram) {
        let (from, to) = histogram.buckets().id_range();
        range = Some((low.max(from), high.min(to))).filter(|(low, high)| low <= high);
    }
    let Some((mut low, high)) = range else {
        return Ok(ledger.finish(sources));
    };
    let split = Split::find(sources, low, high);
    let over = |shares| Over { sources, shares };
    let mut matched = 0;
    loop {
        let window = |from, to| Plan { from, to, limit: None, order: Order::Asc, ..plan.clone() };
        let mut suspects = Suspects::default();
        if split.has_repeated() {
            let mut sink = |rows| {
                if suspects.extend(&rows) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let plan = window(low, behind(high));
            Query::new(engine, &plan, over(&split.repeated), &mut ledger, cancel, Mode::Prints(&mut sink))
                .run()?;
        }
        let cut =
            suspects.cut().map_err(|TooMany| EngineError::Memory { bytes_max: engine.memory_bytes_max })?;
        matched += suspects.records().len() as u64;
        if let Some(histogram) = histogram.as_deref_mut() {
            for (id, print) in suspects.records() {
                if let Some(bucket) = histogram.buckets().of(*id) {
                    histogram.add(bucket, print.level(), 1);
                }
            }
        }
        ledger.stats().records_matched = 0;
        let plan = window(low, cut.unwrap_or(behind(high)));
        let mode = Mode::Count(Arc::new(suspects), histogram.as_deref_mut());
        Query::new(engine, &plan, over(&split.single), &mut ledger, cancel, mode).run()?;
        matched += std::mem::take(&mut ledger.stats().records_matched);
        match cut {
            Some(cut) => low = cut,
            None => break,
        }
    }
    let stats = ledger.stats();
    stats.records_matched = matched;
    stats.duration_ms = started.elapsed().as_millis() as u64;
    Ok(ledger.finish(sources))
}

/// The end of a range that has `last` as its last id.
fn behind(last: RecordId) -> RecordId {
    last.checked_add(1).unwrap_or(RecordId::MAX)
}
