//! Whether a request may be answered: the one place where that is decided for all routes, by their heads alone.
//!
//! Routes between nodes are decided where their bodies are read, for a signature covers these. So are questions that
//! another node has passed on: who asked there may be restricted to topics, which come in a parameter that is signed
//! with the rest.

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

use super::node::check_signed;
use super::pass_on::MARK;
use super::{Needs, Request};
use crate::access::{Caller, Topics};
use crate::auth;
use crate::error::{ApiError, ErrorKind};
use crate::params;
use crate::server::{HeldBody, PeerAddress, Shared};

/// The parameter of a passed-on question that holds the topics of whoever asked, as JSON: a list of patterns. Given
/// several times, all must allow a topic.
const TOPICS: &str = "weir.topics=";

/// Lets a request in, with who asks.
pub(super) async fn enter(
    shared: &Shared,
    request: Request,
    needs: Needs,
    is_of_all: bool,
    body_bytes_max: usize,
) -> Result<Request, ApiError> {
    let Needs::Any(scopes) = needs else { return Ok(request) };
    let gate = shared.backend.gate();
    let is_passed_on = is_of_all && request.head.headers.contains_key(MARK);
    if is_passed_on && (gate.is_none() || is_signed(&request.head)) {
        return passed_on(shared, request, gate.is_some(), body_bytes_max).await;
    }
    let Some(gate) = gate else { return Ok(request) };
    let address = request.head.extensions.get::<PeerAddress>().map(|PeerAddress(ip)| *ip);
    // Every connection has one.
    let address = address.ok_or_else(|| ApiError::internal("a request without an address"))?;
    let caller = gate.admit(&request.head.headers, address, shared.backend.now_ms(), scopes)?;
    Ok(Request { caller, ..request })
}

/// Whether the request shows a signature, right or wrong.
fn is_signed(head: &Parts) -> bool {
    let shown = head.headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    shown.get(..auth::SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(auth::SCHEME.as_bytes()))
}

async fn passed_on(
    shared: &Shared,
    request: Request,
    must_be_signed: bool,
    body_bytes_max: usize,
) -> Result<Request, ApiError> {
    let Request { mut head, mut body, .. } = request;
    if must_be_signed {
        let key = shared.backend.peer().and_then(|peer| peer.cluster_key());
        let key = key.ok_or_else(|| {
            ApiError::new(
                ErrorKind::Unauthorized,
                "no_cluster_key",
                "this node has no cluster key to check with",
            )
            .hint("give all nodes the same cluster.key_file")
        })?;
        let HeldBody { bytes, share } = check_signed(shared, key, &head, body, body_bytes_max).await?;
        // Counted once more when the route reads it.
        drop(share);
        body = Body::from(bytes);
    }
    let caller = Caller::restricted(take_topics(&mut head)?);
    Ok(Request { head, body, caller })
}

/// A path with the topics that whoever asked is restricted to.
pub(super) fn with_topics(path: &str, caller: &Caller) -> Result<String, ApiError> {
    let mut path = path.to_owned();
    for list in caller.topics().lists() {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(TOPICS);
        let list = serde_json::to_string(&list).map_err(|error| ApiError::internal(error.to_string()))?;
        params::encode(&mut path, &list);
    }
    Ok(path)
}

/// Takes them out of the URL again.
fn take_topics(head: &mut Parts) -> Result<Topics, ApiError> {
    let Some(query) = head.uri.query() else { return Ok(Topics::default()) };
    let (ours, theirs): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with(TOPICS));
    if ours.is_empty() {
        return Ok(Topics::default());
    }
    let bad = |why: String| ApiError::bad_request("bad_parameter", format!("weir.topics: {why}"));
    let mut topics = Topics::default();
    for pair in ours {
        let list = params::decode_bytes(&pair[TOPICS.len()..]);
        let list: Vec<String> = serde_json::from_slice(&list).map_err(|error| bad(error.to_string()))?;
        let list = Topics::parse(list.iter().map(String::as_str)).map_err(|error| bad(error.to_string()))?;
        topics = topics.and(list);
    }
    let path = format!("{}?{}", head.uri.path(), theirs.join("&"));
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|error| bad(error.to_string()))?);
    head.uri = Uri::from_parts(parts).map_err(|error| bad(error.to_string()))?;
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_travel_in_the_url_and_leave_the_rest_of_it_alone() {
        let topics = Topics::parse(["a b&c=d", "shop-*"]).unwrap().and(Topics::parse(["é"]).unwrap());
        for (path, left) in [
            ("/api/v1/query?q=x%20y&limit=3", "q=x%20y&limit=3"),
            ("/api/v1/streams", ""),
            ("/store/query?regex", "regex"),
        ] {
            let passed = with_topics(path, &Caller::restricted(topics.clone())).unwrap();
            let mut head = http::Request::get(passed).body(()).unwrap().into_parts().0;
            assert_eq!(take_topics(&mut head).unwrap(), topics);
            assert_eq!(head.uri.query(), Some(left));
            assert_eq!(with_topics(path, &Caller::default()).unwrap(), path);
        }
        for bad in [
            "weir.topics=",
            "weir.topics=[]",
            "weir.topics=[1]",
            "weir.topics=%22a%22",
            "weir.topics=[%22a*b%22]",
        ] {
            let mut head = http::Request::get(format!("/x?{bad}")).body(()).unwrap().into_parts().0;
            assert_eq!(take_topics(&mut head).unwrap_err().code(), "bad_parameter", "{bad}");
        }
    }
}
