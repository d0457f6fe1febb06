//! The part of a query that another node searches.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::ApiError;
use weir_api::backend::peer::{
    Buckets, SearchMode, SearchPart, SearchRequest, SnapshotToken, Syntax, UnitOrigins,
};
use weir_api::client::SearchBody;
use weir_query::{Around, Stats};

use super::{Kind, Question, Verdict};
use crate::filters::{FILTER_REFUSED, FILTER_WANTED, Spec};
use crate::peers::Peer;

/// Begins a search. An error says that it is to be planned anew.
pub(super) async fn open(
    peer: &Peer,
    token: SnapshotToken,
    (log, units): (bool, Vec<UnitOrigins>),
    question: &Question,
    kind: &Kind,
) -> Result<SearchBody, String> {
    let mode = match kind {
        Kind::Rows => SearchMode::Rows,
        Kind::Suspects => SearchMode::Suspects,
        Kind::Rest(buckets, known) => {
            let count = buckets.count() as u32;
            let buckets = Buckets { from_ms: buckets.from_ms(), width_ms: buckets.width_ms(), count };
            SearchMode::Histogram(buckets, super::shares::hashed(known))
        }
        Kind::Around(around) => SearchMode::Around(Around::clone(around)),
        Kind::SuspectRows => SearchMode::SuspectRows,
        Kind::Sum(_, known) => SearchMode::Sum(super::shares::hashed(known)),
    };
    let stages = match kind {
        // Neither context nor what an aggregate is still to be given has gone through anything.
        Kind::Around(_) | Kind::SuspectRows => Vec::new(),
        Kind::Rows | Kind::Suspects | Kind::Rest(..) | Kind::Sum(..) => {
            question.stages.iter().map(Spec::for_peer).collect()
        }
    };
    let left = question.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let request = SearchRequest {
        token,
        syntax: Syntax::Weir,
        // What was meant, whatever language it was written in.
        query: question.request.expr.to_string(),
        from: question.plan.from,
        to: question.plan.to,
        limit: question.plan.limit,
        order: question.plan.order,
        time_ms: left.map(|left| (left.as_millis() as u64).max(1)),
        whole: question.plan.whole,
        mode,
        stages,
        log,
        units,
    };
    let told = |error| question.verdict.of(&peer.url, &error);
    match peer.client.search(&request).await {
        Err(error) if error.code() == Some(FILTER_WANTED) && !request.stages.is_empty() => {
            send_filters(peer, question).await?;
            peer.client.search(&request).await.map_err(told)
        }
        answer => answer.map_err(told),
    }
}

/// Sends a node the components of a question, which it says it would run if it had them.
async fn send_filters(peer: &Peer, question: &Question) -> Result<(), String> {
    for spec in &*question.stages {
        let spec = spec.clone();
        let offer = tokio::task::spawn_blocking(move || spec.offer()).await;
        let offer = offer.map_err(|_| "reading a filter has panicked".to_owned())?;
        let offer =
            offer.map_err(|why| question.verdict.of_own(ApiError::bad_request(FILTER_REFUSED, why)))?;
        peer.client.offer(&offer).await.map_err(|error| question.verdict.of(&peer.url, &error))?;
    }
    Ok(())
}

/// Hands its parts on until it ends or nobody wants them.
pub(super) async fn follow(
    mut body: SearchBody,
    send: mpsc::Sender<SearchPart>,
    finish: oneshot::Sender<Result<Stats, String>>,
    cancel: CancellationToken,
    (node, verdict): (String, Verdict),
) {
    let outcome = loop {
        let part = tokio::select! {
            part = body.next() => part,
            () = cancel.cancelled() => break Err("the query was cancelled".to_owned()),
            () = send.closed() => break Err("nobody wants the rest".to_owned()),
        };
        match part {
            Ok(Some(part)) => {
                if send.send(part).await.is_err() {
                    break Err("nobody wants the rest".to_owned());
                }
            }
            Ok(None) => break body.end().map(|end| end.stats).map_err(|error| verdict.of(&node, &error)),
            Err(error) => break Err(verdict.of(&node, &error)),
        }
    };
    drop(send);
    let _ = finish.send(outcome);
}
