//! A streamed answer: frames as they come, heartbeats between, and an end that says how it ended.

use std::collections::VecDeque;
use std::future::Future;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{HEARTBEAT, stopping};
use crate::error::{ApiError, ErrorKind};
use crate::server::{BodyError, Response};
use crate::wire::peer::frame::{self, Kind};
use crate::wire::peer::{Failure, Part, SearchEnd, part};

/// An answer under way: what is still to be written.
struct Writing<P> {
    /// Frames of the last part.
    ready: VecDeque<Bytes>,
    parts: mpsc::Receiver<P>,
    /// `None` once the end has been written.
    done: Option<BoxFuture<'static, Result<SearchEnd, ApiError>>>,
    /// Ends the answer with an error.
    stopping: CancellationToken,
    /// Cancels the work when the body is dropped.
    _guard: DropGuard,
}

/// Sends parts as they come, then how it ended. The head goes out at once.
pub(super) fn answer<P: Part + Send + 'static>(
    parts: mpsc::Receiver<P>,
    done: impl Future<Output = Result<SearchEnd, ApiError>> + Send + 'static,
    stopping: CancellationToken,
    guard: DropGuard,
) -> Response {
    let done = Some(Box::pin(done) as BoxFuture<'static, _>);
    let writing = Writing { ready: VecDeque::new(), parts, done, stopping, _guard: guard };
    let body = unfold(writing, |mut writing| async move {
        let frame = writing.next().await?;
        Some((frame.map(Frame::data), writing))
    });
    let mut response = Response::new(Body::new(StreamBody::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(frame::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What happened while the answer waited.
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way through a function")]
enum Event<P> {
    Part(P),
    Ended(Result<SearchEnd, ApiError>),
}

impl<P: Part> Writing<P> {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(Ok(frame));
            }
            let done = self.done.as_mut()?;
            let event = async {
                tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => Event::Ended(Err(stopping())),
                    part = self.parts.recv() => match part {
                        Some(part) => Event::Part(part),
                        None => Event::Ended(done.await),
                    },
                }
            };
            match timeout(HEARTBEAT, event).await {
                Err(_) => return Some(Ok(part::bare_frame(Kind::Heartbeat))),
                Ok(Event::Part(part)) => match part.to_frames() {
                    Ok(frames) => self.ready = frames.into(),
                    Err(error) => return Some(self.end(Err(ApiError::internal(error.to_string())))),
                },
                Ok(Event::Ended(outcome)) => return Some(self.end(outcome)),
            }
        }
    }

    /// The last frame. Whatever cannot even be said cuts the connection.
    fn end(&mut self, outcome: Result<SearchEnd, ApiError>) -> Result<Bytes, BodyError> {
        self.done = None;
        let outcome = outcome.and_then(|end| end.to_frame().map_err(|e| ApiError::internal(e.to_string())));
        let frame = outcome.or_else(|error| {
            if error.kind() == ErrorKind::Internal {
                tracing::warn!(code = error.code(), %error, "an answer to another node ended early");
            }
            Failure::of(&error).to_frame()
        });
        frame.map_err(|error| BodyError(error.to_string()))
    }
}
