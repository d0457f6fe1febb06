//! The routes of OK Log, below `/store/` and `/ingest/`, and `/health`: for its clients, scripts and stores.
//!
//! They keep what those rely on, and are right where the original is broken; `docs/OKLOG.md` has both lists.
//! Errors are text here, not the envelope of the native API.

mod claims;
mod cluster;
mod params;
mod pattern;
mod query;
mod replicate;
mod stream;

use http::header::VARY;
use http::{HeaderValue, Method, StatusCode};

use super::{Act, BodySize, MEMBERS, Needs, QUERY, Request, Route, TAIL, of_all, route};
use crate::access::Scope as OwnScope;
use crate::error::{ApiError, ErrorKind};
use crate::oklog::{Oklog, Scope};
use crate::server::{self, Response, Shared, full};

const TEXT: &str = "text/plain; charset=utf-8";
/// What a path that is not there is answered with, and a claim that is not there as well.
const NOT_FOUND: &str = "404 page not found";

/// What a store of OK Log does: it sees all that a node has, and hands over what looks like another node's.
const NODE: Needs = Needs::Any(&[OwnScope::Node]);

/// The routes, for the table of all.
pub(super) static ROUTES: &[Route] = &[
    route(
        "/health",
        &[(Method::GET, Needs::Nothing, |_, _| super::done(Ok(full(StatusCode::OK, TEXT, "OK\n"))))],
    ),
    of_all(
        "/store/query",
        &[(Method::GET, QUERY, |shared, request| Box::pin(query::get(shared, request, Scope::Cluster)))],
    ),
    route(
        "/store/_query",
        &[(Method::GET, QUERY, |shared, request| Box::pin(query::get(shared, request, Scope::Node)))],
    ),
    route("/store/stream", STREAM),
    route("/store/_stream", STREAM),
    Route {
        path: "/store/replicate",
        body: BodySize::Records,
        is_of_all: false,
        methods: &[(Method::POST, NODE, |shared, request| Box::pin(replicate::post(shared, request)))],
    },
    route("/store/_clusterstate", CLUSTER),
    route("/ingest/next", &[(Method::GET, NODE, |shared, request| Box::pin(claims::next(shared, request)))]),
    route("/ingest/read", &[(Method::GET, NODE, |shared, request| Box::pin(claims::read(shared, request)))]),
    route(
        "/ingest/commit",
        &[(Method::POST, NODE, |shared, request| Box::pin(claims::commit(shared, request)))],
    ),
    route(
        "/ingest/failed",
        &[(Method::POST, NODE, |shared, request| Box::pin(claims::failed(shared, request)))],
    ),
    route("/ingest/_segmentstate", &[(Method::GET, NODE, |shared, _| super::done(claims::state(&shared)))]),
    route("/ingest/_clusterstate", CLUSTER),
];

const STREAM: &[Act] = &[(Method::GET, TAIL, |shared, request| Box::pin(stream::get(shared, request)))];
const CLUSTER: &[Act] = &[(Method::GET, MEMBERS, |shared, _| super::done(cluster::state(&shared)))];

/// Whether a path belongs to OK Log, be it a route or not.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/store/") || path.starts_with("/ingest/") || path == "/health"
}

/// The answer that an error is: its message, and what to do where that is ours to say.
pub(super) fn failed(error: &ApiError, allow: Option<&str>) -> Response {
    let hint = error.envelope().error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    let mut text = full(error.kind().status(), TEXT, format!("{}{hint}\n", error.message()));
    // Status and headers are those of the same error elsewhere; the body is text.
    let mut response = server::failed(error, allow);
    std::mem::swap(response.body_mut(), text.body_mut());
    response.headers_mut().extend(text.headers().clone());
    response
}

/// Adds what each of their answers carries.
pub(super) fn dress(response: &mut Response) {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
}

pub(super) fn unknown() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "not_found", NOT_FOUND)
}

/// The node as these routes see it; a node without the roles they ask has none of them.
fn oklog(shared: &Shared) -> Result<&dyn Oklog, ApiError> {
    shared.backend.oklog().ok_or_else(unknown)
}

/// An answer of text with a status of OK Log.
fn told(status: StatusCode, text: impl Into<String>) -> Response {
    full(status, TEXT, text.into())
}

/// Routes that act when they are asked know no `HEAD`: it would act and say nothing.
fn get_only(request: &Request) -> Result<(), ApiError> {
    if request.head.method == Method::HEAD { Err(unknown()) } else { Ok(()) }
}
