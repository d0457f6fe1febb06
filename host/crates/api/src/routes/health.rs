//! How the node does: `/metrics`, `/-/healthy`, `/-/ready`, and `/-/reload`. As Prometheus does, the
//! parameters of these are ignored: probes and scrapers add some.

use std::sync::Arc;

use http::StatusCode;

use super::Request;
use crate::error::{ApiError, ErrorKind};
use crate::server::{Response, Shared, full};

const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn metrics(shared: &Shared) -> Response {
    let mut text = shared.backend.metrics();
    shared.counters.render(&mut text, shared.connections.tally());
    full(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// The process lives, whatever else is wrong: it answers.
pub(super) fn healthy() -> Response {
    full(StatusCode::OK, TEXT, "healthy\n")
}

pub(super) fn ready(shared: &Shared) -> Result<Response, ApiError> {
    match shared.backend.ready() {
        Ok(()) => Ok(full(StatusCode::OK, TEXT, "ready\n")),
        Err(why) => Err(ApiError::new(ErrorKind::Unavailable, "not_ready", why)),
    }
}

pub(super) async fn reload(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    let reloaded = shared.backend.reload().await?;
    Ok(full(StatusCode::OK, TEXT, format!("{reloaded}\n")))
}
