//! The side that connects: whom it believes, and what it shows when it is asked.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ClientConfig;

use super::server::ALPN_HTTP;
use super::{Authorities, Identity, SetupError, provider};

/// Whom a client believes, and who it is itself.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Who must have issued the certificates of servers.
    pub authorities: Authorities,
    /// What is shown to servers that ask. `None`: nothing.
    pub identity: Option<Identity>,
}

type Load = Box<dyn Fn() -> Result<Trust, String> + Send + Sync>;

/// TLS of all clients of a process. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct ClientTls(Arc<Clients>);

struct Clients {
    load: Load,
    in_force: Mutex<Option<Arc<ClientConfig>>>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl Default for ClientTls {
    /// Believes nobody.
    fn default() -> Self {
        ClientTls::new(|| Err("no certificate authority is trusted here".to_owned()))
    }
}

impl ClientTls {
    /// Believes whom `load` says, which is called when somebody connects by TLS for the first time, and again after an
    /// error. The error says why there is no trust, and what to do.
    pub fn new(load: impl Fn() -> Result<Trust, String> + Send + Sync + 'static) -> ClientTls {
        ClientTls(Arc::new(Clients { load: Box::new(load), in_force: Mutex::default() }))
    }

    /// From now on new connections go by this. Open ones stay.
    pub fn exchange(&self, trust: &Trust) -> Result<(), SetupError> {
        let new = config(trust)?;
        *self.0.in_force.lock() = Some(Arc::new(new));
        Ok(())
    }

    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut in_force = self.0.in_force.lock();
        if let Some(config) = &*in_force {
            return Ok(config.clone());
        }
        let trust = (self.0.load)()?;
        let new = Arc::new(config(&trust).map_err(|error| error.to_string())?);
        *in_force = Some(new.clone());
        Ok(new)
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, SetupError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| SetupError::new(&error))?
        .with_root_certificates(trust.authorities.store());
    let mut config = match &trust.identity {
        Some(identity) => builder.with_client_cert_resolver(identity.certified()),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_HTTP.to_vec()];
    Ok(config)
}
