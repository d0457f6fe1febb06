//! The exports of an aggregate.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::adapter::{failure, info, tell_panics};
use crate::bindings::about::exports::weir::plugin::about;
use crate::bindings::aggregate::exports::weir::plugin::aggregate as wit;
use crate::bindings::weir::plugin::types;
use crate::failure::Failure;
use crate::source::parse_config;
use crate::stage::{Aggregate, Answer};
use crate::stage_adapter::{batch, hints, not_open, records};

/// Made by [`export_aggregate!`](crate::export_aggregate).
pub struct AggregateAdapter<A>(PhantomData<A>);

/// See [`filter`](super::filter).
trait Running {
    fn update(&mut self, batch: &types::Batch) -> Result<(), Failure>;
    fn partial(&mut self) -> Result<Vec<u8>, Failure>;
    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure>;
    fn finish(self: Box<Self>) -> Result<Answer, Failure>;
}

impl<A: Aggregate> Running for A {
    fn update(&mut self, batch: &types::Batch) -> Result<(), Failure> {
        records(batch).try_for_each(|record| Aggregate::update(self, record))
    }

    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        Aggregate::partial(self)
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        Aggregate::merge(self, partial)
    }

    fn finish(self: Box<Self>) -> Result<Answer, Failure> {
        Aggregate::finish(*self)
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Box<dyn Running>>> = const { RefCell::new(None) };
}

fn with<R>(call: impl FnOnce(&mut dyn Running) -> Result<R, Failure>) -> Result<R, types::Failure> {
    RUNNING.with_borrow_mut(|running| {
        let running = running.as_mut().ok_or_else(not_open)?;
        call(&mut **running).map_err(failure)
    })
}

impl<A: Aggregate> about::Guest for AggregateAdapter<A> {
    fn describe() -> types::Info {
        tell_panics();
        info(A::info())
    }
}

impl<A: Aggregate> wit::Guest for AggregateAdapter<A> {
    fn open(params: String) -> Result<types::Hints, types::Failure> {
        tell_panics();
        let aggregate = parse_config(&params).and_then(A::open).map_err(failure)?;
        let said = hints(aggregate.hints());
        RUNNING.with_borrow_mut(|running| *running = Some(Box::new(aggregate)));
        Ok(said)
    }

    fn update(batch: types::Batch) -> Result<(), types::Failure> {
        with(|running| running.update(&batch))
    }

    fn partial() -> Result<Vec<u8>, types::Failure> {
        with(|running| running.partial())
    }

    fn merge(partials: Vec<Vec<u8>>) -> Result<(), types::Failure> {
        with(|running| partials.iter().try_for_each(|partial| running.merge(partial)))
    }

    fn finish() -> Result<types::Batch, types::Failure> {
        let running = RUNNING.with_borrow_mut(Option::take).ok_or_else(not_open)?;
        let Answer { arena, ends, times } = running.finish().map_err(failure)?;
        Ok(batch(arena, ends, times))
    }
}
