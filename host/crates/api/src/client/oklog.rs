//! The client of an ingester of OK Log, from which its stores take segments away.

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use weir_record::limits::{HTTP_BODY_BYTES_MAX, OKLOG_READ_MS_MAX};

use super::{Client, ClientError, ClientOptions};
use crate::oklog::ClaimId;

/// An ingester of OK Log. As with [`Client`], nothing is repeated by itself.
///
/// A claim that is neither committed nor failed lapses after a minute, and its segment is offered again.
#[derive(Debug, Clone)]
pub struct OklogIngester {
    client: Client,
}

impl OklogIngester {
    /// The ingester whose API is at a URL. Connects at the first request.
    pub fn new(url: &str, options: ClientOptions) -> Result<OklogIngester, ClientError> {
        Ok(OklogIngester { client: Client::new(url, options)? })
    }

    /// The URL of its API.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// `Ok` when there is an ingester: a server without these routes answers [`OklogIngester::next`] as one that has
    /// nothing.
    pub async fn is_there(&self) -> Result<(), ClientError> {
        let answer = self.client.send(Method::GET, "/ingest/_segmentstate", [], Bytes::new()).await?;
        self.client.collect(answer).await.map(drop)
    }

    /// Claims the oldest segment. `None` when it has none.
    pub async fn next(&self) -> Result<Option<ClaimId>, ClientError> {
        let answer = match self.client.send(Method::GET, "/ingest/next", [], Bytes::new()).await {
            Ok(answer) => answer,
            Err(ClientError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = self.client.collect(answer).await?;
        let claim = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        claim.map(Some).ok_or_else(|| self.client.protocol(&"a claim that is no UUID"))
    }

    /// The segment of a claim, which can be read once. At most [`HTTP_BODY_BYTES_MAX`] bytes; more is
    /// [`ClientError::Protocol`].
    pub async fn read(&self, claim: ClaimId) -> Result<Bytes, ClientError> {
        let within = Duration::from_millis(OKLOG_READ_MS_MAX);
        let until = Instant::now() + within;
        let late = |_| ClientError::timeout(self.url(), within);
        let path = format!("/ingest/read?id={claim}");
        let sent = self.client.send(Method::GET, &path, [], Bytes::new());
        let mut body = timeout_at(until, sent).await.map_err(late)??.into_body();
        let mut segment = BytesMut::new();
        while let Some(frame) = timeout_at(until, body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|error| ClientError::broken(self.url(), &error))?;
            let Ok(data) = frame.into_data() else { continue };
            if segment.len() + data.len() > HTTP_BODY_BYTES_MAX {
                let reason = format!("a segment of more than {HTTP_BODY_BYTES_MAX} bytes");
                return Err(self.client.protocol(&reason));
            }
            segment.extend_from_slice(&data);
        }
        Ok(segment.freeze())
    }

    /// Has the segment of a claim deleted. `false` when the claim has lapsed: the segment is offered again.
    pub async fn commit(&self, claim: ClaimId) -> Result<bool, ClientError> {
        self.tell("commit", claim).await
    }

    /// Gives the segment of a claim back: it is offered again at once. `false` when the claim has lapsed.
    pub async fn fail(&self, claim: ClaimId) -> Result<bool, ClientError> {
        self.tell("failed", claim).await
    }

    async fn tell(&self, what: &str, claim: ClaimId) -> Result<bool, ClientError> {
        let path = format!("/ingest/{what}?id={claim}");
        match self.client.send(Method::POST, &path, [], Bytes::new()).await {
            Ok(answer) => self.client.collect(answer).await.map(|_| true),
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
