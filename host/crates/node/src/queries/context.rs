//! Queries with context: the hits first, all of them, then what lies around them, some hits at a time.
//!
//! Every window is planned anew over the times around its hits, which may lie outside of the range of the query, so
//! no snapshot must be kept for as long as a slow client reads. Each node that holds records is asked for the
//! neighbours that it has; the nearest ones of all are the context. The answer lacks something when a node could
//! not be asked, as with the hits.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer, QueryRequest};
use weir_engine::Plan;
use weir_query::{Around, Context, Expr, Groups, Matcher, Missing, Next, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{QUERY_CONTEXT_BYTES_MAX, QUERY_CONTEXT_HITS_MAX};

use super::{CHUNKS_AHEAD, Kind, Queries, Stream};

impl Queries {
    /// Starts a query for hits and what lies around them.
    pub(super) async fn with_context(
        self: &Arc<Self>,
        request: QueryRequest,
    ) -> Result<QueryAnswer, ApiError> {
        let limit = request.limit.map_or(QUERY_CONTEXT_HITS_MAX, |limit| limit.min(QUERY_CONTEXT_HITS_MAX));
        let hits = QueryRequest { context: Context::default(), limit: Some(limit), ..request.clone() };
        let found = self.hits(hits).await?;
        let partial = found.partial;
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let queries = Arc::clone(self);
        tokio::spawn(async move {
            let ended = queries.surround(found, &request, &send).await;
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
                Next::Done => break,
                Next::Send(rows) => {
                    if send.send(rows).await.is_err() {
                        break;
                    }
                }
                Next::Ask(around) => {
                    stats.add_context(self.ask(around, request, &mut groups).await?);
                }
            }
        }
        stats.duration_ms = stats.duration_ms.max(started.elapsed().as_millis() as u64);
        Ok(stats)
    }

    /// Asks all nodes for neighbours.
    async fn ask(
        &self,
        around: Around,
        request: &QueryRequest,
        groups: &mut Groups,
    ) -> Result<Stats, ApiError> {
        let planning = Instant::now();
        let (from, to) = range(&around);
        let request = QueryRequest { from, to, limit: None, ..request.clone() };
        // What matches is for each anchor to say.
        let matcher = Matcher::compile(&Expr::All).map_err(|error| ApiError::internal(error.to_string()))?;
        let plan = Plan { matcher, from, to, limit: None, order: request.order };
        let kind = Kind::Around(Arc::new(around));
        let (streams, missing) = match &self.planner {
            Some(planner) => self.open(planner, &request, &plan, &kind).await?,
            None => (vec![self.open_here(&request, &plan, kind)], Vec::new()),
        };
        let mut stats = Stats::default();
        stats.stages.plan_us += super::micros(planning);
        for missing in missing {
            stats.miss(missing);
        }
        for Stream { node, mut rows, done, .. } in streams {
            while let Some(rows) = rows.recv().await {
                groups.answer(&rows).map_err(|error| too_large(&error.to_string()))?;
            }
            if request.cancel.is_cancelled() {
                return Err(ApiError::new(ErrorKind::Unavailable, "cancelled", "the query was cancelled"));
            }
            match done.await.unwrap_or_else(|_| Err("it ended without saying how".into())) {
                Ok(part) => stats.merge(&node, part),
                Err(why) => {
                    let place = "what lies around hits".to_owned();
                    stats.miss(Missing { node, place, from, to, why });
                }
            }
        }
        Ok(stats)
    }

    /// A search of everything that this node holds.
    fn open_here(&self, request: &QueryRequest, plan: &Plan, kind: Kind) -> Stream {
        let (send, rows) = mpsc::channel(CHUNKS_AHEAD);
        let (finish, done) = oneshot::channel();
        let searched = self.local.all(plan.clone(), kind, &request.cancel, send);
        tokio::spawn(async move {
            let _ = finish.send(searched.await.map_err(|error| error.to_string()));
        });
        Stream { node: String::new(), rows, done, range: (request.from, request.to) }
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
