//! The tails of several ingest nodes as one.

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select_all};
use weir_api::backend::TailEvent;

use super::token::Token;

/// Merges tails as their events come. Each of them tells the places of its own node, or of several; the token of
/// what comes out holds the places of all, and at first those of `token`: a node that does not answer now keeps
/// its place in it, and goes on there when it is back.
///
/// Records of different nodes have no order among each other. Ends when all tails have ended.
pub(crate) fn merge(
    mut token: Token,
    tails: Vec<BoxStream<'static, TailEvent>>,
) -> BoxStream<'static, TailEvent> {
    select_all(tails)
        .map(move |mut event| {
            match &mut event {
                TailEvent::Rows { resume, .. }
                | TailEvent::Gap { resume, .. }
                | TailEvent::Idle { resume } => match Token::decode(resume) {
                    Ok(of_one) => {
                        token.update(&of_one);
                        *resume = token.encode();
                    }
                    // The place of that node stays: after a break its records come twice rather than never.
                    Err(error) => {
                        tracing::warn!(%error, "a node of a tail gave a token that cannot be read");
                        *resume = token.encode();
                    }
                },
            }
            event
        })
        .boxed()
}
