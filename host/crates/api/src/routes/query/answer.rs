//! Rows as an HTTP body, written as they come, with an end that says whether they are all.
//!
//! The end of JSON lines is their last line: statistics, or the error that cut the answer short. The other
//! formats have nothing but records in them, so theirs is in the trailers `X-Weir-Complete`,
//! `X-Weir-Stats` and `X-Weir-Error`. A client that does not read trailers and would be left with less than
//! it asked for finds its connection cut instead: no answer is silently incomplete.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use weir_query::{Rows, Stats};
use weir_record::{RecordId, limits};

use crate::access::Caller;
use crate::backend::QueryAnswer;
use crate::error::ApiError;
use crate::format::Format;
use crate::server::{BodyError, Response};
use crate::wire::{QueryStats, StatsLine, to_ascii_json, trailer};

/// How an answer is to be written.
pub(in crate::routes) struct Shape {
    pub(in crate::routes) format: Format,
    /// The range asked for, repeated in the statistics.
    pub(in crate::routes) range: (RecordId, RecordId),
    /// Whether the client reads trailers.
    pub(in crate::routes) trailers: bool,
    /// An explanation that comes in place of all rows.
    pub(in crate::routes) explained: Option<Bytes>,
    /// Who asks.
    pub(in crate::routes) caller: Caller,
}

type Done = oneshot::Receiver<Result<Stats, ApiError>>;

/// An answer under way: what is still to be written.
struct Writing {
    shape: Shape,
    /// Whether rows are written.
    with_rows: bool,
    /// Rows that came before the head was sent.
    first: Option<Rows>,
    rows: mpsc::Receiver<Rows>,
    /// `None` once the end has been written.
    done: Option<Done>,
    /// Whether the status has said already that the answer is not whole.
    partial: bool,
    /// Cancels the query when the body is dropped.
    _guard: DropGuard,
}

/// Sends the head, as soon as the first rows are there or it is clear that they take a while.
pub(in crate::routes) async fn stream(
    answer: QueryAnswer,
    shape: Shape,
    guard: DropGuard,
) -> Result<Response, ApiError> {
    let QueryAnswer { mut rows, done, mut partial } = answer;
    let head_wait_max = Duration::from_millis(limits::HTTP_QUERY_HEAD_WAIT_MS_MAX);
    let (first, done) = match timeout(head_wait_max, rows.recv()).await {
        Ok(Some(first)) => (Some(first), done),
        // No rows at all: how it ended can still be said by the status.
        Ok(None) => {
            let stats = outcome(done).await?;
            partial |= !stats.complete;
            let (known, done) = oneshot::channel();
            // The receiver lives: it was made in the line above.
            let _ = known.send(Ok(stats));
            (None, done)
        }
        Err(_) => (None, done),
    };
    let format = shape.format;
    let with_rows = shape.explained.is_none();
    let writing = Writing { shape, with_rows, first, rows, done: Some(done), partial, _guard: guard };
    let body = StreamBody::new(unfold(writing, |writing| async {
        let (frame, writing) = writing.next().await?;
        Some((frame, writing))
    }));
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if format != Format::Ndjson {
        let names = HeaderValue::from_static(trailer::NAMES);
        headers.insert(TRAILER, names);
    }
    Ok(response)
}

/// How the query ended. A backend that says nothing is a defect, not an end.
async fn outcome(done: Done) -> Result<Stats, ApiError> {
    done.await.unwrap_or_else(|_| Err(ApiError::internal("the query ended without saying how")))
}

type Written = Result<Frame<Bytes>, BodyError>;

impl Writing {
    async fn next(mut self) -> Option<(Written, Writing)> {
        if let Some(line) = self.shape.explained.take() {
            return Some((Ok(Frame::data(line)), self));
        }
        loop {
            let rows = match self.first.take() {
                Some(rows) => Some(rows),
                None => self.rows.recv().await,
            };
            let Some(rows) = rows else { break };
            if !self.with_rows {
                continue;
            }
            let mut chunk = Vec::new();
            self.shape.format.write(&rows, &mut chunk);
            return Some((Ok(Frame::data(chunk.into())), self));
        }
        let outcome = outcome(self.done.take()?).await;
        if let Err(error) = &outcome {
            tracing::warn!(code = error.code(), %error, "query ended early");
        }
        let frame = match self.shape.format {
            Format::Ndjson => Some(self.last_line(&outcome)),
            Format::Text | Format::Oklog => self.trailers(&outcome),
        };
        let frame = frame?;
        if frame.is_err() {
            // An error drops what the connection has not written yet; one turn lets it write the rows.
            tokio::task::yield_now().await;
        }
        Some((frame, self))
    }

    fn last_line(&self, outcome: &Result<Stats, ApiError>) -> Written {
        let line = match outcome {
            Ok(stats) => serde_json::to_vec(&StatsLine { stats: self.stats(stats) }),
            Err(error) => serde_json::to_vec(&error.envelope()),
        };
        let mut line = line.map_err(|error| BodyError(error.to_string()))?;
        line.push(b'\n');
        Ok(Frame::data(line.into()))
    }

    /// `None` when the answer is whole and the client reads no trailers.
    fn trailers(&self, outcome: &Result<Stats, ApiError>) -> Option<Written> {
        // What the status has said already stays true.
        let complete = !self.partial && outcome.as_ref().is_ok_and(|stats| stats.complete);
        if !self.shape.trailers {
            let told = complete || (self.partial && outcome.is_ok());
            return (!told)
                .then(|| Err(BodyError("it is incomplete, and the client reads no trailers".into())));
        }
        let mut trailers = HeaderMap::new();
        trailers.insert(trailer::COMPLETE, HeaderValue::from_static(if complete { "true" } else { "false" }));
        let (name, value) = match outcome {
            Ok(stats) => (trailer::STATS, self.stats(stats).to_header(trailer::BYTES_MAX)),
            Err(error) => (trailer::ERROR, to_ascii_json(&error.envelope())),
        };
        match HeaderValue::try_from(value) {
            Ok(value) => trailers.insert(name, value),
            Err(error) => return Some(Err(BodyError(error.to_string()))),
        };
        Some(Ok(Frame::trailers(trailers)))
    }

    fn stats(&self, stats: &Stats) -> QueryStats {
        let (from, to) = self.shape.range;
        QueryStats::of(stats, from, to).for_caller(&self.shape.caller)
    }
}
