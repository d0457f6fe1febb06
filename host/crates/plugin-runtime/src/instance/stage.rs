//! One running filter, rewrite or aggregate: opened with the parameters of a query, given records until the query
//! ends. Its calls block; they wait for nothing and are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmtime::{Store, UpdateDeadline};
use weir_record::limits::{
    AGGREGATE_PARTIAL_BYTES_MAX, FILTER_HINTS_MAX, PLUGIN_COPY_BYTES_MAX, PLUGIN_MESSAGE_BYTES_MAX,
};

use crate::batch::PluginBatch;
use crate::capability::Context;
use crate::capability::log::clean;
use crate::error::{CODE_BYTES_MAX, Call, Caller, Fault, SourceError, Traces, fault_of, frames_of, verdict};
use crate::grants::Grants;
use crate::instance::state::State;
use crate::kind::Kind;
use crate::limits::{self, Limits};
use crate::observe::{Counters, Observer};
use crate::plugin::Plugin;
use crate::stage_batch::{
    Rewritten, StageBatch, StageOutputError, check_bitmap, check_came_from, check_records,
};
use crate::stop::Stop;
use crate::wit::stages::{aggregate, filter, rewrite};
use crate::wit::v1::weir::plugin::types;

/// What a filter may hand over in one call: a bitmap, or a failure.
const FILTER_COPY_BYTES_MAX: usize = 64 << 10;

/// How a stage is opened.
#[derive(Clone)]
pub struct StageOptions {
    /// Its parameters, a JSON object that fits the plugin's schema.
    pub params: Arc<str>,
    /// What it may take.
    pub limits: Limits,
    /// Who hears of it.
    pub observer: Arc<dyn Observer>,
    /// Counts over all instances of the plugin.
    pub counters: Arc<Counters>,
    /// Interrupts whatever runs, within a tick.
    pub cancel: Arc<AtomicBool>,
}

/// What a stage says of itself for its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the contract, each for itself")]
pub struct Hints {
    /// At least one of each list occurs as a whole word. No list is empty.
    pub words: Vec<Vec<String>>,
    /// At least one of each list occurs in the bytes. No list is empty.
    pub literals: Vec<Vec<Vec<u8>>>,
    /// It reads times.
    pub times: bool,
    /// It reads streams.
    pub streams: bool,
    /// It reads ids.
    pub ids: bool,
    /// All of the answer has to go through one instance, in its order.
    pub in_order: bool,
}

/// A stage that runs. A call that fails may cost the instance; then all that follow fail.
pub struct Stage {
    plugin: Arc<Plugin>,
    caller: Caller,
    limits: Limits,
    counters: Arc<Counters>,
    hints: Hints,
    store: Store<State>,
    bindings: Option<Bindings>,
}

enum Bindings {
    Filter(filter::FilterPlugin),
    Rewrite(rewrite::RewritePlugin),
    Aggregate(aggregate::AggregatePlugin),
}

/// Instances of the kinds that run in queries.
pub(crate) enum StagePre {
    Filter(filter::FilterPluginPre<State>),
    Rewrite(rewrite::RewritePluginPre<State>),
    Aggregate(aggregate::AggregatePluginPre<State>),
}

impl StagePre {
    pub(crate) fn new(
        kind: Kind,
        pre: wasmtime::component::InstancePre<State>,
    ) -> wasmtime::Result<Option<StagePre>> {
        Ok(match kind {
            Kind::Source => None,
            Kind::Filter => Some(StagePre::Filter(filter::FilterPluginPre::new(pre)?)),
            Kind::Rewrite => Some(StagePre::Rewrite(rewrite::RewritePluginPre::new(pre)?)),
            Kind::Aggregate => Some(StagePre::Aggregate(aggregate::AggregatePluginPre::new(pre)?)),
        })
    }
}

impl Stage {
    /// Makes an instance and opens it.
    pub fn open(plugin: &Arc<Plugin>, options: &StageOptions) -> Result<Stage, SourceError> {
        let StageOptions { params, limits, observer, counters, cancel } = options.clone();
        let caller = Caller {
            noun: "filter",
            instance: plugin.name().into(),
            plugin: plugin.name().into(),
            digest: plugin.digest(),
        };
        let refuse = |fault| SourceError::new(&caller, Call::Start, fault, Traces::default());
        let Some(pre) = plugin.stage() else { return Err(refuse(Fault::NotAStage(plugin.kind()))) };
        let context = Context {
            plugin: Arc::clone(&caller.plugin),
            instance: Arc::clone(&caller.instance),
            observer,
            counters: Arc::clone(&counters),
            stop: Stop::new(),
            stdin: Arc::clone(plugin.stdin()),
        };
        let state = State::new(&limits, &Grants::default(), &context)
            .map_err(|why| refuse(Fault::Capability(why)))?;
        let store = new_store(plugin, state, cancel);
        let plugin = Arc::clone(plugin);
        let hints = Hints::default();
        let mut stage =
            Stage { plugin: Arc::clone(&plugin), caller, limits, counters, hints, store, bindings: None };
        let bindings = stage.timed(Call::Start, |store| match pre {
            StagePre::Filter(pre) => pre.instantiate(store).map(Bindings::Filter),
            StagePre::Rewrite(pre) => pre.instantiate(store).map(Bindings::Rewrite),
            StagePre::Aggregate(pre) => pre.instantiate(store).map(Bindings::Aggregate),
        })?;
        stage.bindings = Some(bindings);
        let hints = stage.call(Call::Open, |bindings, store| match bindings {
            Bindings::Filter(it) => it.weir_plugin_filter().call_open(store, &params),
            Bindings::Rewrite(it) => it.weir_plugin_rewrite().call_open(store, &params),
            Bindings::Aggregate(it) => it.weir_plugin_aggregate().call_open(store, &params),
        })?;
        stage.hints = stage.checked(Call::Open, checked_hints(hints))?;
        Ok(stage)
    }

    /// What it says of itself.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Which records a filter keeps: a bit each, lowest first.
    pub fn matches(&mut self, records: &StageBatch) -> Result<Vec<u8>, SourceError> {
        let bitmap = self.call(Call::Matches, |bindings, store| match bindings {
            Bindings::Filter(it) => it.weir_plugin_filter().call_matches(store, &records.0),
            Bindings::Rewrite(_) | Bindings::Aggregate(_) => Err(wrong_kind()),
        })?;
        self.took(records);
        self.checked(Call::Matches, check_bitmap(&bitmap, records.count()).map(|()| bitmap))
    }

    /// What a rewrite makes of records.
    pub fn apply(&mut self, records: &StageBatch) -> Result<Rewritten, SourceError> {
        let transformed = self.call(Call::Apply, |bindings, store| match bindings {
            Bindings::Rewrite(it) => it.weir_plugin_rewrite().call_apply(store, &records.0),
            Bindings::Filter(_) | Bindings::Aggregate(_) => Err(wrong_kind()),
        })?;
        self.took(records);
        let came_from = transformed.came_from;
        let checked = check_records(transformed.records).and_then(|kept| {
            check_came_from(&came_from, kept.count(), records.count())?;
            Ok(Rewritten { records: kept, came_from })
        });
        self.checked(Call::Apply, checked)
    }

    /// Has an aggregate take records into its state.
    pub fn update(&mut self, records: &StageBatch) -> Result<(), SourceError> {
        self.call(Call::Update, |bindings, store| match bindings {
            Bindings::Aggregate(it) => it.weir_plugin_aggregate().call_update(store, &records.0),
            Bindings::Filter(_) | Bindings::Rewrite(_) => Err(wrong_kind()),
        })?;
        self.took(records);
        Ok(())
    }

    /// The state of an aggregate, which starts over.
    pub fn partial(&mut self) -> Result<Vec<u8>, SourceError> {
        let partial = self.call(Call::Partial, |bindings, store| match bindings {
            Bindings::Aggregate(it) => it.weir_plugin_aggregate().call_partial(store),
            Bindings::Filter(_) | Bindings::Rewrite(_) => Err(wrong_kind()),
        })?;
        let (got, max) = (partial.len(), AGGREGATE_PARTIAL_BYTES_MAX);
        let checked = if got > max { Err(StageOutputError::Partial { got, max }) } else { Ok(partial) };
        self.checked(Call::Partial, checked)
    }

    /// Has an aggregate take the state of another instance into its own.
    pub fn merge(&mut self, partial: Vec<u8>) -> Result<(), SourceError> {
        let partials = [partial];
        self.call(Call::Merge, |bindings, store| match bindings {
            Bindings::Aggregate(it) => it.weir_plugin_aggregate().call_merge(store, &partials),
            Bindings::Filter(_) | Bindings::Rewrite(_) => Err(wrong_kind()),
        })
    }

    /// The answer of an aggregate. The last call.
    pub fn finish(mut self) -> Result<PluginBatch, SourceError> {
        let records = self.call(Call::Finish, |bindings, store| match bindings {
            Bindings::Aggregate(it) => it.weir_plugin_aggregate().call_finish(store),
            Bindings::Filter(_) | Bindings::Rewrite(_) => Err(wrong_kind()),
        })?;
        self.checked(Call::Finish, check_records(records))
    }

    /// Linear memory that the instance takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    fn took(&self, records: &StageBatch) {
        Counters::add(&self.counters.records, records.count() as u64);
        Counters::add(&self.counters.bytes, records.payload_bytes() as u64);
    }

    fn call<R>(
        &mut self,
        call: Call,
        run: impl FnOnce(&Bindings, &mut Store<State>) -> wasmtime::Result<Result<R, types::Failure>>,
    ) -> Result<R, SourceError> {
        let Some(bindings) = self.bindings.take() else { return Err(self.error(call, Fault::Gone)) };
        let result = self.timed(call, |store| run(&bindings, store))?;
        // Only a call that came back leaves an instance that can be entered.
        self.bindings = Some(bindings);
        result.map_err(|failure| self.failed(call, failure))
    }

    fn timed<R>(
        &mut self,
        call: Call,
        run: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, SourceError> {
        let limit = Duration::from_millis(self.limits.call_ms);
        let state = self.store.data_mut();
        state.timing.begin(Duration::ZERO, limit);
        state.log.begin();
        self.store.set_epoch_deadline(1);
        let started = Instant::now();
        let result = {
            let _running = self.plugin.engine().running();
            run(&mut self.store)
        };
        Counters::add(&self.counters.calls, 1);
        Counters::add(&self.counters.running_ns, started.elapsed().as_nanos() as u64);
        result.map_err(|error| {
            let log = &self.store.data().log;
            let traces = Traces {
                panic: log.panic().map(str::to_owned),
                last_log: log.last().map(str::to_owned),
                frames: frames_of(&error),
            };
            let fault = fault_of(&error, self.limits.call_ms, self.copy_bytes_max());
            self.count(&fault);
            SourceError::new(&self.caller, call, fault, traces)
        })
    }

    fn copy_bytes_max(&self) -> usize {
        copy_bytes_max(self.plugin.kind())
    }

    fn failed(&mut self, call: Call, failure: types::Failure) -> SourceError {
        let types::Failure { verdict: of, code, message, retry_after_ms } = failure;
        let code = clean(&code, CODE_BYTES_MAX);
        let message = clean(&message, PLUGIN_MESSAGE_BYTES_MAX);
        self.error(call, Fault::Failure { verdict: verdict(of), code, message, retry_after_ms })
    }

    fn checked<R>(&mut self, call: Call, result: Result<R, StageOutputError>) -> Result<R, SourceError> {
        result.map_err(|broken| {
            self.bindings = None;
            self.error(call, Fault::Output(broken))
        })
    }

    fn error(&self, call: Call, fault: Fault) -> SourceError {
        self.count(&fault);
        let last_log = self.store.data().log.last().map(str::to_owned);
        SourceError::new(&self.caller, call, fault, Traces { last_log, ..Traces::default() })
    }

    fn count(&self, fault: &Fault) {
        let counter = if fault.is_trap() { &self.counters.traps } else { &self.counters.failures };
        Counters::add(counter, 1);
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({:?})", self.plugin)
    }
}

fn copy_bytes_max(kind: Kind) -> usize {
    match kind {
        Kind::Filter => FILTER_COPY_BYTES_MAX,
        Kind::Source | Kind::Rewrite | Kind::Aggregate => PLUGIN_COPY_BYTES_MAX,
    }
}

fn new_store(plugin: &Plugin, state: State, cancel: Arc<AtomicBool>) -> Store<State> {
    let mut store = Store::new(plugin.engine().wasm(), state);
    limits::apply(&mut store, copy_bytes_max(plugin.kind()), |state| &mut state.limiter);
    store.epoch_deadline_callback(move |context| {
        let is_over = cancel.load(Ordering::Relaxed) || context.data().timing.is_over();
        Ok(if is_over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
    });
    store
}

fn wrong_kind() -> wasmtime::Error {
    wasmtime::format_err!("it has no such call")
}

fn checked_hints(hints: types::Hints) -> Result<Hints, StageOutputError> {
    let types::Hints { words, literals, columns, in_order } = hints;
    let got = words.iter().map(Vec::len).sum::<usize>() + literals.iter().map(Vec::len).sum::<usize>();
    let max = FILTER_HINTS_MAX;
    if got > max || words.len() > max || literals.len() > max {
        return Err(StageOutputError::Hints { got: got.max(words.len()).max(literals.len()), max });
    }
    if words.iter().any(Vec::is_empty) || literals.iter().any(Vec::is_empty) {
        return Err(StageOutputError::EmptyHint);
    }
    let is_word = |word: &String| !word.is_empty() && word.bytes().all(weir_record::word::is_word);
    if let Some(word) = words.iter().flatten().find(|word| !is_word(word)) {
        return Err(StageOutputError::NoWord(clean(word, CODE_BYTES_MAX)));
    }
    if literals.iter().flatten().any(Vec::is_empty) {
        return Err(StageOutputError::EmptyHint);
    }
    Ok(Hints {
        words,
        literals,
        times: columns.contains(types::Columns::TIMES),
        streams: columns.contains(types::Columns::STREAMS),
        ids: columns.contains(types::Columns::IDS),
        in_order,
    })
}
