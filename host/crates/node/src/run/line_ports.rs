//! The ports for lines.

use weir_api::tls::ServerTls;

use super::RunError;
use crate::config::Listen;
use crate::tcp_lines::{LinePort, Mode};

/// Binds the ports for lines that are not turned off.
pub(super) fn line_ports(listen: Listen, tls: Option<&ServerTls>) -> Result<Vec<LinePort>, RunError> {
    let wanted = [
        (Mode::Fast, listen.fast, listen.fast_if_free),
        (Mode::Durable, listen.durable, listen.durable_if_free),
    ];
    let mut ports = Vec::new();
    for (mode, address, if_free) in wanted {
        let Some(address) = address else { continue };
        match LinePort::bind(mode, address, tls.cloned()) {
            Ok(port) => ports.push(port),
            Err(error) if if_free => {
                tracing::warn!(%error, "no port for lines: this node goes on without it, as it was not asked for");
            }
            Err(source) => return Err(RunError::Lines { port: mode.name(), source }),
        }
    }
    Ok(ports)
}
