//! Stages one after the other, as the engine runs them: in all workers at once, each with instances of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_engine::{StageFailure, Stages};
use weir_plugin_runtime::{Kind, SourceError, Stage, StageBatch};
use weir_query::Rows;
use weir_record::Stream;

use super::Spec;

/// The stages of one query on one node.
pub(crate) struct Chain {
    specs: Arc<[Spec]>,
    /// Instances that nobody uses now; those of an aggregate have a state.
    idle: Mutex<Vec<Instances>>,
    /// Records that an aggregate has taken.
    summed: AtomicU64,
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
    stage: Stage,
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
        Arc::new(Chain { specs, idle: Mutex::default(), summed: AtomicU64::new(0), cancel, watcher })
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
        let Some(sum) = first.links.last_mut() else { return Ok(Vec::new()) };
        for mut other in instances {
            if let Some(other) = other.links.last_mut() {
                let partial = other.stage.partial().map_err(failure)?;
                sum.stage.merge(partial).map_err(failure)?;
            }
        }
        sum.stage.partial().map_err(failure)
    }

    fn open(&self) -> Result<Instances, StageFailure> {
        let open = |spec: &Spec| {
            let stage = spec.open(self.cancel.clone()).map_err(failure)?;
            Ok(Link { kind: spec.kind(), stage })
        };
        let links = self.specs.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Instances { links, passing: Passing::default() })
    }
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
        for link in links {
            if link.kind == Kind::Aggregate {
                self.summed.fetch_add(passing.rows.len() as u64, Ordering::Relaxed);
            }
            link.run(passing, rows)?;
        }
        for (index, &row) in passing.rows.iter().enumerate() {
            keep(row, passing.batch.payload(index));
        }
        // Those in which a stage has failed are not used again.
        self.idle.lock().push(instances);
        Ok(())
    }
}

impl Link {
    /// Sends records through the stage.
    fn run(&mut self, passing: &mut Passing, rows: &Rows) -> Result<(), StageFailure> {
        let Passing { batch, rows: numbers } = passing;
        if numbers.is_empty() {
            return Ok(());
        }
        let hints = self.stage.hints();
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
        match self.kind {
            Kind::Filter => {
                let bitmap = self.stage.matches(batch).map_err(failure)?;
                let is_kept = |index: usize| bitmap[index / 8] >> (index % 8) & 1 == 1;
                batch.retain(is_kept);
                let mut index = 0;
                numbers.retain(|_| {
                    index += 1;
                    is_kept(index - 1)
                });
            }
            Kind::Rewrite => {
                let rewritten = self.stage.apply(batch).map_err(failure)?;
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
                self.stage.update(batch).map_err(failure)?;
                batch.clear();
                numbers.clear();
            }
            Kind::Source => return Err(StageFailure("a source is no stage".into())),
        }
        Ok(())
    }
}

impl Passing {
    fn fill(&mut self, rows: &Rows) {
        let Passing { batch, rows: numbers } = self;
        batch.clear();
        batch.extend(rows.arena(), rows.ends());
        numbers.clear();
        numbers.extend(0..rows.count());
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
