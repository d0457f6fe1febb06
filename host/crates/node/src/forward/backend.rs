//! What a process that only forwards answers over HTTP: its metrics, its plugins, and whether it is ready.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use weir_api::access::Gate;
use weir_api::backend::{
    ApiError, Backend, Durability, ErrorKind, HistogramAnswer, HistogramRequest, IngestRequest, Ingested,
    PluginInfo, QueryAnswer, QueryRequest, Reloaded, StreamsAnswer, TailAnswer, TailRequest,
};
use weir_api::{BindError, Server, ServerOptions};

use crate::clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::reload::Reloader;
use crate::sources::Sources;

/// Binds the address of the API, where one is wanted.
pub(crate) fn bind(config: &Config) -> Result<Option<Server>, BindError> {
    config.listen.api.map(|api| Server::bind(api, ServerOptions::default())).transpose()
}

/// Answers there until the process stops.
pub(crate) fn serve(
    server: Option<Server>,
    gate: Option<Arc<Gate>>,
    sources: &Arc<Sources>,
    reloader: &Arc<Reloader>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) {
    let Some(server) = server else { return };
    // Where it was asked for it is told, although a forwarder is else silent.
    eprintln!("listening on http://{}", server.address());
    let backend = ForwardBackend {
        gate,
        sources: sources.clone(),
        reloader: reloader.clone(),
        metrics: metrics.clone(),
    };
    tokio::spawn(server.serve(Arc::new(backend), stop.clone()));
}

/// A forwarder, as the server sees it.
struct ForwardBackend {
    gate: Option<Arc<Gate>>,
    sources: Arc<Sources>,
    reloader: Arc<Reloader>,
    metrics: Arc<Metrics>,
}

impl Backend for ForwardBackend {
    fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    fn ingest(&self, _request: IngestRequest) -> BoxFuture<'_, Result<Ingested, ApiError>> {
        Box::pin(async { Err(elsewhere()) })
    }

    fn query(&self, _request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        Box::pin(async { Err(elsewhere()) })
    }

    fn tail(&self, _request: TailRequest) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        Box::pin(async { Err(elsewhere()) })
    }

    fn histogram(&self, _request: HistogramRequest) -> BoxFuture<'_, Result<HistogramAnswer, ApiError>> {
        Box::pin(async { Err(elsewhere()) })
    }

    fn streams(&self) -> BoxFuture<'_, Result<StreamsAnswer, ApiError>> {
        Box::pin(async { Err(elsewhere()) })
    }

    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginInfo>, ApiError>> {
        Box::pin(async move { Ok(self.sources.plugins()) })
    }

    fn metrics(&self) -> String {
        self.sources.refresh();
        self.metrics.text()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ApiError>> {
        self.reloader.asked()
    }

    fn durability_max(&self) -> Durability {
        Durability::Replicated
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
}

fn elsewhere() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "only_forwards", "this process only forwards and keeps no records")
        .hint("ask the nodes that it ships to")
}
