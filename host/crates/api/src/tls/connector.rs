//! How the client reaches a node: TCP, and TLS over it where the URL says so.

use std::error::Error;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use super::certificate::bare;
use super::{ClientTls, Stream, explain};

/// Connects.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: ClientTls,
    /// For each of the two.
    within: Duration,
}

/// A connection that did not come about. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody is there.
    #[error(transparent)]
    Tcp(Box<dyn Error + Send + Sync>),
    /// Somebody is there who is not believed, or does not believe us. In words for people.
    #[error("{0}")]
    Tls(String),
}

impl Connector {
    pub(crate) fn new(tls: ClientTls, within: Duration) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(within));
        Connector { tcp, tls, within }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx).map_err(|error| ConnectError::Tcp(error.into()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri.clone());
        let (tls, within) = (self.tls.clone(), self.within);
        Box::pin(async move {
            let tcp = connecting.await.map_err(|error| ConnectError::Tcp(error.into()))?.into_inner();
            if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
                return Ok(TokioIo::new(Stream::Plain(tcp)));
            }
            let secured = timeout(within, secure(tcp, &tls, uri.host().unwrap_or_default())).await;
            let stream = secured.unwrap_or_else(|_| {
                let why = format!("it did not answer the TLS handshake within {} s", within.as_secs());
                Err(ConnectError::Tls(why))
            })?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn secure(tcp: TcpStream, tls: &ClientTls, host: &str) -> Result<Stream, ConnectError> {
    let config = tls.config().map_err(ConnectError::Tls)?;
    let name = ServerName::try_from(bare(host).to_owned())
        .map_err(|_| ConnectError::Tls("no certificate can be for such a name".to_owned()))?;
    let connected = TlsConnector::from(config).connect(name, tcp).await;
    let stream = connected.map_err(|error: io::Error| ConnectError::Tls(explain::handshake(&error)))?;
    Ok(Stream::Tls(Box::new(stream.into())))
}
