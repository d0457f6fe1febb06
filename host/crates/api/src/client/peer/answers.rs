//! Answers that stream. Dropping one cancels the work at the other node.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::frames::Frames;
use crate::client::ClientError;
use crate::wire::peer::rows::StreamCache;
use crate::wire::peer::{Part, SearchEnd, SearchPart, TailEvent};

/// An origin on its way.
#[derive(Debug)]
pub struct OriginBody {
    url: String,
    idle_timeout: Duration,
    bytes: u64,
    body: Incoming,
}

impl OriginBody {
    pub(super) fn new(
        url: &str,
        idle_timeout: Duration,
        bytes: u64,
        answer: http::Response<Incoming>,
    ) -> OriginBody {
        OriginBody { url: url.into(), idle_timeout, bytes, body: answer.into_body() }
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes, cut anywhere; `None` when as many have come as the file has. A file that is cut off is
    /// an error. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let next = timeout(self.idle_timeout, self.body.frame()).await;
            let next = next.map_err(|_| ClientError::timeout(&self.url, self.idle_timeout))?;
            let Some(part) = next else { return Ok(None) };
            let part = part.map_err(|error| ClientError::broken(&self.url, &error))?;
            if let Ok(data) = part.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// An answer to a search under way.
#[derive(Debug)]
pub struct SearchBody {
    frames: Frames,
    known: StreamCache,
}

impl SearchBody {
    pub(super) fn new(frames: Frames) -> SearchBody {
        SearchBody { frames, known: StreamCache::default() }
    }

    /// The next part; `None` at the end. An answer that is cut off, or that the node ended with an error, is
    /// an error: the parts that came are then some of what there is. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<SearchPart>, ClientError> {
        let Some(frame) = self.frames.next().await? else { return Ok(None) };
        SearchPart::of_frame(&frame, &mut self.known).map(Some).map_err(|error| self.frames.refuse(&error))
    }

    /// How the search ended. An error before [`next`](SearchBody::next) has returned `None`.
    pub fn end(&self) -> Result<SearchEnd, ClientError> {
        let frame = self.frames.end();
        let frame = frame.ok_or_else(|| self.frames.protocol("the search has not ended".into()))?;
        SearchEnd::of_frame(frame).map_err(|error| self.frames.refuse(&error))
    }
}

/// A tail under way.
#[derive(Debug)]
pub struct TailBody {
    frames: Frames,
    known: StreamCache,
}

impl TailBody {
    pub(super) fn new(frames: Frames) -> TailBody {
        TailBody { frames, known: StreamCache::default() }
    }

    /// What happens next. A tail ends only with an error: ask again, with the last position. May be dropped
    /// while it waits.
    pub async fn next(&mut self) -> Result<TailEvent, ClientError> {
        match self.frames.next().await? {
            Some(frame) => {
                TailEvent::of_frame(&frame, &mut self.known).map_err(|error| self.frames.refuse(&error))
            }
            None => Err(self.frames.protocol("a tail has no end".into())),
        }
    }
}
