//! Whether a request may be answered: the cluster key, or a machine of one's own.

use std::net::IpAddr;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::request::Parts;
use weir_record::limits;

use super::super::Request;
use crate::auth::{ClusterKey, Message, Refused, Signature};
use crate::backend::PeerBackend;
use crate::error::{ApiError, ErrorKind};
use crate::params::Params;
use crate::server::{HeldBody, PeerAddress, Shared, read_body};

/// A request that may be answered, its body read.
pub(super) struct Admitted<'a> {
    pub(super) peer: &'a dyn PeerBackend,
    pub(super) body: HeldBody,
    head: Parts,
}

impl Admitted<'_> {
    pub(super) fn params(&self) -> Result<Params, ApiError> {
        Params::parse(self.head.uri.query().unwrap_or_default())
    }

    pub(super) fn no_params(&self) -> Result<(), ApiError> {
        self.params()?.finish(&[])
    }
}

/// Reads a request and decides whether it may be answered. What can be refused by its head is refused before
/// its body is read.
pub(super) async fn admit(
    shared: &Shared,
    request: Request,
    body_bytes_max: usize,
) -> Result<Admitted<'_>, ApiError> {
    let Some(peer) = shared.backend.peer() else {
        return Err(ApiError::new(ErrorKind::NotFound, "no_cluster", "this node has no part in a cluster")
            .hint("routes under /api/v1/node/ are answered by nodes that have peers"));
    };
    let Request { head, body, .. } = request;
    let body = if let Some(key) = peer.cluster_key() {
        check_signed(shared, key, &head, body, body_bytes_max).await?
    } else {
        same_machine(shared, &head)?;
        read_body(shared, &head.headers, body, body_bytes_max).await?
    };
    Ok(Admitted { peer, body, head })
}

/// Reads a body, and decides whether the request is signed with the cluster key.
pub(in crate::routes) async fn check_signed(
    shared: &Shared,
    key: &ClusterKey,
    head: &Parts,
    body: Body,
    body_bytes_max: usize,
) -> Result<HeldBody, ApiError> {
    let signature = signature_of(head, shared.backend.now_ms())?;
    let body = read_body(shared, &head.headers, body, body_bytes_max).await?;
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let message = Message { method: head.method.as_str(), target, body: &body.bytes };
    if !key.verify(message, &signature) {
        return Err(unauthorized("bad_signature", "the request is not signed with this cluster's key")
            .hint("give all nodes the same cluster.key_file"));
    }
    take_once(shared, &signature)?;
    Ok(body)
}

/// The signature of a request, made at about this time.
fn signature_of(head: &Parts, now_ms: u64) -> Result<Signature, ApiError> {
    let header = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signature: Option<Signature> = header.and_then(|text| text.parse().ok());
    let signature = signature.ok_or_else(|| {
        unauthorized("unsigned", "requests between nodes are signed with the cluster key, this one is not")
            .hint("give the node that asks the same cluster.key_file")
    })?;
    let off_ms = now_ms.abs_diff(signature.time_ms);
    if off_ms > limits::NODE_CLOCK_OFF_MS_MAX {
        let side = if signature.time_ms < now_ms { "behind" } else { "ahead of" };
        return Err(unauthorized(
            "clock",
            format!(
                "the clock of the node that asks is {} s {side} this node's, which says {now_ms} ms",
                off_ms / 1000
            ),
        )
        .hint("set the clocks of all nodes by NTP"));
    }
    Ok(signature)
}

fn take_once(shared: &Shared, signature: &Signature) -> Result<(), ApiError> {
    let Signature { time_ms, nonce, .. } = *signature;
    shared.nonces.admit(shared.backend.now_ms(), time_ms, nonce).map_err(|refused| match refused {
        Refused::Replayed => unauthorized("replayed", "a request with this signature was answered before")
            .hint("sign each request anew"),
        Refused::Forgotten => ApiError::new(
            ErrorKind::TooMany,
            "signed_too_early",
            "the node has answered too many requests since this one was signed",
        )
        .hint("sign it anew and send it again; if that goes on, set the clocks of all nodes by NTP"),
    })
}

/// Without a key only processes on the same machine are answered, and only by a server that nobody else can
/// reach. Where tokens are asked for not even these: they would read and write what others need a token for.
fn same_machine(shared: &Shared, head: &Parts) -> Result<(), ApiError> {
    let from = head.extensions.get::<PeerAddress>().map(|PeerAddress(ip)| ip.to_canonical());
    let tokens = shared.backend.gate().is_some();
    if !tokens
        && from.as_ref().is_some_and(IpAddr::is_loopback)
        && shared.address.ip().to_canonical().is_loopback()
    {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::Forbidden,
        "no_cluster_key",
        if tokens {
            "a node that asks for tokens answers other nodes with a cluster key only"
        } else {
            "without a cluster key this node answers other nodes on loopback only"
        },
    )
    .hint("set cluster.key_file to the same key on every node, or listen on 127.0.0.1"))
}

fn unauthorized(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Unauthorized, code, message)
}
