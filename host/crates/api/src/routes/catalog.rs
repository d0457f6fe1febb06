//! What the node knows of: `/api/v1/streams` and `/api/v1/plugins`.

use std::sync::Arc;

use http::StatusCode;

use super::Request;
use crate::error::ApiError;
use crate::server::{Response, Shared, json};
use crate::wire::PluginsAnswer;

pub(super) async fn streams(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &shared.backend.streams().await?)
}

pub(super) async fn plugins(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &PluginsAnswer { plugins: shared.backend.plugins().await? })
}
