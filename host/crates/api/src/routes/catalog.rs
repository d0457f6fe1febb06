//! What the node knows of: `/api/v1/streams` and `/api/v1/plugins`, and `/api/v1/filters`, which adds to it.

use std::sync::Arc;

use http::StatusCode;

use weir_record::limits::PLUGIN_FILE_BYTES_MAX;

use super::Request;
use crate::backend::OfferedFilter;
use crate::error::ApiError;
use crate::params::Params;
use crate::server::{Response, Shared, json, read_body};
use crate::wire::PluginsAnswer;

pub(super) async fn streams(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    let mut answer = shared.backend.streams().await?;
    answer.streams.retain(|stream| request.caller.topics().allows(&stream.topic));
    json(StatusCode::OK, &answer)
}

pub(super) async fn plugins(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &PluginsAnswer { plugins: shared.backend.plugins().await? })
}

pub(super) async fn add_filter(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let name = filter_name(&mut params)?;
    params.finish(&["name"])?;
    let Request { head, body, .. } = request;
    let body = read_body(&shared, &head.headers, body, PLUGIN_FILE_BYTES_MAX).await?;
    let offered = OfferedFilter { name, component: body.bytes.clone(), signature: None };
    json(StatusCode::OK, &shared.backend.add_filter(offered).await?)
}

/// What a component is to be called.
pub(super) fn filter_name(params: &mut Params) -> Result<String, ApiError> {
    let name = params.take("name")?.unwrap_or_else(|| "sent".to_owned());
    if OfferedFilter::is_name(&name) {
        return Ok(name);
    }
    Err(ApiError::bad_request("bad_parameter", "name is the name of a filter: letters, digits, - and _"))
}
