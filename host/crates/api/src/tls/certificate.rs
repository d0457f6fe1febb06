//! What a certificate says: for whom it is, and how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authorities, ClientCertificates, PemError, has_section, is_der};

/// A certificate and those between it and its authority.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    begins_s: i64,
    ends_s: i64,
    is_authority: bool,
    names: Vec<String>,
}

impl Chain {
    /// Of a PEM text with the certificate first.
    pub fn parse(pem: &[u8]) -> Result<Chain, PemError> {
        let certificates = certificates(pem)?;
        for (index, certificate) in certificates.iter().enumerate() {
            ParsedCertificate::try_from(certificate)
                .map_err(|error| PemError::Certificate { number: index + 1, why: error.to_string() })?;
        }
        let Some(first) = certificates.first() else {
            return Err(PemError::NoCertificate { has_key: false });
        };
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|error| PemError::Certificate { number: 1, why: error.to_string() })?;
        let validity = parsed.validity();
        let (begins_s, ends_s) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let (is_authority, names) = (parsed.is_ca(), names(&parsed));
        Ok(Chain { certificates, begins_s, ends_s, is_authority, names })
    }

    /// From when it counts, in seconds of Unix time.
    pub fn begins_s(&self) -> i64 {
        self.begins_s
    }

    /// Until when it counts, in seconds of Unix time.
    pub fn ends_s(&self) -> i64 {
        self.ends_s
    }

    /// Whether it may issue others, and so is none for a server (`CA:TRUE`).
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// The hosts and addresses that it is for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it is for a host name or an IP address.
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(bare(host)) else { return false };
        let certificate = self.certificates.first().and_then(|first| ParsedCertificate::try_from(first).ok());
        certificate.is_some_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }

    /// Why a node with these authorities for clients would refuse it, at a time. `None`: it would not.
    pub fn refused_by(&self, authorities: &Authorities, now_s: u64) -> Option<String> {
        let clients = ClientCertificates { authorities: authorities.clone(), of_all: true };
        let verifier = match clients.verifier() {
            Ok(verifier) => verifier,
            Err(error) => return Some(error.to_string()),
        };
        let (first, between) = self.certificates.split_first()?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
        let refused = verifier.verify_client_cert(first, between, now).err()?;
        Some(super::explain::certificate(&refused))
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

/// All certificates of a PEM text, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    if is_der(pem) {
        return Err(PemError::Der);
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| broken(&error))?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate { has_key: has_section(pem, "PRIVATE KEY") });
    }
    Ok(certificates)
}

pub(super) fn broken(error: &Error) -> PemError {
    let why = match error {
        Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        Error::IllegalSectionStart { .. } => "a section has no right beginning".to_owned(),
        Error::Base64Decode(_) => "there is other text in a section than base64".to_owned(),
        other => other.to_string(),
    };
    PemError::Broken(why)
}

/// A host as certificates name it: an IPv6 address without brackets.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A time as people read it.
pub(super) fn date(unix_s: u64) -> String {
    httpdate::fmt_http_date(
        UNIX_EPOCH.checked_add(Duration::from_secs(unix_s)).unwrap_or(SystemTime::UNIX_EPOCH),
    )
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let told = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|v4| std::net::IpAddr::from(v4).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|v6| std::net::IpAddr::from(v6).to_string()))
            .ok(),
        _ => None,
    };
    names.value.general_names.iter().filter_map(told).collect()
}
