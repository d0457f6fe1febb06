//! The records around others: of each anchor the nearest ones of its stream, outward from it.
//!
//! Each side of an anchor is a query of its own with a limit: it reads the blocks of that stream that lie next to
//! the anchor, and ends when it has enough.

use std::ops::ControlFlow;

use weir_query::{Around, Matcher, Order, Rows};
use weir_record::RecordId;

use crate::cancel::Cancel;
use crate::engine::{Engine, EngineError, Plan};
use crate::ledger::Answer;
use crate::searchable::Searchable;

impl Engine {
    /// Finds what is asked for around anchors, as far as these searchables hold it. The rows come in no order, and
    /// those of anchors that are near each other come more than once. Blocks.
    ///
    /// The statistics are sums over all anchors, so that a searchable counts once for each side of each of them.
    pub fn around_over(
        &self,
        around: &Around,
        over: &[Searchable],
        cancel: &Cancel,
        sink: &mut dyn FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<Answer, EngineError> {
        let mut all = Answer::default();
        let mut is_wanted = true;
        for anchor in &around.anchors {
            let matcher = Matcher::of_source(&anchor.stream);
            let [older, newer] = anchor.sides(around.reach_ms);
            for (side, order, count) in
                [(older, Order::Desc, around.before), (newer, Order::Asc, around.after)]
            {
                let Some((low, high)) = side.filter(|_| count > 0) else { continue };
                let to = high.checked_add(1).unwrap_or(RecordId::MAX);
                let plan = Plan {
                    matcher: matcher.clone(),
                    from: low,
                    to,
                    limit: Some(count as u64),
                    order,
                    whole: false,
                    stages: None,
                };
                let answer = self.run_over(&plan, over, cancel, &mut |rows| {
                    let flow = sink(rows);
                    is_wanted &= flow.is_continue();
                    flow
                })?;
                all.add_context(answer);
                if !is_wanted {
                    return Ok(all);
                }
            }
        }
        Ok(all)
    }
}
