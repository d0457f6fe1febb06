//! Counting each record once, without putting records in order.
//!
//! What may be repeated is collected first, by id and fingerprint; the rest is counted without it. When there
//! are too many suspects to be held, the range of ids is counted in several goes.
//!
//! Over several nodes that is done in two steps: whoever asks collects the suspects of all of them
//! ([`suspects`]), and hands those to each, which counts the rest ([`count_rest`]).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use weir_query::{Fingerprint, Histogram, Order, Row, Rows};
use weir_record::RecordId;

use crate::cancel::Cancel;
use crate::engine::{Engine, EngineError, Plan};
use crate::findings::fingerprint;
use crate::flagged::by_flags;
use crate::ledger::{Answer, Ledger};
use crate::query::{Mode, Over, Query};
use crate::searchable::Searchable;
use crate::stages::Stages;
use crate::suspects::{SharedSuspects, Split, Suspects, TooMany, held_elsewhere};

/// Counts what matches; by bucket and level, too, if there is a histogram, and then only what falls into it.
pub(crate) fn count(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    cancel: &Cancel,
    histogram: Option<&mut Histogram>,
) -> Result<Answer, EngineError> {
    let Some((low, high)) = range(plan, histogram.as_deref()) else {
        return Ok(Ledger::new(sources.len()).finish(sources));
    };
    let split = Split::find(sources, low, high);
    count_split(engine, plan, (sources, &split, None), cancel, Sum::Counts(histogram))
}

/// Gives the stages what matches, each record once.
pub(crate) fn pass(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    cancel: &Cancel,
) -> Result<Answer, EngineError> {
    let (Some((low, high)), Some(stages)) = (plan.id_range(), &plan.stages) else {
        return Ok(Ledger::new(sources.len()).finish(sources));
    };
    let split = Split::find(sources, low, high);
    count_split(engine, plan, (sources, &split, None), cancel, Sum::Stages(&**stages))
}

/// The same of what other nodes cannot hold, and of keyed units all but `known`.
pub(crate) fn pass_rest(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    known: Vec<(RecordId, Fingerprint)>,
    cancel: &Cancel,
) -> Result<Answer, EngineError> {
    let sources = by_flags(sources, false);
    let Some(stages) = &plan.stages else { return Ok(Ledger::new(sources.len()).finish(&sources)) };
    let split = Split::keyed(&sources);
    let known = Arc::new(Suspects::known(known));
    count_split(engine, plan, (&sources, &split, Some(known)), cancel, Sum::Stages(&**stages))
}

/// Sends, as rows or as their fingerprints, what other nodes may hold as well.
pub(crate) fn suspects(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    cancel: &Cancel,
    mode: Mode<'_>,
) -> Result<Answer, EngineError> {
    let started = Instant::now();
    let sources = by_flags(sources, true);
    let shares = held_elsewhere(&sources);
    let mut ledger = Ledger::new(sources.len());
    let over = Over { sources: &sources, shares: &shares };
    Query::new(engine, plan, over, &mut ledger, cancel, mode).run()?;
    ledger.stats().duration_ms = started.elapsed().as_millis() as u64;
    Ok(ledger.finish(&sources))
}

/// Counts, as [`count`] does, what other nodes cannot hold, and of keyed units all but `known`.
pub(crate) fn count_rest(
    engine: &Engine,
    plan: &Plan,
    sources: &[Searchable],
    known: Vec<(RecordId, Fingerprint)>,
    cancel: &Cancel,
    histogram: &mut Histogram,
) -> Result<Answer, EngineError> {
    let sources = by_flags(sources, false);
    let split = Split::keyed(&sources);
    let known = Arc::new(Suspects::known(known));
    count_split(engine, plan, (&sources, &split, Some(known)), cancel, Sum::Counts(Some(histogram)))
}

/// What becomes of the records that match.
enum Sum<'a> {
    /// They are counted; by bucket and level, too, if there is a histogram.
    Counts(Option<&'a mut Histogram>),
    /// Stages sum them up, and keep none.
    Stages(&'a dyn Stages),
}

/// The first and the last id that are counted.
fn range(plan: &Plan, histogram: Option<&Histogram>) -> Option<(RecordId, RecordId)> {
    let (low, high) = plan.id_range()?;
    let Some(histogram) = histogram else { return Some((low, high)) };
    let (from, to) = histogram.buckets().id_range();
    Some((low.max(from), high.min(to))).filter(|(low, high)| low <= high)
}

/// Sums up what may be repeated here, each once, and the rest without it. What is known to have been summed up elsewhere
/// is left out of both; nothing of the rest is then among what may be repeated here.
fn count_split(
    engine: &Engine,
    plan: &Plan,
    (sources, split, known): (&[Searchable], &Split, Option<SharedSuspects>),
    cancel: &Cancel,
    mut sum: Sum<'_>,
) -> Result<Answer, EngineError> {
    let started = Instant::now();
    let mut ledger = Ledger::new(sources.len());
    let Some((mut low, high)) = range(plan, sum.histogram()) else {
        return Ok(ledger.finish(sources));
    };
    let over = |shares| Over { sources, shares };
    let is_known = |record| known.as_ref().is_some_and(|known| known.contains(record));
    let mut matched = 0;
    loop {
        let window = |from, to| Plan { from, to, limit: None, order: Order::Asc, ..plan.clone() };
        // Stages that sum up must not see what is only looked for.
        let unstaged = |from, to| match sum {
            Sum::Counts(_) => window(from, to),
            Sum::Stages(_) => Plan { stages: None, ..window(from, to) },
        };
        let mut suspects = Suspects::default();
        if split.has_repeated() {
            let mut sink = |rows| {
                if suspects.extend(&rows) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let (plan, mode) = (unstaged(low, behind(high)), Mode::Prints(&mut sink));
            Query::new(engine, &plan, over(&split.repeated), &mut ledger, cancel, mode).run()?;
        }
        let cut =
            suspects.cut().map_err(|TooMany| EngineError::Memory { bytes_max: engine.memory_bytes_max })?;
        let end = cut.unwrap_or(behind(high));
        match &mut sum {
            Sum::Counts(histogram) => {
                for (id, print) in suspects.records().iter().filter(|record| !is_known(**record)) {
                    matched += 1;
                    if let Some(histogram) = histogram.as_deref_mut()
                        && let Some(bucket) = histogram.buckets().of(*id)
                    {
                        histogram.add(bucket, print.level(), 1);
                    }
                }
            }
            Sum::Stages(stages) if !suspects.records().is_empty() => {
                let mut failure = Ok(());
                let mut sink = |rows| {
                    let rows = without(rows, |row| is_known((row.id, fingerprint(row.payload))));
                    failure = stages.run(&rows, &mut |_, _| {});
                    if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                let (plan, mode) = (Plan { stages: None, ..window(low, end) }, Mode::Rows(&mut sink));
                Query::new(engine, &plan, over(&split.repeated), &mut ledger, cancel, mode).run()?;
                failure?;
            }
            Sum::Stages(_) => {}
        }
        ledger.stats().records_matched = 0;
        let plan = window(low, end);
        let left_out = known.clone().unwrap_or_else(|| Arc::new(suspects));
        let mode = Mode::Count(left_out, sum.histogram_mut());
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

impl Sum<'_> {
    fn histogram(&self) -> Option<&Histogram> {
        match self {
            Sum::Counts(histogram) => histogram.as_deref(),
            Sum::Stages(_) => None,
        }
    }

    fn histogram_mut(&mut self) -> Option<&mut Histogram> {
        match self {
            Sum::Counts(histogram) => histogram.as_deref_mut(),
            Sum::Stages(_) => None,
        }
    }
}

/// Rows without some of them.
fn without(rows: Rows, is_out: impl Fn(&Row<'_>) -> bool) -> Rows {
    if !rows.iter().any(|row| is_out(&row)) {
        return rows;
    }
    let mut left = Rows::new();
    for stream in rows.streams() {
        left.add_stream(Arc::clone(stream));
    }
    for (row, &stream) in rows.iter().zip(rows.stream_of()).filter(|(row, _)| !is_out(row)) {
        left.push(row.id, stream, row.payload);
    }
    left
}

/// The end of a range that has `last` as its last id.
fn behind(last: RecordId) -> RecordId {
    last.checked_add(1).unwrap_or(RecordId::MAX)
}
