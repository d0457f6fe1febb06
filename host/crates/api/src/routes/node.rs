//! `/api/v1/node/…`: what nodes of a cluster ask of each other. Everything here is signed with the cluster
//! key; see [`crate::auth`].

mod admission;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use weir_record::limits;
use weir_replication::Place;

use super::Request;
use super::catalog::filter_name;
use crate::backend::OfferedFilter;
use crate::backend::peer::{OriginFile, OriginRequest};
use crate::error::{ApiError, ErrorKind};
use crate::server::{BodyError, Response, Shared, full, json};
use crate::wire::StreamsAnswer;
use crate::wire::peer::frame::{self, Kind};
use crate::wire::peer::{
    ChangesRequest, ConfirmAnswer, ConfirmRequest, FailedRequest, HoldsAnswer, HoldsRequest, JobRequest,
    NamesRequest, PartError, PlanRequest, ReleaseRequest, SearchRequest, TailRequest, part, text,
};
pub(super) use admission::check_signed;
use admission::{Admitted, admit};

pub(super) async fn info(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    admitted.no_params()?;
    json(StatusCode::OK, &admitted.peer.info())
}

pub(super) async fn streams(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    admitted.no_params()?;
    json(StatusCode::OK, &StreamsAnswer { streams: admitted.peer.streams().await?, missing: Vec::new() })
}

pub(super) async fn changes(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let mut request: ChangesRequest = parse(&admitted)?;
    request.wait_ms = request.wait_ms.min(limits::NODE_WAIT_MS_MAX);
    let changes = tokio::select! {
        changes = admitted.peer.changes(request) => changes?,
        // Nobody shall wait for a node that wants to stop.
        () = shared.stopping.cancelled() => return Err(stopping()),
    };
    framed(part::changes_frames(&changes))
}

pub(super) async fn names(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: NamesRequest = parse(&admitted)?;
    if !request.is_bounded() {
        let max = limits::NODE_NAMES_UNITS_MAX;
        let why = format!("the request asks for the names of more than {max} units");
        return Err(ApiError::new(ErrorKind::TooLarge, "too_many_units", why)
            .hint("ask for them in several requests"));
    }
    framed(part::changes_frames(&admitted.peer.names(request).await?))
}

/// Streams a file. Its length is said before, so that a cut is seen.
pub(super) async fn origin(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let mut params = admitted.params()?;
    let missing = |name| ApiError::bad_request("bad_parameter", format!("parameter {name} is missing"));
    let origin = params.take("name")?.ok_or_else(|| missing("name"))?;
    let store = params.take("store")?.ok_or_else(|| missing("store"))?;
    let place = match params.take("place")?.as_deref() {
        // A node of an earlier version.
        None | Some("backlog") => Place::Backlog,
        Some("store") => Place::Store,
        Some(other) => {
            let why = format!("parameter place: expected backlog or store, got {other:?}");
            return Err(ApiError::bad_request("bad_parameter", why));
        }
    };
    params.finish(&["name", "store", "place"])?;
    let refuse = |error: &dyn std::fmt::Display| ApiError::bad_request("bad_parameter", error.to_string());
    let request = OriginRequest {
        place,
        origin: origin.parse().map_err(|error| refuse(&error))?,
        store: text::hex(&store).map(u64::from_be_bytes).ok_or_else(|| refuse(&"store is 16 hex digits"))?,
    };
    let OriginFile { bytes, chunks } = admitted.peer.origin(request).await?;
    let body = unfold(Some((chunks, bytes)), |state| async move {
        let (mut chunks, left) = state?;
        let cut = |why: String| Some((Err(BodyError(why)), None));
        match chunks.recv().await {
            Some(Ok(chunk)) => match left.checked_sub(chunk.len() as u64) {
                Some(left) => Some((Ok(Frame::data(chunk)), Some((chunks, left)))),
                None => cut("the origin is longer than was said".into()),
            },
            Some(Err(error)) => cut(error.to_string()),
            None if left == 0 => None,
            None => cut(format!("the origin is {left} bytes shorter than was said")),
        }
    });
    let mut response = Response::new(Body::new(StreamBody::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(response)
}

pub(super) async fn confirm(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: ConfirmRequest = parse(&admitted)?;
    if !request.is_bounded() {
        let max = limits::NODE_CONFIRMATIONS_MAX;
        return Err(ApiError::new(
            ErrorKind::TooLarge,
            "too_many_origins",
            format!("the request confirms more than {max} origins"),
        )
        .hint("confirm them in several requests"));
    }
    let asked = request.origins.len();
    let outcomes = admitted.peer.confirm(request).await?;
    if outcomes.len() != asked {
        return Err(ApiError::internal(format!("{} outcomes for {asked} origins", outcomes.len())));
    }
    json(StatusCode::OK, &ConfirmAnswer { outcomes })
}

pub(super) async fn holds(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: HoldsRequest = parse(&admitted)?;
    if !request.is_bounded() {
        let max = limits::NODE_CONFIRMATIONS_MAX;
        let why = format!("the request asks for more than {max} origins");
        return Err(ApiError::new(ErrorKind::TooLarge, "too_many_origins", why)
            .hint("ask for them in several requests"));
    }
    let asked = request.origins.len();
    let holds = admitted.peer.holds(request).await?;
    if holds.len() != asked {
        return Err(ApiError::internal(format!("{} words for {asked} origins", holds.len())));
    }
    json(StatusCode::OK, &HoldsAnswer { holds })
}

pub(super) async fn job(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: JobRequest = parse(&admitted)?;
    admitted.peer.job(request.job).await?;
    done()
}

/// Takes a component for a stage of searches to come.
pub(super) async fn offer(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::PLUGIN_FILE_BYTES_MAX).await?;
    let mut params = admitted.params()?;
    let (name, signature) = (filter_name(&mut params)?, params.take("signature")?);
    params.finish(&["name", "signature"])?;
    let component = admitted.body.bytes.clone();
    admitted.peer.offer(OfferedFilter { name, component, signature }).await?;
    done()
}

pub(super) async fn failed(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let mut request: FailedRequest = parse(&admitted)?;
    request.why.truncate(request.why.floor_char_boundary(limits::NODE_TEXT_BYTES_MAX));
    admitted.peer.failed(request).await?;
    done()
}

pub(super) async fn plan(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: PlanRequest = parse(&admitted)?;
    if request.from > request.to {
        return Err(ApiError::bad_request("bad_range", "from lies after to"));
    }
    framed(admitted.peer.plan(request).await?.to_frames())
}

pub(super) async fn release(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: ReleaseRequest = parse(&admitted)?;
    admitted.peer.release(request.snapshot);
    done()
}

pub(super) async fn search(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    admitted.no_params()?;
    let request = SearchRequest::decode(&admitted.body.bytes)
        .map_err(|error| ApiError::bad_request("bad_search", error.to_string()))?;
    let cancel = CancellationToken::new();
    // Dropped with the answer, however that ends: a node that has gone is searched for no more.
    let guard = cancel.clone().drop_guard();
    let answer = admitted.peer.search(request, cancel).await?;
    let done = async move {
        let end = answer.done.await;
        end.unwrap_or_else(|_| Err(ApiError::internal("the search ended without saying how")))
    };
    Ok(stream::answer(answer.parts, done, CancellationToken::new(), guard))
}

pub(super) async fn tail(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let admitted = admit(&shared, request, limits::NODE_REQUEST_BYTES_MAX).await?;
    let request: TailRequest = parse(&admitted)?;
    let resume_bytes = request.resume.as_ref().map_or(1, Bytes::len);
    if !(1..=limits::TAIL_POSITION_BYTES_MAX).contains(&resume_bytes) {
        return Err(ApiError::bad_request(
            "bad_position",
            "the position to resume at was not given by a node",
        )
        .hint("leave it out to begin now"));
    }
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    let answer = admitted.peer.tail(request, cancel).await?;
    let done = async move {
        let error = answer.done.await;
        Err(error.unwrap_or_else(|_| ApiError::internal("the tail ended without saying why")))
    };
    Ok(stream::answer(answer.events, done, shared.stopping.clone(), guard))
}

/// Reads a body of JSON. Fields that are not known are left alone: a newer node may ask an older one.
fn parse<T: DeserializeOwned>(admitted: &Admitted<'_>) -> Result<T, ApiError> {
    admitted.no_params()?;
    serde_json::from_slice(&admitted.body.bytes).map_err(|error| {
        ApiError::bad_request("bad_json", format!("the body is not what this route takes: {error}"))
    })
}

/// Success that needs no words.
fn done() -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Done {}
    json(StatusCode::OK, &Done {})
}

/// An answer of frames that are all there.
fn framed(frames: Result<Vec<Bytes>, PartError>) -> Result<Response, ApiError> {
    let mut frames = frames.map_err(|error| ApiError::internal(error.to_string()))?;
    frames.push(part::bare_frame(Kind::End));
    Ok(full(StatusCode::OK, frame::CONTENT_TYPE, frames.concat()))
}

fn stopping() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "stopping", "the node is stopping")
        .hint("ask again when it is back")
}

/// Silence after which a heartbeat is sent.
const HEARTBEAT: Duration = Duration::from_millis(limits::NODE_HEARTBEAT_MS);
