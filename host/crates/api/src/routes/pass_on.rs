//! Questions about the records of all nodes that reach a node which answers none: it passes them on.
//!
//! What such a node holds itself is a part, and a part looks like a whole answer. Whoever asked sees no difference:
//! status, rows, trailer and even a cut connection are those of the node that answers.

use http::header::{CONNECTION, CONTENT_TYPE, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use axum::body::Body;

use super::Request;
use super::entrance::with_topics;
use crate::client::{ClientError, PassedOn, PeerClient};
use crate::error::{ApiError, ErrorKind};
use crate::server::{Response, Shared, read_body};

/// Says that a question was passed on, so that it is not passed on again.
pub(super) const MARK: HeaderName = HeaderName::from_static("weir-passed-on");
/// What of a request goes along.
const ALONG: [HeaderName; 2] = [CONTENT_TYPE, TE];

/// Has the first of these nodes that can be reached answer.
pub(super) async fn pass_on(
    shared: &Shared,
    nodes: &[PeerClient],
    request: Request,
    body_bytes_max: usize,
) -> Result<Response, ApiError> {
    let Request { head, body, caller } = request;
    if head.headers.contains_key(MARK) {
        // Roles have changed, and somebody has not heard of it yet.
        return Err(nobody("it was passed on by a node that took this one for one that answers"));
    }
    let body = read_body(shared, &head.headers, body, body_bytes_max).await?;
    let mut headers = HeaderMap::from_iter([(MARK, HeaderValue::from_static("1"))]);
    for name in ALONG {
        headers.extend(head.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = &with_topics(path, &caller)?;
    let mut why = "none of them is known".to_owned();
    for node in nodes {
        let question = PassedOn { method: &head.method, path, headers: &headers, body: &body.bytes };
        match node.pass_on(question).await {
            Ok(answer) => return Ok(answer_of(answer)),
            // It has not heard the question; another one may.
            Err(error @ ClientError::Connect { .. }) => why = error.to_string(),
            Err(error) => return Err(nobody(&error.to_string())),
        }
    }
    Err(nobody(&why))
}

fn nobody(why: &str) -> ApiError {
    let message =
        format!("this node does not answer for the cluster, and no node with the role query does: {why}");
    ApiError::new(ErrorKind::Unavailable, "no_query_node", message)
        .hint("start one, or give this node the role query")
}

/// The answer, without what concerns the connection that it came by.
fn answer_of(answer: http::Response<hyper::body::Incoming>) -> Response {
    let (mut head, body) = answer.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        head.headers.remove(name);
    }
    Response::from_parts(head, Body::new(body))
}
