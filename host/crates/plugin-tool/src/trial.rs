//! A plugin on the bench: loaded as a node loads it, opened as a query opens it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_plugin_runtime::{
    Counters, Kind, Level, Limits, LogLine, Metric, Observer, Plugin, PluginFile, Runtime, RuntimeOptions,
    SourceError, Stage, StageBatch, StageOptions,
};
use weir_record::limits::{FILTER_CALL_MS_DEFAULT, FILTER_PARAMS_BYTES_MAX};

use crate::error::ToolError;
use crate::records::Records;

/// A loaded plugin.
#[derive(Debug)]
pub struct Trial {
    plugin: Arc<Plugin>,
    file_bytes: usize,
    load: Duration,
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Filters and rewrites: the number of the record that it was. Aggregates: its time in Unix nanoseconds, 0 = none.
    pub from: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// How records are given to a plugin.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// Which records, in which order.
    pub(crate) order: Vec<usize>,
    /// Records of a batch, at most.
    pub(crate) batch_records: usize,
    /// Instances that take turns.
    pub(crate) instances: usize,
    /// Aggregates: hands its state over and starts over after every batch, and states are merged last first.
    pub(crate) is_restless: bool,
}

impl How {
    /// As a query does on one core.
    pub(crate) fn plain(records: &Records) -> How {
        How {
            order: (0..records.count()).collect(),
            batch_records: usize::MAX,
            instances: 1,
            is_restless: false,
        }
    }
}

impl Trial {
    /// Checks, compiles and describes a component; with a folder of what was compiled, at the first time only.
    pub fn load(name: &str, bytes: Vec<u8>, compiled: Option<PathBuf>) -> Result<Trial, ToolError> {
        let runtime = Runtime::new(RuntimeOptions { cache_dir: compiled, ..RuntimeOptions::default() })?;
        let (file_bytes, started) = (bytes.len(), Instant::now());
        let plugin = runtime.load(PluginFile { name: name.to_owned(), bytes, sha256: None })?;
        Ok(Trial { plugin, file_bytes, load: started.elapsed() })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Size of the file.
    pub fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// What checking, compiling and describing took.
    pub fn load_time(&self) -> Duration {
        self.load
    }

    /// The limits of a filter that nobody has configured.
    pub(crate) fn limits() -> Limits {
        Limits { call_ms: FILTER_CALL_MS_DEFAULT, ..Limits::default() }
    }

    /// Parameters as the plugin gets them: checked against its schema, defaults filled in. `None` = none given.
    pub fn params(&self, json: Option<&str>) -> Result<Arc<str>, ToolError> {
        let wrong = |why: String| ToolError::Params { plugin: self.plugin.name().to_owned(), why };
        let mut params = match json {
            Some(json) => serde_json::from_str(json).map_err(|error| {
                wrong(format!("not JSON: {error}; write an object: '{{\"name\":\"value\"}}'"))
            })?,
            None => Value::Null,
        };
        self.plugin.info().schema.check(&mut params).map_err(|violations| {
            let told: Vec<String> =
                violations.iter().map(|it| it.to_string().replacen("config", "params", 1)).collect();
            wrong(format!("{}; `weir plugin inspect` shows what it takes", told.join("; ")))
        })?;
        let params = params.to_string();
        if params.len() > FILTER_PARAMS_BYTES_MAX {
            return Err(wrong(format!("{} bytes, at most {FILTER_PARAMS_BYTES_MAX}", params.len())));
        }
        Ok(params.into())
    }

    /// An instance, opened. What it logs goes to standard error.
    pub(crate) fn open(&self, params: &Arc<str>) -> Result<Stage, ToolError> {
        if self.plugin.kind() == Kind::Source {
            return Err(ToolError::Source(self.plugin.name().to_owned()));
        }
        let options = StageOptions {
            params: Arc::clone(params),
            limits: Trial::limits(),
            observer: Arc::new(ToStderr),
            counters: Arc::new(Counters::default()),
            cancel: Arc::default(),
        };
        Ok(Stage::open(&self.plugin, &options)?)
    }

    /// What the plugin makes of records.
    pub fn answer(&self, params: &Arc<str>, records: &Records) -> Result<Vec<Line>, ToolError> {
        self.answer_as(params, records, &How::plain(records))
    }

    /// The same, in a certain way. Filters and rewrites: by the number of the record, whatever the order.
    pub(crate) fn answer_as(
        &self,
        params: &Arc<str>,
        records: &Records,
        how: &How,
    ) -> Result<Vec<Line>, ToolError> {
        let mut stages = (0..how.instances).map(|_| self.open(params)).collect::<Result<Vec<_>, _>>()?;
        let (kind, turns) = (self.plugin.kind(), stages.len());
        let (mut batch, mut out, mut partials) = (StageBatch::default(), Vec::new(), Vec::new());
        for (turn, some) in records.cut(&how.order, how.batch_records).enumerate() {
            let stage = &mut stages[turn % turns];
            records.fill(&mut batch, some, &stage.hints().clone());
            pass(stage, kind, &batch, |place, payload| {
                out.push(Line { from: some[place] as u64, payload: payload.to_vec() });
            })?;
            if kind == Kind::Aggregate && how.is_restless {
                partials.push(stage.partial()?);
            }
        }
        if kind != Kind::Aggregate {
            out.sort_by_key(|line| line.from);
            return Ok(out);
        }
        for stage in &mut stages {
            partials.push(stage.partial()?);
        }
        if how.is_restless {
            partials.reverse();
        }
        self.finish(params, partials)
    }

    /// The answer of an aggregate, from the states of all who have summed up.
    pub(crate) fn finish(&self, params: &Arc<str>, partials: Vec<Vec<u8>>) -> Result<Vec<Line>, ToolError> {
        let mut sum = self.open(params)?;
        partials.into_iter().try_for_each(|partial| sum.merge(partial))?;
        let answer = sum.finish()?;
        let parts = answer.parts();
        let starts = std::iter::once(0).chain(parts.ends.iter().map(|&end| end as usize));
        let lines = starts.zip(&parts.ends).enumerate().map(|(index, (from, &end))| Line {
            from: parts.times.get(index).copied().unwrap_or(0),
            payload: parts.arena[from..end as usize].to_vec(),
        });
        Ok(lines.collect())
    }
}

/// Sends a batch through a stage; `keep` hears of each record that is left: its place in the batch, its bytes.
pub(crate) fn pass(
    stage: &mut Stage,
    kind: Kind,
    batch: &StageBatch,
    mut keep: impl FnMut(usize, &[u8]),
) -> Result<(), SourceError> {
    match kind {
        Kind::Filter => {
            let bitmap = stage.matches(batch)?;
            let kept = (0..batch.count()).filter(|index| bitmap[index / 8] >> (index % 8) & 1 == 1);
            kept.for_each(|index| keep(index, batch.payload(index)));
        }
        Kind::Rewrite => {
            let rewritten = stage.apply(batch)?;
            let parts = rewritten.records.parts();
            let mut start = 0;
            for (&from, &end) in rewritten.came_from.iter().zip(&parts.ends) {
                keep(from as usize, &parts.arena[start..end as usize]);
                start = end as usize;
            }
        }
        Kind::Aggregate | Kind::Source => stage.update(batch)?,
    }
    Ok(())
}

/// Shows an author what the plugin logs.
#[derive(Debug)]
struct ToStderr;

impl Observer for ToStderr {
    fn enabled(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, line: &LogLine<'_>) {
        let fields =
            line.fields.iter().fold(String::new(), |text, (name, value)| text + " " + name + "=" + value);
        eprintln!("{:?} {}{fields}", line.level, line.message);
    }

    fn define(&self, _metric: &Metric) {}

    fn record(&self, _metric: &Metric, _value: f64) {}
}
