//! The side that is connected to: shows a certificate, and asks for one where it shall.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};
use weir_record::limits;

use super::{Authorities, Failure, Identity, SetupError, provider};

/// What HTTP over TLS is called in the handshake.
pub(super) const ALPN_HTTP: &[u8] = b"http/1.1";
/// What lines over TLS are called. No client has to say it; but a browser, which says something else, cannot be made
/// to write its requests into the log.
const ALPN_LINES: &[u8] = b"weir-lines";
/// The first byte of every client that speaks TLS.
const HANDSHAKE_RECORD: u8 = 0x16;

/// A kind of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// HTTP.
    Api,
    /// Lines that wait for nothing.
    Fast,
    /// Lines that wait for the disk.
    Durable,
}

impl Port {
    /// As configuration and metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Port::Api => "api",
            Port::Fast => "fast",
            Port::Durable => "durable",
        }
    }
}

/// Whose certificates clients may show.
#[derive(Debug, Clone)]
pub struct ClientCertificates {
    /// Who must have issued them.
    pub authorities: Authorities,
    /// Whether every client has to show one; else only those that ask what is for nodes.
    pub of_all: bool,
}

impl ClientCertificates {
    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
        let builder = WebPkiClientVerifier::builder_with_provider(self.authorities.store(), provider());
        let builder = if self.of_all { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| SetupError::new(&error))
    }
}

/// What the listeners of a process show and ask for.
#[derive(Debug, Clone)]
pub struct ServerTlsOptions {
    /// The certificate.
    pub identity: Identity,
    /// `None`: clients are not asked for any.
    pub clients: Option<ClientCertificates>,
}

/// TLS of all listeners of a process. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct ServerTls(Arc<Listeners>);

struct Listeners {
    in_force: RwLock<InForce>,
    on_failure: Box<dyn Fn(Port, Failure) + Send + Sync>,
}

struct InForce {
    http: Arc<ServerConfig>,
    lines: Arc<ServerConfig>,
    nodes_show: bool,
}

/// A connection on which TLS is not spoken.
#[derive(Debug)]
pub enum Unsecured {
    /// The client does not speak TLS; nothing of what it said was read.
    Plain(TcpStream),
    /// The handshake failed, and the client was told.
    Failed(Failure),
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// With what is in force at first, and somebody who is told of handshakes that fail.
    pub fn new(
        options: &ServerTlsOptions,
        on_failure: impl Fn(Port, Failure) + Send + Sync + 'static,
    ) -> Result<ServerTls, SetupError> {
        let in_force = RwLock::new(InForce::new(options)?);
        Ok(ServerTls(Arc::new(Listeners { in_force, on_failure: Box::new(on_failure) })))
    }

    /// From now on new connections see this. Open ones stay. After an error what was in force stays in force.
    pub fn exchange(&self, options: &ServerTlsOptions) -> Result<(), SetupError> {
        let new = InForce::new(options)?;
        *self.0.in_force.write() = new;
        Ok(())
    }

    /// Whether who asks what is for nodes has to have shown a certificate.
    pub(crate) fn nodes_show(&self) -> bool {
        self.0.in_force.read().nodes_show
    }

    /// Shakes hands with a client that has connected, within a time.
    pub async fn accept(
        &self,
        stream: TcpStream,
        port: Port,
        within: Duration,
    ) -> Result<TlsStream<TcpStream>, Unsecured> {
        let (failure, stream) = match timeout(within, self.shake(stream, port)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failed)) => failed,
            Err(_) => (Failure::Timeout, None),
        };
        tracing::debug!(port = port.name(), reason = failure.name(), "a TLS handshake failed");
        (self.0.on_failure)(port, failure);
        match stream {
            Some(stream) if failure == Failure::NotTls => return Err(Unsecured::Plain(stream)),
            Some(mut stream) => {
                // The alert says why; a socket that is closed with unread bytes would take it back.
                let until_closed = async {
                    stream.shutdown().await?;
                    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
                };
                let _ = timeout(Duration::from_millis(limits::HTTP_LINGER_MS_MAX), until_closed).await;
            }
            None => {}
        }
        Err(Unsecured::Failed(failure))
    }

    /// A handshake that fails leaves the socket, if it is still of use.
    async fn shake(
        &self,
        stream: TcpStream,
        port: Port,
    ) -> Result<TlsStream<TcpStream>, (Failure, Option<TcpStream>)> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE_RECORD => {}
            Ok(1) => return Err((Failure::NotTls, Some(stream))),
            _ => return Err((Failure::Closed, None)),
        }
        let config = {
            let in_force = self.0.in_force.read();
            if port == Port::Api { in_force.http.clone() } else { in_force.lines.clone() }
        };
        TlsAcceptor::from(config).accept(stream).into_fallible().await.map_err(|(error, stream)| {
            tracing::debug!(port = port.name(), %error, "handshake");
            (Failure::of(&error), Some(stream))
        })
    }
}

impl InForce {
    fn new(options: &ServerTlsOptions) -> Result<InForce, SetupError> {
        let ServerTlsOptions { identity, clients } = options;
        let of_all = clients.as_ref().filter(|clients| clients.of_all);
        Ok(InForce {
            http: Arc::new(config(identity, clients.as_ref(), ALPN_HTTP)?),
            lines: Arc::new(config(identity, of_all, ALPN_LINES)?),
            nodes_show: clients.is_some(),
        })
    }
}

fn config(
    identity: &Identity,
    clients: Option<&ClientCertificates>,
    alpn: &[u8],
) -> Result<ServerConfig, SetupError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| SetupError::new(&error))?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier()?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(identity.certified());
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
