//! The exports of a filter.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::adapter::{failure, info, tell_panics};
use crate::bindings::about::exports::weir::plugin::about;
use crate::bindings::filter::exports::weir::plugin::filter as wit;
use crate::bindings::weir::plugin::types;
use crate::source::parse_config;
use crate::stage::Filter;
use crate::stage_adapter::{hints, not_open, records};

/// Made by [`export_filter!`](crate::export_filter).
pub struct FilterAdapter<F>(PhantomData<F>);

/// What is left of a filter's type behind `dyn`: one component is one filter, and statics are not generic.
trait Running {
    fn matches(&mut self, batch: &types::Batch) -> Vec<u8>;
}

impl<F: Filter> Running for F {
    fn matches(&mut self, batch: &types::Batch) -> Vec<u8> {
        let mut bitmap = vec![0; batch.ends.len().div_ceil(8)];
        for (index, record) in records(batch).enumerate() {
            bitmap[index / 8] |= u8::from(self.keep(record)) << (index % 8);
        }
        bitmap
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Box<dyn Running>>> = const { RefCell::new(None) };
}

impl<F: Filter> about::Guest for FilterAdapter<F> {
    fn describe() -> types::Info {
        tell_panics();
        info(F::info())
    }
}

impl<F: Filter> wit::Guest for FilterAdapter<F> {
    fn open(params: String) -> Result<types::Hints, types::Failure> {
        tell_panics();
        let filter = parse_config(&params).and_then(F::open).map_err(failure)?;
        let said = hints(filter.hints());
        RUNNING.with_borrow_mut(|running| *running = Some(Box::new(filter)));
        Ok(said)
    }

    fn matches(batch: types::Batch) -> Result<Vec<u8>, types::Failure> {
        RUNNING.with_borrow_mut(|running| running.as_mut().map(|it| it.matches(&batch)).ok_or_else(not_open))
    }
}
