//! `POST /api/v1/snapshot?name=`: a consistent copy of what the node keeps, beside it on its disk.

use std::sync::Arc;

use http::StatusCode;

use super::Request;
use crate::error::ApiError;
use crate::server::{Response, Shared, json};

pub(super) async fn post(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let name = params.take("name")?.ok_or_else(|| {
        ApiError::bad_request("bad_parameter", "parameter name is missing")
            .hint("name the snapshot, such as name=nightly: it becomes a folder in the node's data directory")
    })?;
    params.finish(&["name"])?;
    json(StatusCode::OK, &shared.backend.snapshot(name).await?)
}
