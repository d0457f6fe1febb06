//! Stages one after the other, as the engine runs them: in all workers at once, each with instances of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_engine::{StageFailure, Stages, Unjudged};
use weir_plugin_runtime::{Kind, SourceError, Stage, StageBatch};
use weir_query::Rows;
use weir_record::Stream;

use super::Spec;
use super::failing::{Failing, Then};

/// The stages of one query on one node.
pub(crate) struct Chain {
    specs: Arc<[Spec]>,
    /// Instances that nobody uses now; those of an aggregate have a state.
    idle: Mutex<Vec<Instances>>,
    /// Records that an aggregate has taken.
    summed: AtomicU64,
    failing: Failing,
    cancel: Arc<AtomicBool>,
    watcher: tokio::task::AbortHandle,
}

/// One instance of each stage, for one worker at a time.
struct Instances {
    links: Vec<Link>,
    passing: Passing,
}

struct Link {
    kind: Kind,
    /// `None`: it has failed, and the query goes on without it.
    stage: Option<Stage>,
}

/// Records on their way from stage to stage, in buffers that are used again.
#[derive(Default)]
struct Passing {
    batch: StageBatch,
    /// Per record its number where it came from.
    rows: Vec<usize>,
}

impl Chain {
    /// Stages that are interrupted when the query is cancelled. Needs a tokio runtime.
    pub(crate) fn new(specs: Arc<[Spec]>, cancelled: &CancellationToken) -> Arc<Chain> {
        let cancel = Arc::new(AtomicBool::new(false));
        let (token, is_cancelled) = (cancelled.clone(), cancel.clone());
        let watcher = tokio::spawn(async move {
            token.cancelled().await;
            is_cancelled.store(true, Ordering::Relaxed);
        });
        let watcher = watcher.abort_handle();
        let (idle, summed, failing) = (Mutex::default(), AtomicU64::new(0), Failing::new(specs.len()));
        Arc::new(Chain { specs, idle, summed, failing, cancel, watcher })
    }

    /// Records that the aggregate at the end has taken.
    pub(crate) fn summed(&self) -> u64 {
        self.summed.load(Ordering::Relaxed)
    }

    /// The state of the aggregate at the end of all instances together.
    pub(crate) fn partial(&self) -> Result<Vec<u8>, StageFailure> {
        let mut instances = std::mem::take(&mut *self.idle.lock()).into_iter();
        let mut first = match instances.next() {
            Some(first) => first,
            None => self.open()?,
        };
        let Some(sum) = last_of(&mut first) else { return Ok(Vec::new()) };
        for mut other in instances {
            if let Some(other) = last_of(&mut other) {
                sum.merge(other.partial().map_err(failure)?).map_err(failure)?;
            }
        }
        sum.partial().map_err(failure)
    }

    fn open(&self) -> Result<Instances, StageFailure> {
        let open = |spec: &Spec| {
            let stage = Some(spec.open(self.cancel.clone()).map_err(failure)?);
            Ok(Link { kind: spec.kind(), stage })
        };
        let links = self.specs.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Instances { links, passing: Passing::default() })
    }

    /// Does what is configured for a stage that has failed, if the query is to go on.
    fn go_on(
        &self,
        number: usize,
        link: &mut Link,
        error: Option<SourceError>,
        (passing, rows): (&mut Passing, &Rows),
    ) -> Result<(), StageFailure> {
        if let Some(error) = &error
            && self.cancel.load(Ordering::Relaxed)
        {
            return Err(StageFailure(error.to_string()));
        }
        let spec = &self.specs[number];
        let ids = passing.rows.iter().map(|&row| rows.ids()[row]);
        if self.failing.judge((number, spec), error, ids)? == Then::Drop {
            passing.clear();
        }
        let is_worth = self.failing.is_worth_another(number);
        link.stage = is_worth.then(|| spec.open(self.cancel.clone()).ok()).flatten();
        Ok(())
    }
}

/// The stage at the end.
fn last_of(instances: &mut Instances) -> Option<&mut Stage> {
    instances.links.last_mut()?.stage.as_mut()
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&*self.specs).finish()
    }
}

impl Stages for Chain {
    fn run(&self, rows: &Rows, keep: &mut dyn FnMut(usize, &[u8])) -> Result<(), StageFailure> {
        let idle = self.idle.lock().pop();
        let mut instances = match idle {
            Some(instances) => instances,
            None => self.open()?,
        };
        let Instances { links, passing } = &mut instances;
        passing.fill(rows);
        for (number, link) in links.iter_mut().enumerate() {
            if passing.rows.is_empty() {
                break;
            }
            if link.kind == Kind::Aggregate {
                self.summed.fetch_add(passing.rows.len() as u64, Ordering::Relaxed);
            }
            let ran = link.stage.as_mut().map(|stage| run(stage, link.kind, passing, rows));
            if !matches!(ran, Some(Ok(()))) {
                self.go_on(number, link, ran.and_then(Result::err), (passing, rows))?;
            }
        }
        for (index, &row) in passing.rows.iter().enumerate() {
            keep(row, passing.batch.payload(index));
        }
        // Those in which a stage has failed are not used again.
        self.idle.lock().push(instances);
        Ok(())
    }

    fn unjudged(&self) -> Unjudged {
        self.failing.take()
    }
}

/// Sends records through a stage. What is on its way is as it was when that fails.
fn run(stage: &mut Stage, kind: Kind, passing: &mut Passing, rows: &Rows) -> Result<(), SourceError> {
    let Passing { batch, rows: numbers } = passing;
    let hints = stage.hints();
    if hints.times {
        batch.set_times(numbers.iter().map(|&row| rows.ids()[row]));
    }
    if hints.ids {
        batch.set_ids(numbers.iter().map(|&row| rows.ids()[row]));
    }
    if hints.streams {
        // More streams than fit a batch's numbers cannot be in so few records.
        let streams = rows.streams().iter().map(|stream| labels_of(stream)).collect();
        batch.set_streams(streams, numbers.iter().map(|&row| rows.stream_of()[row] as u16));
    }
    match kind {
        Kind::Filter => {
            let bitmap = stage.matches(batch)?;
            let is_kept = |index: usize| bitmap[index / 8] >> (index % 8) & 1 == 1;
            batch.retain(is_kept);
            let mut index = 0;
            numbers.retain(|_| {
                index += 1;
                is_kept(index - 1)
            });
        }
        Kind::Rewrite => {
            let rewritten = stage.apply(batch)?;
            let parts = rewritten.records.parts();
            batch.clear();
            batch.extend(&parts.arena, &parts.ends);
            // They go up, so what is still to be read was not written over.
            for (place, &from) in rewritten.came_from.iter().enumerate() {
                numbers[place] = numbers[from as usize];
            }
            numbers.truncate(rewritten.came_from.len());
        }
        Kind::Aggregate => {
            stage.update(batch)?;
            batch.clear();
            numbers.clear();
        }
        // None opens as a stage.
        Kind::Source => {}
    }
    Ok(())
}

impl Passing {
    fn fill(&mut self, rows: &Rows) {
        let Passing { batch, rows: numbers } = self;
        batch.clear();
        batch.extend(rows.arena(), rows.ends());
        numbers.clear();
        numbers.extend(0..rows.count());
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.rows.clear();
    }
}

/// All labels of a stream, its topic first.
fn labels_of(stream: &Stream) -> Vec<(String, String)> {
    let topic = ("_topic".to_owned(), stream.topic().to_owned());
    let labels = stream.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
    std::iter::once(topic).chain(labels).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of `map_err`")]
pub(super) fn failure(error: SourceError) -> StageFailure {
    StageFailure(error.to_string())
}
