//! Live records, as they come in.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use weir_record::limits::TAIL_CLIENT_BYTES_MAX;

use super::ClientError;
use super::events::{Event, Events};
use crate::wire::GapBody;

/// What came. `resume` is the token to go on with behind it, at this node or at another one of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailItem {
    /// Records.
    Records {
        /// A JSON object a line, each with its newline; see [`RecordLine`](crate::wire::RecordLine).
        lines: Vec<u8>,
        /// Goes on behind the last of them.
        resume: String,
    },
    /// Records that will not come.
    Gap {
        /// How many, and why.
        gap: GapBody,
        /// Goes on behind them.
        resume: String,
    },
    /// Nothing that matches.
    Idle {
        /// Goes on behind what did not match.
        resume: String,
    },
}

/// Live records under way. Dropping it ends the tail at the node.
#[derive(Debug)]
pub struct TailBody {
    url: String,
    idle_timeout: Duration,
    body: Incoming,
    events: Events,
    /// Records since the last id: they are handed over with the next, so that none is taken twice.
    lines: Vec<u8>,
    items: VecDeque<TailItem>,
}

impl TailBody {
    pub(super) fn new(url: &str, idle_timeout: Duration, answer: http::Response<Incoming>) -> TailBody {
        TailBody {
            url: url.into(),
            idle_timeout,
            body: answer.into_body(),
            events: Events::default(),
            lines: Vec::new(),
            items: VecDeque::new(),
        }
    }

    /// What comes next; `None` when the node has ended the tail, for it stops. A node that is well is never
    /// silent for as long as the idle timeout.
    pub async fn next(&mut self) -> Result<Option<TailItem>, ClientError> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            let frame = timeout(self.idle_timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| ClientError::timeout(&self.url, self.idle_timeout))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| ClientError::broken(&self.url, &error))?;
            let Ok(data) = frame.into_data() else { continue };
            let mut came = Vec::new();
            self.events.push(&data, &mut |event| came.push(event)).map_err(|error| self.protocol(&error))?;
            for event in came {
                self.take(event)?;
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), ClientError> {
        if event.kind.is_empty() && !event.data.is_empty() {
            if self.lines.len() + event.data.len() > TAIL_CLIENT_BYTES_MAX {
                return Err(self.protocol(&"too many records without an id"));
            }
            self.lines.extend_from_slice(&event.data);
            self.lines.push(b'\n');
        }
        // Kinds that this version does not know count as nothing but their place.
        let gap = (event.kind == "gap").then(|| serde_json::from_slice::<GapBody>(&event.data));
        let gap = gap.transpose().map_err(|error| self.protocol(&error))?;
        let Some(resume) = event.id else { return Ok(()) };
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.items.push_back(TailItem::Records { lines, resume: resume.clone() });
        }
        match gap {
            Some(gap) => self.items.push_back(TailItem::Gap { gap, resume }),
            None if event.data.is_empty() => self.items.push_back(TailItem::Idle { resume }),
            None => {}
        }
        Ok(())
    }

    fn protocol(&self, reason: &impl ToString) -> ClientError {
        ClientError::Protocol { url: self.url.clone(), reason: reason.to_string() }
    }
}
