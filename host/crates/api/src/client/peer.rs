//! The client of another node of the cluster. Requests are signed with the cluster key; see [`crate::auth`].
//!
//! As with [`Client`], nothing is repeated by itself: [`ClientError::is_retryable`] says whether the same may
//! succeed later, [`ClientError::is_gone`] that it never will and must be planned anew, and every request may
//! be repeated. Dropping a future or an answer cancels what it asked for.

mod answers;
mod frames;

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_record::limits;

use super::{Client, ClientError, ClientOptions};
use crate::auth::{Message, Signer};
use crate::backend::OfferedFilter;
use crate::params;
use crate::wire::peer::frame::Kind;
use crate::wire::peer::{
    ChangesRequest, ConfirmAnswer, ConfirmRequest, Confirmed, FailedRequest, HoldsAnswer, HoldsRequest, Job,
    JobRequest, NamesRequest, NodeInfo, OriginRequest, PlanAnswer, PlanRequest, ReleaseRequest,
    SearchRequest, SnapshotToken, TailRequest,
};
use crate::wire::{StreamInfo, StreamsAnswer};
pub use answers::{OriginBody, SearchBody, TailBody};
use frames::Frames;

/// Another node. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct PeerClient {
    client: Client,
    signer: Option<Signer>,
}

impl ClientOptions {
    /// Bounds for clients of other nodes, which send heartbeats and so are never silent for long.
    pub fn of_peers() -> ClientOptions {
        let idle_timeout = Duration::from_millis(limits::NODE_SILENCE_MS_MAX);
        ClientOptions { idle_timeout, ..ClientOptions::default() }
    }
}

/// A question as somebody has put it to another node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassedOn<'a> {
    pub(crate) method: &'a Method,
    /// With its parameters.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

impl PeerClient {
    /// A client of the node at a URL. Connects at the first request. Without a signer only nodes on the
    /// same machine answer, and only those that have no key either.
    pub fn new(url: &str, signer: Option<Signer>, options: ClientOptions) -> Result<PeerClient, ClientError> {
        Ok(PeerClient { client: Client::new(url, options)?, signer })
    }

    /// The URL of the node.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Has the node answer as if it had been asked itself: whatever it says is the answer, a refusal, too. The head of it
    /// must come as soon as [`ClientOptions::default`] has it; the rest has no bound of its own.
    pub(crate) async fn pass_on(
        &self,
        question: PassedOn<'_>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(question.body.clone()));
        request.method_mut().clone_from(question.method);
        *request.uri_mut() = self.client.base.join(question.path)?;
        request.headers_mut().clone_from(question.headers);
        let message =
            Message { method: question.method.as_str(), target: question.path, body: question.body };
        request.headers_mut().extend(self.signature(message)?);
        let head_timeout = ClientOptions::default().idle_timeout;
        let sent = tokio::time::timeout(head_timeout, self.client.http.request(request)).await;
        sent.map_err(|_| ClientError::timeout(self.url(), head_timeout))?
            .map_err(|error| ClientError::of_request(self.url(), &error))
    }

    /// Who the node is.
    pub async fn info(&self) -> Result<NodeInfo, ClientError> {
        let answer = self.ask(Method::GET, "info", &Sent::NOTHING, Duration::ZERO).await?;
        self.client.json(answer).await
    }

    /// The streams of what the node holds itself.
    pub async fn streams(&self) -> Result<Vec<StreamInfo>, ClientError> {
        let answer = self.ask(Method::GET, "streams", &Sent::NOTHING, Duration::ZERO).await?;
        Ok(self.client.json::<StreamsAnswer>(answer).await?.streams)
    }

    /// What has changed in what the node holds, as bytes of its feed. Waits for news as long as is asked for.
    pub async fn changes(&self, request: ChangesRequest) -> Result<Bytes, ClientError> {
        let wait = Duration::from_millis(request.wait_ms.min(limits::NODE_WAIT_MS_MAX));
        let answer = self.ask(Method::POST, "changes", &self.json_body(&request)?, wait).await?;
        self.feed(answer).await
    }

    /// The origins of some units of its store by name, as bytes of the feed: a page of them.
    pub async fn names(&self, request: &NamesRequest) -> Result<Bytes, ClientError> {
        let answer = self.ask(Method::POST, "names", &self.json_body(request)?, Duration::ZERO).await?;
        self.feed(answer).await
    }

    async fn feed(&self, answer: http::Response<Incoming>) -> Result<Bytes, ClientError> {
        let mut frames = self.frames(answer);
        let mut changes = Vec::new();
        while let Some(frame) = frames.next().await? {
            frames.add_changes(&mut changes, &frame)?;
        }
        Ok(changes.into())
    }

    /// Takes an origin; one of the backlog is claimed by that. [`ClientError::is_gone`] when it is not there any more.
    pub async fn origin(&self, request: &OriginRequest) -> Result<OriginBody, ClientError> {
        let OriginRequest { place, origin, store } = request;
        let route = format!("origin?name={origin}&store={store:016x}&place={place}");
        let answer = self.ask(Method::GET, &route, &Sent::NOTHING, Duration::ZERO).await?;
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let bytes = length.and_then(|text| text.parse().ok());
        let bytes = bytes.ok_or_else(|| self.client.protocol(&"an origin without Content-Length"))?;
        if bytes > limits::NODE_ORIGIN_BYTES_MAX {
            return Err(self.client.protocol(&format!("an origin of {bytes} bytes is too large")));
        }
        Ok(OriginBody::new(self.url(), self.client.options.idle_timeout, bytes, answer))
    }

    /// Tells what the store keeps: one outcome per origin, in order.
    pub async fn confirm(&self, request: &ConfirmRequest) -> Result<Vec<Confirmed>, ClientError> {
        let body = self.json_body(request)?;
        let answer: ConfirmAnswer = self.ask_json("confirm", &body).await?;
        if answer.outcomes.len() != request.origins.len() {
            let reason = format!("{} outcomes for {} origins", answer.outcomes.len(), request.origins.len());
            return Err(self.client.protocol(&reason));
        }
        Ok(answer.outcomes)
    }

    /// Which copies may be counted on there: one word per origin, in order.
    pub async fn holds(&self, request: &HoldsRequest) -> Result<Vec<bool>, ClientError> {
        let body = self.json_body(request)?;
        let answer: HoldsAnswer = self.ask_json("holds", &body).await?;
        if answer.holds.len() != request.origins.len() {
            let reason = format!("{} words for {} origins", answer.holds.len(), request.origins.len());
            return Err(self.client.protocol(&reason));
        }
        Ok(answer.holds)
    }

    /// Tells what an operator wants of the node.
    pub async fn job(&self, job: Job) -> Result<(), ClientError> {
        let body = self.json_body(&JobRequest { job })?;
        let answer = self.ask(Method::POST, "job", &body, Duration::ZERO).await?;
        self.client.collect(answer).await.map(drop)
    }

    /// Tells that the store could not take an origin.
    pub async fn failed(&self, request: &FailedRequest) -> Result<(), ClientError> {
        let answer = self.ask(Method::POST, "failed", &self.json_body(request)?, Duration::ZERO).await?;
        self.client.collect(answer).await.map(drop)
    }

    /// Has the node make a snapshot and tell what is in it.
    pub async fn plan(&self, request: &PlanRequest) -> Result<PlanAnswer, ClientError> {
        let body = self.json_body(request)?;
        let mut frames = self.frames(self.ask(Method::POST, "plan", &body, Duration::ZERO).await?);
        let (mut plan, mut changes) = (None::<PlanAnswer>, Vec::new());
        while let Some(frame) = frames.next().await? {
            if frame.kind == Kind::Plan && plan.is_none() {
                plan = Some(PlanAnswer::of_frame(&frame).map_err(|error| frames.refuse(&error))?);
            } else {
                frames.add_changes(&mut changes, &frame)?;
            }
        }
        let plan = plan.ok_or_else(|| self.client.protocol(&"a plan without its first frame"))?;
        Ok(PlanAnswer { changes: changes.into(), ..plan })
    }

    /// Searches a snapshot. [`ClientError::is_gone`] when it is not kept any more. A request that is larger
    /// than a node takes is refused here; ask for less at once.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchBody, ClientError> {
        let body = request.encode();
        if body.len() > limits::NODE_REQUEST_BYTES_MAX {
            let reason = format!("a search of {} bytes is more than a node takes", body.len());
            return Err(self.client.protocol(&reason));
        }
        let body = Sent { content_type: Some("application/vnd.weir.search"), bytes: body.into() };
        let answer = self.ask(Method::POST, "search", &body, Duration::ZERO).await?;
        Ok(SearchBody::new(self.frames(answer)))
    }

    /// Sends a component that a stage of a search is to run there. Waits until it is compiled.
    pub async fn offer(&self, offered: &OfferedFilter) -> Result<(), ClientError> {
        let mut route = format!("filter?name={}", offered.name);
        if let Some(signature) = &offered.signature {
            route.push_str("&signature=");
            params::encode(&mut route, signature);
        }
        let body = Sent { content_type: Some("application/wasm"), bytes: offered.component.clone() };
        let wait = Duration::from_millis(limits::FILTER_COMPILE_MS_MAX);
        let answer = self.ask(Method::POST, &route, &body, wait).await?;
        self.client.collect(answer).await.map(drop)
    }

    /// Tells that a snapshot is needed no more.
    pub async fn release(&self, snapshot: SnapshotToken) -> Result<(), ClientError> {
        let body = self.json_body(&ReleaseRequest { snapshot })?;
        let answer = self.ask(Method::POST, "release", &body, Duration::ZERO).await?;
        self.client.collect(answer).await.map(drop)
    }

    /// Has the node send records as they arrive.
    pub async fn tail(&self, request: &TailRequest) -> Result<TailBody, ClientError> {
        let answer = self.ask(Method::POST, "tail", &self.json_body(request)?, Duration::ZERO).await?;
        Ok(TailBody::new(self.frames(answer)))
    }

    async fn ask_json<T: DeserializeOwned>(&self, route: &str, body: &Sent) -> Result<T, ClientError> {
        let answer = self.ask(Method::POST, route, body, Duration::ZERO).await?;
        self.client.json(answer).await
    }

    /// Signs and sends a request; gives an answer that is no error, whose head may take `wait` longer than
    /// usual.
    async fn ask(
        &self,
        method: Method,
        route: &str,
        sent: &Sent,
        wait: Duration,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let path = format!("/api/v1/node/{route}");
        let mut headers = Vec::with_capacity(2);
        if let Some(content_type) = sent.content_type {
            headers.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        }
        headers.extend(self.signature(Message {
            method: method.as_str(),
            target: &path,
            body: &sent.bytes,
        })?);
        let head_timeout = self.client.options.idle_timeout + wait;
        self.client.send_within(head_timeout, method, &path, headers, sent.bytes.clone()).await
    }

    /// The signature of a request as a header, where there is a key to sign with.
    fn signature(&self, message: Message<'_>) -> Result<Option<(HeaderName, HeaderValue)>, ClientError> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let value = HeaderValue::try_from(signer.sign(message).to_string());
        let mut value = value.map_err(|error| self.client.protocol(&error))?;
        value.set_sensitive(true);
        Ok(Some((AUTHORIZATION, value)))
    }

    fn frames(&self, answer: http::Response<Incoming>) -> Frames {
        Frames::new(self.url(), self.client.options.idle_timeout, answer)
    }

    fn json_body(&self, value: &impl Serialize) -> Result<Sent, ClientError> {
        let bytes = serde_json::to_vec(value).map_err(|error| self.client.protocol(&error))?;
        Ok(Sent { content_type: Some("application/json"), bytes: bytes.into() })
    }
}

/// The body of a request.
struct Sent {
    content_type: Option<&'static str>,
    bytes: Bytes,
}

impl Sent {
    const NOTHING: Sent = Sent { content_type: None, bytes: Bytes::new() };
}
