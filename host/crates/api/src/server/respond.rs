//! Answers and their bodies.

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tokio::net::TcpStream;

use super::connections::Refusal;
use crate::auth;
use crate::error::{ApiError, ErrorKind};

pub(crate) use axum::response::Response;

/// Why a body ended early. That cuts the connection, so that no client takes half an answer for a whole one.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut: {0}")]
pub(crate) struct BodyError(pub(crate) String);

/// An answer of bytes.
pub(crate) fn full(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
    let mut bytes = serde_json::to_vec(body).map_err(|error| ApiError::internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(full(status, "application/json", bytes))
}

/// The answer that an error is.
pub(crate) fn failed(error: &ApiError, allow: Option<&str>) -> Response {
    let status = error.kind().status();
    let mut response =
        json(status, &error.envelope()).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR));
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let challenge = match error.kind() {
        ErrorKind::Unauthorized => Some(auth::SCHEME),
        ErrorKind::NoToken => Some("Bearer"),
        _ => None,
    };
    headers.extend(challenge.map(|scheme| (WWW_AUTHENTICATE, HeaderValue::from_static(scheme))));
    if let Some(allow) = allow.and_then(|methods| HeaderValue::from_str(methods).ok()) {
        headers.insert(ALLOW, allow);
    }
    response
}

/// Adds what every answer carries.
pub(crate) fn secure(response: &mut Response) {
    // Logs are full of markup; no browser shall guess that an answer is a page.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Tells a client in one write that its connection is one too many. Never waits: a full socket buffer on a
/// new connection means a client that would not have read it.
pub(crate) fn refuse(stream: &TcpStream, refusal: Refusal) {
    let body = format!(
        "{{\"error\":{{\"code\":\"too_many_connections\",\"message\":\"{refusal}\",\"hint\":\"close some, or come again later\"}}}}\n"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.try_write(answer.as_bytes());
}
