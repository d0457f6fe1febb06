//! The client of a node's API: what the command line and the forward role speak through.
//!
//! One [`Client`] is one node. It keeps connections, bounds every wait, and repeats nothing by itself:
//! whether a request may be sent again is told by the error ([`ClientError::is_retryable`],
//! [`ClientError::maybe_done`]), and decided by the caller.

mod base;
mod error;
mod events;
mod oklog;
mod peer;
mod query;
mod tail;

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use weir_record::{Batch, Stream, limits};

use crate::access::Secret;
use crate::backend::Durability;
use crate::error::{ErrorBody, ErrorEnvelope};
use crate::params;
use crate::wire::{
    ClusterAnswer, FilterAdded, ForgetAnswer, HistogramBody, IngestAnswer, JobAnswer, PluginInfo,
    PluginsAnswer, StreamsAnswer, batch,
};
use base::Base;

pub use error::ClientError;
pub use oklog::OklogIngester;
pub(crate) use peer::PassedOn;
pub use peer::{OriginBody, PeerClient, SearchBody, TailBody as PeerTailBody};
pub use query::{QueryBody, QueryEnd, QueryParams};
pub use tail::{TailBody, TailItem};
pub use weir_query::{Context, Order};

/// Bounds of a client. The defaults are those of [`weir_record::limits`].
#[derive(Debug, Clone, Copy)]
pub struct ClientOptions {
    /// Time in which the node must be reached.
    pub connect_timeout: Duration,
    /// Longest wait for the next byte of an answer.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            connect_timeout: Duration::from_millis(limits::HTTP_CLIENT_CONNECT_TIMEOUT_MS),
            idle_timeout: Duration::from_millis(limits::HTTP_CLIENT_IDLE_TIMEOUT_MS),
        }
    }
}

/// What the lines of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lines {
    /// Any bytes.
    #[default]
    Text,
    /// JSON values; the node checks.
    Ndjson,
}

/// Where records go and how far.
#[derive(Debug, Clone)]
pub struct IngestParams<'a> {
    /// The stream of all lines.
    pub stream: &'a Stream,
    /// How far they must come.
    pub durability: Durability,
    /// What the lines are.
    pub lines: Lines,
    /// Makes a repeat recognisable; see `Idempotency-Key`.
    pub key: Option<&'a str>,
}

/// What a node's clock said in an answer, good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeTime {
    /// Unix milliseconds, of whole seconds.
    pub ms: u64,
    /// When the answer was there.
    pub read_at: Instant,
}

/// A node, as seen from outside. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: Base,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    options: ClientOptions,
    time: Arc<Mutex<Option<NodeTime>>>,
    token: Option<HeaderValue>,
}

type Header = (HeaderName, HeaderValue);

impl Client {
    /// A client of the node at a URL such as `http://host:7650`. Connects at the first request.
    pub fn new(url: &str, options: ClientOptions) -> Result<Client, ClientError> {
        let base = Base::parse(url)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(limits::HTTP_CLIENT_POOL_MS_MAX))
            .build(connector);
        Ok(Client { base, http, options, time: Arc::default(), token: None })
    }

    /// The same client, which shows a token with every request.
    #[must_use]
    pub fn with_token(mut self, secret: &Secret) -> Client {
        self.token = secret.to_header();
        self
    }

    /// The URL of the node.
    pub fn url(&self) -> &str {
        self.base.url()
    }

    /// What the node's clock said in the last answer that had a date. `None` before the first.
    pub fn node_time(&self) -> Option<NodeTime> {
        *self.time.lock()
    }

    /// Starts a query. The answer comes in chunks; see [`QueryBody`].
    pub async fn query(&self, params: &QueryParams) -> Result<QueryBody, ClientError> {
        let form = (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        // A node sends trailers only to clients that say they read them.
        let trailers = (http::header::TE, HeaderValue::from_static("trailers"));
        let body = params.to_form();
        let answer = self.send(Method::POST, "/api/v1/query", [form, trailers], body.into()).await?;
        Ok(QueryBody::new(self.url(), self.options.idle_timeout, params.format, answer))
    }

    /// Starts to receive live records; with a token, from where an earlier tail was. They come in events; see
    /// [`TailBody`].
    pub async fn tail(&self, q: &str, resume: Option<&str>) -> Result<TailBody, ClientError> {
        let path = with_params("/api/v1/tail", &[("q", Some(q)), ("resume", resume)]);
        let answer = self.send(Method::GET, &path, [], Bytes::new()).await?;
        Ok(TailBody::new(self.url(), self.options.idle_timeout, answer))
    }

    /// Counts records over time. Times are sent as they were written.
    pub async fn histogram(
        &self,
        q: &str,
        from: Option<&str>,
        to: Option<&str>,
        buckets: usize,
    ) -> Result<HistogramBody, ClientError> {
        let buckets = buckets.to_string();
        let params = [("q", Some(q)), ("from", from), ("to", to), ("buckets", Some(buckets.as_str()))];
        let path = with_params("/api/v1/histogram", &params);
        let answer = self.send(Method::GET, &path, [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// Sends lines. `Ok` means that they are as durable as was asked for.
    pub async fn ingest_text(
        &self,
        to: &IngestParams<'_>,
        body: impl Into<Bytes>,
    ) -> Result<IngestAnswer, ClientError> {
        let mut path = String::from("/api/v1/ingest?topic=");
        params::encode(&mut path, to.stream.topic());
        for (name, value) in to.stream.labels() {
            path.push_str("&label.");
            params::encode(&mut path, name);
            path.push('=');
            params::encode(&mut path, value);
        }
        path.push_str("&durability=");
        path.push_str(to.durability.name());
        let content_type = match to.lines {
            Lines::Text => "text/plain",
            Lines::Ndjson => "application/x-ndjson",
        };
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        if let Some(key) = to.key {
            let value =
                HeaderValue::from_str(key).map_err(|_| self.protocol(&"the key is no header value"))?;
            headers.push((HeaderName::from_static("idempotency-key"), value));
        }
        let answer = self.send(Method::POST, &path, headers, body.into()).await?;
        self.json(answer).await
    }

    /// Sends batches whose ids are made. `Ok` means that they are as durable as was asked for.
    pub async fn ingest_batches(
        &self,
        sent_at_ms: u64,
        batches: &[Batch],
        durability: Durability,
    ) -> Result<IngestAnswer, ClientError> {
        let path = format!("/api/v1/ingest?durability={}", durability.name());
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(batch::CONTENT_TYPE))];
        let body = batch::encode(sent_at_ms, batches);
        let answer = self.send(Method::POST, &path, headers, body.into()).await?;
        self.json(answer).await
    }

    /// The streams that the node knows, and which of its peers it could not ask.
    pub async fn streams(&self) -> Result<StreamsAnswer, ClientError> {
        let answer = self.send(Method::GET, "/api/v1/streams", [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// The plugins that the node has loaded.
    pub async fn plugins(&self) -> Result<Vec<PluginInfo>, ClientError> {
        let answer = self.send(Method::GET, "/api/v1/plugins", [], Bytes::new()).await?;
        Ok(self.json::<PluginsAnswer>(answer).await?.plugins)
    }

    /// Sends a component for queries: a pipe then names it by its digest. Waits until it is compiled.
    pub async fn add_filter(&self, name: &str, component: Bytes) -> Result<FilterAdded, ClientError> {
        let path = with_params("/api/v1/filters", &[("name", Some(name))]);
        let wasm = (CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
        let patience = self.options.idle_timeout + Duration::from_millis(limits::FILTER_COMPILE_MS_MAX);
        let answer = self.send_within(patience, Method::POST, &path, [wasm], component).await?;
        self.json(answer).await
    }

    /// The members of the cluster, as the node sees them.
    pub async fn cluster(&self) -> Result<ClusterAnswer, ClientError> {
        let answer = self.send(Method::GET, "/api/v1/cluster", [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// Has a member forgotten, named by its id or by the URL of its API; with `force` although it answers.
    pub async fn forget(&self, member: &str, force: bool) -> Result<ForgetAnswer, ClientError> {
        let mut path = "/api/v1/cluster/forget?node=".to_owned();
        params::encode(&mut path, member);
        path.push_str(if force { "&force=true" } else { "" });
        let answer = self.send(Method::POST, &path, [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// Has a member emptied, named by its id or by the URL of its API; with `cancel` no more.
    pub async fn drain(&self, member: &str, cancel: bool) -> Result<JobAnswer, ClientError> {
        let mut path = "/api/v1/cluster/drain?node=".to_owned();
        params::encode(&mut path, member);
        path.push_str(if cancel { "&cancel=true" } else { "" });
        let answer = self.send(Method::POST, &path, [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// Has all stores make now the copies that are lacking.
    pub async fn repair(&self) -> Result<JobAnswer, ClientError> {
        let answer = self.send(Method::POST, "/api/v1/cluster/repair", [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// Has all stores take and give what belongs to them and to others; with `cancel` no more.
    pub async fn rebalance(&self, cancel: bool) -> Result<JobAnswer, ClientError> {
        let path = if cancel { "/api/v1/cluster/rebalance?cancel=true" } else { "/api/v1/cluster/rebalance" };
        let answer = self.send(Method::POST, path, [], Bytes::new()).await?;
        self.json(answer).await
    }

    /// `Ok` when the node takes requests.
    pub async fn ready(&self) -> Result<(), ClientError> {
        let answer = self.send(Method::GET, "/-/ready", [], Bytes::new()).await?;
        self.collect(answer).await.map(drop)
    }

    /// Sends a request and returns an answer that is no error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: impl IntoIterator<Item = Header>,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, ClientError> {
        self.send_within(self.options.idle_timeout, method, path, headers, body).await
    }

    /// The same with a time of its own in which the head of the answer must come.
    async fn send_within(
        &self,
        head_timeout: Duration,
        method: Method,
        path: &str,
        headers: impl IntoIterator<Item = Header>,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.base.join(path)?;
        request.headers_mut().extend(headers);
        request.headers_mut().extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        let sent = timeout(head_timeout, self.http.request(request)).await;
        let answer = sent
            .map_err(|_| ClientError::timeout(self.url(), head_timeout))?
            .map_err(|error| ClientError::of_request(self.url(), &error))?;
        self.read_time(&answer);
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.parse().ok());
        let bytes = self.collect(answer).await?;
        let error = match serde_json::from_slice::<ErrorEnvelope>(&bytes) {
            Ok(envelope) => envelope.error,
            // Not a node: a proxy, or another server on that port.
            Err(_) => ErrorBody {
                code: "no_envelope".into(),
                message: match first_line(&bytes) {
                    Some(line) => format!("it says {line:?}"),
                    None => "it does not say why".to_owned(),
                },
                hint: Some("check that the URL is that of a weir node".into()),
                column: None,
            },
        };
        Err(ClientError::Refused { url: self.url().into(), status: status.as_u16(), error, retry_after_s })
    }

    fn read_time(&self, answer: &http::Response<Incoming>) {
        let date = answer.headers().get(DATE).and_then(|value| value.to_str().ok());
        let time = date.and_then(|text| httpdate::parse_http_date(text).ok());
        if let Some(since) = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            let read = NodeTime { ms: since.as_millis() as u64, read_at: Instant::now() };
            *self.time.lock() = Some(read);
        }
    }

    async fn collect(&self, answer: http::Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(answer.into_body(), limits::HTTP_CLIENT_ANSWER_BYTES_MAX).collect();
        let collected = timeout(self.options.idle_timeout, body).await;
        collected
            .map_err(|_| ClientError::timeout(self.url(), self.options.idle_timeout))?
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| ClientError::broken(self.url(), &*error))
    }

    async fn json<T: DeserializeOwned>(&self, answer: http::Response<Incoming>) -> Result<T, ClientError> {
        let bytes = self.collect(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.protocol(&error))
    }

    fn protocol(&self, reason: &impl ToString) -> ClientError {
        ClientError::Protocol { url: self.url().into(), reason: reason.to_string() }
    }
}

/// The first line of a text, cut where it is long.
fn first_line(text: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(text).lines().next()?.trim().chars().take(200).collect::<String>();
    (!line.is_empty()).then_some(line)
}

/// A path and those parameters that have a value.
fn with_params(path: &str, params: &[(&str, Option<&str>)]) -> String {
    let mut out = path.to_owned();
    for (number, (name, value)) in params.iter().filter_map(|(n, v)| Some((n, (*v)?))).enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        params::encode(&mut out, value);
    }
    out
}
