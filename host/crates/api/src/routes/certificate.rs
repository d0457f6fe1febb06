//! Which requests need a client certificate.

use http::request::Parts;

use crate::error::{ApiError, ErrorKind};
use crate::server::{Shared, ShownCertificate};

/// Where nodes, and stores of OK Log, ask: there records are handed out and taken away.
fn is_for_nodes(path: &str) -> bool {
    path.starts_with("/api/v1/node/") || path.starts_with("/ingest/") || path == "/store/replicate"
}

/// Refuses what is for nodes to clients that have shown no certificate of `tls.client_ca`, where there is one. That a
/// certificate is of that authority, the handshake has seen to.
pub(super) fn check(shared: &Shared, head: &Parts) -> Result<(), ApiError> {
    let shows = head.extensions.get() == Some(&ShownCertificate(true));
    let wanted = shared.options.tls.as_ref().is_some_and(crate::tls::ServerTls::nodes_show);
    if shows || !wanted || !is_for_nodes(head.uri.path()) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::Forbidden,
        "client_certificate",
        "this is for nodes that show a certificate of this node's tls.client_ca, and none was shown",
    )
    .hint("give the node that asks [tls] cert and key of that authority"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn what_nodes_ask_of_each_other_needs_a_certificate_and_nothing_else_does() {
        let guarded: Vec<_> = routes().map(|(path, _)| path).filter(|path| is_for_nodes(path)).collect();
        assert!(
            guarded.contains(&"/api/v1/node/info") && guarded.contains(&"/store/replicate"),
            "{guarded:?}"
        );
        for open in ["/api/v1/query", "/api/v1/ingest", "/store/query", "/store/stream", "/metrics", "/ui/"] {
            assert!(routes().any(|(path, _)| path == open) && !guarded.contains(&open), "{open}");
        }
        let consumers = ["/ingest/next", "/ingest/read", "/ingest/commit", "/ingest/failed"];
        assert!(consumers.iter().all(|path| guarded.contains(path)), "{guarded:?}");
    }
}
