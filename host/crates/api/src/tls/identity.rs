//! A certificate with its key: what a node shows to clients and to other nodes.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject as _};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::certificate::broken;
use super::{Chain, PemError, has_section};

/// A private key.
pub struct Key(PrivateKeyDer<'static>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The first of a PEM text: PKCS #8, PKCS #1 or SEC1.
    pub fn parse(pem: &[u8]) -> Result<Key, PemError> {
        match PrivateKeyDer::from_pem_slice(pem) {
            Ok(key) => Ok(Key(key)),
            // What OpenSSL writes of old, with the cipher in the section's head.
            Err(_) if has_section(pem, "ENCRYPTED PRIVATE KEY") || is_enciphered(pem) => {
                Err(PemError::Encrypted)
            }
            Err(Error::NoItemsFound) => {
                Err(PemError::NoKey { has_certificate: has_section(pem, "CERTIFICATE") })
            }
            Err(error) => Err(broken(&error)),
        }
    }
}

fn is_enciphered(pem: &[u8]) -> bool {
    memchr::memmem::find(pem, b"Proc-Type: 4,ENCRYPTED").is_some()
}

/// A certificate and the key that belongs to it. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    chain: Chain,
    certified: Arc<SingleCertAndKey>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.chain.names()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Of both, if they belong together.
    pub fn new(chain: Chain, key: &Key) -> Result<Identity, PemError> {
        let key = any_supported_type(&key.0).map_err(|error| PemError::Key(error.to_string()))?;
        let certified = CertifiedKey::new(chain.certificates().to_vec(), key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(PemError::Mismatch),
        }
        Ok(Identity { chain, certified: Arc::new(SingleCertAndKey::from(certified)) })
    }

    /// The certificate.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn certified(&self) -> Arc<SingleCertAndKey> {
        self.certified.clone()
    }
}
