//! `/ingest/next`, `read`, `commit`, `failed`: how a store of OK Log consumes what this node has sealed.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::{mpsc, oneshot};
use weir_query::Rows;

use super::params::Params;
use super::{Request, get_only, oklog, told, unknown};
use crate::error::{ApiError, ErrorKind};
use crate::format::rfc3339_ms;
use crate::oklog::{ClaimId, ClaimRefused, OklogIngest, TextWriter};
use crate::server::{BodyError, Response, Shared};

fn desk(shared: &Shared) -> Result<&dyn OklogIngest, ApiError> {
    oklog(shared)?.ingest().ok_or_else(|| {
        ApiError::new(ErrorKind::NotFound, "no_consumers", "this node hands nothing to stores of OK Log")
            .hint("oklog.consumers = true in the configuration of an ingest node allows it")
    })
}

/// The claim that a request is about. Text that is no claim is a claim that is not there.
fn claim(request: &Request) -> Result<ClaimId, ApiError> {
    let id = Params(request.head.uri.query().unwrap_or_default()).get("id").unwrap_or_default();
    std::str::from_utf8(&id).ok().and_then(|id| id.parse().ok()).ok_or_else(unknown)
}

pub(super) async fn next(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    get_only(&request)?;
    match desk(&shared)?.next().await? {
        Some(claim) => Ok(told(StatusCode::OK, claim.to_string())),
        None => Err(unknown()),
    }
}

pub(super) async fn commit(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let (desk, claim) = (desk(&shared)?, claim(&request)?);
    match desk.commit(claim).await {
        Ok(()) => Ok(told(StatusCode::OK, "Commit OK")),
        Err(refusal) => refused(refusal),
    }
}

pub(super) async fn failed(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let (desk, claim) = (desk(&shared)?, claim(&request)?);
    match desk.failed(claim).await {
        Ok(()) => Ok(told(StatusCode::OK, "Failed OK")),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: ClaimRefused) -> Result<Response, ApiError> {
    let status = match refusal {
        ClaimRefused::Failed(error) => return Err(error),
        ClaimRefused::Unknown => StatusCode::NOT_FOUND,
        ClaimRefused::Unread => StatusCode::PRECONDITION_REQUIRED,
        ClaimRefused::Read => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Ok(told(status, format!("{refusal}\n")))
}

/// What is claimed, a line each; then, which the original has not, what came back.
pub(super) fn state(shared: &Shared) -> Result<Response, ApiError> {
    let state = desk(shared)?.state();
    let mut text = format!("{} pending\n", state.claims.len());
    for open in &state.claims {
        let deadline = rfc3339_ms(open.deadline_ms);
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {}: reading={} deadline={deadline}", open.claim, open.reading);
    }
    for (piece, suspect) in &state.suspects {
        let again = rfc3339_ms(suspect.due_ms);
        let _ = writeln!(text, " {piece}: failures={} again={again}", suspect.failures);
    }
    Ok(told(StatusCode::OK, text))
}

pub(super) async fn read(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    get_only(&request)?;
    let claim = claim(&request)?;
    let segment = match desk(&shared)?.read(claim).await {
        Ok(segment) => segment,
        Err(refusal) => return refused(refusal),
    };
    let reading = Reading {
        shared,
        claim,
        rows: segment.rows,
        done: Some(segment.done),
        writer: TextWriter::new(),
        ready: None,
    };
    let mut response = Response::new(Body::from_stream(unfold(reading, Reading::next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(super::TEXT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A read under way.
struct Reading {
    shared: Arc<Shared>,
    claim: ClaimId,
    rows: mpsc::Receiver<Rows>,
    /// `None` once the end is known.
    done: Option<oneshot::Receiver<Result<(), ApiError>>>,
    writer: TextWriter,
    /// Kept back until it is known whether it is the last: the claim counts as read before the client can have
    /// seen the end, or its commit might come too early.
    ready: Option<Vec<u8>>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Reading)> {
        // Once the end was told nobody is asked again.
        self.done.as_ref()?;
        while let Some(rows) = self.rows.recv().await {
            let mut chunk = Vec::new();
            self.writer.rows(&rows, &mut chunk);
            if let Some(ready) = self.ready.replace(chunk) {
                return Some((Ok(ready.into()), self));
            }
        }
        let ended = self.done.take()?.await;
        let ended = ended.unwrap_or_else(|_| Err(ApiError::internal("the read ended without saying how")));
        if let Err(error) = ended {
            tracing::warn!(claim = %self.claim, %error, "a claimed piece was not read to its end");
            return Some((Err(BodyError(error.message().to_owned())), self));
        }
        let mut last = self.ready.take().unwrap_or_default();
        self.writer.finish(&mut last);
        if let Ok(desk) = desk(&self.shared) {
            desk.read_whole(self.claim);
        }
        Some((Ok(last.into()), self))
    }
}
