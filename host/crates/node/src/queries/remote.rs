//! The part of a query that another node searches.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::QueryRequest;
use weir_api::backend::peer::{SearchMode, SearchPart, SearchRequest, SnapshotToken, Syntax};
use weir_api::client::SearchBody;
use weir_query::{Around, Rows, Stats};

use super::Kind;
use super::planner::Search;
use crate::peers::Peer;

/// Begins a search. An error says that it is to be planned anew.
pub(super) async fn open(
    peer: &Peer,
    token: SnapshotToken,
    search: &Search,
    request: &QueryRequest,
    kind: &Kind,
) -> Result<SearchBody, String> {
    let mode = match kind {
        Kind::Rows => SearchMode::Rows,
        Kind::Hashes => SearchMode::Hashes,
        Kind::Around(around) => SearchMode::Around(Around::clone(around)),
    };
    let request = SearchRequest {
        token,
        syntax: Syntax::Weir,
        // What was meant, whatever language it was written in.
        query: request.expr.to_string(),
        from: request.from,
        to: request.to,
        limit: request.limit,
        order: request.order,
        mode,
        log: search.log,
        units: search.units.clone(),
    };
    peer.client.search(&request).await.map_err(|error| error.to_string())
}

/// Hands its rows on until it ends or nobody wants them.
pub(super) async fn follow(
    mut body: SearchBody,
    send: mpsc::Sender<Rows>,
    finish: oneshot::Sender<Result<Stats, String>>,
    cancel: CancellationToken,
) {
    let outcome = loop {
        let part = tokio::select! {
            part = body.next() => part,
            () = cancel.cancelled() => break Err("the query was cancelled".to_owned()),
            () = send.closed() => break Err("nobody wants the rest".to_owned()),
        };
        match part {
            Ok(Some(SearchPart::Rows(rows))) => {
                if send.send(rows).await.is_err() {
                    break Err("nobody wants the rest".to_owned());
                }
            }
            Ok(Some(_)) => break Err("it sent something else than rows".to_owned()),
            Ok(None) => break body.end().map(|end| end.stats).map_err(|error| error.to_string()),
            Err(error) => break Err(error.to_string()),
        }
    };
    drop(send);
    let _ = finish.send(outcome);
}
