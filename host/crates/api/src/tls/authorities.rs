//! Certificates that others are believed by.

use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::PemError;
use super::certificate::certificates;

/// A set of authorities. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// Those of a PEM text; at least one.
    pub fn parse(pem: &[u8]) -> Result<Authorities, PemError> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
            let number = index + 1;
            store
                .add(certificate)
                .map_err(|error| PemError::Certificate { number, why: error.to_string() })?;
        }
        Ok(Authorities(Arc::new(store)))
    }

    /// Those that can be used of a system's, which may be none.
    pub fn of_system(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Authorities {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        Authorities(Arc::new(store))
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Authorities) -> Authorities {
        let mut store = RootCertStore::clone(&self.0);
        store.roots.extend(others.0.roots.iter().cloned());
        Authorities(Arc::new(store))
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        self.0.clone()
    }
}
