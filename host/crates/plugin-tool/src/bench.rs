//! What a plugin costs: over lines, in batches as a query gives them, on one core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_plugin_runtime::{Kind, StageBatch};

use crate::error::ToolError;
use crate::hinted;
use crate::native;
use crate::records::Records;
use crate::trial::{Trial, pass};

/// Bytes that are gone through in one round; rounds follow each other until the time is over.
const ROUND_BYTES: usize = 8 << 20;
/// Instances that are opened to see what one takes.
const OPENINGS: usize = 16;

/// Figures of a plugin.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Records that were given to it, in all rounds.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What its calls took.
    pub time: Duration,
    /// The longest of them.
    pub call_max: Duration,
    /// What may be taken for a call.
    pub call_limit: Duration,
    /// Memory at the end.
    pub memory_bytes: usize,
    /// What it may have.
    pub memory_limit_bytes: usize,
    /// Opening an instance: the middle one of some.
    pub open: Duration,
    /// Checking and compiling the component.
    pub load: Duration,
    /// Aggregates: the state at the end.
    pub partial_bytes: Option<usize>,
    /// Share of the records that a store would give it, after looking at its hints; `None` without hints.
    pub asked_share: Option<f64>,
    /// The engine's own way to the same answer.
    pub native: Option<Native>,
}

/// What the engine takes for the same, over the same records.
#[derive(Debug, Clone)]
pub struct Native {
    /// What it searches for.
    pub told: String,
    /// What it takes for a record.
    pub record_ns: f64,
    /// Records that match, of one round.
    pub found: usize,
}

impl Figures {
    /// What it takes for a record, crossing into the sandbox included.
    pub fn record_ns(&self) -> f64 {
        self.time.as_nanos() as f64 / self.records.max(1) as f64
    }
}

/// Measures for about so long, at least one round.
pub fn bench(
    trial: &Trial,
    params: &Arc<str>,
    lines: &Records,
    for_about: Duration,
) -> Result<Figures, ToolError> {
    let kind = trial.plugin().kind();
    let mut stage = trial.open(params)?;
    let hints = stage.hints().clone();
    let records = lines.repeated(ROUND_BYTES);
    let order: Vec<usize> = (0..records.count()).collect();
    let (mut batch, mut time, mut call_max, mut rounds) =
        (StageBatch::default(), Duration::ZERO, Duration::ZERO, 0);
    // The first round is not counted: caches are cold, memory grows.
    let mut is_warm = false;
    while !is_warm || rounds == 0 || time < for_about {
        for some in records.cut(&order, usize::MAX) {
            records.fill(&mut batch, some, &hints);
            let started = Instant::now();
            pass(&mut stage, kind, &batch, |_, payload| {
                std::hint::black_box(payload);
            })?;
            let spent = started.elapsed();
            call_max = call_max.max(spent);
            time += if is_warm { spent } else { Duration::ZERO };
        }
        rounds += u64::from(is_warm);
        is_warm = true;
    }
    let limits = Trial::limits();
    let memory_bytes = stage.memory_bytes();
    let partial_bytes = match kind {
        Kind::Aggregate => Some(stage.partial()?.len()),
        Kind::Source | Kind::Filter | Kind::Rewrite => None,
    };
    let asked = order.iter().filter(|&&index| hinted::may_matter(&hints, records.payload(index))).count();
    let has_hints = !hinted::told(&hints).is_empty();
    Ok(Figures {
        records: rounds * records.count() as u64,
        bytes: rounds * records.bytes() as u64,
        time,
        call_max,
        call_limit: Duration::from_millis(limits.call_ms),
        memory_bytes,
        memory_limit_bytes: limits.memory_bytes,
        open: opening(trial, params)?,
        load: trial.load_time(),
        partial_bytes,
        asked_share: has_hints.then(|| asked as f64 / records.count().max(1) as f64),
        native: native_figures(trial, params, &records, for_about),
    })
}

fn opening(trial: &Trial, params: &Arc<str>) -> Result<Duration, ToolError> {
    let mut times = Vec::new();
    for _ in 0..OPENINGS {
        let started = Instant::now();
        let stage = trial.open(params)?;
        times.push(started.elapsed());
        drop(stage);
    }
    times.sort_unstable();
    Ok(times[OPENINGS / 2])
}

fn native_figures(
    trial: &Trial,
    params: &Arc<str>,
    records: &Records,
    for_about: Duration,
) -> Option<Native> {
    let native = native::Native::of(&trial.plugin().info().name, params)?;
    let found = native.count(records);
    let (started, mut rounds) = (Instant::now(), 0_usize);
    while rounds == 0 || started.elapsed() < for_about {
        native.count(records);
        rounds += 1;
    }
    let record_ns = started.elapsed().as_nanos() as f64 / (rounds * records.count()).max(1) as f64;
    Some(Native { told: native.told, record_ns, found })
}
