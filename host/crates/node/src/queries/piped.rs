//! Queries with pipes: stages beside the data, and those that run here over what comes back.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use weir_api::backend::{ApiError, QueryAnswer, QueryRequest};
use weir_engine::{StageFailure, Unjudged};
use weir_query::{Expr, Rows, Stats};

use super::counting::Count;
use super::local::failed;
use super::{CHUNKS_AHEAD, Queries, Question, count, micros};
use crate::filters::{Chain, Late, Pipes, Spec, finish};

impl Queries {
    /// Starts a query with pipes.
    pub(super) async fn piped(
        self: &Arc<Self>,
        request: QueryRequest,
        deadline: Option<Instant>,
    ) -> Result<QueryAnswer, ApiError> {
        let (mut request, Pipes { near, sums, late, .. }) = self.prepared(request).await?;
        if sums || !late.is_empty() {
            if !request.context.is_none() {
                let error =
                    "records have no neighbours behind an aggregate, or a filter that needs them in order";
                return Err(ApiError::bad_request("bad_parameter", error).hint("leave before and after out"));
            }
            let limit = request.limit.take();
            let cancel = request.cancel.clone();
            let late = Late::new(&late, |specs| Chain::new(specs, &cancel));
            let answer = if sums {
                self.summed(request, near, deadline).await?
            } else {
                self.hits(request, near, deadline).await?
            };
            return Ok(through(answer, late, limit));
        }
        if request.context.is_none() {
            self.hits(request, near, deadline).await
        } else {
            self.with_context(request, near, deadline).await
        }
    }

    /// The stages that a count goes through: those before the first that has no records to count.
    pub(super) async fn counted_stages(
        &self,
        request: QueryRequest,
    ) -> Result<(QueryRequest, Arc<[Spec]>), ApiError> {
        if request.stages.is_empty() {
            return Ok((request, Arc::default()));
        }
        let (request, Pipes { near, sums, .. }) = self.prepared(request).await?;
        let stages = if sums { near[..near.len() - 1].into() } else { near };
        Ok((request, stages))
    }

    /// The pipes of a query, ready, and the query with what their filters hint at.
    async fn prepared(&self, mut request: QueryRequest) -> Result<(QueryRequest, Pipes), ApiError> {
        let (filters, written) = (self.filters.clone(), std::mem::take(&mut request.stages));
        let preparing = tokio::task::spawn_blocking(move || filters.prepare(&written)).await;
        let mut pipes = preparing.map_err(|_| ApiError::internal("loading a filter has panicked"))??;
        let hint = std::mem::replace(&mut pipes.hint, Expr::All);
        request.expr = Expr::all_of([request.expr, hint]);
        Ok((request, pipes))
    }

    /// What an aggregate says of everything that matches, summed up where it is.
    async fn summed(
        self: &Arc<Self>,
        request: QueryRequest,
        stages: Arc<[Spec]>,
        deadline: Option<Instant>,
    ) -> Result<QueryAnswer, ApiError> {
        let Some(sum) = stages.last().cloned() else { return Err(ApiError::internal("no aggregate")) };
        let question = Question::new(request, stages.clone(), deadline)?;
        let asked = Instant::now();
        let place = self.place(&question.request).await?;
        let (queue_us, started) = (micros(asked), Instant::now());
        self.metrics.queries_running.inc();
        let summed = async {
            if let Some(planner) = &self.planner {
                return Count::new(&self.local, planner, &question).partials(stages).await;
            }
            let cancel = &question.request.cancel;
            let (partial, stats) = self.local.sum_of_all(question.plan.clone(), stages, cancel).await?;
            Ok((vec![partial], stats))
        };
        let summed = summed.await;
        self.metrics.queries_running.dec();
        drop(place);
        let (partials, mut result) = match summed {
            Ok((partials, stats)) => (partials, Ok(stats)),
            Err(error) => (Vec::new(), Err(error)),
        };
        if let Ok(stats) = &mut result {
            stats.stages.queue_us += queue_us;
            stats.duration_ms = asked.elapsed().as_millis() as u64;
        }
        count(&self.metrics, started, &result);
        let stats = result?;
        let finished = tokio::task::spawn_blocking(move || finish(&sum, partials)).await;
        let rows = finished.map_err(|_| ApiError::internal("summing up has panicked"))?.map_err(told)?;
        let partial = !stats.complete;
        let (send, receive) = mpsc::channel(1);
        let (end, done) = oneshot::channel();
        // There is room for one, and somebody who waits for it.
        let _ = send.send(rows).await;
        let _ = end.send(Ok(stats));
        Ok(QueryAnswer { rows: receive, done, partial })
    }
}

/// Sends an answer through stages, as far as the limit of what comes out.
fn through(answer: QueryAnswer, late: Late, limit: Option<u64>) -> QueryAnswer {
    let QueryAnswer { rows: mut found, done: ended, partial } = answer;
    let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
    let (finish, done) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let mut out = Limited { send, left: limit };
        let passed = pass(&mut found, late, &mut out);
        // Whoever still searches hears that nobody listens.
        drop(found);
        let stats =
            ended.blocking_recv().unwrap_or_else(|_| Err(ApiError::internal("a query ended without a word")));
        let _ = finish.send(match (passed, stats) {
            (Err(failure), _) => Err(told(failure)),
            (Ok(unjudged), Ok(mut stats)) => {
                for unjudged in unjudged {
                    unjudged.tell(&mut stats);
                }
                Ok(Stats { limited: out.left == Some(0), ..stats })
            }
            (Ok(_), Err(error)) => Err(error),
        });
    });
    QueryAnswer { rows, done, partial }
}

/// Sends rows through stages; what these could not judge.
fn pass(
    found: &mut mpsc::Receiver<Rows>,
    mut late: Late,
    out: &mut Limited,
) -> Result<Vec<Unjudged>, StageFailure> {
    while let Some(rows) = found.blocking_recv() {
        if !out.send(late.push(&rows)?) {
            return Ok(late.unjudged());
        }
    }
    out.send(late.finish()?);
    Ok(late.unjudged())
}

/// The way out, as far as a limit.
struct Limited {
    send: mpsc::Sender<Rows>,
    left: Option<u64>,
}

impl Limited {
    /// Sends rows; `false` when nobody wants more.
    fn send(&mut self, rows: Rows) -> bool {
        let mut rows = rows;
        if let Some(left) = &mut self.left {
            let count = (rows.count() as u64).min(*left);
            rows = rows.first(count as usize);
            *left -= count;
        }
        let is_sent = rows.is_empty() || self.send.blocking_send(rows).is_ok();
        is_sent && self.left != Some(0)
    }
}

fn told(failure: StageFailure) -> ApiError {
    failed(&failure.into())
}
