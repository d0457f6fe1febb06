//! Stages on the node that was asked, over the answer in its order: behind an aggregate, and those that must see
//! records one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use weir_engine::{StageFailure, Stages, Unjudged};
use weir_plugin_runtime::{Kind, PluginBatch, Stage};
use weir_query::Rows;
use weir_record::limits::FILTER_BATCH_RECORDS_MAX;
use weir_record::{RecordId, Stream};

use super::Spec;
use super::chain::{Chain, failure};

/// What rows go through, one stage after the other. Blocks.
pub(crate) struct Late {
    stages: VecDeque<LateStage>,
    /// What those that have ended could not judge.
    ended: Vec<Unjudged>,
}

enum LateStage {
    /// Filters and rewrites, one instance each.
    Chain(Arc<Chain>),
    /// An aggregate: nothing comes out of it before the end.
    Sum(Spec, Arc<Chain>),
}

impl Late {
    /// Stages, with one instance each.
    pub(crate) fn new(specs: &[Spec], chain: impl Fn(Arc<[Spec]>) -> Arc<Chain>) -> Late {
        let stage = |spec: &Spec| {
            let alone = chain(Arc::from([spec.clone()]));
            match spec.kind() {
                Kind::Aggregate => LateStage::Sum(spec.clone(), alone),
                Kind::Source | Kind::Filter | Kind::Rewrite => LateStage::Chain(alone),
            }
        };
        Late { stages: specs.iter().map(stage).collect(), ended: Vec::new() }
    }

    /// Sends rows through; what comes out at the end.
    pub(crate) fn push(&mut self, rows: &Rows) -> Result<Rows, StageFailure> {
        let mut out = Rows::new();
        for part in parts(rows) {
            let passed = self.stages.iter().try_fold(part, |part, stage| stage.run(&part))?;
            append(&mut out, &passed);
        }
        Ok(out)
    }

    /// What became of records that stages could not judge.
    pub(crate) fn unjudged(mut self) -> Vec<Unjudged> {
        self.ended.extend(self.stages.iter().map(|stage| stage.chain().unjudged()));
        self.ended
    }

    /// Nothing more will come: what the aggregates have to say, through the stages behind them.
    pub(crate) fn finish(&mut self) -> Result<Rows, StageFailure> {
        let mut out = Rows::new();
        while let Some(stage) = self.stages.pop_front() {
            self.ended.push(stage.chain().unjudged());
            if let LateStage::Sum(spec, chain) = stage {
                let sum = finish(&spec, [chain.partial()?])?;
                append(&mut out, &self.push(&sum)?);
            }
        }
        Ok(out)
    }
}

impl LateStage {
    fn chain(&self) -> &Chain {
        let (LateStage::Chain(chain) | LateStage::Sum(_, chain)) = self;
        chain
    }

    fn run(&self, rows: &Rows) -> Result<Rows, StageFailure> {
        let chain = self.chain();
        let mut out = Rows::new();
        for stream in rows.streams() {
            out.add_stream(Arc::clone(stream));
        }
        chain.run(rows, &mut |row, payload| {
            out.push(rows.ids()[row], rows.stream_of()[row], payload);
        })?;
        Ok(out)
    }
}

/// The answer of an aggregate, from the states of all who have summed up.
pub(crate) fn finish(spec: &Spec, partials: impl IntoIterator<Item = Vec<u8>>) -> Result<Rows, StageFailure> {
    let mut sum: Stage = spec.open(Arc::new(AtomicBool::new(false))).map_err(failure)?;
    for partial in partials {
        sum.merge(partial).map_err(failure)?;
    }
    rows_of(spec, &sum.finish().map_err(failure)?)
}

/// Rows of an aggregate: they are no records, so they have the name of the aggregate as topic, and ids of their own.
fn rows_of(spec: &Spec, batch: &PluginBatch) -> Result<Rows, StageFailure> {
    let none: [(&str, &str); 0] = [];
    let stream = Stream::new(spec.plugin.name(), none).map_err(|error| StageFailure(error.to_string()))?;
    let parts = batch.parts();
    let mut rows = Rows::new();
    let stream = rows.add_stream(Arc::new(stream));
    let mut from = 0;
    for (index, &end) in parts.ends.iter().enumerate() {
        let time_ms = parts.times.get(index).map_or(0, |time_ns| time_ns / 1_000_000);
        rows.push(RecordId::from_parts(time_ms, index as u128), stream, &parts.arena[from..end as usize]);
        from = end as usize;
    }
    Ok(rows)
}

/// Rows in portions that a stage takes.
fn parts(rows: &Rows) -> impl Iterator<Item = Rows> {
    let count = rows.count();
    (0..count).step_by(FILTER_BATCH_RECORDS_MAX).map(move |from| {
        let mut part = Rows::new();
        for stream in rows.streams() {
            part.add_stream(Arc::clone(stream));
        }
        for row in from..(from + FILTER_BATCH_RECORDS_MAX).min(count) {
            part.push(rows.ids()[row], rows.stream_of()[row], rows.payload(row));
        }
        part
    })
}

fn append(out: &mut Rows, rows: &Rows) {
    let first = out.streams().len() as u32;
    for stream in rows.streams() {
        out.add_stream(Arc::clone(stream));
    }
    for row in 0..rows.count() {
        out.push(rows.ids()[row], first + rows.stream_of()[row], rows.payload(row));
    }
}
