//! Queries with context: the hits first, all of them, then what lies around them, some hits at a time.
//!
//! Every window is planned anew over the times around its hits, which may lie outside of the range of the query, so
//! no snapshot must be kept for as long as a slow client reads. Each node that holds records is asked for the
//! neighbours that it has; the nearest ones of all are the context. The answer lacks something when a node could
//! not be asked, as with the hits.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use weir_api::backend::peer::SearchPart;
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer, QueryRequest};
use weir_engine::Plan;
use weir_query::{Around, Context, Expr, Groups, Matcher, Next as Step, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{PLANS_MAX, QUERY_CONTEXT_BYTES_MAX, QUERY_CONTEXT_HITS_MAX};

use super::planner::{Planned, Task};
use super::shares::{Lost, Next, missing, open_all, owed_of};
use super::{CHUNKS_AHEAD, Kind, Queries, Question, Verdict};
use crate::filters::Spec;

impl Queries {
    /// Starts a query for hits and what lies around them.
    pub(super) async fn with_context(
        self: &Arc<Self>,
        request: QueryRequest,
        stages: Arc<[Spec]>,
        deadline: Option<Instant>,
    ) -> Result<QueryAnswer, ApiError> {
        let limit = request.limit.map_or(QUERY_CONTEXT_HITS_MAX, |limit| limit.min(QUERY_CONTEXT_HITS_MAX));
        let hits = QueryRequest { context: Context::default(), limit: Some(limit), ..request.clone() };
        let found = self.hits(hits, stages, deadline).await?;
        let partial = found.partial;
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let queries = Arc::clone(self);
        tokio::spawn(async move {
            let ended = queries.surround(found, &request, deadline, &send).await;
            drop(send);
            let _ = finish.send(ended);
        });
        Ok(QueryAnswer { rows, done, partial })
    }

    /// Takes all hits, and sends them with their context.
    async fn surround(
        &self,
        found: QueryAnswer,
        request: &QueryRequest,
        deadline: Option<Instant>,
        send: &mpsc::Sender<Rows>,
    ) -> Result<Stats, ApiError> {
        let started = Instant::now();
        let QueryAnswer { rows: mut found, done, .. } = found;
        let (mut hits, mut bytes) = (Vec::new(), 0);
        while let Some(rows) = found.recv().await {
            bytes += rows.bytes();
            if bytes > QUERY_CONTEXT_BYTES_MAX {
                return Err(too_large(&format!(
                    "the hits take more than the {QUERY_CONTEXT_BYTES_MAX} bytes that a query with context may keep"
                )));
            }
            hits.push(rows);
        }
        let ended = done.await;
        let mut stats =
            ended.unwrap_or_else(|_| Err(ApiError::internal("the query ended without saying how")))?;
        let _place = self.place(request).await?;
        let mut groups = Groups::new(request.context, request.order, hits);
        loop {
            match groups.step() {
                Step::Done => break,
                Step::Send(rows) => {
                    if send.send(rows).await.is_err() {
                        break;
                    }
                }
                Step::Ask(around) => {
                    stats.add_context(self.ask(around, request, deadline, &mut groups).await?);
                }
            }
        }
        stats.duration_ms = stats.duration_ms.max(started.elapsed().as_millis() as u64);
        Ok(stats)
    }

    /// Asks all nodes for neighbours, and others for what a node still owes when it fails: what comes twice is taken
    /// once.
    async fn ask(
        &self,
        around: Around,
        request: &QueryRequest,
        deadline: Option<Instant>,
        groups: &mut Groups,
    ) -> Result<Stats, ApiError> {
        let (from, to) = range(&around);
        // What matches is for each anchor to say.
        let matcher = Matcher::compile(&Expr::All).map_err(|error| ApiError::internal(error.to_string()))?;
        let plan = Plan { matcher, from, to, limit: None, order: request.order, whole: false, stages: None };
        let (stages, verdict) = (Arc::default(), Verdict::default());
        let question = Question { request: request.clone(), plan, stages, deadline, verdict };
        let kind = Kind::Around(Arc::new(around));
        let mut stats = Stats::default();
        let Some(planner) = &self.planner else {
            let (send, mut rows) = mpsc::channel(CHUNKS_AHEAD);
            let searched = self.local.all(question.plan, kind, &request.cancel, send);
            while let Some(rows) = rows.recv().await {
                groups.answer(&rows).map_err(|error| too_large(&error.to_string()))?;
            }
            return searched.await;
        };
        let mut owed = None;
        for round in 1..=PLANS_MAX {
            let planning = Instant::now();
            let Planned { searches, missing: lacking, .. } =
                planner.plan((from, to), owed.as_ref(), &[]).await;
            stats.stages.plan_us += super::micros(planning);
            for missing in lacking {
                stats.miss(missing);
            }
            let (shares, mut lost) = open_all(&self.local, searches, Task::All, &question, &kind).await;
            for (search, mut share) in shares {
                let why = loop {
                    match share.next().await {
                        Next::Part(SearchPart::Rows(rows)) => {
                            groups.answer(&rows).map_err(|error| too_large(&error.to_string()))?;
                        }
                        Next::Part(_) => break Some("it sent something else than rows".to_owned()),
                        Next::End(part) => {
                            stats.merge(&search.node, part);
                            break None;
                        }
                        Next::Failed(why) => break Some(why),
                    }
                };
                lost.extend(why.map(|why| Lost { search, why }));
            }
            if request.cancel.is_cancelled() {
                return Err(ApiError::new(ErrorKind::Unavailable, "cancelled", "the query was cancelled"));
            }
            if lost.is_empty() {
                break;
            }
            if round == PLANS_MAX {
                for lost in lost {
                    stats.miss(missing(&lost.search.node, &question, lost.why));
                }
                break;
            }
            planner.look_again(lost.iter().map(|lost| &*lost.search.node)).await;
            owed = Some(owed_of(&lost));
        }
        Ok(stats)
    }
}

/// The times in which the neighbours of all anchors lie, the end exclusive.
fn range(around: &Around) -> (RecordId, RecordId) {
    let sides = around.anchors.iter().flat_map(|anchor| anchor.sides(around.reach_ms)).flatten();
    let (low, high) =
        sides.fold((RecordId::MAX, RecordId::MIN), |(low, high), side| (low.min(side.0), high.max(side.1)));
    (low.min(high), high.checked_add(1).unwrap_or(RecordId::MAX))
}

fn too_large(message: &str) -> ApiError {
    ApiError::new(ErrorKind::TooMany, "query_too_large", message)
        .hint("ask for fewer hits, or fewer records around them")
}
