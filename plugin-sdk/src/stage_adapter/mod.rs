//! Between the exports of a component and a [`Filter`](crate::Filter), [`Rewrite`](crate::Rewrite) or
//! [`Aggregate`](crate::Aggregate).

mod aggregate;
mod filter;
mod rewrite;

pub use aggregate::AggregateAdapter;
pub use filter::FilterAdapter;
pub use rewrite::RewriteAdapter;

use crate::adapter::failure;
use crate::bindings::weir::plugin::types;
use crate::failure::Failure;
use crate::stage::{Hints, Record};

fn not_open() -> types::Failure {
    failure(Failure::restart("stage.not-open", "it was called before open"))
}

fn hints(from: Hints) -> types::Hints {
    let Hints { words, literals, times, streams, ids, in_order } = from;
    let mut columns = types::Columns::empty();
    for (is_read, column) in
        [(times, types::Columns::TIMES), (streams, types::Columns::STREAMS), (ids, types::Columns::IDS)]
    {
        if is_read {
            columns = columns | column;
        }
    }
    types::Hints { words, literals, columns, in_order }
}

/// The records of a batch.
fn records(batch: &types::Batch) -> impl Iterator<Item = Record<'_>> {
    let mut from = 0;
    batch.ends.iter().enumerate().map(move |(index, end)| {
        let payload = &batch.arena[from..*end as usize];
        from = *end as usize;
        let id = batch.ids.get(16 * index..16 * index + 16).and_then(|id| id.try_into().ok());
        let stream = batch.stream_of.get(index).and_then(|of| batch.streams.get(usize::from(*of)));
        Record {
            payload,
            time_unix_ns: batch.times.get(index).copied().unwrap_or(0),
            id: id.unwrap_or_default(),
            labels: stream.map_or(&[], Vec::as_slice),
        }
    })
}

fn batch(arena: Vec<u8>, ends: Vec<u32>, times: Vec<u64>) -> types::Batch {
    let (stream_of, streams, keys, ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    types::Batch { arena, ends, times, stream_of, streams, keys, ids }
}
