//! What the host keeps beside an instance: its limits, its handles, its capabilities.

use wasmtime::component::ResourceTable;
use weir_record::limits::PLUGIN_HANDLES_MAX;

use crate::capability::amqp::Amqp;
use crate::capability::files::Files;
use crate::capability::log::Log;
use crate::capability::metrics::Metrics;
use crate::capability::stdin::Stdin;
use crate::capability::timing::Timing;
use crate::capability::{Capability as _, Context};
use crate::grants::Grants;
use crate::limits::{Limiter, Limits};

/// The data of a store.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    /// Files, receipts and whatever else plugins hold. Dropped with the instance, which gives receipts back.
    pub(crate) table: ResourceTable,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) timing: Timing,
    pub(crate) amqp: Amqp,
    pub(crate) files: Files,
    pub(crate) stdin: Stdin,
}

impl State {
    /// Prepares every capability; an error is told to the operator.
    pub(crate) fn new(limits: &Limits, grants: &Grants, context: &Context) -> Result<State, String> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(PLUGIN_HANDLES_MAX);
        Ok(State {
            limiter: Limiter::new(limits),
            table,
            log: Log::prepare(grants, context)?,
            metrics: Metrics::prepare(grants, context)?,
            timing: Timing::prepare(grants, context)?,
            amqp: Amqp::prepare(grants, context)?,
            files: Files::prepare(grants, context)?,
            stdin: Stdin::prepare(grants, context)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::capability::stdin::StdinHub;
    use crate::observe::{Counters, TracingObserver};
    use crate::stop::Stop;

    /// A context that reaches nothing.
    pub(crate) fn context() -> Context {
        Context {
            plugin: "plugin".into(),
            instance: "test".into(),
            observer: Arc::new(TracingObserver),
            counters: Arc::new(Counters::default()),
            stop: Stop::new(),
            stdin: StdinHub::of(std::io::empty()),
        }
    }
}
