//! Binding a TCP port and accepting on it: the same for HTTP and for lines.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;
use weir_record::limits;

/// An address that cannot be listened on. Nothing is bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}; {}", reason(source), advice(source))]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        _ => error.to_string(),
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the other process or choose another port",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "choose an address of this machine",
    }
}

/// Binds an address; port 0 takes a free one. Gives the listener and the address with its real port.
/// Connections that are accepted have TCP's keep-alive on. Must be called within a tokio runtime.
pub fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        let listener = socket.listen(limits::HTTP_BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source| BindError { address, source })
}

/// A failed accept is the fault of one client, or of the process having no descriptor left. The second
/// fails again at once, so the loop waits for some to come back.
pub async fn pause_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    sleep(Duration::from_millis(limits::HTTP_ACCEPT_PAUSE_MS)).await;
}
