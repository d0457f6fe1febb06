//! TLS on both sides of a connection: what the listeners show, and what clients believe.
//!
//! PEM texts come in as bytes: nothing here opens a file. Identities and authorities can be exchanged while
//! connections are open; those that are open stay as they are. Ring is the one provider of cryptography.

mod authorities;
mod certificate;
mod client;
mod connector;
mod explain;
mod failure;
mod identity;
mod line_stream;
mod server;
mod stream;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

pub use authorities::Authorities;
pub use certificate::Chain;
pub use client::{ClientTls, Trust};
pub(crate) use connector::{ConnectError, Connector};
pub(crate) use explain::refusal;
pub use failure::Failure;
pub use identity::{Identity, Key};
pub use line_stream::{LineRest, LineStream};
pub use server::{ClientCertificates, Port, ServerTls, ServerTlsOptions, Unsecured};
pub(crate) use stream::Stream;

/// Why a PEM text cannot be used. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// It is the binary form.
    #[error("it is DER; write it as PEM: openssl x509 -inform der -in FILE -out FILE.pem")]
    Der,
    /// Not what PEM looks like.
    #[error("it is no PEM that can be read: {0}; copy it again, whole")]
    Broken(String),
    /// Sections, and no certificate among them.
    #[error("there is no certificate in it{}; name a file with `-----BEGIN CERTIFICATE-----`", if *.has_key { ", but a private key" } else { "" })]
    NoCertificate {
        /// It looks as if two files were mixed up.
        has_key: bool,
    },
    /// One of the certificates is none.
    #[error("certificate {number} in it cannot be used: {why}; issue it anew")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// Sections, and no key among them.
    #[error("there is no private key in it{}; name a file with `-----BEGIN PRIVATE KEY-----`", if *.has_certificate { ", but a certificate" } else { "" })]
    NoKey {
        /// It looks as if two files were mixed up.
        has_certificate: bool,
    },
    /// A passphrase would be needed, and nobody is there to type it.
    #[error(
        "the key is encrypted; write it without a passphrase, readable by the node alone: openssl pkey -in FILE -out FILE.plain"
    )]
    Encrypted,
    /// Of a kind that is not known.
    #[error("the key cannot be used: {0}; use RSA of 2048 bits or more, ECDSA P-256, P-384 or Ed25519")]
    Key(String),
    /// Of two different pairs.
    #[error("the key does not match the certificate; name the key that the certificate was issued for")]
    Mismatch,
}

/// What was taken together and does not work: a defect in most cases, as its parts were checked before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub struct SetupError(String);

impl SetupError {
    fn new(error: &impl ToString) -> SetupError {
        SetupError(error.to_string())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whether a text has a section whose name ends so.
fn has_section(pem: &[u8], name: &str) -> bool {
    memchr::memmem::find(pem, format!("{name}-----").as_bytes()).is_some()
}

/// A certificate in its binary form begins with a sequence of two bytes of length.
fn is_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x82])
}

#[cfg(test)]
mod tests;
