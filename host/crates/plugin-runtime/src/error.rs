//! What can go wrong with a plugin, told so that its operator and its author know what to do.

use std::fmt;
use std::sync::Arc;

use wasmtime::{Trap, WasmBacktrace};

use crate::batch::PluginBatchError;
use crate::digest::Digest;
use crate::grants::GrantError;
use crate::kind::Kind;
use crate::limits::LimitError;
use crate::restart::Outcome;
use crate::schema::Violation;
use crate::skew::Skew;
use crate::stage_batch::StageOutputError;
use crate::wit::v1::weir::plugin::types;

/// Frames of a backtrace that are shown; the innermost come first.
const FRAMES_MAX: usize = 8;
/// Name of a failure's code, in bytes.
pub(crate) const CODE_BYTES_MAX: usize = 64;

/// A file that cannot be used as a plugin. Affects no state: nothing of the file has run, or only
/// `describe` in an instance that is gone.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin} (sha256 {digest:.12}): {fault}")]
pub struct LoadError {
    /// Name of the plugin in the configuration.
    pub plugin: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What is wrong.
    pub fault: Box<LoadFault>,
}

/// Why a file cannot be used as a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadFault {
    /// Larger than [`PLUGIN_FILE_BYTES_MAX`](weir_record::limits::PLUGIN_FILE_BYTES_MAX).
    #[error("the file has {bytes} bytes, more than {max}; strip its debug information")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not the file that the configuration pins.
    #[error("its SHA-256 is {got}, the configuration wants {wanted}; restore the file or change `sha256`")]
    Digest {
        /// From the configuration.
        wanted: Digest,
        /// Of the file.
        got: Digest,
    },
    /// Does not begin like WebAssembly.
    #[error("not a WebAssembly file: {0}")]
    NotWasm(&'static str),
    /// Begins like WebAssembly but breaks its rules.
    #[error("damaged or not supported WebAssembly, at byte {offset}: {reason}")]
    Invalid {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A core module that cannot be made a component.
    #[error("a core module that cannot be made a component: {0}")]
    Module(String),
    /// Imports or exports that this node does not have.
    #[error("{}", lines(.0))]
    Interface(Vec<Skew>),
    /// More memories, tables or instances than a plugin may have.
    #[error("it has {got} {what}, at most {max} are given")]
    Resources {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// `describe` failed.
    #[error("describe failed: {0}")]
    Describe(String),
    /// `describe` returned something that cannot be.
    #[error("describe returned a {field} that cannot be: {reason}")]
    Info {
        /// Which field of `info`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// wasmtime refused it for a reason of its own: a bug here or there, please report it.
    #[error("the engine refuses it: {0}")]
    Engine(String),
}

/// One line each, after an empty first one when there are several.
fn lines<T: fmt::Display>(all: &[T]) -> String {
    match all {
        [one] => one.to_string(),
        many => many.iter().fold(String::new(), |text, one| text + "\n  - " + &one.to_string()),
    }
}

/// Which export was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Before any call: making the instance, its start function included.
    Start,
    /// `open`.
    Open,
    /// `poll`.
    Poll,
    /// `close`.
    Close,
    /// `matches` of a filter.
    Matches,
    /// `apply` of a rewrite.
    Apply,
    /// `update` of an aggregate.
    Update,
    /// `partial` of an aggregate.
    Partial,
    /// `merge` of an aggregate.
    Merge,
    /// `finish` of an aggregate.
    Finish,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Start => "start",
            Call::Open => "open",
            Call::Poll => "poll",
            Call::Close => "close",
            Call::Matches => "matches",
            Call::Apply => "apply",
            Call::Update => "update",
            Call::Partial => "partial",
            Call::Merge => "merge",
            Call::Finish => "finish",
        })
    }
}

/// A call of a plugin that failed.
///
/// Of a filter: the query that it belongs to has no answer. Of a source: unless the fault is a [`Fault::Failure`] with `retry` in `poll`, the
/// instance is gone and its receipts are given back; what it handed over before stays valid.
#[derive(Debug)]
pub struct SourceError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    noun: &'static str,
    instance: Arc<str>,
    plugin: Arc<str>,
    digest: Digest,
    call: Call,
    fault: Fault,
    panic: Option<String>,
    last_log: Option<String>,
    frames: Vec<String>,
}

/// What the host should do after a failure that the plugin reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Call again after a pause.
    Retry,
    /// The configuration cannot work.
    BadConfig,
    /// Drop the instance and make a new one.
    Restart,
    /// The plugin gives up.
    Fatal,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The plugin said so itself.
    #[error("{message} ({code})")]
    Failure {
        /// What it wants done.
        verdict: Verdict,
        /// Machine-readable reason.
        code: String,
        /// For people.
        message: String,
        /// How long to wait at least, in milliseconds.
        retry_after_ms: Option<u32>,
    },
    /// The plugin trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// The call took longer than it may.
    #[error(
        "took longer than {limit_ms} ms and was interrupted; if it is right to, raise `limits.call` of the plugin"
    )]
    Deadline {
        /// What it may take, waiting included.
        limit_ms: u64,
    },
    /// The plugin wanted more than its limit.
    #[error("{0}")]
    Limit(#[from] LimitError),
    /// The plugin handed over more bytes in one call than the host copies.
    #[error("handed over more than {max} bytes in one call")]
    Copy {
        /// The limit.
        max: usize,
    },
    /// Records that break a rule.
    #[error("handed over records that break a rule: {0}")]
    Batch(#[from] PluginBatchError),
    /// A grant that the plugin needs and the configuration does not give.
    #[error("{}", lines(.0))]
    Grants(Vec<GrantError>),
    /// The configuration does not fit the plugin's schema.
    #[error("{}", lines(.0))]
    Config(Vec<Violation>),
    /// A capability could not be prepared.
    #[error("{0}")]
    Capability(String),
    /// The plugin is no source.
    #[error("it is a {0}, not a source")]
    NotASource(Kind),
    /// The plugin is no filter of any kind.
    #[error("it is a {0}, and queries go through filters, rewrites and aggregates")]
    NotAStage(Kind),
    /// The answer of a filter that breaks a rule.
    #[error("gave an answer that breaks a rule: {0}")]
    Output(#[from] StageOutputError),
    /// The instance is gone since an earlier call failed or was cancelled.
    #[error("the instance is gone, open a new one")]
    Gone,
    /// wasmtime failed for a reason of its own.
    #[error("the engine failed: {0}")]
    Engine(String),
}

impl Fault {
    /// What the failure means for the [`RestartPolicy`](crate::RestartPolicy).
    pub fn outcome(&self) -> Outcome {
        match self {
            Fault::Failure { verdict, retry_after_ms, .. } => match verdict {
                Verdict::Retry => Outcome::Retry { after_ms: *retry_after_ms },
                Verdict::BadConfig => Outcome::BadConfig,
                Verdict::Restart => Outcome::Restart,
                Verdict::Fatal => Outcome::Fatal,
            },
            Fault::Grants(_)
            | Fault::Config(_)
            | Fault::Capability(_)
            | Fault::NotASource(_)
            | Fault::NotAStage(_) => Outcome::BadConfig,
            Fault::Gone => Outcome::Restart,
            Fault::Trap(_)
            | Fault::Deadline { .. }
            | Fault::Limit(_)
            | Fault::Copy { .. }
            | Fault::Batch(_)
            | Fault::Output(_)
            | Fault::Engine(_) => Outcome::Trap,
        }
    }

    /// Whether the failure costs the instance: all but what the plugin reported itself.
    pub(crate) fn is_trap(&self) -> bool {
        self.outcome() == Outcome::Trap
    }
}

/// Who was called, for the text of an error.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What the instance is of: `source`, `filter`.
    pub(crate) noun: &'static str,
    pub(crate) instance: Arc<str>,
    pub(crate) plugin: Arc<str>,
    pub(crate) digest: Digest,
}

/// What is known about the moments before a failure.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(crate) panic: Option<String>,
    pub(crate) last_log: Option<String>,
    pub(crate) frames: Vec<String>,
}

impl SourceError {
    pub(crate) fn new(caller: &Caller, call: Call, fault: Fault, traces: Traces) -> SourceError {
        let Caller { noun, instance, plugin, digest } = caller.clone();
        let Traces { panic, last_log, frames } = traces;
        SourceError {
            inner: Box::new(Inner { noun, instance, plugin, digest, call, fault, panic, last_log, frames }),
        }
    }

    /// Why the call failed.
    pub fn fault(&self) -> &Fault {
        &self.inner.fault
    }

    /// Which call failed.
    pub fn call(&self) -> Call {
        self.inner.call
    }

    /// What the failure means for the [`RestartPolicy`](crate::RestartPolicy).
    pub fn outcome(&self) -> Outcome {
        self.inner.fault.outcome()
    }

    /// What the plugin's panic hook wrote, when it panicked.
    pub fn panic(&self) -> Option<&str> {
        self.inner.panic.as_deref()
    }

    /// Functions of the plugin that were running, the innermost first.
    pub fn frames(&self) -> &[String] {
        &self.inner.frames
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { noun, instance, plugin, digest, call, fault, panic, last_log, frames } = &*self.inner;
        write!(f, "{noun} {instance}: plugin {plugin} (sha256 {digest:.12}) in {call}: ")?;
        match panic {
            Some(panic) => write!(f, "{panic}")?,
            None => write!(f, "{fault}")?,
        }
        if let Some(line) = last_log.as_ref().filter(|line| Some(*line) != panic.as_ref()) {
            write!(f, "; its last log line: {line}")?;
        }
        if !frames.is_empty() {
            write!(f, "; at {}", frames.join(" < "))?;
        }
        Ok(())
    }
}

impl std::error::Error for SourceError {}

pub(crate) fn verdict(verdict: types::Verdict) -> Verdict {
    match verdict {
        types::Verdict::Retry => Verdict::Retry,
        types::Verdict::BadConfig => Verdict::BadConfig,
        types::Verdict::Restart => Verdict::Restart,
        types::Verdict::Fatal => Verdict::Fatal,
    }
}

/// What an error of wasmtime means, without the backtrace that it carries.
pub(crate) fn fault_of(error: &wasmtime::Error, limit_ms: u64, copy_bytes_max: usize) -> Fault {
    if let Some(limit) = error.downcast_ref::<LimitError>() {
        return Fault::Limit(*limit);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::Interrupt => Fault::Deadline { limit_ms },
            trap => Fault::Trap(trap.to_string().trim_start_matches("wasm trap: ").to_owned()),
        };
    }
    let reason = error.root_cause().to_string();
    // wasmtime has no type for this one; the test of large lists watches the words.
    if reason.contains("fuel allocated for hostcalls") {
        return Fault::Copy { max: copy_bytes_max };
    }
    Fault::Trap(reason)
}

/// The functions in a backtrace, the innermost first, demangled where they have names.
pub(crate) fn frames_of(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    // The numbered lines of its text, `  0: 0x1a2b - module!function`, are the only demangled form.
    let text = backtrace.to_string();
    let frames = text.lines().filter_map(|line| line.split_once(" - ").map(|(_, frame)| frame));
    frames.take(FRAMES_MAX).map(str::to_owned).collect()
}
