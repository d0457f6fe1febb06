//! An answer to a query, as it comes in.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use weir_query::{Context, Order};

use super::ClientError;
use crate::error::{ErrorBody, ErrorEnvelope};
use crate::format::Format;
use crate::params;
use crate::wire::{QueryStats, StatsLine, trailer};

/// Longest last line that is looked at: an answer ends with its statistics, not with a record.
const LAST_LINE_BYTES_MAX: usize = 1 << 20;

/// What to ask. Times are sent as they were written: the node knows the forms, and its clock is what counts.
#[derive(Debug, Clone, Default)]
pub struct QueryParams {
    /// The query.
    pub q: String,
    /// The older end of the range.
    pub from: Option<String>,
    /// The newer end of the range, exclusive.
    pub to: Option<String>,
    /// At most so many records.
    pub limit: Option<u64>,
    /// Oldest or newest first.
    pub order: Order,
    /// Records of the stream before and after each hit.
    pub context: Context,
    /// The shape of the answer.
    pub format: Format,
    /// Whether the query is explained, and run without sending what it finds: in JSON lines, a
    /// [`ExplainLine`](crate::wire::ExplainLine) and the statistics.
    pub explain: bool,
}

impl QueryParams {
    pub(super) fn to_form(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        let order = match self.order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        };
        let count = |count: usize| (count > 0).then(|| count.to_string());
        let (before, after) = (count(self.context.before), count(self.context.after));
        let pairs = [
            ("q", Some(self.q.as_str())),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("limit", limit.as_deref()),
            ("order", Some(order)),
            ("before", before.as_deref()),
            ("after", after.as_deref()),
            ("format", Some(self.format.name())),
            ("explain", self.explain.then_some("1")),
        ];
        let mut form = String::new();
        for (name, value) in pairs {
            let Some(value) = value else { continue };
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(name);
            form.push('=');
            params::encode(&mut form, value);
        }
        form
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryEnd {
    /// Whether nothing is missing.
    pub complete: bool,
    /// What the query looked at, and what is missing; `None` when it failed.
    pub stats: Option<QueryStats>,
    /// Why it was cut short.
    pub error: Option<ErrorBody>,
}

/// An answer under way. Dropping it cancels the query at the node.
#[derive(Debug)]
pub struct QueryBody {
    url: String,
    idle_timeout: Duration,
    format: Format,
    body: Incoming,
    last_line: LastLine,
    trailers: HeaderMap,
    ended: bool,
}

impl QueryBody {
    pub(super) fn new(
        url: &str,
        idle_timeout: Duration,
        format: Format,
        answer: http::Response<Incoming>,
    ) -> QueryBody {
        QueryBody {
            url: url.into(),
            idle_timeout,
            format,
            body: answer.into_body(),
            last_line: LastLine::default(),
            trailers: HeaderMap::new(),
            ended: false,
        }
    }

    /// The next bytes, cut anywhere; `None` at the end. An answer in JSON lines has its statistics among
    /// them, as its last line.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while !self.ended {
            let frame = timeout(self.idle_timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| ClientError::timeout(&self.url, self.idle_timeout))?;
            let Some(frame) = frame else {
                self.ended = true;
                break;
            };
            let frame = frame.map_err(|error| ClientError::broken(&self.url, &error))?;
            match frame.into_data() {
                Ok(data) => {
                    if self.format == Format::Ndjson {
                        self.last_line.push(&data);
                    }
                    return Ok(Some(data));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers = trailers;
                    }
                }
            }
        }
        Ok(None)
    }

    /// How the answer ended. Asked before [`next`](QueryBody::next) has returned `None`, or of an answer
    /// that does not say, this is an error.
    pub fn end(&self) -> Result<QueryEnd, ClientError> {
        let unknown = || ClientError::Protocol {
            url: self.url.clone(),
            reason: "the answer does not say whether it is complete".into(),
        };
        if !self.ended {
            return Err(unknown());
        }
        let (stats, error) = match self.format {
            Format::Ndjson => (
                self.last_line.parse::<StatsLine>().map(|line| line.stats),
                self.last_line.parse::<ErrorEnvelope>(),
            ),
            Format::Text | Format::Oklog => (self.trailer(&trailer::STATS), self.trailer(&trailer::ERROR)),
        };
        if stats.is_none() && error.is_none() {
            return Err(unknown());
        }
        let complete = error.is_none() && stats.as_ref().is_some_and(|stats| stats.complete);
        Ok(QueryEnd { complete, stats, error: error.map(|envelope| envelope.error) })
    }

    fn trailer<T: DeserializeOwned>(&self, name: &HeaderName) -> Option<T> {
        serde_json::from_slice(self.trailers.get(name)?.as_bytes()).ok()
    }
}

/// The last line of what has gone by.
#[derive(Debug, Default)]
struct LastLine {
    bytes: Vec<u8>,
}

impl LastLine {
    fn push(&mut self, chunk: &[u8]) {
        if self.bytes.ends_with(b"\n") && !chunk.is_empty() {
            self.bytes.clear();
        }
        // A newline at the very end ends the last line, it does not begin another one.
        let inner = chunk.len().saturating_sub(1);
        let rest = match memchr::memrchr(b'\n', &chunk[..inner]) {
            Some(newline) => {
                self.bytes.clear();
                &chunk[newline + 1..]
            }
            None => chunk,
        };
        // What is too long is no statistics; its beginning is enough to not parse.
        let room = LAST_LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&rest[..rest.len().min(room)]);
        if rest.len() > room && rest.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_line_is_found_however_the_answer_is_cut(
            text in "[ab\\n]{0,40}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let mut last = LastLine::default();
            at.windows(2).for_each(|pair| last.push(&text.as_bytes()[pair[0]..pair[1]]));
            let expected = text.split_inclusive('\n').next_back().unwrap_or_default();
            prop_assert_eq!(String::from_utf8(last.bytes).unwrap(), expected);
        }
    }

    #[test]
    fn parameters_become_a_form() {
        let params = QueryParams {
            q: "a b&c".into(),
            from: Some("1h".into()),
            limit: Some(5),
            order: Order::Desc,
            format: Format::Text,
            ..QueryParams::default()
        };
        assert_eq!(params.to_form(), "q=a%20b%26c&from=1h&limit=5&order=desc&format=text");
    }
}
