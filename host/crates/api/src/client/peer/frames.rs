//! The frames of an answer, as they come in.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use weir_record::limits::NODE_CHANGES_BYTES_MAX;

use crate::client::ClientError;
use crate::wire::peer::frame::{Frame, FrameBuffer, FrameError, Kind};
use crate::wire::peer::{Failure, PartError};

/// An answer in frames under way.
#[derive(Debug)]
pub(super) struct Frames {
    url: String,
    idle_timeout: Duration,
    body: Incoming,
    buffer: FrameBuffer,
    /// The last frame, once it has come.
    end: Option<Frame>,
}

impl Frames {
    pub(super) fn new(url: &str, idle_timeout: Duration, answer: http::Response<Incoming>) -> Frames {
        Frames {
            url: url.into(),
            idle_timeout,
            body: answer.into_body(),
            buffer: FrameBuffer::default(),
            end: None,
        }
    }

    /// The next frame; `None` after the last one. Heartbeats do not show; an error at the end of the answer is
    /// an error here, and so is an answer without an end. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, ClientError> {
        while self.end.is_none() {
            match self.buffer.take() {
                Ok(None) => {
                    if !self.fill().await? {
                        return Err(self.broken("it was cut off before its end"));
                    }
                }
                Ok(Some(frame)) => match frame.kind {
                    Kind::Heartbeat => {}
                    Kind::End => {
                        self.end = Some(frame);
                        self.finish().await?;
                    }
                    Kind::Error => return Err(self.failure(&frame)),
                    _ => return Ok(Some(frame)),
                },
                Err(error) => return Err(self.refuse(&error.into())),
            }
        }
        Ok(None)
    }

    /// The last frame. `None` before [`next`](Frames::next) has returned `None`.
    pub(super) fn end(&self) -> Option<&Frame> {
        self.end.as_ref()
    }

    /// Adds the bytes of a feed, as long as a feed may be.
    pub(super) fn add_changes(&self, changes: &mut Vec<u8>, frame: &Frame) -> Result<(), ClientError> {
        if frame.kind != Kind::Changes {
            return Err(self.refuse(&PartError::Kind(frame.kind)));
        }
        if changes.len() + frame.body.len() > NODE_CHANGES_BYTES_MAX {
            return Err(self.protocol(format!("a listing of more than {NODE_CHANGES_BYTES_MAX} bytes")));
        }
        changes.extend_from_slice(&frame.body);
        Ok(())
    }

    /// The error that a frame is which is not as it should be. Damage may be gone the next time, what is not
    /// understood stays so.
    pub(super) fn refuse(&self, error: &PartError) -> ClientError {
        match error {
            PartError::Frame(FrameError::Checksum { .. }) => self.broken(&error.to_string()),
            _ => self.protocol(error.to_string()),
        }
    }

    pub(super) fn protocol(&self, reason: String) -> ClientError {
        ClientError::Protocol { url: self.url.clone(), reason }
    }

    /// Reads more bytes; `false` at the end of the body.
    async fn fill(&mut self) -> Result<bool, ClientError> {
        let next = timeout(self.idle_timeout, self.body.frame()).await;
        let next = next.map_err(|_| ClientError::timeout(&self.url, self.idle_timeout))?;
        let Some(part) = next else { return Ok(false) };
        let part = part.map_err(|error| ClientError::broken(&self.url, &error))?;
        if let Ok(data) = part.into_data() {
            self.buffer.push(&data);
        }
        Ok(true)
    }

    /// Reads to the end of the body, which is there: so the connection can be used again.
    async fn finish(&mut self) -> Result<(), ClientError> {
        while self.buffer.is_empty() {
            if !self.fill().await? {
                return Ok(());
            }
        }
        Err(self.protocol("bytes follow the end of the answer".into()))
    }

    fn failure(&self, frame: &Frame) -> ClientError {
        match Failure::of_frame(frame) {
            Ok(Failure { status, retry_after_s, error }) => {
                ClientError::Refused { url: self.url.clone(), status, error, retry_after_s }
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn broken(&self, reason: &str) -> ClientError {
        ClientError::Broken { url: self.url.clone(), reason: reason.into() }
    }
}
