//! Going through sorted stretches in the order of ids, equal ids in the order of their arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::stretch::Stretch;

/// Calls `each` with stretches that follow each other; together they are those given. Stretches must be sorted.
/// Where they do not overlap, which is nearly always, each is handed on whole.
pub(super) fn in_order<E>(
    stretches: &[Stretch],
    mut each: impl FnMut(Stretch) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest: BinaryHeap<Reverse<Stretch>> = BinaryHeap::new();
    let mut fresh = stretches.iter().copied().peekable();
    loop {
        let heap_first = match (rest.peek(), fresh.peek()) {
            (Some(Reverse(heap)), Some(next)) => heap < next,
            (heap, _) => heap.is_some(),
        };
        let taken = if heap_first { rest.pop().map(|Reverse(stretch)| stretch) } else { fresh.next() };
        let Some(taken) = taken else { return Ok(()) };
        let other =
            rest.peek().map(|Reverse(stretch)| *stretch).into_iter().chain(fresh.peek().copied()).min();
        let count = other.map_or(taken.count, |other| before(taken, other));
        each(Stretch { count, ..taken })?;
        rest.extend(taken.behind(count).map(Reverse));
    }
}

/// How many records of a stretch come before the first of another one, which is not less.
fn before(stretch: Stretch, other: Stretch) -> u32 {
    let below = other.id.to_u128() - stretch.id.to_u128();
    if below >= u128::from(stretch.count) {
        return stretch.count;
    }
    // The one with the same id comes before as well, if it arrived before.
    let below = below as u32;
    let arrived_before = (stretch.batch, stretch.index + below) < (other.batch, other.index);
    below + u32::from(arrived_before)
}
