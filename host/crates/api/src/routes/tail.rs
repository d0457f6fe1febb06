//! `GET /api/v1/tail`: live records as server-sent events, in order of arrival.
//!
//! Each record is an event of one line of JSON. The last record of those that are sent together carries the id: the
//! token with which a client that comes back (`Last-Event-ID`, as a browser's `EventSource` does by itself, or
//! `resume=`) goes on. A client that is cut off between two ids gets the records behind the first one again, with
//! the ids of records by which it knows them. Events named `gap` say what will not come; comments keep silent
//! connections open.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_query::Piped;
use weir_record::limits;

use super::Request;
use super::query::{piped, with_filters};
use crate::access::Caller;
use crate::backend::{TailEvent, TailRequest};
use crate::error::ApiError;
use crate::format::Format;
use crate::params::Params;
use crate::server::{BodyError, Response, Shared};
use crate::wire::GapBody;

const KNOWN: &[&str] = &["q", "filter", "resume"];
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells a proxy of a widespread kind not to collect what comes.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The first thing that is sent: a browser that loses the connection waits so long, in milliseconds. Also brings
/// the head out at once.
const HELLO: &[u8] = b"retry: 1000\n\n";
const HEARTBEAT: &[u8] = b":\n\n";

pub(super) async fn get(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let cancel = CancellationToken::new();
    let request = resolve(&request.head, request.params()?, &request.caller, &cancel)?;
    // Dropped with the body, when the client goes.
    let guard = cancel.drop_guard();
    let answer = shared.backend.tail(request).await?;
    let heartbeat = shared.options.tail_heartbeat;
    let sending = Sending { events: answer.events, heartbeat, hello: true, _guard: guard };
    let body = StreamBody::new(unfold(sending, |sending| async {
        let (chunk, sending) = sending.next().await?;
        Some((Ok::<_, BodyError>(Frame::data(chunk)), sending))
    }));
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What the request asks for. The header counts more than the parameter: a browser that comes back repeats the
/// URL of its first request.
fn resolve(
    head: &Parts,
    mut params: Params,
    caller: &Caller,
    cancel: &CancellationToken,
) -> Result<TailRequest, ApiError> {
    let text = with_filters(params.take("q")?.unwrap_or_default(), params.take("filter")?.as_deref());
    let resume = params.take("resume")?;
    params.finish(KNOWN)?;
    let token = head.headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
    let token = token.or(resume.as_deref().map(str::as_bytes)).filter(|token| !token.is_empty());
    let resume = token.map(decode).transpose()?;
    let Piped { expr, stages } = piped(&text, caller)?;
    Ok(TailRequest { text, expr, stages, resume, cancel: cancel.clone() })
}

fn decode(token: &[u8]) -> Result<Vec<u8>, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes.filter(|bytes| bytes.len() <= limits::TAIL_TOKEN_BYTES_MAX).ok_or_else(|| {
        ApiError::bad_request("bad_resume_token", "the resume token is none that a node gave")
            .hint("leave it out to begin with what arrives now")
    })
}

/// A tail under way.
struct Sending {
    events: BoxStream<'static, TailEvent>,
    heartbeat: Duration,
    /// Nothing has been sent yet.
    hello: bool,
    /// Ends the tail when the body is dropped.
    _guard: DropGuard,
}

impl Sending {
    async fn next(mut self) -> Option<(Bytes, Sending)> {
        if std::mem::take(&mut self.hello) {
            return Some((Bytes::from_static(HELLO), self));
        }
        match timeout(self.heartbeat, self.events.next()).await {
            Ok(event) => Some((write(&event?), self)),
            Err(_) => Some((Bytes::from_static(HEARTBEAT), self)),
        }
    }
}

/// An event of the node as lines of the protocol.
fn write(event: &TailEvent) -> Bytes {
    let mut out = Vec::new();
    let id = URL_SAFE_NO_PAD.encode(event.resume());
    match event {
        TailEvent::Rows { rows, .. } => {
            let mut lines = Vec::new();
            Format::Ndjson.write(rows, &mut lines);
            let count = rows.count();
            out.reserve(lines.len() + count * b"data: \n".len() + id.len() + b"id: \n".len());
            // JSON has no newline inside a line.
            for (number, line) in lines.split_inclusive(|&byte| byte == b'\n').enumerate() {
                if number + 1 == count {
                    push(&mut out, b"id: ", id.as_bytes());
                }
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        TailEvent::Gap { records, why, .. } => {
            let body = GapBody { records: *records, why: why.clone() };
            push(&mut out, b"id: ", id.as_bytes());
            push(&mut out, b"event: ", b"gap");
            push(&mut out, b"data: ", &serde_json::to_vec(&body).unwrap_or_default());
            out.push(b'\n');
        }
        // Without data it is no event; the client only remembers the id.
        TailEvent::Idle { .. } => {
            push(&mut out, b"id: ", id.as_bytes());
            out.push(b'\n');
        }
    }
    out.into()
}

fn push(out: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    out.extend_from_slice(field);
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use weir_query::Rows;
    use weir_record::{RecordId, Stream};

    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let builder =
            headers.iter().fold(http::Request::builder(), |b, (name, value)| b.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_header_of_a_client_that_comes_back_counts_more_than_its_url() {
        for (headers, params, expected) in [
            (&[][..], "q=a", Ok(None)),
            (&[], "resume=AQID", Ok(Some(vec![1, 2, 3]))),
            (&[("Last-Event-ID", "AgID")], "resume=AQID", Ok(Some(vec![2, 2, 3]))),
            (&[("Last-Event-ID", "")], "", Ok(None)),
            (&[("Last-Event-ID", "no token!")], "", Err("bad_resume_token")),
            (&[], "resume=%00", Err("bad_resume_token")),
            (&[], "from=1h", Err("unknown_parameter")),
            (&[], "q=(", Err("bad_query")),
        ] {
            let params = Params::parse(params).unwrap();
            let resolved = resolve(&head(headers), params, &Caller::default(), &CancellationToken::new());
            assert_eq!(resolved.map(|request| request.resume).map_err(|error| error.code()), expected);
        }
        let long = URL_SAFE_NO_PAD.encode(vec![0; limits::TAIL_TOKEN_BYTES_MAX + 1]);
        assert!(
            resolve(
                &head(&[("last-event-id", &long)]),
                Params::default(),
                &Caller::default(),
                &CancellationToken::new()
            )
            .is_err()
        );
    }

    #[test]
    fn each_record_is_an_event_and_the_last_of_a_chunk_has_the_id() {
        let mut rows = Rows::new();
        let stream = rows.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
        for payload in ["a\n\ndata: b", "c"] {
            rows.push(RecordId::from_parts(1_700_000_000_042, 7), stream, payload.as_bytes());
        }
        let resume = vec![1, 2, 3];
        let line = |payload: &str| {
            format!(
                "data: {{\"id\":\"01HF7YAT1A0000000000000007\",\"time\":\"2023-11-14T22:13:20.042Z\",\
                 \"topic\":\"t\",\"labels\":{{}},\"payload\":\"{payload}\"}}\n\n"
            )
        };
        for (event, expected) in [
            (
                TailEvent::Rows { rows, resume: resume.clone() },
                format!("{}id: AQID\n{}", line("a\\n\\ndata: b"), line("c")),
            ),
            (
                TailEvent::Gap { records: Some(5), why: "slow\nclient".into(), resume: resume.clone() },
                "id: AQID\nevent: gap\ndata: {\"records\":5,\"why\":\"slow\\nclient\"}\n\n".into(),
            ),
            (
                TailEvent::Gap { records: None, why: String::new(), resume: resume.clone() },
                "id: AQID\nevent: gap\ndata: {\"records\":null,\"why\":\"\"}\n\n".into(),
            ),
            (TailEvent::Idle { resume }, "id: AQID\n\n".into()),
        ] {
            assert_eq!(String::from_utf8(write(&event).to_vec()).unwrap(), expected);
        }
    }
}
