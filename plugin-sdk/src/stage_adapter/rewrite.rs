//! The exports of a rewrite.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::adapter::{failure, info, tell_panics};
use crate::bindings::about::exports::weir::plugin::about;
use crate::bindings::rewrite::exports::weir::plugin::rewrite as wit;
use crate::bindings::weir::plugin::types;
use crate::source::parse_config;
use crate::stage::Rewrite;
use crate::stage_adapter::{batch, hints, not_open, records};

/// Made by [`export_rewrite!`](crate::export_rewrite).
pub struct RewriteAdapter<R>(PhantomData<R>);

/// See [`filter`](super::filter).
trait Running {
    fn apply(&mut self, batch: &types::Batch) -> wit::Transformed;
}

impl<R: Rewrite> Running for R {
    fn apply(&mut self, records_in: &types::Batch) -> wit::Transformed {
        let (mut arena, mut ends, mut came_from) = (Vec::new(), Vec::new(), Vec::new());
        for (index, record) in (0..).zip(records(records_in)) {
            let before = arena.len();
            if self.rewrite(record, &mut arena) {
                ends.push(arena.len() as u32);
                came_from.push(index);
            } else {
                arena.truncate(before);
            }
        }
        wit::Transformed { records: batch(arena, ends, Vec::new()), came_from }
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Box<dyn Running>>> = const { RefCell::new(None) };
}

impl<R: Rewrite> about::Guest for RewriteAdapter<R> {
    fn describe() -> types::Info {
        tell_panics();
        info(R::info())
    }
}

impl<R: Rewrite> wit::Guest for RewriteAdapter<R> {
    fn open(params: String) -> Result<types::Hints, types::Failure> {
        tell_panics();
        let rewrite = parse_config(&params).and_then(R::open).map_err(failure)?;
        let said = hints(rewrite.hints());
        RUNNING.with_borrow_mut(|running| *running = Some(Box::new(rewrite)));
        Ok(said)
    }

    fn apply(batch: types::Batch) -> Result<wit::Transformed, types::Failure> {
        RUNNING.with_borrow_mut(|running| running.as_mut().map(|it| it.apply(&batch)).ok_or_else(not_open))
    }
}
