//! The members of the cluster: `/api/v1/cluster`, and what an operator does to them.

use std::sync::Arc;

use http::StatusCode;

use super::Request;
use crate::backend::Cluster;
use crate::backend::peer::Job;
use crate::error::{ApiError, ErrorKind};
use crate::params::Params;
use crate::server::{Response, Shared, json};
use crate::wire::ForgetAnswer;

pub(super) fn members(shared: &Shared, request: &Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &cluster(shared)?.members())
}

pub(super) fn forget(shared: &Shared, request: &Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let node = node_of(&mut params)?;
    let force = flag(&mut params, "force")?;
    params.finish(&["node", "force"])?;
    let forgotten = cluster(shared)?.forget(&node, force)?;
    json(StatusCode::OK, &ForgetAnswer { forgotten: format!("{forgotten:016x}") })
}

pub(super) async fn drain(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let node = node_of(&mut params)?;
    let job = if flag(&mut params, "cancel")? { Job::CancelDrain } else { Job::Drain };
    params.finish(&["node", "cancel"])?;
    json(StatusCode::OK, &cluster(&shared)?.job(job, Some(&node)).await?)
}

pub(super) async fn repair(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    request.no_params()?;
    json(StatusCode::OK, &cluster(&shared)?.job(Job::Repair, None).await?)
}

pub(super) async fn rebalance(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let job = if flag(&mut params, "cancel")? { Job::CancelRebalance } else { Job::Rebalance };
    params.finish(&["cancel"])?;
    json(StatusCode::OK, &cluster(&shared)?.job(job, None).await?)
}

/// The node that is meant.
fn node_of(params: &mut Params) -> Result<String, ApiError> {
    params.take("node")?.ok_or_else(|| {
        ApiError::bad_request("bad_parameter", "parameter node is missing")
            .hint("name the node by its id, or by the URL of its API: GET /api/v1/cluster has both")
    })
}

/// A parameter that is there or not.
fn flag(params: &mut Params, name: &'static str) -> Result<bool, ApiError> {
    match params.take(name)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("" | "true") => Ok(true),
        Some(_) => Err(ApiError::bad_request("bad_parameter", format!("{name} is true or false"))),
    }
}

fn cluster(shared: &Shared) -> Result<&dyn Cluster, ApiError> {
    shared.backend.cluster().ok_or_else(|| {
        ApiError::new(ErrorKind::NotFound, "no_cluster", "this process has no part in a cluster")
            .hint("ask a node with one of the roles ingest, store and query")
    })
}
