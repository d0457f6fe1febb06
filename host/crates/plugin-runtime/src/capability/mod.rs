//! What the host offers to plugins. Each capability is a module of the same shape, with three moments:
//! linked once per process, validated per plugin, prepared per instance.

pub(crate) mod amqp;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod receipts;
pub(crate) mod stdin;
pub(crate) mod timing;

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::observe::{Counters, Observer};
use crate::stop::Stop;
use crate::wit::v1::weir::plugin::types::{self, Failure, Verdict};

use amqp::Amqp;
use files::Files;
use log::Log;
use metrics::Metrics;
use receipts::Receipts;
use stdin::{Stdin, StdinHub};
use timing::Timing;

/// The shape of a capability. The type that implements it is what an instance holds of it.
pub(crate) trait Capability: Sized {
    /// Interface without version.
    const NAME: &'static str;

    /// Once per process: makes the functions known to the linker.
    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()>;

    /// Per plugin: the lines that grant the need, `None` when it is granted already.
    fn missing(need: &Need, grants: &Grants) -> Option<String>;

    /// Per instance: what the grants come to. An error is told to the operator.
    fn prepare(grants: &Grants, context: &Context) -> Result<Self, String>;
}

/// What capabilities know of the instance they belong to.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) plugin: Arc<str>,
    pub(crate) instance: Arc<str>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Stop,
    pub(crate) stdin: Arc<StdinHub>,
}

/// Links every capability of the source world.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    Log::link(linker)?;
    Metrics::link(linker)?;
    Timing::link(linker)?;
    Receipts::link(linker)?;
    Amqp::link(linker)?;
    Files::link(linker)?;
    Stdin::link(linker)
}

/// Links what plugins that run in queries may import.
pub(crate) fn link_pure(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    Log::link(linker)
}

/// The lines that grant a need, `None` when it is granted already.
pub(crate) fn missing(need: &Need, grants: &Grants) -> Option<String> {
    match need.capability.as_str() {
        Log::NAME => Log::missing(need, grants),
        Metrics::NAME => Metrics::missing(need, grants),
        Timing::NAME => Timing::missing(need, grants),
        Receipts::NAME => Receipts::missing(need, grants),
        Amqp::NAME => Amqp::missing(need, grants),
        Files::NAME => Files::missing(need, grants),
        Stdin::NAME => Stdin::missing(need, grants),
        other => Some(format!("# nothing helps: no capability of this node is called {other:?}")),
    }
}

/// A failure to hand to a plugin.
pub(crate) fn failure(verdict: Verdict, code: &str, message: impl Into<String>) -> Failure {
    Failure { verdict, code: code.to_owned(), message: message.into(), retry_after_ms: None }
}

impl types::Host for State {}
