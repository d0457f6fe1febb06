//! `GET /store/stream` and `/store/_stream`: records as they arrive, for as long as the client listens.
//!
//! The head is sent at once. What one client does not take waits within bounds; what it missed because it was too
//! slow cannot be said in lines of records, so its connection is cut then: it knows, and connects again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_record::RecordId;

use super::params::Params;
use super::{Request, oklog};
use crate::backend::{TailEvent, TailRequest};
use crate::error::ApiError;
use crate::format::{push_escaped, push_id};
use crate::oklog::Window;
use crate::server::{BodyError, Response, Shared};

pub(super) async fn get(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    oklog(&shared)?;
    let params = Params(request.head.uri.query().unwrap_or_default());
    let asked = params.asked(&request.caller)?;
    let cancel = CancellationToken::new();
    let tail = TailRequest {
        text: String::from_utf8_lossy(&asked.q).into_owned(),
        expr: asked.expr,
        stages: Vec::new(),
        resume: None,
        cancel: cancel.clone(),
    };
    // Dropped with the answer, however that ends.
    let guard = cancel.drop_guard();
    let answer = shared.backend.tail(tail).await?;
    let streaming = Streaming {
        events: answer.events,
        window: Window::new(params.window_ms()),
        began: Instant::now(),
        state: State::Open,
        _guard: guard,
    };
    let mut response = Response::new(Body::from_stream(unfold(streaming, Streaming::next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(super::TEXT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A stream under way.
struct Streaming {
    events: BoxStream<'static, TailEvent>,
    window: Window,
    /// Zero of the window's clock.
    began: Instant,
    state: State,
    /// Cancels the tail when the body is dropped.
    _guard: DropGuard,
}

enum State {
    Open,
    /// Nothing comes any more.
    Ended,
    /// Records were missed: the connection is to be cut.
    Missed(String),
}

impl Streaming {
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Streaming)> {
        let mut lines = Vec::new();
        while matches!(self.state, State::Open) && lines.is_empty() {
            self.wait().await;
            let now_ms = self.now_ms();
            let push = |id, payload: &[u8]| push_line(&mut lines, id, payload);
            match self.state {
                State::Open => self.window.take(now_ms, push),
                // What is held is sent before the end.
                State::Ended | State::Missed(_) => self.window.finish(push),
            }
        }
        if !lines.is_empty() {
            return Some((Ok(lines.into()), self));
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Missed(why) => {
                // An error drops what the connection has not written yet; one turn lets it write the rows.
                tokio::task::yield_now().await;
                Some((Err(BodyError(why)), self))
            }
            State::Open | State::Ended => None,
        }
    }

    /// Until something happens, or something held is due.
    async fn wait(&mut self) {
        let due_ms = self.window.due_ms();
        let due = async {
            match due_ms {
                Some(due_ms) => {
                    sleep(Duration::from_millis(due_ms).saturating_sub(self.began.elapsed())).await;
                }
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = self.events.next() => event,
            () = due => return,
        };
        let now_ms = self.now_ms();
        match event {
            Some(TailEvent::Rows { rows, .. }) => {
                rows.iter().for_each(|row| self.window.push(now_ms, row.id, row.payload));
            }
            Some(TailEvent::Gap { why, .. }) => self.state = State::Missed(why),
            Some(TailEvent::Idle { .. }) => {}
            None => self.state = State::Ended,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn push_line(out: &mut Vec<u8>, id: RecordId, payload: &[u8]) {
    push_id(out, id);
    out.push(b' ');
    push_escaped(out, payload);
    out.push(b'\n');
}
