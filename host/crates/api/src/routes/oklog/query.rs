//! `GET|HEAD /store/query` and `/store/_query`: records between two times, and what it takes to find them.
//!
//! The head tells what is known before the first record, so it is sent at once; what comes to light later is in
//! the trailers, as for the text formats of the native API, and a client that reads none finds its connection cut
//! rather than a short answer that looks whole. `HEAD` runs no query: it tells what one would read.

use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio_util::sync::CancellationToken;
use weir_query::{Context, Order};

use super::params::{Asked, Params, Range};
use super::{Request, oklog};
use crate::backend::QueryRequest;
use crate::error::{ApiError, ErrorKind};
use crate::format::{Format, rfc3339_s};
use crate::oklog::{Oklog, Scope, Survey, go};
use crate::routes::query::{answer, takes_trailers};
use crate::server::{Response, Shared, empty};

const FROM: HeaderName = HeaderName::from_static("x-oklog-from");
const TO: HeaderName = HeaderName::from_static("x-oklog-to");
const Q: HeaderName = HeaderName::from_static("x-oklog-q");
const REGEX: HeaderName = HeaderName::from_static("x-oklog-regex");
const NODES: HeaderName = HeaderName::from_static("x-oklog-nodes-queried");
const SEGMENTS: HeaderName = HeaderName::from_static("x-oklog-segments-queried");
const BYTES: HeaderName = HeaderName::from_static("x-oklog-max-data-set-size");
const ERRORS: HeaderName = HeaderName::from_static("x-oklog-error-count");
const DURATION: HeaderName = HeaderName::from_static("x-oklog-duration");

pub(super) async fn get(shared: Arc<Shared>, request: Request, scope: Scope) -> Result<Response, ApiError> {
    let began = Instant::now();
    let node = oklog(&shared)?;
    let params = Params(request.head.uri.query().unwrap_or_default());
    let range = params.range(shared.backend.now_ms())?;
    let asked = params.asked(&request.caller)?;
    let mut survey = node.survey(range.low(), range.behind(), scope).await?;
    if survey.nodes == 0 {
        return Err(ApiError::new(ErrorKind::Unavailable, "no_stores", "no store nodes available"));
    }
    let mut response = if request.head.method == Method::HEAD {
        if survey.errors == 0 && node.lacks(range.low(), range.behind(), scope).await? {
            survey.errors = 1;
        }
        statistics(&survey)
    } else {
        records(&shared, node, &request.head, &asked, range, scope, survey.errors > 0).await?
    };
    if response.status() == StatusCode::PARTIAL_CONTENT {
        survey.errors = survey.errors.max(1);
    }
    tell(response.headers_mut(), &asked, range, &survey);
    insert(response.headers_mut(), DURATION, go::format_duration(began.elapsed()).as_bytes());
    Ok(response)
}

/// An answer that is its head.
fn statistics(survey: &Survey) -> Response {
    let mut response = empty(if survey.errors > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(super::TEXT));
    response
}

/// Starts the query, and answers as soon as its head is known.
async fn records(
    shared: &Shared,
    node: &dyn Oklog,
    head: &Parts,
    asked: &Asked,
    range: Range,
    scope: Scope,
    partial: bool,
) -> Result<Response, ApiError> {
    let (from, to) = (range.low(), range.behind());
    let cancel = CancellationToken::new();
    let ask = QueryRequest {
        text: String::from_utf8_lossy(&asked.q).into_owned(),
        expr: asked.expr.clone(),
        stages: Vec::new(),
        from,
        to,
        limit: None,
        order: Order::Asc,
        context: Context::default(),
        cancel: cancel.clone(),
    };
    // Dropped with the answer, however that ends: a client that has gone is waited for by nobody.
    let guard = cancel.drop_guard();
    let mut started = match scope {
        Scope::Cluster => shared.backend.query(ask).await?,
        Scope::Node => node.query_here(ask).await?,
    };
    started.partial |= partial;
    let trailers = takes_trailers(head);
    let caller = asked.caller.clone();
    let shape = answer::Shape { format: Format::Oklog, range: (from, to), trailers, explained: None, caller };
    answer::stream(started, shape, guard).await
}

/// The statistics of an answer, as far as its head can have them.
fn tell(headers: &mut HeaderMap, asked: &Asked, range: Range, survey: &Survey) {
    insert(headers, FROM, rfc3339_s(range.from_ms).as_bytes());
    insert(headers, TO, rfc3339_s(range.to_ms).as_bytes());
    insert(headers, Q, &asked.q);
    insert(headers, REGEX, if asked.regex { b"true" } else { b"false" });
    let numbers = [
        (NODES, survey.nodes),
        (SEGMENTS, survey.segments),
        (BYTES, survey.bytes_max),
        (ERRORS, survey.errors),
    ];
    for (name, number) in numbers {
        headers.insert(name, HeaderValue::from(number));
    }
}

/// Sets a header of any bytes; those that no header can have become spaces.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    let clean = value.iter().map(|&byte| if byte < b' ' || byte == 0x7f { b' ' } else { byte });
    if let Ok(value) = HeaderValue::from_bytes(&clean.collect::<Vec<u8>>()) {
        headers.insert(name, value);
    }
}
