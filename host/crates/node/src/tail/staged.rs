//! Live records through the stages of a query, on the node that was asked: they come merged from all, and few at a time.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use weir_api::backend::TailEvent;
use weir_engine::{StageFailure, Stages};
use weir_query::{Missing, Rows};

use crate::filters::Chain;

/// Events whose records have gone through stages. A stage that fails ends them, behind a gap that says why; so does not one
/// whose records are left out when it fails.
pub(crate) fn staged(
    events: BoxStream<'static, TailEvent>,
    chain: Arc<Chain>,
) -> BoxStream<'static, TailEvent> {
    let through = move |events: Option<BoxStream<'static, TailEvent>>| {
        let chain = Arc::clone(&chain);
        async move {
            let mut events = events?;
            let event = events.next().await?;
            let TailEvent::Rows { rows, resume } = event else { return Some((vec![event], Some(events))) };
            // A stage keeps its thread.
            let ran = tokio::task::spawn_blocking(move || {
                run(&chain, &rows).map(|rows| (rows, chain.unjudged().left_out))
            });
            Some(match ran.await {
                Ok(Ok((rows, left_out))) => {
                    let gap = |missing: Missing| {
                        let why = format!("{}: {}", missing.place, missing.why);
                        TailEvent::Gap { records: None, why, resume: resume.clone() }
                    };
                    let mut told: Vec<TailEvent> = left_out.into_iter().map(gap).collect();
                    told.push(if rows.is_empty() {
                        TailEvent::Idle { resume }
                    } else {
                        TailEvent::Rows { rows, resume }
                    });
                    (told, Some(events))
                }
                Ok(Err(failure)) => {
                    (vec![TailEvent::Gap { records: None, why: failure.to_string(), resume }], None)
                }
                Err(_) => {
                    let why = "a filter has panicked".into();
                    (vec![TailEvent::Gap { records: None, why, resume }], None)
                }
            })
        }
    };
    let told = futures_util::stream::unfold(Some(events), through);
    told.flat_map(futures_util::stream::iter).boxed()
}

fn run(chain: &Chain, rows: &Rows) -> Result<Rows, StageFailure> {
    let mut left = Rows::new();
    for stream in rows.streams() {
        left.add_stream(Arc::clone(stream));
    }
    chain.run(rows, &mut |row, payload| left.push(rows.ids()[row], rows.stream_of()[row], payload))?;
    Ok(left)
}
