//! One running source: opened at a cursor, polled, closed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use wasmtime::component::Resource;
use wasmtime::{Store, UpdateDeadline};
use weir_record::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, CURSOR_BYTES_MAX, PLUGIN_CLOSE_MS_MAX, PLUGIN_COPY_BYTES_MAX,
    PLUGIN_IDLE_MS_MAX, PLUGIN_IDLE_MS_MIN, PLUGIN_MESSAGE_BYTES_MAX, PLUGIN_POLL_WAIT_MS_MAX,
    RECORD_BYTES_MAX,
};

use crate::batch::{BatchLimits, PluginBatch, PluginBatchError, RawBatch};
use crate::capability::Context;
use crate::capability::log::clean;
use crate::capability::receipts::Receipt;
use crate::error::{
    self, CODE_BYTES_MAX, Call, Caller, Fault, SourceError, Traces, Verdict, fault_of, frames_of,
};
use crate::grants::{self, Grants};
use crate::instance::busy::Busy;
use crate::instance::state::State;
use crate::kind::Kind;
use crate::limits::{self, Limits};
use crate::observe::{Counters, Observer};
use crate::plugin::Plugin;
use crate::stop::Stop;
use crate::wit::v1::SourcePlugin;
use crate::wit::v1::exports::weir::plugin::source as wit;
use crate::wit::v1::weir::plugin::types;

/// What is left to the outer timeout beyond the deadline, so that a loop is caught by the epoch, which
/// knows where it was, and only a wait in the host by the timeout, which does not.
const GRACE_MS: u64 = 100;

/// How a source is opened.
pub struct SourceOptions {
    /// Name of the source in the configuration.
    pub instance: String,
    /// Its settings, a table or null. Checked against the plugin's schema, which fills in defaults.
    pub config: Value,
    /// The last cursor that it handed over or that was stored; `None` on the first start.
    pub cursor: Option<Vec<u8>>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may take.
    pub limits: Limits,
    /// Who hears of it.
    pub observer: Arc<dyn Observer>,
    /// Counts over all its instances.
    pub counters: Arc<Counters>,
    /// Tells it to come to an end.
    pub stop: Stop,
}

/// How much a poll may bring, and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Records, 1 to [`BATCH_RECORDS_MAX`].
    pub records: u32,
    /// Payload bytes, [`RECORD_BYTES_MAX`] to [`BATCH_BYTES_MAX`].
    pub bytes: u32,
    /// Milliseconds, at most [`PLUGIN_POLL_WAIT_MS_MAX`].
    pub wait_ms: u32,
}

impl Budget {
    /// As much as there can be in one batch.
    pub const MAX: Budget = Budget {
        records: BATCH_RECORDS_MAX as u32,
        bytes: BATCH_BYTES_MAX as u32,
        wait_ms: PLUGIN_POLL_WAIT_MS_MAX,
    };

    /// The nearest budget that a plugin may be given.
    fn clamped(self) -> Budget {
        Budget {
            records: self.records.clamp(1, Budget::MAX.records),
            bytes: self.bytes.clamp(RECORD_BYTES_MAX as u32, Budget::MAX.bytes),
            wait_ms: self.wait_ms.min(Budget::MAX.wait_ms),
        }
    }

    fn batch_limits(self) -> BatchLimits {
        BatchLimits { records: self.records as usize, bytes: self.bytes as usize }
    }
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records, or at least a new cursor or receipts.
    Records(Taken),
    /// Nothing: poll again after so many milliseconds at the latest. 0 only from a source that has
    /// waited already.
    Idle {
        /// At most [`PLUGIN_IDLE_MS_MAX`].
        wait_ms: u32,
    },
    /// There will never be more.
    Finished,
}

/// What a source handed over. Dropping it gives its receipts back.
#[derive(Debug)]
pub struct Taken {
    /// The records, which keep every rule. May be none.
    pub batch: PluginBatch,
    /// Where to go on after them, to be stored with them in one commit. `None` = unchanged.
    pub cursor: Option<Vec<u8>>,
    /// To be acknowledged once the records are durable.
    pub receipts: Vec<Receipt>,
    /// They may have been handed over before.
    pub repeated: bool,
    /// More is ready: poll again at once.
    pub more: bool,
}

impl Taken {
    fn is_nothing(&self) -> bool {
        self.batch.is_empty() && self.cursor.is_none() && self.receipts.is_empty()
    }
}

/// A source that runs. Its futures must be awaited to their end: dropping one ends the instance.
pub struct Source {
    plugin: Arc<Plugin>,
    caller: Caller,
    limits: Limits,
    counters: Arc<Counters>,
    /// `None` once a call trapped or was cancelled: after that the store cannot be entered.
    live: Option<Live>,
}

struct Live {
    store: Store<State>,
    bindings: SourcePlugin,
    counters: Arc<Counters>,
}

impl Live {
    /// Tells how much memory the instance takes.
    fn measure(&self) {
        let memory_bytes = self.store.data().limiter.memory_bytes() as u64;
        self.counters.memory_bytes.store(memory_bytes, Ordering::Relaxed);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.counters.memory_bytes.store(0, Ordering::Relaxed);
    }
}

/// A call that did not come back with a value of the plugin.
enum Broken {
    Engine(wasmtime::Error),
    Timeout,
}

impl Source {
    /// Makes an instance and opens it. Needs a tokio runtime with time and IO.
    pub async fn open(plugin: &Arc<Plugin>, options: SourceOptions) -> Result<Source, SourceError> {
        let SourceOptions { instance, mut config, cursor, grants, limits, observer, counters, stop } =
            options;
        Source::check(plugin, &instance, &grants, &mut config)?;
        let caller = caller(plugin, instance);
        let refuse = |fault| SourceError::new(&caller, Call::Start, fault, Traces::default());
        let Some(pre) = plugin.source() else { return Err(refuse(Fault::NotASource(plugin.kind()))) };
        assert_eq!(plugin.kind(), Kind::Source, "only sources are linked as sources");
        if let Some(got) = cursor.as_ref().map(Vec::len).filter(|&got| got > CURSOR_BYTES_MAX) {
            return Err(refuse(PluginBatchError::Cursor { got, max: CURSOR_BYTES_MAX }.into()));
        }
        let context = Context {
            plugin: Arc::clone(&caller.plugin),
            instance: Arc::clone(&caller.instance),
            observer,
            counters: Arc::clone(&counters),
            stop,
            stdin: Arc::clone(plugin.stdin()),
        };
        let state = State::new(&limits, &grants, &context).map_err(|why| refuse(Fault::Capability(why)))?;
        let store = new_store(plugin, state);
        let mut source = Source { plugin: Arc::clone(plugin), caller, limits, counters, live: None };
        source.start(pre, store).await?;
        source.call_open(&config.to_string(), cursor.as_deref()).await?;
        Ok(source)
    }

    /// What can be said of an instance before there is one: whether the plugin is a source, has the grants that it
    /// needs, and takes the settings, in which defaults are filled in.
    pub fn check(
        plugin: &Plugin,
        instance: &str,
        grants: &Grants,
        config: &mut serde_json::Value,
    ) -> Result<(), SourceError> {
        let caller = caller(plugin, instance.to_owned());
        let refuse = |fault| SourceError::new(&caller, Call::Start, fault, Traces::default());
        if plugin.source().is_none() {
            return Err(refuse(Fault::NotASource(plugin.kind())));
        }
        let info = plugin.info();
        grants::check(&info.needs, grants, instance).map_err(|missing| refuse(Fault::Grants(missing)))?;
        info.schema.check(config).map_err(|violations| refuse(Fault::Config(violations)))
    }

    /// Asks for records.
    ///
    /// # Errors
    /// After a failure with `retry` the source may be polled again; after any other error it is gone.
    pub async fn poll(&mut self, budget: Budget) -> Result<Polled, SourceError> {
        let budget = budget.clamped();
        let within =
            wit::Budget { max_records: budget.records, max_bytes: budget.bytes, max_wait_ms: budget.wait_ms };
        let limit = Duration::from_millis(u64::from(budget.wait_ms) + self.limits.call_ms);
        let mut live = self.begin(Call::Poll, Duration::from_millis(budget.wait_ms.into()), limit)?;
        let call = live.bindings.weir_plugin_source().call_poll(&mut live.store, within);
        let result = run(&self.plugin, &self.counters, limit, call).await;
        let polled = match self.finish(Call::Poll, live, limit, result)? {
            Ok(polled) => polled,
            Err(failure) => return Err(self.failed(Call::Poll, failure)),
        };
        match polled {
            wit::Polled::Records(taken) => {
                let taken = self.take(Call::Poll, taken, budget.batch_limits())?;
                // Nothing at all is idleness, whatever it is called.
                Ok(if taken.is_nothing() { self.idle(0) } else { Polled::Records(taken) })
            }
            wit::Polled::Idle(wait_ms) => Ok(self.idle(wait_ms)),
            wit::Polled::Finished => Ok(Polled::Finished),
        }
    }

    /// The last call. What it returns is to be stored like the result of a poll. The instance is gone
    /// afterwards, whether it succeeded or not.
    pub async fn close(mut self) -> Result<Option<Taken>, SourceError> {
        let limit = Duration::from_millis(PLUGIN_CLOSE_MS_MAX);
        let mut live = self.begin(Call::Close, limit / 2, limit)?;
        let call = live.bindings.weir_plugin_source().call_close(&mut live.store);
        let result = run(&self.plugin, &self.counters, limit, call).await;
        let Some(taken) = self.finish(Call::Close, live, limit, result)? else { return Ok(None) };
        let taken = self.take(Call::Close, taken, BatchLimits::MAX)?;
        Ok(Some(taken).filter(|taken| !taken.is_nothing()))
    }

    /// Whether the instance is gone and a new one must be opened.
    pub fn is_gone(&self) -> bool {
        self.live.is_none()
    }

    async fn start(
        &mut self,
        pre: &crate::wit::v1::SourcePluginPre<State>,
        mut store: Store<State>,
    ) -> Result<(), SourceError> {
        let limit = Duration::from_millis(self.limits.call_ms);
        store.data_mut().timing.begin(Duration::ZERO, limit);
        store.set_epoch_deadline(1);
        let result = run(&self.plugin, &self.counters, limit, pre.instantiate_async(&mut store)).await;
        match result {
            Ok(bindings) => {
                let live = Live { store, bindings, counters: Arc::clone(&self.counters) };
                live.measure();
                self.live = Some(live);
                Ok(())
            }
            Err(broken) => Err(self.broke(Call::Start, &store, limit, &broken)),
        }
    }

    async fn call_open(&mut self, config: &str, cursor: Option<&[u8]>) -> Result<(), SourceError> {
        let limit = Duration::from_millis(self.limits.call_ms);
        let mut live = self.begin(Call::Open, limit / 2, limit)?;
        let cursor = cursor.map(<[u8]>::to_vec);
        let call = live.bindings.weir_plugin_source().call_open(&mut live.store, config, cursor.as_deref());
        let result = run(&self.plugin, &self.counters, limit, call).await;
        match self.finish(Call::Open, live, limit, result)? {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.failed(Call::Open, failure)),
        }
    }

    /// Takes the instance out, so that it is gone if the call is cancelled.
    fn begin(&mut self, call: Call, wait: Duration, limit: Duration) -> Result<Live, SourceError> {
        let mut live = self.live.take().ok_or_else(|| self.error(call, Fault::Gone))?;
        let state = live.store.data_mut();
        state.timing.begin(wait, limit);
        state.log.begin();
        live.store.set_epoch_deadline(1);
        Ok(live)
    }

    /// Puts the instance back, or lets it go with an error.
    fn finish<R>(
        &mut self,
        call: Call,
        live: Live,
        limit: Duration,
        result: Result<R, Broken>,
    ) -> Result<R, SourceError> {
        live.measure();
        match result {
            Ok(value) => {
                self.live = Some(live);
                Ok(value)
            }
            Err(broken) => Err(self.broke(call, &live.store, limit, &broken)),
        }
    }

    fn broke(&self, call: Call, store: &Store<State>, limit: Duration, broken: &Broken) -> SourceError {
        let limit_ms = limit.as_millis() as u64;
        let (fault, frames) = match broken {
            Broken::Timeout => (Fault::Deadline { limit_ms }, Vec::new()),
            Broken::Engine(error) => (fault_of(error, limit_ms, PLUGIN_COPY_BYTES_MAX), frames_of(error)),
        };
        let log = &store.data().log;
        let last_log = log.last().map(str::to_owned);
        let traces = Traces { panic: log.panic().map(str::to_owned), last_log, frames };
        self.count(&fault);
        SourceError::new(&self.caller, call, fault, traces)
    }

    /// An error that the plugin told, or records that break a rule.
    fn error(&self, call: Call, fault: Fault) -> SourceError {
        self.count(&fault);
        let log = self.live.as_ref().map(|live| &live.store.data().log);
        let last_log = log.and_then(|log| log.last()).map(str::to_owned);
        SourceError::new(&self.caller, call, fault, Traces { last_log, ..Traces::default() })
    }

    fn count(&self, fault: &Fault) {
        let counter = if fault.is_trap() { &self.counters.traps } else { &self.counters.failures };
        Counters::add(counter, 1);
    }

    fn failed(&mut self, call: Call, failure: types::Failure) -> SourceError {
        let types::Failure { verdict, code, message, retry_after_ms } = failure;
        let verdict = error::verdict(verdict);
        let code = clean(&code, CODE_BYTES_MAX);
        let message = clean(&message, PLUGIN_MESSAGE_BYTES_MAX);
        let error = self.error(call, Fault::Failure { verdict, code, message, retry_after_ms });
        if verdict != Verdict::Retry || call != Call::Poll {
            self.live = None;
        }
        error
    }

    /// What the plugin handed over, checked; records that break a rule cost the instance.
    fn take(&mut self, call: Call, taken: wit::Taken, limits: BatchLimits) -> Result<Taken, SourceError> {
        let wit::Taken { records, cursor, receipts, repeated, more } = taken;
        let receipts = self.receipts(call, receipts)?;
        let checked = check(records, limits).and_then(|batch| match &cursor {
            Some(cursor) if cursor.len() > CURSOR_BYTES_MAX => {
                Err(PluginBatchError::Cursor { got: cursor.len(), max: CURSOR_BYTES_MAX })
            }
            _ => Ok(batch),
        });
        match checked {
            Ok(batch) => {
                Counters::add(&self.counters.records, batch.count() as u64);
                Counters::add(&self.counters.bytes, batch.payload_bytes() as u64);
                Ok(Taken { batch, cursor, receipts, repeated, more })
            }
            Err(broken) => {
                let error = self.error(call, broken.into());
                self.live = None;
                Err(error)
            }
        }
    }

    /// Takes receipts out of the instance, which no longer owns them.
    fn receipts(&mut self, call: Call, handles: Vec<Resource<Receipt>>) -> Result<Vec<Receipt>, SourceError> {
        let Some(live) = &mut self.live else { return Ok(Vec::new()) };
        let table = &mut live.store.data_mut().table;
        let receipts = handles.into_iter().map(|handle| table.delete(handle)).collect::<Result<_, _>>();
        receipts.map_err(|error| self.error(call, Fault::Engine(error.to_string())))
    }

    fn idle(&self, wait_ms: u32) -> Polled {
        let waited = self.live.as_ref().is_some_and(|live| live.store.data().timing.has_waited());
        let least = if waited { 0 } else { PLUGIN_IDLE_MS_MIN };
        Polled::Idle { wait_ms: wait_ms.clamp(least, PLUGIN_IDLE_MS_MAX) }
    }
}

fn new_store(plugin: &Plugin, state: State) -> Store<State> {
    let mut store = Store::new(plugin.engine().wasm(), state);
    limits::apply(&mut store, PLUGIN_COPY_BYTES_MAX, |state| &mut state.limiter);
    store.epoch_deadline_callback(|context| {
        if context.data().timing.is_over() {
            return Ok(UpdateDeadline::Interrupt);
        }
        // The yield of tokio, since it lets the runtime look at its timers and sockets; wasmtime's own is
        // ready again at once.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Runs a call to its end, or to its deadline.
async fn run<R>(
    plugin: &Plugin,
    counters: &Counters,
    limit: Duration,
    call: impl Future<Output = wasmtime::Result<R>>,
) -> Result<R, Broken> {
    let mut spent = Duration::ZERO;
    let call = pin!(call);
    let busy = Busy::new(call, plugin.engine(), &mut spent);
    let result = tokio::time::timeout(limit + Duration::from_millis(GRACE_MS), busy).await;
    Counters::add(&counters.calls, 1);
    Counters::add(&counters.running_ns, spent.as_nanos() as u64);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Broken::Engine(error)),
        Err(_) => Err(Broken::Timeout),
    }
}

fn caller(plugin: &Plugin, instance: String) -> Caller {
    Caller {
        noun: "source",
        instance: instance.into(),
        plugin: plugin.name().into(),
        digest: plugin.digest(),
    }
}

fn check(records: types::Batch, limits: BatchLimits) -> Result<PluginBatch, PluginBatchError> {
    let types::Batch { arena, ends, times, stream_of, streams, keys, ids } = records;
    if !ids.is_empty() {
        return Err(PluginBatchError::Ids);
    }
    PluginBatch::new(RawBatch { arena, ends, times, stream_of, streams, keys }, limits)
}
