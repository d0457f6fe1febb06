//! Between the exports of the component and a [`Source`].

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Once;

use crate::batch::Batch;
use crate::bindings::about::exports::weir::plugin::about;
use crate::bindings::exports::weir::plugin::source as wit;
use crate::bindings::weir::plugin::types;
use crate::failure::{Failure, Verdict};
use crate::log::Level;
use crate::source::{Budget, Info, Polled, Source, Taken, parse_config};
use crate::sys;

/// The exports of a source plugin. Made by [`export_source!`](crate::export_source).
pub struct Adapter<S>(PhantomData<S>);

/// What is left of a source's type behind `dyn`: one component is one source, and statics are not generic.
trait Running {
    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure>;
    fn close(&mut self) -> Option<Taken>;
}

impl<S: Source> Running for S {
    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
        Source::poll(self, budget)
    }

    fn close(&mut self) -> Option<Taken> {
        Source::close(self)
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Box<dyn Running>>> = const { RefCell::new(None) };
}

/// A panic is a trap, and a trap has no message: so the hook sends it before.
pub(crate) fn tell_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let payload = panic.payload();
            let message = payload.downcast_ref::<&str>().copied();
            let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let message = message.unwrap_or("no message");
            let text = match panic.location() {
                Some(at) => format!("panicked at {}:{}: {message}", at.file(), at.line()),
                None => format!("panicked: {message}"),
            };
            sys::log_write(Level::Error, &text, &[]);
        }));
    });
}

pub(crate) fn failure(from: Failure) -> types::Failure {
    let verdict = match from.verdict {
        Verdict::Retry => types::Verdict::Retry,
        Verdict::BadConfig => types::Verdict::BadConfig,
        Verdict::Restart => types::Verdict::Restart,
        Verdict::Fatal => types::Verdict::Fatal,
    };
    types::Failure { verdict, code: from.code, message: from.message, retry_after_ms: from.retry_after_ms }
}

fn batch(from: Batch) -> types::Batch {
    let Batch { arena, ends, times, stream_of, streams, keys } = from;
    types::Batch { arena, ends, times, stream_of, streams, keys, ids: Vec::new() }
}

fn taken(from: Taken) -> wit::Taken {
    let receipts = from.receipts.into_iter().map(|receipt| receipt.0.0).collect();
    wit::Taken {
        records: batch(from.batch),
        cursor: from.cursor,
        receipts,
        repeated: from.repeated,
        more: from.more,
    }
}

pub(crate) fn info(from: Info) -> types::Info {
    let needs = from.needs.into_iter().map(|need| types::Need {
        capability: need.capability,
        name: need.name,
        reason: need.reason,
        required: need.required,
    });
    types::Info {
        name: from.name,
        version: from.version,
        summary: from.summary,
        config_schema: from.config_schema,
        needs: needs.collect(),
    }
}

impl<S: Source> about::Guest for Adapter<S> {
    fn describe() -> types::Info {
        tell_panics();
        info(S::info())
    }
}

fn not_open() -> types::Failure {
    failure(Failure::restart("source.not-open", "poll was called before open"))
}

impl<S: Source> wit::Guest for Adapter<S> {
    fn open(config: String, cursor: Option<Vec<u8>>) -> Result<(), types::Failure> {
        tell_panics();
        let config = parse_config(&config).map_err(failure)?;
        let source = S::open(config, cursor.as_deref()).map_err(failure)?;
        RUNNING.with_borrow_mut(|running| *running = Some(Box::new(source)));
        Ok(())
    }

    fn poll(within: wit::Budget) -> Result<wit::Polled, types::Failure> {
        let budget = Budget {
            records: within.max_records as usize,
            bytes: within.max_bytes as usize,
            wait_ms: within.max_wait_ms,
        };
        RUNNING.with_borrow_mut(|running| {
            let source = running.as_mut().ok_or_else(not_open)?;
            Ok(match source.poll(budget).map_err(failure)? {
                Polled::Records(records) => wit::Polled::Records(taken(records)),
                Polled::Idle { wait_ms } => wit::Polled::Idle(wait_ms),
                Polled::Finished => wit::Polled::Finished,
            })
        })
    }

    fn close() -> Option<wit::Taken> {
        // The source is dropped with its handles: `close` is the last call.
        let source = RUNNING.with_borrow_mut(Option::take);
        source.and_then(|mut source| source.close()).map(taken)
    }
}
