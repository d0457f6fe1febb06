//! What becomes of a filter that fails in a query, and of the records that it could not judge: `on_trap`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use weir_engine::{StageFailure, Unjudged};
use weir_plugin_runtime::{OnTrap, Outcome, SourceError};
use weir_query::Missing;
use weir_record::RecordId;
use weir_record::limits::FILTER_TRAPS_PER_QUERY_MAX;

use super::Spec;

/// Filters that are used no more until the configuration changes, by name, and why.
#[derive(Clone, Default)]
pub(super) struct Stopped(Arc<Mutex<BTreeMap<String, String>>>);

impl Stopped {
    /// Notes that a filter is to be used no more; those who use it now go on.
    fn stop(&self, name: &str, why: String) {
        self.0.lock().entry(name.to_owned()).or_insert_with(|| {
            tracing::error!(filter = name, "the filter is used no more, for its on_trap is \"stop\": {why}");
            why
        });
    }

    /// Why a filter is not used, if it is not.
    pub(super) fn why(&self, name: &str) -> Option<String> {
        self.0.lock().get(name).map(|why| {
            format!("{name} is used no more on this node: {why}; mend it and reload the configuration")
        })
    }

    /// All may be used again.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// What the stages of one query have failed on.
#[derive(Default)]
pub(super) struct Failing {
    /// Traps by stage.
    traps: Vec<AtomicU32>,
    failed: Mutex<Failed>,
}

#[derive(Default)]
struct Failed {
    records: u64,
    /// By the name of the filter.
    left_out: BTreeMap<String, LeftOut>,
}

struct LeftOut {
    records: u64,
    from: RecordId,
    to: RecordId,
    why: String,
}

/// What is to be done with the records of a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They go on as they were.
    Pass,
    /// They are left out.
    Drop,
}

impl Failing {
    pub(super) fn new(stages: usize) -> Failing {
        Failing { traps: (0..stages).map(|_| AtomicU32::new(0)).collect(), failed: Mutex::default() }
    }

    /// What becomes of records, counted, with these ids, on which a stage has failed or which it is not given any more; the
    /// query ends when its filter is not configured to go on. An aggregate has lost what it had summed up: no setting
    /// makes its answer right.
    pub(super) fn judge(
        &self,
        (number, spec): (usize, &Spec),
        error: Option<SourceError>,
        ids: impl Iterator<Item = RecordId> + Clone,
    ) -> Result<Then, StageFailure> {
        let is_trap = error.as_ref().is_none_or(|error| error.outcome() == Outcome::Trap);
        let told = error.map_or_else(
            || format!("it has failed {FILTER_TRAPS_PER_QUERY_MAX} times in this query"),
            |error| error.to_string(),
        );
        if is_trap && spec.on_trap == OnTrap::Stop {
            spec.stopped.stop(spec.plugin.name(), told.clone());
        }
        let Some(then) = spec.after_a_trap().filter(|_| is_trap) else { return Err(StageFailure(told)) };
        if self.traps[number].fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(?then, "records could not be judged, and the query goes on: {told}");
        }
        let records = ids.clone().count() as u64;
        spec.metrics.filter_unjudged.with_label_values(&[&spec.counted_as]).inc_by(records);
        let mut failed = self.failed.lock();
        failed.records += records;
        if then == Then::Drop
            && let (Some(from), Some(to)) = (ids.clone().min(), ids.max())
        {
            let new = LeftOut { records: 0, from, to, why: told };
            let left_out = failed.left_out.entry(spec.plugin.name().to_owned()).or_insert(new);
            left_out.records += records;
            (left_out.from, left_out.to) = (left_out.from.min(from), left_out.to.max(to));
        }
        Ok(then)
    }

    /// Whether a stage is worth another instance.
    pub(super) fn is_worth_another(&self, number: usize) -> bool {
        self.traps[number].load(Ordering::Relaxed) < FILTER_TRAPS_PER_QUERY_MAX
    }

    /// What there is to say of them, once.
    pub(super) fn take(&self) -> Unjudged {
        let Failed { records, left_out } = std::mem::take(&mut *self.failed.lock());
        let missing = |(name, left_out): (String, LeftOut)| {
            let LeftOut { records, from, to, why } = left_out;
            let (place, why) = (format!("filter {name}"), format!("{records} records left out: {why}"));
            Missing { node: String::new(), place, from, to, why }
        };
        Unjudged { records, left_out: left_out.into_iter().map(missing).collect() }
    }
}
