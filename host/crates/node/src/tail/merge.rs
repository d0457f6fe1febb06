//! The tails of several ingest nodes as one.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll, select_all, unfold};
use parking_lot::Mutex;
use weir_api::backend::TailEvent;

use super::token::Token;

/// Merges tails as their events come. Each of them tells the places of its own node, or of several; the token of
/// what comes out holds the places of all, and at first those of `token`: a node that does not answer now keeps
/// its place in it, and goes on there when it is back.
///
/// Records of different nodes have no order among each other. Further tails come by `joining`. Ends when that has ended
/// and all tails have.
pub(crate) fn merge(
    token: Arc<Mutex<Token>>,
    tails: Vec<BoxStream<'static, TailEvent>>,
    joining: BoxStream<'static, BoxStream<'static, TailEvent>>,
) -> BoxStream<'static, TailEvent> {
    unfold((select_all(tails), Some(joining)), next)
        .map(move |mut event| {
            match &mut event {
                TailEvent::Rows { resume, .. }
                | TailEvent::Gap { resume, .. }
                | TailEvent::Idle { resume } => match Token::decode(resume) {
                    Ok(of_one) => {
                        let mut token = token.lock();
                        token.update(&of_one);
                        *resume = token.encode();
                    }
                    // The place of that node stays: after a break its records come twice rather than never.
                    Err(error) => {
                        tracing::warn!(%error, "a node of a tail gave a token that cannot be read");
                        *resume = token.lock().encode();
                    }
                },
            }
            event
        })
        .boxed()
}

type Tail = BoxStream<'static, TailEvent>;

/// Tails that are there, and those that are to come.
type Tails = (SelectAll<Tail>, Option<BoxStream<'static, Tail>>);

/// The next event of any tail.
async fn next((mut tails, mut joining): Tails) -> Option<(TailEvent, Tails)> {
    loop {
        let Some(arriving) = &mut joining else {
            return tails.next().await.map(|event| (event, (tails, None)));
        };
        tokio::select! {
            Some(event) = tails.next(), if !tails.is_empty() => return Some((event, (tails, joining))),
            joined = arriving.next() => match joined {
                Some(tail) => tails.push(tail),
                None => joining = None,
            },
        }
    }
}
