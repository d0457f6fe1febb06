//! The members of the cluster: `/api/v1/cluster`, and what an operator does to them.

use http::StatusCode;

use super::Request;
use crate::backend::Cluster;
use crate::error::{ApiError, ErrorKind};
use crate::server::{Response, Shared, json};
use crate::wire::ForgetAnswer;

pub(super) fn members(shared: &Shared, request: &Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &cluster(shared)?.members())
}

pub(super) fn forget(shared: &Shared, request: &Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let node = params.take("node")?.ok_or_else(|| {
        ApiError::bad_request("bad_parameter", "parameter node is missing")
            .hint("name the node by its id, or by the URL of its API: GET /api/v1/cluster has both")
    })?;
    let force = match params.take("force")?.as_deref() {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(_) => return Err(ApiError::bad_request("bad_parameter", "force is true or false")),
    };
    params.finish(&["node", "force"])?;
    let forgotten = cluster(shared)?.forget(&node, force)?;
    json(StatusCode::OK, &ForgetAnswer { forgotten: format!("{forgotten:016x}") })
}

fn cluster(shared: &Shared) -> Result<&dyn Cluster, ApiError> {
    shared.backend.cluster().ok_or_else(|| {
        ApiError::new(ErrorKind::NotFound, "no_cluster", "this process has no part in a cluster")
            .hint("ask a node with one of the roles ingest, store and query")
    })
}
