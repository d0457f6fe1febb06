//! The beginning of a connection: TLS where the server has it, and a word for clients that do not speak it.

use tokio::net::TcpStream;

use super::{Shared, linger, respond};
use crate::tls::{Port, Stream, Unsecured};

/// Whether the client has shown a certificate, as an extension of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShownCertificate(pub(crate) bool);

/// The connection as it is spoken on. `None`: nothing comes of it.
pub(super) async fn secured(shared: &Shared, stream: TcpStream) -> Option<(Stream, ShownCertificate)> {
    let Some(tls) = &shared.options.tls else {
        return Some((Stream::Plain(stream), ShownCertificate(false)));
    };
    let accepting = tls.accept(stream, Port::Api, shared.options.head_timeout);
    match shared.stopping.run_until_cancelled(accepting).await? {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates().is_some_and(|shown| !shown.is_empty());
            Some((Stream::Tls(Box::new(stream.into())), ShownCertificate(shown)))
        }
        Err(Unsecured::Plain(stream)) => {
            respond::speak_tls(&stream);
            linger(stream).await;
            None
        }
        Err(Unsecured::Failed(_)) => None,
    }
}
